/* test_endpoint.c - the registry: finding, order, references, matching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rng.h"
#include "core/endpoint.h"
#include "endpoint_rules.h"

static struct endpoint_rules rules;

static int setup(void **state)
{
    (void)state;
    rules = test_rules_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_rules_free(&rules);
    return 0;
}

/* A configuration with these patterns (a JSON list). */
static struct endpoint_config *config_of(const char *events, bool active)
{
    char body[4096];
    int len = snprintf(body, sizeof(body),
                       "{\"url\":\"https://example.com/\",\"events\":%s,\"active\":%s,"
                       "\"secret\":\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"}",
                       events, active ? "true" : "false");
    struct endpoint_config *config;
    struct field_error error;
    if (endpoint_config_create(&rules, slice_of(body, (size_t)len), 1, &config, &error))
        fail_msg("%s: %s", body, error.message);
    return config;
}

static struct id id_of(uint32_t number)
{
    struct id id = {{0}};
    for (int i = 0; i < 4; i++)
        id.bytes[16 + i] = (uint8_t)(number >> (24 - 8 * i));
    return id;
}

static struct endpoint *put(struct registry *registry, uint32_t number, const char *events,
                            bool active)
{
    struct id id = id_of(number);
    struct endpoint *endpoint;
    assert_int_equal(registry_put(registry, &id, config_of(events, active), &endpoint), ST_OK);
    return endpoint;
}

/* Ids of what matched, as a set of bits. */
static void remember(void *arg, struct endpoint *endpoint)
{
    uint64_t *found = arg;
    uint64_t bit = UINT64_C(1) << endpoint->id.bytes[19];
    assert_false(*found & bit); /* each once */
    *found |= bit;
}

static uint64_t named_matches(struct registry *registry, const char *type)
{
    uint64_t found = 0;
    registry_match_named(registry, slice_str(type), remember, &found);
    return found;
}

static uint64_t matches(struct registry *registry, const char *type)
{
    uint64_t found = 0;
    registry_match(registry, slice_str(type), remember, &found);
    return found;
}

/* An endpoint has what its id says, is found by it, and is replaced in place. */
static void test_put_find(void **state)
{
    (void)state;
    struct registry *registry = registry_new(&rules);
    struct endpoint *endpoint = put(registry, 7, "[\"a\"]", true);
    struct id id = id_of(7), other = id_of(8);

    assert_ptr_equal(registry_rules(registry), &rules);
    assert_ptr_equal(registry_find(registry, &id), endpoint);
    assert_null(registry_find(registry, &other));
    assert_string_equal(endpoint->id_text, "ep_000000000000000000000000007");
    assert_int_equal(endpoint->lane, hash_stable(slice_str(endpoint->id_text)) % 256);
    assert_true(list_empty(&endpoint->queue));

    endpoint->in_flight = 3;
    assert_ptr_equal(put(registry, 7, "[\"b\"]", true), endpoint);
    assert_int_equal(registry_count(registry), 1);
    assert_int_equal(endpoint->in_flight, 3);
    assert_int_equal(matches(registry, "a"), 0);
    assert_int_equal(matches(registry, "b"), 1 << 7);
    registry_free(registry);
}

/* A removed endpoint is nowhere any more, but lives while somebody holds it; also when the registry
 * goes first. */
static void test_references(void **state)
{
    (void)state;
    struct registry *registry = registry_new(&rules);
    struct endpoint *held = endpoint_get(put(registry, 1, "[\"*\"]", true));
    struct endpoint *kept = endpoint_get(put(registry, 2, "[\"*\"]", true));
    struct id id = id_of(1);

    registry_remove(registry, held);
    assert_null(registry_find(registry, &id));
    assert_int_equal(registry_count(registry), 1);
    assert_int_equal(matches(registry, "x"), 1 << 2);
    assert_true(held->deleted);
    assert_string_equal(held->config->url, "https://example.com/");

    /* The same id may come back as another endpoint. */
    assert_ptr_not_equal(put(registry, 1, "[\"*\"]", true), held);
    endpoint_put(held);
    registry_free(registry);
    assert_true(kept->deleted);
    endpoint_put(kept);
    endpoint_put(NULL);
    registry_free(NULL);
}

