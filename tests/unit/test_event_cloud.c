/* test_event_cloud.c - CloudEvents 1.0, structured and binary: what becomes of attributes and data,
 * and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/limits.h"
#include "wire/event_document.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_MS       UINT64_C(1700000000000)
#define TRACE        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* A CloudEvent that is well but for the members put behind these. */
#define LEAST         "\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a.b\""
#define WITH(members) "{" LEAST "," members "}"

static const struct event_document_rules rules = {.data_bytes_max = 1000, .now_ms = NOW_MS};

static struct event_document document;
static struct field_error error;
static char *body; /* of exactly its size: what reads beyond it is seen */

static struct slice keep_body(struct slice text)
{
    event_document_free(&document);
    free(body);
    body = malloc(text.len + 1);
    assert_non_null(body);
    if (text.len > 0)
        memcpy(body + 1, text.ptr, text.len);
    memset(&error, 0, sizeof(error));
    return slice_of(body + 1, text.len);
}

static enum status read_text(const char *text)
{
    return event_document_read(&document, EVENT_FORMAT_CLOUDEVENT, keep_body(slice_str(text)),
                               &rules, &error);
}

/* Headers "name: value", one a line. */
static enum status read_binary(const char *lines, struct slice data)
{
    struct received_header headers[100];
    static char text[100 * 1024];
    size_t count = 0;
    snprintf(text, sizeof(text), "%s", lines);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *colon = strstr(line, ": ");
        assert_non_null(colon);
        headers[count++] =
            (struct received_header){slice_of(line, (size_t)(colon - line)), slice_str(colon + 2)};
    }
    return event_document_read_binary(&document, headers, count, keep_body(data), &rules, &error);
}

#define BINARY "ce-specversion: 1.0\nce-id: 1\nCE-Source: /s\nCe-Type: a.b\n"

static int teardown(void **state)
{
    (void)state;
    event_document_free(&document);
    document = (struct event_document){.delay_ms = 0};
    free(body);
    body = NULL;
    return 0;
}

static void expect_text(struct slice text, const char *expected)
{
    assert_non_null(text.ptr);
    assert_true(slice_eq(text, slice_str(expected)));
}

static void expect_refused(enum status status, const char *code, const char *field)
{
    assert_int_equal(status, ST_RANGE);
    assert_string_equal(error.code, code);
    assert_string_equal(error.field, field);
    size_t len = strlen(error.message);
    assert_true(len > 10 && len + 1 < sizeof(error.message)); /* whole, not cut */
    assert_true(error.message[len - 1] == '.' || error.message[len - 1] == ')');
}

/* ---- Structured ------------------------------------------------------------------------------ */

static void test_least(void **state)
{
    (void)state;
    assert_int_equal(read_text("{" LEAST "}"), ST_OK);
    const struct event_record *record = &document.record;
    expect_text(record->application, "default");
    expect_text(record->type, "a.b");
    expect_text(record->source, "/s");
    expect_text(record->data, "null");
    expect_text(record->cloud_event, "{" LEAST "}");
    assert_true(record->timestamp_ms == NOW_MS && record->data_kind == EVENT_DATA_JSON);
    assert_true(!record->ordering_key.ptr && !record->traceparent.ptr && !record->uid.ptr);
    assert_true(!record->content_type.ptr);
}

