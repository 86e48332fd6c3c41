/* test_redis_clock.c - the estimate of Redis's clock against clocks that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/redis_clock.h"

/* Our clock began when Redis's showed this. */
#define AHEAD_MS INT64_C(1700000000000)

enum { WINDOW = REDIS_CLOCK_WINDOW_MS };

/* A reply that Redis wrote at `mono_ms`, when its clock was `AHEAD_MS + shift_ms`, to a question
 * sent `asked_ms` before, and that was read `slow_ms` later. */
static void answer(struct redis_clock *clock, uint64_t asked_ms, uint64_t mono_ms, int64_t shift_ms,
                   uint64_t slow_ms)
{
    redis_clock_saw(clock, AHEAD_MS + shift_ms + (int64_t)mono_ms, mono_ms - asked_ms,
                    mono_ms + slow_ms);
}

/* The same to a question of which nothing is known. */
static void reply(struct redis_clock *clock, uint64_t mono_ms, int64_t shift_ms, uint64_t slow_ms)
{
    redis_clock_saw(clock, AHEAD_MS + shift_ms + (int64_t)mono_ms, REDIS_CLOCK_NEVER,
                    mono_ms + slow_ms);
}

/* The later estimate less Redis's clock as it was at first. */
static int64_t latest_error_at(const struct redis_clock *clock, uint64_t mono_ms)
{
    return (int64_t)(redis_clock_latest(clock, mono_ms, 0) - mono_ms) - AHEAD_MS;
}

/* How far the estimate is from Redis's clock as it was at first. */
static int64_t error_at(const struct redis_clock *clock, uint64_t mono_ms)
{
    return (int64_t)(redis_clock_at(clock, mono_ms, 0) - mono_ms) - AHEAD_MS;
}

static void test_nothing_known(void **state)
{
    (void)state;
    struct redis_clock clock = {.known = false};
    assert_true(redis_clock_at(&clock, 5, 1234) == 1234);
    redis_clock_saw(&clock, 0, 5, 5);
    redis_clock_saw(&clock, -1, 5, 5);
    redis_clock_saw(&clock, INT64_MIN, 5, 5);
    assert_true(redis_clock_at(&clock, 5, 1234) == 1234);
    redis_clock_saw(&clock, 1, 5, 5);
    assert_true(redis_clock_at(&clock, 5, 1234) == 1);
    assert_true(redis_clock_at(&clock, 905, 1234) == 901);
}

/* The first reply gives a time, the quickest one the best; a slow one later changes nothing. */
static void test_quickest_reply_counts(void **state)
{
    (void)state;
    struct redis_clock clock = {.known = false};
    reply(&clock, 1000, 0, 300);
    assert_true(error_at(&clock, 1300) == -300);
    reply(&clock, 1400, 0, 20);
    assert_true(error_at(&clock, 1420) == -20);
    reply(&clock, 1500, 0, 5000);
    assert_true(error_at(&clock, 6500) == -20);
    reply(&clock, 6600, 0, 1);
    assert_true(error_at(&clock, 6601) == -1);
}

/* A window of slow replies only does not spoil what the one before knew; two of them do. */
static void test_one_slow_window_is_survived(void **state)
{
    (void)state;
    struct redis_clock clock = {.known = false};
    reply(&clock, 0, 0, 2);
    uint64_t at = 1000;
    for (; at < WINDOW + 2000; at += 500)
        reply(&clock, at, 0, 400);
    assert_true(error_at(&clock, at) == -2);
    for (; at < 3 * WINDOW; at += 500)
        reply(&clock, at, 0, 400);
    assert_true(error_at(&clock, at) == -400);
}

/* A clock set forward is followed at once, by any step. */
static void test_set_forward(void **state)
{
    (void)state;
    static const int64_t steps_ms[] = {1, 999, 3600 * 1000, INT64_C(400) * 24 * 3600 * 1000};
    for (size_t i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++) {
        struct redis_clock clock = {.known = false};
        reply(&clock, 1000, 0, 0);
        reply(&clock, 2000, steps_ms[i], 0);
        assert_true(error_at(&clock, 2000) == steps_ms[i]);
    }
}

/* A clock set back, at any place of a window, is followed after two windows at the latest, and the
 * time never falls below the new one. */
static void test_set_back(void **state)
{
    (void)state;
    const int64_t back_ms = -3600 * 1000;
    for (uint64_t set_at = 0; set_at < 3 * WINDOW; set_at += 700) {
        struct redis_clock clock = {.known = false};
        uint64_t at = 0;
        for (; at < set_at; at += 100)
            reply(&clock, at, 0, 0);
        uint64_t followed_at = 0;
        for (; at < set_at + 3 * WINDOW; at += 100) {
            reply(&clock, at, back_ms, 0);
            int64_t error = error_at(&clock, at);
            assert_true(error == 0 || error == back_ms);
            if (error == back_ms && !followed_at)
                followed_at = at;
            assert_true(!followed_at || error == back_ms); /* and it stays there */
        }
        assert_true(followed_at <= set_at + 2 * WINDOW + 200);
    }
}

/* What was known before a long silence (Redis away, this process stopped, the machine asleep) is
 * not held against a clock that is behind it afterwards. */
