/* test_parse.c - numbers, durations and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parse.h"
#include "base/rng.h"

#define UNTOUCHED UINT64_C(424242)

struct good {
    const char *text;
    uint64_t value;
};

struct bad {
    const char *text;
    enum status status;
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

typedef enum status parse_fn(struct slice text, uint64_t *out);

static void check(parse_fn *parse, const struct good *good, size_t good_count,
                  const struct bad *bad, size_t bad_count)
{
    for (size_t i = 0; i < good_count; i++) {
        uint64_t value = UNTOUCHED;
        if (parse(slice_str(good[i].text), &value) != ST_OK || value != good[i].value)
            fail_msg("\"%s\" gave %llu", good[i].text, (unsigned long long)value);
    }
    for (size_t i = 0; i < bad_count; i++) {
        uint64_t value = UNTOUCHED;
        enum status status = parse(slice_str(bad[i].text), &value);
        if (status != bad[i].status)
            fail_msg("\"%s\" gave %s", bad[i].text, status_name(status));
        assert_true(value == UNTOUCHED);
    }
}

static void test_u64(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"0", 0},
        {"7", 7},
        {"007", 7},
        {"18446744073709551615", UINT64_MAX},
        {"00000000000000000000000018446744073709551615", UINT64_MAX},
    };
    static const struct bad bad[] = {
        {"", ST_SYNTAX},
        {NULL, ST_SYNTAX},
        {"-1", ST_SYNTAX},
        {"+1", ST_SYNTAX},
        {" 1", ST_SYNTAX},
        {"1 ", ST_SYNTAX},
        {"1.0", ST_SYNTAX},
        {"0x10", ST_SYNTAX},
        {"1e3", ST_SYNTAX},
        {"\xd9\xa1", ST_SYNTAX}, /* an Arabic one */
        {"18446744073709551616", ST_RANGE},
        {"99999999999999999999", ST_RANGE},
        {"184467440737095516150", ST_RANGE},
        {"18446744073709551616x", ST_SYNTAX},
    };
    check(parse_u64, good, COUNT(good), bad, COUNT(bad));
}

static enum status parse_i64_as_u64(struct slice text, uint64_t *out)
{
    int64_t value = (int64_t)*out;
    enum status status = parse_i64(text, &value);
    *out = (uint64_t)value;
    return status;
}

static void test_i64(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"0", 0},
        {"-0", 0},
        {"-1", (uint64_t)-1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", (uint64_t)INT64_MIN},
    };
    static const struct bad bad[] = {
        {"", ST_SYNTAX},
        {"-", ST_SYNTAX},
        {"--1", ST_SYNTAX},
        {"+1", ST_SYNTAX},
        {"- 1", ST_SYNTAX},
        {"9223372036854775808", ST_RANGE},
        {"-9223372036854775809", ST_RANGE},
        {"-99999999999999999999999", ST_RANGE},
    };
    check(parse_i64_as_u64, good, COUNT(good), bad, COUNT(bad));
}

static void test_duration(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"0s", 0},
        {"250ms", 250},
        {"5s", 5000},
        {"5m", 300000},
        {"2h", 7200000},
        {"3d", 259200000},
        {"1.5s", 1500},
        {"0.1s", 100},
        {"0.001s", 1},
        {"1.5000000000000000s", 1500},
        {"0.25h", 900000},
        {"0.0009765625d", 84375}, /* 2^-10 */
        {"1.0ms", 1},
        {"0.000000000000s", 0},
        {"18446744073709551615ms", UINT64_MAX},
        {"213503982334d", UINT64_C(213503982334) * 86400000},
    };
    static const struct bad bad[] = {
        {"", ST_SYNTAX},
        {"5", ST_SYNTAX},
        {"s", ST_SYNTAX},
        {"ms", ST_SYNTAX},
        {".5s", ST_SYNTAX},
        {"5.s", ST_SYNTAX},
        {"5.", ST_SYNTAX},
        {"1.5", ST_SYNTAX},
        {"1.2.3s", ST_SYNTAX},
        {"5 s", ST_SYNTAX},
        {" 5s", ST_SYNTAX},
        {"5s ", ST_SYNTAX},
        {"5S", ST_SYNTAX},
        {"5M", ST_SYNTAX},
        {"-5s", ST_SYNTAX},
        {"+5s", ST_SYNTAX},
        {"1h30m", ST_SYNTAX},
        {"5us", ST_SYNTAX},
        {"5sec", ST_SYNTAX},
        {"1e3s", ST_SYNTAX},
        {"5w", ST_SYNTAX},
        {"0.5ms", ST_RANGE},
        {"1.0005s", ST_RANGE},
        {"0.0000000000001s", ST_RANGE},
        {"0.00048828125d", ST_RANGE}, /* 42187.5 ms */
        {"18446744073709551616ms", ST_RANGE},
        {"18446744073709552s", ST_RANGE},
        {"213503982335d", ST_RANGE},
        {"99999999999999999999999999d", ST_RANGE},
    };
    check(parse_duration_ms, good, COUNT(good), bad, COUNT(bad));
}

