/* test_ordered.c - which deliveries of a batch are ordered, and what its slots say of them then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/journal.h"
#include "core/ordered.h"
#include "endpoint_rules.h"

enum { MOST = 64 };

struct world {
    struct endpoint_rules rules;
    struct registry *registry;
    struct batch *batch;
    struct ordered_list list;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->rules = test_rules_new();
    world->registry = registry_new(&world->rules);
    world->batch = batch_new(1700000000120, 7, LIMIT_BATCH_BYTES, NULL, 0);
    assert_true(world->registry && world->batch);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    ordered_list_free(&world->list);
    batch_put(world->batch);
    registry_free(world->registry);
    test_rules_free(&world->rules);
    free(world);
    return 0;
}

/* `ordering` as JSON. */
static struct endpoint *put(struct world *world, uint16_t number, const char *ordering)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"url\":\"https://example.com/\",\"events\":[\"*\"],\"ordering\":%s,"
             "\"secret\":\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"}",
             ordering);
    struct id id = {{[18] = (uint8_t)(number >> 8), [19] = (uint8_t)number}};
    struct endpoint_config *config;
    struct endpoint *endpoint;
    struct field_error error;
    if (endpoint_config_create(&world->rules, slice_str(body), 1, &config, &error))
        fail_msg("%s: %s", body, error.message);
    assert_int_equal(registry_put(world->registry, &id, config, &endpoint), ST_OK);
    return endpoint;
}

/* The ids of endpoints by their numbers; a `key` of NULL is none. */
static void add(struct world *world, const char *key, const uint16_t *numbers, size_t count)
{
    static uint8_t targets[MOST * MOST * TARGET_BYTES];
    assert_in_range(count, 0, MOST * MOST);
    memset(targets, 0, sizeof(targets));
    for (size_t i = 0; i < count; i++) {
        targets[i * TARGET_BYTES + 18] = (uint8_t)(numbers[i] >> 8);
        targets[i * TARGET_BYTES + 19] = (uint8_t)numbers[i];
    }
    struct event_record record = {.application = SLICE("default"),
                                  .type = SLICE("a"),
                                  .data = SLICE("{}"),
                                  .ordering_key = key ? slice_str(key) : SLICE_NULL};
    struct slice all = slice_of(targets, count * TARGET_BYTES);
    struct id id;
    assert_int_equal(batch_add(world->batch, &record, all, &id), ST_OK);
}

static void find(struct world *world)
{
    for (uint32_t i = 0; i < world->batch->message_count; i++)
        assert_int_equal(ordered_list_add(&world->list, world->registry, world->batch, i), ST_OK);
}

static void expect(const struct world *world, size_t at, uint32_t message, uint32_t ordinal,
                   const struct endpoint *endpoint)
{
    const struct ordered *item = &world->list.items[at];
    assert_int_equal(item->message, message);
    assert_int_equal(item->ordinal, ordinal);
    assert_in_range(item->endpoint_number, 1, world->list.endpoint_count);
    assert_ptr_equal(world->list.endpoints[item->endpoint_number - 1], endpoint);
}

/* Those of ordered endpoints, in the order of ordinals; by a key only events that have one; an
 * endpoint that is gone has none. */
static void test_what_is_ordered(void **state)
{
    struct world *world = *state;
    put(world, 1, "null");
    const struct endpoint *all = put(world, 2, "\"endpoint\""), *keyed = put(world, 3, "\"key\"");
    add(world, "k", (uint16_t[]){1, 2, 3, 9}, 4);
    add(world, NULL, (uint16_t[]){3, 2}, 2);
    add(world, NULL, NULL, 0);
    add(world, "l", (uint16_t[]){3}, 1);
    assert_int_equal(batch_parse(world->batch), ST_OK);
    find(world);
    assert_int_equal(world->list.count, 4);
    assert_int_equal(world->list.endpoint_count, 2);
    expect(world, 0, 0, 1, all);
    expect(world, 1, 0, 2, keyed);
    expect(world, 2, 1, 5, all);
    expect(world, 3, 3, 6, keyed);
    assert_memory_equal(world->list.items[0].hash, world->list.items[2].hash, ORDER_HASH_BYTES);
    assert_memory_not_equal(world->list.items[1].hash, world->list.items[3].hash, ORDER_HASH_BYTES);
}

