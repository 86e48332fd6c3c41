/* test_lib_event.c - the C library: events built and read, in both forms. Uses nothing but the
 * public headers, so that tests/e2e/test_library.py can build it against the installed library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trotline/trotline.h>

#define NOW_MS UINT64_C(1700000000000)
#define DAY_MS (UINT64_C(24) * 3600 * 1000)

static void expect_slice(struct trotline_slice slice, const char *text)
{
    if (!text) {
        assert_null(slice.at);
        return;
    }
    assert_non_null(slice.at);
    assert_string_equal(slice.at, text);
    assert_int_equal(slice.bytes, strlen(text));
}

static struct trotline_event *event_of(const char *type, const char *data)
{
    struct trotline_event *event = trotline_event_new();
    assert_non_null(event);
    trotline_event_set_type(event, type);
    trotline_event_set_data(event, trotline_slice_str(data));
    return event;
}

static struct trotline_event *full_event(void)
{
    struct trotline_event *event =
        event_of("order.paid", "{\"total\": 9.90, \"name\":\"Zo\xc3\xab\"}");
    trotline_event_set_version(event, "2");
    trotline_event_set_source(event, "shop \"1\"");
    trotline_event_set_uid(event, "order-17");
    trotline_event_set_idempotency_key(event, "key\n17");
    trotline_event_set_ordering_key(event, "customer-4");
    trotline_event_set_timestamp_ms(event, NOW_MS - 1);
    trotline_event_set_deliver_at_ms(event, NOW_MS + DAY_MS);
    return event;
}

static void expect_full(const struct trotline_event *event, const char *data)
{
    expect_slice(trotline_event_type(event), "order.paid");
    expect_slice(trotline_event_version(event), "2");
    expect_slice(trotline_event_source(event), "shop \"1\"");
    expect_slice(trotline_event_uid(event), "order-17");
    expect_slice(trotline_event_idempotency_key(event), "key\n17");
    expect_slice(trotline_event_ordering_key(event), "customer-4");
    expect_slice(trotline_event_data(event), data);
    assert_int_equal(trotline_event_timestamp_ms(event), NOW_MS - 1);
    assert_int_equal(trotline_event_deliver_at_ms(event), NOW_MS + DAY_MS);
    assert_int_equal(trotline_event_delay_ms(event), 0);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* All members, written and read again; `data` stays byte for byte. */
static void test_json(void **state)
{
    (void)state;
    struct trotline_event *event = full_event(), *read;
    struct trotline_slice bytes;
    assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_JSON, NOW_MS, &bytes, NULL),
                     TROTLINE_OK);
    static const char json[] =
        "{\"type\":\"order.paid\",\"version\":\"2\",\"source\":\"shop \\\"1\\\"\","
        "\"uid\":\"order-17\",\"idempotencyKey\":\"key\\n17\",\"orderingKey\":\"customer-4\","
        "\"timestamp\":\"2023-11-14T22:13:19.999Z\",\"deliverAt\":\"2023-11-15T22:13:20.000Z\","
        "\"data\":{\"total\": 9.90, \"name\":\"Zo\xc3\xab\"}}";
    assert_int_equal(bytes.bytes, strlen(json));
    assert_memory_equal(bytes.at, json, bytes.bytes);
    assert_int_equal(
        trotline_event_read(bytes.at, bytes.bytes, TROTLINE_FORMAT_ANY, NOW_MS, &read, NULL),
        TROTLINE_OK);
    expect_full(read, "{\"total\": 9.90, \"name\":\"Zo\xc3\xab\"}");
    trotline_event_free(read);
    trotline_event_free(event);
}

/* What brings little has little, and the present for its time. */
static void test_smallest(void **state)
{
    (void)state;
    static const char json[] = " {\"data\":null,\"type\":\"a\",\"delay\":\"90s\"}";
    struct trotline_event *event;
    assert_int_equal(
        trotline_event_read(json, strlen(json), TROTLINE_FORMAT_ANY, NOW_MS, &event, NULL),
        TROTLINE_OK);
    expect_slice(trotline_event_type(event), "a");
    expect_slice(trotline_event_data(event), "null");
    expect_slice(trotline_event_version(event), NULL);
    expect_slice(trotline_event_source(event), NULL);
    expect_slice(trotline_event_uid(event), NULL);
    expect_slice(trotline_event_idempotency_key(event), NULL);
    expect_slice(trotline_event_ordering_key(event), NULL);
    assert_int_equal(trotline_event_timestamp_ms(event), NOW_MS);
    assert_int_equal(trotline_event_delay_ms(event), 90000);
    assert_int_equal(trotline_event_deliver_at_ms(event), 0);
    trotline_event_free(event);
}

