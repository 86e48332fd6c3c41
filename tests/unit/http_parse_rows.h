/* http_parse_rows.h - requests, each with what must become of it: the table of test_http_parse.c.
 *
 * Macros stand for what most requests share.
 */
#ifndef TROTLINE_TESTS_HTTP_PARSE_ROWS_H
#define TROTLINE_TESTS_HTTP_PARSE_ROWS_H

#include "base/slice.h"

enum { BODY_MAX = 100, MORE = -1 };

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

#endif
