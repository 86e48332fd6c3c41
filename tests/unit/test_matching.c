/* test_matching.c - which endpoints get an event, when the filters of one event need more than a
 * turn's time. The clock is the test's own: each reading of it is a millisecond later, so that a
 * turn has time for five filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "core/matching.h"
#include "endpoint_rules.h"

enum { A_TURN = 5 };

static uint64_t now_us;

uint64_t clock_now_us(void)
{
    return now_us += 1000;
}

struct world {
    struct endpoint_rules rules;
    struct core core;
    struct matching *matching;
    /* What was handed on. */
    unsigned matched;
    enum status status;
    char data[64], key[64];
    char received[128];   /* what only a received event has, with blanks between */
    uint32_t targets[64]; /* the numbers of the endpoints */
    size_t target_count;
    void *waiter;
    bool ordered; /* as the last waiter was told, or had it in the line */
};

static void take_targets(struct world *world, struct slice targets)
{
    world->target_count = targets.len / TARGET_BYTES;
    assert_in_range(world->target_count, 0, 64);
    for (size_t i = 0; i < world->target_count; i++)
        world->targets[i] = (uint8_t)targets.ptr[i * TARGET_BYTES + TARGET_BYTES - 1];
}

static void on_matched(void *arg, enum status status, const struct publish_item *item,
                       struct slice targets, struct publish_waiter *waiter)
{
    struct world *world = arg;
    world->matched++;
    world->status = status;
    world->waiter = waiter->arg;
    world->ordered = waiter->ordered;
    snprintf(world->data, sizeof(world->data), "%.*s", SLICE_ARGS(item->record.data));
    snprintf(world->key, sizeof(world->key), "%.*s", SLICE_ARGS(item->idempotency_key));
    snprintf(world->received, sizeof(world->received), "%.*s %.*s %.*s %d",
             SLICE_ARGS(item->record.headers), SLICE_ARGS(item->record.content_type),
             SLICE_ARGS(item->record.duplicate_of), (int)item->record.data_kind);
    take_targets(world, targets);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->rules = test_rules_new();
    world->core.registry = registry_new(&world->rules);
    world->core.reactor = reactor_new();
    world->matching = matching_new(&world->core, on_matched, world);
    assert_true(world->core.registry && world->core.reactor && world->matching);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    matching_free(world->matching);
    registry_free(world->core.registry);
    reactor_free(world->core.reactor);
    test_rules_free(&world->rules);
    free(world);
    return 0;
}

/* Endpoint `number` takes everything ("") or what the filter takes. */
static struct endpoint *put_with(struct world *world, uint8_t number, const char *filter,
                                 bool active, const char *more)
{
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"url\":\"https://example.com/\",\"events\":[\"*\"],\"active\":%s%s%s,"
             "\"secret\":\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"%s}",
             active ? "true" : "false", filter[0] ? ",\"filter\":" : "", filter, more);
    struct id id = {{[19] = number}};
    struct endpoint_config *config;
    struct endpoint *endpoint;
    struct field_error error;
    if (endpoint_config_create(&world->rules, slice_str(body), 1, &config, &error))
        fail_msg("%s: %s", body, error.message);
    assert_int_equal(registry_put(world->core.registry, &id, config, &endpoint), ST_OK);
    return endpoint;
}

static struct endpoint *put(struct world *world, uint8_t number, const char *filter, bool active)
{
    return put_with(world, number, filter, active, "");
}

static enum status begin_accepted(struct world *world, const char *data, uint64_t accepted_us)
{
    char copy[64]; /* gone when this returns */
    snprintf(copy, sizeof(copy), "%s", data);
    struct publish_item item = {.record = {.type = SLICE("a.b"), .data = slice_str(copy)},
                                .idempotency_key = SLICE("key")};
    struct slice targets;
    struct publish_waiter waiter = {.arg = world, .accepted_us = accepted_us, .ordered = true};
    enum status status = matching_begin(world->matching, &item, &waiter, &targets);
    take_targets(world, targets);
    world->ordered = waiter.ordered;
    memset(copy, '?', sizeof(copy));
    return status;
}

static enum status begin(struct world *world, const char *data)
{
    return begin_accepted(world, data, clock_now_us());
}

/* A turn for new events begins when those that wait had theirs. */
static void turn(struct world *world)
{
    matching_go_on(world->matching);
}

static void test_within_a_turn(void **state)
{
    struct world *world = *state;
    put(world, 1, "", true);
    put(world, 2, "{\"n\":7}", true);
    put(world, 3, "{\"n\":8}", true);
    put(world, 4, "{\"n\":7}", false);
    assert_int_equal(begin(world, "{\"n\":7}"), ST_OK);
    assert_int_equal(world->target_count, 2);
    assert_int_equal(world->targets[0] + world->targets[1], 3);
    assert_int_equal(matching_waiting(world->matching), 0);
}

/* 3 turns' worth of filters, with every second one fulfilled; the caller's bytes are not needed any
 * more. */