/* An event is used again: what is set replaces, NULL and 0 remove, clear removes all. */
static void test_reuse(void **state)
{
    (void)state;
    struct trotline_event *event = full_event();
    struct trotline_slice bytes;
    trotline_event_set_version(event, NULL);
    trotline_event_set_source(event, NULL);
    trotline_event_set_uid(event, NULL);
    trotline_event_set_idempotency_key(event, NULL);
    trotline_event_set_ordering_key(event, NULL);
    trotline_event_set_timestamp_ms(event, 0);
    trotline_event_set_deliver_at_ms(event, 0);
    trotline_event_set_delay_ms(event, 5);
    trotline_event_set_data(event, trotline_slice_str("1"));
    assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_JSON, 0, &bytes, NULL),
                     TROTLINE_OK);
    static const char json[] = "{\"type\":\"order.paid\",\"delay\":5,\"data\":1}";
    assert_int_equal(bytes.bytes, strlen(json));
    assert_memory_equal(bytes.at, json, bytes.bytes);
    trotline_event_clear(event);
    assert_null(trotline_event_type(event).at);
    struct trotline_error error;
    assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_JSON, 0, &bytes, &error),
                     TROTLINE_INVALID_EVENT);
    assert_string_equal(error.code, "missing_field");
    assert_string_equal(error.field, "type");
    assert_null(bytes.at);
    trotline_event_free(event);
}

/* ---- Refused --------------------------------------------------------------------------------- */

/* Whatever the server would refuse is refused when it is written, in either form, with the member.
 */
static void test_refused_writing(void **state)
{
    (void)state;
    char long_text[258];
    memset(long_text, 'x', 257);
    long_text[257] = '\0';
    enum { TYPE, VERSION, SOURCE, UID, KEY, ORDER, DATA };
    const struct {
        int member;
        const char *text, *field;
    } table[] = {
        {TYPE, NULL, "type"},
        {TYPE, "", "type"},
        {TYPE, "a..b", "type"},
        {TYPE, "a b", "type"},
        {TYPE, long_text, "type"},
        {TYPE, "\xff", "type"},
        {VERSION, "", "version"},
        {VERSION, long_text, "version"},
        {SOURCE, "\xc0\xaf", "source"},
        {UID, "msg_3MRvghEUoD48ecxKp0SuRO2AMVE", "uid"},
        {UID, long_text, "uid"},
        {KEY, "", "idempotencyKey"},
        {ORDER, long_text, "orderingKey"},
        {DATA, NULL, "data"},
        {DATA, "", "data"},
        {DATA, "{", "data"},
        {DATA, "1,\"uid\":\"injected\"", "data"},
        {DATA, "\"\xff\"", "data"},
        {DATA, "1 2", "data"},
    };
    static const enum trotline_format formats[] = {TROTLINE_FORMAT_JSON, TROTLINE_FORMAT_MSGPACK};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct trotline_event *event = event_of("a", "1");
        void (*const set[])(struct trotline_event *, const char *) = {
            trotline_event_set_type,
            trotline_event_set_version,
            trotline_event_set_source,
            trotline_event_set_uid,
            trotline_event_set_idempotency_key,
            trotline_event_set_ordering_key,
        };
        if (table[i].member == DATA)
            trotline_event_set_data(event, trotline_slice_str(table[i].text));
        else
            set[table[i].member](event, table[i].text);
        for (size_t k = 0; k < 2; k++) {
            struct trotline_error error = {NULL, "", ""};
            struct trotline_slice bytes = trotline_slice_str("before");
            assert_int_equal(trotline_event_write(event, formats[k], NOW_MS, &bytes, &error),
                             TROTLINE_INVALID_EVENT);
            assert_string_equal(error.field, table[i].field);
            assert_non_null(error.code);
            assert_true(strlen(error.message) > 0);
            assert_null(bytes.at);
        }
        trotline_event_free(event);
    }
}

static void expect_time_refused(uint64_t timestamp_ms, uint64_t deliver_at_ms, uint64_t delay_ms,
                                const char *code)
{
    static const enum trotline_format formats[] = {TROTLINE_FORMAT_JSON, TROTLINE_FORMAT_MSGPACK};
    struct trotline_event *event = event_of("a", "1");
    trotline_event_set_timestamp_ms(event, timestamp_ms);
    trotline_event_set_deliver_at_ms(event, deliver_at_ms);
    trotline_event_set_delay_ms(event, delay_ms);
    for (size_t i = 0; i < 2; i++) {
        struct trotline_error error = {NULL, "", ""};
        struct trotline_slice bytes;
        assert_int_equal(trotline_event_write(event, formats[i], NOW_MS, &bytes, &error),
                         TROTLINE_INVALID_EVENT);
        assert_string_equal(error.code, code);
    }
    trotline_event_free(event);
}

