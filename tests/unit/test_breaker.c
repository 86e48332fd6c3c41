/* test_breaker.c - the circuit breaker opens, probes and closes as its header says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/breaker.h"

/* A breaker with its rules and a source of jitter. */
struct rig {
    struct breaker breaker;
    struct breaker_rules rules;
    struct rng rng;
};

static struct rig rig_make(void)
{
    struct rig rig;
    breaker_init(&rig.breaker);
    breaker_rules_default(&rig.rules);
    rig.rules.consecutive = 20;
    rig.rules.minimum = 40;
    rig.rules.jitter = 0;
    rng_seed(&rig.rng, 1);
    return rig;
}

/* An attempt that begins and ends now. */
static enum breaker_change attempt(struct rig *rig, bool ok, uint64_t now_ms)
{
    assert_int_not_equal(breaker_may_send(&rig->breaker, now_ms), BREAKER_NO);
    uint32_t generation = breaker_started(&rig->breaker);
    return breaker_result(&rig->breaker, &rig->rules, generation, ok, now_ms, &rig->rng);
}

/* Failures until it opens, which must happen at the n-th. */
static void open_after(struct rig *rig, uint32_t failures, uint64_t now_ms)
{
    for (uint32_t i = 1; i < failures; i++)
        assert_int_equal(attempt(rig, false, now_ms), BREAKER_SAME);
    assert_int_equal(attempt(rig, false, now_ms), BREAKER_OPENED);
}

/* The defaults of the configuration. */
static void test_consecutive(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    /* A success begins the row anew. (The ratio is not reached: there are more successes.) */
    for (int i = 0; i < 30; i++)
        assert_int_equal(attempt(&rig, true, 1000), BREAKER_SAME);
    for (int i = 0; i < 19; i++)
        assert_int_equal(attempt(&rig, false, 1000), BREAKER_SAME);
    for (int i = 0; i < 30; i++)
        assert_int_equal(attempt(&rig, true, 1000), BREAKER_SAME);
    open_after(&rig, 20, 5000);
    assert_int_equal(rig.breaker.state, BREAKER_OPEN);
    assert_int_equal(rig.breaker.reason, BREAKER_CONSECUTIVE_FAILURES);
    assert_int_equal(rig.breaker.opened, 1);
    assert_int_equal(rig.breaker.opened_at_ms, 5000);
    assert_int_equal(rig.breaker.probe_at_ms, 7000);
    assert_int_equal(breaker_next_ms(&rig.breaker), 7000);
    assert_int_equal(breaker_may_send(&rig.breaker, 6999), BREAKER_NO);
    assert_int_equal(breaker_may_send(&rig.breaker, 7000), BREAKER_PROBE);
}

/* The ratio opens as soon as there are enough outcomes, with a failure and never with a success. */
static void test_ratio(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(attempt(&rig, false, 1000 + (uint64_t)i), BREAKER_SAME);
        assert_int_equal(attempt(&rig, true, 1000 + (uint64_t)i), BREAKER_SAME);
    }
    assert_int_equal(attempt(&rig, false, 2000), BREAKER_OPENED);
    assert_int_equal(rig.breaker.reason, BREAKER_FAILURE_RATIO);

    /* 19 of 40 and 20 of 41 are less than half, 21 of 42 are half. */
    rig = rig_make();
    for (int i = 0; i < 19; i++) {
        assert_int_equal(attempt(&rig, true, 1000), BREAKER_SAME);
        assert_int_equal(attempt(&rig, false, 1000), BREAKER_SAME);
    }
    assert_int_equal(attempt(&rig, true, 1000), BREAKER_SAME);
    assert_int_equal(attempt(&rig, true, 1000), BREAKER_SAME);
    assert_int_equal(attempt(&rig, false, 1000), BREAKER_SAME);
    assert_int_equal(attempt(&rig, false, 1000), BREAKER_OPENED);
}

