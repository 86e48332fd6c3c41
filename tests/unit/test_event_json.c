/* test_event_json.c - an event as a JSON object: all its members, whatever its data is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "wire/event_json.h"
#include "wire/scheme.h"

static const struct event_record records[] = {
    {.type = SLICE("a.b"), .timestamp_ms = 0, .data = SLICE("{\"n\": 1.0}")},
    {.type = SLICE("a"),
     .timestamp_ms = 1763790307139,
     .data = SLICE("null"),
     .version = SLICE("2"),
     .source = SLICE("a \"shop\"\n")},
    {.type = SLICE("a"), .data = SLICE("x=1&y=\""), .data_kind = EVENT_DATA_TEXT},
    {.type = SLICE("a"), .data = SLICE("\xff\x00"), .data_kind = EVENT_DATA_BYTES},
    {.type = SLICE("a"), .data = SLICE_NULL, .data_kind = EVENT_DATA_TEXT},
    {.type = SLICE("a"), .data = SLICE("1"), .ordering_key = SLICE("o\"17")},
};

static void test_every_member(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{\"id\":\"msg_1\",\"type\":\"a.b\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
        "\"data\":{\"n\": 1.0},\"version\":null,\"source\":null}",
        "{\"id\":\"msg_1\",\"type\":\"a\",\"timestamp\":\"2025-11-22T05:45:07.139Z\","
        "\"data\":null,\"version\":\"2\",\"source\":\"a \\\"shop\\\"\\n\"}",
        "{\"id\":\"msg_1\",\"type\":\"a\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
        "\"data\":\"x=1&y=\\\"\",\"version\":null,\"source\":null}",
        "{\"id\":\"msg_1\",\"type\":\"a\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
        "\"data\":{\"base64\":\"/wA=\"},\"version\":null,\"source\":null}",
        "{\"id\":\"msg_1\",\"type\":\"a\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
        "\"data\":\"\",\"version\":null,\"source\":null}",
        "{\"id\":\"msg_1\",\"type\":\"a\",\"timestamp\":\"1970-01-01T00:00:00.000Z\","
        "\"data\":1,\"version\":null,\"source\":null,\"orderingKey\":\"o\\\"17\"}",
    };
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        struct buf buf;
        buf_init(&buf, 1000);
        event_json_write(&buf, SLICE("msg_1"), &records[i]);
        assert_int_equal(buf_status(&buf), ST_OK);
        assert_int_equal(json_check(buf_slice(&buf), NULL), ST_OK);
        if (!slice_eq(buf_slice(&buf), slice_str(expected[i])))
            fail_msg("row %zu: %.*s", i, SLICE_ARGS(buf_slice(&buf)));
        buf_free(&buf);
    }
}

/* Who moves from HTTP with the scheme `event` to a stream reads the same. */
static void test_it_is_what_the_scheme_event_sends(void **state)
{
    (void)state;
    struct scheme_set *schemes = scheme_set_new();
    const struct scheme *scheme = scheme_find(schemes, SLICE("event"));
    assert_non_null(scheme);
    for (size_t i = 0; i < 2; i++) {
        struct scheme_event event = {.id = SLICE("msg_1"),
                                     .type = records[i].type,
                                     .timestamp_ms = records[i].timestamp_ms,
                                     .data = records[i].data,
                                     .version = records[i].version,
                                     .source = records[i].source};
        struct buf buf, body;
        buf_init(&buf, 1000);
        buf_init(&body, 1000);
        event_json_write(&buf, event.id, &records[i]);
        assert_true(slice_eq(buf_slice(&buf), scheme_body(scheme, &event, &body)));
        buf_free(&buf);
        buf_free(&body);
    }
    scheme_set_free(schemes);
}

/* What does not fit is told by the buffer. */
static void test_no_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        struct buf buf;
        buf_init(&buf, 90);
        event_json_write(&buf, SLICE("msg_1"), &records[i]);
        assert_int_not_equal(buf_status(&buf), ST_OK);
        buf_free(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member),
        cmocka_unit_test(test_it_is_what_the_scheme_event_sends),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
