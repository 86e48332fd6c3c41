/* test_event_msgpack.c - the event in msgpack: each member as in JSON, what differs, and bytes that
 * are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "record_mutate.h"
#include "wire/codec.h"
#include "wire/event_document.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_MS       UINT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define YEAR_MS      (UINT64_C(366) * 24 * 3600 * 1000)

static const struct event_document_rules rules = {.data_bytes_max = 1000, .now_ms = NOW_MS};

static struct event_document document;
static struct field_error error;
static struct buf event; /* being written */
static char *body;       /* of exactly its size: what reads beyond it is seen */

static enum status read_slice(struct slice bytes)
{
    event_document_free(&document);
    free(body);
    body = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(body);
    if (bytes.len > 0)
        memcpy(body, bytes.ptr, bytes.len);
    memset(&error, 0, sizeof(error));
    return event_document_read(&document, EVENT_FORMAT_MSGPACK, slice_of(body, bytes.len), &rules,
                               &error);
}

static enum status read_event(void)
{
    assert_int_equal(buf_status(&event), ST_OK);
    return read_slice(buf_slice(&event));
}

/* Begins an event of so many members, of which `type` is there. */
static void begin(uint32_t members)
{
    buf_free(&event);
    buf_init(&event, 1 << 20);
    mp_write_map(&event, members);
    mp_write_str(&event, SLICE("type"));
    mp_write_str(&event, SLICE("a.b"));
}

static void member(const char *name, const char *text)
{
    mp_write_str(&event, slice_str(name));
    mp_write_str(&event, slice_str(text));
}

/* type, data: null, and one more, whose value is to be written. */
static void begin_with(const char *name)
{
    begin(3);
    mp_write_str(&event, SLICE("data"));
    mp_write_nil(&event);
    mp_write_str(&event, slice_str(name));
}

static int teardown(void **state)
{
    (void)state;
    event_document_free(&document);
    document = (struct event_document){.delay_ms = 0};
    free(body);
    body = NULL;
    buf_free(&event);
    return 0;
}

static void expect_text(struct slice text, const char *expected)
{
    assert_non_null(text.ptr);
    assert_true(slice_eq(text, slice_str(expected)));
}

static void expect_refused(const char *code, const char *field)
{
    assert_int_equal(read_event(), ST_RANGE);
    assert_string_equal(error.code, code);
    assert_string_equal(error.field, field);
    size_t len = strlen(error.message);
    assert_true(len > 10 && len + 1 < sizeof(error.message)); /* whole, not cut */
    assert_int_equal(error.message[len - 1], '.');
}

static void test_every_member(void **state)
{
    (void)state;
    begin(9);
    mp_write_str(&event, SLICE("data"));
    mp_write_map(&event, 2);
    member("n\xc3\xa4me", "\"\n");
    mp_write_str(&event, SLICE("total"));
    mp_write_double(&event, 19.99);
    member("timestamp", "2023-01-02T03:04:05.678+01:00");
    member("version", "2");
    member("source", "shop");
    member("uid", "u");
    member("idempotencyKey", "k");
    member("orderingKey", "customer-5");
    member("delay", "1.5s");
    assert_int_equal(read_event(), ST_OK);
    const struct event_record *record = &document.record;
    expect_text(record->application, "default");
    expect_text(record->type, "a.b");
    expect_text(record->data, "{\"n\xc3\xa4me\":\"\\\"\\n\",\"total\":19.99}");
    expect_text(record->version, "2");
    expect_text(record->source, "shop");
    expect_text(record->uid, "u");
    expect_text(record->ordering_key, "customer-5");
    expect_text(document.idempotency_key, "k");
    assert_true(record->timestamp_ms == 1672625045678);
    assert_true(document.has_delay && document.delay_ms == 1500);
    assert_true(record->data_kind == EVENT_DATA_JSON && !record->cloud_event.ptr);
    assert_true(slice_eq(document.raw, buf_slice(&event)));
    /* Texts are where they were. */
    assert_true(record->uid.ptr > body && record->uid.ptr < body + event.len);
}

static void test_least(void **state)
{
    (void)state;
    begin(2);
    mp_write_str(&event, SLICE("data"));
    mp_write_nil(&event);
    assert_int_equal(read_event(), ST_OK);
    expect_text(document.record.data, "null");
    assert_true(document.record.timestamp_ms == NOW_MS && document.record.deliver_at_ms == 0);
    assert_true(!document.record.ordering_key.ptr && !document.idempotency_key.ptr);
    assert_false(document.has_delay || document.has_deliver_at);
}

