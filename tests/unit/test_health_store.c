/* test_health_store.c - what Redis keeps of how endpoints fare: read for the lanes that are taken
 * over and for no others, shown of others' endpoints, written by a lane's owner alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/core.h"
#include "core/health_store.h"
#include "endpoint_rules.h"
#include "redis_fixture.h"

#define ME    "00000000000000aa"
#define OTHER "00000000000000bb"

enum { ENDPOINTS = 4 };

static struct server server;
static struct loop loop;
static struct endpoint_rules rules;
static struct registry *registry;
static struct store *store;
static struct core *core;
static struct endpoint *endpoints[ENDPOINTS]; /* each in a lane of its own */

static void on_store_state(void *arg, bool ready)
{
    (void)arg;
    (void)ready;
}

static bool is_ready(void *arg)
{
    (void)arg;
    return store_ready(store);
}

static struct endpoint *put(uint8_t number)
{
    struct id id = {.bytes = {[19] = number}};
    struct endpoint_config *config;
    struct endpoint *endpoint;
    struct field_error error;
    assert_int_equal(endpoint_config_create(
                         &rules, SLICE("{\"url\":\"https://example.com/\",\"events\":[\"*\"]}"), 1,
                         &config, &error),
                     ST_OK);
    assert_int_equal(registry_put(registry, &id, config, &endpoint), ST_OK);
    return endpoint;
}

/* Those lanes are this process's, and the others another's. */
static void own(const struct endpoint *const *mine, size_t count)
{
    uint8_t owner_of[LANES];
    const struct slice owners[] = {SLICE(ME), SLICE(OTHER)};
    memset(owner_of, 2, sizeof(owner_of));
    for (size_t i = 0; i < count; i++)
        owner_of[mine[i]->lane] = 1;
    assert_int_equal(
        lanes_update(core->lanes, lanes_version(core->lanes) + 1, owners, 2, owner_of, NULL, NULL),
        ST_OK);
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (lanes_state(core->lanes, lane) == LANE_ARRIVING)
            lanes_step(core->lanes, lane, LANE_MINE);
}

/* ---- Commands ------------------------------------------------------------------------------- */

static struct {
    bool answered;
    char text[256];
} reply;

static void on_reply(void *arg, enum status status, const struct redis_value *value)
{
    (void)arg;
    assert_int_equal(status, ST_OK);
    reply.answered = true;
    reply.text[0] = '\0';
    if (redis_value_type(value) == REDIS_STRING)
        snprintf(reply.text, sizeof(reply.text), "%.*s", SLICE_ARGS(redis_value_text(value)));
}

static bool answered(void *arg)
{
    (void)arg;
    return reply.answered;
}

static const char *command(const char *verb, const char *key, const char *field, const char *value)
{
    struct slice words[] = {slice_str(verb), slice_str(key), slice_str(field), slice_str(value)};
    reply.answered = false;
    assert_int_equal(store_query(store, words, value[0] ? 4 : 3, on_reply, NULL), ST_OK);
    loop_until(&loop, answered, NULL);
    return reply.text;
}

/* ---- Fixture -------------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    server_start(&server, NULL);
    loop_start(&loop);
    rules = test_rules_new();
    registry = registry_new(&rules);
    struct store_options options = {
        .redis = {.unix_path = server.socket}, .key_prefix = "tl", .incarnation = ME};
    store = store_new(loop.reactor, &options, on_store_state, NULL);
    assert_true(registry && store);
    core =
        core_new(&(struct core_options){.in_flight_max = 10}, loop.reactor, store, registry, NULL);
    assert_non_null(core);
    loop_until(&loop, is_ready, NULL);
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        endpoints[i] = put(i);
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(endpoints[i]->lane, endpoints[k]->lane);
        (void)command("HSET", "tl:{0}:config:endpoints", endpoints[i]->id_text, "{}");
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_free(store);
    core_free(core);
    registry_free(registry);
    loop_end(&loop);
    test_rules_free(&rules);
    server_end(&server);
    return 0;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static struct {
    int calls;
    enum status status;
} loaded;

static void on_loaded(void *arg, enum status status)
{
    (void)arg;
    loaded.calls++;
    loaded.status = status;
}

static bool all_loaded(void *arg)
{
    return loaded.calls == *(const int *)arg;
}

/* The endpoints of the given lanes become what is kept, or well when nothing is; others stay as
 * they are. Two loads at a time do not disturb each other. */
