/* digits.h - a whole number in decimal, without printf, which takes some 700 instructions for it.
 */
#ifndef TROTLINE_BASE_DIGITS_H
#define TROTLINE_BASE_DIGITS_H

#include <stdint.h>

#include "base/slice.h"

enum { DIGITS_MAX = 20 };

/* Writes it to the end of `digits`, of which it is a slice then: it has no NUL. */
static inline struct slice digits_u64(char digits[DIGITS_MAX], uint64_t value)
{
    size_t at = DIGITS_MAX;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return slice_of(digits + at, DIGITS_MAX - at);
}

#endif
