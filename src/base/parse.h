/* parse.h - numbers, durations and sizes as people write them.
 *
 * All take the whole slice: no blanks around it, no sign but where said. On failure `out` is
 * unchanged. ST_SYNTAX: not of that form. ST_RANGE: of that form, but it does not fit.
 */
#ifndef TROTLINE_BASE_PARSE_H
#define TROTLINE_BASE_PARSE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* Decimal digits. Leading zeros are allowed. */
MUST_CHECK enum status parse_u64(struct slice text, uint64_t *out);

/* The same, with an optional "-". */
MUST_CHECK enum status parse_i64(struct slice text, int64_t *out);

/* "250ms", "5s", "5m", "2h", "3d", "1.5s". The unit is needed. A fraction of a millisecond
 * ("0.5ms"), and more than 12 digits behind the point that are not zeros, are ST_RANGE. */
MUST_CHECK enum status parse_duration_ms(struct slice text, uint64_t *ms);

/* "100", "100B", "10kB", "64KiB", "1.5MiB": B, kB, MB, GB, TB (thousands), KiB, MiB, GiB, TiB
 * (1024). A fraction of a byte is ST_RANGE. */
MUST_CHECK enum status parse_size_bytes(struct slice text, uint64_t *bytes);

/* The shortest of the exact forms that the above read back and that do not start with "0.";
 * of two equally short ones that with the smaller unit: 90000 is "90s", 1500 is "1.5s", 150000 is
 * "150s", 0 is "0s" and "0B". */
void format_duration(struct buf *buf, uint64_t ms);
void format_size(struct buf *buf, uint64_t bytes);

#endif
