/* test_allowance.c - an endpoint's allowance grows, shrinks and holds as its header says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/rng.h"
#include "core/allowance.h"

enum { MS = 1000 }; /* in microseconds */

static struct allowance fresh(void)
{
    struct allowance allowance;
    allowance_init(&allowance, true, ALLOWANCE_INITIAL, ALLOWANCE_MINIMUM);
    return allowance;
}

/* As many answers as there is allowance, all at `now_ms`; every `bad_each`-th is bad (0: none). */
static void full_round(struct allowance *allowance, uint64_t latency_ms, uint32_t bad_each,
                       uint64_t now_ms)
{
    uint32_t count = allowance_limit(allowance);
    for (uint32_t i = 0; i < count; i++) {
        bool ok = bad_each == 0 || i % bad_each != 0;
        allowance_answered(allowance, ok, latency_ms * MS, count, now_ms);
    }
}

/* One that has grown to 256 with answers of `latency_ms`, at the beginning of a round. *now_ms
 * moves on. */
static struct allowance grown(uint64_t latency_ms, uint64_t *now_ms)
{
    struct allowance allowance = fresh();
    while (allowance_limit(&allowance) < 256) {
        *now_ms += latency_ms + 1;
        full_round(&allowance, latency_ms, 0, *now_ms);
    }
    allowance.seen = allowance.bad = 0;
    allowance.limit = 256;
    return allowance;
}

/* ---- A receiver in numbers ------------------------------------------------------------------ */

/* Attempts begin as the allowance and `most` let them and end after `latency_ms`, when every
 * `bad_each`-th fails. There is always more to send. A tick each second tells what hangs. */
enum { PLACES = 1024 };

struct receiver {
    struct allowance allowance;
    uint64_t now_ms;
    uint32_t most;
    uint32_t in_flight, peak;
    uint64_t answered;
    struct {
        uint64_t began_ms, ends_ms;
        bool busy;
    } attempts[PLACES];
};

static struct receiver *receiver_new(uint32_t most)
{
    struct receiver *receiver = calloc(1, sizeof(*receiver));
    assert_non_null(receiver);
    receiver->allowance = fresh();
    receiver->now_ms = 1000000;
    receiver->most = most;
    return receiver;
}

static void receiver_begin(struct receiver *receiver, uint64_t latency_ms)
{
    uint32_t limit = allowance_limit(&receiver->allowance);
    limit = limit < receiver->most ? limit : receiver->most;
    for (size_t i = 0; i < PLACES && receiver->in_flight < limit; i++) {
        if (receiver->attempts[i].busy)
            continue;
        receiver->attempts[i].busy = true;
        receiver->attempts[i].began_ms = receiver->now_ms;
        receiver->attempts[i].ends_ms = receiver->now_ms + latency_ms;
        receiver->in_flight++;
    }
}

static void receiver_run(struct receiver *receiver, uint64_t for_ms, uint64_t latency_ms,
                         uint32_t bad_each)
{
    receiver->peak = 0;
    for (uint64_t end_ms = receiver->now_ms + for_ms; receiver->now_ms < end_ms;
         receiver->now_ms++) {
        for (size_t i = 0; i < PLACES; i++) {
            if (!receiver->attempts[i].busy || receiver->attempts[i].ends_ms > receiver->now_ms)
                continue;
            bool ok = bad_each == 0 || receiver->answered % bad_each != 0;
            uint64_t took_ms = receiver->now_ms - receiver->attempts[i].began_ms;
            allowance_answered(&receiver->allowance, ok, took_ms * MS, receiver->in_flight,
                               receiver->now_ms);
            receiver->attempts[i].busy = false;
            receiver->in_flight--;
            receiver->answered++;
        }
        for (size_t i = 0; i < PLACES && receiver->now_ms % 1000 == 0; i++) {
            uint64_t age_ms = receiver->now_ms - receiver->attempts[i].began_ms;
            if (receiver->attempts[i].busy && age_ms > 1000)
                allowance_hanging(&receiver->allowance, age_ms * MS, receiver->now_ms);
        }
        receiver_begin(receiver, latency_ms);
        receiver->peak =
            receiver->in_flight > receiver->peak ? receiver->in_flight : receiver->peak;
    }
}

/* ---- Growth --------------------------------------------------------------------------------- */