static void test_every_attribute(void **state)
{
    (void)state;
    static const char text[] =
        WITH("\"time\":\"2018-04-05T17:31:00.123456789Z\",\"subject\":\"s\\u00fc\","
             "\"datacontenttype\":\"application/json\",\"dataschema\":\"http://x/y\","
             "\"partitionkey\":\"p\\/1\",\"traceparent\":\"" TRACE "\",\"tracestate\":\"a=1\","
             "\"myext\":\"x \\\"y\\\"\",\"number\":-2147483648,\"flag\":false,\"unset\":null,"
             "\"data\": {\"a\" : 1} ");
    assert_int_equal(read_text(text), ST_OK);
    const struct event_record *record = &document.record;
    assert_true(record->timestamp_ms == 1522949460123);
    expect_text(record->data, "{\"a\" : 1}");
    expect_text(record->ordering_key, "p/1");
    expect_text(record->traceparent, TRACE);
    expect_text(record->tracestate, "a=1");
    expect_text(record->content_type, "application/json");
    /* All that was said is kept, as it was said; only what was unset and the data are not. */
    expect_text(record->cloud_event,
                WITH("\"time\":\"2018-04-05T17:31:00.123456789Z\",\"subject\":\"s\\u00fc\","
                     "\"datacontenttype\":\"application/json\",\"dataschema\":\"http://x/y\","
                     "\"partitionkey\":\"p\\/1\",\"traceparent\":\"" TRACE "\","
                     "\"tracestate\":\"a=1\","
                     "\"myext\":\"x \\\"y\\\"\",\"number\":-2147483648,\"flag\":false"));
}

/* A trace that is none is kept as an attribute, and not continued. */
static void test_bad_trace(void **state)
{
    (void)state;
    assert_int_equal(read_text(WITH("\"traceparent\":\"x\",\"tracestate\":\"a=1\"")), ST_OK);
    assert_true(!document.record.traceparent.ptr && !document.record.tracestate.ptr);
    expect_text(document.record.cloud_event, WITH("\"traceparent\":\"x\",\"tracestate\":\"a=1\""));
}

/* The key is of source and id, and of nothing else; no other pair of them makes it. */
static void test_key(void **state)
{
    (void)state;
    char first[64];
    assert_int_equal(read_text("{" LEAST "}"), ST_OK);
    struct slice key = document.idempotency_key;
    assert_true(key.len < sizeof(first) && memchr(key.ptr, '\0', key.len) != NULL);
    memcpy(first, key.ptr, key.len);
    key.ptr = first;
    struct slice raw = document.raw; /* static */
    assert_int_equal(read_text(WITH("\"time\":\"2018-04-05T17:31:00Z\",\"data\":7")), ST_OK);
    assert_true(slice_eq(document.idempotency_key, key));
    assert_true(slice_eq(document.raw, raw));
    static const char *const others[] = {
        "{\"specversion\":\"1.0\",\"id\":\"s1\",\"source\":\"/\",\"type\":\"a.b\"}",
        "{\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"/s\",\"type\":\"a.b\"}",
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/S\",\"type\":\"a.b\"}",
    };
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(read_text(others[i]), ST_OK);
        assert_false(slice_eq(document.idempotency_key, key));
    }
    /* In binary mode it is the same event. */
    assert_int_equal(read_binary(BINARY, SLICE("")), ST_OK);
    assert_true(slice_eq(document.idempotency_key, key));
    assert_true(slice_eq(document.raw, raw));
}

/* A key that is given counts, and then so do all bytes of the event. */
static void test_given_key(void **state)
{
    (void)state;
    static const char text[] = WITH("\"data\":1");
    assert_int_equal(read_text(text), ST_OK);
    assert_int_equal(event_document_set_key(&document, SLICE("mine"), "k", &error), ST_OK);
    expect_text(document.idempotency_key, "mine");
    expect_text(document.raw, text);
    assert_int_equal(event_document_set_key(&document, SLICE("other"), "k", &error), ST_RANGE);

    assert_int_equal(read_binary(BINARY "Content-Type: application/json\n", SLICE("[1]")), ST_OK);
    assert_int_equal(event_document_set_key(&document, SLICE("mine"), "k", &error), ST_OK);
    expect_text(document.raw, WITH("\"datacontenttype\":\"application/json\"") "[1]");
}