static void test_refused_times(void **state)
{
    (void)state;
    expect_time_refused(UINT64_MAX, 0, 0, "invalid_timestamp");
    expect_time_refused(0, UINT64_MAX, 0, "invalid_deliver_at");
    expect_time_refused(0, NOW_MS + 366 * DAY_MS + 1, 0, "invalid_deliver_at");
    expect_time_refused(0, 0, 366 * DAY_MS + 1, "invalid_delay");
    expect_time_refused(0, NOW_MS, 1, "invalid_delay"); /* one or the other */
}

/* What is read is refused with the server's code and the member. */
static void test_refused_reading(void **state)
{
    (void)state;
    static const struct {
        const char *json, *code, *field;
    } table[] = {
        {"", "invalid_json", ""},
        {"{", "invalid_json", ""},
        {"{\"type\":\"a\"}", "missing_field", "data"},
        {"{\"data\":1}", "missing_field", "type"},
        {"{\"type\":7,\"data\":1}", "invalid_type", "type"},
        {"{\"type\":\"a\",\"data\":1,\"colour\":2}", "unknown_field", "colour"},
        {"{\"type\":\"a\",\"data\":1,\"timestamp\":\"today\"}", "invalid_timestamp", "timestamp"},
        {"{\"type\":\"a\",\"data\":1,\"type\":\"b\"}", "invalid_json", ""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct trotline_event *event;
        struct trotline_error error;
        assert_int_equal(trotline_event_read(table[i].json, strlen(table[i].json),
                                             TROTLINE_FORMAT_ANY, NOW_MS, &event, &error),
                         TROTLINE_INVALID_EVENT);
        assert_null(event);
        assert_string_equal(error.code, table[i].code);
        assert_string_equal(error.field, table[i].field);
    }
}

/* Wrong arguments are answered, and what is NULL has nothing. */
static void test_arguments(void **state)
{
    (void)state;
    struct trotline_event *event = event_of("a", "1"), *read;
    struct trotline_slice bytes;
    assert_int_equal(trotline_event_write(NULL, TROTLINE_FORMAT_JSON, 0, &bytes, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_JSON, 0, NULL, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_ANY, 0, &bytes, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_event_write(event, (enum trotline_format)7, 0, &bytes, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_event_read(NULL, 1, TROTLINE_FORMAT_ANY, 0, &read, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_event_read("{}", 2, (enum trotline_format)7, 0, &read, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_event_read("{}", 2, TROTLINE_FORMAT_ANY, 0, NULL, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    trotline_event_set_type(NULL, "a");
    trotline_event_set_data(NULL, trotline_slice_str("1"));
    trotline_event_set_delay_ms(NULL, 1);
    trotline_event_set_timestamp_ms(NULL, 1);
    trotline_event_set_deliver_at_ms(NULL, 1);
    trotline_event_clear(NULL);
    trotline_event_free(NULL);
    assert_null(trotline_event_type(NULL).at);
    assert_int_equal(trotline_event_timestamp_ms(NULL) + trotline_event_delay_ms(NULL) +
                         trotline_event_deliver_at_ms(NULL),
                     0);
    trotline_event_free(event);
}

/* ---- msgpack --------------------------------------------------------------------------------- */

/* An event of one member `data`, written as msgpack and read again. */
static void expect_through_msgpack(const char *data, const char *back)
{
    struct trotline_event *event = event_of("a", data), *read;
    struct trotline_slice bytes;
    struct trotline_error error = {NULL, "", ""};
    if (trotline_event_write(event, TROTLINE_FORMAT_MSGPACK, NOW_MS, &bytes, &error) != TROTLINE_OK)
        fail_msg("%s: %s: %s", data, error.field, error.message);
    assert_int_equal(
        trotline_event_read(bytes.at, bytes.bytes, TROTLINE_FORMAT_ANY, NOW_MS, &read, &error),
        TROTLINE_OK);
    expect_slice(trotline_event_data(read), back);
    trotline_event_free(read);
    trotline_event_free(event);
}

static void test_msgpack(void **state)
{
    (void)state;
    struct trotline_event *event = full_event(), *read;
    struct trotline_slice bytes;
    assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_MSGPACK, NOW_MS, &bytes, NULL),
                     TROTLINE_OK);
    assert_int_equal((unsigned char)bytes.at[0], 0x89); /* a map of nine */
    assert_int_equal(
        trotline_event_read(bytes.at, bytes.bytes, TROTLINE_FORMAT_ANY, NOW_MS, &read, NULL),
        TROTLINE_OK);
    expect_full(read, "{\"total\":9.9,\"name\":\"Zo\xc3\xab\"}");
    trotline_event_free(read);
    trotline_event_free(event);
}

/* The exact bytes of a small one, as the specification has them. */
static void test_msgpack_bytes(void **state)
{
    (void)state;
    static const unsigned char expected[] = {
        0x83, 0xa4, 't', 'y', 'p', 'e',  0xa1, 'a', 0xa5, 'd',  'e',  'l',  'a',  'y', 0x05,
        0xa4, 'd',  'a', 't', 'a', 0x82, 0xa1, 'x', 0x93, 0x01, 0xff, 0xc3, 0xa1, 'y', 0xc0};
    struct trotline_event *event = event_of("a", "{\"x\":[1,-1,true],\"y\":null}");
    struct trotline_slice bytes;
    trotline_event_set_delay_ms(event, 5);
    assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_MSGPACK, 0, &bytes, NULL),
                     TROTLINE_OK);
    assert_int_equal(bytes.bytes, sizeof(expected));
    assert_memory_equal(bytes.at, expected, sizeof(expected));
    trotline_event_free(event);
}

/* Values that come back as the same values, whatever the program's locale. */
static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *data, *back;
    } table[] = {
        {"null", "null"},
        {"true", "true"},
        {"[]", "[]"},
        {" { } ", "{}"},
        {"0", "0"},
        {"-0", "0"},
        {"18446744073709551615", "18446744073709551615"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"0.1", "0.1"},
        {"1.50", "1.5"},
        {"-2.5e-3", "-0.0025"},
        {"9007199254740993", "9007199254740993"},
        {"0.1000000000000000000000000000000000000000000000", "0.1"},
        {"\"\\u00e9\\ud834\\udd1e\\n\"", "\"\xc3\xa9\xf0\x9d\x84\x9e\\n\""},
        {"[[1,[2,{\"a\":[{}]}]],\"b\"]", "[[1,[2,{\"a\":[{}]}]],\"b\"]"},
        {"{\"a\\n\":{\"b\":[1,2,3]},\"c\":\"\"}", "{\"a\\n\":{\"b\":[1,2,3]},\"c\":\"\"}"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        expect_through_msgpack(table[i].data, table[i].back);
}

/* What msgpack cannot hold exactly, and what nobody could read back, is refused with its path. */
static void test_refused_values(void **state)
{
    (void)state;
    static const struct {
        const char *data, *field;
    } table[] = {
        {"1e400", "data"},
        {"18446744073709551616", "data"},
        {"0.1000000000000000055511151231257827", "data"},
        {"{\"items\":[1,2,{\"price\":1e-400}]}", "data.items[2].price"},
        {"[0,[1,2,[12345678901234567890.5]]]", "data[1][2][0]"},
        {"{\"a\":{\"b\":1,\"b\":2}}", "data.a.b"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct trotline_event *event = event_of("a", table[i].data);
        struct trotline_error error;
        struct trotline_slice bytes;
        assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_MSGPACK, 0, &bytes, &error),
                         TROTLINE_INVALID_EVENT);
        assert_string_equal(error.field, table[i].field);
        assert_int_equal(trotline_event_write(event, TROTLINE_FORMAT_JSON, 0, &bytes, &error),
                         TROTLINE_OK);
        trotline_event_free(event);
    }
}

/* A decimal comma in the program's locale changes nothing. test_library.py names one that has it;
 * elsewhere none but C may be installed. */
static void test_locale(void **state)
{
    const char *name = getenv("TROTLINE_TEST_LOCALE");
    char text[8];
    assert_non_null(setlocale(LC_ALL, name ? name : "C"));
    snprintf(text, sizeof(text), "%.1f", 0.5);
    assert_string_equal(text, name ? "0,5" : "0.5");
    test_values(state);
    test_msgpack(state);
    snprintf(text, sizeof(text), "%.1f", 0.5); /* it is still the program's */
    assert_string_equal(text, name ? "0,5" : "0.5");
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),           cmocka_unit_test(test_smallest),
        cmocka_unit_test(test_reuse),          cmocka_unit_test(test_refused_writing),
        cmocka_unit_test(test_refused_times),  cmocka_unit_test(test_refused_reading),
        cmocka_unit_test(test_arguments),      cmocka_unit_test(test_msgpack),
        cmocka_unit_test(test_msgpack_bytes),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused_values), cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
