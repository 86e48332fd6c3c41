/* test_gcra.c - rate limits keep their promise, whatever the schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "base/rng.h"
#include "core/gcra.h"

enum { SECOND_US = 1000000 };
#define HOUR_US (UINT64_C(3600) * SECOND_US)

/* ---- What went, and the promise ------------------------------------------------------------- */

enum { TAKES_MAX = 4096 };

struct record {
    uint64_t at_us[TAKES_MAX];
    size_t count;
};

static bool take_if_due(struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us,
                        struct record *record)
{
    if (gcra_slot_us(gcra, limit, now_us) > now_us)
        return false;
    gcra_take(gcra, limit, now_us);
    assert_true(record->count < TAKES_MAX);
    record->at_us[record->count++] = now_us;
    return true;
}

/* No window that begins at one of the takes from `first` on has more than limit + burst. Both of
 * its ends belong to it, which is more than the promise needs. */
static void check_promise(const struct record *record, const struct gcra_limit *limit, size_t first)
{
    uint64_t period_us = limit->period_ms * 1000;
    size_t begin = first;
    for (size_t end = first; end < record->count; end++) {
        while (record->at_us[end] - record->at_us[begin] > period_us)
            begin++;
        if (end - begin + 1 > (size_t)limit->limit + limit->burst)
            fail_msg("%zu within %llu ms, limit %u, burst %u", end - begin + 1,
                     (unsigned long long)limit->period_ms, limit->limit, limit->burst);
    }
}

static struct gcra_limit random_limit(struct rng *rng)
{
    struct gcra_limit limit = {.limit = 1 + (uint32_t)rng_below(rng, 12),
                               .period_ms = 1 + rng_below(rng, 8)};
    limit.burst = 1 + (uint32_t)rng_below(rng, limit.limit);
    return limit;
}

/* Some time later, of any of the sizes that matter for this limit. */
static uint64_t later(struct rng *rng, const struct gcra_limit *limit, uint64_t now_us)
{
    uint64_t interval_us = limit->period_ms * 1000 / limit->limit;
    uint64_t scale_us[] = {1, 2, interval_us / 2 + 1, interval_us + 2, 4 * interval_us + 1};
    return now_us + rng_below(rng, scale_us[rng_below(rng, 5)]);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* Without a limit everything goes at once. */
static void test_no_limit(void **state)
{
    (void)state;
    struct gcra gcra = {.next_us = 0};
    const struct gcra_limit none = {.limit = 0};
    gcra_reset_empty(&gcra, &none, 100);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(gcra_slot_us(&gcra, &none, 100), 100);
        gcra_take(&gcra, &none, 100);
    }
    assert_true(gcra_room(&gcra, &none, 100, 100) == SIZE_MAX);
}

/* When each goes at its slot, the n-th goes n * period / limit after the first, rounded up: over
 * hours, for limits that no whole number of microseconds fits. */
static void test_no_drift(void **state)
{
    (void)state;
    static const struct gcra_limit limits[] = {{7, 1000, 1},      {300, 60000, 1},    {3, 1, 1},
                                               {999983, 1000, 1}, {1000000, 1000, 1}, {11, 999, 1},
                                               {1, 86400000, 1},  {17, 31, 1}};
    const uint64_t start_us = 12345;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct gcra_limit *limit = &limits[i];
        uint64_t period_us = limit->period_ms * 1000;
        struct gcra gcra = {.next_us = 0};
        gcra_reset_empty(&gcra, limit, start_us);
        uint64_t now_us = start_us;
        for (uint64_t n = 1; n <= 100000; n++) {
            now_us = gcra_slot_us(&gcra, limit, now_us);
            uint64_t exact_us = start_us + (n * period_us + limit->limit - 1) / limit->limit;
            if (now_us != exact_us)
                fail_msg("limit %zu, take %llu: %llu us too late", i, (unsigned long long)n,
                         (unsigned long long)(now_us - exact_us));
            gcra_take(&gcra, limit, now_us);
        }
    }
}