/* Data by its type. */
static void test_structured_data(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        struct slice data;
        enum event_data kind;
    } table[] = {
        {"\"data\":null", {"null", 4}, EVENT_DATA_JSON},
        {"\"data\":\"I'm \\u0061 string\"", {"\"I'm \\u0061 string\"", 19}, EVENT_DATA_JSON},
        {"\"datacontenttype\":\"text/json\",\"data\":5", {"5", 1}, EVENT_DATA_JSON},
        {"\"datacontenttype\":\"application/vnd.x+json; charset=utf-8\",\"data\":[]",
         {"[]", 2},
         EVENT_DATA_JSON},
        {"\"datacontenttype\":null,\"data\":{}", {"{}", 2}, EVENT_DATA_JSON},
        {"\"datacontenttype\":\"application/xml\",\"data\":\"<much wow=\\\"xml\\\"/>\"",
         {"<much wow=\"xml\"/>", 17},
         EVENT_DATA_TEXT},
        {"\"datacontenttype\":\"text/plain\",\"data\":\"{}\"", {"{}", 2}, EVENT_DATA_TEXT},
        {"\"datacontenttype\":\"text/plain\",\"data\":\"\"", {"", 0}, EVENT_DATA_TEXT},
        {"\"data\":null,\"datacontenttype\":\"text/plain\"", {"null", 4}, EVENT_DATA_JSON},
        {"\"data_base64\":\"\"", {"null", 4}, EVENT_DATA_JSON},
        {"\"data_base64\":\"eyJhIjoxfQ==\"", {"{\"a\":1}", 7}, EVENT_DATA_JSON},
        {"\"data_base64\":\"eyJhIjoxfQ==\",\"datacontenttype\":\"text/plain\"",
         {"{\"a\":1}", 7},
         EVENT_DATA_TEXT},
        {"\"data_base64\":\"NQ==\",\"datacontenttype\":\"application/json\"",
         {"5", 1},
         EVENT_DATA_JSON},
        {"\"data_base64\":\"AP8\\u003d\",\"datacontenttype\":\"image/png\"",
         {"\x00\xff", 2},
         EVENT_DATA_BYTES},
        {"\"data_base64\":\"AP8=\"", {"\x00\xff", 2}, EVENT_DATA_BYTES},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char text[1000];
        snprintf(text, sizeof(text), WITH("%s"), table[i].members);
        assert_int_equal(read_text(text), ST_OK);
        assert_true(slice_eq(document.record.data, table[i].data));
        assert_non_null(document.record.data.ptr);
        assert_int_equal(document.record.data_kind, table[i].kind);
    }
}

static void test_structured_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *code;
        const char *field;
    } table[] = {
        {"", "invalid_json", ""},
        {"[]", "invalid_json", ""},
        {"{\"id\":\"1\",\"id\":\"1\"}", "invalid_json", ""},
        {"{}", "missing_field", "specversion"},
        {"{\"specversion\":\"1.0\",\"source\":\"/s\",\"type\":\"a\"}", "missing_field", "id"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"a\"}", "missing_field", "source"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"}", "missing_field", "type"},
        {"{\"specversion\":\"1.0\",\"id\":null,\"source\":\"/s\",\"type\":\"a\"}", "missing_field",
         "id"},
        {"{\"specversion\":\"0.3\"}", "invalid_cloudevent", "specversion"},
        {"{\"specversion\":1.0}", "invalid_cloudevent", "specversion"},
        {"{\"specversion\":\"1.0\",\"id\":\"\"}", "invalid_cloudevent", "id"},
        {"{\"specversion\":\"1.0\",\"id\":5}", "invalid_cloudevent", "id"},
        {"{\"specversion\":\"1.0\",\"source\":\"\"}", "invalid_source", "source"},
        {"{\"specversion\":\"1.0\",\"type\":\"/foo:bar\"}", "invalid_type", "type"},
        {"{\"specversion\":\"1.0\",\"type\":true}", "invalid_type", "type"},
        {WITH("\"time\":\"yesterday\""), "invalid_timestamp", "time"},
        {WITH("\"time\":5"), "invalid_timestamp", "time"},
        {WITH("\"subject\":\"\""), "invalid_cloudevent", "subject"},
        {WITH("\"dataschema\":true"), "invalid_cloudevent", "dataschema"},
        {WITH("\"datacontenttype\":\"text/\\u00fc\""), "invalid_cloudevent", "datacontenttype"},
        {WITH("\"datacontenttype\":5"), "invalid_cloudevent", "datacontenttype"},
        {WITH("\"partitionkey\":\"\""), "invalid_ordering_key", "partitionkey"},
        {WITH("\"partitionkey\":5"), "invalid_ordering_key", "partitionkey"},
        {WITH("\"Upper\":\"x\""), "invalid_cloudevent", "Upper"},
        {WITH("\"my_ext\":\"x\""), "invalid_cloudevent", "my_ext"},
        {WITH("\"\\u0065xt\":\"x\""), "invalid_cloudevent", "\\u0065xt"},
        {WITH("\"\":\"x\""), "invalid_cloudevent", ""},
        {WITH("\"ext\":{}"), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":[]"), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":1.5"), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":2147483648"), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":11111111111111111111111"), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":\"a\\nb\""), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":\"\\u0000\""), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":\"\x7f\""), "invalid_cloudevent", "ext"},
        {WITH("\"ext\":\"\\u0085\""), "invalid_cloudevent", "ext"},
        {WITH("\"data\":1,\"data_base64\":\"\""), "invalid_cloudevent", "data_base64"},
        {WITH("\"data_base64\":5"), "invalid_cloudevent", "data_base64"},
        {WITH("\"data_base64\":\"AP8\""), "invalid_cloudevent", "data_base64"},
        {WITH("\"data_base64\":\"NQ\\u003d\\u003d,\""), "invalid_cloudevent", "data_base64"},
        {WITH("\"data_base64\":\"AP8=\",\"datacontenttype\":\"application/json\""), "invalid_json",
         "data"},
        {WITH("\"data\":{},\"datacontenttype\":\"text/plain\""), "invalid_cloudevent", "data"},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        expect_refused(read_text(table[i].text), table[i].code, table[i].field);
}