/* Timestamps, to the millisecond; a time that has no place in a record is refused. */
static void test_times(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        uint64_t ms; /* UINT64_MAX: refused */
    } table[] = {
        {{"\xd6\xff\x65\x53\xf1\x00", 6}, NOW_MS},
        {{"\xd7\xff\x77\x35\x94\x00\x65\x53\xf1\x00", 10}, NOW_MS + 500},
        {{"\xd7\xff\xee\x6b\x27\xfc\x65\x53\xf1\x00", 10}, NOW_MS + 999}, /* 999,999,999 ns */
        {{"\xd6\xff\x00\x00\x00\x00", 6}, 0},
        {{"\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", 15}, UINT64_MAX},
        {{"\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x3a\xff\xf4\x41\x80", 15}, UINT64_MAX},
        {{"\xd6\x05\x65\x53\xf1\x00", 6}, UINT64_MAX}, /* another extension */
        {{"\xce\x65\x53\xf1\x00", 5}, UINT64_MAX},     /* a number is no time: of what unit? */
        {{"\xc0", 1}, UINT64_MAX},
        {{"\xa1x", 2}, UINT64_MAX},
    };
    static const char *const names[] = {"timestamp", "deliverAt"};
    static const char *const codes[] = {"invalid_timestamp", "invalid_deliver_at"};
    for (size_t i = 0; i < COUNT(table); i++)
        for (size_t k = 0; k < 2; k++) {
            begin_with(names[k]);
            buf_add_slice(&event, table[i].value);
            if (table[i].ms == UINT64_MAX) {
                expect_refused(codes[k], names[k]);
                continue;
            }
            assert_int_equal(read_event(), ST_OK);
            assert_true((k == 0 ? document.record.timestamp_ms : document.record.deliver_at_ms) ==
                        table[i].ms);
            assert_int_equal(document.has_deliver_at, k == 1);
        }
    begin_with("deliverAt"); /* two years ahead */
    buf_add_slice(&event, SLICE("\xd6\xff\x69\x53\xf1\x00"));
    expect_refused("invalid_deliver_at", "deliverAt");
}

static void test_delays(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        uint64_t ms; /* UINT64_MAX: refused */
    } table[] = {
        {{"\x00", 1}, 0},
        {{"\xcd\x03\xe8", 3}, 1000},
        {{"\xd1\x03\xe8", 3}, 1000},
        {{"\xa3"
          "90s",
          4},
         90000},
        {{"\xcf\x00\x00\x00\x07\x5c\xd7\x88\x00", 9}, YEAR_MS},
        {{"\xcf\x00\x00\x00\x07\x5c\xd7\x88\x01", 9}, UINT64_MAX},
        {{"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9}, UINT64_MAX},
        {{"\xff", 1}, UINT64_MAX},
        {{"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", 9}, UINT64_MAX},
        {{"\xa2"
          "90",
          3},
         UINT64_MAX},
        {{"\x90", 1}, UINT64_MAX},
        {{"\xc3", 1}, UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        begin_with("delay");
        buf_add_slice(&event, table[i].value);
        if (table[i].ms == UINT64_MAX) {
            expect_refused("invalid_delay", "delay");
            continue;
        }
        assert_int_equal(read_event(), ST_OK);
        assert_true(document.has_delay && document.delay_ms == table[i].ms);
    }
}

/* The same faults have the same codes as in JSON. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct slice value;
        const char *code;
    } table[] = {
        {"version", {"\x01", 1}, "invalid_version"},
        {"version", {"\xa0", 1}, "invalid_version"},
        {"source", {"\xa1\x00", 2}, "invalid_source"},
        {"source", {"\xc4\x01x", 3}, "invalid_source"},
        {"uid", {"\xc0", 1}, "invalid_uid"},
        {"uid",
         {"\xbf"
          "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
          32},
         "invalid_uid"},
        {"idempotencyKey", {"\x80", 1}, "invalid_idempotency_key"},
        {"orderingKey", {"\x05", 1}, "invalid_ordering_key"},
        {"orderingKey", {"\xa0", 1}, "invalid_ordering_key"},
        {"orderingKey", {"\xa1\xff", 2}, "unsupported_value"},
        {"source", {"\xa2\xc3\x28", 3}, "unsupported_value"},
        {"type", {"\xa1x", 2}, "invalid_msgpack"}, /* twice */
        {"data", {"\xc0", 1}, "invalid_msgpack"},
        {"id", {"\xa1x", 2}, "unknown_field"},
        {"", {"\xa1x", 2}, "unknown_field"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        begin_with(table[i].name);
        buf_add_slice(&event, table[i].value);
        expect_refused(table[i].code, table[i].name);
    }
    begin(1);
    expect_refused("missing_field", "data");
    begin(2);
    mp_write_str(&event, SLICE("data"));
    mp_write_map(&event, 1);
    mp_write_str(&event, SLICE("file"));
    mp_write_bin(&event, SLICE("x"));
    expect_refused("unsupported_value", "data.file");
    buf_clear(&event);
    mp_write_map(&event, 1);
    mp_write_str(&event, SLICE("data"));
    mp_write_nil(&event);
    expect_refused("missing_field", "type");
    buf_clear(&event);
    mp_write_map(&event, 1);
    mp_write_u64(&event, 1);
    mp_write_nil(&event);
    expect_refused("invalid_msgpack", "");
    begin_with("type");
    event.len -= 5; /* "type" was the last member's name: it ends in between */
    expect_refused("invalid_msgpack", "");
    begin(1);
    mp_write_nil(&event); /* behind the event */
    expect_refused("invalid_msgpack", "");
}

/* What is no map, and JSON by mistake. */
static void test_no_map(void **state)
{
    (void)state;
    static const struct slice bodies[] = {
        {"", 0}, {"\xc0", 1}, {"\x90", 1}, {"{\"type\":\"a\",\"data\":1}", 21}, {"\xc1", 1}};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        assert_int_equal(read_slice(bodies[i]), ST_RANGE);
        assert_string_equal(error.code, "invalid_msgpack");
    }
}

