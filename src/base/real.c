/* real.c - floating-point numbers as text that reads back as the same number.
 *
 * Most numbers that people send are short: 12, 19.99, 48.137154. For these a whole number of at
 * most 15 digits is looked for that gives the number when it is divided by 1, 10, … 1,000,000. All
 * of these are doubles without an error, so the division gives the double that is nearest to the
 * quotient, which is what reading the decimal number gives. And two decimal numbers of at most 15
 * digits are never the same double, so there is no shorter one.
 *
 * What is left (results of arithmetic) is written by printf with more and more digits until
 * strtod() gives it back: 15 digits, 16, or 17, which always do (for floats 6 to 9). Ryu or
 * Schubfach would do that in 30 ns, with ten kilobytes of tables that nobody here needs so often.
 *
 * printf and strtod read the locale for the character between the digits. So of what printf writes
 * only digits and the exponent are taken, and strtod gets back exactly what printf wrote.
 */
#include "base/real.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digits.h"

enum { TEXT_MAX = 64, SIGNIFICANT_MAX = 17 };

#define SHORT_MAX 1e15 /* below it are the whole numbers of up to 15 digits */

/* ---- Short ones ------------------------------------------------------------------------------ */

/* Appends `digits` with the dot before the last `decimals`. */
static void add_fixed(struct buf *buf, uint64_t digits, unsigned decimals)
{
    char room[DIGITS_MAX];
    struct slice text = digits_u64(room, digits);
    if (decimals == 0) {
        buf_add_slice(buf, text);
        buf_add(buf, ".0", 2);
        return;
    }
    size_t whole = text.len > decimals ? text.len - decimals : 0;
    if (whole > 0)
        buf_add(buf, text.ptr, whole);
    else
        buf_add_char(buf, '0');
    buf_add_char(buf, '.');
    for (size_t zeros = text.len; zeros < decimals; zeros++)
        buf_add_char(buf, '0');
    buf_add_slice(buf, slice_from(text, whole));
}

/* `value` is not negative. */
static bool add_short(struct buf *buf, double value)
{
    static const double powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    for (unsigned i = 0; i < sizeof(powers) / sizeof(powers[0]); i++) {
        double scaled = value * powers[i];
        if (scaled >= SHORT_MAX)
            return false;
        uint64_t whole = (uint64_t)(scaled + 0.5);
        if ((double)whole / powers[i] == value) {
            add_fixed(buf, whole, i);
            return true;
        }
    }
    return false;
}

/* ---- All others ------------------------------------------------------------------------------ */

/* What printf's %e wrote, without the character behind the first digit, whichever that is. */
struct scientific {
    char digits[SIGNIFICANT_MAX + 1];
    size_t count;
    int exponent; /* of the first digit */
};

static struct scientific scientific_of(const char *text)
{
    struct scientific number = {.count = 0};
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && number.count < SIGNIFICANT_MAX)
            number.digits[number.count++] = *at;
    number.exponent = (int)strtol(at + 1, NULL, 10);
    while (number.count > 1 && number.digits[number.count - 1] == '0')
        number.count--;
    return number;
}

/* d.ddde-10, or as 0.000ddd and dddd.dd when that is not much longer. */
static void add_scientific(struct buf *buf, const struct scientific *number)
{
    enum { SMALL = -6 };
    int exponent = number->exponent;
    if (exponent < 0 && exponent >= SMALL) {
        buf_add_str(buf, "0.");
        for (int i = exponent + 1; i < 0; i++)
            buf_add_char(buf, '0');
        buf_add(buf, number->digits, number->count);
        return;
    }
    bool plain = exponent >= 0 && exponent < SIGNIFICANT_MAX;
    size_t whole = plain ? (size_t)exponent + 1 : 1;
    for (size_t i = 0; i < whole; i++)
        buf_add_char(buf, i < number->count ? number->digits[i] : '0');
    if (number->count > whole) {
        buf_add_char(buf, '.');
        buf_add(buf, number->digits + whole, number->count - whole);
    } else if (plain) {
        buf_add(buf, ".0", 2);
    }
    if (!plain) {
        buf_add_char(buf, 'e');
        buf_add_i64(buf, exponent);
    }
}

static bool reads_back(const char *text, double value, bool single)
{
    return single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
}

/* Among the smallest numbers there are fewer than the usual number of digits can tell apart. */
static void add_long(struct buf *buf, double value, bool single)
{
    char text[TEXT_MAX];
    int digits = single ? FLT_DIG : DBL_DIG;
    if (value < (single ? (double)FLT_MIN : DBL_MIN))
        digits = 1;
    do
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
    while (!reads_back(text, value, single) && ++digits <= SIGNIFICANT_MAX);
    struct scientific number = scientific_of(text);
    add_scientific(buf, &number);
}

void real_add_double(struct buf *buf, double value)
{
    assert(isfinite(value));
    if (signbit(value))
        buf_add_char(buf, '-');
    value = fabs(value);
    if (!add_short(buf, value))
        add_long(buf, value, false);
}

void real_add_float(struct buf *buf, float value)
{
    assert(isfinite(value));
    if (signbit(value))
        buf_add_char(buf, '-');
    add_long(buf, fabs((double)value), true);
}
