/* test_group.c - what goes together: ids, places in a delivery's state, and when a gathering gives
 * what, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/group.h"
#include "wire/event_list.h"

enum { EVENTS = 40, DATA_BYTES = 100 };

static struct endpoint *endpoint;
static struct delivery *deliveries[EVENTS]; /* in the order of their ids */
static struct delivery *taken[LIMIT_GROUP_EVENTS];
static struct gathering gathering;
static size_t each; /* bytes of an event in a body, about */

static struct delivery *delivery_numbered(uint32_t number)
{
    static char data[DATA_BYTES + 1];
    struct id id = {{0}};
    struct message *message;
    struct buf record;
    id_set_time(&id, 1700000000000 + 4 * (number / 4)); /* some have the same time */
    id.bytes[14] = (uint8_t)number;
    memset(data, '7', DATA_BYTES);
    buf_init(&record, 1000);
    struct event_record event = {.application = SLICE("default"), .type = SLICE("a")};
    event.data = slice_of(data, DATA_BYTES);
    event_record_write(&record, &event);
    assert_int_equal(message_load(&id, buf_slice(&record), &message), ST_OK);
    buf_free(&record);
    struct delivery *delivery = delivery_new(endpoint, message, number);
    assert_non_null(delivery);
    message_put(message);
    each = event_list_estimate(&delivery->message->record);
    return delivery;
}

static int set_up(void **state)
{
    (void)state;
    struct id id = {{9, 9, 9}};
    endpoint = endpoint_new_deleted(&id);
    for (uint32_t i = 0; i < EVENTS; i++)
        deliveries[i] = delivery_numbered(i);
    gathering_init(&gathering, endpoint);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct list all;
    list_init(&all);
    gathering_take_all(&gathering, &all);
    while (list_pop_front(&all))
        ;
    for (uint32_t i = 0; i < EVENTS; i++)
        delivery_free(deliveries[i]);
    endpoint_put(endpoint);
    return 0;
}

static const struct group_rule rule = {.max_events = 5, .max_bytes = 1 << 20, .max_wait_ms = 1};

static void add(uint32_t number, uint64_t since_us)
{
    deliveries[number]->waits_since_us = since_us;
    gathering_add(&gathering, deliveries[number], since_us + 3000);
}

static enum gathering_stand stand(const struct group_rule *by, uint64_t now_us, uint64_t opens_us)
{
    uint64_t said_us;
    enum gathering_stand is = gathering_stand(&gathering, by, now_us, &said_us);
    assert_true(said_us == opens_us);
    return is;
}

/* What is given at that time has these numbers, in this order. */
static void assert_given(const struct group_rule *by, uint64_t now_us, size_t count,
                         const uint32_t *numbers)
{
    assert_int_equal(gathering_take(&gathering, by, now_us, taken), count);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(taken[i], deliveries[numbers[i]]);
}
#define GIVEN(by, now_us, ...)                                                                     \
    assert_given(by, now_us, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                 \
                 (uint32_t[]){__VA_ARGS__})
#define NOTHING(by, now_us) assert_given(by, now_us, 0, NULL)

/* ---- Names ----------------------------------------------------------------------------------- */

static struct id id_of(uint32_t first, size_t count, const struct id *of)
{
    struct message *messages[EVENTS];
    struct id id;
    for (size_t i = 0; i < count; i++)
        messages[i] = deliveries[first + i]->message;
    assert_int_equal(group_id(&id, of, messages, count), ST_OK);
    return id;
}

/* The same events for the same endpoint have the same id; and nothing else has it: fewer, more, in
 * another order, for another endpoint. */