static void test_over_several_turns(void **state)
{
    struct world *world = *state;
    put(world, 0, "", true);
    for (int i = 1; i <= 3 * A_TURN - 1; i++)
        put(world, i, i % 2 ? "{\"n\":7}" : "{\"n\":8}", true);
    assert_int_equal(begin(world, "{\"n\":7}"), ST_AGAIN);
    assert_int_equal(matching_waiting(world->matching), 1);
    turn(world);
    assert_int_equal(world->matched, 0);
    turn(world);
    assert_int_equal(world->matched, 1);
    assert_int_equal(world->status, ST_OK);
    assert_string_equal(world->data, "{\"n\":7}");
    assert_string_equal(world->key, "key");
    assert_ptr_equal(world->waiter, world);
    bool got[64] = {false};
    for (size_t i = 0; i < world->target_count; i++) {
        assert_false(got[world->targets[i]]); /* each once */
        got[world->targets[i]] = true;
    }
    for (int i = 0; i <= 3 * A_TURN - 1; i++)
        assert_int_equal(got[i], i == 0 || i % 2 == 1);
    assert_int_equal(matching_waiting(world->matching), 0);
}

/* An event that needs little is not held up by one that needs much. */
static void test_others_pass_by(void **state)
{
    struct world *world = *state;
    for (int i = 1; i <= 4 * A_TURN; i++)
        put(world, i, "{\"n\":7}", true);
    assert_int_equal(begin(world, "{\"n\":7}"), ST_AGAIN);
    turn(world);
    for (int i = 3; i <= 4 * A_TURN; i++) {
        struct id id = {{[19] = i}};
        registry_remove(world->core.registry, registry_find(world->core.registry, &id));
    }
    assert_int_equal(begin(world, "{\"n\":7}"), ST_OK);
    assert_int_equal(world->target_count, 2);
    assert_int_equal(world->matched, 0);
    while (matching_waiting(world->matching) > 0)
        turn(world);
}

/* But for an event that an endpoint may get in order: it stays behind all that wait, and is handed
 * on behind them. */
static void test_ordered_stay_behind(void **state)
{
    struct world *world = *state;
    for (int i = 1; i <= 2 * A_TURN; i++)
        put(world, i, "{\"n\":7}", true);
    assert_int_equal(begin(world, "{\"n\":7}"), ST_AGAIN);
    assert_false(world->ordered);
    for (int i = 1; i <= 2 * A_TURN; i++) {
        struct id id = {{[19] = i}};
        registry_remove(world->core.registry, registry_find(world->core.registry, &id));
    }
    put_with(world, 1, "", true, ",\"ordering\":\"key\"");
    assert_int_equal(begin(world, "{\"n\":1}"), ST_AGAIN);
    assert_int_equal(begin(world, "{\"n\":2}"), ST_AGAIN);
    assert_true(world->ordered && matching_waiting(world->matching) == 3);
    put(world, 1, "", true);
    assert_int_equal(begin(world, "{\"n\":3}"), ST_OK);
    assert_true(!world->ordered && world->matched == 0);
    turn(world);
    while (matching_waiting(world->matching) > 0)
        turn(world);
    assert_int_equal(world->matched, 3);
    assert_string_equal(world->data, "{\"n\":2}");
    assert_true(world->ordered && world->target_count == 1);
}

/* One before which nobody waits waits for nobody, nor does one whose endpoints have no order. */
static void test_ordered_with_nobody_before(void **state)
{
    struct world *world = *state;
    put_with(world, 1, "", true, ",\"ordering\":\"endpoint\"");
    put_with(world, 2, "{\"n\":1}", true, ",\"ordering\":\"key\"");
    assert_int_equal(begin(world, "{\"n\":1}"), ST_OK);
    assert_true(world->ordered && world->target_count == 2);
    put(world, 1, "", true);
    put_with(world, 2, "", false, ",\"ordering\":\"key\"");
    assert_int_equal(begin(world, "{\"n\":1}"), ST_OK);
    assert_true(!world->ordered && world->target_count == 1);
}

/* Deleted and disabled: nothing. Changed: as it is now. */
static void test_endpoints_that_change_meanwhile(void **state)
{
    struct world *world = *state;
    for (int i = 1; i <= A_TURN + 4; i++)
        put(world, i, "{\"n\":8}", true); /* asked in this order */
    assert_int_equal(begin(world, "{\"n\":7}"), ST_AGAIN);
    put(world, A_TURN + 1, "{\"n\":7}", true);
    put(world, A_TURN + 2, "", true);
    put(world, A_TURN + 3, "", false);
    struct endpoint *last = put(world, A_TURN + 4, "", true);
    registry_remove(world->core.registry, last);
    while (matching_waiting(world->matching) > 0)
        turn(world);
    assert_int_equal(world->target_count, 2);
    assert_int_equal(world->targets[0], A_TURN + 1);
    assert_int_equal(world->targets[1], A_TURN + 2);
}

