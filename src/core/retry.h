/* retry.h - when a failed delivery is tried again, and whether at all. Pure.
 *
 * The default is a schedule of delays after the first attempt, +-20 %
 * jitter; an endpoint may have its own schedule, or an exponential policy. `retryOn` narrows what
 * is retried; what it leaves out goes to the dead letters at once. 410 is never retried.
 */
#ifndef TROTLINE_CORE_RETRY_H
#define TROTLINE_CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/rng.h"
#include "net/outbound.h"

/* What `retryOn` may name, as a set. */
struct retry_on {
    bool given;                              /* false: everything is retried */
    uint8_t status_classes;                  /* bit n: "nxx", 1 to 5 */
    uint16_t errors;                         /* bit (1 << enum outbound_error) */
    uint16_t statuses[LIMIT_RETRY_STATUSES]; /* single statuses */
    uint8_t status_count;
};

struct retry_policy {
    uint32_t step_count;                  /* retries after the first attempt */
    uint64_t steps_ms[LIMIT_RETRY_STEPS]; /* an exponential policy is unrolled into steps */
    double jitter; /* 0..1: a delay of d becomes d * (1 +- jitter), uniformly */
    struct retry_on on;
};

/* 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h with 20 % jitter. */
void retry_policy_default(struct retry_policy *policy);

/* Sets the steps to initial_ms * multiplier^n, none above `max_ms`. At most LIMIT_RETRY_STEPS
 * retries; the multiplier is at least 1. Jitter and `on` stay. */
void retry_policy_exponential(struct retry_policy *policy, uint32_t retries, uint64_t initial_ms,
                              double multiplier, uint64_t max_ms);

enum retry_verdict {
    RETRY_SUCCESS,
    RETRY_LATER,
    RETRY_GONE,      /* 410 */
    RETRY_EXHAUSTED, /* no step left */
    RETRY_EXCLUDED   /* by retryOn */
};
const char *retry_verdict_name(enum retry_verdict verdict);

struct retry_decision {
    enum retry_verdict verdict;
    uint64_t delay_ms; /* RETRY_LATER */
};

/* `attempts`: made so far, this one included (>= 1). `retry_after_ms`: -1 or what the response
 * asked for; up to `retry_after_max_ms` it replaces the step's jittered delay when it is longer.
 * error == OUTBOUND_OK: status_code decides; OUTBOUND_TAKEN is a success. An attempt that is both
 * the last one and excluded is RETRY_EXCLUDED. OUTBOUND_INTERNAL and OUTBOUND_CANCELLED are the
 * caller's to handle before. */
struct retry_decision retry_decide(const struct retry_policy *policy, uint32_t attempts,
                                   enum outbound_error error, int status_code,
                                   int64_t retry_after_ms, uint64_t retry_after_max_ms,
                                   struct rng *rng);

#endif