static void test_id_is_of_its_members(void **state)
{
    (void)state;
    struct id other_endpoint = {{9, 9, 8}};
    struct id id = id_of(8, 4, &endpoint->id), again = id_of(8, 4, &endpoint->id);
    assert_true(id_eq(&id, &again));
    struct id fewer = id_of(8, 3, &endpoint->id), more = id_of(8, 5, &endpoint->id);
    struct id other = id_of(8, 4, &other_endpoint), one = id_of(8, 1, &endpoint->id);
    assert_false(id_eq(&id, &fewer) || id_eq(&id, &more) || id_eq(&id, &other));
    assert_false(id_eq(&one, &deliveries[8]->message->id));

    struct message *swapped[] = {deliveries[8]->message, deliveries[10]->message,
                                 deliveries[9]->message, deliveries[11]->message};
    assert_int_equal(group_id(&other, &endpoint->id, swapped, 4), ST_OK);
    assert_false(id_eq(&id, &other));
}

/* It sorts by the time at which its first event was accepted. */
static void test_id_has_a_time(void **state)
{
    (void)state;
    struct id early = id_of(0, 4, &endpoint->id), late = id_of(20, 4, &endpoint->id);
    assert_true(id_time_ms(&early) == deliveries[0]->accepted_at_ms);
    assert_true(id_time_ms(&late) == deliveries[20]->accepted_at_ms);
    assert_true(memcmp(&early, &late, sizeof(early)) < 0);
}

/* A place is written and read; what is no place is refused. */
static void test_place(void **state)
{
    (void)state;
    uint8_t bytes[GROUP_BYTES];
    struct id id = id_of(3, 2, &endpoint->id), read;
    uint32_t size, place;
    struct group *group = group_new(&id, LIMIT_GROUP_EVENTS);
    for (uint32_t at = 0; at < LIMIT_GROUP_EVENTS; at += 333) {
        group_write(bytes, group, at);
        assert_int_equal(group_read(slice_of(bytes, sizeof(bytes)), &read, &size, &place), ST_OK);
        assert_true(id_eq(&read, &id) && size == LIMIT_GROUP_EVENTS && place == at);
    }
    group_write(bytes, group, LIMIT_GROUP_EVENTS); /* as many as there are places */
    assert_int_equal(group_read(slice_of(bytes, sizeof(bytes)), &read, &size, &place), ST_SYNTAX);
    memset(bytes, 0, sizeof(bytes)); /* a group of nobody */
    assert_int_equal(group_read(slice_of(bytes, sizeof(bytes)), &read, &size, &place), ST_SYNTAX);
    memset(bytes, 0xff, sizeof(bytes)); /* one that is too large */
    assert_int_equal(group_read(slice_of(bytes, sizeof(bytes)), &read, &size, &place), ST_SYNTAX);
    assert_int_equal(group_read(slice_of(bytes, sizeof(bytes) - 1), &read, &size, &place),
                     ST_SYNTAX);
    assert_int_equal(group_read(SLICE(""), &read, &size, &place), ST_SYNTAX);
    group_put(group);
}

/* ---- Loose ones ------------------------------------------------------------------------------ */

static void test_nothing_waits(void **state)
{
    (void)state;
    assert_int_equal(stand(&rule, 5, UINT64_MAX), GATHERING_NOTHING);
    NOTHING(&rule, 5);
}

/* Until there are enough of them, or the one that has waited longest has waited enough. */
static void test_time(void **state)
{
    (void)state;
    add(1, 5000);
    assert_int_equal(stand(&rule, 5000, 6000), GATHERING_WAITS);
    add(2, 4500); /* by another replica: it has waited longer */
    assert_int_equal(stand(&rule, 5499, 5500), GATHERING_WAITS);
    NOTHING(&rule, 5499);
    assert_int_equal(stand(&rule, 5500, 5500), GATHERING_TIME);
    GIVEN(&rule, 5500, 1, 2);
    assert_int_equal(stand(&rule, 5500, UINT64_MAX), GATHERING_NOTHING);
}

static void test_count(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 7; i++)
        add(i, 5000);
    assert_int_equal(stand(&rule, 5000, 5000), GATHERING_FULL);
    GIVEN(&rule, 5000, 0, 1, 2, 3, 4);
    assert_int_equal(stand(&rule, 5000, 6000), GATHERING_WAITS);
    assert_int_equal(gathering.count, 2);
    NOTHING(&rule, 5000);
    GIVEN(&rule, 6000, 5, 6);
}