/* What is older than the window does not count; what is younger than nine tenths of it does. */
static void test_window(void **state)
{
    (void)state;
    static const struct {
        uint64_t after_ms;
        enum breaker_change change;
    } cases[] = {{0, BREAKER_OPENED},     {30000, BREAKER_OPENED}, {53999, BREAKER_OPENED},
                 {60000, BREAKER_SAME},   {90000, BREAKER_SAME},   {3600000, BREAKER_SAME},
                 {86400000, BREAKER_SAME}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig rig = rig_make();
        rig.rules.consecutive = 0;
        for (int n = 0; n < 39; n++)
            assert_int_equal(attempt(&rig, false, 600000), BREAKER_SAME);
        if (attempt(&rig, false, 600000 + cases[i].after_ms) != cases[i].change)
            fail_msg("after %llu ms", (unsigned long long)cases[i].after_ms);
    }
}

/* Outcomes spread over the window leave it one bucket after the other. */
static void test_window_slides(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    rig.rules.consecutive = 0;
    rig.rules.minimum = 40;
    /* 3 failures in each tenth: never more than 30 in the window. */
    for (uint64_t now_ms = 600000; now_ms < 6000000; now_ms += 2000)
        assert_int_equal(attempt(&rig, false, now_ms), BREAKER_SAME);
    /* 5 in each: 40 are there in the eighth. */
    rig = rig_make();
    rig.rules.consecutive = 0;
    uint64_t now_ms = 600000;
    while (attempt(&rig, false, now_ms) == BREAKER_SAME)
        now_ms += 1200;
    assert_int_equal(now_ms, 600000 + 39 * 1200);
}

/* Millions of outcomes in one bucket: the counts stay in range, and the ratio right. */
static void test_many_outcomes(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(attempt(&rig, i % 10 >= 4, 1000), BREAKER_SAME);
    uint32_t more = 0;
    rig.rules.consecutive = 0;
    while (attempt(&rig, false, 1000) == BREAKER_SAME)
        more++;
    /* At 40 % failures of some 2^16 halved now and then, 20 % of those that are kept are missing.
     */
    assert_in_range(more, 32768 / 5 - 100, 65536 / 5 + 100);
}

/* Rules that are off do not open; disabled, nothing does. */
static void test_off(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    rig.rules.enabled = false;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(attempt(&rig, false, 1000), BREAKER_SAME);
    rig = rig_make();
    rig.rules.consecutive = 0;
    rig.rules.ratio = 0;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(attempt(&rig, false, 1000), BREAKER_SAME);
    assert_int_equal(breaker_may_send(&rig.breaker, 1000), BREAKER_YES);
    assert_int_equal(breaker_next_ms(&rig.breaker), 0);
}

/* One probe, and until its result is there no other. It succeeds: everything is forgotten. */
static void test_probe_succeeds(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    open_after(&rig, 20, 1000);
    assert_int_equal(breaker_may_send(&rig.breaker, 3000), BREAKER_PROBE);
    uint32_t probe = breaker_started(&rig.breaker);
    assert_int_equal(rig.breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_may_send(&rig.breaker, 999999), BREAKER_NO);
    assert_true(breaker_next_ms(&rig.breaker) == UINT64_MAX);
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, probe, true, 9000, &rig.rng),
                     BREAKER_CLOSED_AGAIN);
    assert_int_equal(rig.breaker.state, BREAKER_CLOSED);
    assert_int_equal(rig.breaker.reason, BREAKER_NO_REASON);
    assert_int_equal(rig.breaker.opened, 0);
    assert_int_equal(breaker_may_send(&rig.breaker, 9000), BREAKER_YES);
    open_after(&rig, 20, 9000);
    assert_int_equal(rig.breaker.probe_at_ms, 11000);
}

