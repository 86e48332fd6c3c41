/* hist.h - a histogram of microseconds in a fixed size: what metrics and percentiles come from.
 *
 * Values are counted in ranges that are exact up to 15 and then a sixteenth of a power of two wide,
 * over all 64 bits: what is read back is within 3.2 % of what was recorded. 7.8 KB, no allocation.
 */
#ifndef TROTLINE_BASE_HIST_H
#define TROTLINE_BASE_HIST_H

#include <stdint.h>

enum { HIST_SUB_BITS = 4, HIST_RANGES = (64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS };

/* All zero is an empty one. The members are private. */
struct hist {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t ranges[HIST_RANGES];
};

void hist_init(struct hist *hist);

void hist_record(struct hist *hist, uint64_t value_us);

/* How many values were recorded, their exact sum (modulo 2^64) and the greatest (0 when none). */
uint64_t hist_count(const struct hist *hist);
uint64_t hist_sum(const struct hist *hist);
uint64_t hist_max(const struct hist *hist);

/* The value that `percent` (0 to 100) of the values do not exceed: the middle of its range, at most
 * the greatest. 0 when there are none. */
uint64_t hist_percentile(const struct hist *hist, double percent);

/* How many values are below the bound. Exact where a range begins (all powers of two do); of a
 * range that the bound cuts, the share is taken that it would have if it were evenly filled. Never
 * falls when the bound or the histogram grows, as Prometheus asks of its buckets. */
uint64_t hist_count_below(const struct hist *hist, uint64_t bound_us);

#endif