/* Attributes have limits in number and size; texts with escapes keep their place up to these. */
static void test_limits(void **state)
{
    (void)state;
    static char text[64 * 1024];
    for (int count = 60; count <= 61; count++) { /* beside the four of LEAST */
        size_t len = (size_t)snprintf(text, sizeof(text), "{" LEAST);
        for (int i = 0; i < count; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, ",\"e%d\":\"\\u00fc\\\"\"", i);
        snprintf(text + len, sizeof(text) - len, ",\"data\":\"\\\"\"}");
        if (count == 60)
            assert_int_equal(read_text(text), ST_OK);
        else
            expect_refused(read_text(text), "invalid_cloudevent", "e60");
    }
    for (int size = 2000; size <= 2100; size += 100) { /* eight of them: below and above 16 KiB */
        size_t len = (size_t)snprintf(text, sizeof(text), "{" LEAST);
        for (int i = 0; i < 8; i++)
            len +=
                (size_t)snprintf(text + len, sizeof(text) - len, ",\"e%d\":\"%0*d\"", i, size, 0);
        snprintf(text + len, sizeof(text) - len, "}");
        if (size == 2000)
            assert_int_equal(read_text(text), ST_OK);
        else
            expect_refused(read_text(text), "invalid_cloudevent", "");
    }
    snprintf(text, sizeof(text), WITH("\"data\":\"%0*d\""), (int)rules.data_bytes_max - 2, 0);
    assert_int_equal(read_text(text), ST_OK);
    snprintf(text, sizeof(text), WITH("\"data\":\"%0*d\""), (int)rules.data_bytes_max - 1, 0);
    expect_refused(read_text(text), "payload_too_large", "data");
    snprintf(text, sizeof(text), "{\"specversion\":\"1.0\",\"source\":\"%0*d\"}", 2049, 0);
    expect_refused(read_text(text), "invalid_source", "source");
}

/* Cut anywhere it is refused as JSON. */
static void test_truncated(void **state)
{
    (void)state;
    static const char text[] = WITH("\"subject\":\"\\u00fc\",\"data_base64\":\"AP8\\u003d\"");
    char cut[sizeof(text)];
    for (size_t len = 0; len + 1 < sizeof(text); len++) {
        memcpy(cut, text, len);
        cut[len] = '\0';
        expect_refused(read_text(cut), "invalid_json", "");
    }
    assert_int_equal(read_text(text), ST_OK);
}

