/* test_http_parse.c - what the HTTP parser accepts and refuses, however the bytes are cut.
 *
 * Every row is fed whole, byte by byte, and in two pieces at every place; all must give the same
 * result. Macros stand for what most requests share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/http_parse.h"

enum { BODY_MAX = 100, BUFFER = 64 * 1024, MORE = -1 };

#define RL        "POST /x HTTP/1.1\r\n"
#define H         "Host: h\r\n"
#define E         "\r\n"
#define R         RL H
#define CH        R "Transfer-Encoding: chunked\r\n\r\n"
#define VALUE(x)  R "A: " x "\r\n\r\n"
#define HOST(x)   "GET / HTTP/1.1\r\nHost: " x "\r\n\r\n"
#define LENGTH(x) R "Content-Length: " x "\r\n\r\n"
#define TARGET(x) "GET " x " HTTP/1.1\r\n" H E

struct row {
    struct slice bytes;
    int status;        /* 0: complete; MORE: not yet; else the status of the fault */
    const char *body;  /* when complete */
    struct slice rest; /* what must be left behind the request */
};
#define OK(text)                                                                                   \
    {                                                                                              \
        {text, sizeof(text) - 1}, 0, "",                                                           \
        {                                                                                          \
            "", 0                                                                                  \
        }                                                                                          \
    }
#define OKB(text, body)                                                                            \
    {                                                                                              \
        {text, sizeof(text) - 1}, 0, body,                                                         \
        {                                                                                          \
            "", 0                                                                                  \
        }                                                                                          \
    }
#define OKR(text, body, rest)                                                                      \
    {                                                                                              \
        {text rest, sizeof(text rest) - 1}, 0, body,                                               \
        {                                                                                          \
            rest, sizeof(rest) - 1                                                                 \
        }                                                                                          \
    }
#define BAD(text, status)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, status, NULL,                                                    \
        {                                                                                          \
            "", 0                                                                                  \
        }                                                                                          \
    }