/* Each failed probe doubles the time, up to the maximum; since when it is open stays. */
static void test_probe_fails(void **state)
{
    (void)state;
    static const uint64_t open_ms[] = {4000,   8000,   16000,  32000, 64000,
                                       128000, 256000, 300000, 300000};
    struct rig rig = rig_make();
    open_after(&rig, 20, 1000);
    for (size_t i = 0; i < sizeof(open_ms) / sizeof(open_ms[0]); i++) {
        uint64_t now_ms = rig.breaker.probe_at_ms + 7;
        assert_int_equal(attempt(&rig, false, now_ms), BREAKER_REOPENED);
        assert_int_equal(rig.breaker.probe_at_ms - now_ms, open_ms[i]);
        assert_int_equal(rig.breaker.reason, BREAKER_PROBE_FAILED);
        assert_int_equal(rig.breaker.opened, i + 2);
        assert_int_equal(rig.breaker.opened_at_ms, 1000);
    }
    /* After a success it begins with the shortest again. */
    uint64_t now_ms = rig.breaker.probe_at_ms;
    assert_int_equal(attempt(&rig, true, now_ms), BREAKER_CLOSED_AGAIN);
    open_after(&rig, 20, now_ms);
    assert_int_equal(rig.breaker.probe_at_ms - now_ms, 2000);
}

/* Jitter: within its bounds, reaching both, and never beyond the maximum. */
static void test_jitter(void **state)
{
    (void)state;
    static const struct {
        uint16_t opened; /* before this time */
        uint64_t least_ms, most_ms;
    } cases[] = {{0, 1600, 2400}, {1, 3200, 4800}, {20, 200000, 300000}, {60000, 200000, 300000}};
    struct rig rig = rig_make();
    rig.rules.jitter = 0.2;
    rig.rules.consecutive = 1;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        uint64_t shortest = UINT64_MAX, longest = 0;
        for (int i = 0; i < 20000; i++) {
            breaker_init(&rig.breaker);
            if (cases[c].opened > 0)
                breaker_restore_open(&rig.breaker, BREAKER_PROBE_FAILED, cases[c].opened, 0, 0);
            (void)attempt(&rig, false, 1000);
            uint64_t open_ms = rig.breaker.probe_at_ms - 1000;
            shortest = open_ms < shortest ? open_ms : shortest;
            longest = open_ms > longest ? open_ms : longest;
        }
        uint64_t near_ms = (cases[c].most_ms - cases[c].least_ms) / 100;
        assert_in_range(shortest, cases[c].least_ms - 1, cases[c].least_ms + near_ms);
        assert_in_range(longest, cases[c].most_ms - near_ms, cases[c].most_ms);
    }
}

/* What began before it opened says nothing, whether it ends while it is open, probing or closed
 * again; and a lost probe's result neither. */
static void test_generations(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    uint32_t old = breaker_started(&rig.breaker);
    open_after(&rig, 20, 1000);
    struct breaker before = rig.breaker;
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, old, true, 1500, &rig.rng),
                     BREAKER_SAME);
    assert_memory_equal(&rig.breaker, &before, sizeof(before));

    uint32_t probe = breaker_started(&rig.breaker);
    before = rig.breaker;
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, old, true, 4000, &rig.rng),
                     BREAKER_SAME);
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, old, false, 4000, &rig.rng),
                     BREAKER_SAME);
    assert_false(breaker_lost(&rig.breaker, old));
    assert_memory_equal(&rig.breaker, &before, sizeof(before));

    assert_true(breaker_lost(&rig.breaker, probe));
    assert_int_equal(breaker_may_send(&rig.breaker, 4000), BREAKER_PROBE);
    assert_int_equal(rig.breaker.opened, 1);
    uint32_t second = breaker_started(&rig.breaker);
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, probe, true, 4100, &rig.rng),
                     BREAKER_SAME);
    assert_int_equal(rig.breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, second, true, 4200, &rig.rng),
                     BREAKER_CLOSED_AGAIN);

    before = rig.breaker;
    for (int i = 0; i < 100; i++)
        assert_int_equal(breaker_result(&rig.breaker, &rig.rules, old, false, 5000, &rig.rng),
                         BREAKER_SAME);
    assert_memory_equal(&rig.breaker, &before, sizeof(before));
}

/* An attempt that is lost while it is closed is no result. */
static void test_lost_while_closed(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    for (int i = 0; i < 100; i++)
        assert_false(breaker_lost(&rig.breaker, breaker_started(&rig.breaker)));
    assert_int_equal(rig.breaker.state, BREAKER_CLOSED);
    open_after(&rig, 20, 1000);
}

