/* hist.h - a log-linear histogram, as HdrHistogram's with three digits: 1024 steps in each power of
 * two. Recording is a shift and an addition.
 *
 * Its error: a value below 2048 has a bucket of its own. A larger one, v, shares a bucket of the
 * width 2^(bits of v - 11), which is at most v / 1024; a percentile is the *largest* value of its
 * bucket, so it is never too low, and too high by less than 0.1 %. In microseconds all below 2 ms
 * is exact to the microsecond. Values above 2^50 (35 years) count as that. */
#ifndef TROTLINE_BENCH_HIST_H
#define TROTLINE_BENCH_HIST_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { HIST_STEP_BITS = 10, HIST_STEPS = 1 << HIST_STEP_BITS, HIST_POWERS = 41 };

struct hist {
    uint64_t count, max;
    uint64_t bucket[HIST_POWERS * HIST_STEPS];
};

/* Values below 2 * HIST_STEPS have a bucket each; above, the eleven highest bits choose it. */
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

/* The value that `per_million` of a million recorded ones do not exceed; 0 when there are none. The
 * walk over the buckets goes on at *index with *seen values behind it, which begin at 0, so that
 * several percentiles, asked for in ascending order, take one walk. */
static inline uint64_t hist_next(const struct hist *hist, unsigned per_million, unsigned *index,
                                 uint64_t *seen)
{
    uint64_t want = (hist->count * per_million + 999999) / 1000000;
    while (*index < HIST_POWERS * HIST_STEPS && *seen + hist->bucket[*index] < want)
        *seen += hist->bucket[(*index)++];
    uint64_t top = hist_top(*index);
    return top < hist->max ? top : hist->max;
}

static inline void hist_print_json(const struct hist *hist, FILE *out)
{
    static const struct {
        const char *name;
        unsigned per_million;
    } points[] = {{"p10", 100000},  {"p25", 250000},   {"p50", 500000},  {"p75", 750000},
                  {"p90", 900000},  {"p95", 950000},   {"p99", 990000},  {"p995", 995000},
                  {"p999", 999000}, {"p9995", 999500}, {"p9999", 999900}};
    unsigned index = 0;
    uint64_t seen = 0;
    fputc('{', out);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        fprintf(out, "\"%s\":%" PRIu64 ",", points[i].name,
                hist_next(hist, points[i].per_million, &index, &seen));
    fprintf(out, "\"max\":%" PRIu64 "}", hist->max);
}

#endif