/* Slow start: each answer gives one more, 256 within a few hundred answers; then one a round. */
static void test_growth(void **state)
{
    (void)state;
    struct allowance allowance = fresh();
    assert_int_equal(allowance_limit(&allowance), 8);
    for (uint32_t i = 1; i <= 248; i++) {
        allowance_answered(&allowance, true, 20 * MS, allowance_limit(&allowance), 1000 + i);
        assert_int_equal(allowance_limit(&allowance), 8 + i);
    }
    for (uint32_t round = 1; round <= 20; round++) {
        full_round(&allowance, 20, 0, 2000 + 20 * round);
        assert_in_range(allowance_limit(&allowance), 256 + round - 1, 256 + round);
    }
}

/* Answers that are all seen in one turn of the loop, so that fewer and fewer are under way, slow
 * it down but do not stop it. */
static void test_growth_in_turns(void **state)
{
    (void)state;
    struct allowance allowance = fresh();
    uint32_t answers = 0;
    for (uint64_t now_ms = 1000; allowance_limit(&allowance) < 256; now_ms += 20)
        for (uint32_t i = allowance_limit(&allowance); i > 0; i--, answers++)
            allowance_answered(&allowance, true, 20 * MS, i, now_ms);
    assert_in_range(answers, 248, 900);
}

/* An allowance that is not used does not grow. */
static void test_unused(void **state)
{
    (void)state;
    struct allowance allowance = fresh();
    for (uint64_t i = 0; i < 10000; i++)
        allowance_answered(&allowance, true, 5 * MS, 3, 1000 + i);
    assert_int_equal(allowance_limit(&allowance), 8);
}

/* A busy machine: 256 under way at 20 ms, now and then 400 ms. It keeps its 256 and more. */
static void test_busy_machine(void **state)
{
    (void)state;
    struct receiver *receiver = receiver_new(256);
    receiver_run(receiver, 5000, 17, 0);
    assert_int_equal(receiver->in_flight, 256);
    for (int i = 0; i < 20; i++) {
        receiver_run(receiver, 400, 400, 0);
        receiver_run(receiver, 1000, 17, 0);
        assert_true(allowance_limit(&receiver->allowance) >= 256);
    }
    free(receiver);
}

/* ---- Cuts ----------------------------------------------------------------------------------- */

/* At the end of a round, by half of the bad share; 1 in 8 is no trouble. */
static void test_cut_by_share(void **state)
{
    (void)state;
    static const struct {
        uint32_t bad_each;
        uint32_t low, high;
    } cases[] = {
        {1, 126, 130},  /* all: a half */
        {2, 190, 194},  /* half: a quarter */
        {4, 222, 226},  /* a quarter: an eighth */
        {7, 235, 240},  /* a seventh: a fourteenth */
        {9, 256, 260},  /* stray */
        {100, 256, 260} /* stray */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t now_ms = 1000;
        struct allowance allowance = grown(20, &now_ms);
        now_ms += 20;
        full_round(&allowance, 20, cases[i].bad_each, now_ms);
        uint32_t limit = allowance_limit(&allowance);
        if (limit < cases[i].low || limit > cases[i].high)
            fail_msg("every %u-th bad: %u", cases[i].bad_each, limit);
    }
}

/* All that is under way fails at once: that is one cut. What began after it cuts again. */
static void test_burst_cuts_once(void **state)
{
    (void)state;
    uint64_t now_ms = 1000;
    struct allowance allowance = grown(20, &now_ms);
    now_ms += 20;
    for (int i = 0; i < 1000; i++)
        allowance_answered(&allowance, false, 20 * MS, 256, now_ms);
    assert_in_range(allowance_limit(&allowance), 128, 135);
    for (int i = 0; i < 1000; i++)
        allowance_answered(&allowance, false, 20 * MS, 128, now_ms + 10);
    assert_in_range(allowance_limit(&allowance), 128, 135);
    for (int i = 0; i < 1000; i++)
        allowance_answered(&allowance, false, 20 * MS, 128, now_ms + 25);
    assert_in_range(allowance_limit(&allowance), 64, 68);
}

