/* parse.c - numbers, durations and sizes as people write them.
 *
 * Durations and sizes are the same thing, a decimal number and a unit, with two tables of units.
 * Nothing goes through floating point: "0.1s" is 100 ms and not 99 point something.
 */
#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ascii.h"

enum { FRACTION_DIGITS_MAX = 12, FORMAT_BYTES = 32 /* 20 digits, point, 3 decimals, unit */ };

struct unit {
    struct slice name;
    uint64_t scale;
};

/* From the smallest up, the end marked by scale 0: format_scaled() depends on it. */
static const struct unit durations[] = {
    {{"ms", 2}, 1},      {{"s", 1}, 1000},     {{"m", 1}, 60000},
    {{"h", 1}, 3600000}, {{"d", 1}, 86400000}, {{NULL, 0}, 0},
};

static const struct unit sizes[] = {
    {{"B", 1}, 1},
    {{"kB", 2}, 1000},
    {{"KiB", 3}, 1024},
    {{"MB", 2}, 1000 * 1000},
    {{"MiB", 3}, 1024 * 1024},
    {{"GB", 2}, 1000 * 1000 * 1000},
    {{"GiB", 3}, 1024 * 1024 * 1024},
    {{"TB", 2}, UINT64_C(1000) * 1000 * 1000 * 1000},
    {{"TiB", 3}, UINT64_C(1024) * 1024 * 1024 * 1024},
    {{NULL, 0}, 0},
};

static size_t count_digits(struct slice text)
{
    size_t count = 0;
    while (count < text.len && ascii_is_digit(text.ptr[count]))
        count++;
    return count;
}

/* `text` is digits only. */
static enum status digits_value(struct slice text, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value))
            return ST_RANGE;
    }
    *out = value;
    return ST_OK;
}

enum status parse_u64(struct slice text, uint64_t *out)
{
    if (text.len == 0 || count_digits(text) != text.len)
        return ST_SYNTAX;
    return digits_value(text, out);
}

enum status parse_i64(struct slice text, int64_t *out)
{
    bool negative = slice_starts(text, SLICE("-"));
    uint64_t magnitude;
    enum status status = parse_u64(negative ? slice_from(text, 1) : text, &magnitude);
    if (status != ST_OK)
        return status;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return ST_RANGE;
    *out = negative ? (int64_t)-magnitude : (int64_t)magnitude;
    return ST_OK;
}

/* whole.fraction * scale, when that is a whole number; both are digits only. */
static enum status scale_up(struct slice whole, struct slice fraction, uint64_t scale,
                            uint64_t *out)
{
    uint64_t whole_value, fraction_value;
    while (fraction.len > 0 && fraction.ptr[fraction.len - 1] == '0')
        fraction.len--;
    if (fraction.len > FRACTION_DIGITS_MAX || digits_value(whole, &whole_value) != ST_OK ||
        digits_value(fraction, &fraction_value) != ST_OK)
        return ST_RANGE;
    uint64_t denominator = 1;
    for (size_t i = 0; i < fraction.len; i++)
        denominator *= 10;
    unsigned __int128 product = (unsigned __int128)fraction_value * scale;
    if (product % denominator != 0)
        return ST_RANGE;
    unsigned __int128 value =
        (unsigned __int128)whole_value * scale + (uint64_t)(product / denominator);
    if (value > UINT64_MAX)
        return ST_RANGE;
    *out = (uint64_t)value;
    return ST_OK;
}

static enum status parse_scaled(struct slice text, const struct unit *units, uint64_t *out)
{
    struct slice whole = slice_of(text.ptr, count_digits(text));
    struct slice fraction = SLICE_NULL;
    struct slice name = slice_from(text, whole.len);
    if (whole.len == 0)
        return ST_SYNTAX;
    if (slice_starts(name, SLICE("."))) {
        name = slice_from(name, 1);
        fraction = slice_of(name.ptr, count_digits(name));
        name = slice_from(name, fraction.len);
        if (fraction.len == 0)
            return ST_SYNTAX;
    }
    for (; units->scale != 0; units++)
        if (slice_eq(name, units->name))
            return scale_up(whole, fraction, units->scale, out);
    return ST_SYNTAX;
}

enum status parse_duration_ms(struct slice text, uint64_t *ms)
{
    return parse_scaled(text, durations, ms);
}

enum status parse_size_bytes(struct slice text, uint64_t *bytes)
{
    if (text.len > 0 && count_digits(text) == text.len)
        return digits_value(text, bytes);
    return parse_scaled(text, sizes, bytes);
}

/* Writes the value in that unit; returns the length, 0 when it takes more than three decimals. */
static size_t format_in(char out[FORMAT_BYTES], uint64_t value, const struct unit *unit)
{
    uint64_t whole = value / unit->scale;
    uint64_t thousandths = value % unit->scale * 1000;
    if (thousandths % unit->scale != 0)
        return 0;
    thousandths /= unit->scale;
    int len = snprintf(out, FORMAT_BYTES, "%" PRIu64, whole);
    if (thousandths != 0) {
        len += snprintf(out + len, (size_t)(FORMAT_BYTES - len), ".%03" PRIu64, thousandths);
        while (out[len - 1] == '0')
            len--;
    }
    memcpy(out + len, unit->name.ptr, unit->name.len);
    return (size_t)len + unit->name.len;
}

static void format_scaled(struct buf *buf, uint64_t value, const struct unit *units)
{
    char best[FORMAT_BYTES], next[FORMAT_BYTES];
    size_t best_len = SIZE_MAX;
    for (; units->scale != 0 && (value >= units->scale || value == 0); units++) {
        size_t len = format_in(next, value, units);
        if (len > 0 && len < best_len) {
            memcpy(best, next, len);
            best_len = len;
        }
    }
    buf_add(buf, best, best_len); /* the smallest unit always has a form */
}

void format_duration(struct buf *buf, uint64_t ms)
{
    format_scaled(buf, ms, durations);
}

void format_size(struct buf *buf, uint64_t bytes)
{
    format_scaled(buf, bytes, sizes);
}
