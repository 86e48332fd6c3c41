/* test_replicas.c - the body of GET /api/replicas from what Redis has, also from what it should not
 * have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/replicas.h"

static enum status render(const char *resp, struct buf *body)
{
    struct redis_reader *reader = redis_reader_new();
    const struct redis_value *value = NULL;
    assert_non_null(reader);
    assert_int_equal(redis_reader_feed(reader, resp, strlen(resp)), ST_OK);
    assert_int_equal(redis_reader_next(reader, &value), ST_OK);
    assert_non_null(value);
    buf_init(body, 64 * 1024);
    enum status status = replicas_render(value, "00000000000000aa", body);
    redis_reader_free(reader);
    return status;
}

static void expect(const char *resp, const char *json)
{
    struct buf body;
    assert_int_equal(render(resp, &body), ST_OK);
    buf_add_char(&body, '\0');
    assert_string_equal(body.ptr, json);
    buf_free(&body);
}

#define INFO_A                                                                                     \
    "{\"host\":\"h\",\"pid\":7,\"url\":\"http://h:1\",\"version\":\"1\",\"startedAt\":"            \
    "\"2026-11-22T10:00:01.000Z\",\"draining\":true}"
#define INFO_B "{\"startedAt\":\"2026-11-22T10:00:00.000Z\",\"pid\":\"x\",\"host\":1,\"more\":[]}"

/* Sorted by age; what a replica has not told, or told as something else, is null. */
static void test_replicas(void **state)
{
    (void)state;
    expect("*2\r\n:1760000000000\r\n:0\r\n",
           "{\"replicas\":[],\"lanes\":256,\"free\":256,\"count\":0}");
    expect("*14\r\n:1760000000000\r\n:206\r\n"
           "$16\r\n00000000000000aa\r\n:1760000000000\r\n:200\r\n$108\r\n" INFO_A "\r\n"
           "$16\r\n00000000000000bb\r\n:1760000001000\r\n:6\r\n$69\r\n" INFO_B "\r\n"
           "$16\r\n00000000000000cc\r\n:1760000002000\r\n:0\r\n$0\r\n\r\n",
           "{\"replicas\":["
           "{\"id\":\"00000000000000cc\",\"host\":null,\"pid\":null,\"url\":null,\"version\":null,"
           "\"startedAt\":null,\"leaseEndsAt\":\"2025-10-09T08:53:22.000Z\",\"draining\":false,"
           "\"lanes\":0,\"self\":false},"
           "{\"id\":\"00000000000000bb\",\"host\":null,\"pid\":null,\"url\":null,\"version\":null,"
           "\"startedAt\":\"2026-11-22T10:00:00.000Z\","
           "\"leaseEndsAt\":\"2025-10-09T08:53:21.000Z\",\"draining\":false,"
           "\"lanes\":6,\"self\":false},"
           "{\"id\":\"00000000000000aa\",\"host\":\"h\",\"pid\":7,\"url\":\"http://h:1\","
           "\"version\":\"1\",\"startedAt\":\"2026-11-22T10:00:01.000Z\","
           "\"leaseEndsAt\":\"2025-10-09T08:53:20.000Z\",\"draining\":true,"
           "\"lanes\":200,\"self\":true}],\"lanes\":256,\"free\":50,\"count\":3}");
}

static void test_what_is_no_such_reply(void **state)
{
    (void)state;
    static const char *const replies[] = {"$-1\r\n", ":1\r\n", "*0\r\n", "*1\r\n:1\r\n",
                                          "*3\r\n:1\r\n:2\r\n$1\r\nx\r\n"};
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        struct buf body;
        assert_int_equal(render(replies[i], &body), ST_SYNTAX);
        buf_free(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replicas),
        cmocka_unit_test(test_what_is_no_such_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
