/* test_buf.c - the growable buffer: limits, the sticky error, numbers, and a long random life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/rng.h"

/* Lets malloc fail as it does without AddressSanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

#define expect_content(buf, literal) assert_true(slice_eq(buf_slice(buf), SLICE(literal)))

/* An empty buffer has no memory, and freeing one leaves one. */
static void test_empty(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_null(buf.ptr);
    assert_int_equal(buf_slice(&buf).len, 0);
    buf_add(&buf, NULL, 0);
    buf_add_slice(&buf, SLICE_NULL);
    buf_add_str(&buf, "");
    buf_drop_front(&buf, 5);
    assert_null(buf.ptr);
    assert_int_equal(buf_status(&buf), ST_OK);
    buf_free(&buf);
    buf_add_str(&buf, "1234567890");
    expect_content(&buf, "1234567890");
    buf_free(&buf);
    assert_null(buf.ptr);
    assert_int_equal(buf.max, 10);
    buf_free(&buf);
}

/* Exactly the maximum fits, by every way of adding; one byte more changes nothing but the status,
 * which stays until buf_clear(). */
static void test_maximum(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct buf buf;
        buf_init(&buf, 8);
        buf_add_str(&buf, "123");
        if (way == 0)
            buf_add_str(&buf, "45678");
        else if (way == 1)
            buf_addf(&buf, "%d%s", 45, "678");
        else if (way == 2)
            buf_add_u64(&buf, 45678);
        else
            memcpy(buf_reserve(&buf, 5), "45678", 5), buf.len += 5;
        assert_int_equal(buf_status(&buf), ST_OK);
        expect_content(&buf, "12345678");

        if (way == 0)
            buf_add_char(&buf, '9');
        else if (way == 1)
            buf_addf(&buf, "%d", 9);
        else if (way == 2)
            buf_add_i64(&buf, -9);
        else
            assert_null(buf_reserve(&buf, 1));
        assert_int_equal(buf_status(&buf), ST_LIMIT);
        expect_content(&buf, "12345678");

        buf_drop_front(&buf, 8);
        buf_add_char(&buf, 'x'); /* there would be room now, but something is missing already */
        buf_addf(&buf, "x");
        assert_null(buf_reserve(&buf, 1));
        assert_int_equal(buf.len, 0);
        buf_clear(&buf);
        buf_add_char(&buf, 'x');
        assert_int_equal(buf_status(&buf), ST_OK);
        expect_content(&buf, "x");
        buf_free(&buf);
    }
}

/* A text that does not fit is not added in part. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    buf_add_str(&buf, "12345");
    buf_addf(&buf, "%s", "6789");
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    expect_content(&buf, "12345");
    buf_free(&buf);
}

/* Room is real and does not move while it lasts; no room asked for is still a place. */
static void test_reserve(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    assert_non_null(buf_reserve(&buf, 0));
    char *place = buf_reserve(&buf, 1000);
    assert_non_null(place);
    memset(place, 'a', 1000);
    buf.len = 900;
    assert_ptr_equal(buf_reserve(&buf, 100), place + 900);
    assert_null(buf_reserve(&buf, 101));
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    buf_free(&buf);

    buf_init(&buf, 0);
    assert_non_null(buf_reserve(&buf, 0));
    buf_addf(&buf, "%s", "");
    assert_int_equal(buf_status(&buf), ST_OK);
    buf_add_char(&buf, 'x');
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    buf_free(&buf);
}

/* Room that is expected is there and stays; more than the maximum, or than there is memory, is no
 * failure. */
static void test_expect(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    buf_expect(&buf, 0);
    assert_null(buf.ptr);
    buf_add_str(&buf, "abc");
    buf_expect(&buf, 500);
    assert_true(buf.cap >= 500);
    const char *place = buf_reserve(&buf, 497);
    assert_ptr_equal(place, buf.ptr + 3);
    buf_expect(&buf, 10);
    assert_true(buf.cap >= 500);
    buf_expect(&buf, 5000);
    assert_int_equal(buf.cap, 1000);
    expect_content(&buf, "abc");
    buf_free(&buf);

    buf_init(&buf, SIZE_MAX);
    buf_add_str(&buf, "abc");
    buf_expect(&buf, SIZE_MAX / 2);
    assert_int_equal(buf_status(&buf), ST_OK);
    buf_add_str(&buf, "d");
    expect_content(&buf, "abcd");
    buf_free(&buf);
}

