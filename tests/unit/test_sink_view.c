/* Tests of what the sink prints: bounds, and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "app/sink_view.h"
#include "base/limits.h"

static void print(struct slice body, struct buf *out)
{
    const struct sink_view view = {
        .method = SLICE("POST"), .path = SLICE("/"), .body = body, .status = 200};
    buf_init(out, 1 << 20);
    sink_view_text(&view, out);
    buf_add_char(out, '\0');
    assert_int_equal(buf_status(out), ST_OK);
}

static const char head[] = "1970-01-01T00:00:00.000Z POST /   not verified (no --secret)  -> 200";

/* JSON gets a line for each member, with its strings and numbers untouched; the rest is as it is,
 * without control characters. */
static void bodies_are_laid_out(void **state)
{
    (void)state;
    static const struct {
        const char *body, *shown;
    } cases[] = {
        {"", "\n"},
        {"{}", "\n    {}\n"},
        {" { } ", "\n    {}\n"},
        {"1.10", "\n    1.10\n"},
        {"{\"a\":[1,{\"b\":\"x, {y}: \\\"\"}],\"c\":null}",
         "\n    {\n      \"a\": [\n        1,\n        {\n          \"b\": \"x, {y}: "
         "\\\"\"\n        }\n      ],\n      \"c\": null\n    }\n"},
        {"[[],\n\t[ ]]", "\n    [\n      [],\n      []\n    ]\n"},
        {"a\x1b[2Jb\r\nc\x7f", "\n    a[2Jb\n    c\n"},
        {"{\"broken\"", "\n    {\"broken\"\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        print(slice_str(cases[i].body), &out);
        assert_memory_equal(out.ptr, head, strlen(head));
        assert_string_equal(out.ptr + strlen(head), cases[i].shown);
        buf_free(&out);
    }
}

/* Long bodies, JSON or not, are cut, and it is said how long they are. */
static void long_bodies_are_cut(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 1 << 20);
    for (size_t round = 0; round < 2; round++) {
        struct buf out;
        buf_clear(&body);
        buf_add_str(&body, round == 0 ? "[0" : "0");
        while (body.len < 100000)
            buf_add_str(&body, ",0");
        buf_add_str(&body, round == 0 ? "]" : "");
        print(buf_slice(&body), &out);
        assert_true(out.len < 5000);
        assert_non_null(strstr(out.ptr, "bytes in all)\n"));
        buf_free(&out);
    }
    buf_free(&body);
}

/* Deep JSON is indented no further than the blanks there are. */
static void deep_bodies_are_laid_out(void **state)
{
    (void)state;
    struct buf body, out;
    buf_init(&body, 1024);
    for (size_t i = 0; i < LIMIT_JSON_DEPTH; i++)
        buf_add_char(&body, '[');
    for (size_t i = 0; i < LIMIT_JSON_DEPTH; i++)
        buf_add_char(&body, ']');
    print(buf_slice(&body), &out);
    assert_non_null(strstr(out.ptr, "[]"));
    buf_free(&body);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_laid_out),
        cmocka_unit_test(long_bodies_are_cut),
        cmocka_unit_test(deep_bodies_are_laid_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
