/* test_timefmt.c - times as text, against tables and against the C library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "base/rng.h"
#include "base/timefmt.h"

#define UNTOUCHED    UINT64_C(424242)
#define LAST_MS      UINT64_C(253402300799999)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct good {
    const char *text;
    uint64_t unix_ms;
};

struct bad {
    const char *text;
    enum status status;
};

typedef enum status parse_fn(struct slice text, uint64_t *unix_ms);

static void check(parse_fn *parse, const struct good *good, size_t good_count,
                  const struct bad *bad, size_t bad_count)
{
    for (size_t i = 0; i < good_count; i++) {
        uint64_t ms = UNTOUCHED;
        if (parse(slice_str(good[i].text), &ms) != ST_OK || ms != good[i].unix_ms)
            fail_msg("\"%s\" gave %llu", good[i].text, (unsigned long long)ms);
    }
    for (size_t i = 0; i < bad_count; i++) {
        uint64_t ms = UNTOUCHED;
        enum status status = parse(slice_str(bad[i].text), &ms);
        if (status != bad[i].status)
            fail_msg("\"%s\" gave %s", bad[i].text, status_name(status));
        assert_true(ms == UNTOUCHED);
    }
}

static void test_rfc3339(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"2026-11-22T04:23:54.123Z", 1795321434123},
        {"2026-11-22t04:23:54.123z", 1795321434123},
        {"2026-11-22T04:23:54Z", 1795321434000},
        {"2026-11-22T04:23:54.1Z", 1795321434100},
        {"2026-11-22T04:23:54.12Z", 1795321434120},
        {"2026-11-22T04:23:54.1239Z", 1795321434123}, /* cut, not rounded */
        {"2026-11-22T04:23:54.123456789012345678901234567890Z", 1795321434123},
        {"2026-11-22T04:23:54.000000000999Z", 1795321434000},
        {"2026-11-22T05:23:54.123+01:00", 1795321434123},
        {"2026-11-21T20:53:54.123-07:30", 1795321434123},
        {"2026-11-22T04:23:54.123-00:00", 1795321434123},
        {"2026-11-23T04:22:54.123+23:59", 1795321434123},
        {"1969-12-31T19:00:00-05:00", 0},
        {"1985-04-12T23:20:50.52Z", 482196050520}, /* the RFC's examples */
        {"1996-12-19T16:39:57-08:00", 851042397000},
        {"1990-12-31T23:59:60Z", 662687999999},
        {"1990-12-31T15:59:60-08:00", 662687999999},
        {"2016-12-31T23:59:60.5Z", 1483228799999},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2024-02-29T12:00:00Z", 1709208000000},
        {"9999-12-31T23:59:59.999Z", LAST_MS},
    };
    static const struct bad bad[] = {
        {"", ST_SYNTAX},
        {"2026-11-22", ST_SYNTAX},
        {"2026-11-22T04:23:54", ST_SYNTAX}, /* no offset */
        {"2026-11-22 04:23:54Z", ST_SYNTAX},
        {"2026-11-22T04:23Z", ST_SYNTAX},
        {"2026-11-22T04:23:54.Z", ST_SYNTAX},
        {"2026-11-22T04:23:54,5Z", ST_SYNTAX},
        {"2026-11-22T04:23:54.12aZ", ST_SYNTAX},
        {"2026-11-22T04:23:54ZZ", ST_SYNTAX},
        {"2026-11-22T04:23:54Z ", ST_SYNTAX},
        {" 2026-11-22T04:23:54Z", ST_SYNTAX},
        {"2026-11-22T04:23:54+0100", ST_SYNTAX},
        {"2026-11-22T04:23:54+01", ST_SYNTAX},
        {"2026-11-22T04:23:54+1:00", ST_SYNTAX},
        {"2026-11-22T04:23:54+24:00", ST_SYNTAX},
        {"2026-11-22T04:23:54+01:60", ST_SYNTAX},
        {"2026-11-22T04:23:54-", ST_SYNTAX},
        {"2026-1-22T04:23:54Z", ST_SYNTAX},
        {"26-11-22T04:23:54Z", ST_SYNTAX},
        {"12026-11-22T04:23:54Z", ST_SYNTAX},
        {"+2026-11-22T04:23:54Z", ST_SYNTAX},
        {"2026/11/22T04:23:54Z", ST_SYNTAX},
        {"2026-11-22T4:23:54Z", ST_SYNTAX},
        {"2026-11-22T04-23-54Z", ST_SYNTAX},
        {"20261122T042354Z", ST_SYNTAX},
        {"2026-11-22T04:23:5", ST_SYNTAX},
        {"2026-00-22T04:23:54Z", ST_RANGE},
        {"2026-13-22T04:23:54Z", ST_RANGE},
        {"2026-11-00T04:23:54Z", ST_RANGE},
        {"2026-11-31T04:23:54Z", ST_RANGE},
        {"2026-02-29T04:23:54Z", ST_RANGE},
        {"2100-02-29T04:23:54Z", ST_RANGE},
        {"2026-11-22T24:00:00Z", ST_RANGE},
        {"2026-11-22T04:60:00Z", ST_RANGE},
        {"2026-11-22T04:23:61Z", ST_RANGE},
        {"2026-11-22T04:23:60Z", ST_RANGE},      /* no leap second at that time */
        {"2026-12-31T23:59:60+01:00", ST_RANGE}, /* 22:59:60 UTC */
        {"1969-12-31T23:59:59.999Z", ST_RANGE},
        {"1970-01-01T00:30:00+01:00", ST_RANGE},
        {"0000-01-01T00:00:00Z", ST_RANGE},
        {"0000-03-01T00:00:00Z", ST_RANGE},
        {"9999-12-31T23:59:59-01:00", ST_RANGE},
    };
    check(time_parse_rfc3339, good, COUNT(good), bad, COUNT(bad));
}

