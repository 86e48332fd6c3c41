/* test_json_walk.c - stepping through checked JSON, and strings compared through their escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/json_walk.h"
#include "json_respell.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Every kind of value is passed as a whole, also where it looks like something else inside. */
static void test_skip(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum json_type type;
    } values[] = {
        {"0", JSON_NUMBER},
        {"-1.5e+10", JSON_NUMBER},
        {"true", JSON_TRUE},
        {"false", JSON_FALSE},
        {"null", JSON_NULL},
        {"\"\"", JSON_STRING},
        {"\"a\\\"]},{[\"", JSON_STRING},
        {"\"\\\\\"", JSON_STRING},
        {"\"\\\\\\\"\\\\\\\\\"", JSON_STRING},
        {"{}", JSON_OBJECT},
        {"[]", JSON_ARRAY},
        {"[ [ ] , { } ]", JSON_ARRAY},
        {"{\"}\":\"]\\\"}\",\"b\":[{\"c\":[]},\"\\\\\"]}", JSON_OBJECT},
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        char text[128];
        int len = snprintf(text, sizeof(text), " [ %s , 17 ] ", values[i].json);
        struct slice json = slice_of(text, (size_t)len);
        assert_int_equal(json_check(json, NULL), ST_OK);

        struct json_walk walk = json_walk_begin(json);
        assert_int_equal(json_walk_type(&walk), JSON_ARRAY);
        json_walk_enter(&walk);
        assert_true(json_walk_more(&walk));
        assert_int_equal(json_walk_type(&walk), values[i].type);
        json_walk_skip(&walk);
        assert_true(json_walk_more(&walk));
        assert_true(slice_eq(json_walk_scalar(&walk), SLICE("17")));
        assert_false(json_walk_more(&walk));
        assert_true(slice_eq(slice_of(walk.at, (size_t)(walk.end - walk.at)), SLICE(" ")));
    }
}

/* Names and values come in turn; what is left early is passed to behind its bracket. */
static void test_members(void **state)
{
    (void)state;
    struct slice json = SLICE("{ \"a\" : 1 ,\"b\\\"\":{\"x\":[1,2],\"y\":\"}\"}, \"\": [] }");
    assert_int_equal(json_check(json, NULL), ST_OK);
    struct json_walk walk = json_walk_begin(json);
    json_walk_enter(&walk);
    assert_true(json_walk_more(&walk));
    assert_true(slice_eq(json_walk_name(&walk), SLICE("\"a\"")));
    assert_true(slice_eq(json_walk_scalar(&walk), SLICE("1")));
    assert_true(json_walk_more(&walk));
    assert_true(slice_eq(json_walk_name(&walk), SLICE("\"b\\\"\"")));
    json_walk_enter(&walk);
    assert_true(json_walk_more(&walk));
    assert_true(slice_eq(json_walk_name(&walk), SLICE("\"x\"")));
    json_walk_skip(&walk);
    json_walk_leave(&walk);
    assert_true(json_walk_more(&walk));
    assert_true(slice_eq(json_walk_name(&walk), SLICE("\"\"")));
    json_walk_enter(&walk);
    assert_false(json_walk_more(&walk));
    assert_false(json_walk_more(&walk));
    assert_ptr_equal(walk.at, walk.end);
}

/* In the order of their UTF-8 bytes, whatever escapes they are written with. */
static const char *const rising[] = {
    "\"\"",
    "\"\\u0000\"",
    "\"\\n\"",
    "\"/\"",
    "\"A\"",
    "\"A\\u0000\"",
    "\"AB\"",
    "\"B\"",
    "\"a\"",
    "\"ab\"",
    "\"\\u00e9\"",
    "\"\xc3\xaa\"",
    "\"\\u0451\"",
    "\"\\uffee\"",
    "\"\\ud83d\\ude00\"",
    "\"\xf0\x9f\x98\x81\"",
};

static struct slice respelled(const char *quoted, struct buf *out)
{
    buf_clear(out);
    json_respell(slice_str(quoted), out);
    assert_int_equal(buf_status(out), ST_OK);
    assert_int_equal(json_check(buf_slice(out), NULL), ST_OK);
    return buf_slice(out);
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void test_text_order(void **state)
{
    (void)state;
    struct buf text, other;
    buf_init(&text, 100);
    buf_init(&other, 100);
    for (size_t i = 0; i < COUNT(rising); i++)
        for (size_t j = 0; j < COUNT(rising); j++) {
            int order = (i > j) - (i < j);
            struct slice quoted = slice_str(rising[i]);
            buf_clear(&text);
            assert_int_equal(json_unescape(slice_str(rising[j]), &text), ST_OK);
            assert_int_equal(sign(json_text_compare(quoted, buf_slice(&text))), order);
            assert_int_equal(json_text_eq(quoted, buf_slice(&text)), order == 0);
            quoted = respelled(rising[i], &other);
            assert_int_equal(sign(json_text_compare(quoted, buf_slice(&text))), order);
            assert_int_equal(json_text_eq(quoted, buf_slice(&text)), order == 0);
        }
    buf_free(&text);
    buf_free(&other);
}

static void test_text_ends(void **state)
{
    (void)state;
    static const struct {
        const char *quoted, *text;
        bool starts, ends;
    } cases[] = {
        {"\"\"", "", true, true},
        {"\"\"", "a", false, false},
        {"\"abc\"", "", true, true},
        {"\"abc\"", "abc", true, true},
        {"\"abc\"", "abcd", false, false},
        {"\"abc\"", "ab", true, false},
        {"\"abc\"", "bc", false, true},
        {"\"abc\"", "b", false, false},
        {"\"aaab\"", "aab", false, true},
        {"\"a\\\"b\"", "a\"", true, false},
        {"\"a\\\"b\"", "\"b", false, true},
        {"\"a\\\"b\"", "\\\"b", false, false},
        {"\"\\\\\"", "\\", true, true},
        {"\"\xc3\xa9\xc3\xa8\"", "\xc3\xa9", true, false},
        {"\"\xc3\xa9\xc3\xa8\"", "\xc3\xa8", false, true},
        {"\"\xf0\x9f\x98\x81x\"", "\xf0\x9f\x98\x81", true, false},
        {"\"x\xf0\x9f\x98\x81\"", "\xf0\x9f\x98\x81", false, true},
        {"\"\xf0\x9f\x98\x81\"", "\xf0\x9f\x98\x80", false, false},
        {"\"x\xf0\x9f\x98\x81\"", "y", false, false},
    };
    struct buf other;
    buf_init(&other, 200);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice text = slice_str(cases[i].text);
        struct slice quoted = slice_str(cases[i].quoted);
        for (int spelling = 0; spelling < 2; spelling++) {
            assert_int_equal(json_text_starts(quoted, text), cases[i].starts);
            assert_int_equal(json_text_ends(quoted, text), cases[i].ends);
            quoted = respelled(cases[i].quoted, &other);
        }
    }
    buf_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_text_order),
        cmocka_unit_test(test_text_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
