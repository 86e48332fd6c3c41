/* test_json_scan.c - what is JSON and what is not, and the parts of it.
 *
 * The cases are the ones on which parsers are known to differ: ends of text, numbers, escapes,
 * UTF-8, blanks, commas, depth. test_json_scan_oracle.c compares with another parser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/json_scan.h"
#include "base/limits.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define T(literal)                                                                                 \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* The text in memory of exactly its size, so that a sanitizer sees a read behind its end. */
static char *exact_copy(struct slice text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

static enum status check(struct slice text, struct json_error *error)
{
    char *copy = exact_copy(text);
    enum status status = json_check(slice_of(copy, text.len), error);
    free(copy);
    return status;
}

static void test_accepts(void **state)
{
    (void)state;
    static const struct slice cases[] = {
        /* any value may stand alone, with blanks around it */
        T("0"),
        T("\"\""),
        T("true"),
        T("false"),
        T("null"),
        T("{}"),
        T("[]"),
        T(" null"),
        T("null "),
        T("\t\r\n null \n\r\t"),
        T("[ ]"),
        T("{ }"),
        T("\n[\n]\n"),
        /* numbers */
        T("-0"),
        T("-1"),
        T("1234567890"),
        T("0.0"),
        T("-0.0"),
        T("1.5"),
        T("0.1"),
        T("10.01"),
        T("1e5"),
        T("1E5"),
        T("1e+5"),
        T("1e-5"),
        T("1E+05"),
        T("0e0"),
        T("0e+1"),
        T("-0e-0"),
        T("1.0e10"),
        T("123.456e78"),
        T("1e400"),
        T("-1e400"),
        T("1e-400"),
        T("1e00000000000000000000000000000000001"),
        T("100000000000000000000000000000000000000000000000000"),
        T("-9223372036854775809"),
        T("0.00000000000000000000000000000000000000000000001"),
        /* strings */
        T("\"a\""),
        T("\" \""),
        T("\"\\\"\""),
        T("\"\\\\\""),
        T("\"\\/\""),
        T("\"/\""),
        T("\"\\b\\f\\n\\r\\t\""),
        T("\"\\u0000\""),
        T("\"\\u0041\""),
        T("\"\\u00e9\""),
        T("\"\\uABCD\""),
        T("\"\\uabcd\""),
        T("\"\\ud83d\\ude00\""),
        T("\"\\uD800\\uDC00\""),
        T("\"\\uDBFF\\uDFFF\""),
        T("\"\\ud7ff\""),
        T("\"\\ue000\""),
        T("\"\\uffff\""),
        T("\"\\ufffe\""),
        T("\"\\\\u0041\""),
        T("\"\\\\\\\\\""),
        T("\"\x7f\""),
        T("\"'\""),
        T("\"\\u2028\""),
        T("\"\xe2\x80\xa8\""),
        T("\"\\u0022\""),
        T("\"\\u005C\""),
        T("\"{}[]:,\""),
        T("\"0123456789abcde\""),
        T("\"0123456789abcdef\""),
        T("\"0123456789abcdef0123456789abcdef0123456789abcdef\""),
        /* UTF-8: the ends of each length, noncharacters, and places around blocks of 16 */
        T("\"\xc2\x80\""),
        T("\"\xdf\xbf\""),
        T("\"\xe0\xa0\x80\""),
        T("\"\xed\x9f\xbf\""),
        T("\"\xee\x80\x80\""),
        T("\"\xef\xbf\xbf\""),
        T("\"\xef\xbf\xbe\""),
        T("\"\xef\xbf\xbd\""),
        T("\"\xf0\x90\x80\x80\""),
        T("\"\xf4\x8f\xbf\xbf\""),
        T("\"\xef\xbb\xbf\""),
        T("\"\xc3\xa9\""),
        T("\"0123456789abcde\xc3\xa9\""),
        T("\"0123456789abcdef\xf0\x9f\x98\x80\""),
        /* arrays and objects */
        T("[1]"),
        T("[1,2]"),
        T("[ 1 , 2 ]"),
        T("[[]]"),
        T("[[],[]]"),
        T("[{}]"),
        T("[null,true]"),
        T("[\"a\",1,true,null,{},[]]"),
        T("{\"a\":1}"),
        T("{\"a\":1,\"b\":2}"),
        T("{\"\":0}"),
        T(" { \"a\" : 1 , \"b\" : [ ] } "),
        T("{\"a\":{\"b\":{\"c\":[1,2,{\"d\":null}]}}}"),
        T("{\"a\":1,\"a\":2}"),
        T("{\"\\u0061\":1}"),
        T("{\"a\\u0000b\":1}"),
        T("[0,-0,0.0]"),
        T("[1\n,2]"),
        T("{\"a\":\"b\",\"c\":\"d\"}"),
        T("[\"\",\"\"]"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_error error;
        if (check(cases[i], &error) != ST_OK)
            fail_msg("%.*s: %s at %zu", SLICE_ARGS(cases[i]), error.reason, error.offset);
    }
}

static const struct {
    struct slice text;
    size_t offset;
} rejected[] = {
    /* nothing, or not only one value */
    {T(""), 0},
    {T(" "), 1},
    {T("\n"), 1},
    {T("1 2"), 2},
    {T("{}{}"), 2},
    {T("[],"), 2},
    {T("null,"), 4},
    {T(",null"), 0},
    {T("[]]"), 2},
    {T("{}}"), 2},
    {T("\"a\"\"b\""), 3},
    {T("truefalse"), 4},
    {T("1,"), 1},
    {T(":"), 0},
    {T("]"), 0},
    {T("}"), 0},
    {T("\"a\"x"), 3},
    /* not JSON's blanks, byte order marks, comments */
    {T("\v1"), 0},
    {T("\f1"), 0},
    {T("1\f"), 1},
    {T("\xc2\xa0"
       "1"),
     0},
    {T("\0"), 0},
    {T("1\0"), 1},
    {T("[1]\0"), 3},
    {T("\xef\xbb\xbf{}"), 0},
    {T("\xff\xfe{\0}\0"), 0},
    {T("\0"
       "1"),
     0},
    {T("1 // one"), 2},
    {T("/* */ 1"), 0},
    {T("[1/**/]"), 2},
    {T("# 1"), 0},
    {T("[\xe2\x81\xa0]"), 1},
    {T("\xe3\x80\x80[]"), 0},
    /* words */
    {T("tru"), 3},
    {T("truE"), 3},
    {T("True"), 0},
    {T("TRUE"), 0},
    {T("nul"), 3},
    {T("nulll"), 4},
    {T("falsee"), 5},
    {T("fals"), 4},
    {T("undefined"), 0},
    {T("NaN"), 0},
    {T("nan"), 1},
    {T("Infinity"), 0},
    {T("-Infinity"), 1},
    {T("inf"), 0},
    {T("[nul]"), 4},
    {T("t"), 1},
    {T("[true"), 5},
    {T("tr\0e"), 2},
    /* numbers */
    {T("-"), 1},
    {T("+1"), 0},
    {T("--1"), 1},
    {T("01"), 1},
    {T("-01"), 2},
    {T("00"), 1},
    {T("1."), 2},
    {T(".5"), 0},
    {T("-.5"), 1},
    {T("1.e5"), 2},
    {T("1e"), 2},
    {T("1e+"), 3},
    {T("1e-"), 3},
    {T("1E"), 2},
    {T("1e1.5"), 3},
    {T("1e5e5"), 3},
    {T("1.2.3"), 3},
    {T("0x1F"), 1},
    {T("0b1"), 1},
    {T("1_000"), 1},
    {T("1 000"), 2},
    {T("1a"), 1},
    {T("-a"), 1},
    {T("1-"), 1},
    {T("1+1"), 1},
    {T("0e"), 2},
    {T("0.e1"), 2},
    {T("[-]"), 2},
    {T("[1.]"), 3},
    {T("[012]"), 2},
    {T("\xef\xbc\x91"), 0},
    {T("1e\xef\xbc\x91"), 2},
    {T("[- 1]"), 2},
    {T("[1e]"), 3},
    /* strings: ends and control characters */
    {T("\""), 1},
    {T("\"a"), 2},
    {T("\"\\\""), 3},
    {T("\"\\"), 2},
    {T("'a'"), 0},
    {T("a"), 0},
    {T("\"\n\""), 1},
    {T("\"\t\""), 1},
    {T("\"\0\""), 1},
    {T("\"\x1f\""), 1},
    {T("\"a\r\""), 2},
    {T("\"0123456789abcdef\x01\""), 17},
    {T("\"0123456789abcdef"), 17},
    {T("`a`"), 0},
    {T("\"0123456789abcdef0123456789abcd\n\""), 31},
    /* strings: escapes */
    {T("\"\\a\""), 2},
    {T("\"\\x41\""), 2},
    {T("\"\\v\""), 2},
    {T("\"\\0\""), 2},
    {T("\"\\'\""), 2},
    {T("\"\\U0041\""), 2},
    {T("\"\\ \""), 2},
    {T("\"\\\n\""), 2},
    {T("\"\\\xc3\xa9\""), 2},
    {T("\"\\u\""), 1},
    {T("\"\\u1\""), 1},
    {T("\"\\u123\""), 1},
    {T("\"\\u123"), 1},
    {T("\"\\u123g\""), 1},
    {T("\"\\u00A\""), 1},
    {T("\"\\u+123\""), 1},
    {T("\"\\u 123\""), 1},
    {T("\"\\u{41}\""), 1},
    {T("\"\\u12\n4\""), 1},
    {T("\"\\u00`0\""), 1},
    {T("\"\\u00G0\""), 1},
    {T("\"\\u00@0\""), 1},
    {T("\"\\B\""), 2},
    {T("\"\\N\""), 2},
    /* strings: halves of surrogate pairs */
    {T("\"\\ud800\""), 1},
    {T("\"\\udbff\""), 1},
    {T("\"\\udc00\""), 1},
    {T("\"\\udfff\""), 1},
    {T("\"\\ud800a\""), 1},
    {T("\"\\ud800\\n\""), 1},
    {T("\"\\ud800\\u0041\""), 1},
    {T("\"\\ud800\\ud800\""), 1},
    {T("\"\\ud800\\ue000\""), 1},
    {T("\"\\udc00\\ud800\""), 1},
    {T("\"\\udc00\\udc00\""), 1},
    {T("\"\\ud800\\udbff\""), 1},
    {T("\"0123456789\x1f 0123456789\""), 11},
    {T("\"\\ud800\\u\""), 1},
    {T("\"\\ud800\\udc0\""), 1},
    {T("\"\\ud800"), 1},
    {T("\"\\ud800\\"), 1},
    {T("\"\\ud800\\udc0"), 1},
    {T("\"\\ud83d\xf0\x9f\x98\x80\""), 1},
    /* strings: not UTF-8 */
    {T("\"\x80\""), 1},
    {T("\"\xbf\""), 1},
    {T("\"\xc0\x80\""), 1},
    {T("\"\xc1\xbf\""), 1},
    {T("\"\xc2\""), 1},
    {T("\"\xc2"), 1},
    {T("\"\xe0\x80\x80\""), 1},
    {T("\"\xe0\x9f\xbf\""), 1},
    {T("\"\xe2\x82\""), 1},
    {T("\"\xe2\x82"), 1},
    {T("\"\xe2\""), 1},
    {T("\"\xed\xa0\x80\""), 1},
    {T("\"\xed\xbf\xbf\""), 1},
    {T("\"\xed\xa0\xbd\xed\xb8\x80\""), 1},
    {T("\"\xf0\x80\x80\x80\""), 1},
    {T("\"\xf0\x8f\xbf\xbf\""), 1},
    {T("\"\xf0\x9f\x98\""), 1},
    {T("\"\xf0\x9f\x98"), 1},
    {T("\"\xf4\x90\x80\x80\""), 1},
    {T("\"\xf5\x80\x80\x80\""), 1},
    {T("\"\xf8\x88\x80\x80\x80\""), 1},
    {T("\"\xfe\""), 1},
    {T("\"\xff\""), 1},
    {T("\"\xe9\""), 1},
    {T("\"0123456789abcde\xc3\""), 16},
    {T("\"a\xc3(\""), 2},
    {T("\xc3\xa9"), 0},
    {T("{\"\xff\":1}"), 2},
    {T("[\xff]"), 1},
    {T("\"\xe2\x28\xa1\""), 1},
    {T("\"\xf0\x9f\x28\x80\""), 1},
    /* arrays */
    {T("["), 1},
    {T("[1"), 2},
    {T("[1,"), 3},
    {T("[1,]"), 3},
    {T("[,]"), 1},
    {T("[,1]"), 1},
    {T("[1,,2]"), 3},
    {T("[1 2]"), 3},
    {T("[1;2]"), 2},
    {T("[1:2]"), 2},
    {T("[1}"), 2},
    {T("[\"a\""), 4},
    {T("[[]"), 3},
    {T("[]["), 2},
    {T("[\"a\",\n"), 6},
    {T("[\"a\" \"b\"]"), 5},
    {T("[\"\": 1]"), 3},
    {T("(1)"), 0},
    {T("[1,\n1\n,1"), 8},
    {T("[*]"), 1},
    {T("[{}"), 3},
    /* objects */
    {T("{"), 1},
    {T("{\"a\""), 4},
    {T("{\"a\":"), 5},
    {T("{\"a\":1"), 6},
    {T("{\"a\":1,"), 7},
    {T("{\"a\":1,}"), 7},
    {T("{,}"), 1},
    {T("{\"a\"}"), 4},
    {T("{\"a\":}"), 5},
    {T("{:1}"), 1},
    {T("{\"a\" 1}"), 5},
    {T("{\"a\"=1}"), 4},
    {T("{\"a\"::1}"), 5},
    {T("{\"a\":1,,\"b\":2}"), 7},
    {T("{\"a\":1 \"b\":2}"), 7},
    {T("{\"a\":1;\"b\":2}"), 6},
    {T("{a:1}"), 1},
    {T("{'a':1}"), 1},
    {T("{1:1}"), 1},
    {T("{null:1}"), 1},
    {T("{[]:1}"), 1},
    {T("{\"a\":1]"), 6},
    {T("{\"a\",1}"), 4},
    {T("{\"a\":\"b\"/**/}"), 8},
    {T("{\"a\":1}}"), 7},
    {T("{\"a\":{}"), 7},
    {T("{\"a\":[}"), 6},
    {T("{\"a\\ud800\":1}"), 3},
    {T("{\"a"), 3},
    {T("{\"a\n\":1}"), 3},
};

static void test_rejects(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rejected); i++) {
        struct slice text = rejected[i].text;
        struct json_error error = {99, NULL};
        enum status status = check(text, &error);
        if (status != ST_SYNTAX || error.offset != rejected[i].offset)
            fail_msg("case %zu, %.*s: %s at %zu", i, SLICE_ARGS(text), status_name(status),
                     error.offset);
        assert_non_null(error.reason);
        assert_int_equal(check(text, NULL), ST_SYNTAX);
    }
}

