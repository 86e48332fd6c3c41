/* test_http_parse.c - what the HTTP parser accepts and refuses, however the bytes are cut.
 *
 * Every row is fed whole, byte by byte, and in two pieces at every place; all must give the same
 * result.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/http_parse.h"

#include "http_parse_rows.h"

enum { BUFFER = 64 * 1024 };

/* Feeds text in pieces: [0, cut), [cut, len), or byte by byte when cut is SIZE_MAX. */
static enum http_progress feed(struct http_parser *parser, char *bytes, size_t *len,
                               struct slice text, size_t cut)
{
    enum http_progress progress = HTTP_NEED_HEAD;
    size_t at = 0;
    *len = 0;
    http_parser_init(parser, BODY_MAX);
    while (at < text.len && (progress == HTTP_NEED_HEAD || progress == HTTP_NEED_BODY)) {
        size_t piece = cut == SIZE_MAX ? 1 : at < cut && cut < text.len ? cut - at : text.len - at;
        memcpy(bytes + *len, text.ptr + at, piece);
        *len += piece;
        at += piece;
        progress = http_parser_advance(parser, bytes, len);
    }
    memcpy(bytes + *len, text.ptr + at, text.len - at); /* what would have followed */
    *len += text.len - at;
    return progress;
}

static int status_of(const struct http_parser *parser, enum http_progress progress)
{
    if (progress == HTTP_FAULTY)
        return http_fault_info(parser->fault)->status;
    return progress == HTTP_COMPLETE ? 0 : MORE;
}

static void check_row(const struct row *row, size_t cut, enum http_fault *fault)
{
    static struct http_parser parser;
    static char bytes[BUFFER];
    size_t len;
    enum http_progress progress = feed(&parser, bytes, &len, row->bytes, cut);
    int status = status_of(&parser, progress);
    if (status != row->status)
        fail_msg("row %d cut at %zd: %d (%s) instead of %d:\n%.*s", (int)(row - rows), (ssize_t)cut,
                 status, status > 0 ? http_fault_info(parser.fault)->message : "", row->status,
                 SLICE_ARGS(row->bytes));
    if (progress == HTTP_FAULTY) {
        if (*fault == HTTP_FAULT_NONE)
            *fault = parser.fault;
        assert_int_equal(parser.fault, *fault);
    }
    if (progress == HTTP_COMPLETE && row->body) {
        struct slice body = slice_of(bytes + parser.head_bytes, parser.body_bytes);
        assert_true(slice_eq(body, slice_str(row->body)));
        assert_true(slice_eq(slice_of(bytes + parser.request_bytes, len - parser.request_bytes),
                             row->rest));
    }
}

/* Every row has its result, and the same one for every way to cut it. */
static void test_table(void **state)
{
    (void)state;
    for (const struct row *row = rows; row < rows + ROWS; row++) {
        enum http_fault fault = HTTP_FAULT_NONE;
        check_row(row, row->bytes.len, &fault);
        check_row(row, SIZE_MAX, &fault);
        for (size_t cut = 0; cut < row->bytes.len; cut++)
            check_row(row, cut, &fault);
    }
}

/* Each fault of the request's bytes is really reached by some row, and its message is JSON-clean.
 */
static void test_every_fault_is_reached(void **state)
{
    (void)state;
    static struct http_parser parser;
    static char bytes[BUFFER];
    bool reached[HTTP_FAULTS] = {false};
    for (int i = 0; i < ROWS; i++) {
        size_t len;
        if (feed(&parser, bytes, &len, rows[i].bytes, rows[i].bytes.len) == HTTP_FAULTY)
            reached[parser.fault] = true;
    }
    /* These have tests of their own below. */
    reached[HTTP_FAULT_TARGET_LONG] = reached[HTTP_FAULT_HEADER_COUNT] = true;
    reached[HTTP_FAULT_HEAD_LONG] = reached[HTTP_FAULT_CHUNK_EXTENSION_LONG] = true;
    reached[HTTP_FAULT_TRAILER_LONG] = true;
    for (int fault = HTTP_FAULT_NONE + 1; fault < HTTP_FAULT_HEAD_SLOW; fault++) {
        if (!reached[fault])
            fail_msg("no row has fault %d: %s", fault, http_fault_info(fault)->message);
    }
    for (int fault = HTTP_FAULT_NONE + 1; fault < HTTP_FAULTS; fault++) {
        assert_non_null(http_fault_info(fault)->code);
        assert_null(strpbrk(http_fault_info(fault)->message, "\"\\\n"));
    }
}

