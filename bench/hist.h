/* hist.h - a log-linear histogram of microseconds: 64 steps in each power of two, so a percentile
 * is off by 1.6 % at most. Recording is a shift and an addition. */
#ifndef TROTLINE_BENCH_HIST_H
#define TROTLINE_BENCH_HIST_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { HIST_STEP_BITS = 6, HIST_STEPS = 1 << HIST_STEP_BITS, HIST_POWERS = 40 };

struct hist {
    uint64_t count, max;
    uint64_t bucket[HIST_POWERS * HIST_STEPS];
};

/* Values below 128 have a bucket each; above, the seven highest bits choose it. */
static inline unsigned hist_index(uint64_t value)
{
    if (value < 2 * HIST_STEPS)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HIST_STEP_BITS;
    unsigned index = (shift << HIST_STEP_BITS) + (unsigned)(value >> shift);
    unsigned last = HIST_POWERS * HIST_STEPS - 1;
    return index < last ? index : last;
}

/* The largest value that falls into a bucket. */
static inline uint64_t hist_top(unsigned index)
{
    if (index < 2 * HIST_STEPS)
        return index;
    unsigned shift = (index >> HIST_STEP_BITS) - 1;
    uint64_t head = HIST_STEPS + (index & (HIST_STEPS - 1));
    return ((head + 1) << shift) - 1;
}

static inline void hist_add(struct hist *hist, uint64_t value)
{
    hist->bucket[hist_index(value)]++;
    hist->count++;
    if (value > hist->max)
        hist->max = value;
}

/* The value that `per_mille` of those recorded do not exceed; 0 when there are none. */
static inline uint64_t hist_at(const struct hist *hist, unsigned per_mille)
{
    uint64_t want = (hist->count * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HIST_POWERS * HIST_STEPS; i++) {
        seen += hist->bucket[i];
        if (seen >= want && seen > 0)
            return hist_top(i) < hist->max ? hist_top(i) : hist->max;
    }
    return hist->max;
}

static inline void hist_print_json(const struct hist *hist, FILE *out)
{
    fprintf(out,
            "{\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64
            ",\"max\":%" PRIu64 "}",
            hist_at(hist, 500), hist_at(hist, 900), hist_at(hist, 990), hist_at(hist, 999),
            hist->max);
}

#endif
