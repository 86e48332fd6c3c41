/* test_json_msgpack.c - JSON as msgpack: the bytes, the way back, and numbers that are exact or
 * refused. test_lib_event.c has whole events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "base/json_scan.h"
#include "base/rng.h"
#include "wire/encoding.h"
#include "wire/json_msgpack.h"
#include "wire/msgpack_json.h"

enum { DEPTH_MAX = 64 };

static enum status convert(const char *json, struct buf *out, struct field_error *error)
{
    struct slice text = slice_str(json);
    assert_int_equal(json_check(text, NULL), ST_OK);
    buf_init(out, SIZE_MAX);
    return json_msgpack(text, "data", out, error);
}

/* The smallest form of each value, as the specification has it. */
static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *json, *hex;
    } table[] = {
        {"null", "c0"},
        {"false", "c2"},
        {"127", "7f"},
        {"128", "cc80"},
        {"-32", "e0"},
        {"-33", "d0df"},
        {"65536", "ce00010000"},
        {"1.0", "cb3ff0000000000000"},
        {"1e2", "cb4059000000000000"},
        {"\"\"", "a0"},
        {"\"\\u0041\\n\"", "a2410a"},
        {"[ 1 , [ ] , { } ]", "93019080"},
        {"{\"a\":[1,2],\"b\":{\"c\":null}}", "82a1619201"
                                             "02a16281a163c0"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct field_error error;
        struct buf out, hex;
        buf_init(&hex, 256);
        assert_int_equal(convert(table[i].json, &out, &error), ST_OK);
        hex_encode(&hex, buf_slice(&out));
        assert_true(slice_eq(buf_slice(&hex), slice_str(table[i].hex)));
        buf_free(&out);
        buf_free(&hex);
    }
}

/* A container of sixteen and more has a longer head; its parts are counted right. */
static void test_long_containers(void **state)
{
    (void)state;
    struct buf json, out, back;
    struct field_error error;
    buf_init(&json, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    buf_init(&back, SIZE_MAX);
    buf_add_char(&json, '[');
    for (int i = 0; i < 70000; i++)
        buf_addf(&json, "%s{\"n\":%d}", i > 0 ? "," : "", i);
    buf_add_char(&json, ']');
    assert_int_equal(json_msgpack(buf_slice(&json), "data", &out, &error), ST_OK);
    assert_int_equal((unsigned char)out.ptr[0], 0xdd); /* array 32 */
    struct mp_reader reader;
    mp_reader_init(&reader, buf_slice(&out));
    assert_int_equal(msgpack_json(&reader, "data", DEPTH_MAX, &back, &error), ST_OK);
    assert_true(slice_eq(buf_slice(&json), buf_slice(&back)));
    buf_free(&json);
    buf_free(&out);
    buf_free(&back);
}

/* What is refused is named by its path, also when that is longer than there is room for. */
static void test_paths(void **state)
{
    (void)state;
    char deep[600] = "", want[96] = "data";
    for (int i = 0; i < 60; i++)
        strcat(deep, "{\"abc\":");
    strcat(deep, "1e999");
    for (int i = 0; i < 60; i++)
        strcat(deep, "}");
    while (strlen(want) < 92)
        strncat(want, ".abc", sizeof(want) - 1 - strlen(want));
    strcat(want, ".ab");
    const struct {
        const char *json, *field;
    } table[] = {
        {"1e999", "data"},
        {"[[],1e999]", "data[1]"},
        {"[[0],{\"a\":0},{\"b\":[0,1e999]}]", "data[2].b[1]"},
        {deep, want},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct field_error error;
        struct buf out;
        assert_int_equal(convert(table[i].json, &out, &error), ST_RANGE);
        assert_string_equal(error.code, "unsupported_value");
        assert_string_equal(error.field, table[i].field);
        buf_free(&out);
    }
}

/* A random number with few or many digits and any exponent. */
static void number_make(struct rng *rng, char text[80])
{
    int len = snprintf(text, 80, "%s%d", rng_below(rng, 2) ? "-" : "", (int)rng_below(rng, 10));
    size_t digits = rng_below(rng, 25), fraction = rng_below(rng, 25);
    for (size_t i = 0; i < digits && text[len - 1] != '0'; i++)
        text[len++] = (char)('0' + rng_below(rng, 10));
    if (rng_below(rng, 2)) {
        text[len++] = '.';
        for (size_t i = 0; i <= fraction; i++)
            text[len++] = (char)('0' + rng_below(rng, 10));
    }
    text[len] = '\0';
    if (rng_below(rng, 2))
        snprintf(text + len, 80 - (size_t)len, "e%d", (int)rng_below(rng, 700) - 350);
}

/* Each number comes back as the same number, or is refused; short ones are never refused. */
static void test_numbers(void **state)
{
    (void)state;
    struct rng rng;
    size_t kept = 0;
    rng_seed(&rng, 7);
    for (int round = 0; round < 50000; round++) {
        char text[80];
        struct field_error error;
        struct buf out, back;
        number_make(&rng, text);
        if (json_check(slice_str(text), NULL) != ST_OK)
            continue; /* a leading zero */
        enum status status = convert(text, &out, &error);
        bool is_short = strlen(text) <= 15 && !strchr(text, 'e');
        assert_true(status == ST_OK || (status == ST_RANGE && !is_short));
        buf_init(&back, 128);
        if (status == ST_OK) {
            struct mp_reader reader;
            mp_reader_init(&reader, buf_slice(&out));
            assert_int_equal(msgpack_json(&reader, "data", DEPTH_MAX, &back, &error), ST_OK);
            struct decimal before = decimal_read(slice_str(text));
            struct decimal after = decimal_read(buf_slice(&back));
            assert_int_equal(decimal_compare(&before, &after), 0);
            kept++;
        }
        buf_free(&out);
        buf_free(&back);
    }
    assert_true(kept > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_long_containers),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
