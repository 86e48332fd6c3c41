/* allowance.h - how many attempts an endpoint may have under way at once. Pure.
 *
 * An endpoint that answers fast gets more, one that slows, fails or hangs gets less, down to a
 * minimum: so a hanging one holds a handful of slots, not the pool. The rule is TCP's congestion
 * control with requests for packets:
 *
 *   growth   slow start to 256, then one a round (RFC 5681 section 3.1), and only while the
 *            allowance is used, at least half of it (RFC 7661; Netflix's concurrency-limits does
 *            the same in AIMDLimit and Gradient2Limit)
 *   a cut    once a round, by half the share of the bad answers in it (DCTCP, RFC 8257 section
 *            3.3, with g = 1): all bad halves it, a quarter takes an eighth. A share up to 1/8 cuts
 *            nothing: an endpoint that refuses an event now and then is well.
 *   a round  half as many answers as the allowance (in slow start, which doubles it meanwhile, as
 *            many as it was) and 16 at least, or those of a second if fewer come. Attempts that
 * began before the last cut count no more (RFC 6582 "recover"), so that one burst of failures cuts
 * once. slow     an answer is bad when it failed, or took more than three times what is usual for
 * this endpoint AND more than 500 ms. "Usual" is a moving average over some two minutes (the
 *            long-term one of Netflix's Gradient2Limit): an endpoint that has become slower for
 *            good is taken as it is in time. Below 500 ms nothing is slow, because on a busy
 *            machine latency rises with concurrency without anything being wrong.
 *   hanging  an attempt under way for that long is a bad answer before it comes, again each time it
 *            is told; for that an allowance is cut at most twice a second.
 *   again    a series of bad rounds sets the end of slow start once, at its first cut (as repeated
 *            timeouts do, RFC 5681 section 3.1): after an outage half of what was comes back fast.
 *
 * Rejected: Vegas and Envoy's gradient controller, which judge by the least latency seen (Envoy
 * even goes down to a few requests at times to measure it): with receivers whose latency varies by
 * event that starves healthy ones. Plain AIMD, which halves for each stray failure: with 1 % of
 * failures it never has more than 12.
 *
 * Times are those of a monotonic clock. Nothing is called back.
 */
#ifndef TROTLINE_CORE_ALLOWANCE_H
#define TROTLINE_CORE_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ALLOWANCE_INITIAL = 8,
    ALLOWANCE_MINIMUM = 2,
    ALLOWANCE_SLOW_START = 256, /* slow start ends there the first time */
    ALLOWANCE_SLOW_MS = 500     /* nothing faster is slow */
};

/* 48 bytes. */
struct allowance {
    float limit;
    float threshold;      /* below it growth is slow start */
    float usual_us;       /* 0: no answer yet */
    uint32_t seen, bad;   /* answers of this round */
    uint16_t minimum;     /* 0: not enabled */
    bool in_trouble;      /* the last round was cut */
    uint64_t round_at_ms; /* its first answer */
    uint64_t cut_at_ms;   /* the last cut; 0: none */
    uint64_t usual_at_ms; /* the last answer that usual_us has heard of */
};

/* `initial` >= `minimum` >= 1. Not enabled: it never limits. */
void allowance_init(struct allowance *allowance, bool enabled, uint32_t initial, uint16_t minimum);

/* So many may be under way; UINT32_MAX when not enabled. The endpoint's own maximum is the caller's
 * to apply. Use to begin attempts only: none that is under way needs to be cut. */
uint32_t allowance_limit(const struct allowance *allowance);

/* An attempt has ended. `ok`: the endpoint answered, and its answer does not say that it is in
 * trouble (5xx, 429 do; a 404 does not, although the delivery failed). `in_flight`: attempts to it
 * under way, this one included. Attempts that were cancelled are not told. */
void allowance_answered(struct allowance *allowance, bool ok, uint64_t latency_us,
                        uint32_t in_flight, uint64_t now_ms);

/* An attempt is still under way after `age_us`. To be called for each attempt older than a second
 * or so, about once a second; whether that is long for this endpoint is decided here. */
void allowance_hanging(struct allowance *allowance, uint64_t age_us, uint64_t now_ms);

/* ---- In another process ---------------------------------------------------------------------- */

/* What another process needs to go on with it: what was learnt. The answers of a round that has not
 * ended are left behind. */
struct allowance_memory {
    float limit, threshold, usual_us;
    bool in_trouble;
};

/* False: it is as allowance_init() made it, or not enabled. `initial`: as given there. */
bool allowance_export(const struct allowance *allowance, uint32_t initial,
                      struct allowance_memory *out);

/* To one that allowance_init() has just made: goes on from there, from the next answer on. Numbers
 * that make no sense are taken for the nearest that do. Not enabled: nothing. */
void allowance_import(struct allowance *allowance, const struct allowance_memory *memory,
                      uint64_t now_ms);

#endif
