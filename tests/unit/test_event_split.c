/* test_event_split.c - where events end, in every form, however the body was cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "split_whole.h"

enum { ITEM_MAX = 20 };

static size_t whole(void *arg, size_t left)
{
    (void)arg;
    return left;
}

/* Two pieces, the first of *arg bytes. */
static size_t in_two(void *arg, size_t left)
{
    size_t *first = arg;
    size_t piece = *first < left ? *first : left;
    *first = SIZE_MAX;
    return piece > 0 ? piece : left;
}

static size_t byte_by_byte(void *arg, size_t left)
{
    (void)arg;
    (void)left;
    return 1;
}

static void check(enum event_split_form form, struct slice body, const char *expected)
{
    struct buf said;
    buf_init(&said, 1024 * 1024);
    assert_true(split_whole(form, ITEM_MAX, body, whole, NULL, &said));
    if (!slice_eq(buf_slice(&said), slice_str(expected)))
        fail_msg("'%.*s': expected %s, got %.*s", SLICE_ARGS(body), expected,
                 SLICE_ARGS(buf_slice(&said)));
    for (size_t i = 1; i <= body.len; i++) {
        size_t first = i;
        buf_clear(&said);
        assert_true(split_whole(form, ITEM_MAX, body, in_two, &first, &said));
        if (!slice_eq(buf_slice(&said), slice_str(expected)))
            fail_msg("'%.*s' cut at %zu: expected %s, got %.*s", SLICE_ARGS(body), i, expected,
                     SLICE_ARGS(buf_slice(&said)));
    }
    buf_clear(&said);
    assert_true(split_whole(form, ITEM_MAX, body, byte_by_byte, NULL, &said));
    assert_true(slice_eq(buf_slice(&said), slice_str(expected)));
    buf_free(&said);
}

struct row {
    const char *body;
    const char *expected;
};

/* Blank lines are none, blanks around an item do not belong to it, the last LF may be missing, and
 * nothing in a line can break those behind it. Of a long one nothing is left. */
static void test_lines(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "END"},
        {"\n \r\n\t\n", "END"},
        {"{}\n{}\n", "<{}><{}>END"},
        {"{}\n{}", "<{}><{}>END"},
        {"{}\r\n\r\n  {\"a\":1} \r\n", "<{}><{\"a\":1}>END"},
        {"\"\n[[[\n}", "<\"><[[[><}>END"},
        {"12345678901234567890\n1", "<12345678901234567890><1>END"},
        {"123456789012345678901\n1", "LONG<1>END"},
        {"1\n123456789012345678901", "<1>LONG"
                                     "END"},
        {"1                    \n2", "LONG<2>END"},
        {"                      1\n2", "<1><2>END"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nb\n",
         "LONG<b>END"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(EVENT_SPLIT_LINES, slice_str(rows[i].body), rows[i].expected);
}

/* Items end where brackets and quotes say; a bad item is an item; what stands between items must be
 * right, or nothing more is found. */
static void test_json(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"[]", "END"},
        {" \n[ ] \t", "END"},
        {"[{},[1,[2]],\"a,]\", 12 ,true,null]", "<{}><[1,[2]]><\"a,]\"><12><true><null>END"},
        {"[{\"a\":\"}\\\"]\\\\\"} , {}]", "<{\"a\":\"}\\\"]\\\\\"}><{}>END"},
        {"[\"\\\\\",\"\\\"\"]", "<\"\\\\\"><\"\\\"\">END"},
        {"[{\"a\":]},{}]", "<{\"a\":]>BROKEN@7"},
        {"[{\"a\" 1},xyz,{]", "<{\"a\" 1}><xyz><{]>BROKEN@15"},
        {"", "BROKEN@0"},
        {"  ", "BROKEN@2"},
        {"{}", "BROKEN@0"},
        {" 5", "BROKEN@1"},
        {"[", "BROKEN@1"},
        {"[1", "BROKEN@2"},
        {"[{}", "<{}>BROKEN@3"},
        {"[{}, ", "<{}>BROKEN@5"},
        {"[{},]", "<{}>BROKEN@4"},
        {"[,{}]", "BROKEN@1"},
        {"[{},,{}]", "<{}>BROKEN@4"},
        {"[{} {}]", "<{}>BROKEN@4"},
        {"[{}} ,{}]", "<{}>BROKEN@3"},
        {"[{}] x", "<{}>BROKEN@5"},
        {"[{}][", "<{}>BROKEN@4"},
        {"[{\"a\":\"never ends ]", "BROKEN@19"},
        {"[{\"a\":\"never ends, and is long ]", "BROKEN@32"},
        {"[\"123456789012345678\",1]", "<\"123456789012345678\"><1>END"},
        {"[\"1234567890123456789\",1]", "LONG<1>END"},
        {"[[[[[[[[[[[[]]]]]]]]]]],{\"k\":\"}}}}}}}}}}}\\\\\\\"}}\"},123456789012345678901,1]",
         "LONGLONGLONG<1>END"},
        {"[{                                     }  ,  1]", "LONG<1>END"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(EVENT_SPLIT_JSON, slice_str(rows[i].body), rows[i].expected);
}

/* Every kind of value is as long as the format says, whether in an item or by itself; lengths that
 * nothing fulfils cost nothing. */
