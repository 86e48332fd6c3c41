/* hist.c - a log-linear histogram.
 *
 * The range of a value is its exponent and the four bits behind its leading one:
 *
 *      value    0 … 15   16 … 31   32 … 63   64 … 127  …
 *      width       1         1         2         4      …
 *      ranges   0 … 15   16 … 31   32 … 47   48 … 63   …   975
 *
 * Counters are 64 bits wide, because a counter of 32 is full after some days of 10,000 events a
 * second. Five bits would halve the error and need 15 KB a histogram: more than the first-level
 * cache can spare for several of them.
 */
#include "base/hist.h"

#include <assert.h>
#include <stddef.h>

enum { SUB_COUNT = 1 << HIST_SUB_BITS };

_Static_assert(sizeof(struct hist) < 8192, "a histogram stays below 8 KiB");

static inline size_t range_of(uint64_t value)
{
    if (value < SUB_COUNT)
        return (size_t)value;
    unsigned shift = 63u - HIST_SUB_BITS - (unsigned)__builtin_clzll(value);
    return ((size_t)shift << HIST_SUB_BITS) + (size_t)(value >> shift);
}

static inline unsigned shift_of(size_t range)
{
    return range < SUB_COUNT ? 0 : (unsigned)(range >> HIST_SUB_BITS) - 1;
}

/* The least value of a range. */
static inline uint64_t range_begin(size_t range)
{
    unsigned shift = shift_of(range);
    return (uint64_t)(range - ((size_t)shift << HIST_SUB_BITS)) << shift;
}

void hist_init(struct hist *hist)
{
    *hist = (struct hist){0};
}

void hist_record(struct hist *hist, uint64_t value_us)
{
    hist->count++;
    hist->sum += value_us;
    if (value_us > hist->max)
        hist->max = value_us;
    hist->ranges[range_of(value_us)]++;
}

uint64_t hist_count(const struct hist *hist)
{
    return hist->count;
}

uint64_t hist_sum(const struct hist *hist)
{
    return hist->sum;
}

uint64_t hist_max(const struct hist *hist)
{
    return hist->max;
}

uint64_t hist_percentile(const struct hist *hist, double percent)
{
    assert(percent >= 0 && percent <= 100);
    double wanted = percent / 100 * (double)hist->count;
    uint64_t seen = 0;
    for (size_t range = 0; range < HIST_RANGES; range++) {
        seen += hist->ranges[range];
        if (hist->ranges[range] > 0 && (double)seen >= wanted) {
            uint64_t width = UINT64_C(1) << shift_of(range);
            uint64_t middle = range_begin(range) + (width - 1) / 2;
            return middle < hist->max ? middle : hist->max;
        }
    }
    return hist->max;
}

uint64_t hist_count_below(const struct hist *hist, uint64_t bound_us)
{
    size_t cut = range_of(bound_us);
    uint64_t below = 0;
    for (size_t range = 0; range < cut; range++)
        below += hist->ranges[range];
    unsigned __int128 part = hist->ranges[cut];
    return below + (uint64_t)(part * (bound_us - range_begin(cut)) >> shift_of(cut));
}