/* Nothing but failures ends at the minimum, and never below it. */
static void test_minimum(void **state)
{
    (void)state;
    for (uint16_t minimum = 1; minimum <= 4; minimum++) {
        struct allowance allowance;
        allowance_init(&allowance, true, 8, minimum);
        for (uint64_t now_ms = 1000; now_ms < 100000; now_ms += 30) {
            allowance_answered(&allowance, false, 20 * MS, 8, now_ms);
            assert_true(allowance_limit(&allowance) >= minimum);
        }
        assert_int_equal(allowance_limit(&allowance), minimum);
    }
}

/* Slow is what takes three times the usual and more than 500 ms. */
static void test_slow(void **state)
{
    (void)state;
    static const struct {
        uint64_t usual_ms, latency_ms;
        bool slow;
    } cases[] = {{20, 60, false},   {20, 500, false}, {20, 501, true},     {160, 500, false},
                 {200, 599, false}, {200, 620, true}, {2000, 5900, false}, {2000, 7000, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t now_ms = 100000;
        struct allowance allowance = grown(cases[i].usual_ms, &now_ms);
        uint32_t before = allowance_limit(&allowance);
        now_ms += cases[i].latency_ms;
        full_round(&allowance, cases[i].latency_ms, 0, now_ms);
        bool cut = allowance_limit(&allowance) < before;
        if (cut != cases[i].slow)
            fail_msg("%llu ms after %llu ms", (unsigned long long)cases[i].latency_ms,
                     (unsigned long long)cases[i].usual_ms);
    }
}

/* Stray failures do no harm: 5 % of them, and the allowance goes on growing. */
static void test_stray_failures(void **state)
{
    (void)state;
    struct receiver *receiver = receiver_new(PLACES);
    receiver_run(receiver, 5000, 100, 0);
    uint32_t before = allowance_limit(&receiver->allowance);
    receiver_run(receiver, 10000, 100, 20);
    assert_true(allowance_limit(&receiver->allowance) > before);
    free(receiver);
}

/* A tenth of failures may cost by chance, but leaves much; half of them goes to the minimum. */
static void test_steady_failures(void **state)
{
    (void)state;
    struct receiver *receiver = receiver_new(PLACES);
    receiver_run(receiver, 20000, 20, 10);
    assert_in_range(allowance_limit(&receiver->allowance), 40, 2 * PLACES);
    receiver_run(receiver, 20000, 20, 2);
    assert_in_range(allowance_limit(&receiver->allowance), 2, 8);
    free(receiver);
}

/* Few answers make rounds too, of a second each. */
static void test_few_answers(void **state)
{
    (void)state;
    struct allowance allowance = fresh();
    for (uint64_t i = 1; i <= 10; i++)
        allowance_answered(&allowance, false, 20 * MS, 1, i * 5000);
    assert_int_equal(allowance_limit(&allowance), 2);
}

/* ---- What is usual -------------------------------------------------------------------------- */

/* Is an answer of that latency slow for it? */
static bool is_cut_by(struct allowance allowance, uint64_t latency_ms, uint64_t now_ms)
{
    float before = allowance.limit;
    full_round(&allowance, latency_ms, 0, now_ms + latency_ms);
    return allowance.limit < before;
}

/* The first answer is usual by definition. */
static void test_first_answer(void **state)
{
    (void)state;
    struct allowance allowance = fresh();
    for (uint64_t now_ms = 10000; now_ms < 60000; now_ms += 2000) {
        allowance_answered(&allowance, true, 2000 * MS, 1, now_ms);
        assert_int_equal(allowance_limit(&allowance), 8);
    }
}

/* Failures teach nothing: an hour of timeouts does not make ten seconds usual, nor an hour of
 * refused connections no time at all. */
static void test_failures_teach_nothing(void **state)
{
    (void)state;
    static const struct {
        uint64_t usual_ms, failing_ms;
        bool slow; /* 2 s, afterwards */
    } cases[] = {{20, 10000, true}, {1500, 0, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t now_ms = 100000;
        struct allowance allowance = grown(cases[i].usual_ms, &now_ms);
        for (uint64_t end_ms = now_ms + 3600000; now_ms < end_ms; now_ms += 1000)
            allowance_answered(&allowance, false, cases[i].failing_ms * MS, 2, now_ms);
        allowance.limit = 256;
        assert_int_equal(is_cut_by(allowance, 2000, now_ms), cases[i].slow);
    }
}

/* A single answer after a long pause is not all there is to know. */
static void test_outlier_after_pause(void **state)
{
    (void)state;
    uint64_t now_ms = 100000;
    struct allowance allowance = grown(20, &now_ms);
    now_ms += 3600000;
    allowance_answered(&allowance, true, 10000 * MS, 1, now_ms);
    assert_true(is_cut_by(allowance, 5000, now_ms));
}

/* ---- Hanging -------------------------------------------------------------------------------- */

/* An endpoint that hangs from the first attempt holds its first eight until their timeout, and a
 * handful from then on. */
static void test_hangs_from_the_start(void **state)
{
    (void)state;
    struct receiver *receiver = receiver_new(256);
    receiver_run(receiver, 15000, 15000, 1);
    assert_int_equal(receiver->peak, 8);
    receiver_run(receiver, 60000, 15000, 1);
    assert_in_range(allowance_limit(&receiver->allowance), 2, 2);
    assert_in_range(receiver->in_flight, 1, 2);
    free(receiver);
}

/* One that was fast and hangs: what is under way stays until its timeout, and when that is over
 * the allowance has long come down. After it recovers, half comes back within seconds. */
static void test_hangs_and_recovers(void **state)
{
    (void)state;
    struct receiver *receiver = receiver_new(256);
    receiver_run(receiver, 5000, 20, 0);
    assert_int_equal(receiver->in_flight, 256);
    receiver_run(receiver, 16000, 15000, 1);
    assert_in_range(allowance_limit(&receiver->allowance), 2, 2);
    assert_in_range(receiver->in_flight, 1, 2);
    receiver_run(receiver, 16000, 20, 0); /* includes the last ones' timeout */
    assert_true(allowance_limit(&receiver->allowance) >= 128);
    free(receiver);
}

/* Many that hang are told in one tick: that is one cut, and the next half a second later at the
 * earliest. */
static void test_one_cut_a_tick(void **state)
{
    (void)state;
    uint64_t now_ms = 1000;
    struct allowance allowance = grown(20, &now_ms);
    static const struct {
        uint64_t after_ms;
        uint32_t limit;
    } ticks[] = {{1000, 128}, {1499, 128}, {1500, 64}, {2500, 32}, {3500, 16}};
    for (size_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
        for (int attempt = 0; attempt < 256; attempt++)
            allowance_hanging(&allowance, (ticks[i].after_ms + 1) * MS, now_ms + ticks[i].after_ms);
        assert_int_equal(allowance_limit(&allowance), ticks[i].limit);
    }
}

/* Two seconds are nothing unusual for an endpoint that always takes two seconds. */
static void test_usually_slow(void **state)
{
    (void)state;
    struct receiver *receiver = receiver_new(256);
    receiver_run(receiver, 120000, 2000, 0);
    assert_true(allowance_limit(&receiver->allowance) >= 256);
    free(receiver);
}

/* One that becomes slower for good is held back for a while, then taken as it is. */
static void test_slower_for_good(void **state)
{
    (void)state;
    struct receiver *receiver = receiver_new(256);
    receiver_run(receiver, 10000, 20, 0);
    receiver_run(receiver, 20000, 3000, 0);
    assert_in_range(allowance_limit(&receiver->allowance), 2, 8);
    receiver_run(receiver, 600000, 3000, 0);
    assert_true(allowance_limit(&receiver->allowance) > 20);
    free(receiver);
}

/* One attempt that hangs among hundreds that do not changes nothing. */
static void test_one_hangs(void **state)
{
    (void)state;
    uint64_t now_ms = 1000;
    struct allowance allowance = grown(20, &now_ms);
    for (uint64_t second = 1; second <= 15; second++) {
        allowance_hanging(&allowance, second * 1000 * MS, now_ms + second * 1000);
        for (int i = 0; i < 20; i++)
            full_round(&allowance, 20, 0, now_ms + second * 1000 + 20 * (uint64_t)i);
        assert_true(allowance_limit(&allowance) >= 256);
    }
}

/* ---- Off ------------------------------------------------------------------------------------ */

/* Not enabled, it never limits. */
static void test_off(void **state)
{
    (void)state;
    struct allowance allowance;
    allowance_init(&allowance, false, 8, 2);
    for (uint64_t now_ms = 1000; now_ms < 2000; now_ms++) {
        allowance_answered(&allowance, false, 20 * MS, 8, now_ms);
        allowance_hanging(&allowance, 15000 * MS, now_ms);
        assert_true(allowance_limit(&allowance) == UINT32_MAX);
    }
}

/* Whatever is told, the allowance stays between the minimum and one more than twice what was ever
 * under way. */
static void test_random(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    for (int round = 0; round < 200; round++) {
        struct allowance allowance = fresh();
        uint64_t now_ms = rng_below(&rng, 2) ? 0 : 1000000;
        for (int i = 0; i < 2000; i++) {
            now_ms += rng_below(&rng, 3) ? 0 : rng_below(&rng, 2000);
            uint64_t took_us = rng_below(&rng, UINT64_C(1) << rng_below(&rng, 40));
            if (rng_below(&rng, 4) == 0)
                allowance_hanging(&allowance, took_us, now_ms);
            else
                allowance_answered(&allowance, rng_below(&rng, 3) > 0, took_us,
                                   1 + (uint32_t)rng_below(&rng, 300), now_ms);
            assert_in_range(allowance_limit(&allowance), 2, 601);
        }
    }
}

/* What was learnt goes on elsewhere, on another clock: the limit, where slow start ended, and what
 * is usual, so that an endpoint that has become slow is seen there by its first answers. */
static void test_handed_over(void **state)
{
    (void)state;
    struct allowance_memory memory;
    struct allowance first = fresh();
    assert_false(allowance_export(&first, ALLOWANCE_INITIAL, &memory));
    uint64_t now_ms = 100000;
    first = grown(40, &now_ms);
    assert_true(allowance_export(&first, ALLOWANCE_INITIAL, &memory));

    uint64_t there_ms = 5;
    struct allowance second = fresh();
    allowance_import(&second, &memory, there_ms);
    assert_int_equal(allowance_limit(&second), 256);
    full_round(&second, 2000, 0, there_ms + 2000);
    full_round(&second, 2000, 0, there_ms + 4100);
    assert_in_range(allowance_limit(&second), ALLOWANCE_MINIMUM, 200);
    assert_true(second.in_trouble);

    struct allowance off;
    allowance_init(&off, false, ALLOWANCE_INITIAL, ALLOWANCE_MINIMUM);
    allowance_import(&off, &memory, there_ms);
    assert_int_equal(allowance_limit(&off), UINT32_MAX);
    assert_false(allowance_export(&off, ALLOWANCE_INITIAL, &memory));
}

/* Numbers from nowhere become the nearest that make sense. */
static void test_absurd_memories(void **state)
{
    (void)state;
    static const struct {
        struct allowance_memory memory;
        uint32_t limit;
    } cases[] = {
        {{.limit = -1}, ALLOWANCE_MINIMUM},
        {{.limit = 0.5F}, ALLOWANCE_MINIMUM},
        {{.limit = __builtin_nanf(""), .threshold = __builtin_nanf("")}, ALLOWANCE_MINIMUM},
        {{.limit = __builtin_inff(), .usual_us = __builtin_inff()}, 1000000},
        {{.limit = 1e30F, .usual_us = -5}, 1000000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct allowance allowance = fresh();
        allowance_import(&allowance, &cases[i].memory, 1000);
        assert_int_equal(allowance_limit(&allowance), cases[i].limit);
        assert_true(allowance.usual_us >= 0 && allowance.threshold >= ALLOWANCE_MINIMUM);
        full_round(&allowance, 10, 2, 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_growth_in_turns),
        cmocka_unit_test(test_unused),
        cmocka_unit_test(test_busy_machine),
        cmocka_unit_test(test_cut_by_share),
        cmocka_unit_test(test_burst_cuts_once),
        cmocka_unit_test(test_minimum),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_stray_failures),
        cmocka_unit_test(test_steady_failures),
        cmocka_unit_test(test_few_answers),
        cmocka_unit_test(test_first_answer),
        cmocka_unit_test(test_failures_teach_nothing),
        cmocka_unit_test(test_outlier_after_pause),
        cmocka_unit_test(test_hangs_from_the_start),
        cmocka_unit_test(test_hangs_and_recovers),
        cmocka_unit_test(test_one_cut_a_tick),
        cmocka_unit_test(test_usually_slow),
        cmocka_unit_test(test_slower_for_good),
        cmocka_unit_test(test_one_hangs),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_absurd_memories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