/* As many as are counted when the event joins its batch. */
static void test_they_are_counted_before(void **state)
{
    struct world *world = *state;
    put(world, 1, "null");
    put(world, 2, "\"endpoint\"");
    put(world, 3, "\"key\"");
    static const struct {
        const char *key;
        uint16_t numbers[4];
        size_t count, ordered;
    } table[] = {{"k", {1, 2, 3, 9}, 4, 2},
                 {NULL, {1, 2, 3, 9}, 4, 1},
                 {"k", {1, 9}, 2, 0},
                 {"k", {0}, 0, 0}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        add(world, table[i].key, table[i].numbers, table[i].count);
    assert_int_equal(batch_parse(world->batch), ST_OK);
    size_t count = 0;
    for (uint32_t i = 0; i < world->batch->message_count; i++) {
        const struct message *event = &world->batch->messages[i];
        assert_int_equal(ordered_count(world->registry, &event->record, event->targets),
                         table[i].ordered);
        count += table[i].ordered;
    }
    find(world);
    assert_int_equal(world->list.count, count);
}

/* Each endpoint has one number, in whatever order events have them; with more of both than there is
 * room for at first. */
static void test_numbers_of_endpoints(void **state)
{
    struct world *world = *state;
    const struct endpoint *endpoints[MOST];
    uint16_t numbers[MOST], seed = 1;
    for (size_t i = 0; i < MOST; i++)
        endpoints[i] = put(world, (uint16_t)i, "\"endpoint\"");
    for (size_t event = 0; event < MOST; event++) {
        size_t count = event * 7 % MOST;
        for (size_t i = 0; i < count; i++)
            numbers[i] = (uint16_t)((seed + i * (event % 2 ? 5 : 1)) % MOST);
        add(world, NULL, numbers, count);
        seed = (uint16_t)(seed * 5 + 3);
    }
    assert_int_equal(batch_parse(world->batch), ST_OK);
    find(world);
    assert_int_equal(world->list.count, world->batch->ordinal_count);
    assert_int_equal(world->list.endpoint_count, MOST);
    for (size_t i = 0; i < world->list.count; i++) {
        const struct ordered *item = &world->list.items[i];
        const struct message *event = &world->batch->messages[item->message];
        size_t target = item->ordinal - event->first_ordinal;
        assert_int_equal(item->ordinal, i);
        assert_ptr_equal(world->list.endpoints[item->endpoint_number - 1],
                         endpoints[(uint8_t)event->targets.ptr[target * TARGET_BYTES + 19]]);
    }
    assert_int_equal(endpoints[0]->refs, 2); /* the registry's, and one */
    ordered_list_free(&world->list);
    assert_int_equal(endpoints[0]->refs, 1);
}

/* Stored, they are moved and nobody need mark that; one of a refused event is what that was, and
 * one of another's part nobody's business here. */
static void test_moved_when_they_are_stored(void **state)
{
    struct world *world = *state;
    put(world, 1, "\"endpoint\"");
    put(world, 2, "null");
    for (int i = 0; i < 3; i++)
        add(world, NULL, (uint16_t[]){1, 2}, 2);
    struct batch *batch = world->batch;
    assert_int_equal(batch_parse(batch), ST_OK);
    find(world);
    assert_int_equal(world->list.count, 3);
    journal_skip(&batch->messages[1]);
    batch->slots[4].state = SLOT_FOREIGN;
    batch->pending--;
    assert_int_equal(batch->pending, 3);
    ordered_list_moved(&world->list, batch);
    static const enum slot_state expected[] = {SLOT_MOVED,    SLOT_PENDING, SLOT_FINISHED,
                                               SLOT_FINISHED, SLOT_FOREIGN, SLOT_PENDING};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(batch->slots[i].state, expected[i]);
    assert_true(batch->slots[0].marked && !batch->slots[4].marked);
    assert_int_equal(batch->pending, 2);
    ordered_list_moved(&world->list, batch);
    assert_int_equal(batch->pending, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_ordered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_they_are_counted_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_of_endpoints, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_when_they_are_stored, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
