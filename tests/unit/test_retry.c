/* test_retry.c - what happens after an attempt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/retry.h"

enum { AFTER_NONE = -1, AFTER_MAX = 3600000 };

static const struct retry_policy three_steps = {.step_count = 3,
                                                .steps_ms = {1000, 60000, 7200000}};

static struct retry_decision decide(const struct retry_policy *policy, uint32_t attempts,
                                    enum outbound_error error, int status_code,
                                    int64_t retry_after_ms)
{
    struct rng rng;
    rng_seed(&rng, 1);
    return retry_decide(policy, attempts, error, status_code, retry_after_ms, AFTER_MAX, &rng);
}

/* Each kind of result gets its verdict, and each attempt its step. */
static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        uint32_t attempts;
        enum outbound_error error;
        int status_code;
        int64_t retry_after_ms;
        enum retry_verdict verdict;
        uint64_t delay_ms;
    } cases[] = {
        {1, OUTBOUND_OK, 200, AFTER_NONE, RETRY_SUCCESS, 0},
        {4, OUTBOUND_OK, 299, AFTER_NONE, RETRY_SUCCESS, 0},
        {1, OUTBOUND_OK, 410, AFTER_NONE, RETRY_GONE, 0},
        {9, OUTBOUND_OK, 410, AFTER_NONE, RETRY_GONE, 0},
        {1, OUTBOUND_OK, 301, AFTER_NONE, RETRY_LATER, 1000},
        {1, OUTBOUND_OK, 404, AFTER_NONE, RETRY_LATER, 1000},
        {2, OUTBOUND_OK, 500, AFTER_NONE, RETRY_LATER, 60000},
        {3, OUTBOUND_TIMEOUT, 0, AFTER_NONE, RETRY_LATER, 7200000},
        {4, OUTBOUND_TIMEOUT, 0, AFTER_NONE, RETRY_EXHAUSTED, 0},
        {5, OUTBOUND_OK, 503, 5000, RETRY_EXHAUSTED, 0},
        /* A status that came with an error does not count. */
        {1, OUTBOUND_RESPONSE_TOO_LARGE, 200, AFTER_NONE, RETRY_LATER, 1000},
        {1, OUTBOUND_CONNECTION_RESET, 410, AFTER_NONE, RETRY_LATER, 1000},
        /* Retry-After: the longer counts, up to its maximum. */
        {1, OUTBOUND_OK, 503, 0, RETRY_LATER, 1000},
        {1, OUTBOUND_OK, 503, 999, RETRY_LATER, 1000},
        {1, OUTBOUND_OK, 503, 1001, RETRY_LATER, 1001},
        {1, OUTBOUND_OK, 429, INT64_MAX, RETRY_LATER, AFTER_MAX},
        {3, OUTBOUND_OK, 503, INT64_MAX, RETRY_LATER, 7200000},
        /* What no server should send. */
        {1, OUTBOUND_OK, 0, AFTER_NONE, RETRY_LATER, 1000},
        {1, OUTBOUND_OK, 999, AFTER_NONE, RETRY_LATER, 1000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct retry_decision got = decide(&three_steps, cases[i].attempts, cases[i].error,
                                           cases[i].status_code, cases[i].retry_after_ms);
        if (got.verdict != cases[i].verdict || got.delay_ms != cases[i].delay_ms)
            fail_msg("case %zu: %s after %llu ms", i, retry_verdict_name(got.verdict),
                     (unsigned long long)got.delay_ms);
    }
}