static void test_http_date(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000}, /* the RFC's examples */
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000},
        {"Sun Nov  6 08:49:37 1994", 784111777000},
        {"Sun Nov 16 08:49:37 1994", 784975777000},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777000}, /* not a Monday */
        {"Sunday, 22-Nov-26 04:23:54 GMT", 1795321434000},
        {"Wednesday, 31-Dec-69 23:59:59 GMT", 3155759999000}, /* 2069 */
        {"Saturday, 31-Dec-99 23:59:59 GMT", 946684799000},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228799999},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799000},
    };
    static const struct bad bad[] = {
        {"", ST_SYNTAX},
        {"120", ST_SYNTAX},
        {"Sun", ST_SYNTAX},
        {"Sun, 06 Nov 1994 08:49:37", ST_SYNTAX},
        {"Sun, 06 Nov 1994 08:49:37 UTC", ST_SYNTAX},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", ST_SYNTAX},
        {"sun, 06 nov 1994 08:49:37 gmt", ST_SYNTAX}, /* case counts */
        {"Sun, 6 Nov 1994 08:49:37 GMT", ST_SYNTAX},
        {"Sun, 06 Foo 1994 08:49:37 GMT", ST_SYNTAX},
        {"Abc, 06 Nov 1994 08:49:37 GMT", ST_SYNTAX},
        {"Sun, 06-Nov-94 08:49:37 GMT", ST_SYNTAX},
        {"Sunday, 06 Nov 1994 08:49:37 GMT", ST_SYNTAX},
        {"Sun Nov 6 08:49:37 1994", ST_SYNTAX},
        {"Sun Nov 06 08:49:37 94", ST_SYNTAX},
        {"Sun Nov  6 08:49:37 1994 GMT", ST_SYNTAX},
        {"2026-11-22T04:23:54Z", ST_SYNTAX},
        {"Sun, 31 Nov 1994 08:49:37 GMT", ST_RANGE},
        {"Sun, 06 Nov 1994 24:49:37 GMT", ST_RANGE},
        {"Sun, 06 Nov 1969 08:49:37 GMT", ST_RANGE},
    };
    check(time_parse_http_date, good, COUNT(good), bad, COUNT(bad));
}

static void check_against_libc(struct buf *buf, uint64_t unix_ms)
{
    char expected[64];
    struct tm tm;
    time_t seconds = (time_t)(unix_ms / 1000);
    uint64_t back = UNTOUCHED;
    assert_non_null(gmtime_r(&seconds, &tm));

    buf_clear(buf);
    time_format_http_date(buf, unix_ms);
    size_t len = strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    assert_true(slice_eq(buf_slice(buf), slice_of(expected, len)));
    assert_int_equal(time_parse_http_date(buf_slice(buf), &back), ST_OK);
    assert_true(back == unix_ms - unix_ms % 1000);

    buf_clear(buf);
    time_format_rfc3339(buf, unix_ms);
    len = strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.", &tm);
    assert_int_equal(buf->len, 24);
    assert_memory_equal(buf->ptr, expected, len);
    assert_int_equal(time_parse_rfc3339(buf_slice(buf), &back), ST_OK);
    assert_true(back == unix_ms);
}

/* Each day of 1970 to 2110, and random times up to 9999, as the C library has them. */
static void test_calendar_agrees_with_libc(void **state)
{
    (void)state;
    struct buf buf;
    struct rng rng;
    buf_init(&buf, 64);
    rng_seed(&rng, 5);
    for (uint64_t day = 0; day < 140 * 366; day++)
        check_against_libc(&buf, day * 86400000 + rng_below(&rng, 86400000));
    for (int i = 0; i < 20000; i++)
        check_against_libc(&buf, rng_below(&rng, LAST_MS + 1));
    for (uint64_t year_end = 0; year_end < 8000; year_end++) {
        char text[32];
        uint64_t ms;
        int len =
            snprintf(text, sizeof(text), "%04u-12-31T23:59:59.999Z", 1970 + (unsigned)year_end);
        if (1970 + year_end > 9999)
            break;
        assert_int_equal(time_parse_rfc3339(slice_of(text, (size_t)len), &ms), ST_OK);
        check_against_libc(&buf, ms);
        check_against_libc(&buf, ms < LAST_MS ? ms + 1 : ms);
    }
    buf_free(&buf);
}

/* What cannot be written as four digits of a year becomes the last that can. */
static void test_far_future_is_clamped(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 128);
    time_format_rfc3339(&buf, LAST_MS + 1);
    time_format_rfc3339(&buf, UINT64_MAX);
    time_format_http_date(&buf, UINT64_MAX);
    assert_true(slice_eq(buf_slice(&buf), SLICE("9999-12-31T23:59:59.999Z"
                                                "9999-12-31T23:59:59.999Z"
                                                "Fri, 31 Dec 9999 23:59:59 GMT")));
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_http_date),
        cmocka_unit_test(test_calendar_agrees_with_libc),
        cmocka_unit_test(test_far_future_is_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