/* What was received and is not JSON: those without a filter get it, whatever the others say. */
static void test_no_filter_takes_what_is_not_json(void **state)
{
    struct world *world = *state;
    put(world, 1, "", true);
    put(world, 2, "{\"$not\":{\"n\":1}}", true);
    put(world, 3, "{\"n\":{\"$exists\":false}}", true);
    for (int kind = EVENT_DATA_JSON; kind <= EVENT_DATA_BYTES; kind++) {
        struct publish_item item = {.record = {.type = SLICE("a.b"),
                                               .data = SLICE("{}"),
                                               .received_ms = 1,
                                               .data_kind = (enum event_data)kind}};
        struct slice targets;
        struct publish_waiter waiter = {.arg = world};
        assert_int_equal(matching_begin(world->matching, &item, &waiter, &targets), ST_OK);
        take_targets(world, targets);
        assert_int_equal(world->target_count, kind == EVENT_DATA_JSON ? 3 : 1);
        turn(world);
    }
}

/* One that waits has a copy of all that came with it. */
static void test_received_over_several_turns(void **state)
{
    struct world *world = *state;
    char text[] = "A: b text/plain msg_1 data";
    for (int i = 1; i <= 2 * A_TURN; i++)
        put(world, i, "{\"n\":7}", true);
    struct publish_item item = {.record = {.type = SLICE("a.b"),
                                           .data = slice_of(text + 22, 4),
                                           .received_ms = 1,
                                           .headers = slice_of(text, 4),
                                           .content_type = slice_of(text + 5, 10),
                                           .duplicate_of = slice_of(text + 16, 5),
                                           .data_kind = EVENT_DATA_TEXT}};
    struct slice targets;
    struct publish_waiter waiter = {.arg = world};
    assert_int_equal(matching_begin(world->matching, &item, &waiter, &targets), ST_AGAIN);
    memset(text, '?', sizeof(text));
    while (matching_waiting(world->matching) > 0)
        turn(world);
    assert_string_equal(world->received, "A: b text/plain msg_1 1");
    assert_string_equal(world->data, "data");
    assert_int_equal(world->target_count, 0);
}

static void test_giving_up(void **state)
{
    struct world *world = *state;
    struct publish_waiter waiter = {.fn = NULL};
    for (int i = 1; i <= 2 * A_TURN; i++)
        put(world, i, "{\"n\":7}", true);
    assert_int_equal(begin(world, "{}"), ST_AGAIN);
    assert_false(matching_give_up(world->matching, 0, &waiter));
    assert_true(matching_give_up(world->matching, UINT64_MAX, &waiter));
    assert_ptr_equal(waiter.arg, world);
    assert_false(matching_give_up(world->matching, UINT64_MAX, &waiter));
    assert_int_equal(world->matched, 0);
}

/* What is matched anew has waited before: it is not kept longer for that. */
static void test_the_oldest_is_first(void **state)
{
    struct world *world = *state;
    struct publish_waiter waiter = {.fn = NULL};
    for (int i = 1; i <= 2 * A_TURN; i++)
        put(world, i, "{\"n\":7}", true);
    for (uint64_t accepted_us = 9000; accepted_us >= 7000; accepted_us -= 1000)
        assert_int_equal(begin_accepted(world, "{}", accepted_us), ST_AGAIN);
    assert_int_equal(begin_accepted(world, "{}", 8000), ST_AGAIN);
    assert_false(matching_give_up(world->matching, 6, &waiter));
    static const uint64_t order_us[] = {7000, 8000, 8000, 9000};
    for (size_t i = 0; i < 4; i++) {
        assert_true(matching_give_up(world->matching, order_us[i] / 1000, &waiter));
        assert_int_equal(waiter.accepted_us, order_us[i]);
    }
}

/* What waits is bounded, and what is refused leaves nothing behind. */
static void test_too_much_waits(void **state)
{
    struct world *world = *state;
    struct publish_waiter waiter = {.arg = world};
    for (int i = 1; i <= 2 * A_TURN; i++)
        put(world, i, "{\"n\":7}", true);
    static char data[LIMIT_MATCHING_BYTES / 4];
    memset(data, ' ', sizeof(data));
    data[0] = '1';
    struct publish_item item = {
        .record = {.type = SLICE("a"), .data = slice_of(data, sizeof(data))}};
    struct slice targets;
    for (int i = 0; i < 3; i++)
        assert_int_equal(matching_begin(world->matching, &item, &waiter, &targets), ST_AGAIN);
    assert_int_equal(matching_begin(world->matching, &item, &waiter, &targets), ST_LIMIT);
    while (matching_waiting(world->matching) > 0)
        turn(world);
    assert_int_equal(world->matched, 3);
    assert_int_equal(matching_begin(world->matching, &item, &waiter, &targets), ST_AGAIN);
    assert_true(matching_give_up(world->matching, UINT64_MAX, &waiter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_within_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_over_several_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_pass_by, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ordered_stay_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ordered_with_nobody_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_endpoints_that_change_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_filter_takes_what_is_not_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_received_over_several_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_giving_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_is_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_waits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
