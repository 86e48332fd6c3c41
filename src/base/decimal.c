/* decimal.c - a sign, the place of the first significant digit, and digits.
 *
 *     -0.00120e5   negative, exponent 2, digits "120"     the value is -1.20 * 10^2
 *
 * Of two numbers with the same sign the one whose first significant digit stands higher is farther
 * from 0; if they stand equally high the digits decide, read from the left, and zeros at the end do
 * not count.
 *
 * Rejected: strtod() (two different integers beyond 2^53 become one), and __int128 or a library of
 * big numbers (a payload may hold a number of any length).
 */
#include "base/decimal.h"

#include "base/ascii.h"

/* The integer behind "e", at most DECIMAL_EXPONENT_MAX either way. */
static int64_t read_exponent(const char *at, const char *end)
{
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int64_t value = 0;
    for (; at < end && ascii_is_digit(*at); at++) {
        value = value * 10 + (*at - '0');
        if (value > DECIMAL_EXPONENT_MAX)
            value = DECIMAL_EXPONENT_MAX;
    }
    return negative ? -value : value;
}

struct decimal decimal_read(struct slice number)
{
    struct decimal out = {.digits = slice_of(number.ptr, 0)};
    const char *at = number.ptr, *end = at + number.len;
    if (at < end && *at == '-') {
        out.negative = true;
        at++;
    }
    const char *first = NULL; /* significant digit */
    int64_t before = 0, after = 0;
    bool fraction = false;
    for (; at < end && (ascii_is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        if (!first && *at != '0')
            first = at;
        if (!fraction && first)
            before++; /* digits from the first significant one to the dot */
        else if (fraction && !first)
            after++; /* zeros between the dot and the first significant digit */
    }
    if (!first) {
        out.negative = false; /* -0 is 0 */
        return out;
    }
    out.digits = slice_of(first, (size_t)(at - first));
    out.exponent = before > 0 ? before - 1 : -after - 1;
    if (at < end) /* at "e" */
        out.exponent += read_exponent(at + 1, end);
    if (out.exponent > DECIMAL_EXPONENT_MAX)
        out.exponent = DECIMAL_EXPONENT_MAX;
    if (out.exponent < -DECIMAL_EXPONENT_MAX)
        out.exponent = -DECIMAL_EXPONENT_MAX;
    return out;
}

/* The next digit, and '0' behind the last. */
static char next_digit(const char **at, const char *end)
{
    if (*at < end && **at == '.')
        ++*at;
    return *at < end ? *(*at)++ : '0';
}

static int compare_digits(struct slice a, struct slice b)
{
    const char *p = a.ptr, *p_end = p + a.len;
    const char *q = b.ptr, *q_end = q + b.len;
    while (p < p_end || q < q_end) {
        char left = next_digit(&p, p_end), right = next_digit(&q, q_end);
        if (left != right)
            return left < right ? -1 : 1;
    }
    return 0;
}

static int sign(const struct decimal *number)
{
    if (number->digits.len == 0)
        return 0;
    return number->negative ? -1 : 1;
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    int side = sign(a);
    if (side != sign(b))
        return side < sign(b) ? -1 : 1;
    if (side == 0)
        return 0;
    int farther = a->exponent != b->exponent ? (a->exponent < b->exponent ? -1 : 1)
                                             : compare_digits(a->digits, b->digits);
    return side * farther;
}
