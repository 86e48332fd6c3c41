/* test_lib_feed.c - the C library: the command that feeds an event, and what Redis answers to it.
 * tests/e2e/test_library.py feeds a real Redis. Uses nothing but the public headers and hiredis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <trotline/feed_hiredis.h>

static const char *words[TROTLINE_FEED_ARGUMENTS];
static size_t bytes[TROTLINE_FEED_ARGUMENTS], count;

/* The words as one text. */
static void expect_command(const struct trotline_feed_entry *entry, const char *command)
{
    char text[256] = "";
    size_t len = 0;
    assert_int_equal(trotline_feed_arguments(entry, words, bytes, &count), TROTLINE_OK);
    assert_true(count <= TROTLINE_FEED_ARGUMENTS);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + len, words[i], bytes[i]);
        len += bytes[i];
        text[len++] = ' ';
    }
    text[len - 1] = '\0';
    assert_string_equal(text, command);
}

static void test_commands(void **state)
{
    (void)state;
    struct trotline_feed_entry entry = {.event = trotline_slice_str("{}")};
    expect_command(&entry, "XADD tl:{0}:feed * e {}");
    entry.idempotency_key = "k 1";
    expect_command(&entry, "XADD tl:{0}:feed * e {} k k 1");
    entry.application = "default";
    expect_command(&entry, "XADD tl:{0}:feed * e {} app default k k 1");
    entry.key = "other:{0}:feed:orders";
    entry.idempotency_key = NULL;
    expect_command(&entry, "XADD other:{0}:feed:orders * e {} app default");
    entry.event = trotline_slice_of("\x81\0\xc0", 3); /* bytes are bytes */
    assert_int_equal(trotline_feed_arguments(&entry, words, bytes, &count), TROTLINE_OK);
    assert_ptr_equal(words[4], entry.event.at);
    assert_int_equal(bytes[4], 3);
}

static void test_refused(void **state)
{
    (void)state;
    char key[258];
    memset(key, 'k', 257);
    key[257] = '\0';
    struct trotline_slice event = trotline_slice_str("{}");
    const struct trotline_feed_entry bad[] = {
        {.event = trotline_slice_of(NULL, 0)},
        {.event = trotline_slice_of("", 0)},
        {.event = event, .key = ""},
        {.event = event, .application = ""},
        {.event = event, .idempotency_key = ""},
        {.event = event, .idempotency_key = key},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(trotline_feed_arguments(&bad[i], words, bytes, &count),
                         TROTLINE_INVALID_ARGUMENT);
    struct trotline_feed_entry good = {.event = event, .idempotency_key = key + 1};
    assert_int_equal(trotline_feed_arguments(&good, words, bytes, &count), TROTLINE_OK);
    assert_int_equal(trotline_feed_arguments(NULL, words, bytes, &count),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_feed_arguments(&good, NULL, bytes, &count),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_feed_arguments(&good, words, bytes, NULL), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_feed(NULL, &good, NULL), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_feed_append(NULL, &good), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_feed_async(NULL, &good, NULL, NULL), TROTLINE_INVALID_ARGUMENT);
}

static redisReply reply_of(int type, char *text)
{
    redisReply reply;
    memset(&reply, 0, sizeof(reply));
    reply.type = type;
    reply.str = text;
    reply.len = text ? strlen(text) : 0;
    return reply;
}

static void test_answers(void **state)
{
    (void)state;
    char id[] = "1700000000000-0", queued[] = "QUEUED", no[] = "OOM command not allowed";
    char too_long[64], long_error[400];
    memset(too_long, '1', sizeof(too_long));
    too_long[sizeof(too_long) - 1] = '\0';
    memset(long_error, 'E', sizeof(long_error));
    long_error[sizeof(long_error) - 1] = '\0';
    const struct {
        int type;
        char *text;
        enum trotline_status status;
        const char *id, *error;
    } table[] = {
        {REDIS_REPLY_STRING, id, TROTLINE_OK, id, ""},
        {REDIS_REPLY_STATUS, queued, TROTLINE_OK, "", ""},
        {REDIS_REPLY_ERROR, no, TROTLINE_REFUSED, "", no},
        {REDIS_REPLY_ERROR, long_error, TROTLINE_REFUSED, "", NULL},
        {REDIS_REPLY_STRING, too_long, TROTLINE_REFUSED, "", NULL},
        {REDIS_REPLY_STATUS, id, TROTLINE_REFUSED, "", NULL},
        {REDIS_REPLY_NIL, NULL, TROTLINE_REFUSED, "", NULL},
        {REDIS_REPLY_INTEGER, NULL, TROTLINE_REFUSED, "", NULL},
    };
    struct trotline_feed_result result;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        redisReply reply = reply_of(table[i].type, table[i].text);
        memset(&result, 'x', sizeof(result));
        assert_int_equal(trotline_feed_answer(&reply, &result), table[i].status);
        assert_string_equal(result.id, table[i].id);
        if (table[i].error)
            assert_string_equal(result.error, table[i].error);
        else
            assert_in_range(strlen(result.error), 1, sizeof(result.error) - 1);
        assert_int_equal(trotline_feed_answer(&reply, NULL), table[i].status);
    }
    assert_int_equal(trotline_feed_answer(NULL, &result), TROTLINE_LOST);
    assert_string_equal(result.error, "the connection ended");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