/* Closed by hand: open or not, attempts under way say nothing any more, and the row begins anew. */
static void test_close(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    for (int i = 0; i < 19; i++)
        (void)attempt(&rig, false, 1000);
    uint32_t old = breaker_started(&rig.breaker);
    breaker_close(&rig.breaker);
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, old, false, 1000, &rig.rng),
                     BREAKER_SAME);
    open_after(&rig, 20, 1000);
    uint32_t probe = breaker_started(&rig.breaker);
    breaker_close(&rig.breaker);
    assert_int_equal(breaker_may_send(&rig.breaker, 1000), BREAKER_YES);
    assert_int_equal(breaker_result(&rig.breaker, &rig.rules, probe, false, 1000, &rig.rng),
                     BREAKER_SAME);
    assert_int_equal(rig.breaker.state, BREAKER_CLOSED);
}

/* As it was stored; the next failed probe goes on with the count. */
static void test_restore(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    breaker_restore_open(&rig.breaker, BREAKER_FAILURE_RATIO, 3, 500, 2000);
    assert_int_equal(rig.breaker.state, BREAKER_OPEN);
    assert_int_equal(rig.breaker.reason, BREAKER_FAILURE_RATIO);
    assert_int_equal(rig.breaker.opened_at_ms, 500);
    assert_int_equal(breaker_may_send(&rig.breaker, 1999), BREAKER_NO);
    assert_int_equal(attempt(&rig, false, 2000), BREAKER_REOPENED);
    assert_int_equal(rig.breaker.probe_at_ms, 2000 + 16000);
    assert_int_equal(rig.breaker.opened_at_ms, 500);
    /* With the breaker switched off meanwhile, the probe still closes it. */
    rig.rules.enabled = false;
    assert_int_equal(attempt(&rig, true, 20000), BREAKER_CLOSED_AGAIN);
}

/* The figure: dead for 60 s under load, fewer than 100 attempts reach it. */
static void test_dead_minute(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct rig rig = rig_make();
        rig.rules.jitter = 0.2;
        rng_seed(&rig.rng, seed);
        uint32_t attempts = 0;
        for (uint64_t now_ms = 1000; now_ms < 61000; now_ms += 2) {
            if (breaker_may_send(&rig.breaker, now_ms) != BREAKER_NO) {
                attempts++;
                (void)attempt(&rig, false, now_ms);
            }
        }
        assert_in_range(attempts, 20 + 4, 20 + 6);
    }
}

/* Random attempts that overlap, end in any order or get lost: never more than one probe at once,
 * nothing goes while it is open, and it is never stuck. */
static void test_random(void **state)
{
    (void)state;
    enum { UNDER_WAY = 8 };
    struct rig rig = rig_make();
    rig.rules.jitter = 0.2;
    rig.rules.consecutive = 5;
    rig.rules.open_max_ms = 4000;
    uint32_t generations[UNDER_WAY];
    bool is_probe[UNDER_WAY];
    size_t count = 0, changes = 0;
    uint64_t now_ms = 1000;
    for (int step = 0; step < 300000; step++) {
        now_ms += rng_below(&rig.rng, 50);
        enum breaker_answer answer = breaker_may_send(&rig.breaker, now_ms);
        if (answer == BREAKER_NO)
            assert_true(breaker_next_ms(&rig.breaker) > now_ms);
        else
            assert_true(breaker_next_ms(&rig.breaker) <= now_ms);
        if (answer != BREAKER_NO && count < UNDER_WAY && rng_below(&rig.rng, 2) == 0) {
            is_probe[count] = answer == BREAKER_PROBE;
            generations[count++] = breaker_started(&rig.breaker);
        } else if (count > 0) {
            size_t i = rng_below(&rig.rng, count);
            bool lost = rng_below(&rig.rng, 10) == 0;
            bool ok = rng_below(&rig.rng, 3) == 0;
            if (lost)
                (void)breaker_lost(&rig.breaker, generations[i]);
            else
                changes += breaker_result(&rig.breaker, &rig.rules, generations[i], ok, now_ms,
                                          &rig.rng) != BREAKER_SAME;
            is_probe[i] = is_probe[--count];
            generations[i] = generations[count];
        }
        size_t probes = 0;
        for (size_t i = 0; i < count; i++)
            probes += is_probe[i] && generations[i] == rig.breaker.generation;
        if (rig.breaker.state == BREAKER_HALF_OPEN)
            assert_int_equal(probes, 1);
        if (rig.breaker.state == BREAKER_OPEN)
            assert_int_equal(probes, 0);
    }
    assert_true(changes > 500);
}