static void test_silence(void **state)
{
    (void)state;
    struct redis_clock clock = {.known = false};
    reply(&clock, 100, 0, 0);
    reply(&clock, 2 * WINDOW, 0, 50); /* not longer than what is remembered anyway */
    assert_true(error_at(&clock, 2 * WINDOW + 50) == 0);
    reply(&clock, 10 * WINDOW, -7000, 0);
    assert_true(error_at(&clock, 10 * WINDOW) == -7000);
}

/* Fail-over to a Redis ahead and back again. */
static void test_there_and_back(void **state)
{
    (void)state;
    struct redis_clock clock = {.known = false};
    reply(&clock, 0, 0, 1);
    reply(&clock, 100, 5000, 1);
    assert_true(error_at(&clock, 100) == 4999);
    for (uint64_t at = 200; at < 200 + 2 * WINDOW + 200; at += 100)
        reply(&clock, at, 0, 1);
    assert_true(error_at(&clock, 2 * WINDOW + 400) == -1);
}

/* Whatever the delays: the estimate is never ahead, and behind by no more than the quickest reply
 * of the last window; with our own clock drifting by 200 ppm it keeps up. */
static void test_any_delays(void **state)
{
    (void)state;
    struct rng rng;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rng_seed(&rng, seed);
        struct redis_clock clock = {.known = false};
        uint64_t mono_ms = 0;
        int64_t drift_ms = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t slow_ms = rng_below(&rng, 3) == 0 ? rng_below(&rng, 1000) : rng_below(&rng, 9);
            drift_ms = -(int64_t)(mono_ms / 5000); /* Redis's clock falls behind ours */
            reply(&clock, mono_ms, drift_ms, slow_ms);
            mono_ms += slow_ms + rng_below(&rng, 100);
            int64_t error = error_at(&clock, mono_ms) - drift_ms;
            assert_true(error <= 5 && (i < 50 || error >= -9));
        }
    }
}

/* Numbers that no clock shows do no harm. */
static void test_absurd_times(void **state)
{
    (void)state;
    struct redis_clock clock = {.known = false};
    redis_clock_saw(&clock, INT64_MAX, 0, 0);
    assert_true(redis_clock_at(&clock, 0, 0) == INT64_MAX);
    assert_true(redis_clock_at(&clock, UINT64_C(1) << 62, 0) > INT64_MAX);
    reply(&clock, 10 * WINDOW, 0, 0);
    assert_true(error_at(&clock, 10 * WINDOW) == 0);
}

/* The later estimate comes from the question that was on its way for the shortest time. */
static void test_latest(void **state)
{
    (void)state;
    struct redis_clock clock = {.known = false};
    assert_true(redis_clock_latest(&clock, 5, 1234) == 1234);
    reply(&clock, 1000, 0, 3);
    assert_true(latest_error_at(&clock, 1003) == -3); /* nothing better is known */
    answer(&clock, 40, 1100, 0, 7);
    assert_true(latest_error_at(&clock, 1107) == 40 + 1);
    answer(&clock, 2, 1200, 0, 500);
    assert_true(latest_error_at(&clock, 1700) == 2 + 1);
    assert_true(error_at(&clock, 1700) == -3);
    answer(&clock, 90, 1800, 0, 0);
    reply(&clock, 1900, 0, 0);
    assert_true(latest_error_at(&clock, 1900) == 2 + 1);
    /* Set forward by a second: at once; set back: at once too. */
    answer(&clock, 5, 2000, 1000, 5);
    assert_true(latest_error_at(&clock, 2005) == 1000 + 5 + 1);
    answer(&clock, 4, 2100, 0, 5);
    assert_true(latest_error_at(&clock, 2105) == 4 + 1);
}

/* Whatever the delays: the later estimate is never behind Redis, whose clock shows whole
 * milliseconds while time is finer, and ahead by no more than the quickest question of a window. */
static void test_latest_at_any_delays(void **state)
{
    (void)state;
    struct rng rng;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rng_seed(&rng, seed);
        struct redis_clock clock = {.known = false};
        uint64_t now_us = 1000000;
        const uint64_t ahead_us = (uint64_t)AHEAD_MS * 1000 + rng_below(&rng, 1000);
        for (int i = 0; i < 2000; i++) {
            uint64_t sent_us = now_us;
            now_us += rng_below(&rng, 3) == 0 ? rng_below(&rng, 500000) : rng_below(&rng, 5000);
            uint64_t redis_us = now_us + ahead_us;
            now_us += rng_below(&rng, 300000);
            redis_clock_saw(&clock, (int64_t)(redis_us / 1000), sent_us / 1000, now_us / 1000);
            now_us += rng_below(&rng, 50000);
            uint64_t latest_us = redis_clock_latest(&clock, now_us / 1000, 0) * 1000;
            /* The estimate is of the millisecond that our clock shows, which began up to 999 us
             * ago. */
            uint64_t true_us = now_us / 1000 * 1000 + ahead_us;
            assert_true(latest_us >= true_us);
            assert_true(i < 100 || latest_us <= true_us + 7000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_quickest_reply_counts),
        cmocka_unit_test(test_one_slow_window_is_survived),
        cmocka_unit_test(test_set_forward),
        cmocka_unit_test(test_set_back),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_any_delays),
        cmocka_unit_test(test_absurd_times),
        cmocka_unit_test(test_latest),
        cmocka_unit_test(test_latest_at_any_delays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