/* After a pause `burst` go at once, and then one each interval. */
static void test_burst(void **state)
{
    (void)state;
    const struct gcra_limit limit = {10, 1000, 4};
    struct gcra gcra = {.next_us = 0};
    uint64_t now_us = HOUR_US;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < limit.burst; i++) {
            assert_int_equal(gcra_slot_us(&gcra, &limit, now_us), now_us);
            gcra_take(&gcra, &limit, now_us);
        }
        for (int i = 1; i <= 20; i++) {
            uint64_t slot_us = gcra_slot_us(&gcra, &limit, now_us);
            assert_int_equal(slot_us, now_us + 100000);
            now_us = slot_us;
            gcra_take(&gcra, &limit, now_us);
        }
        now_us += 5 * SECOND_US;
    }
    /* Two intervals of pause give two. */
    struct gcra other = {.next_us = 0};
    for (int i = 0; i < 4; i++)
        gcra_take(&other, &limit, now_us);
    now_us += 200000;
    gcra_take(&other, &limit, now_us);
    assert_int_equal(gcra_slot_us(&other, &limit, now_us), now_us);
    gcra_take(&other, &limit, now_us);
    assert_int_equal(gcra_slot_us(&other, &limit, now_us), now_us + 100000);
}

/* An empty bucket lets the first go after one interval, and `burst` at once after so many. */
static void test_empty(void **state)
{
    (void)state;
    const struct gcra_limit limit = {10, 1000, 3};
    struct gcra gcra = {.next_us = 77};
    gcra_reset_empty(&gcra, &limit, HOUR_US);
    assert_int_equal(gcra_slot_us(&gcra, &limit, HOUR_US), HOUR_US + 100000);
    assert_int_equal(gcra_room(&gcra, &limit, HOUR_US, HOUR_US + 99999), 0);
    uint64_t now_us = HOUR_US + 300000;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(gcra_slot_us(&gcra, &limit, now_us), now_us);
        gcra_take(&gcra, &limit, now_us);
    }
    assert_int_equal(gcra_slot_us(&gcra, &limit, now_us), now_us + 100000);
}

/* A loop that comes late to each slot, by anything below an interval, loses none of the rate. */
static void test_late_is_not_lost(void **state)
{
    (void)state;
    static const struct gcra_limit limits[] = {{100, 1000, 1}, {7, 1000, 1}, {1000, 1000, 5}};
    struct rng rng;
    rng_seed(&rng, 3);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct gcra_limit *limit = &limits[i];
        uint64_t interval_us = limit->period_ms * 1000 / limit->limit;
        struct gcra gcra = {.next_us = 0};
        gcra_reset_empty(&gcra, limit, HOUR_US);
        uint64_t end_us = HOUR_US + 100 * (uint64_t)SECOND_US;
        uint64_t taken = 0;
        for (uint64_t now_us = HOUR_US;; taken++) {
            now_us = gcra_slot_us(&gcra, limit, now_us) + rng_below(&rng, interval_us);
            if (now_us > end_us + interval_us)
                break;
            gcra_take(&gcra, limit, now_us);
        }
        uint64_t exact = 100 * (uint64_t)limit->limit;
        assert_in_range(taken, exact - 1, exact + limit->burst);
    }
}

/* After a pause of an interval or more the next is counted from when it goes. */
static void test_pause_is_no_credit(void **state)
{
    (void)state;
    const struct gcra_limit limit = {10, 1000, 1};
    struct gcra gcra = {.next_us = 0};
    gcra_take(&gcra, &limit, HOUR_US);
    gcra_take(&gcra, &limit, HOUR_US + 200000);
    assert_int_equal(gcra_slot_us(&gcra, &limit, HOUR_US + 200000), HOUR_US + 300000);
}