static void test_msgpack(void **state)
{
    (void)state;
#define BODY(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    static const struct {
        struct slice body;
        const char *expected;
    } rows[] = {
        {BODY("\x90"), "END"},
        {BODY("\xdc\x00\x00"), "END"},
        {BODY("\xdd\x00\x00\x00\x00"), "END"},
        {BODY(""), "BROKEN@0"},
        {BODY("\x80"), "BROKEN@0"},
        {BODY("\xc1"), "BROKEN@0"},
        {BODY("\xdc\x00"), "BROKEN@2"},
        {BODY("\x91"), "BROKEN@1"},
        {BODY("\x90\x90"), "BROKEN@1"},
        {BODY("\x91\x01\x02"), "<\x01>BROKEN@2"},
        {BODY("\x92\x01\xc1"), "<\x01>BROKEN@2"},
        {BODY("\x91\x82\x01\x02\xc1\x05"), "BROKEN@4"},
        {BODY("\x93\x81\xa1"
              "a\x92\x01\xa2"
              "bc\x7f\xff"),
         "<\x81\xa1"
         "a\x92\x01\xa2"
         "bc><\x7f><\xff>END"},
        {BODY("\x92\xbf"
              "1234567890123456789012345678901\x07"),
         "LONG<\x07>END"},
        {BODY("\x92\xdf\xff\xff\xff\xff\x01\x01"), "BROKEN@8"},
        {BODY("\x92\xdb\xff\xff\xff\xff\x01\x01"), "BROKEN@8"},
        {BODY("\x91\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f"
              "\x9f\x9f"),
         "BROKEN@23"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(EVENT_SPLIT_MSGPACK, rows[i].body, rows[i].expected);
}

/* A value of each first byte, its payload of bytes that would be wrong as values: the number behind
 * it is found. */
static void test_msgpack_lengths(void **state)
{
    (void)state;
    static const struct {
        struct slice begin;
        size_t more;
    } rows[] = {
        {BODY("\xc0"), 0},
        {BODY("\xc2"), 0},
        {BODY("\xc3"), 0},
        {BODY("\xc4\x03"), 3},
        {BODY("\xc5\x01\x02"), 258},
        {BODY("\xc6\x00\x01\x00\x01"), 65537},
        {BODY("\xc7\x03\x01"), 3},
        {BODY("\xc8\x01\x00\x01"), 256},
        {BODY("\xc9\x00\x00\x00\x05\x01"), 5},
        {BODY("\xca"), 4},
        {BODY("\xcb"), 8},
        {BODY("\xcc"), 1},
        {BODY("\xcd"), 2},
        {BODY("\xce"), 4},
        {BODY("\xcf"), 8},
        {BODY("\xd0"), 1},
        {BODY("\xd1"), 2},
        {BODY("\xd2"), 4},
        {BODY("\xd3"), 8},
        {BODY("\xd4"), 2},
        {BODY("\xd5"), 3},
        {BODY("\xd6"), 5},
        {BODY("\xd7"), 9},
        {BODY("\xd8"), 17},
        {BODY("\xd9\x04"), 4},
        {BODY("\xda\x01\x01"), 257},
        {BODY("\xdb\x00\x00\x01\x01"), 257},
        {BODY("\xa0"), 0},
        {BODY("\xbf"), 31},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event_split split;
        struct buf body;
        struct slice item;
        size_t used;
        buf_init(&body, 1024 * 1024);
        buf_add_char(&body, '\x92');
        buf_add_slice(&body, rows[i].begin);
        for (size_t k = 0; k < rows[i].more; k++)
            buf_add_char(&body, '\xc1');
        buf_add_char(&body, '\x05');
        event_split_init(&split, EVENT_SPLIT_MSGPACK, 100000);
        struct slice input = buf_slice(&body);
        assert_int_equal(event_split_next(&split, input, true, &item, &used), EVENT_SPLIT_ITEM);
        assert_int_equal(item.len, rows[i].begin.len + rows[i].more);
        input = slice_from(input, used);
        assert_int_equal(event_split_next(&split, input, true, &item, &used), EVENT_SPLIT_ITEM);
        assert_true(slice_eq(item, SLICE("\x05")));
        input = slice_from(input, used);
        assert_int_equal(event_split_next(&split, input, true, &item, &used), EVENT_SPLIT_END);
        buf_free(&body);
    }
}

static size_t at_random(void *arg, size_t left)
{
    struct rng *rng = arg;
    size_t piece = 1 + rng_below(rng, rng_below(rng, 4) == 0 ? 40 : 5);
    return piece < left ? piece : left;
}

/* Random bytes out of those that matter say the same in one piece and in many. */
static void test_random(void **state)
{
    (void)state;
    static const char json[] = "[]{}\"\"\\,,  1a\n:";
    static const unsigned char msgpack[] = {0x90, 0x91, 0x92, 0x81, 0xa3, 0xc4, 0xc1, 0xdc,
                                            0xdd, 0x00, 0x01, 0x05, 0xdf, 0xd9, 0xff, 0xce};
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 30000; round++) {
        char body[80];
        size_t len = rng_below(&rng, sizeof(body));
        enum event_split_form form = (enum event_split_form)rng_below(&rng, 3);
        for (size_t i = 0; i < len; i++)
            body[i] = form == EVENT_SPLIT_MSGPACK ? (char)msgpack[rng_below(&rng, 16)]
                                                  : json[rng_below(&rng, sizeof(json) - 1)];
        if (len > 0 && rng_below(&rng, 8) > 0)
            body[0] = form == EVENT_SPLIT_MSGPACK ? (char)(0x90 + rng_below(&rng, 8)) : '[';
        struct buf one, many;
        buf_init(&one, 64 * 1024);
        buf_init(&many, 64 * 1024);
        assert_true(split_whole(form, ITEM_MAX, slice_of(body, len), whole, NULL, &one));
        assert_true(split_whole(form, ITEM_MAX, slice_of(body, len), at_random, &rng, &many));
        assert_true(slice_eq(buf_slice(&one), buf_slice(&many)));
        buf_free(&one);
        buf_free(&many);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_json),
        cmocka_unit_test(test_msgpack), cmocka_unit_test(test_msgpack_lengths),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