/* retryOn lets through what it names and nothing else; 2xx and 410 do not ask it. */
static void test_retry_on(void **state)
{
    (void)state;
    struct retry_policy policy = three_steps;
    policy.on = (struct retry_on){.given = true,
                                  .status_classes = 1 << 5,
                                  .errors = 1 << OUTBOUND_TIMEOUT | 1 << OUTBOUND_DNS,
                                  .statuses = {408, 429},
                                  .status_count = 2};
    static const struct {
        enum outbound_error error;
        int status_code;
        enum retry_verdict verdict;
    } cases[] = {
        {OUTBOUND_OK, 200, RETRY_SUCCESS},
        {OUTBOUND_OK, 410, RETRY_GONE},
        {OUTBOUND_OK, OUTBOUND_TAKEN, RETRY_SUCCESS},
        {OUTBOUND_STREAM_FULL, 0, RETRY_EXCLUDED},
        {OUTBOUND_OK, 500, RETRY_LATER},
        {OUTBOUND_OK, 599, RETRY_LATER},
        {OUTBOUND_OK, 408, RETRY_LATER},
        {OUTBOUND_OK, 429, RETRY_LATER},
        {OUTBOUND_OK, 404, RETRY_EXCLUDED},
        {OUTBOUND_OK, 301, RETRY_EXCLUDED},
        {OUTBOUND_OK, 0, RETRY_EXCLUDED},
        {OUTBOUND_OK, 999, RETRY_EXCLUDED},
        {OUTBOUND_TIMEOUT, 0, RETRY_LATER},
        {OUTBOUND_TIMEOUT, 404, RETRY_LATER},
        {OUTBOUND_DNS, 0, RETRY_LATER},
        {OUTBOUND_TLS, 0, RETRY_EXCLUDED},
        {OUTBOUND_TLS, 500, RETRY_EXCLUDED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct retry_decision got =
            decide(&policy, 1, cases[i].error, cases[i].status_code, AFTER_NONE);
        if (got.verdict != cases[i].verdict)
            fail_msg("case %zu: %s", i, retry_verdict_name(got.verdict));
    }
    assert_int_equal(decide(&policy, 4, OUTBOUND_OK, 500, AFTER_NONE).verdict, RETRY_EXHAUSTED);
    assert_int_equal(decide(&policy, 4, OUTBOUND_OK, 404, AFTER_NONE).verdict, RETRY_EXCLUDED);

    policy.on = (struct retry_on){.given = true}; /* an empty list: nothing is retried */
    assert_int_equal(decide(&policy, 1, OUTBOUND_OK, 500, AFTER_NONE).verdict, RETRY_EXCLUDED);
}

/* Jitter stays within its bounds, reaches both, and is not one-sided. */
static void test_jitter(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 42);
    struct retry_policy policy = {.step_count = 1, .steps_ms = {10}, .jitter = 0.2};
    bool lowest = false, highest = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t ms = retry_decide(&policy, 1, OUTBOUND_OK, 500, -1, 0, &rng).delay_ms;
        assert_in_range(ms, 8, 12);
        lowest = lowest || ms == 8;
        highest = highest || ms == 12;
    }
    assert_true(lowest && highest);

    for (int i = 0; i < 20000; i++) {
        uint64_t step_ms = rng_below(&rng, 30ull * 24 * 3600 * 1000 + 1);
        policy.steps_ms[0] = step_ms;
        policy.jitter = rng_unit(&rng);
        if (i % 100 == 0)
            policy.jitter = i % 200 ? 1 : 0;
        double delay_ms = (double)retry_decide(&policy, 1, OUTBOUND_OK, 500, -1, 0, &rng).delay_ms;
        assert_true(delay_ms >= (double)step_ms * (1 - policy.jitter) - 1e-3);
        assert_true(delay_ms <= (double)step_ms * (1 + policy.jitter) + 1e-3);
    }
}

/* A receiver that asks for a delay gets it, also when jitter would have shortened an equal step. */
static void test_retry_after_is_a_floor(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    struct retry_policy policy = {.step_count = 1, .steps_ms = {5000}, .jitter = 0.5};
    bool longer = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t ms = retry_decide(&policy, 1, OUTBOUND_OK, 503, 5000, AFTER_MAX, &rng).delay_ms;
        assert_in_range(ms, 5000, 7500);
        longer = longer || ms > 5000;
    }
    assert_true(longer);
}

/* The default schedule is the documented one. */
static void test_default(void **state)
{
    (void)state;
    static const uint64_t steps_s[] = {5, 300, 1800, 7200, 18000, 36000, 36000};
    struct retry_policy policy;
    retry_policy_default(&policy);
    assert_int_equal(policy.step_count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(policy.steps_ms[i], steps_s[i] * 1000);
    assert_true(policy.jitter > 0.19 && policy.jitter < 0.21);
    assert_false(policy.on.given);
}

/* Exponential steps grow to the maximum and stay there, however large they would be. */
static void test_exponential(void **state)
{
    (void)state;
    struct retry_policy policy = {.jitter = 0.5};
    retry_policy_exponential(&policy, 5, 1000, 3, 20000);
    static const uint64_t want[] = {1000, 3000, 9000, 20000, 20000};
    assert_int_equal(policy.step_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(policy.steps_ms[i], want[i]);

    retry_policy_exponential(&policy, LIMIT_RETRY_STEPS, 1000, 100, LIMIT_RETRY_STEP_MS);
    assert_int_equal(policy.steps_ms[LIMIT_RETRY_STEPS - 1], LIMIT_RETRY_STEP_MS);
    retry_policy_exponential(&policy, 0, 1000, 2, 2000);
    assert_int_equal(policy.step_count, 0);
    retry_policy_exponential(&policy, 3, 0, 2, 2000);
    assert_int_equal(policy.steps_ms[2], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts), cmocka_unit_test(test_retry_on),
        cmocka_unit_test(test_jitter),   cmocka_unit_test(test_retry_after_is_a_floor),
        cmocka_unit_test(test_default),  cmocka_unit_test(test_exponential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
