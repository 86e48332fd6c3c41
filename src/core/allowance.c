/* allowance.c - TCP's congestion control, with requests for packets.
 *
 *              limit
 *                │            ╭──╮ additive: +1 a round        bad rounds:
 *      threshold ├ ─ ─ ─ ─ ─╭─╯  │                             limit *= 1 - share/2
 *                │         ╱     ╰╮
 *                │        ╱       ╰╮             ╭─ ─ ─        the first of a series
 *                │    ___╱ slow    ╰─────╮ ___╱                sets the threshold
 *        minimum ├───╯     start: +1     ╰╯
 *                └──────────────────────────────────▶          an answer
 *
 * A cut comes at the end of a round, when the share of bad answers is known, not at the first bad
 * one: that share is what tells a stray failure from an endpoint in trouble.
 *
 * Growth stops as soon as a round looks bad, else slow start would outgrow the cut at its end: with
 * half of the answers bad the limit would gain a half and lose a quarter.
 */
#include "core/allowance.h"

#include <assert.h>

enum {
    STRAY = 8,            /* one bad in so many is no trouble */
    ROUND_LEAST = 16,     /* answers of a round: from fewer, chance would speak */
    ROUND_MS = 1000,      /* … but a round of few answers ends then */
    HANG_MS = 500,        /* from a cut to the next one by attempts that hang */
    SLOW_FACTOR = 3,      /* times the usual */
    USUAL_MS = 120000,    /* what the average reaches back */
    USUAL_STEP_MAX = 8,   /* one answer is at most an eighth of it */
    LIMIT_MOST = 1000000, /* that is believed of another process */
};

static_assert(sizeof(struct allowance) <= 48, "there are up to 100,000 of them");

void allowance_init(struct allowance *allowance, bool enabled, uint32_t initial, uint16_t minimum)
{
    assert(minimum >= 1 && initial >= minimum);
    *allowance = (struct allowance){
        .limit = (float)initial,
        .threshold = ALLOWANCE_SLOW_START,
        .minimum = enabled ? minimum : 0,
    };
}

uint32_t allowance_limit(const struct allowance *allowance)
{
    return allowance->minimum > 0 ? (uint32_t)allowance->limit : UINT32_MAX;
}

static bool is_slow(const struct allowance *allowance, uint64_t us)
{
    return us > ALLOWANCE_SLOW_MS * UINT64_C(1000) && (float)us > SLOW_FACTOR * allowance->usual_us;
}

/* Weighted by time: at ten thousand answers a second an average over a number of them would take
 * the first moments of trouble for usual. */
static void learn(struct allowance *allowance, uint64_t latency_us, uint64_t now_ms)
{
    float latency = latency_us > 0 ? (float)latency_us : 1;
    float step = (float)(now_ms - allowance->usual_at_ms) / USUAL_MS;
    if (step > 1.0F / USUAL_STEP_MAX)
        step = 1.0F / USUAL_STEP_MAX;
    if (allowance->usual_us == 0)
        step = 1;
    allowance->usual_us += step * (latency - allowance->usual_us);
    allowance->usual_at_ms = now_ms;
}

static bool in_trouble(const struct allowance *allowance)
{
    return (uint64_t)allowance->bad * STRAY > allowance->seen;
}

static void cut(struct allowance *allowance, uint64_t now_ms)
{
    float share = (float)allowance->bad / (float)allowance->seen;
    allowance->limit *= 1 - share / 2;
    if (allowance->limit < allowance->minimum)
        allowance->limit = allowance->minimum;
    if (!allowance->in_trouble)
        allowance->threshold = allowance->limit;
    allowance->cut_at_ms = now_ms;
}

static void count(struct allowance *allowance, bool bad, uint64_t now_ms)
{
    if (allowance->seen == 0)
        allowance->round_at_ms = now_ms;
    allowance->seen++;
    allowance->bad += bad;
}

static bool round_over(const struct allowance *allowance, uint64_t now_ms)
{
    if (now_ms - allowance->round_at_ms >= ROUND_MS)
        return true;
    return allowance->seen >= ROUND_LEAST && (float)allowance->seen * 2 >= allowance->limit;
}

static void end_round(struct allowance *allowance, uint64_t now_ms)
{
    if (!round_over(allowance, now_ms))
        return;
    bool bad = in_trouble(allowance);
    if (bad)
        cut(allowance, now_ms);
    allowance->in_trouble = bad;
    allowance->seen = allowance->bad = 0;
}

void allowance_answered(struct allowance *allowance, bool ok, uint64_t latency_us,
                        uint32_t in_flight, uint64_t now_ms)
{
    if (allowance->minimum == 0)
        return;
    /* The first answer tells what is usual, and is not judged by it. */
    bool good = ok && (allowance->usual_us == 0 || !is_slow(allowance, latency_us));
    if (ok)
        learn(allowance, latency_us, now_ms);
    if (now_ms - allowance->cut_at_ms < latency_us / 1000 && allowance->cut_at_ms > 0)
        return; /* it began before the cut */
    count(allowance, !good, now_ms);
    if (good && !in_trouble(allowance) && (float)in_flight * 2 >= allowance->limit)
        allowance->limit += allowance->limit < allowance->threshold ? 1 : 1 / allowance->limit;
    end_round(allowance, now_ms);
}

void allowance_hanging(struct allowance *allowance, uint64_t age_us, uint64_t now_ms)
{
    if (allowance->minimum == 0 || !is_slow(allowance, age_us) ||
        (now_ms - allowance->cut_at_ms < HANG_MS && allowance->cut_at_ms > 0))
        return;
    count(allowance, true, now_ms);
    end_round(allowance, now_ms);
}

/* ---- In another process ---------------------------------------------------------------------- */

bool allowance_export(const struct allowance *allowance, uint32_t initial,
                      struct allowance_memory *out)
{
    *out = (struct allowance_memory){allowance->limit, allowance->threshold, allowance->usual_us,
                                     allowance->in_trouble};
    bool fresh = allowance->limit == (float)initial && allowance->usual_us == 0 &&
                 allowance->threshold == ALLOWANCE_SLOW_START && !allowance->in_trouble;
    return allowance->minimum > 0 && !fresh;
}

/* What is no number is the smallest. */
static float within(float value, float least, float most)
{
    if (!(value > least))
        return least;
    return value < most ? value : most;
}

void allowance_import(struct allowance *allowance, const struct allowance_memory *memory,
                      uint64_t now_ms)
{
    if (allowance->minimum == 0)
        return;
    allowance->limit = within(memory->limit, allowance->minimum, LIMIT_MOST);
    allowance->threshold = within(memory->threshold, allowance->minimum, LIMIT_MOST);
    allowance->usual_us = within(memory->usual_us, 0, (float)UINT32_MAX);
    allowance->usual_at_ms = now_ms;
    allowance->in_trouble = memory->in_trouble;
}