/* Every schedule of 0, 1 or 2 requests at each of ten ticks, three to an interval, keeps the
 * promise, and from a full bucket exactly `burst` go at once. */
static void test_all_schedules(void **state)
{
    (void)state;
    static const struct gcra_limit limits[] = {{1, 1, 1}, {2, 1, 1}, {2, 1, 2}, {3, 1, 2}};
    static struct record record;
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        uint64_t tick_us = 1000 / limits[l].limit / 3;
        for (uint32_t schedule = 0; schedule < 59049 /* 3^10 */; schedule++) {
            struct gcra gcra = {.next_us = 0};
            record.count = 0;
            uint32_t rest = schedule;
            for (uint64_t tick = 0; rest > 0; tick++, rest /= 3)
                for (uint32_t wanted = rest % 3; wanted > 0; wanted--)
                    (void)take_if_due(&gcra, &limits[l], HOUR_US + tick * tick_us, &record);
            check_promise(&record, &limits[l], 0);
        }
        struct gcra gcra = {.next_us = 0};
        record.count = 0;
        while (take_if_due(&gcra, &limits[l], HOUR_US, &record))
            ;
        assert_int_equal(record.count, limits[l].burst);
    }
}

/* Random limits and times: the promise holds in every window. */
static void test_random_schedules(void **state)
{
    (void)state;
    static struct record record;
    struct rng rng;
    rng_seed(&rng, 1);
    for (int round = 0; round < 2000; round++) {
        struct gcra_limit limit = random_limit(&rng);
        struct gcra gcra = {.next_us = 0};
        record.count = 0;
        uint64_t now_us = rng_below(&rng, 10 * SECOND_US);
        for (int i = 0; i < 500; i++) {
            now_us = later(&rng, &limit, now_us);
            (void)take_if_due(&gcra, &limit, now_us, &record);
        }
        check_promise(&record, &limit, 0);
    }
}

/* A process dies and another begins with an empty bucket, at any moment: no window across the two
 * has too many. */
static void test_death(void **state)
{
    (void)state;
    static struct record record;
    struct rng rng;
    rng_seed(&rng, 2);
    for (int round = 0; round < 5000; round++) {
        struct gcra_limit limit = random_limit(&rng);
        struct gcra gcra = {.next_us = 0};
        record.count = 0;
        uint64_t now_us = SECOND_US;
        for (int i = 0; i < 200; i++) {
            now_us = later(&rng, &limit, now_us);
            if (rng_below(&rng, 20) == 0)
                gcra_reset_empty(&gcra, &limit, now_us);
            (void)take_if_due(&gcra, &limit, now_us, &record);
        }
        check_promise(&record, &limit, 0);
    }
}

/* The limit's state goes from process to process, whose clocks begin at different times; each is
 * told a time that is late by anything up to two milliseconds. No window over all of them has too
 * many. */
static void test_handed_over(void **state)
{
    (void)state;
    static struct record record;
    struct rng rng;
    rng_seed(&rng, 6);
    for (int round = 0; round < 5000; round++) {
        struct gcra_limit limit = random_limit(&rng);
        struct gcra gcra = {.next_us = 0};
        record.count = 0;
        uint64_t now_us = SECOND_US, clock_us = 0; /* this process's clock is so far ahead */
        for (int i = 0; i < 300; i++) {
            now_us = later(&rng, &limit, now_us);
            if (rng_below(&rng, 20) == 0) {
                uint64_t next_us = gcra_export(&gcra, &limit, now_us + clock_us);
                uint64_t other_us = rng_below(&rng, HOUR_US);
                if (next_us > 0)
                    next_us = next_us - clock_us + other_us + rng_below(&rng, 2000);
                clock_us = other_us;
                now_us += rng_below(&rng, 3) * 100;
                gcra = (struct gcra){.next_us = 77, .of = 3}; /* of earlier */
                gcra_import(&gcra, &limit, next_us, now_us + clock_us);
            }
            if (gcra_slot_us(&gcra, &limit, now_us + clock_us) > now_us + clock_us)
                continue;
            gcra_take(&gcra, &limit, now_us + clock_us);
            record.at_us[record.count++] = now_us;
        }
        check_promise(&record, &limit, 0);
    }
}