static const struct row rows[] = {
    /* The request line, RFC 9112 section 3. */
    OK(R E),
    OK("GET / HTTP/1.1\r\n" H E),
    OK("\r\n" R E), /* section 2.2 */
    BAD("\r\n\r\n" R E, 400),
    BAD("\n" R E, 400),
    BAD(" " R E, 400),
    BAD("\x16\x03\x01\x02", 400), /* TLS on the plain port */
    BAD("\r" R E, 400),
    OK("PURGE /x HTTP/1.1\r\n" H E), /* unknown but well-formed */
    OK("get / HTTP/1.1\r\n" H E),    /* another method than GET */
    OK("M!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" H E),
    BAD("GE(T / HTTP/1.1\r\n" H E, 400),
    BAD("GET\t/ HTTP/1.1\r\n" H E, 400),
    BAD("GET  / HTTP/1.1\r\n" H E, 400),
    BAD("GET /  HTTP/1.1\r\n" H E, 400),
    BAD("GET / HTTP/1.1 \r\n" H E, 400),
    BAD("GET /a b HTTP/1.1\r\n" H E, 400),
    BAD("GET /\tHTTP/1.1\r\n" H E, 400),
    BAD("GET /\r\n" H E, 400), /* HTTP/0.9 */
    BAD("GET\r\n" H E, 400),
    BAD("GET \r\n" H E, 400),
    BAD("GET / \r\n" H E, 400),
    BAD("GET / HTTP/1.1\n" H E, 400),
    BAD("GET / HTTP/1.1\r\r\n" H E, 400),
    BAD("GET /\r HTTP/1.1\r\n" H E, 400),
    BAD("GET / http/1.1\r\n" H E, 400),
    BAD("GET / HTTP/1\r\n" H E, 400),
    BAD("GET / HTTP/1.10\r\n" H E, 400),
    BAD("GET / HTTP/11\r\n" H E, 400),
    BAD("GET / HTTP/1,1\r\n" H E, 400),
    BAD("GET / HTTP/x.1\r\n" H E, 400),
    BAD("GET / XTTP/1.1\r\n" H E, 400),
    OK("GET / HTTP/1.2\r\n" H E), /* RFC 9110 section 2.5 */
    BAD("GET / HTTP/1.2\r\n" E, 400),
    BAD("GET / HTTP/0.9\r\n" H E, 505),
    BAD("GET / HTTP/2.0\r\n" H E, 505),
    BAD("GET / HTTP/3.1\r\n" H E, 505),
    BAD("PRI * HTTP/2.0\r\n\r\n", 505), /* RFC 9113 section 3.4 */

    /* The target, RFC 9112 section 3.2. */
    OK(TARGET("/a/b%20c?d=e&f?g")),
    OK(TARGET("/?")),
    OK(TARGET("//double//")),
    OK(TARGET("/\"<>\\^`{|}")), /* not in RFC 3986, but sent, and harmless */
    BAD(TARGET("/a#b"), 400),
    BAD(TARGET("/\x7f"), 400),
    BAD(TARGET("/\xc3\xa9"), 400),
    BAD("GET /\0 HTTP/1.1\r\n" H E, 400),
    BAD(TARGET("x"), 400),
    BAD(TARGET("?x"), 400),
    BAD(TARGET("*"), 400),
    OK("OPTIONS * HTTP/1.1\r\n" H E),
    BAD("OPTIONS *x HTTP/1.1\r\n" H E, 400),
    BAD("CONNECT h:443 HTTP/1.1\r\n" H E, 400),
    BAD("CONNECT / HTTP/1.1\r\n" H E, 400),
    BAD(TARGET("h:80"), 400),
    OK(TARGET("http://other/x?y")), /* section 3.2.2: Host need not agree */
    OK(TARGET("HTTP://other")),
    OK(TARGET("https://other:8443?q")),
    OK(TARGET("http://[::1]:80/")),
    BAD(TARGET("http://"), 400),
    BAD(TARGET("http:///x"), 400),
    BAD(TARGET("http://u@h/"), 400),
    BAD(TARGET("http://h:x/"), 400),
    BAD(TARGET("ftp://h/"), 400),
    BAD("GET http://other/ HTTP/1.1\r\n" E, 400), /* Host is required all the same */

    /* Header lines, RFC 9112 section 5 and RFC 9110 section 5. */
    OK(R "A:\r\n" E),
    OK(R "A:b\r\n" E),
    OK(R "A: \t b c\t \r\n" E),
    OK(VALUE("\xc3\xa9\xff")), /* obs-text */
    OK(VALUE("a\tb")),
    OK(R "!#$%&'*+-.^_`|~09azAZ: x\r\n" E),
    OK(R "A: 1\r\nA: 2\r\n" E),
    BAD(R ": b\r\n" E, 400),
    BAD(R "A : b\r\n" E, 400),
    BAD(R "A\t: b\r\n" E, 400),
    BAD(R "Content-Length : 3\r\n\r\nabc", 400),
    BAD(R " A: b\r\n" E, 400),
    BAD(R "A: b\r\n c\r\n" E, 400), /* obs-fold */
    BAD(R "A: b\r\n\tc\r\n" E, 400),
    BAD(RL " " H E, 400),
    BAD(R "A\r\n" E, 400),
    BAD(R "A b\r\n" E, 400),
    BAD(R "A(: b\r\n" E, 400),
    BAD(R "A\xc3: b\r\n" E, 400),
    BAD(R "A\0: b\r\n" E, 400),
    BAD(VALUE("a\0b"), 400),
    BAD(VALUE("a\x01"), 400),
    BAD(VALUE("a\x7f"), 400),
    BAD(VALUE("a\x1b"), 400),
    BAD(VALUE("a\rb"), 400),
    BAD(VALUE("a\r"), 400),
    BAD(R "A: b\n" E, 400),
    BAD(R "A: b\r\n\n", 400),
    BAD(RL "Host: h\nContent-Length: 3\r\n" E, 400),

    /* Host, RFC 9112 section 3.2. */
    BAD(RL E, 400),
    BAD(R H E, 400),
    BAD(R "HOST: other\r\n" E, 400),
    OK(HOST("example.com")),
    OK(HOST("example.com:8080")),
    OK(HOST("example.com:")),
    OK(HOST("127.0.0.1:65535")),
    OK(HOST("[::1]")),
    OK(HOST("[fe80::1.2.3.4]:1")),
    OK(HOST("a%2Fb_~!$")),
    BAD(HOST(""), 400),
    BAD(HOST(":80"), 400),
    BAD(HOST("h:65536"), 400),
    BAD(HOST("h:000080"), 400),
    BAD(HOST("h:8a"), 400),
    BAD(HOST("h:80:80"), 400),
    BAD(HOST("a b"), 400),
    OK(HOST("a,b")), /* sub-delims: a valid reg-name */
    BAD(HOST("a/b"), 400),
    BAD(HOST("u@h"), 400),
    BAD(HOST("a%2"), 400),
    BAD(HOST("a%zz"), 400),
    BAD(HOST("[::1"), 400),
    BAD(HOST("[g::]"), 400),
    BAD(HOST("[]"), 400),
    BAD(HOST("[::1]x"), 400),
    BAD(HOST("h\xc3\xa9"), 400),
    OK("GET / HTTP/1.0\r\n" E),
    BAD("GET / HTTP/1.0\r\n" H H E, 400),
    BAD("GET / HTTP/1.0\r\nHost: a b\r\n" E, 400),

    /* Content-Length, RFC 9112 section 6.2. */
    OKB(LENGTH("3") "abc", "abc"),
    OKB(LENGTH("003") "abc", "abc"),
    OKR(LENGTH("3") "abc", "abc", "def"),
    OKR(LENGTH("0"), "", R),
    OKR(R E, "", "x"),
    OKB("GET / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab", "ab"),
    OKB("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", "ab"),
    BAD(LENGTH("3") "ab", MORE),
    BAD(LENGTH(""), 400),
    BAD(LENGTH("+3"), 400),
    BAD(LENGTH("-3"), 400),
    BAD(LENGTH("0x3"), 400),
    BAD(LENGTH("3.0"), 400),
    BAD(LENGTH("3 3"), 400),
    BAD(LENGTH("3, 3"), 400),
    BAD(LENGTH("3;"), 400),
    BAD(R "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    BAD(R "Content-Length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
    BAD(LENGTH("101"), 413), /* before the body comes */
    BAD(LENGTH("18446744073709551616"), 413),
    BAD(LENGTH("99999999999999999999999999999999"), 413),

    /* Transfer-Encoding, RFC 9112 section 6.1. */
    OKB(CH "3\r\nabc\r\n0\r\n\r\n", "abc"),
    OKB(R "transfer-encoding:CHUNKED\r\n\r\n0\r\n\r\n", ""),
    BAD(R "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    BAD(R "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    BAD(R "Content-Length: 3\r\nTransfer-Encoding: x\r\n\r\nabc", 400),
    BAD(R "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    BAD("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    BAD(R "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    BAD(R "Transfer-Encoding: chunked, gzip\r\n\r\n", 501),
    BAD(R "Transfer-Encoding: chunked, chunked\r\n\r\n", 501),
    BAD(R "Transfer-Encoding: identity\r\n\r\n", 501),
    BAD(R "Transfer-Encoding: xchunked\r\n\r\n", 501),
    BAD(R "Transfer-Encoding: chunked;a=b\r\n\r\n", 501),
    BAD(R "Transfer-Encoding: \"chunked\"\r\n\r\n", 501),
    BAD(R "Transfer-Encoding:\r\n\r\n", 501),
    BAD(R "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    BAD(R "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n0\r\n\r\n",
        400),

    /* Chunks, RFC 9112 section 7.1. */
    OKB(CH "1\r\na\r\n02\r\nbc\r\n000\r\n\r\n", "abc"),
    OKB(CH "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    OKB(CH "A\r\n0123456789\r\n00000000\r\n\r\n", "0123456789"),
    OKR(CH "1\r\na\r\n0\r\n\r\n", "a", R E),
    OKB(CH "2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    OKB(CH "1;a\r\nx\r\n0;b=c;d=\"e\\\"\\\\ \"\r\n\r\n", "x"),
    BAD(CH "3\r\nab", MORE),
    BAD(CH "0\r\n", MORE),
    BAD(CH "\r\n", 400),
    BAD(CH ";a\r\n", 400),
    BAD(CH "0x3\r\nabc\r\n0\r\n\r\n", 400),
    BAD(CH "+3\r\nabc\r\n0\r\n\r\n", 400),
    BAD(CH "-1\r\n", 400),
    BAD(CH " 3\r\nabc\r\n0\r\n\r\n", 400),
    BAD(CH "3 \r\nabc\r\n0\r\n\r\n", 400),
    BAD(CH "3 ;a\r\nabc\r\n0\r\n\r\n", 400),
    BAD(CH "g\r\n", 400),
    BAD(CH "000000003\r\nabc\r\n0\r\n\r\n", 400), /* nine digits */
    BAD(CH "3\nabc\r\n0\r\n\r\n", 400),
    BAD(CH "3\r\nabcd\r\n0\r\n\r\n", 400),
    BAD(CH "3\r\nabc\n0\r\n\r\n", 400),
    BAD(CH "3\r\nabc\rx", 400),
    BAD(CH "3\rabc", 400),
    BAD(CH "3;\r\n", 400),
    BAD(CH "3;a=\r\n", 400),
    BAD(CH "3;a b\r\n", 400),
    BAD(CH "3;a=\"b\"c\r\n", 400),
    BAD(CH "3;a=\"b\r\n", 400),
    BAD(CH "3;a\nabc\r\n", 400), /* the LF after an extension that others skip */
    BAD(CH "3;a=\"\\\n\"\r\n", 400),
    BAD(CH "65\r\n", 413),
    BAD(CH "ffffffff\r\n", 413),
    BAD(CH "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789"
           "012345678901234567890123456789\r\n1\r\n",
        413),

    /* The trailer, RFC 9112 section 7.1.2. */
    OKB(CH "1\r\na\r\n0\r\nX: y\r\nContent-Length: 5\r\n\r\n", "a"),
    OKB(CH "0\r\nX:\r\n\r\n", ""),
    BAD(CH "0\r\nX : y\r\n\r\n", 400),
    BAD(CH "0\r\n: y\r\n\r\n", 400),
    BAD(CH "0\r\nX\r\n\r\n", 400),
    BAD(CH "0\r\n x\r\n\r\n", 400),
    BAD(CH "0\r\nX: a\0\r\n\r\n", 400),
    BAD(CH "0\r\nX: a\n\r\n", 400),
    BAD(CH "0\r\nX: a\r\n b\r\n\r\n", 400),
    BAD(CH "0\r\n\n", 400),
    BAD(CH "0\r\n\rx", 400),

    /* Expect, RFC 9110 section 10.1.1. */
    OK(R "Expect: 100-Continue\r\n" E),
    BAD(R "Expect: 100-continue, x\r\n" E, 417),
    BAD(R "Expect: x\r\n" E, 417),
    BAD(R "Expect:\r\n" E, 417),

    /* Not complete. */
    BAD("", MORE),
    BAD("P", MORE),
    BAD("\r\n", MORE),
    BAD(R, MORE),
    BAD(R "\r", MORE),
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

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