/* The number of active ones follows every change. */
static void test_count_active(void **state)
{
    (void)state;
    struct registry *registry = registry_new(&rules);
    assert_int_equal(registry_count_active(registry), 0);
    put(registry, 1, "[\"a\"]", true);
    struct endpoint *second = put(registry, 2, "[\"a\"]", false);
    struct endpoint *third = put(registry, 3, "[\"a\"]", true);
    assert_int_equal(registry_count_active(registry), 2);
    put(registry, 1, "[\"a\"]", false);
    put(registry, 1, "[\"b\"]", false);
    assert_int_equal(registry_count_active(registry), 1);
    put(registry, 2, "[\"a\"]", true);
    assert_int_equal(registry_count_active(registry), 2);
    registry_remove(registry, second);
    assert_int_equal(registry_count_active(registry), 1);
    registry_remove(registry, third);
    assert_int_equal(registry_count_active(registry), 0);
    assert_int_equal(registry_count(registry), 1);
    registry_free(registry);
}

/* Each kind of pattern takes what it should. */
static void test_match(void **state)
{
    (void)state;
    struct registry *registry = registry_new(&rules);
    put(registry, 1, "[\"order.created\"]", true);
    put(registry, 2, "[\"order.*\"]", true);
    put(registry, 3, "[\"*\"]", true);
    put(registry, 4, "[\"order.item.*\"]", true);
    put(registry, 5, "[\"order\"]", true);
    put(registry, 6, "[\"*\",\"order.*\",\"order.created\",\"order.created\"]", true);
    put(registry, 7, "[\"*\",\"order.created\"]", false);
    static const struct {
        const char *type;
        uint64_t found;
    } cases[] = {
        {"order.created", 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6},
        {"order.item.added", 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6},
        {"order.item", 1 << 2 | 1 << 3 | 1 << 6},
        {"order", 1 << 3 | 1 << 5 | 1 << 6},
        {"orders.created", 1 << 3 | 1 << 6},
        {"order.created.twice", 1 << 2 | 1 << 3 | 1 << 6},
        {"my.order.created", 1 << 3 | 1 << 6},
        {"Order.created", 1 << 3 | 1 << 6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (matches(registry, cases[i].type) != cases[i].found)
            fail_msg("%s: %llx", cases[i].type,
                     (unsigned long long)matches(registry, cases[i].type));

    /* Switching an endpoint takes it out of the index and puts it back. */
    put(registry, 7, "[\"*\"]", true);
    put(registry, 3, "[\"*\"]", false);
    assert_int_equal(matches(registry, "x"), 1 << 6 | 1 << 7);
    registry_free(registry);
}

/* Lists go through all ids in order, also around ids that are not there. */
static void test_order(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {500, 3, 70000, 1, 256, 255, 4000000000u};
    static const uint32_t sorted[] = {1, 3, 255, 256, 500, 70000, 4000000000u};
    struct registry *registry = registry_new(&rules);
    assert_null(registry_next(registry, NULL));
    for (size_t i = 0; i < 7; i++)
        put(registry, numbers[i], "[\"a\"]", true);

    const struct id *after = NULL;
    for (size_t i = 0; i < 7; i++) {
        struct id want = id_of(sorted[i]);
        struct endpoint *endpoint = registry_next(registry, after);
        assert_non_null(endpoint);
        assert_memory_equal(&endpoint->id, &want, sizeof(want));
        after = &endpoint->id;
    }
    assert_null(registry_next(registry, after));
    struct id between = id_of(257), want = id_of(500);
    assert_memory_equal(&registry_next(registry, &between)->id, &want, sizeof(want));
    registry_free(registry);
}

/* A random pattern or type over a small alphabet, so that they meet. */
static int random_name(struct rng *rng, char *out, size_t size)
{
    static const char *const segments[] = {"a", "b", "aa"};
    int len = snprintf(out, size, "%s", segments[rng_below(rng, 3)]);
    for (uint64_t more = rng_below(rng, 4); more > 0; more--)
        len += snprintf(out + len, size - (size_t)len, ".%s", segments[rng_below(rng, 3)]);
    return len;
}

static void random_patterns(struct rng *rng, char *out, size_t size)
{
    int len = snprintf(out, size, "[");
    for (uint64_t left = 1 + rng_below(rng, 4); left > 0; left--) {
        char name[64];
        int name_len = random_name(rng, name, sizeof(name));
        uint64_t kind = rng_below(rng, 8);
        if (kind == 0)
            snprintf(name, sizeof(name), "*");
        else if (kind < 4)
            snprintf(name + name_len, sizeof(name) - (size_t)name_len, ".*");
        len += snprintf(out + len, size - (size_t)len, "\"%s\"%s", name, left > 1 ? "," : "]");
    }
}

/* What endpoint_config_takes says of each, for comparison. */
static uint64_t expected(struct registry *registry, const char *type)
{
    uint64_t found = 0;
    const struct id *after = NULL;
    for (struct endpoint *e; (e = registry_next(registry, after)) != NULL; after = &e->id)
        if (e->config->active && endpoint_config_takes(e->config, slice_str(type)))
            found |= UINT64_C(1) << e->id.bytes[19];
    return found;
}

/* Over random puts, replacements and removals, index and definition always agree. */
static void test_match_agrees(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 2026);
    struct registry *registry = registry_new(&rules);
    for (int round = 0; round < 2000; round++) {
        struct id id = id_of((uint32_t)rng_below(&rng, 64));
        struct endpoint *endpoint = registry_find(registry, &id);
        if (endpoint && rng_below(&rng, 3) == 0) {
            registry_remove(registry, endpoint);
        } else {
            char patterns[512];
            random_patterns(&rng, patterns, sizeof(patterns));
            put(registry, id.bytes[19], patterns, rng_below(&rng, 8) != 0);
        }
        for (int i = 0; i < 8; i++) {
            char type[64];
            random_name(&rng, type, sizeof(type));
            uint64_t got = matches(registry, type), want = expected(registry, type);
            if (got != want)
                fail_msg("round %d, %s: %llx, not %llx", round, type, (unsigned long long)got,
                         (unsigned long long)want);
        }
    }
    registry_free(registry);
}

struct thing {
    struct id_tree_node node;
    struct id id;
    bool in;
};

/* The tree agrees with a plain array over random insertions and removals, also with equal
 * priorities. */
static void test_id_tree(void **state)
{
    (void)state;
    enum { THINGS = 200 };
    static struct thing things[THINGS];
    struct id_tree tree = {0};
    struct rng rng;
    rng_seed(&rng, 5);
    for (uint32_t i = 0; i < THINGS; i++)
        things[i].id = id_of(i);
    for (int round = 0; round < 5000; round++) {
        struct thing *thing = &things[rng_below(&rng, THINGS)];
        if (thing->in)
            id_tree_remove(&tree, &thing->node);
        else
            id_tree_insert(&tree, &thing->node, &thing->id, rng_below(&rng, 50));
        thing->in = !thing->in;

        uint32_t after = (uint32_t)rng_below(&rng, THINGS), want = after + 1;
        while (want < THINGS && !things[want].in)
            want++;
        struct id_tree_node *got = id_tree_next(&tree, &things[after].id);
        assert_ptr_equal(got, want < THINGS ? &things[want].node : NULL);
    }
}

/* What must be asked for by name is not taken by "*", also not by an endpoint's other patterns. */
static void test_match_named(void **state)
{
    (void)state;
    struct registry *registry = registry_new(&rules);
    put(registry, 1, "[\"*\"]", true);
    put(registry, 2, "[\"endpoint.*\"]", true);
    put(registry, 3, "[\"*\",\"endpoint.disabled\"]", true);
    put(registry, 4, "[\"*\",\"delivery.*\"]", true);
    assert_int_equal(named_matches(registry, "endpoint.disabled"), 1 << 2 | 1 << 3);
    assert_int_equal(named_matches(registry, "endpoint.backlog"), 1 << 2);
    assert_int_equal(named_matches(registry, "delivery.failing"), 1 << 4);
    assert_int_equal(matches(registry, "endpoint.disabled"), 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4);
    registry_free(registry);
}

static size_t count_in_lane(struct registry *registry, uint32_t lane)
{
    size_t count = 0;
    const struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(registry, lane, endpoint))) {
        assert_int_equal(endpoint->lane, lane);
        assert_false(endpoint->deleted);
        count++;
    }
    return count;
}