/* What is told of each state, and what the other makes of it. */
static void test_export(void **state)
{
    (void)state;
    const struct gcra_limit limit = {7, 1000, 3}, none = {.limit = 0}, slow = {1, 3600000, 1};
    struct gcra gcra = {.next_us = 0}, other;
    assert_int_equal(gcra_export(&gcra, &limit, HOUR_US), 0); /* full */
    gcra_take(&gcra, &limit, HOUR_US);
    assert_int_equal(gcra_export(&gcra, &none, HOUR_US), 0);
    assert_int_equal(gcra_export(&gcra, &limit, HOUR_US), HOUR_US + 142858); /* rounded up */
    assert_int_equal(gcra_export(&gcra, &limit, HOUR_US + 142857), HOUR_US + 142858);
    assert_int_equal(gcra_export(&gcra, &limit, HOUR_US + 142858), 0); /* full again */

    gcra_import(&other, &limit, 0, HOUR_US);
    assert_int_equal(gcra_room(&other, &limit, HOUR_US, HOUR_US), 3);
    gcra_import(&other, &limit, HOUR_US + 142858, HOUR_US);
    assert_int_equal(gcra_room(&other, &limit, HOUR_US, HOUR_US + 1), 2); /* for the rounding */
    gcra_import(&other, &none, HOUR_US + 142858, HOUR_US);
    assert_int_equal(gcra_slot_us(&other, &none, HOUR_US), HOUR_US);
    /* Nothing that another limit, or a time from nowhere, says is waited for. */
    gcra_import(&other, &limit, 2 * HOUR_US, HOUR_US);
    assert_int_equal(gcra_slot_us(&other, &limit, HOUR_US), HOUR_US + 142858);
    gcra_import(&other, &limit, UINT64_MAX, HOUR_US);
    assert_int_equal(gcra_slot_us(&other, &limit, HOUR_US), HOUR_US + 142858);
    gcra_import(&other, &slow, HOUR_US + 5, HOUR_US);
    assert_int_equal(gcra_slot_us(&other, &slow, HOUR_US), HOUR_US + 5);
}

/* The limit changes, with gcra_change() or without a word: from then on the new one holds. */
static void test_changed_limit(void **state)
{
    (void)state;
    static struct record record;
    struct rng rng;
    rng_seed(&rng, 4);
    for (int round = 0; round < 5000; round++) {
        struct gcra gcra = {.next_us = 0};
        uint64_t now_us = SECOND_US;
        record.count = 0;
        for (int change = 0; change < 6; change++) {
            struct gcra_limit limit = random_limit(&rng);
            if (rng_below(&rng, 2) == 0) {
                gcra_change(&gcra, &limit, now_us);
                uint64_t interval_us = (limit.period_ms * 1000 + limit.limit - 1) / limit.limit;
                assert_in_range(gcra_slot_us(&gcra, &limit, now_us), now_us, now_us + interval_us);
            }
            size_t first = record.count;
            for (int i = 0; i < 100; i++) {
                now_us = later(&rng, &limit, now_us);
                (void)take_if_due(&gcra, &limit, now_us, &record);
            }
            check_promise(&record, &limit, first);
        }
    }
}

/* From one an hour to a thousand a second nobody waits for the hour; from no limit to one the
 * bucket is empty; no limit forgets everything. */
