/* test_yaml_json.c - YAML files as JSON, and ${NAME} in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "wire/yaml_json.h"

static const struct {
    const char *yaml, *json; /* NULL: wrong */
    int line;
} rows[] = {
    {"a: b", "{\"a\":\"b\"}", 0},
    {"# only a\nname: x  # and b\n", "{\"name\":\"x\"}", 0},
    {"a: true\nb: false\nc: 'true'\nd: \"false\"\ne: yes",
     "{\"a\":true,\"b\":false,\"c\":\"true\",\"d\":\"false\",\"e\":\"yes\"}", 0},
    {"a: null\nb: ~\nc:\nd: ''\ne: 'null'",
     "{\"a\":null,\"b\":null,\"c\":null,\"d\":\"\",\"e\":\"null\"}", 0},
    {"a: 0\nb: 200\nc: -7\nd: '200'\ne: 007\nf: 1.5\ng: 0x10\nh: 999999999999999999\n"
     "i: 9999999999999999999",
     "{\"a\":0,\"b\":200,\"c\":-7,\"d\":\"200\",\"e\":\"007\",\"f\":\"1.5\",\"g\":\"0x10\","
     "\"h\":999999999999999999,\"i\":\"9999999999999999999\"}",
     0},
    {"a: [b, [], {c: d}]\n", "{\"a\":[\"b\",[],{\"c\":\"d\"}]}", 0},
    {"a:\n  - b\n  - c: d\n    e: f\n", "{\"a\":[\"b\",{\"c\":\"d\",\"e\":\"f\"}]}", 0},
    {"a: |\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\"}", 0},
    {"a: \"\\u00e4\\t\\\"\"", "{\"a\":\"\u00e4\\t\\\"\"}", 0},
    {"- 1\n- x", "[1,\"x\"]", 0},
    {"x", "\"x\"", 0},
    {"a: &here b\nc: *here", "{\"a\":\"b\",\"c\":\"b\"}", 0},
    {"", NULL, 1},
    {"a: b\n---\nc: d", NULL, 2},
    {"a: [b", NULL, 2},
    {"a: b\n? [c]\n: d", NULL, 2},
    {"a: \"x\\0y\"", NULL, 1},
    {"a: &a [*a]", NULL, 1},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", NULL, 1},
};

static void test_yaml_as_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf json;
        char error[128];
        buf_init(&json, 4096);
        enum status status =
            yaml_json(slice_str(rows[i].yaml), "f", NULL, &json, error, sizeof(error));
        bool same = rows[i].json && slice_eq(buf_slice(&json), slice_str(rows[i].json));
        if (rows[i].json ? status != ST_OK || !same
                         : status != ST_SYNTAX || atoi(error + 2) != rows[i].line)
            fail_msg("%s: %.*s %s", rows[i].yaml, SLICE_ARGS(buf_slice(&json)), error);
        buf_free(&json);
    }
}

/* Ten lines that would be a hundred million values. */
static void test_aliases_do_not_explode(void **state)
{
    (void)state;
    struct buf yaml, json;
    char error[128];
    buf_init(&yaml, 4096);
    buf_init(&json, 65536);
    buf_add_str(&yaml, "a0: &a0 x\n");
    for (int i = 1; i < 9; i++) {
        buf_addf(&yaml, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_addf(&yaml, "*a%d,", i - 1);
        buf_add_str(&yaml, "]\n");
    }
    assert_int_equal(yaml_json(buf_slice(&yaml), "f", NULL, &json, error, sizeof(error)), ST_LIMIT);
    buf_free(&yaml);
    buf_free(&json);
}

static enum status shout(struct slice text, struct buf *out, struct buf *reason)
{
    if (slice_eq(text, SLICE("no"))) {
        buf_add_str(reason, "not that one");
        return ST_RANGE;
    }
    buf_addf(out, "%.*s!", SLICE_ARGS(text));
    return ST_OK;
}

/* Texts are asked for; names, words and numbers are not. */
static void test_texts(void **state)
{
    (void)state;
    struct buf json;
    char error[128];
    buf_init(&json, 4096);
    assert_int_equal(
        yaml_json(SLICE("a: [b, 1, true, '1']"), "f", shout, &json, error, sizeof(error)), ST_OK);
    assert_true(slice_eq(buf_slice(&json), SLICE("{\"a\":[\"b!\",1,true,\"1!\"]}")));
    buf_clear(&json);
    assert_int_equal(yaml_json(SLICE("a: b\nc: no"), "f", shout, &json, error, sizeof(error)),
                     ST_SYNTAX);
    assert_string_equal(error, "f:2: not that one");
    buf_free(&json);
}

static void test_environment(void **state)
{
    (void)state;
    static const struct {
        const char *text, *result, *reason; /* one of them */
    } cases[] = {
        {"", "", NULL},
        {"plain", "plain", NULL},
        {"${TL_TEST}", "a $b${c}", NULL},
        {"<${TL_TEST}>${TL_TEST}", "<a $b${c}>a $b${c}", NULL},
        {"$$ $${TL_TEST}", "$ ${TL_TEST}", NULL},
        {"${TL_NOT_SET}", NULL, "TL_NOT_SET is not set"},
        {"$TL_TEST", NULL, "write \"$$\""},
        {"${}", NULL, "must be followed"},
        {"${1A}", NULL, "must be followed"},
        {"${TL_TEST", NULL, "must be followed"},
        {"end$", NULL, "write \"$$\""},
        {"more than thirty-two bytes of text", NULL, "longer than 32 bytes"},
    };
    assert_int_equal(setenv("TL_TEST", "a $b${c}", 1), 0);
    assert_int_equal(unsetenv("TL_NOT_SET"), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *result = NULL;
        struct buf reason;
        buf_init(&reason, 256);
        enum status status = env_expand(cases[i].text, 32, &result, &reason);
        buf_add_char(&reason, '\0');
        if (cases[i].result ? status != ST_OK || strcmp(result, cases[i].result) != 0
                            : status != ST_RANGE || result || !strstr(reason.ptr, cases[i].reason))
            fail_msg("%s: %s %s", cases[i].text, result, reason.ptr);
        free(result);
        buf_free(&reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_as_json),
        cmocka_unit_test(test_aliases_do_not_explode),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
