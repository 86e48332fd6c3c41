/* test_event_document.c - the event a producer sends: each member, what is refused and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "wire/event_document.h"

#define NOW_MS  UINT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define YEAR_MS (UINT64_C(366) * 24 * 3600 * 1000)

/* An event that is well but for the members put behind these. */
#define WITH(members) "{\"type\":\"a.b\",\"data\":{}," members "}"

static const struct event_document_rules rules = {.data_bytes_max = 1000, .now_ms = NOW_MS};

static struct event_document document;
static struct field_error error;
static char *body; /* of exactly its size: what reads beyond it is seen */

static enum status read_slice(struct slice text)
{
    event_document_free(&document);
    free(body);
    body = malloc(text.len ? text.len : 1);
    assert_non_null(body);
    if (text.len > 0)
        memcpy(body, text.ptr, text.len);
    memset(&error, 0, sizeof(error));
    return event_document_read(&document, EVENT_FORMAT_JSON, slice_of(body, text.len), &rules,
                               &error);
}

static enum status read_text(const char *text)
{
    return read_slice(slice_str(text));
}

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

/* A refusal has a code, the field, and a sentence. */
static void expect_refused(const char *text, const char *code, const char *field)
{
    assert_int_equal(read_text(text), ST_RANGE);
    assert_string_equal(error.code, code);
    assert_string_equal(error.field, field);
    size_t len = strlen(error.message);
    assert_true(len > 10 && len + 1 < sizeof(error.message)); /* whole, not cut */
    assert_int_equal(error.message[len - 1], '.');
}

/* ---- Members --------------------------------------------------------------------------------- */

/* The least an event can be; what is not given is absent, the time is the present. */
static void test_least(void **state)
{
    (void)state;
    assert_int_equal(read_text(" {\"data\":null , \"type\":\"a\"}\n"), ST_OK);
    const struct event_record *record = &document.record;
    expect_text(record->application, "default");
    expect_text(record->type, "a");
    expect_text(record->data, "null");
    assert_true(record->timestamp_ms == NOW_MS && record->deliver_at_ms == 0);
    assert_true(!record->version.ptr && !record->source.ptr && !record->uid.ptr);
    assert_true(!record->traceparent.ptr && !record->tracestate.ptr);
    assert_null(document.idempotency_key.ptr);
    assert_false(document.has_delay);
}

static void test_every_member(void **state)
{
    (void)state;
    assert_int_equal(read_text(WITH("\"timestamp\":\"2023-01-02T03:04:05.678+01:00\","
                                    "\"version\":\"2\",\"source\":\"shop\",\"uid\":\"u\","
                                    "\"idempotencyKey\":\"k\",\"orderingKey\":\"o\","
                                    "\"delay\":\"1.5s\"")),
                     ST_OK);
    expect_text(document.record.type, "a.b");
    expect_text(document.record.data, "{}");
    expect_text(document.record.version, "2");
    expect_text(document.record.source, "shop");
    expect_text(document.record.uid, "u");
    expect_text(document.record.ordering_key, "o");
    expect_text(document.idempotency_key, "k");
    assert_true(document.record.timestamp_ms == 1672625045678);
    assert_true(document.has_delay && document.delay_ms == 1500);
    assert_true(document.record.deliver_at_ms == 0); /* the caller knows Redis's clock */
}

/* A key that comes beside the event has the same limits as one inside, and must be the same when
 * there are both. */
static void test_key_beside(void **state)
{
    (void)state;
    static char longest[LIMIT_IDEMPOTENCY_KEY_BYTES + 1];
    memset(longest, 'k', sizeof(longest));
    struct slice most = slice_of(longest, LIMIT_IDEMPOTENCY_KEY_BYTES);
    assert_int_equal(read_text("{\"type\":\"a\",\"data\":1}"), ST_OK);
    const struct slice bad[] = {SLICE(""), SLICE("a\0"), slice_of(longest, sizeof(longest))};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(event_document_set_key(&document, bad[i], "k", &error), ST_RANGE);
        assert_string_equal(error.code, "invalid_idempotency_key");
        assert_string_equal(error.field, "k");
    }
    assert_null(document.idempotency_key.ptr);
    assert_int_equal(event_document_set_key(&document, most, "k", &error), ST_OK);
    assert_true(slice_eq(document.idempotency_key, most));
    expect_text(document.raw, "{\"type\":\"a\",\"data\":1}");

    assert_int_equal(read_text(WITH("\"idempotencyKey\":\"k\"")), ST_OK);
    assert_int_equal(event_document_set_key(&document, SLICE("k"), "h", &error), ST_OK);
    assert_int_equal(event_document_set_key(&document, SLICE("K"), "h", &error), ST_RANGE);
    expect_text(document.idempotency_key, "k");
}

