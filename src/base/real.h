/* real.h - floating-point numbers as text that reads back as the same number.
 *
 * The text is a JSON number (RFC 8259 section 6) that shows what it was: it has a dot or an
 * exponent, so that readers which know whole numbers do not take it for one. -0 is "-0.0". The
 * locale plays no part. Pure.
 */
#ifndef TROTLINE_BASE_REAL_H
#define TROTLINE_BASE_REAL_H

#include "base/buf.h"

/* Appends a finite number with the fewest digits of which the nearest decimal number reads back as
 * it: 0.1 is "0.1", 1/3 "0.3333333333333333", 1e300 "1e300". A whole number of up to 15 digits, or
 * one with up to six behind the dot, takes about 50 ns; others take a microsecond. */
void real_add_double(struct buf *buf, double value);

/* The same for a number of single precision: reads back as the same float, with fewer digits than
 * the double would need. */
void real_add_float(struct buf *buf, float value);

#endif