/* Names are for the API and the log. */
static void test_names(void **state)
{
    (void)state;
    assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
    assert_string_equal(breaker_state_name(BREAKER_OPEN), "open");
    assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
    assert_string_equal(breaker_reason_name(BREAKER_NO_REASON), "");
    assert_string_equal(breaker_reason_name(BREAKER_CONSECUTIVE_FAILURES), "consecutive_failures");
    assert_string_equal(breaker_reason_name(BREAKER_FAILURE_RATIO), "failure_ratio");
    assert_string_equal(breaker_reason_name(BREAKER_PROBE_FAILED), "probe_failed");
}

/* To another process, `age_ms` later there, whose clock shows `there_ms` then. */
static struct rig handed_over(const struct rig *rig, uint64_t now_ms, uint64_t age_ms,
                              uint64_t there_ms)
{
    struct breaker_memory memory;
    struct rig other = rig_make();
    other.rules = rig->rules;
    attempt(&other, true, 1); /* it had it before, and knew other things */
    if (!breaker_export(&rig->breaker, &rig->rules, now_ms, &memory))
        memory = (struct breaker_memory){.open = false};
    if (memory.open) {
        memory.opened_at_ms += there_ms - (now_ms + age_ms);
        memory.probe_at_ms += there_ms - (now_ms + age_ms);
    }
    breaker_import(&other.breaker, &other.rules, &memory, age_ms, there_ms);
    return other;
}

/* A closed breaker keeps its window and its failures in a row: the next failures open it where it
 * would have opened, and what has become too old on the way does not count. */
static void test_closed_is_handed_over(void **state)
{
    (void)state;
    struct breaker_memory memory;
    struct rig rig = rig_make();
    assert_false(breaker_export(&rig.breaker, &rig.rules, 600000, &memory));
    for (int i = 0; i < 19; i++)
        assert_int_equal(attempt(&rig, false, 600000), BREAKER_SAME);
    struct rig other = handed_over(&rig, 601000, 500, 77);
    assert_int_equal(attempt(&other, false, 100), BREAKER_OPENED);
    assert_int_equal(other.breaker.reason, BREAKER_CONSECUTIVE_FAILURES);

    rig.rules.consecutive = 0;
    for (int i = 0; i < 20; i++)
        assert_int_equal(attempt(&rig, false, 612000), BREAKER_SAME);
    other = handed_over(&rig, 613000, 0, 50000);
    assert_int_equal(attempt(&other, false, 50000), BREAKER_OPENED); /* 39 before it */
    assert_int_equal(other.breaker.reason, BREAKER_FAILURE_RATIO);
    other = handed_over(&rig, 613000, 40000, 50000);
    assert_int_equal(attempt(&other, false, 50000), BREAKER_OPENED);
    other = handed_over(&rig, 613000, 54000, 80000); /* the first 19 are too old */
    assert_int_equal(attempt(&other, false, 80000), BREAKER_SAME);
    other = handed_over(&rig, 613000, UINT64_MAX / 2, UINT64_MAX / 2 + 700000);
    assert_int_equal(attempt(&other, false, UINT64_MAX / 2 + 700000), BREAKER_SAME);
    /* It ages on where it is now. */
    other = handed_over(&rig, 613000, 0, 50000);
    assert_int_equal(attempt(&other, false, 50000 + 60000), BREAKER_SAME);
    /* A window of another length cannot be read. */
    rig.rules.window_ms = 30000;
    assert_true(breaker_export(&rig.breaker, &rig.rules, 613000, &memory));
    other = rig_make();
    other.rules.consecutive = 0;
    breaker_import(&other.breaker, &other.rules, &memory, 0, 50000);
    assert_int_equal(attempt(&other, false, 50000), BREAKER_SAME);
}

