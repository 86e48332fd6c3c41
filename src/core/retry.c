/* retry.c - the decision after an attempt, as a function of numbers.
 *
 *     2xx, or taken by a stream ─▶ success      410 ─▶ gone
 *     else: named by retryOn? ─no─▶ excluded
 *           a step left?      ─no─▶ exhausted
 *           later, after max(jittered step, what Retry-After asked for, capped)
 *
 * Jitter is drawn over whole milliseconds, both ends included, so its bounds are exact. The longer
 * of the two delays counts after jitter has been applied: a receiver that asks for 5 s must not be
 * called after 4.2 s because our own step was 5 s too.
 */
#include "core/retry.h"

#include <assert.h>

enum { STATUS_GONE = 410 };

static_assert(OUTBOUND_CANCELLED < 16, "retry_on.errors has a bit for every error");

const char *retry_verdict_name(enum retry_verdict verdict)
{
    switch (verdict) {
    case RETRY_SUCCESS:
        return "success";
    case RETRY_LATER:
        return "later";
    case RETRY_GONE:
        return "gone";
    case RETRY_EXHAUSTED:
        return "exhausted";
    case RETRY_EXCLUDED:
        return "excluded";
    }
    return "unknown";
}

void retry_policy_default(struct retry_policy *policy)
{
    static const uint64_t steps_ms[] = {5000,     300000,   1800000, 7200000,
                                        18000000, 36000000, 36000000};

    *policy = (struct retry_policy){.jitter = 0.2};
    for (size_t i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++)
        policy->steps_ms[policy->step_count++] = steps_ms[i];
}

void retry_policy_exponential(struct retry_policy *policy, uint32_t retries, uint64_t initial_ms,
                              double multiplier, uint64_t max_ms)
{
    assert(retries <= LIMIT_RETRY_STEPS && multiplier >= 1);

    double step_ms = (double)initial_ms;
    for (uint32_t i = 0; i < retries; i++) {
        /* Written so that an infinite product is the maximum too. */
        policy->steps_ms[i] = step_ms < (double)max_ms ? (uint64_t)step_ms : max_ms;
        step_ms *= multiplier;
    }
    policy->step_count = retries;
}

static bool retry_on_takes(const struct retry_on *on, enum outbound_error error, int status_code)
{
    if (!on->given)
        return true;
    if (error != OUTBOUND_OK)
        return (on->errors >> error & 1) != 0;
    unsigned class = (unsigned)status_code / 100;
    if (class < 8 && (on->status_classes >> class & 1) != 0)
        return true;
    for (size_t i = 0; i < on->status_count; i++)
        if (on->statuses[i] == status_code)
            return true;
    return false;
}

static uint64_t jittered(uint64_t delay_ms, double jitter, struct rng *rng)
{
    uint64_t span = (uint64_t)((double)delay_ms * jitter);
    return span == 0 ? delay_ms : delay_ms - span + rng_below(rng, 2 * span + 1);
}

struct retry_decision retry_decide(const struct retry_policy *policy, uint32_t attempts,
                                   enum outbound_error error, int status_code,
                                   int64_t retry_after_ms, uint64_t retry_after_max_ms,
                                   struct rng *rng)
{
    assert(attempts >= 1);
    assert(error != OUTBOUND_INTERNAL && error != OUTBOUND_CANCELLED);

    if (error == OUTBOUND_OK && (status_code / 100 == 2 || status_code == OUTBOUND_TAKEN))
        return (struct retry_decision){.verdict = RETRY_SUCCESS};
    if (error == OUTBOUND_OK && status_code == STATUS_GONE)
        return (struct retry_decision){.verdict = RETRY_GONE};
    if (!retry_on_takes(&policy->on, error, status_code))
        return (struct retry_decision){.verdict = RETRY_EXCLUDED};
    if (attempts > policy->step_count)
        return (struct retry_decision){.verdict = RETRY_EXHAUSTED};

    uint64_t delay_ms = jittered(policy->steps_ms[attempts - 1], policy->jitter, rng);
    if (retry_after_ms > 0) {
        uint64_t asked_ms = (uint64_t)retry_after_ms;
        if (asked_ms > retry_after_max_ms)
            asked_ms = retry_after_max_ms;
        if (asked_ms > delay_ms)
            delay_ms = asked_ms;
    }
    return (struct retry_decision){.verdict = RETRY_LATER, .delay_ms = delay_ms};
}
