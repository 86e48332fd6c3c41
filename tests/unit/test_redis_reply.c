/* test_redis_reply.c - values of bytes, however the bytes are cut, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "net/redis_reply.h"

/* A value in a readable form: -err +status "string" 7 nil [a b]. */
static void describe(struct buf *to, const struct redis_value *value)
{
    switch (redis_value_type(value)) {
    case REDIS_NIL:
        buf_add_str(to, "nil");
        break;
    case REDIS_STRING:
        buf_addf(to, "\"%.*s\"", SLICE_ARGS(redis_value_text(value)));
        break;
    case REDIS_STATUS:
        buf_addf(to, "+%.*s", SLICE_ARGS(redis_value_text(value)));
        break;
    case REDIS_ERROR:
        buf_addf(to, "-%.*s", SLICE_ARGS(redis_value_text(value)));
        break;
    case REDIS_INTEGER:
        buf_add_i64(to, redis_value_integer(value));
        break;
    case REDIS_ARRAY:
        buf_add_char(to, '[');
        for (size_t i = 0; i < redis_value_count(value); i++) {
            if (i > 0)
                buf_add_char(to, ' ');
            describe(to, redis_value_at(value, i));
        }
        buf_add_char(to, ']');
        break;
    }
}

/* All replies of `bytes` fed in pieces of `piece`, one a line; or the status that ended it. */
static enum status read_all(struct buf *to, const char *bytes, size_t len, size_t piece)
{
    struct redis_reader *reader = redis_reader_new();
    enum status status = ST_OK;
    assert_non_null(reader);
    for (size_t at = 0; at < len && status == ST_OK; at += piece) {
        const struct redis_value *value = NULL;
        status = redis_reader_feed(reader, bytes + at, len - at < piece ? len - at : piece);
        while (status == ST_OK && (status = redis_reader_next(reader, &value)) == ST_OK && value) {
            describe(to, value);
            buf_add_char(to, '\n');
        }
    }
    assert_int_equal(redis_reader_error(reader)[0] != '\0', status != ST_OK);
    redis_reader_free(reader);
    return status;
}

static const struct {
    const char *bytes, *values;
} good[] = {
    {"+OK\r\n", "+OK\n"},
    {"-ERR no\r\n", "-ERR no\n"},
    {":0\r\n:-9223372036854775808\r\n:9223372036854775807\r\n",
     "0\n-9223372036854775808\n9223372036854775807\n"},
    {"$3\r\nabc\r\n$0\r\n\r\n$-1\r\n$4\r\n\r\n\r\n\r\n", "\"abc\"\n\"\"\nnil\n\"\r\n\r\n\"\n"},
    {"*0\r\n*-1\r\n", "[]\nnil\n"},
    {"*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n$-1\r\n+PONG\r\n", "[1 [\"a\" []] nil]\n+PONG\n"},
    {"*2\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n-x y\r\n", "[[[[[[[7]]]]]] -x y]\n"},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        size_t len = strlen(good[i].bytes);
        for (size_t piece = 1; piece <= len; piece++) {
            struct buf values;
            buf_init(&values, 4096);
            assert_int_equal(read_all(&values, good[i].bytes, len, piece), ST_OK);
            buf_add_char(&values, '\0');
            assert_string_equal(values.ptr, good[i].values);
            buf_free(&values);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum status status;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\n", ST_SYNTAX},
        {":12x\r\n", ST_SYNTAX},
        {":9223372036854775808\r\n", ST_SYNTAX},
        {"$-2\r\n", ST_SYNTAX},
        {"*-2\r\n", ST_SYNTAX},
        {"*2147483648\r\n", ST_SYNTAX},
        {"*2000000000\r\n", ST_LIMIT},
        {"*1000000\r\n*1000000\r\n*1000000\r\n*1000000\r\n", ST_LIMIT},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", ST_SYNTAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf values;
        buf_init(&values, 4096);
        assert_int_equal(read_all(&values, rows[i].bytes, strlen(rows[i].bytes), 5),
                         rows[i].status);
        assert_int_equal(values.len, 0);
        buf_free(&values);
    }
}

/* A string that would exceed the limit is refused before it is all there. */
static void test_too_large(void **state)
{
    (void)state;
    enum { PIECE = 1024 * 1024 };
    struct redis_reader *reader = redis_reader_new();
    const struct redis_value *value;
    char *zeros = calloc(1, PIECE);
    enum status status = ST_OK;
    size_t fed = 0;
    assert_non_null(reader);
    assert_non_null(zeros);
    assert_int_equal(redis_reader_feed(reader, "$500000000\r\n", 12), ST_OK);
    while (status == ST_OK && fed < (size_t)500000000) {
        status = redis_reader_feed(reader, zeros, PIECE);
        if (status == ST_OK)
            status = redis_reader_next(reader, &value);
        fed += PIECE;
    }
    assert_int_equal(status, ST_LIMIT);
    assert_true(fed <= (size_t)LIMIT_REDIS_REPLY_BYTES + PIECE);
    free(zeros);
    redis_reader_free(reader);
}

