/* test_json_out.c - the writer's commas and escapes, and that all it writes is JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/rng.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define T(literal)                                                                                 \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static struct buf buf;

static int begin(void **state)
{
    (void)state;
    buf_init(&buf, 4096);
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_free(&buf);
    return 0;
}

static void assert_written(const char *expected)
{
    assert_int_equal(buf_status(&buf), ST_OK);
    if (!slice_eq(buf_slice(&buf), slice_str(expected)))
        fail_msg("%.*s", SLICE_ARGS(buf_slice(&buf)));
    assert_int_equal(json_check(buf_slice(&buf), NULL), ST_OK);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *json;
    } cases[] = {
        {T(""), "\"\""},
        {{NULL, 0}, "\"\""},
        {T("abc"), "\"abc\""},
        {T("\"\\/"), "\"\\\"\\\\/\""},
        {T("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\""},
        {T("a\0b\x01\x1f\x7f"), "\"a\\u0000b\\u0001\\u001f\x7f\""},
        {T("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {T("a\xff"
           "b"),
         "\"a\xef\xbf\xbd"
         "b\""},
        {T("\xc3"), "\"\xef\xbf\xbd\""},
        {T("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {T("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {T("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_clear(&buf);
        json_out_string(&buf, cases[i].text);
        assert_written(cases[i].json);
    }
}

static void test_document(void **state)
{
    (void)state;
    struct json_out out;
    json_out_begin(&out, &buf);
    json_object_open(&out);
    json_member_str(&out, "s", SLICE("x\"y"));
    json_member_cstr(&out, "c", "text");
    json_member_str_or_null(&out, "empty", SLICE(""));
    json_member_str_or_null(&out, "absent", SLICE_NULL);
    json_member_u64(&out, "u", UINT64_MAX);
    json_member_i64(&out, "i", INT64_MIN);
    json_member_bool(&out, "t", true);
    json_member_bool(&out, "f", false);
    json_member_null(&out, "z");
    json_member_raw(&out, "raw", SLICE("{\"kept\" : 1.10}"));
    json_member_time_ms(&out, "at", 1795321434123);
    json_key(&out, "list");
    json_array_open(&out);
    json_value_str(&out, "a");
    json_value_slice(&out, SLICE_NULL);
    json_value_u64(&out, 1);
    json_value_i64(&out, -1);
    json_value_bool(&out, true);
    json_value_null(&out);
    json_value_time_ms(&out, 0);
    json_array_open(&out);
    json_array_close(&out);
    json_object_open(&out);
    json_object_close(&out);
    json_object_open(&out);
    json_key_slice(&out, SLICE("a\nb"));
    json_array_open(&out);
    json_value_raw(&out, SLICE("0"));
    json_array_close(&out);
    json_object_close(&out);
    json_array_close(&out);
    json_member_u64(&out, "last", 0);
    json_object_close(&out);
    assert_written("{\"s\":\"x\\\"y\",\"c\":\"text\",\"empty\":\"\",\"absent\":null,"
                   "\"u\":18446744073709551615,\"i\":-9223372036854775808,\"t\":true,\"f\":false,"
                   "\"z\":null,\"raw\":{\"kept\" : 1.10},\"at\":\"2026-11-22T04:23:54.123Z\","
                   "\"list\":[\"a\",\"\",1,-1,true,null,\"1970-01-01T00:00:00.000Z\",[],{},"
                   "{\"a\\nb\":[0]}],\"last\":0}");
}

/* A writer starts where the buffer's content ends, and one value needs no brackets. */
static void test_behind_other_content(void **state)
{
    (void)state;
    struct json_out out;
    buf_add_str(&buf, "[1,");
    json_out_begin(&out, &buf);
    json_value_str(&out, "two");
    json_out_begin(&out, &buf);
    buf_add_char(&buf, ',');
    json_array_open(&out);
    json_array_close(&out);
    buf_add_char(&buf, ']');
    assert_written("[1,\"two\",[]]");
}

static void test_full_depth(void **state)
{
    (void)state;
    struct json_out out;
    json_out_begin(&out, &buf);
    for (int i = 0; i < JSON_OUT_DEPTH; i++) {
        if (i % 3 == 1)
            json_object_open(&out);
        else
            json_array_open(&out);
        if (i % 3 == 1)
            json_key(&out, "k");
    }
    for (int i = JSON_OUT_DEPTH; i-- > 0;) {
        if (i % 3 == 1)
            json_object_close(&out);
        else
            json_array_close(&out);
    }
    assert_int_equal(json_check(buf_slice(&buf), NULL), ST_OK);
}

/* Whatever the bytes: the string is JSON, and reads back as it was if it was UTF-8. */
static void test_any_bytes(void **state)
{
    (void)state;
    struct rng rng;
    struct buf back;
    rng_seed(&rng, 9);
    buf_init(&back, 4096);
    for (int round = 0; round < 20000; round++) {
        char text[40];
        size_t len = (size_t)rng_below(&rng, sizeof(text) + 1);
        bool ascii = rng_below(&rng, 2);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(rng_next(&rng) & (ascii ? 0x7f : 0xff));
        buf_clear(&buf);
        buf_clear(&back);
        json_out_string(&buf, slice_of(text, len));
        assert_int_equal(json_unescape(buf_slice(&buf), &back), ST_OK);
        if (ascii)
            assert_true(slice_eq(buf_slice(&back), slice_of(text, len)));
    }
    buf_free(&back);
}

/* A buffer that is full fails at the end, wherever that happened. */
static void test_full_buffer(void **state)
{
    (void)state;
    for (size_t max = 0; max < 20; max++) {
        struct buf small;
        struct json_out out;
        buf_init(&small, max);
        json_out_begin(&out, &small);
        json_object_open(&out);
        json_member_str(&out, "name", SLICE("a\nb\xff"));
        json_object_close(&out);
        assert_int_equal(buf_status(&small), max < 18 ? ST_LIMIT : ST_OK);
        buf_free(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_strings, begin, end),
        cmocka_unit_test_setup_teardown(test_document, begin, end),
        cmocka_unit_test_setup_teardown(test_behind_other_content, begin, end),
        cmocka_unit_test_setup_teardown(test_full_depth, begin, end),
        cmocka_unit_test_setup_teardown(test_any_bytes, begin, end),
        cmocka_unit_test_setup_teardown(test_full_buffer, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