static void test_change(void **state)
{
    (void)state;
    const struct gcra_limit hourly = {1, 3600000, 1}, fast = {1000, 1000, 10}, none = {.limit = 0};
    struct gcra gcra = {.next_us = 0};
    gcra_take(&gcra, &hourly, HOUR_US);
    assert_int_equal(gcra_slot_us(&gcra, &fast, HOUR_US), 2 * HOUR_US - 9000);
    gcra_change(&gcra, &fast, HOUR_US);
    assert_int_equal(gcra_slot_us(&gcra, &fast, HOUR_US), HOUR_US + 1000);

    gcra_change(&gcra, &none, HOUR_US);
    assert_int_equal(gcra_slot_us(&gcra, &none, HOUR_US), HOUR_US);
    gcra_change(&gcra, &hourly, HOUR_US);
    assert_int_equal(gcra_slot_us(&gcra, &hourly, HOUR_US), 2 * HOUR_US);
    /* A fraction that was another limit's counts as a whole microsecond. */
    const struct gcra seventh = {.next_us = HOUR_US + 100, .part = 6, .of = 7};
    assert_int_equal(gcra_slot_us(&seventh, &hourly, HOUR_US), HOUR_US + 101);
    /* The same limit again changes nothing. */
    struct gcra before = gcra;
    gcra_change(&gcra, &hourly, HOUR_US + 5);
    assert_memory_equal(&gcra, &before, sizeof(gcra));
}

/* gcra_room() is what taking each at its slot gives, and changes nothing. */
static void test_room(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < 20000; round++) {
        struct gcra_limit limit = random_limit(&rng);
        struct gcra gcra = {.next_us = 0};
        uint64_t now_us = SECOND_US;
        gcra_reset_empty(&gcra, &limit, now_us);
        for (uint64_t i = rng_below(&rng, 8); i > 0; i--) {
            now_us = later(&rng, &limit, now_us);
            if (gcra_slot_us(&gcra, &limit, now_us) <= now_us)
                gcra_take(&gcra, &limit, now_us);
        }
        now_us = later(&rng, &limit, now_us);
        uint64_t until_us = now_us + rng_below(&rng, 3 * limit.period_ms * 1000);
        size_t room = gcra_room(&gcra, &limit, now_us, until_us);
        size_t went = 0;
        while ((now_us = gcra_slot_us(&gcra, &limit, now_us)) <= until_us) {
            gcra_take(&gcra, &limit, now_us);
            went++;
        }
        assert_int_equal(room, went);
    }
}

/* One that goes before its slot is counted all the same. */
static void test_early(void **state)
{
    (void)state;
    const struct gcra_limit limit = {10, 1000, 1};
    struct gcra gcra = {.next_us = 0};
    for (int i = 0; i < 3; i++)
        gcra_take(&gcra, &limit, HOUR_US);
    assert_int_equal(gcra_slot_us(&gcra, &limit, HOUR_US), HOUR_US + 300000);
}

/* The largest limits the API takes, at a clock of a hundred years. */
static void test_extremes(void **state)
{
    (void)state;
    const uint64_t now_us = UINT64_C(100) * 366 * 24 * HOUR_US;
    const struct gcra_limit day = {1000000, 86400000, 1000000};
    struct gcra gcra = {.next_us = 0};
    assert_int_equal(gcra_room(&gcra, &day, now_us, now_us), 1000000);
    assert_int_equal(gcra_room(&gcra, &day, now_us, now_us + 24 * HOUR_US), 2000000);
    gcra_reset_empty(&gcra, &day, now_us);
    assert_int_equal(gcra_room(&gcra, &day, now_us, now_us + 24 * HOUR_US), 1000000);
    assert_int_equal(gcra_slot_us(&gcra, &day, now_us), now_us + 86400);

    const struct gcra_limit once = {1, 86400000, 1};
    gcra_reset_empty(&gcra, &once, now_us);
    assert_int_equal(gcra_slot_us(&gcra, &once, now_us), now_us + 24 * HOUR_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_no_drift),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_late_is_not_lost),
        cmocka_unit_test(test_pause_is_no_credit),
        cmocka_unit_test(test_all_schedules),
        cmocka_unit_test(test_random_schedules),
        cmocka_unit_test(test_death),
        cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_changed_limit),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
