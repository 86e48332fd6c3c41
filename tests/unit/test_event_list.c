/* test_event_list.c - several events as one body: exactly these bytes, valid JSON, taken out again
 * without a trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/json_scan.h"
#include "wire/event_list.h"

static struct buf buf;

static const struct event_record plain = {
    .type = SLICE("order.created"), .timestamp_ms = 1700000000123, .data = SLICE("{\"a\":1}")};
static const struct event_record full = {.type = SLICE("b"),
                                         .timestamp_ms = 0,
                                         .data = SLICE("[1,\n\"x\\ny\"\r\n]"),
                                         .version = SLICE("1\"2"),
                                         .source = SLICE("/s"),
                                         .ordering_key = SLICE("k\n"),
                                         .duplicate_of = SLICE("msg_0")};

#define PLAIN                                                                                      \
    "{\"id\":\"msg_1\",\"type\":\"order.created\",\"timestamp\":\"2023-11-14T22:13:20.123Z\","     \
    "\"data\":{\"a\":1},\"version\":null,\"source\":null}"
#define FULL(data)                                                                                 \
    "{\"id\":\"msg_2\",\"type\":\"b\",\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"data\":" data   \
    ",\"version\":\"1\\\"2\",\"source\":\"/s\",\"orderingKey\":\"k\\n\","                          \
    "\"duplicateOf\":\"msg_0\"}"

static int set_up(void **state)
{
    (void)state;
    buf_init(&buf, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&buf);
    return 0;
}

static struct slice body_of(enum event_list_form form, int plains, int fulls)
{
    struct event_list list;
    buf_clear(&buf);
    buf_add_str(&buf, "in front");
    event_list_begin(&list, form, &buf);
    for (int i = 0; i < plains; i++)
        event_list_add(&list, SLICE("msg_1"), &plain);
    for (int i = 0; i < fulls; i++)
        event_list_add(&list, SLICE("msg_2"), &full);
    assert_int_equal(list.count, plains + fulls);
    size_t bytes = event_list_bytes(&list);
    struct slice body = event_list_end(&list);
    assert_int_equal(bytes, body.len);
    return body;
}

static void assert_body(struct slice body, const char *expected)
{
    assert_int_equal(body.len, strlen(expected));
    assert_memory_equal(body.ptr, expected, body.len);
}

/* An array, in which data stands byte for byte, and members that an event does not have do not. */
static void test_json(void **state)
{
    (void)state;
    struct slice body = body_of(EVENT_LIST_JSON, 2, 1);
    assert_body(body, "[" PLAIN "," PLAIN "," FULL("[1,\n\"x\\ny\"\r\n]") "]");
    assert_int_equal(json_check(body, NULL), ST_OK);
    assert_body(body_of(EVENT_LIST_JSON, 1, 0), "[" PLAIN "]");
}

/* A line each, also of data with line breaks; those inside strings are escapes and stay. */
static void test_lines(void **state)
{
    (void)state;
    assert_body(body_of(EVENT_LIST_NDJSON, 1, 1), PLAIN "\n" FULL("[1, \"x\\ny\"  ]") "\n");
}

/* An event that is taken out again leaves nothing behind, not even a comma. */
static void test_undo(void **state)
{
    (void)state;
    for (enum event_list_form form = EVENT_LIST_JSON; form <= EVENT_LIST_NDJSON; form++) {
        struct event_list list;
        buf_clear(&buf);
        event_list_begin(&list, form, &buf);
        event_list_add(&list, SLICE("msg_1"), &plain);
        size_t mark = event_list_mark(&list), bytes = event_list_bytes(&list);
        event_list_add(&list, SLICE("msg_2"), &full);
        assert_true(event_list_bytes(&list) > bytes);
        event_list_undo(&list, mark);
        assert_int_equal(event_list_bytes(&list), bytes);
        assert_int_equal(list.count, 1);
        assert_body(event_list_end(&list), form == EVENT_LIST_JSON ? "[" PLAIN "]" : PLAIN "\n");
    }
}

/* What is guessed is near what it takes when nothing must be escaped, with an id of full length. */
static void test_estimate(void **state)
{
    (void)state;
    struct event_list list;
    static const struct event_record *const records[] = {&plain, &full};
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&buf);
        event_list_begin(&list, EVENT_LIST_NDJSON, &buf);
        event_list_add(&list, SLICE("msg_0123456789012345678901234567"), records[i]);
        size_t estimate = event_list_estimate(records[i]), bytes = event_list_bytes(&list);
        assert_in_range(estimate, bytes - 10, bytes + 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_estimate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
