/* test_received.c - looks into a request: headers, parameters, JSON paths; and that whatever could
 * be read in two ways is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/received.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_text(struct slice found, const char *expected)
{
    if (!expected) {
        assert_null(found.ptr);
        return;
    }
    assert_non_null(found.ptr);
    if (!slice_eq(found, slice_str(expected)))
        fail_msg("\"%.*s\" instead of \"%s\"", SLICE_ARGS(found), expected);
}

/* Any case finds a header; two of a name find none, equal or not. */
static void test_headers(void **state)
{
    (void)state;
    const struct received_header headers[] = {
        {SLICE("X-One"), SLICE("1")}, {SLICE("x-two"), SLICE("2")},  {SLICE("X-TWO"), SLICE("2")},
        {SLICE("X-On"), SLICE("3")},  {SLICE("X-Empty"), SLICE("")},
    };
    const struct received received = {.headers = headers, .header_count = COUNT(headers)};
    assert_text(received_header(&received, SLICE("x-one")), "1");
    assert_text(received_header(&received, SLICE("X-Two")), NULL);
    assert_text(received_header(&received, SLICE("x-o")), NULL);
    assert_text(received_header(&received, SLICE("x-empty")), "");
}

static void test_vars(void **state)
{
    (void)state;
    const struct received_var vars[] = {{SLICE("a"), SLICE("1")}, {SLICE("A"), SLICE("2")}};
    const struct received received = {.vars = vars, .var_count = COUNT(vars)};
    assert_text(received_var(&received, SLICE("A")), "2");
    assert_text(received_var(&received, SLICE("b")), NULL);
}

/* Names and values are decoded; what is there twice, or badly encoded, is not there. */
static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *query, *name, *value;
    } table[] = {
        {"a=1&b=2", "b", "2"},  {"a=1&b=2", "c", NULL},
        {"", "a", NULL},        {"a", "a", ""},
        {"a=", "a", ""},        {"a==", "a", "="},
        {"&&a=1&", "a", "1"},   {"a=x+y%20z%2B", "a", "x y z+"},
        {"%61=1", "a", "1"},    {"hub.mode=subscribe", "hub.mode", "subscribe"},
        {"a=1&a=1", "a", NULL}, {"a=1&%61=1", "a", NULL},
        {"a=%", "a", NULL},     {"a=%4", "a", NULL},
        {"a=%4g", "a", NULL},   {"aa=1", "a", NULL},
        {"a%=1", "a", NULL},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct buf buf;
        buf_init(&buf, 100);
        buf_add_str(&buf, "<");
        bool found = received_query(slice_str(table[i].query), slice_str(table[i].name), &buf);
        assert_int_equal(found, table[i].value != NULL);
        assert_text(slice_from(buf_slice(&buf), 1), table[i].value ? table[i].value : "");
        buf_free(&buf);
    }
}

/* Objects and arrays, escapes in names and values; kinds that are no text; names that come twice.
 */
static void test_json_paths(void **state)
{
    (void)state;
    static const struct {
        const char *json, *path, *text;
        bool absent;
    } table[] = {
        {"{\"a\":{\"b\":\"x\"}}", "a.b", "x", false},
        {" { \"a\" : [ 1 , { \"b\" : 2.50 } ] } ", "a.1.b", "2.50", false},
        {"[true,false,null]", "0", "true", false},
        {"[true,false,null]", "1", "false", false},
        {"[true,false,null]", "2", NULL, true},
        {"[true,false,null]", "3", NULL, true},
        {"[1]", "a", NULL, true},
        {"[1]", "00", "1", false},
        {"[1]", "-1", NULL, true},
        {"{\"a\":\"\"}", "a", "", false},
        {"{\"a\":\"\\u00e9\\n\"}", "a", "\xc3\xa9\n", false},
        {"{\"\\u0061\":1}", "a", "1", false},
        {"{\"a\":1,\"\\u0061\":2}", "a", NULL, false},
        {"{\"a\":{\"b\":1},\"a\":{}}", "a.b", NULL, false},
        {"{\"a\":{\"b\":1,\"b\":1}}", "a.b", NULL, false},
        {"{\"a\":{\"c\":1,\"c\":1,\"b\":3}}", "a.b", "3", false},
        {"{\"a\":{}}", "a", NULL, false},
        {"{\"a\":[]}", "a", NULL, false},
        {"{\"a\":1}", "a.b", NULL, true},
        {"{\"a\":1}", "b", NULL, true},
        {"{\"\":1}", "", NULL, false}, /* the whole: an object is no text */
        {"5", "", "5", false},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct buf buf;
        buf_init(&buf, 100);
        struct slice json = slice_str(table[i].json), path = slice_str(table[i].path);
        assert_text(received_json_text(json, path, &buf), table[i].text);
        assert_int_equal(received_json_absent(json, path), table[i].absent);
        buf_free(&buf);
    }
    assert_text(received_json_at(SLICE("{\"a\": [1, 2] }"), SLICE("a")), "[1, 2]");
}

/* The body is looked at once by who says so. */
static void test_look(void **state)
{
    (void)state;
    struct received received = {.body = SLICE("{}")};
    assert_true(received_is_json(&received));
    received_look(&received);
    assert_int_equal(received.body_json, RECEIVED_JSON_YES);
    received.body = SLICE("{");
    assert_true(received_is_json(&received)); /* as it was found */
    received.body_json = RECEIVED_JSON_UNKNOWN;
    received_look(&received);
    assert_int_equal(received.body_json, RECEIVED_JSON_NO);
    assert_false(received_is_json(&received));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers), cmocka_unit_test(test_vars),
        cmocka_unit_test(test_query),   cmocka_unit_test(test_json_paths),
        cmocka_unit_test(test_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
