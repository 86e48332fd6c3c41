/* test_feed_event.c - which entries of a stream are events, and what is said of those that are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/feed_event.h"

enum { WORDS_MAX = 8, DATA_BYTES_MAX = 1000 };

struct row {
    const char *words[WORDS_MAX]; /* names and values; NULL at the end */
    const char *application;
    const char *code, *field; /* NULL: it is an event */
};

/* The words as Redis would send them. */
static struct redis_reader *read_words(const char *const *words, const struct redis_value **fields)
{
    char text[4096];
    size_t count = 0, len;
    struct redis_reader *reader = redis_reader_new();
    assert_non_null(reader);
    while (count < WORDS_MAX && words[count])
        count++;
    len = (size_t)snprintf(text, sizeof(text), "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "$%zu\r\n%s\r\n", strlen(words[i]),
                                words[i]);
    assert_int_equal(redis_reader_feed(reader, text, len), ST_OK);
    assert_int_equal(redis_reader_next(reader, fields), ST_OK);
    assert_non_null(*fields);
    return reader;
}

#define EVENT "{\"type\":\"a.b\",\"data\":{\"n\":1}}"

static void test_rows(void **state)
{
    static const struct row rows[] = {
        {{"e", EVENT}, "", NULL, NULL},
        {{"e", " \n" EVENT " "}, "", NULL, NULL},
        {{"k", "key", "e", EVENT, "app", "default"}, "", NULL, NULL},
        {{"e", EVENT}, "default", NULL, NULL},
        {{NULL}, "", "missing_field", "e"},
        {{"k", "key"}, "", "missing_field", "e"},
        {{"E", EVENT}, "", "unknown_field", "E"},
        {{"e", EVENT, "x\x01\xff", "1"}, "", "unknown_field", "x??"},
        {{"e", EVENT, "e", EVENT}, "", "duplicate_field", "e"},
        {{"e", EVENT, "app", "other"}, "", "unknown_application", "app"},
        {{"e", EVENT, "app", ""}, "", "unknown_application", "app"},
        {{"e", EVENT}, "shop", "unknown_application", "app"},
        {{"e", EVENT, "app", "default"}, "shop", "unknown_application", "app"},
        {{"e", EVENT, "k", ""}, "", "invalid_idempotency_key", "k"},
        {{"e", "{\"type\":\"a\",\"data\":1,\"idempotencyKey\":\"x\"}", "k", "y"},
         "",
         "invalid_idempotency_key",
         "k"},
        {{"e", ""}, "", "invalid_json", ""},
        {{"e", "{"}, "", "invalid_json", ""},
        {{"e", "{\"type\":\"a\",\"data\":\"\xff\"}"}, "", "invalid_json", ""},
        {{"e", "{\"type\":\"a\"}"}, "", "missing_field", "data"},
        {{"e", "{\"type\":\"a\",\"data\":1,\"x\":1}"}, "", "unknown_field", "x"},
        {{"e", "nonsense"}, "", "invalid_msgpack", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct redis_value *fields;
        struct event_document document;
        struct field_error error = {.code = ""};
        const struct feed_event_rules rules = {
            .document = {.data_bytes_max = DATA_BYTES_MAX, .now_ms = 1000},
            .application = rows[i].application};
        struct redis_reader *reader = read_words(rows[i].words, &fields);
        enum status status = feed_event_read(&document, fields, &rules, &error);
        assert_int_equal(status, rows[i].code ? ST_RANGE : ST_OK);
        if (rows[i].code) {
            assert_string_equal(error.code, rows[i].code);
            assert_string_equal(error.field, rows[i].field);
        } else {
            assert_true(slice_eq(document.record.type, SLICE("a.b")));
            assert_true(slice_eq(document.record.data, SLICE("{\"n\":1}")));
        }
        event_document_free(&document);
        redis_reader_free(reader);
    }
}

/* The key is the event's, and the event's bytes are what a reused key is compared by. */
static void test_key(void **state)
{
    static const char *const words[WORDS_MAX] = {"e", EVENT, "k", "key"};
    const struct redis_value *fields;
    struct event_document document;
    struct field_error error;
    const struct feed_event_rules rules = {
        .document = {.data_bytes_max = DATA_BYTES_MAX, .now_ms = 1000}, .application = ""};
    struct redis_reader *reader = read_words(words, &fields);
    (void)state;
    assert_int_equal(feed_event_read(&document, fields, &rules, &error), ST_OK);
    assert_true(slice_eq(document.idempotency_key, SLICE("key")));
    assert_true(slice_eq(document.raw, SLICE(EVENT)));
    assert_int_equal(document.record.timestamp_ms, 1000);
    event_document_free(&document);
    redis_reader_free(reader);
}

/* Blanks do not make an entry larger than may be. */
static void test_too_large(void **state)
{
    size_t len = DATA_BYTES_MAX + LIMIT_FEED_BLANKS_BYTES + 1;
    const struct redis_value *fields;
    struct event_document document;
    struct field_error error;
    char head[64], *text = malloc(len);
    struct redis_reader *reader = redis_reader_new();
    const struct feed_event_rules rules = {
        .document = {.data_bytes_max = DATA_BYTES_MAX, .now_ms = 1000}, .application = ""};
    (void)state;
    assert_non_null(text);
    memset(text, ' ', len);
    int head_len = snprintf(head, sizeof(head), "*2\r\n$1\r\ne\r\n$%zu\r\n", len);
    assert_int_equal(redis_reader_feed(reader, head, (size_t)head_len), ST_OK);
    assert_int_equal(redis_reader_feed(reader, text, len), ST_OK);
    assert_int_equal(redis_reader_feed(reader, "\r\n", 2), ST_OK);
    assert_int_equal(redis_reader_next(reader, &fields), ST_OK);
    assert_int_equal(feed_event_read(&document, fields, &rules, &error), ST_RANGE);
    assert_string_equal(error.code, "payload_too_large");
    assert_string_equal(error.field, "e");
    event_document_free(&document);
    redis_reader_free(reader);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