/* A request takes as many as fit, about; one that fits in none goes alone. */
static void test_bytes(void **state)
{
    (void)state;
    struct group_rule by = rule;
    by.max_bytes = 3 * each;
    add(0, 5000), add(1, 5000);
    assert_int_equal(stand(&by, 5000, 6000), GATHERING_WAITS);
    add(2, 5000), add(3, 5000);
    assert_int_equal(stand(&by, 5000, 5000), GATHERING_FULL);
    GIVEN(&by, 5000, 0, 1, 2);
    by.max_bytes = each / 2;
    add(4, 5000);
    GIVEN(&by, 5000, 3);
    GIVEN(&by, 5000, 4);
    assert_int_equal(gathering.loose_bytes, 0);
}

/* In whatever order they come: from the schedule, from other replicas, given back. */
static void test_order(void **state)
{
    (void)state;
    add(7, 5000), add(3, 5000), add(9, 5000), add(0, 5000), add(8, 5000);
    GIVEN(&rule, 5000, 0, 3, 7, 8, 9);
    while (gathering.count < 4)
        add((uint32_t)(3 - gathering.count), 5000);
    GIVEN(&rule, 9000, 0, 1, 2, 3);
}

/* One that only its batch has is known of, as long as it is there. */
static void test_in_memory(void **state)
{
    (void)state;
    deliveries[1]->lease = 77;
    add(1, 4000);
    assert_true(gathering.in_memory_us == UINT64_MAX);
    add(2, 5000);
    assert_true(gathering.in_memory_us == 5000 && gathering.oldest_us == 4000);
    gathering_remove(&gathering, deliveries[2]);
    assert_true(gathering.in_memory_us == UINT64_MAX && gathering.oldest_us == 4000);
    assert_int_equal(gathering.count, 1);
    deliveries[1]->lease = 0;
}