/* ---- Binary ---------------------------------------------------------------------------------- */

/* The example of the specification, and how texts are decoded. */
static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *text; /* as JSON */
    } table[] = {
        {"plain", "plain"},
        {"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"%e2%82%ac%41", "\xe2\x82\xac"
                         "A"},
        {"%2541", "%41"}, /* once, and not again */
        {"100%", "100%"},
        {"%4", "%4"},
        {"%zz%4g", "%zz%4g"},
        {"\"quoted \\\"text\\\" \\\\ %22\"", "quoted \\\"text\\\" \\\\ \\\""},
        {"\"\"", ""},
        {"\"", "\\\""},
        {"a\"b\"", "a\\\"b\\\""},
        {"\xc3\xbc", "\xc3\xbc"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char lines[1000], kept[1000];
        snprintf(lines, sizeof(lines), BINARY "Host: x\nce-MyExt: %s\n", table[i].value);
        snprintf(kept, sizeof(kept), WITH("\"myext\":\"%s\""), table[i].text);
        assert_int_equal(read_binary(lines, SLICE("")), ST_OK);
        expect_text(document.record.cloud_event, kept);
        assert_int_equal(json_check(document.record.cloud_event, NULL), ST_OK);
    }
}

static void test_binary_attributes(void **state)
{
    (void)state;
    assert_int_equal(read_binary(BINARY "ce-time: 2018-04-05T03:56:24Z\nce-subject: x%2fy\n"
                                        "ce-partitionkey: p%201\nce-traceparent: " TRACE "\n"
                                        "ce-tracestate: a=1\ntraceparent: other\n"
                                        "Content-Type: application/json; charset=utf-8\n",
                                 SLICE(" {\"a\":1}\n")),
                     ST_OK);
    const struct event_record *record = &document.record;
    expect_text(record->type, "a.b");
    expect_text(record->source, "/s");
    expect_text(record->ordering_key, "p 1");
    expect_text(record->traceparent, TRACE);
    expect_text(record->tracestate, "a=1");
    expect_text(record->content_type, "application/json; charset=utf-8");
    expect_text(record->data, " {\"a\":1}\n");
    assert_true(record->timestamp_ms == 1522900584000);
    assert_true(record->data_kind == EVENT_DATA_JSON && record->received_ms == 0);
    expect_text(record->cloud_event,
                WITH("\"time\":\"2018-04-05T03:56:24Z\",\"subject\":\"x/y\","
                     "\"partitionkey\":\"p 1\",\"traceparent\":\"" TRACE
                     "\",\"tracestate\":\"a=1\","
                     "\"datacontenttype\":\"application/json; charset=utf-8\""));
}

static void test_binary_data(void **state)
{
    (void)state;
    static const struct {
        const char *type; /* "": none */
        struct slice body;
        struct slice data;
        enum event_data kind;
    } table[] = {
        {"", {"", 0}, {"null", 4}, EVENT_DATA_JSON},
        {"application/json", {"", 0}, {"null", 4}, EVENT_DATA_JSON}, /* as cloudevents of npm do */
        {"text/plain", {"", 0}, {"", 0}, EVENT_DATA_TEXT},
        {"application/json", {"5", 1}, {"5", 1}, EVENT_DATA_JSON},
        {"application/a+JSON", {"\"x\"", 3}, {"\"x\"", 3}, EVENT_DATA_JSON},
        {"", {"{}", 2}, {"{}", 2}, EVENT_DATA_JSON},
        {"", {"5", 1}, {"5", 1}, EVENT_DATA_TEXT},
        {"text/plain", {"{}", 2}, {"{}", 2}, EVENT_DATA_TEXT},
        {"application/xml", {"<a/>", 4}, {"<a/>", 4}, EVENT_DATA_TEXT},
        {"image/png", {"\x89PNG\x00", 5}, {"\x89PNG\x00", 5}, EVENT_DATA_BYTES},
        {"", {"\xff", 1}, {"\xff", 1}, EVENT_DATA_BYTES},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char lines[1000];
        snprintf(lines, sizeof(lines), BINARY "%s%s\n", table[i].type[0] ? "Content-Type: " : "",
                 table[i].type);
        assert_int_equal(read_binary(lines, table[i].body), ST_OK);
        assert_true(slice_eq(document.record.data, table[i].data));
        assert_non_null(document.record.data.ptr);
        assert_int_equal(document.record.data_kind, table[i].kind);
    }
}