/* After a silence there is nothing to tell but a row of failures. */
static void test_old_window_is_at_rest(void **state)
{
    (void)state;
    struct breaker_memory memory;
    struct rig rig = rig_make();
    assert_int_equal(attempt(&rig, true, 1000), BREAKER_SAME);
    assert_true(breaker_export(&rig.breaker, &rig.rules, 50000, &memory));
    assert_false(breaker_export(&rig.breaker, &rig.rules, 70000, &memory));
    assert_int_equal(attempt(&rig, false, 71000), BREAKER_SAME);
    assert_true(breaker_export(&rig.breaker, &rig.rules, 200000, &memory));
    assert_int_equal(memory.in_a_row, 1);
}

/* An open one stays open until its probe's time, for whom the time that it stays open grows on. */
static void test_open_is_handed_over(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    open_after(&rig, 20, 5000); /* until 7000 */
    assert_int_equal(breaker_may_send(&rig.breaker, 7000), BREAKER_PROBE);
    assert_int_equal(attempt(&rig, false, 7000), BREAKER_REOPENED); /* until 11000 */
    struct rig other = handed_over(&rig, 8000, 1000, 100000);
    assert_int_equal(other.breaker.state, BREAKER_OPEN);
    assert_int_equal(other.breaker.reason, BREAKER_PROBE_FAILED);
    assert_int_equal(breaker_may_send(&other.breaker, 101999), BREAKER_NO);
    assert_int_equal(breaker_may_send(&other.breaker, 102000), BREAKER_PROBE);
    assert_int_equal(attempt(&other, false, 102000), BREAKER_REOPENED);
    assert_int_equal(other.breaker.opened, 3);
    assert_int_equal(other.breaker.probe_at_ms, 102000 + 8000);
}

/* The probe is under way at the old owner: the new one sends one itself, at once since its time has
 * come, and only one; what the first would say changes nothing there. */
static void test_probe_is_handed_over(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    open_after(&rig, 20, 5000);
    uint32_t generation = breaker_started(&rig.breaker);
    assert_int_equal(rig.breaker.state, BREAKER_HALF_OPEN);
    struct rig other = handed_over(&rig, 7500, 100, 20000);
    assert_int_equal(other.breaker.state, BREAKER_OPEN);
    assert_int_equal(other.breaker.probe_at_ms, 20000 - 600);
    assert_int_equal(breaker_may_send(&other.breaker, 20000), BREAKER_PROBE);
    uint32_t mine = breaker_started(&other.breaker);
    assert_int_equal(breaker_may_send(&other.breaker, 20001), BREAKER_NO);
    assert_int_equal(
        breaker_result(&other.breaker, &other.rules, generation, true, 20002, &other.rng),
        BREAKER_SAME);
    assert_int_equal(breaker_result(&other.breaker, &other.rules, mine, true, 20003, &other.rng),
                     BREAKER_CLOSED_AGAIN);
}

/* The rules of the new owner hold: no probe waits longer than they say, and without breakers there
 * is none. */
static void test_other_rules_there(void **state)
{
    (void)state;
    struct rig rig = rig_make();
    open_after(&rig, 20, 5000);
    rig.breaker.probe_at_ms = 900000;
    rig.rules.open_max_ms = 1500;
    struct rig other = handed_over(&rig, 6000, 0, 6000);
    assert_int_equal(other.breaker.probe_at_ms, 7500);
    rig.rules.enabled = false;
    other = handed_over(&rig, 6000, 0, 6000);
    assert_int_equal(other.breaker.state, BREAKER_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consecutive),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_window_slides),
        cmocka_unit_test(test_many_outcomes),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_probe_succeeds),
        cmocka_unit_test(test_probe_fails),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_generations),
        cmocka_unit_test(test_lost_while_closed),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_dead_minute),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_closed_is_handed_over),
        cmocka_unit_test(test_old_window_is_at_rest),
        cmocka_unit_test(test_open_is_handed_over),
        cmocka_unit_test(test_probe_is_handed_over),
        cmocka_unit_test(test_other_rules_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