/* Cut anywhere, an object is no longer one, and the offset is within the text. */
static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    static const struct slice text = T("{\"id\":\"\\u00e9\xc3\xa9\\ud83d\\ude00\",\"n\":[-1.5e+10,"
                                       "0,true,false,null,{}],\"o\":{\"a\":[[]]}}");
    assert_int_equal(check(text, NULL), ST_OK);
    for (size_t len = 0; len < text.len; len++) {
        struct json_error error;
        assert_int_equal(check(slice_of(text.ptr, len), &error), ST_SYNTAX);
        assert_true(error.offset <= len);
    }
    assert_int_equal(json_check(SLICE_NULL, NULL), ST_SYNTAX);
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        const char *open, *close;
    } kinds[] = {{"[", "]"}, {"{\"a\":", "}"}};
    for (size_t kind = 0; kind < COUNT(kinds); kind++) {
        for (unsigned depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
            struct buf buf;
            struct json_error error;
            buf_init(&buf, 4096);
            for (unsigned i = 0; i < depth; i++)
                buf_add_str(&buf, kinds[kind].open);
            buf_add_char(&buf, '1');
            for (unsigned i = 0; i < depth; i++)
                buf_add_str(&buf, kinds[kind].close);
            enum status status = check(buf_slice(&buf), &error);
            assert_int_equal(status, depth > LIMIT_JSON_DEPTH ? ST_LIMIT : ST_OK);
            if (status != ST_OK)
                assert_int_equal(error.offset, LIMIT_JSON_DEPTH * strlen(kinds[kind].open));
            buf_free(&buf);
        }
    }
    /* depth is what is open at once, not how many there are */
    struct buf buf;
    buf_init(&buf, 4096);
    buf_add_char(&buf, '[');
    for (int i = 0; i < 500; i++)
        buf_add_str(&buf, i == 0 ? "[]" : ",{}");
    buf_add_char(&buf, ']');
    assert_int_equal(check(buf_slice(&buf), NULL), ST_OK);
    buf_free(&buf);
}