static void test_binary_refused(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *code;
        const char *field;
    } table[] = {
        {"Host: x\n", "missing_field", "specversion"},
        {"ce-specversion: 0.3\n", "invalid_cloudevent", "specversion"},
        {"ce-specversion: 1.0\n", "missing_field", "id"},
        {"ce-specversion: 1.0\nce-type: a b\n", "invalid_type", "type"},
        {BINARY "ce-id: 1\n", "invalid_cloudevent", "ce-id"},
        {BINARY "Ce-Id: 1\n", "invalid_cloudevent", "Ce-Id"},
        {BINARY "ce-datacontenttype: text/plain\n", "invalid_cloudevent", "ce-datacontenttype"},
        {BINARY "ce-data: x\n", "invalid_cloudevent", "data"},
        {BINARY "ce-my-ext: x\n", "invalid_cloudevent", "my-ext"},
        {BINARY "ce-ext: %C0%A0\n", "invalid_cloudevent", "ce-ext"}, /* the specification's */
        {BINARY "ce-ext: \xff\n", "invalid_cloudevent", "ce-ext"},
        {BINARY "ce-ext: %00\n", "invalid_cloudevent", "ext"},
        {BINARY "ce-ext: a%0D%0Ab\n", "invalid_cloudevent", "ext"},
        {BINARY "ce-time: x\n", "invalid_timestamp", "time"},
        {BINARY "ce-subject: \"\"\n", "invalid_cloudevent", "subject"},
        {BINARY "Content-Type: a/b\ncontent-type: a/b\n", "invalid_cloudevent", "content-type"},
        {BINARY "Content-Type: \xff\n", "invalid_cloudevent", "Content-Type"},
        {BINARY "Content-Type: \xc3\xbc\n", "invalid_cloudevent", "datacontenttype"},
        {BINARY "Content-Type: application/json\n", "invalid_json", "data"},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        expect_refused(read_binary(table[i].lines, SLICE("{")), table[i].code, table[i].field);
    char large[1001];
    memset(large, 'x', sizeof(large));
    expect_refused(read_binary(BINARY, slice_of(large, sizeof(large))), "payload_too_large",
                   "data");
}

/* As many headers, as long, and as full of what takes most room as a request may have. */
static void test_much(void **state)
{
    (void)state;
    static char lines[32 * 1024];
    size_t len = (size_t)snprintf(lines, sizeof(lines), BINARY);
    for (int i = 0; i < 60; i++)
        len += (size_t)snprintf(lines + len, sizeof(lines) - len,
                                "ce-e%d: \\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"\"\"\"%%22%%5c\n", i);
    assert_int_equal(read_binary(lines, SLICE("")), ST_OK);
    assert_int_equal(json_check(document.record.cloud_event, NULL), ST_OK);
    expect_text(document.record.type, "a.b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_least, teardown),
        cmocka_unit_test_teardown(test_every_attribute, teardown),
        cmocka_unit_test_teardown(test_bad_trace, teardown),
        cmocka_unit_test_teardown(test_key, teardown),
        cmocka_unit_test_teardown(test_given_key, teardown),
        cmocka_unit_test_teardown(test_structured_data, teardown),
        cmocka_unit_test_teardown(test_structured_refused, teardown),
        cmocka_unit_test_teardown(test_limits, teardown),
        cmocka_unit_test_teardown(test_truncated, teardown),
        cmocka_unit_test_teardown(test_headers, teardown),
        cmocka_unit_test_teardown(test_binary_attributes, teardown),
        cmocka_unit_test_teardown(test_binary_data, teardown),
        cmocka_unit_test_teardown(test_binary_refused, teardown),
        cmocka_unit_test_teardown(test_much, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
