/* test_event_data.c - what received bytes are taken for, and how they look in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "wire/event_data.h"

/* By the bytes; for what is no object or array by the content type as well. */
static void test_every_kind(void **state)
{
    (void)state;
    static const struct {
        struct slice data, type;
        enum event_data kind;
        struct slice json;
    } table[] = {
        {SLICE("{\"a\":1}"), SLICE("application/json"), EVENT_DATA_JSON, SLICE("{\"a\":1}")},
        {SLICE("{\"a\":1}"), SLICE("text/plain"), EVENT_DATA_JSON, SLICE("{\"a\":1}")},
        {SLICE(" \r\n\t[1]\n"), SLICE_NULL, EVENT_DATA_JSON, SLICE(" \r\n\t[1]\n")},
        {SLICE("12"), SLICE("application/json"), EVENT_DATA_JSON, SLICE("12")},
        {SLICE("12"), SLICE("Application/X+JSON ; charset=utf-8"), EVENT_DATA_JSON, SLICE("12")},
        {SLICE("12"), SLICE("text/plain"), EVENT_DATA_TEXT, SLICE("\"12\"")},
        {SLICE("12"), SLICE_NULL, EVENT_DATA_TEXT, SLICE("\"12\"")},
        {SLICE("12"), SLICE("application/xjson"), EVENT_DATA_TEXT, SLICE("\"12\"")},
        {SLICE("12"), SLICE("json"), EVENT_DATA_TEXT, SLICE("\"12\"")},
        {SLICE("{\"a\":"), SLICE("application/json"), EVENT_DATA_TEXT, SLICE("\"{\\\"a\\\":\"")},
        {SLICE("a=1&b=Zo\xc3\xab"), SLICE("application/x-www-form-urlencoded"), EVENT_DATA_TEXT,
         SLICE("\"a=1&b=Zo\xc3\xab\"")},
        {SLICE("<a/>\0\x1f"), SLICE("text/xml"), EVENT_DATA_TEXT, SLICE("\"<a/>\\u0000\\u001f\"")},
        {SLICE(""), SLICE("application/json"), EVENT_DATA_TEXT, SLICE("\"\"")},
        {SLICE_NULL, SLICE_NULL, EVENT_DATA_TEXT, SLICE("\"\"")},
        {SLICE("\xff\xfe"), SLICE("application/octet-stream"), EVENT_DATA_BYTES,
         SLICE("{\"base64\":\"//4=\"}")},
        {SLICE("{\"a\":\"\xff\"}"), SLICE("application/json"), EVENT_DATA_BYTES,
         SLICE("{\"base64\":\"eyJhIjoi/yJ9\"}")},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct buf buf;
        buf_init(&buf, 1000);
        buf_add_str(&buf, "before");
        enum event_data kind = event_data_kind(table[i].data, table[i].type);
        if (kind != table[i].kind)
            fail_msg("row %zu is %d", i, (int)kind);
        struct event_record record = {.data = table[i].data, .data_kind = kind};
        struct slice json = event_data_json(&record, &buf);
        if (!slice_eq(json, table[i].json))
            fail_msg("row %zu: %.*s", i, SLICE_ARGS(json));
        assert_int_equal(json_check(json, NULL), ST_OK);
        if (kind == EVENT_DATA_JSON)
            assert_ptr_equal(json.ptr, table[i].data.ptr);
        buf_free(&buf);
    }
}

/* What does not fit is told by the buffer. */
static void test_no_room(void **state)
{
    (void)state;
    struct buf buf;
    struct event_record record = {.data = SLICE("12345678"), .data_kind = EVENT_DATA_TEXT};
    buf_init(&buf, 9);
    (void)event_data_json(&record, &buf);
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