/* What must not go yet does not, however full it is. */
static void test_pause(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        add(i, 5000);
    gathering.not_before_us = 8000;
    assert_int_equal(stand(&rule, 7000, 8000), GATHERING_WAITS);
    NOTHING(&rule, 7000);
    assert_int_equal(stand(&rule, 8000, 8000), GATHERING_FULL);
    GIVEN(&rule, 8000, 0, 1, 2, 3, 4);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static struct group *make_group(uint32_t first, uint32_t size)
{
    struct id id = id_of(first, size, &endpoint->id);
    struct group *group = group_new(&id, size);
    for (uint32_t i = 0; i < size; i++)
        group_join(group, deliveries[first + i], i);
    group_put(group);
    return deliveries[first]->group;
}

/* A group goes when all of it is there, in its own order, before what has not been sent yet, and
 * without it. */
static void test_group_is_whole(void **state)
{
    (void)state;
    struct group *group = make_group(10, 4);
    add(0, 5000);
    add(12, 5000), add(10, 5000), add(13, 5000);
    assert_int_equal(gathering.missing, 1);
    assert_ptr_equal(gathering_find(&gathering, &group->id), group);
    assert_int_equal(stand(&rule, 5000, 6000), GATHERING_WAITS);
    add(11, 5000);
    assert_int_equal(gathering.missing, 0);
    assert_int_equal(stand(&rule, 5000, 5000), GATHERING_FULL);
    GIVEN(&rule, 5000, 10, 11, 12, 13);
    assert_null(gathering_find(&gathering, &group->id));
    assert_ptr_equal(deliveries[11]->group, group);
    assert_int_equal(gathering.count, 1);
}

/* It goes whole whatever the rule says now: larger than that, and longer. */
static void test_group_stays_as_it_was(void **state)
{
    (void)state;
    struct group_rule by = {.max_events = 1, .max_bytes = each, .max_wait_ms = 1000};
    make_group(10, 7);
    for (uint32_t i = 10; i < 17; i++)
        add(i, 5000);
    GIVEN(&by, 5000, 10, 11, 12, 13, 14, 15, 16);
}

/* Members that do not come are not waited for for ever, and what is there of it has another name.
 */
static void test_group_in_vain(void **state)
{
    (void)state;
    struct group_rule by = {.max_events = 100, .max_bytes = 1 << 20, .max_wait_ms = 60000};
    make_group(10, 4);
    add(0, 5000), add(11, 5000), add(10, 6000);
    assert_int_equal(stand(&by, 7999, 8000), GATHERING_WAITS);
    NOTHING(&by, 7999);
    assert_int_equal(stand(&by, 8000, 8000), GATHERING_TIME);
    GIVEN(&by, 8000, 10, 11);
    assert_null(deliveries[10]->group);
    assert_null(deliveries[11]->group);
    assert_int_equal(gathering.missing, 0);
    assert_non_null(deliveries[12]->group); /* who still has it */
}

/* One that leaves makes its group wait for it again. */
static void test_member_leaves(void **state)
{
    (void)state;
    make_group(10, 3);
    add(10, 5000), add(11, 5000), add(12, 5000);
    assert_int_equal(gathering.complete, 1);
    gathering_remove(&gathering, deliveries[11]);
    assert_true(gathering.complete == 0 && gathering.missing == 1);
    NOTHING(&rule, 5000);
    add(11, 5000);
    GIVEN(&rule, 5000, 10, 11, 12);
}

/* All that waits comes out, with its groups, and nothing is left. */
static void test_take_all(void **state)
{
    (void)state;
    struct list all;
    size_t count = 0;
    list_init(&all);
    make_group(10, 3);
    add(1, 5000), add(10, 5000), add(12, 5000), add(2, 5000);
    gathering_take_all(&gathering, &all);
    while (list_pop_front(&all))
        count++;
    assert_int_equal(count, 4);
    assert_true(gathering.count == 0 && gathering.complete == 0 && gathering.missing == 0);
    assert_int_equal(stand(&rule, 5000, UINT64_MAX), GATHERING_NOTHING);
    assert_non_null(deliveries[10]->group);
}

/* ---- All together ---------------------------------------------------------------------------- */

/* Deliveries come, leave and are given in any order: nothing is lost, counts are right, a group is
 * whole, loose ones are in order. */
static void test_any_order(void **state)
{
    (void)state;
    struct rng rng;
    bool waits[EVENTS] = {false};
    struct group_rule by = {.max_events = 6, .max_bytes = 5 * each, .max_wait_ms = 1};
    rng_seed(&rng, 7);
    for (uint32_t first = 0; first < EVENTS; first += 8)
        make_group(first, 4);
    for (uint64_t now_us = 5000; now_us < 25000; now_us++) {
        uint32_t number = (uint32_t)rng_below(&rng, EVENTS);
        if (!waits[number])
            add(number, now_us);
        else if (rng_below(&rng, 4) == 0)
            gathering_remove(&gathering, deliveries[number]);
        else
            continue;
        waits[number] = !waits[number];
        size_t count = rng_below(&rng, 3) ? 0 : gathering_take(&gathering, &by, now_us, taken);
        for (size_t i = 0; i < count; i++) {
            assert_true(waits[taken[i]->ordinal] && taken[i]->group == taken[0]->group);
            assert_true(i == 0 || taken[i - 1]->ordinal < taken[i]->ordinal);
            waits[taken[i]->ordinal] = false;
        }
        if (count > 0 && taken[0]->group)
            assert_int_equal(count, taken[0]->group->size);
        size_t waiting = 0;
        for (uint32_t i = 0; i < EVENTS; i++)
            waiting += waits[i];
        assert_int_equal(gathering.count, waiting);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_id_is_of_its_members),
        TEST(test_id_has_a_time),
        TEST(test_place),
        TEST(test_nothing_waits),
        TEST(test_time),
        TEST(test_count),
        TEST(test_bytes),
        TEST(test_order),
        TEST(test_in_memory),
        TEST(test_pause),
        TEST(test_group_is_whole),
        TEST(test_group_stays_as_it_was),
        TEST(test_group_in_vain),
        TEST(test_member_leaves),
        TEST(test_take_all),
        TEST(test_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