/* `max` is what counts of the JSON, not of the msgpack. */
static void test_data_limit(void **state)
{
    (void)state;
    char text[1000];
    memset(text, '\n', sizeof(text)); /* two bytes each as JSON */
    for (size_t len = 498; len <= 500; len++) {
        begin(2);
        mp_write_str(&event, SLICE("data"));
        mp_write_str(&event, slice_of(text, len));
        if (len < 500) {
            assert_int_equal(read_event(), ST_OK);
            assert_int_equal(document.record.data.len, 2 * len + 2);
        } else {
            expect_refused("payload_too_large", "data");
        }
    }
}

/* Data may be as deep as in JSON, where the event is one level. */
static void test_depth(void **state)
{
    (void)state;
    for (unsigned depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH; depth++) {
        char json[400];
        size_t len = (size_t)snprintf(json, sizeof(json), "{\"type\":\"a.b\",\"data\":");
        begin(2);
        mp_write_str(&event, SLICE("data"));
        for (unsigned i = 0; i < depth; i++) {
            mp_write_array(&event, i + 1 < depth);
            json[len++] = '[';
        }
        memset(json + len, ']', depth);
        json[len + depth] = '}';
        enum status expected = depth < LIMIT_JSON_DEPTH ? ST_OK : ST_RANGE;
        assert_int_equal(read_event(), expected);
        event_document_free(&document);
        assert_int_equal(event_document_read(&document, EVENT_FORMAT_JSON,
                                             slice_of(json, len + depth + 1), &rules, &error),
                         expected);
        assert_true(expected == ST_OK || strcmp(error.code, "json_too_deep") == 0);
    }
}

static void read_damaged(struct slice bytes)
{
    enum status status = read_slice(bytes);
    assert_true(status == ST_OK || (status == ST_RANGE && error.code));
}

static void read_truncated(struct slice bytes)
{
    assert_int_equal(read_slice(bytes), ST_RANGE);
    assert_string_equal(error.code, "invalid_msgpack");
}

/* Cut anywhere it is refused; damaged anywhere it is refused or an event. */
static void test_damaged(void **state)
{
    (void)state;
    begin(4);
    mp_write_str(&event, SLICE("data"));
    mp_write_array(&event, 2);
    mp_write_map(&event, 1);
    member("k", "v");
    mp_write_double(&event, 1.5);
    member("uid", "u");
    member("delay", "1s");
    mutate_truncate(buf_slice(&event), read_truncated);
    mutate_every_byte(buf_slice(&event), read_damaged);
    mutate_randomly(buf_slice(&event), 5, 20000, read_damaged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_every_member, teardown),
        cmocka_unit_test_teardown(test_least, teardown),
        cmocka_unit_test_teardown(test_times, teardown),
        cmocka_unit_test_teardown(test_delays, teardown),
        cmocka_unit_test_teardown(test_refused, teardown),
        cmocka_unit_test_teardown(test_no_map, teardown),
        cmocka_unit_test_teardown(test_data_limit, teardown),
        cmocka_unit_test_teardown(test_depth, teardown),
        cmocka_unit_test_teardown(test_damaged, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