/* Texts without escapes are the body's own bytes. */
static void test_plain_texts_stay_in_place(void **state)
{
    (void)state;
    assert_int_equal(read_text(WITH("\"uid\":\"u\",\"source\":\"gr\xc3\xbc\xc3\x9f\"")), ST_OK);
    const char *end = body + strlen(WITH("\"uid\":\"u\",\"source\":\"gr\xc3\xbc\xc3\x9f\""));
    struct slice texts[] = {document.record.type, document.record.data, document.record.uid,
                            document.record.source};
    for (size_t i = 0; i < 4; i++)
        assert_true(texts[i].ptr > body && texts[i].ptr + texts[i].len < end);
    assert_null(document.storage.ptr);
}

/* The payload is not touched: blanks, escapes, number forms and repeated members stay. */
static void test_data_is_untouched(void **state)
{
    (void)state;
    static const char *const values[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1E+2",
        "1.10000000000000000000000000000000001",
        "123456789012345678901234567890",
        "\"\"",
        "\"\\u0000\\/\\ud83d\\ude00\"",
        "[ ]",
        "{\t}",
        "{ \"a\" :\n1 , \"a\":2 }",
        "[1, 2,\r\n3 ]",
        "\"gr\xc3\xbc\xc3\x9f\"",
        "{\"type\":\"inner\",\"uid\":1}",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[200];
        int len = snprintf(text, sizeof(text), "{\"type\":\"a\",\"data\": \n%s \t}", values[i]);
        assert_int_equal(read_slice(slice_of(text, (size_t)len)), ST_OK);
        expect_text(document.record.data, values[i]);
        expect_text(document.record.type, "a");
        assert_true(document.record.data.ptr > body && document.record.data.ptr < body + len);
    }
}

/* Names and texts mean the same with escapes, and data keeps its own. */
static void test_escapes(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"\\u0074ype\":\"a\\u002eb\",\"d\\u0061ta\":\"\\u0061\","
                  "\"uid\":\"\\ud83d\\ude00\\n\\\"\",\"source\":\"\\u00fc\","
                  "\"version\":\"\\/\",\"idempotencyKe\\u0079\":\"\\t\","
                  "\"timestamp\":\"2023-01-02T03:04:05\\u005a\",\"delay\":\"1\\u0073\"}"),
        ST_OK);
    expect_text(document.record.type, "a.b");
    expect_text(document.record.data, "\"\\u0061\"");
    expect_text(document.record.uid, "\xf0\x9f\x98\x80\n\"");
    expect_text(document.record.source, "\xc3\xbc");
    expect_text(document.record.version, "/");
    expect_text(document.idempotency_key, "\t");
    assert_true(document.record.timestamp_ms == 1672628645000);
    assert_true(document.delay_ms == 1000);
}

/* ---- Times ----------------------------------------------------------------------------------- */

static void test_delays(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t ms;
    } good[] = {
        {"0", 0},
        {"\"0s\"", 0},
        {"5", 5},
        {"\"90s\"", 90000},
        {"\"2h\"", 7200000},
        {"\"366d\"", YEAR_MS},
        {"31622400000", YEAR_MS},
    };
    static const char *const bad[] = {
        "-1",        "1.5",
        "1e3",       "\"5\"",
        "\"\"",      "\" 1s\"",
        "\"-1s\"",   "null",
        "true",      "[]",
        "{}",        "31622400001",
        "\"367d\"",  "99999999999999999999",
        "\"0.5ms\"", "\"1s\\u0000\"",
    };
    char text[200];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), WITH("\"delay\":%s"), good[i].value);
        assert_int_equal(read_text(text), ST_OK);
        assert_true(document.has_delay && document.delay_ms == good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), WITH("\"delay\":%s"), bad[i]);
        expect_refused(text, "invalid_delay", "delay");
    }
}

