/* decimal.h - numbers as JSON writes them (RFC 8259 section 6), compared exactly.
 *
 * No conversion to a machine's number takes place: 1, 1.0 and 1e0 are equal, -0 is 0, and
 * 9007199254740993 is greater than 9007199254740992, which as doubles are the same. Reading and
 * comparing cost no more than a pass over the digits, however large the exponent is.
 */
#ifndef TROTLINE_BASE_DECIMAL_H
#define TROTLINE_BASE_DECIMAL_H

#include <stdint.h>

#include "base/slice.h"

struct decimal {
    bool negative;
    int64_t exponent;    /* of the first significant digit: 0 in 1.5, 2 in 150, -1 in 0.15 */
    struct slice digits; /* of the text, from the first significant one on, the dot among them;
                            empty: the number is 0 */
};

/* Exponents beyond this, either way, are taken for it: such numbers compare as equal when their
 * signs and digits do. Whoever wants to rule that out refuses them on one side. */
#define DECIMAL_EXPONENT_MAX INT64_C(1000000000000000)

/* `number` has the syntax of a JSON number and must outlive the result, which is a view of it. */
struct decimal decimal_read(struct slice number);

/* Negative, 0 or positive, as memcmp(). */
int decimal_compare(const struct decimal *a, const struct decimal *b);

#endif