static void test_load(void **state)
{
    (void)state;
    uint8_t lanes[LANE_MASK_BYTES] = {0}, others[LANE_MASK_BYTES] = {0};
    (void)command("HSET", "tl:{0}:health", endpoints[0]->id_text,
                  "{\"failingSince\":7,\"breaker\":\"open\",\"opened\":2}");
    (void)command("HSET", "tl:{0}:health", endpoints[2]->id_text, "{\"failingSince\":8}");
    (void)command("HSET", "tl:{0}:health", endpoints[3]->id_text, "{\"failingSince\":9}");
    for (int i = 0; i < ENDPOINTS; i++)
        endpoints[i]->health.kept.failing_since_ms = 5;
    lane_add(lanes, endpoints[0]->lane);
    lane_add(lanes, endpoints[1]->lane);
    lane_add(others, endpoints[3]->lane);
    loaded.calls = 0;
    int calls = 2;
    assert_int_equal(health_store_load(core->health, lanes, on_loaded, NULL), ST_OK);
    assert_int_equal(health_store_load(core->health, others, on_loaded, NULL), ST_OK);
    assert_int_equal(loaded.calls, 0);
    loop_until(&loop, all_loaded, &calls);
    assert_int_equal(loaded.status, ST_OK);
    assert_int_equal(endpoints[0]->health.kept.failing_since_ms, 7);
    assert_string_equal(endpoints[0]->health.kept.breaker, "open");
    assert_int_equal(endpoints[1]->health.kept.failing_since_ms, 0);
    assert_int_equal(endpoints[2]->health.kept.failing_since_ms, 5);
    assert_int_equal(endpoints[3]->health.kept.failing_since_ms, 9);
}

static struct {
    int calls;
    bool known;
    struct health_record record;
} seen;

static void on_read(void *arg, const struct health_record *record)
{
    (void)arg;
    seen.calls++;
    seen.known = record != NULL;
    if (record)
        seen.record = *record;
}

static bool was_read(void *arg)
{
    (void)arg;
    return seen.calls > 0;
}

static void read_one(const struct endpoint *endpoint)
{
    seen.calls = 0;
    assert_int_equal(health_store_read(core->health, endpoint, on_read, NULL), ST_OK);
    assert_int_equal(seen.calls, 0);
    loop_until(&loop, was_read, NULL);
}

/* One endpoint: what is kept, nothing, rubbish, and no Redis. */
static void test_read(void **state)
{
    (void)state;
    (void)command("HSET", "tl:{0}:health", endpoints[0]->id_text, "{\"failingSince\":7}");
    (void)command("HSET", "tl:{0}:health", endpoints[2]->id_text, "rubbish");
    read_one(endpoints[0]);
    assert_true(seen.known && seen.record.failing_since_ms == 7);
    assert_int_equal(endpoints[0]->health.kept.failing_since_ms, 0);
    read_one(endpoints[1]);
    assert_true(seen.known && seen.record.failing_since_ms == 0);
    read_one(endpoints[2]);
    assert_false(seen.known);
    server_kill(&server);
    read_one(endpoints[0]);
    assert_false(seen.known);
}

static bool is_written(void *arg)
{
    return command("HGET", "tl:{0}:health", arg, "")[0] != '\0';
}

/* Of the endpoints that have changed those of lanes that are another's by now are not written: not
 * when this process knows it, and not when only Redis does. */
static void test_only_the_owner_writes(void **state)
{
    (void)state;
    const struct endpoint *mine[] = {endpoints[0], endpoints[1], endpoints[2]};
    char lane[16];
    own(mine, 3);
    snprintf(lane, sizeof(lane), "%u", endpoints[0]->lane);
    (void)command("HSET", "tl:{0}:lanes", lane, OTHER);
    snprintf(lane, sizeof(lane), "%u", endpoints[1]->lane);
    (void)command("HSET", "tl:{0}:lanes", lane, ME);
    for (int i = 0; i < ENDPOINTS; i++) {
        endpoints[i]->health.kept.failing_since_ms = 5;
        health_store_note(core->health, endpoints[i]);
    }
    own(mine, 2); /* the third is lost before it was written */
    assert_true(health_store_flush(core->health));
    while (!is_written(endpoints[1]->id_text))
        continue;
    assert_false(is_written(endpoints[0]->id_text)); /* the same call wrote, or did not */
    assert_false(is_written(endpoints[2]->id_text));
    assert_false(is_written(endpoints[3]->id_text));
    assert_false(list_linked(&endpoints[2]->health.unsaved));
    health_store_note(core->health, endpoints[3]);
    assert_false(health_store_flush(core->health));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_the_owner_writes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