static void test_deliver_at(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t ms;
    } good[] = {
        {"2023-11-14T22:13:20Z", NOW_MS},
        {"2023-11-14T22:13:20.001Z", NOW_MS + 1},
        {"2020-01-01T00:00:00Z", 1577836800000}, /* past: at once */
        {"2024-11-14T22:13:20Z", NOW_MS + YEAR_MS},
    };
    static const char *const bad[] = {
        "5",
        "null",
        "\"\"",
        "\"tomorrow\"",
        "\"2023-11-14\"",
        "\"2023-02-30T00:00:00Z\"",
        "\"2024-11-14T22:13:20.001Z\"",
        "\"9999-01-01T00:00:00Z\"",
    };
    char text[200];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), WITH("\"deliverAt\":\"%s\""), good[i].value);
        assert_int_equal(read_text(text), ST_OK);
        assert_true(document.record.deliver_at_ms == good[i].ms && !document.has_delay);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), WITH("\"deliverAt\":%s"), bad[i]);
        expect_refused(text, "invalid_deliver_at", "deliverAt");
    }
}

/* Both are refused in either order, also where one says nothing: now, and the first time of all. */
static void test_delay_and_deliver_at(void **state)
{
    (void)state;
    static const char *const times[] = {"2023-12-01T00:00:00Z", "1970-01-01T00:00:00Z"};
    static const char *const delays[] = {"\"1s\"", "0"};
    for (size_t i = 0; i < 4; i++) {
        char text[200];
        snprintf(text, sizeof(text), WITH("\"delay\":%s,\"deliverAt\":\"%s\""), delays[i % 2],
                 times[i / 2]);
        expect_refused(text, "invalid_delay", "delay");
        snprintf(text, sizeof(text), WITH("\"deliverAt\":\"%s\",\"delay\":%s"), times[i / 2],
                 delays[i % 2]);
        expect_refused(text, "invalid_delay", "delay");
    }
}

/* ---- Refused --------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code, *field;
    } table[] = {
        {"{}", "missing_field", "type"},
        {"{\"data\":1}", "missing_field", "type"},
        {"{\"type\":\"a\"}", "missing_field", "data"},
        {"{\"type\":null,\"data\":1}", "invalid_type", "type"},
        {"{\"type\":5,\"data\":1}", "invalid_type", "type"},
        {"{\"type\":\"\",\"data\":1}", "invalid_type", "type"},
        {"{\"type\":\"a.\",\"data\":1}", "invalid_type", "type"},
        {"{\"type\":\"a.*\",\"data\":1}", "invalid_type", "type"},
        {"{\"type\":\"*\",\"data\":1}", "invalid_type", "type"},
        {"{\"type\":\"a\\u0000\",\"data\":1}", "invalid_type", "type"},
        {"{\"type\":\"a\\r\\nX: y\",\"data\":1}", "invalid_type", "type"},
        {WITH("\"timestamp\":1"), "invalid_timestamp", "timestamp"},
        {WITH("\"timestamp\":\"\""), "invalid_timestamp", "timestamp"},
        {WITH("\"timestamp\":\"2023-13-01T00:00:00Z\""), "invalid_timestamp", "timestamp"},
        {WITH("\"timestamp\":\"\\u0000\""), "invalid_timestamp", "timestamp"},
        {WITH("\"version\":1"), "invalid_version", "version"},
        {WITH("\"version\":\"\""), "invalid_version", "version"},
        {WITH("\"version\":\"a\\u0000b\""), "invalid_version", "version"},
        {WITH("\"source\":{}"), "invalid_source", "source"},
        {WITH("\"source\":null"), "invalid_source", "source"},
        {WITH("\"uid\":true"), "invalid_uid", "uid"},
        {WITH("\"uid\":\"\\u0000\""), "invalid_uid", "uid"},
        {WITH("\"idempotencyKey\":[]"), "invalid_idempotency_key", "idempotencyKey"},
        {WITH("\"idempotencyKey\":\"\""), "invalid_idempotency_key", "idempotencyKey"},
        {WITH("\"id\":1"), "unknown_field", "id"},
        {WITH("\"Type\":1"), "unknown_field", "Type"},
        {WITH("\"type \":1"), "unknown_field", "type "},
        {WITH("\"\":1"), "unknown_field", ""},
        {WITH("\"uid\\u0000\":1"), "unknown_field", "uid\\u0000"},
        {WITH("\"application\":\"x\""), "unknown_field", "application"},
        {WITH("\"traceparent\":\"x\""), "unknown_field", "traceparent"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        expect_refused(table[i].body, table[i].code, table[i].field);
}

/* The first fault in the order of the text is the one that is told. */
static void test_first_fault_counts(void **state)
{
    (void)state;
    expect_refused("{\"uid\":1,\"type\":2,\"x\":3}", "invalid_uid", "uid");
    expect_refused("{\"x\":3,\"uid\":1,\"type\":2}", "unknown_field", "x");
    expect_refused("{\"type\":2,\"x\":3", "invalid_json", "");
}