static void test_members(void **state)
{
    (void)state;
    static const struct slice text =
        T(" { \"type\" : \"a.b\" ,\"n\":-1.5e3,\"o\":{\"type\":[1,{}]},\n\"a\":[ ], \"t\":true,"
          "\"f\":false,\"z\":null,\"\":\"\\n\", \"\\u0041\\n\xc3\xa9\":0 } ");
    static const struct {
        struct slice name, value;
        enum json_type type;
    } expected[] = {
        {T("type"), T("\"a.b\""), JSON_STRING},
        {T("n"), T("-1.5e3"), JSON_NUMBER},
        {T("o"), T("{\"type\":[1,{}]}"), JSON_OBJECT},
        {T("a"), T("[ ]"), JSON_ARRAY},
        {T("t"), T("true"), JSON_TRUE},
        {T("f"), T("false"), JSON_FALSE},
        {T("z"), T("null"), JSON_NULL},
        {T(""), T("\"\\n\""), JSON_STRING},
        {T("\\u0041\\n\xc3\xa9"), T("0"), JSON_NUMBER},
    };
    struct json_member members[COUNT(expected)];
    size_t count;
    assert_int_equal(json_members(text, members, COUNT(members), &count, NULL), ST_OK);
    assert_int_equal(count, COUNT(expected));
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_eq(members[i].name, expected[i].name));
        assert_true(slice_eq(members[i].value, expected[i].value));
        assert_int_equal(members[i].type, expected[i].type);
        assert_true(members[i].value.ptr > text.ptr &&
                    members[i].value.ptr + members[i].value.len < text.ptr + text.len);
        assert_int_equal(members[i].name_escaped, i == 8);
    }
    assert_ptr_equal(json_find(members, count, SLICE("type")), &members[0]);
    assert_ptr_equal(json_find(members, count, SLICE("")), &members[7]);
    assert_ptr_equal(json_find(members, count, SLICE("A\n\xc3\xa9")), &members[8]);
    assert_null(json_find(members, count, SLICE("\\u0041\\n\xc3\xa9")));
    assert_null(json_find(members, count, SLICE("A\n\xc3\xa9.")));
    assert_null(json_find(members, count, SLICE("A\n")));
    assert_null(json_find(members, count, SLICE("typ")));

    struct json_error error;
    assert_int_equal(json_members(text, members, COUNT(members) - 1, &count, &error), ST_LIMIT);
    assert_string_equal(error.reason, "too many members");
    assert_int_equal(json_members(SLICE("{}"), NULL, 0, &count, NULL), ST_OK);
    assert_int_equal(count, 0);
    assert_int_equal(json_members(SLICE("{\"a\":1}"), NULL, 0, &count, NULL), ST_LIMIT);
}