/* Each endpoint is found in its lane and in no other, until it is removed; a change of its
 * configuration leaves it there. */
static void test_lanes(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct registry *registry = registry_new(&rules);
    assert_null(registry_next_in_lane(registry, 0, NULL));
    for (uint32_t i = 0; i < COUNT; i++)
        (void)put(registry, i, "[\"a\"]", i % 2);
    size_t total = 0;
    for (uint32_t lane = 0; lane < LANES; lane++)
        total += count_in_lane(registry, lane);
    assert_int_equal(total, COUNT);

    struct endpoint *first = put(registry, 7, "[\"b\"]", false);
    size_t before = count_in_lane(registry, first->lane);
    uint32_t lane = first->lane;
    registry_remove(registry, first);
    assert_int_equal(count_in_lane(registry, lane), before - 1);
    (void)put(registry, 7, "[\"b\"]", true);
    assert_int_equal(count_in_lane(registry, lane), before);
    registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_find),     cmocka_unit_test(test_references),
        cmocka_unit_test(test_count_active), cmocka_unit_test(test_match),
        cmocka_unit_test(test_order),        cmocka_unit_test(test_match_agrees),
        cmocka_unit_test(test_lanes),        cmocka_unit_test(test_id_tree),
        cmocka_unit_test(test_match_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
