/* test_event_headers.c - which headers of a received request are kept, and that what is kept can
 * neither say more than was received nor be mistaken for ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "wire/event_headers.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Hop by hop, of the way to here, written anew, or ours: whatever their case. */
static void test_reserved_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *connection;
        bool allowed;
    } table[] = {
        {"X-Hub-Signature-256", NULL, true},
        {"webhook-id", NULL, true},
        {"svix-signature", NULL, true},
        {"User-Agent", NULL, true},
        {"Content-Encoding", NULL, true},
        {"Authorization", NULL, true},
        {"Connection", NULL, false},
        {"KEEP-ALIVE", NULL, false},
        {"te", NULL, false},
        {"team", NULL, true},
        {"Trailer", NULL, false},
        {"Upgrade", NULL, false},
        {"Transfer-Encoding", NULL, false},
        {"Proxy-Authorization", NULL, false},
        {"Proxy-Connection", NULL, false},
        {"proxy", NULL, true},
        {"Host", NULL, false},
        {"Content-Length", NULL, false},
        {"Content-Type", NULL, false},
        {"Expect", NULL, false},
        {"Accept-Encoding", NULL, false},
        {"X-Forwarded-For", NULL, false},
        {"Forwarded", NULL, false},
        {"traceparent", NULL, false},
        {"Trotline-Verified", NULL, false},
        {"TROTLINE-SOURCE", NULL, false},
        {"trotline-anything", NULL, false},
        {"Trotlines", NULL, true},
        {"X-Hop", "close, X-Hop", false},
        {"x-hop", "X-HOP", false},
        {"X-Hop", "\tX-Hop ,close", false},
        {"X-Hop", "X-Hops, Hop", true},
        {"X-Hop", "", true},
        {"X-Hop", ",,", true},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        if (event_header_allowed(slice_str(table[i].name), slice_str(table[i].connection)) !=
            table[i].allowed)
            fail_msg("%s with %s", table[i].name, table[i].connection);
}

/* What was added comes back, in its order, byte for byte. */
static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        struct slice name, value;
    } table[] = {
        {SLICE("X-Signature"), SLICE("t=1,v1=abc")},
        {SLICE("x-signature"), SLICE("")},
        {SLICE("X-Blank"), SLICE("a: b\tc  d")},
        {SLICE("X-Latin"), SLICE("Zo\xeb")},
    };
    struct buf headers;
    struct slice name, value;
    buf_init(&headers, LIMIT_EVENT_HEADERS_BYTES);
    for (size_t i = 0; i < COUNT(table); i++)
        assert_true(event_headers_add(&headers, table[i].name, table[i].value));
    struct slice rest = buf_slice(&headers);
    for (size_t i = 0; i < COUNT(table); i++) {
        assert_true(event_headers_next(&rest, &name, &value));
        assert_true(slice_eq(name, table[i].name) && slice_eq(value, table[i].value));
        assert_true(value.ptr[value.len] == '\0');
    }
    assert_false(event_headers_next(&rest, &name, &value));
    rest = SLICE_NULL;
    assert_false(event_headers_next(&rest, &name, &value));
    buf_free(&headers);
}

/* Bytes that would end a header, or begin another one, are not taken. */
static void test_no_header_forges_another(void **state)
{
    (void)state;
    static const struct {
        struct slice name, value;
    } table[] = {
        {SLICE(""), SLICE("x")},          {SLICE("A B"), SLICE("x")},
        {SLICE("A:"), SLICE("x")},        {SLICE("A\n"), SLICE("x")},
        {SLICE("A\0"), SLICE("x")},       {SLICE("\xc3\xa9"), SLICE("x")},
        {SLICE("A"), SLICE("x\r\nB: y")}, {SLICE("A"), SLICE("x\nB")},
        {SLICE("A"), SLICE("x\0B: y")},   {SLICE("A"), SLICE("\x7f")},
        {SLICE("A"), SLICE("\x1b[31m")},
    };
    struct buf headers;
    buf_init(&headers, 1000);
    for (size_t i = 0; i < COUNT(table); i++) {
        assert_false(event_headers_add(&headers, table[i].name, table[i].value));
        assert_int_equal(headers.len, 0);
    }
    buf_free(&headers);
}

/* One too long is left out, and those behind it that fit are not. */
static void test_bounded(void **state)
{
    (void)state;
    static char text[LIMIT_EVENT_HEADERS_BYTES];
    memset(text, 'x', sizeof(text));
    struct buf headers;
    buf_init(&headers, 2 * LIMIT_EVENT_HEADERS_BYTES);
    size_t most = sizeof(text) - strlen("A: ") - 1;
    assert_true(event_headers_add(&headers, SLICE("A"), slice_of(text, most - 5)));
    assert_false(event_headers_add(&headers, SLICE("BCD"), SLICE("")));
    assert_int_equal(buf_status(&headers), ST_OK);
    assert_true(event_headers_add(&headers, SLICE("B"), SLICE("1")));
    assert_int_equal(headers.len, LIMIT_EVENT_HEADERS_BYTES);
    assert_false(event_headers_add(&headers, SLICE("C"), SLICE("")));
    buf_free(&headers);
    buf_init(&headers, 10);
    assert_false(event_headers_add(&headers, SLICE("A"), SLICE("12345678")));
    assert_int_equal(headers.len, 0);
    buf_free(&headers);
}

/* Bytes that are not of the form end the walk, inside their bounds. */
static void test_damaged(void **state)
{
    (void)state;
    static const struct slice table[] = {SLICE("A: b"), SLICE("A b\0"), SLICE("\0"), SLICE("A:b\0"),
                                         SLICE("")};
    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice name, value;
        char *copy = malloc(table[i].len + 1);
        memcpy(copy, table[i].ptr, table[i].len);
        struct slice rest = slice_of(copy, table[i].len);
        assert_false(event_headers_next(&rest, &name, &value));
        free(copy);
    }
}

static void test_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool secret;
    } table[] = {
        {"Authorization", true}, {"cookie", true},          {"X-Gitlab-Token", true},
        {"X-API-KEY", true},     {"X-Client-Secret", true}, {"X-Hub-Signature", false},
        {"webhook-id", false},   {"X-Keys", false},         {"ey", false},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        if (event_header_secret(slice_str(table[i].name)) != table[i].secret)
            fail_msg("%s", table[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserved_names),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_header_forges_another),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