/* What json_check refuses, json_members refuses at the same place; and what is no object. */
static void test_members_refuses(void **state)
{
    (void)state;
    struct json_member members[8];
    struct json_error error;
    size_t count;
    for (size_t i = 0; i < COUNT(rejected); i++) {
        struct slice text = rejected[i].text;
        assert_int_equal(json_members(text, members, COUNT(members), &count, &error), ST_SYNTAX);
        if (slice_starts(text, SLICE("{")))
            assert_int_equal(error.offset, rejected[i].offset);
    }
    static const struct slice others[] = {T("[]"), T("1"), T("\"{}\""), T("null"), T(" [{}]")};
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(json_members(others[i], members, 8, &count, &error), ST_SYNTAX);
        assert_string_equal(error.reason, "not an object");
    }
}

static void test_duplicate_members(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool duplicate;
    } cases[] = {
        {T("{\"a\":1,\"a\":2}"), true},
        {T("{\"\":1,\"\":2}"), true},
        {T("{\"a\":1,\"b\":2,\"c\":3,\"a\":4}"), true},
        {T("{\"a\":1,\"\\u0061\":2}"), true},
        {T("{\"\\u0061\":1,\"a\":2}"), true},
        {T("{\"\\u0061\":1,\"\\u0061\":2}"), true},
        {T("{\"\\u00e9\":1,\"\xc3\xa9\":2}"), true},
        {T("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"), true},
        {T("{\"\\uD83D\\uDE00\":1,\"\\ud83d\\ude00\":2}"), true},
        {T("{\"\\n\":1,\"\\u000a\":2}"), true},
        {T("{\"\\/\":1,\"/\":2}"), true},
        {T("{\"\\\\\":1,\"\\u005c\":2}"), true},
        {T("{\"\\\"\":1,\"\\u0022\":2}"), true},
        {T("{\"\\b\\f\\r\\t\":1,\"\\u0008\\u000C\\u000D\\u0009\":2}"), true},
        {T("{\"\xe2\x82\xac\":1,\"\\u20AC\":2}"), true},
        {T("{\"a\":1,\"A\":2}"), false},
        {T("{\"a\":1,\"a\\u0000\":2}"), false},
        {T("{\"a\\u0000\":1,\"a\\u0000b\":2}"), false},
        {T("{\"\\\\n\":1,\"\\n\":2}"), false},
        {T("{\"n\":1,\"\\n\":2}"), false},
        {T("{\"\xc3\xa9\":1,\"e\xcc\x81\":2}"), false}, /* composed and decomposed differ */
        {T("{\"\\u0061b\":1,\"a\":2}"), false},
        {T("{\"a\":{\"b\":1,\"b\":2}}"), false}, /* further down nobody looks */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_member members[8];
        struct json_error error = {0, ""};
        size_t count;
        enum status status = json_members(cases[i].text, members, 8, &count, &error);
        if (status != (cases[i].duplicate ? ST_SYNTAX : ST_OK))
            fail_msg("%.*s: %s", SLICE_ARGS(cases[i].text), status_name(status));
        if (cases[i].duplicate)
            assert_string_equal(error.reason, "duplicate member");
    }
}

