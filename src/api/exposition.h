/* exposition.h - Prometheus's text format 0.0.4: families, samples, histograms. Pure.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ - a family is its HELP and TYPE,
 * then all its samples. What we count are whole numbers of our own units; what is written are
 * Prometheus's base units (seconds, bytes), as exact decimals: a sum that is rounded to six digits
 * stands still for minutes and then jumps.
 */
#ifndef TROTLINE_API_EXPOSITION_H
#define TROTLINE_API_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hist.h"

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

/* What the number counts. Times are written in seconds. */
enum exposition_unit { EXPOSITION_PLAIN, EXPOSITION_MS, EXPOSITION_US };

/* One is all that most series of ours need. `name` NULL: none. The value may be any text; where its
 * values come from must be a list that is fixed when the program is built, or is bounded. */
struct exposition_label {
    const char *name, *value;
};

/* Ascending upper bounds, in the unit of the recorded values; +Inf is added. */
struct exposition_buckets {
    enum exposition_unit unit;
    size_t count;
    const uint64_t *bounds;
};

/* What begins a family. `help` is one sentence. */
void exposition_family(struct buf *out, const char *name, enum exposition_type type,
                       const char *help);

/* One sample of a counter or gauge. */
void exposition_sample(struct buf *out, const char *name, struct exposition_label label,
                       uint64_t value, enum exposition_unit unit);

/* The same with two labels, of what counts nothing but events. */
void exposition_sample_pair(struct buf *out, const char *name, struct exposition_label first,
                            struct exposition_label second, uint64_t value);

/* All samples of one histogram: buckets (cumulative, of values up to and with the bound), sum,
 * count. Counts at a bound are as exact as hist_count_below(). */
void exposition_histogram(struct buf *out, const char *name, struct exposition_label label,
                          const struct hist *hist, const struct exposition_buckets *buckets);

#endif
