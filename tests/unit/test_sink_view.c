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

static struct sink_view batch_of(const char *type, const char *body, size_t events,
                                 struct http_header headers[2])
{
    headers[0] = (struct http_header){SLICE("content-type"), slice_str(type)};
    headers[1] = (struct http_header){SLICE("trotline-batch-count"), SLICE("2")};
    return (struct sink_view){.method = SLICE("POST"),
                              .path = SLICE("/"),
                              .id = SLICE("batch_1"),
                              .body = slice_str(body),
                              .headers = headers,
                              .header_count = 2,
                              .batch = true,
                              .events = events,
                              .status = 200};
}

/* Of a batch each event has a line, whatever is in it, as an array and as lines; a line that is
 * none ends it. */
static void events_have_a_line_each(void **state)
{
    (void)state;
    static const struct {
        const char *type, *body;
        size_t events;
        const char *shown;
    } cases[] = {
        {"application/json", "[{\"id\":\"a\",\"type\":\"t\",\"data\":{\"n\":\n[1]}}, 7]", 2,
         "\n    a t {\"n\": [1]}\n      \n"},
        {"application/x-ndjson; charset=utf-8",
         "{\"data\":\"\x7f[2J\",\"id\":\"b\"}\n{\"id\":7,\"type\":\"u\"}\n{\n", 3,
         "\n    b  \"[2J\"\n     u \n    … (3 events, 47 bytes in all)\n"},
        {"application/json", "{", 0, "\n"},
        {"application/json", "[]", 0, "\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        struct http_header headers[2];
        struct sink_view view = batch_of(cases[i].type, cases[i].body, cases[i].events, headers);
        buf_init(&out, 1 << 20);
        sink_view_text(&view, &out);
        buf_add_char(&out, '\0');
        const char *end = strstr(out.ptr, "-> 200");
        assert_non_null(end);
        assert_string_equal(end + strlen("-> 200"), cases[i].shown);
        buf_free(&out);
    }
}

/* As many as fit, and it is said how many there are. */
static void long_batches_are_cut(void **state)
{
    (void)state;
    struct buf body, out;
    struct http_header headers[2];
    buf_init(&body, 1 << 20);
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < 1000; i++)
        buf_addf(&body, "%s{\"id\":\"e%zu\",\"data\":\"%0200d\"}", i == 0 ? "[" : ",", i, 0);
    buf_add_str(&body, "]");
    buf_add_char(&body, '\0');
    struct sink_view view = batch_of("application/json", body.ptr, 1000, headers);
    sink_view_text(&view, &out);
    buf_add_char(&out, '\0');
    assert_true(out.len < 5000);
    assert_non_null(strstr(out.ptr, "… (1000 events, "));
    assert_non_null(strstr(out.ptr, "events=1000"));
    buf_free(&body);
    buf_free(&out);
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
        cmocka_unit_test(bodies_are_laid_out),      cmocka_unit_test(long_bodies_are_cut),
        cmocka_unit_test(events_have_a_line_each),  cmocka_unit_test(long_batches_are_cut),
        cmocka_unit_test(deep_bodies_are_laid_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