/* What is not a JSON object in UTF-8 without repeated names. */
static void test_no_json(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        " ",
        "null",
        "5",
        "[]",
        "\"type\"",
        "{",
        "{\"type\":\"a\",\"data\":",
        "{\"a\":1,}",
        "{\"type\":\"a\",\"data\":1}x",
        "{\"type\":\"a\",\"data\":1}{}",
        "{\"a\" 1}",
        "{\"type\":\"a\",\"type\":\"a\",\"data\":1}",
        "{\"type\":\"a\",\"d\\u0061ta\":1,\"data\":1}",
        "{\"type\":\"a\",\"data\":\"\xff\"}",
        "{\"type\":\"a\",\"data\":\"\\ud800\"}",
        "{\"type\":\"a\",\"data\":01}",
        "\xef\xbb\xbf{\"type\":\"a\",\"data\":1}",
        "{\"type\":\"a\",\"data\":\"\n\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        expect_refused(bodies[i], "invalid_json", "");
    assert_int_equal(read_slice(SLICE_NULL), ST_RANGE);
    assert_string_equal(error.code, "invalid_json");
    assert_int_equal(read_slice(SLICE("{\"type\":\"a\",\"data\":1}\0")), ST_RANGE);
    assert_string_equal(error.code, "invalid_json");
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* Data nests in the event: one level less than a whole body may have. */
static void test_depth(void **state)
{
    (void)state;
    for (int depth = LIMIT_JSON_DEPTH - 2; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        char text[400], *at = text;
        at += sprintf(at, "{\"type\":\"a\",\"data\":");
        memset(at, '[', (size_t)depth);
        memset(at + depth, ']', (size_t)depth);
        at[2 * depth] = '}';
        enum status status = read_slice(slice_of(text, (size_t)(at + 2 * depth + 1 - text)));
        if (depth < LIMIT_JSON_DEPTH) {
            assert_int_equal(status, ST_OK);
        } else {
            assert_int_equal(status, ST_RANGE);
            assert_string_equal(error.code, "json_too_deep");
            assert_string_equal(error.field, "");
        }
    }
}

/* More members than anybody looks at are no event; and not "too deep". */
static void test_many_members(void **state)
{
    (void)state;
    char text[1000], *at = text;
    at += sprintf(at, "{\"type\":\"a\",\"data\":1");
    for (int i = 0; i < 40; i++)
        at += sprintf(at, ",\"m%d\":1", i);
    sprintf(at, "}");
    assert_int_equal(read_text(text), ST_RANGE);
    assert_true(strcmp(error.code, "invalid_json") == 0 ||
                strcmp(error.code, "unknown_field") == 0);
}

/* A body with one text of `units` times `unit`, and whether it is taken. */
static enum status read_long(const char *before, const char *unit, size_t units, const char *behind)
{
    size_t unit_len = strlen(unit);
    char *text = malloc(strlen(before) + units * unit_len + strlen(behind) + 1), *at = text;
    assert_non_null(text);
    at = stpcpy(at, before);
    for (size_t i = 0; i < units; i++)
        at = mempcpy(at, unit, unit_len);
    strcpy(at, behind);
    enum status status = read_text(text);
    free(text);
    return status;
}

/* Exactly the limit of bytes is taken, one more is not: written plainly, with an escape for each
 * byte, and in characters of more bytes. A text that is far too long is told from a lack of memory.
 */
static void test_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *before, *code;
        size_t most;
    } members[] = {
        {"{\"data\":1,\"type\":\"", "invalid_type", LIMIT_TYPE_BYTES},
        {"{\"data\":1,\"type\":\"t\",\"version\":\"", "invalid_version", LIMIT_UID_BYTES},
        {"{\"data\":1,\"type\":\"t\",\"source\":\"", "invalid_source", LIMIT_UID_BYTES},
        {"{\"data\":1,\"type\":\"t\",\"uid\":\"", "invalid_uid", LIMIT_UID_BYTES},
        {"{\"data\":1,\"type\":\"t\",\"idempotencyKey\":\"", "invalid_idempotency_key",
         LIMIT_IDEMPOTENCY_KEY_BYTES},
    };
    static const struct {
        const char *text;
        size_t bytes;
    } units[] = {{"x", 1}, {"\\u0078", 1}, {"\\u00fc", 2}, {"\\ud83d\\ude00", 4}, {"\xc3\xbc", 2}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        for (size_t k = 0; k < sizeof(units) / sizeof(units[0]); k++) {
            if (i == 0 && k > 1)
                continue; /* a type is ASCII */
            size_t most = members[i].most / units[k].bytes;
            assert_int_equal(read_long(members[i].before, units[k].text, most, "\"}"), ST_OK);
            static const size_t more[] = {1, 5000, 100000};
            for (size_t m = 0; m < 3; m++) {
                assert_int_equal(read_long(members[i].before, units[k].text, most + more[m], "\"}"),
                                 ST_RANGE);
                assert_string_equal(error.code, members[i].code);
            }
        }
    }
}