/* Accessors answer something harmless for what is not there. */
/* Byte by byte: no element is told of before it is whole, and what is told of stays. */
static void test_growing(void **state)
{
    (void)state;
    static const char bytes[] = "*1\r\n*2\r\n$4\r\nfeed\r\n*3\r\n*2\r\n+a\r\n*1\r\n:1\r\n$2\r\n"
                                "bc\r\n*0\r\n";
    static const char *const elements[] = {"[+a [1]]", "\"bc\"", "[]"};
    struct redis_reader *reader = redis_reader_new();
    const struct redis_value *value;
    size_t most = 0, whole;
    assert_non_null(reader);
    assert_null(redis_reader_growing(reader, 2, &whole));
    for (size_t at = 0; at < sizeof(bytes) - 1; at++) {
        assert_int_equal(redis_reader_feed(reader, bytes + at, 1), ST_OK);
        assert_int_equal(redis_reader_next(reader, &value), ST_OK);
        const struct redis_value *array = redis_reader_growing(reader, 2, &whole);
        assert_true(!value || !array);
        if (!array)
            continue;
        assert_in_range(whole, most, 2);
        assert_int_equal(redis_value_count(array), 3);
        most = whole;
        for (size_t i = 0; i < whole && i < 3; i++) {
            struct buf text;
            buf_init(&text, 100);
            describe(&text, redis_value_at(array, i));
            buf_add_char(&text, '\0');
            assert_string_equal(text.ptr, elements[i]);
            buf_free(&text);
        }
        const struct redis_value *outermost = redis_reader_growing(reader, 0, &whole);
        assert_int_equal(redis_value_count(outermost), 1);
        assert_int_equal(whole, 0);
        assert_null(redis_reader_growing(reader, 7, &whole));
    }
    assert_int_equal(most, 2);
    assert_non_null(value);
    redis_reader_free(reader);
}

static void test_accessors(void **state)
{
    (void)state;
    struct redis_reader *reader = redis_reader_new();
    const struct redis_value *value;
    assert_int_equal(redis_value_type(NULL), REDIS_NIL);
    assert_int_equal(redis_value_integer(NULL), 0);
    assert_int_equal(redis_value_count(NULL), 0);
    assert_null(redis_value_text(NULL).ptr);
    assert_int_equal(redis_value_type(redis_value_at(NULL, 3)), REDIS_NIL);
    assert_false(redis_value_is_error(NULL, "ERR"));
    assert_non_null(reader);
    assert_int_equal(redis_reader_feed(reader, "*2\r\n-NOSCRIPT none\r\n$1\r\n5\r\n", 27), ST_OK);
    assert_int_equal(redis_reader_next(reader, &value), ST_OK);
    assert_true(redis_value_is_error(redis_value_at(value, 0), "NOSCRIPT"));
    assert_false(redis_value_is_error(redis_value_at(value, 0), "NOSCRI"));
    assert_int_equal(redis_value_integer(redis_value_at(value, 1)), 0);
    assert_int_equal(redis_value_type(redis_value_at(value, 2)), REDIS_NIL);
    assert_string_equal(redis_type_name(redis_value_type(value)), "array");
    redis_reader_free(reader);
}

/* A copy has all of it, and lives on when the reader does not. */
static void test_copy(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *says;
    } rows[] = {
        {"*4\r\n$2\r\nok\r\n:7\r\n*2\r\n+a\r\n*1\r\n$-1\r\n$3\r\nend\r\n",
         "[\"ok\" 7 [+a [nil]] \"end\"]"},
        {"*0\r\n", "[]"},
        {"$0\r\n\r\n", "\"\""},
        {"-ERR no\r\n", "-ERR no"},
        {":-5\r\n", "-5"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redis_reader *reader = redis_reader_new();
        const struct redis_value *value;
        struct buf says;
        buf_init(&says, 256);
        assert_non_null(reader);
        assert_int_equal(redis_reader_feed(reader, rows[i].bytes, strlen(rows[i].bytes)), ST_OK);
        assert_int_equal(redis_reader_next(reader, &value), ST_OK);
        assert_non_null(value);
        struct redis_value *copy = redis_value_copy(value);
        assert_non_null(copy);
        redis_reader_free(reader);
        describe(&says, copy);
        assert_true(slice_eq(buf_slice(&says), slice_str(rows[i].says)));
        redis_value_free(copy);
        buf_free(&says);
    }
    struct redis_value *nil = redis_value_copy(NULL);
    assert_non_null(nil);
    assert_int_equal(redis_value_type(nil), REDIS_NIL);
    redis_value_free(nil);
    redis_value_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_accessors),
        cmocka_unit_test(test_copy),      cmocka_unit_test(test_growing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