static void test_size(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"0", 0},
        {"100", 100},
        {"100B", 100},
        {"10kB", 10000},
        {"64KiB", 65536},
        {"1MB", 1000000},
        {"1MiB", 1048576},
        {"1.5MiB", 1572864},
        {"1GB", 1000000000},
        {"1GiB", 1073741824},
        {"2TB", 2000000000000},
        {"2TiB", 2199023255552},
        {"0.5KiB", 512},
        {"18446744073709551615", UINT64_MAX},
        {"18446744073709551615B", UINT64_MAX},
        {"16777215TiB", UINT64_C(16777215) << 40},
    };
    static const struct bad bad[] = {
        {"", ST_SYNTAX},      {"B", ST_SYNTAX},          {"1k", ST_SYNTAX},
        {"1KB", ST_SYNTAX},   {"1kib", ST_SYNTAX},       {"1 KiB", ST_SYNTAX},
        {"1K", ST_SYNTAX},    {"1M", ST_SYNTAX},         {"-1B", ST_SYNTAX},
        {"1.5", ST_SYNTAX},   {"1.B", ST_SYNTAX},        {"1.5B", ST_RANGE},
        {"0.1KiB", ST_RANGE}, {"16777216TiB", ST_RANGE}, {"18446744073709551616", ST_RANGE},
    };
    check(parse_size_bytes, good, COUNT(good), bad, COUNT(bad));
}

typedef void format_fn(struct buf *buf, uint64_t value);

static void check_format(format_fn *format, uint64_t value, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 64);
    format(&buf, value);
    assert_int_equal(buf_status(&buf), ST_OK);
    if (!slice_eq(buf_slice(&buf), slice_str(expected)))
        fail_msg("%llu gave \"%.*s\", not \"%s\"", (unsigned long long)value,
                 SLICE_ARGS(buf_slice(&buf)), expected);
    buf_free(&buf);
}

static void test_format(void **state)
{
    (void)state;
    static const struct good durations[] = {
        {"0s", 0},
        {"1ms", 1},
        {"250ms", 250},
        {"999ms", 999},
        {"1s", 1000},
        {"1.5s", 1500},
        {"1234ms", 1234},
        {"10.01s", 10010},
        {"59s", 59000},
        {"1m", 60000},
        {"90s", 90000},
        {"150s", 150000},
        {"5m", 300000},
        {"90m", 5400000},
        {"2h", 7200000},
        {"36h", 129600000},
        {"3d", 259200000},
        {"100d", 8640000000},
        {"18446744073709551615ms", UINT64_MAX},
    };
    static const struct good sizes[] = {
        {"0B", 0},
        {"100B", 100},
        {"1kB", 1000},
        {"1KiB", 1024},
        {"1500B", 1500},
        {"64KiB", 65536},
        {"1MB", 1000000},
        {"1MiB", 1048576},
        {"1.5MiB", 1572864},
        {"2GiB", 2147483648},
        {"1TB", 1000000000000},
        {"1TiB", 1099511627776},
        {"18446744073709551615B", UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT(durations); i++)
        check_format(format_duration, durations[i].value, durations[i].text);
    for (size_t i = 0; i < COUNT(sizes); i++)
        check_format(format_size, sizes[i].value, sizes[i].text);
}

/* Whatever is formatted reads back exactly, for round and for odd values of every magnitude. */
static void test_format_round_trip(void **state)
{
    (void)state;
    static const uint64_t scales[] = {1, 10, 250, 1000, 1024, 60000, 3600000, 86400000, 1048576};
    struct rng rng;
    struct buf buf;
    rng_seed(&rng, 3);
    buf_init(&buf, 64);
    for (int round = 0; round < 50000; round++) {
        uint64_t value = rng_next(&rng) >> rng_below(&rng, 64);
        uint64_t scale = scales[rng_below(&rng, COUNT(scales))];
        uint64_t back;
        if (value < UINT64_MAX / scale)
            value *= scale;
        buf_clear(&buf);
        format_duration(&buf, value);
        assert_int_equal(parse_duration_ms(buf_slice(&buf), &back), ST_OK);
        assert_true(back == value);
        buf_clear(&buf);
        format_size(&buf, value);
        assert_int_equal(parse_size_bytes(buf_slice(&buf), &back), ST_OK);
        assert_true(back == value);
    }
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),      cmocka_unit_test(test_i64),
        cmocka_unit_test(test_duration), cmocka_unit_test(test_size),
        cmocka_unit_test(test_format),   cmocka_unit_test(test_format_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
