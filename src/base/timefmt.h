/* timefmt.h - times as text: RFC 3339 for JSON, HTTP-date for headers.
 *
 * Unix time in milliseconds, UTC, the years 1970 to 9999. No locale, no time zone of the host.
 * Parsers take the whole slice; on failure `unix_ms` is unchanged. ST_SYNTAX: not of that form.
 * ST_RANGE: of that form, but no such day or time, or outside those years.
 */
#ifndef TROTLINE_BASE_TIMEFMT_H
#define TROTLINE_BASE_TIMEFMT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* RFC 3339 section 5.6: "2026-11-22T04:23:54.123Z", with any offset. Digits of the second beyond
 * milliseconds are cut off. A leap second (23:59:60 UTC) is read as the last millisecond before it.
 */
MUST_CHECK enum status time_parse_rfc3339(struct slice text, uint64_t *unix_ms);

/* Always with milliseconds and Z: 24 bytes. Times after 9999 become the last one. */
void time_format_rfc3339(struct buf *buf, uint64_t unix_ms);

/* The three forms of RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94
 * 08:49:37 GMT" and "Sun Nov  6 08:49:37 1994". A day's name must be one, but need not be the right
 * one. Two digits of a year mean 1970 to 2069: the RFC's rule ("not more than 50 years ahead")
 * needs to know the present, and gives the same for what anybody sends until 2049. */
MUST_CHECK enum status time_parse_http_date(struct slice text, uint64_t *unix_ms);

/* The first form: 29 bytes. */
void time_format_http_date(struct buf *buf, uint64_t unix_ms);

#endif