/* Sizes near SIZE_MAX do not wrap: more than the maximum is ST_LIMIT, more than there is ST_NOMEM.
 */
static void test_absurd_sizes(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_add_char(&buf, 'x');
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    buf_free(&buf);

    buf_init(&buf, SIZE_MAX);
    buf_add_char(&buf, 'x');
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    expect_content(&buf, "x");
    buf_free(&buf);
}

/* What the allocator refuses is ST_NOMEM, and what was there stays. The amount is more than an
 * address space, so that no overcommitment grants it. */
static void test_no_memory(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    buf_add_str(&buf, "kept");
    (void)buf_reserve(&buf, SIZE_MAX / 8);
    assert_int_equal(buf_status(&buf), ST_NOMEM);
    expect_content(&buf, "kept");
    buf_free(&buf);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t number;
        const char *text;
    } table[] = {
        {0, "0"},
        {7, "7"},
        {10, "10"},
        {-1, "-1"},
        {-10, "-10"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    struct buf buf;
    buf_init(&buf, 100);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        buf_clear(&buf);
        buf_add_i64(&buf, table[i].number);
        assert_true(slice_eq(buf_slice(&buf), slice_str(table[i].text)));
        if (table[i].number < 0)
            continue;
        buf_clear(&buf);
        buf_add_u64(&buf, (uint64_t)table[i].number);
        assert_true(slice_eq(buf_slice(&buf), slice_str(table[i].text)));
    }
    buf_clear(&buf);
    buf_add_u64(&buf, UINT64_MAX);
    expect_content(&buf, "18446744073709551615");
    buf_free(&buf);
}

static void test_drop_front(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_add_str(&buf, "abcdef");
    buf_drop_front(&buf, 0);
    expect_content(&buf, "abcdef");
    buf_drop_front(&buf, 2);
    expect_content(&buf, "cdef");
    buf_drop_front(&buf, 4);
    assert_int_equal(buf.len, 0);
    buf_add_str(&buf, "g");
    buf_drop_front(&buf, SIZE_MAX);
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
}

/* Nothing is reserved behind it; what it holds stays, and it still grows. */
static void test_fit(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    buf_fit(&buf);
    assert_int_equal(buf.cap, 0);
    buf_add_str(&buf, "of five bytes");
    buf_fit(&buf);
    assert_int_equal(buf.cap, buf.len);
    buf_add_str(&buf, " and more");
    assert_int_equal(buf_status(&buf), ST_OK);
    assert_true(slice_eq(buf_slice(&buf), SLICE("of five bytes and more")));
    buf_free(&buf);
}

/* Against an array that is always large enough: content, length and status agree at every step. */
static void test_against_an_array(void **state)
{
    (void)state;
    enum { MAX = 5000 };
    static char model[MAX], bytes[700];
    struct rng rng;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct buf buf;
        size_t len = 0;
        bool failed = false;
        rng_seed(&rng, seed);
        buf_init(&buf, MAX);
        for (int step = 0; step < 2000; step++) {
            size_t n = (size_t)rng_below(&rng, sizeof(bytes));
            memset(bytes, 'a' + (int)rng_below(&rng, 26), sizeof(bytes));
            switch (rng_below(&rng, 8)) {
            case 0:
                buf_drop_front(&buf, n);
                n = n < len ? n : len;
                memmove(model, model + n, len - n);
                len -= n;
                continue;
            case 1:
                if (failed || rng_below(&rng, 9) == 0) {
                    buf_clear(&buf);
                    len = 0;
                    failed = false;
                }
                continue;
            case 2:
                buf_addf(&buf, "%.*s", (int)n, bytes);
                break;
            default:
                buf_add(&buf, bytes, n);
                break;
            }
            failed = failed || n > MAX - len;
            if (!failed) {
                memcpy(model + len, bytes, n);
                len += n;
            }
            assert_int_equal(buf_status(&buf), failed ? ST_LIMIT : ST_OK);
            assert_true(slice_eq(buf_slice(&buf), slice_of(model, len)));
        }
        buf_free(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_drop_front),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_against_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