/* Texts with escapes keep their place when more of them follow, however long the body is: a time
 * may have any number of digits behind its second. */
static void test_many_escaped_texts(void **state)
{
    (void)state;
    assert_int_equal(
        read_long("{\"source\":\"\\u0073\",\"timestamp\":\"2023-01-02T03:04:05.67\\u0038", "9",
                  100000,
                  "Z\",\"uid\":\"\\u0075\",\"version\":\"\\u0076\",\"type\":\"\\u0074\","
                  "\"data\":\"\\u0064\"}"),
        ST_OK);
    expect_text(document.record.source, "s");
    expect_text(document.record.uid, "u");
    expect_text(document.record.version, "v");
    expect_text(document.record.type, "t");
    expect_text(document.record.data, "\"\\u0064\"");
    assert_true(document.record.timestamp_ms == 1672628645678);
}

/* Data of exactly the limit is taken; more is for 413. Blanks around it do not count. */
static void test_data_limit(void **state)
{
    (void)state;
    size_t most = rules.data_bytes_max - 2; /* the quotes */
    assert_int_equal(read_long("{\"type\":\"a\",\"data\":   \"", "x", most, "\"   }"), ST_OK);
    assert_int_equal(document.record.data.len, rules.data_bytes_max);
    assert_int_equal(read_long("{\"type\":\"a\",\"data\":\"", "x", most + 1, "\"}"), ST_RANGE);
    assert_string_equal(error.code, "payload_too_large");
    assert_string_equal(error.field, "data");
    assert_non_null(strstr(error.message, "1001"));
}

/* A long unknown name is cut to fit the answer. */
static void test_long_unknown_name(void **state)
{
    (void)state;
    assert_int_equal(read_long("{\"type\":\"a\",\"data\":1,\"", "y", 5000, "\":1}"), ST_RANGE);
    assert_string_equal(error.code, "unknown_field");
    assert_int_equal(strlen(error.field), sizeof(error.field) - 1);
}

/* An event cut anywhere is refused as JSON; nothing is read beyond its end. */
static void test_truncated(void **state)
{
    (void)state;
    static const char text[] = WITH("\"uid\":\"\\u0075\",\"delay\":\"1s\",\"source\":\"s\"");
    for (size_t len = 0; len + 1 < sizeof(text); len++) {
        assert_int_equal(read_slice(slice_of(text, len)), ST_RANGE);
        assert_string_equal(error.code, "invalid_json");
    }
    assert_int_equal(read_text(text), ST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_least, teardown),
        cmocka_unit_test_teardown(test_every_member, teardown),
        cmocka_unit_test_teardown(test_key_beside, teardown),
        cmocka_unit_test_teardown(test_plain_texts_stay_in_place, teardown),
        cmocka_unit_test_teardown(test_data_is_untouched, teardown),
        cmocka_unit_test_teardown(test_escapes, teardown),
        cmocka_unit_test_teardown(test_delays, teardown),
        cmocka_unit_test_teardown(test_deliver_at, teardown),
        cmocka_unit_test_teardown(test_delay_and_deliver_at, teardown),
        cmocka_unit_test_teardown(test_refused, teardown),
        cmocka_unit_test_teardown(test_first_fault_counts, teardown),
        cmocka_unit_test_teardown(test_no_json, teardown),
        cmocka_unit_test_teardown(test_depth, teardown),
        cmocka_unit_test_teardown(test_many_members, teardown),
        cmocka_unit_test_teardown(test_lengths, teardown),
        cmocka_unit_test_teardown(test_many_escaped_texts, teardown),
        cmocka_unit_test_teardown(test_data_limit, teardown),
        cmocka_unit_test_teardown(test_long_unknown_name, teardown),
        cmocka_unit_test_teardown(test_truncated, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