static const struct http_head *parse_head(const char *text)
{
    static struct http_parser parser;
    static char bytes[BUFFER];
    size_t len;
    feed(&parser, bytes, &len, slice_str(text), SIZE_MAX);
    assert_int_not_equal(parser.head_bytes, 0);
    return &parser.head;
}

static void assert_slice(struct slice s, const char *expected)
{
    assert_true(slice_eq(s, slice_str(expected)));
    assert_int_equal(s.ptr == NULL, expected == NULL);
}

/* Target, host and headers come out as they should. */
static void test_what_is_in_the_head(void **state)
{
    (void)state;
    const struct http_head *head = parse_head("PATCH /a%20b?c=d?e HTTP/1.1\r\nhost: H:1\r\n"
                                              "X:  1 2\t\r\nY:\r\n\r\n");
    assert_int_equal(head->method, HTTP_PATCH);
    assert_slice(head->method_name, "PATCH");
    assert_slice(head->path, "/a%20b");
    assert_slice(head->query, "c=d?e");
    assert_slice(head->host, "H:1");
    assert_int_equal(head->header_count, 3);
    assert_slice(head->headers[0].name, "host");
    assert_slice(head->headers[1].value, "1 2");
    assert_slice(head->headers[2].value, "");

    head = parse_head("GET http://other:8?q HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_slice(head->path, "/");
    assert_slice(head->query, "q");
    assert_slice(head->host, "other:8");

    head = parse_head("GET / HTTP/1.0\r\n\r\n");
    assert_slice(head->query, NULL);
    assert_slice(head->host, NULL);

    static const char *const methods[] = {"GET",   "HEAD",   "POST",    "PUT",
                                          "PATCH", "DELETE", "OPTIONS", "Get"};
    for (int i = 0; i <= HTTP_OTHER; i++) {
        char text[100];
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: h\r\n\r\n", methods[i]);
        assert_int_equal(parse_head(text)->method, i);
    }
}

/* RFC 9112 section 9.3: who wants the connection kept. */
static void test_keep_alive(void **state)
{
    (void)state;
    static const struct {
        const char *minor;
        const char *connection;
        bool keep;
    } cases[] = {
        {"1", "X: y", true},
        {"0", "X: y", false},
        {"1", "Connection: close", false},
        {"1", "connection: CLOSE", false},
        {"1", "Connection: upgrade ,\tclose , x", false},
        {"1", "Connection: closed", true},
        {"1", "Connection: ,,", true},
        {"1", "Connection: keep-alive\r\nConnection: close", false},
        {"0", "Connection: Keep-Alive", true},
        {"0", "Connection: keep-alive, close", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[200];
        snprintf(text, sizeof(text), "GET / HTTP/1.%s\r\nHost: h\r\n%s\r\n\r\n", cases[i].minor,
                 cases[i].connection);
        assert_int_equal(parse_head(text)->keep_alive, cases[i].keep);
    }
    assert_true(
        parse_head("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n")->expect_continue);
    assert_false(parse_head("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")->expect_continue);
}

/* A text that is `before`, then `count` times `repeated`, then `after`. */
static int status_of_repeated(const char *before, const char *repeated, size_t count,
                              const char *after, size_t cut)
{
    static struct http_parser parser;
    static char bytes[BUFFER];
    static char text[BUFFER];
    size_t len = strlen(before);
    memcpy(text, before, len);
    for (size_t i = 0; i < count; i++, len += strlen(repeated))
        memcpy(text + len, repeated, strlen(repeated));
    memcpy(text + len, after, strlen(after));
    len += strlen(after);
    size_t held;
    enum http_progress progress = feed(&parser, bytes, &held, slice_of(text, len), cut);
    return status_of(&parser, progress);
}

/* Every limit holds to the byte, whole and in pieces, and without an end in sight. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        const char *repeated;
        size_t count;
        const char *after;
        int status;
    } cases[] = {
        {"GET /", "a", LIMIT_HTTP_TARGET_BYTES - 1, " HTTP/1.1\r\nHost: h\r\n\r\n", 0},
        {"GET /", "a", LIMIT_HTTP_TARGET_BYTES, " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
        {"GET /", "a", 9000, " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
        {"GET /", "a", 9000, "", 414},
        {"", "A", 9000, "", 414},
        {"GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n", LIMIT_HTTP_HEADERS - 1, "\r\n", 0},
        {"GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n", LIMIT_HTTP_HEADERS, "\r\n", 431},
        {"GET / HTTP/1.1\r\nHost: h\r\nA:", "b", LIMIT_HTTP_HEADER_BYTES - 31, "\r\n\r\n", 0},
        {"GET / HTTP/1.1\r\nHost: h\r\nA:", "b", LIMIT_HTTP_HEADER_BYTES - 30, "\r\n\r\n", 431},
        {"GET / HTTP/1.1\r\nHost: h\r\nA:", "b", 40000, "", 431},
        {"GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n", 7000, "", 431},
        {CH "1;a=", "b", LIMIT_HTTP_EXTENSION_BYTES - 3, "\r\nx\r\n0\r\n\r\n", 0},
        {CH "1;a=", "b", LIMIT_HTTP_EXTENSION_BYTES - 2, "\r\nx\r\n0\r\n\r\n", 400},
        {CH, "1;a=b\r\nx\r\n", 101, "", 413},
        {CH, "1;abcdefghijkl=abcdefghijkl\r\nx\r\n", 99, "", 400},
        {CH "0\r\nA:", "b", LIMIT_HTTP_TRAILER_BYTES - 4, "\r\n\r\n", 0},
        {CH "0\r\nA:", "b", LIMIT_HTTP_TRAILER_BYTES - 3, "\r\n\r\n", 431},
        {CH "0\r\n", "A: b\r\n", 1000, "", 431},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int whole = 0; whole < 2; whole++) {
            int status = status_of_repeated(cases[i].before, cases[i].repeated, cases[i].count,
                                            cases[i].after, whole ? SIZE_MAX / 2 : SIZE_MAX);
            if (status != cases[i].status)
                fail_msg("limit %zu whole %d: %d instead of %d", i, whole, status, cases[i].status);
        }
    }
}

/* The classes of characters against the text of the RFCs. */
static void test_character_classes(void **state)
{
    (void)state;
    static const char alnum[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int c = 0; c < 256; c++) {
        bool letter = c && strchr(alnum, c);
        bool token = letter || (c && strchr("!#$%&'*+-.^_`|~", c));
        bool value = c == '\t' || (c >= 0x20 && c <= 0x7e) || c >= 0x80;
        bool target = c > 0x20 && c < 0x7f && c != '#';
        bool host = letter || (c && strchr("-._~!$&'()*+,;=", c));
        bool hex = c && strchr("0123456789abcdefABCDEF", c);
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_TOKEN), token);
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_VALUE), value);
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_TARGET), target);
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_HOST), host);
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_HEX), hex);
    }
}

/* When the bytes move, all slices follow, but for the path that is not among them. */
static void test_rebase(void **state)
{
    (void)state;
    static struct http_parser parser;
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n",
        "GET http://o HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n",
    };
    for (int i = 0; i < 2; i++) {
        char from[100], to[100];
        size_t len;
        feed(&parser, from, &len, slice_str(texts[i]), SIZE_MAX);
        memcpy(to, from, len);
        http_parser_rebase(&parser, from, to);
        memset(from, 'x', sizeof(from));
        assert_slice(parser.head.path, "/");
        assert_slice(parser.head.method_name, "GET");
        assert_slice(parser.head.host, i == 0 ? "h" : "o");
        assert_slice(parser.head.headers[1].name, "A");
        assert_slice(parser.head.headers[1].value, "b");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_every_fault_is_reached),
        cmocka_unit_test(test_what_is_in_the_head),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_character_classes),
        cmocka_unit_test(test_rebase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