static void test_items(void **state)
{
    (void)state;
    static const struct slice text = T("[ {\"a\":[1,2]} ,\"b,]\",3 ,[4,5], null]\n");
    static const struct {
        struct slice value;
        enum json_type type;
    } expected[] = {
        {T("{\"a\":[1,2]}"), JSON_OBJECT}, {T("\"b,]\""), JSON_STRING}, {T("3"), JSON_NUMBER},
        {T("[4,5]"), JSON_ARRAY},          {T("null"), JSON_NULL},
    };
    struct json_item items[8];
    struct json_error error;
    size_t count;
    assert_int_equal(json_items(text, items, COUNT(expected), &count, NULL), ST_OK);
    assert_int_equal(count, COUNT(expected));
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_eq(items[i].value, expected[i].value));
        assert_int_equal(items[i].type, expected[i].type);
    }
    assert_int_equal(json_items(text, items, COUNT(expected) - 1, &count, &error), ST_LIMIT);
    assert_int_equal(json_items(SLICE("[]"), NULL, 0, &count, NULL), ST_OK);
    assert_int_equal(count, 0);
    assert_int_equal(json_items(SLICE("{}"), items, 8, &count, &error), ST_SYNTAX);
    assert_string_equal(error.reason, "not an array");
    for (size_t i = 0; i < COUNT(rejected); i++) {
        assert_int_equal(json_items(rejected[i].text, items, 8, &count, &error), ST_SYNTAX);
        if (slice_starts(rejected[i].text, SLICE("[")))
            assert_int_equal(error.offset, rejected[i].offset);
    }
}

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        struct slice quoted, text;
    } cases[] = {
        {T("\"\""), T("")},
        {T("\"abc\""), T("abc")},
        {T("\"\xc3\xa9\""), T("\xc3\xa9")},
        {T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), T("\"\\/\b\f\n\r\t")},
        {T("\"a\\u0000b\""), T("a\0b")},
        {T("\"\\u007f\\u0080\\u07ff\\u0800\\uffff\""),
         T("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
        {T("\"\\ud800\\udc00\\uDBFF\\uDFFF\""), T("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
        {T("\"x\\ud83d\\ude00y\""), T("x\xf0\x9f\x98\x80y")},
        {T("\"\\\\u0041\""), T("\\u0041")},
    };
    static const struct slice wrong[] = {
        T(""),         T("\""),       T("abc"),    T("\"abc"),  T("abc\""),
        T("\"a\"b\""), T("\"a\" "),   T(" \"a\""), T("\"\\\""), T("\"\\ud800\""),
        T("\"\x01\""), T("\"\xff\""), T("1"),      T("{}"),
    };
    struct buf buf;
    buf_init(&buf, 64);
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_clear(&buf);
        buf_add_str(&buf, "before");
        assert_int_equal(json_unescape(cases[i].quoted, &buf), ST_OK);
        assert_true(slice_eq(slice_from(buf_slice(&buf), 6), cases[i].text));
        assert_int_equal(json_string_is_plain(cases[i].quoted), i < 3);
    }
    buf_clear(&buf);
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(json_unescape(wrong[i], &buf), ST_SYNTAX);
    assert_int_equal(json_unescape(SLICE_NULL, &buf), ST_SYNTAX);
    assert_int_equal(buf.len, 0);
    buf_free(&buf);

    /* Room is needed for the text only, not for its escapes. */
    buf_init(&buf, 2);
    assert_int_equal(json_unescape(SLICE("\"\\u0041\\u0042\""), &buf), ST_OK);
    assert_int_equal(json_unescape(SLICE("\"c\""), &buf), ST_LIMIT);
    buf_free(&buf);
}

static void test_type_names(void **state)
{
    (void)state;
    assert_string_equal(json_type_name(JSON_OBJECT), "object");
    assert_string_equal(json_type_name(JSON_NULL), "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_rejects),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_members_refuses),
        cmocka_unit_test(test_duplicate_members),
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_type_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
