/* http_response_rows.h - responses, and what http_response.c is to make of them. */
#ifndef TROTLINE_TEST_HTTP_RESPONSE_ROWS_H
#define TROTLINE_TEST_HTTP_RESPONSE_ROWS_H

#include <stdbool.h>

#include "base/slice.h"
#include "net/http_response.h"

/* How feeding a whole row ends. */
enum ending {
    IS_KEPT,   /* complete; the connection can be used again */
    IS_LAST,   /* complete; it cannot */
    IS_TO_EOF, /* complete when the connection ends */
    IS_CUT,    /* incomplete; the end of the connection is a fault */
    IS_FAULT,
    IS_LARGE
};

struct row {
    struct slice bytes;
    enum ending ending;
    int status;
    const char *text; /* the body; of a FAULT a part of its clause; of a CUT the body so far */
    size_t behind;    /* bytes that are not of this response */
};

/* Header lines at most; the grammar's rows are shorter, but for one. */
enum { ROW_HEADER_BYTES_MAX = 900 };

#define ROW(bytes, ending, status, text, behind)                                                   \
    {                                                                                              \
        {bytes, sizeof(bytes) - 1}, ending, status, text, behind                                   \
    }
#define KEPT(bytes, status, body)   ROW(bytes, IS_KEPT, status, body, 0)
#define LAST(bytes, status, body)   ROW(bytes, IS_LAST, status, body, 0)
#define TO_EOF(bytes, status, body) ROW(bytes, IS_TO_EOF, status, body, 0)
#define CUT(bytes, status, body)    ROW(bytes, IS_CUT, status, body, 0)
#define BAD(bytes, clause)          ROW(bytes, IS_FAULT, 0, clause, 0)

#define S        "HTTP/1.1 200 OK\r\n"
#define OK2      "Content-Length: 2\r\n\r\nok"
#define CH       S "Transfer-Encoding: chunked\r\n\r\n"
#define X10(x)   x x x x x x x x x x
#define V256     X10(X10("v")) X10(X10("v")) X10("vvvvv") "vvvvvv"
#define LENGTH_2 "Content-Length: 2\r\n"

static const struct row grammar_rows[] = {
    /* The status line, RFC 9112 section 4. */
    KEPT(S OK2, 200, "ok"),
    KEPT("HTTP/1.1 200 \r\n" OK2, 200, "ok"), /* empty reason */
    KEPT("HTTP/1.1 200\r\n" OK2, 200, "ok"),  /* not even the space */
    KEPT("HTTP/1.1 500 a\tb \xc3\xa9 (c):\r\n" OK2, 500, "ok"),
    KEPT("HTTP/1.1 999 Request denied\r\n" OK2, 999, "ok"),
    KEPT("HTTP/1.2 200 OK\r\n" OK2, 200, "ok"),
    KEPT("HTTP/1.9 200 OK\r\n" OK2, 200, "ok"),
    CUT("", 0, ""),
    CUT("H", 0, ""),
    CUT("HTTP/1.1 200", 0, ""),
    CUT(S, 0, ""),
    CUT(S "\r", 0, ""),
    CUT(S "A: b\r\n", 0, ""),
    BAD("x", "not an HTTP/1"), /* at once, without a line end */
    BAD("HTTP/2", "not an HTTP/1"),
    BAD("HTTP/2 200\r\n" OK2, "not an HTTP/1"),
    BAD("HTTP/1,1 200 OK\r\n" OK2, "not an HTTP/1"),
    BAD("http/1.1 200 OK\r\n" OK2, "not an HTTP/1"),
    BAD(" " S OK2, "not an HTTP/1"),
    BAD("\r\n" S OK2, "not an HTTP/1"),
    BAD("\n", "not an HTTP/1"),
    BAD("\x15\x03\x01\x00\x02\x02\x46", "not an HTTP/1"), /* a TLS alert */
    BAD("SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP/1"),
    BAD("<html>", "not an HTTP/1"), /* HTTP/0.9 */
    BAD("HTTP/1.1\r\n" OK2, "status line"),
    BAD("HTTP/1.\r\n" OK2, "status line"),
    BAD("HTTP/1.x 200 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.10 200 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1  200 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1\t200 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 20\r\n" OK2, "status line"),
    BAD("HTTP/1.1 20 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 2000 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 200OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 200\tOK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 099 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 +20 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 2x0 OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 20x OK\r\n" OK2, "status line"),
    BAD("HTTP/1.1 200 O\0K\r\n" OK2, "control"),
    BAD("HTTP/1.1 200 O\x7fK\r\n" OK2, "control"),

    /* Header lines, RFC 9112 section 5. */
    KEPT(S "A:\r\nb:c\r\nD: \t e f \t \r\n!#$%&'*+-.^_`|~09: x\r\n" OK2, 200, "ok"),
    KEPT(S "A: caf\xc3\xa9 \xff\tx\r\n" OK2, 200, "ok"), /* obs-text, HTAB */
    KEPT(S "A: b: c\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\r\n" OK2, 200, "ok"),
    KEPT(S "A: " V256 "\r\n" OK2, 200, "ok"), /* longer than what is kept of a cut line */
    BAD(S "A\r\n" OK2, "no name"),
    BAD(S "A b\r\n" OK2, "no name"),
    BAD(S V256 "v: x\r\n" OK2, "no name"),
    BAD(S "A: b\0c\r\n" OK2, "control"),
    BAD(S "A: b\x01\r\n" OK2, "control"),
    BAD(S "A: b\x1b[0m\r\n" OK2, "control"),
    BAD(S "A: bcdefghijklmnopq\x7f\r\n" OK2, "control"),
    BAD(S "A\0: b\r\n" OK2, "control"),
    BAD(S "A: b\rc\r\n" OK2, "control"),
    BAD(S "A: b\r\r\n" OK2, "control"),
    BAD(S "A: " V256 "\rv\r\n" OK2, "control"), /* beyond what is kept */
    BAD(S "A: " V256 "\x02\r\n" OK2, "control"),
    BAD(S "\r\r\n", "control"),

    /* Forgiven, but the connection is not used again. */
    LAST("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok"),
    LAST(S "A: b\n" OK2, 200, "ok"),
    LAST(S "Content-Length: 2\r\n\nok", 200, "ok"),
    LAST(S "A: b\r\n c\r\n\td\r\n" OK2, 200, "ok"), /* section 5.2 */
    LAST(S "A: b\r\n Content-Length: 3\r\n" OK2, 200, "ok"),
    LAST(S "A: b\r\n \r\n" OK2, 200, "ok"), /* not the end of the header */
    LAST(S LENGTH_2 "A: b\r\n Transfer-Encoding: chunked\r\n\r\nok", 200, "ok"),
    LAST(S "A : b\r\n" OK2, 200, "ok"),
    LAST(S "A B: c\r\n" OK2, 200, "ok"),
    LAST(S "A(b): c\r\n" OK2, 200, "ok"),
    LAST(S "\xc3\xa9: c\r\n" OK2, 200, "ok"),
    LAST(S ": c\r\n" OK2, 200, "ok"),
    LAST(S "Connection : close\r\n" OK2, 200, "ok"),
    LAST(S LENGTH_2 "A : b\r\n c\r\n\r\nok", 200, "ok"), /* folded is A, not the length */
    BAD(S " A: b\r\n" OK2, "begins with white space"),
    BAD(S "\tContent-Length: 2\r\n\r\nok", "begins with white space"),

    /* Content-Length, RFC 9112 section 6.2. */
    KEPT(S "Content-Length: 0\r\n\r\n", 200, ""),
    KEPT(S "content-length:0002\r\n\r\nok", 200, "ok"),
    KEPT(S "CONTENT-LENGTH:  2 \r\n\r\nok", 200, "ok"),
    CUT(S "Content-Length: 3\r\n\r\nok", 200, "ok"),
    CUT(S "Content-Length: 99999999999999999999999\r\n\r\nok", 200, "ok"),
    ROW(S OK2 "x", IS_LAST, 200, "ok", 1),
    ROW(S OK2 S OK2, IS_LAST, 200, "ok", sizeof(S OK2) - 1),
    ROW(S "Content-Length: 0\r\n\r\n\r\n", IS_LAST, 200, "", 2),
    LAST(S LENGTH_2 OK2, 200, "ok"), /* RFC 9110 section 8.6 */
    LAST(S "Content-Length: 02\r\n" OK2, 200, "ok"),
    LAST(S "Content-Length: 2, 2\r\n\r\nok", 200, "ok"),
    LAST(S "Content-Length: 2,2 , 2\r\n\r\nok", 200, "ok"),
    BAD(S "Content-Length: 3\r\n" OK2, "different"),
    BAD(S LENGTH_2 "A: b\r\nContent-Length: 0\r\n\r\n", "different"),
    BAD(S "Content-Length: 2, 3\r\n\r\nok", "different"),
    BAD(S "Content-Length: 2, 2\r\nContent-Length: 3\r\n\r\nok", "different"),
    BAD(S "Content-Length:\r\n\r\n", "not a number"),
    BAD(S "Content-Length: 2,\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: ,2\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: +2\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: -2\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: 0x2\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: 2x\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: 2 2\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: 2.0\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: \"2\"\r\n\r\nok", "not a number"),
    BAD(S LENGTH_2 "Content-Length: x\r\n\r\nok", "not a number"),
    BAD(S "Content-Length: " X10(X10("000")) "2\r\n\r\nok", "not a number"),
    BAD(S "Content-Length : 2\r\n\r\nok", "before the colon"),
    BAD(S "Content-Length\t : 2\r\n" OK2, "before the colon"),
    BAD(S "Content-Length: 2\r\n 0\r\n\r\n", "folded"),
    BAD(S "Content-Length:\r\n 2\r\n\r\nok", "not a number"),

    /* Transfer-Encoding, RFC 9112 section 6.1. */
    KEPT(CH "2\r\nok\r\n0\r\n\r\n", 200, "ok"),
    KEPT(S "transfer-encoding:\tCHUNKED \r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok"),
    LAST("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
         "2\r\nok\r\n0\r\n\r\n",
         200, "ok"),
    BAD(S LENGTH_2 "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "both"),
    BAD(S "Transfer-Encoding: chunked\r\n" OK2, "both"),
    BAD(S "Transfer-Encoding: x\r\n" OK2, "not just chunked"),
    BAD(S "Transfer-Encoding: gzip, chunked\r\n\r\n", "not just chunked"),
    BAD(S "Transfer-Encoding: chunked, chunked\r\n\r\n", "not just chunked"),
    BAD(S "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "not just chunked"),
    BAD(S "Transfer-Encoding: chunked;a=b\r\n\r\n", "not just chunked"),
    BAD(S "Transfer-Encoding: identity\r\n\r\n", "not just chunked"),
    BAD(S "Transfer-Encoding:\r\n\r\n", "not just chunked"),
    BAD(S "Transfer-Encoding: xchunked\r\n\r\n", "not just chunked"),
    BAD(S "Transfer-Encoding : chunked\r\n\r\n", "before the colon"),
    BAD(S "Transfer-Encoding: chunked\r\n , gzip\r\n\r\n", "folded"),

    /* Chunks, RFC 9112 section 7.1. */
    KEPT(CH "0\r\n\r\n", 200, ""),
    KEPT(CH "1\r\no\r\n01\r\nk\r\n000\r\n\r\n", 200, "ok"),
    KEPT(CH "A\r\n0123456789\r\n00000000\r\n\r\n", 200, "0123456789"),
    KEPT(CH "a\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789"),
    KEPT(CH "4\r\n\r\n\r\n\r\n0\r\n\r\n", 200, "\r\n\r\n"),
    KEPT(CH "2;a;b=c;d=\"e;\\\"\"\r\nok\r\n0;x\r\n\r\n", 200, "ok"),
    KEPT(CH "2; a = b\r\nok\r\n0\r\n\r\n", 200, "ok"), /* BWS */
    LAST(CH "2  \r\nok\r\n0\t\r\n\r\n", 200, "ok"),
    LAST(CH "2 ;a\r\nok\r\n0\r\n\r\n", 200, "ok"),
    ROW(CH "2\r\nok\r\n0\r\n\r\nx", IS_LAST, 200, "ok", 1),
    CUT(CH "2\r\nok\r\n", 200, "ok"),
    CUT(CH "2\r\nok\r\n0\r\n", 200, "ok"),
    CUT(CH "2\r\no", 200, "o"),
    BAD(CH "\r\n", "no valid size"),
    BAD(CH " 2\r\nok\r\n", "no valid size"),
    BAD(CH "2 2\r\nok\r\n", "no valid size"),
    BAD(CH "0x2\r\nok\r\n", "no valid size"),
    BAD(CH "-2\r\n", "no valid size"),
    BAD(CH "g\r\n", "no valid size"),
    BAD(CH "2\nok\r\n", "no valid size"),
    BAD(CH "000000002\r\nok\r\n", "no valid size"), /* nine digits */
    BAD(CH "2\rok", "CR LF"),
    BAD(CH "2;a\nok\r\n0\r\n\r\n", "extension"),
    BAD(CH "2;a=\"\0\"\r\nok\r\n", "extension"),
    BAD(CH "2\r\nokx", "longer than its size"),
    BAD(CH "2\r\nok\n0\r\n\r\n", "longer than its size"),
    BAD(CH "0\r\n\n", "trailer"),
    BAD(CH "0\r\n\rx", "CR LF"),

    /* The trailer, section 7.1.2: nothing in it counts. */
    KEPT(CH "2\r\nok\r\n0\r\nA: b\r\nContent-Length: 9\r\nConnection: close\r\n\r\n", 200, "ok"),
    BAD(CH "0\r\nA : b\r\n\r\n", "trailer"),
    BAD(CH "0\r\nA\r\n\r\n", "trailer"),
    BAD(CH "0\r\n a\r\n\r\n", "trailer"),
    BAD(CH "0\r\nA: b\n\r\n", "trailer"),

    /* No body, RFC 9112 section 6.3, whatever the header says. */
    KEPT("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
    KEPT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, ""),
    LAST("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 204, ""),
    ROW("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", IS_LAST, 204, "", 2),
    ROW("HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", IS_LAST, 204, "", 5),
    LAST("HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n", 204, ""),
    KEPT("HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n", 304, ""),
    KEPT("HTTP/1.1 304 Not Modified\r\n\r\n", 304, ""),
    LAST("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, ""),
    LAST("HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n", 304, ""),
    KEPT("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, ""),

    /* To the end of the connection. */
    TO_EOF(S "\r\n", 200, ""),
    TO_EOF(S "\r\nok\r\n\r\n", 200, "ok\r\n\r\n"),
    TO_EOF("HTTP/1.0 200 OK\nServer: x\n\nok", 200, "ok"),
    TO_EOF(S "Connection: keep-alive\r\n\r\nok", 200, "ok"),

    /* The connection, RFC 9112 section 9.3. */
    LAST(S "Connection: close\r\n" OK2, 200, "ok"),
    LAST(S "connection:CLOSE\r\n" OK2, 200, "ok"),
    LAST(S "Connection: Keep-Alive, close\r\n" OK2, 200, "ok"),
    LAST(S "Connection: ,x ,\tClose,\r\n" OK2, 200, "ok"),
    LAST(S "Connection: close\r\nConnection: keep-alive\r\n" OK2, 200, "ok"),
    KEPT(S "Connection: closed, close2\r\n" OK2, 200, "ok"),
    KEPT(S "Connection:\r\n" OK2, 200, "ok"),
    KEPT(S "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n" OK2, 200, "ok"),
    LAST(S "Connection: " V256 ", close\r\n" OK2, 200, "ok"),
    LAST("HTTP/1.0 200 OK\r\n" OK2, 200, "ok"),
    KEPT("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" OK2, 200, "ok"),
    LAST("HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n" OK2, 200, "ok"),

    /* Provisional responses, RFC 9110 section 15.2. */
    KEPT("HTTP/1.1 100 Continue\r\n\r\n" S OK2, 200, "ok"),
    KEPT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102\r\n\r\n" S OK2, 200, "ok"),
    KEPT("HTTP/1.1 100 C\r\nContent-Length: 5\r\nConnection: close\r\n\r\n" S OK2, 200, "ok"),
    KEPT("HTTP/1.1 199 x\r\nTransfer-Encoding: x\r\n\r\n" S OK2, 200, "ok"),
    LAST("HTTP/1.1 100 Continue\n\n" S OK2, 200, "ok"),
    TO_EOF("HTTP/1.1 100 C\r\nContent-Length: 2\r\n\r\n" S "\r\nok", 200, "ok"),
    CUT("HTTP/1.1 100 Continue\r\n\r\n", 0, ""),
    BAD("HTTP/1.1 100 Continue\r\n\r\nok", "not an HTTP/1"),
    BAD("HTTP/1.1 100 Continue\r\n\r\n\r\n" S OK2, "not an HTTP/1"),
    BAD("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "switches"),
};

#define DATE "Date: Sun, 22 Nov 2026 14:00:00 GMT\r\n"

/* As these servers and those in front of them write them. */
static const struct row real_rows[] = {
    /* nginx: return 200, an error page, an upstream without length */
    KEPT("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n" DATE "Content-Type: text/plain\r\n"
         "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
         200, "ok"),
    LAST("HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\n" DATE "Content-Type: text/html\r\n"
         "Content-Length: 6\r\nConnection: close\r\n\r\n<html>",
         502, "<html>"),
    KEPT("HTTP/1.1 200 OK\r\nServer: nginx\r\n" DATE "Content-Type: application/json\r\n"
         "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\nVary: Accept-Encoding\r\n\r\n"
         "b\r\n{\"ok\":true}\r\n0\r\n\r\n",
         200, "{\"ok\":true}"),
    KEPT("HTTP/1.1 204 No Content\r\nServer: nginx\r\n" DATE "Connection: keep-alive\r\n\r\n", 204,
         ""),
    /* nginx: an add_header over several lines of its configuration */
    LAST("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n"
         "Content-Security-Policy: default-src 'self';\n    script-src 'self'\r\n\r\nok",
         200, "ok"),
    /* Go net/http; its answer to a malformed request */
    KEPT("HTTP/1.1 202 Accepted\r\n" DATE "Content-Length: 0\r\n\r\n", 202, ""),
    LAST("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
         "Connection: close\r\nContent-Length: 15\r\n\r\n400 Bad Request",
         400, "400 Bad Request"),
    /* Express */
    KEPT("HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\n"
         "Content-Type: application/json; charset=utf-8\r\nContent-Length: 11\r\n"
         "ETag: W/\"b-Ai2R8hgEarLmHKwesT1qcY913ys\"\r\n" DATE
         "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n{\"ok\":true}",
         200, "{\"ok\":true}"),
    /* IIS; its chunk sizes of eight digits */
    KEPT("HTTP/1.1 500 Internal Server Error\r\nCache-Control: private\r\n"
         "Content-Type: text/html; charset=utf-8\r\nServer: Microsoft-IIS/10.0\r\n"
         "X-AspNet-Version: 4.0.30319\r\nX-Powered-By: ASP.NET\r\n" DATE
         "Content-Length: 3\r\n\r\nerr",
         500, "err"),
    KEPT("HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/10.0\r\nTransfer-Encoding: chunked\r\n\r\n"
         "00000002\r\nok\r\n00000000\r\n\r\n",
         200, "ok"),
    /* Apache with PHP; PHP's own server; a name that PHP passed on */
    KEPT("HTTP/1.1 200 OK\r\n" DATE "Server: Apache/2.4.57 (Debian)\r\n"
         "X-Powered-By: PHP/8.2.7\r\nContent-Length: 2\r\nKeep-Alive: timeout=5, max=100\r\n"
         "Connection: Keep-Alive\r\nContent-Type: text/html; charset=UTF-8\r\n\r\nok",
         200, "ok"),
    TO_EOF("HTTP/1.1 200 OK\r\nHost: localhost:8000\r\n" DATE "Connection: close\r\n"
           "X-Powered-By: PHP/8.2.7\r\nContent-type: text/html; charset=UTF-8\r\n\r\nok",
           200, "ok"),
    LAST("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin : *\r\nContent-Length: 2\r\n\r\nok", 200,
         "ok"),
    /* Apache 1.3 pads its chunk sizes */
    LAST("HTTP/1.1 200 OK\r\nServer: Apache/1.3.42\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2   \r\nok\r\n0\r\n\r\n",
         200, "ok"),
    /* AWS: load balancer, its fixed response, API gateway */
    KEPT("HTTP/1.1 503 Service Temporarily Unavailable\r\nServer: awselb/2.0\r\n" DATE
         "Content-Type: text/html\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbusy",
         503, "busy"),
    KEPT("HTTP/1.1 200 \r\n" DATE "Content-Type: application/json\r\nContent-Length: 2\r\n"
         "Connection: keep-alive\r\nx-amzn-RequestId: c6af9ac6-7b61-11e6-9a41-93e8deadbeef\r\n"
         "x-amz-apigw-id: QHTKBHnrjoEFVhw=\r\n\r\n{}",
         200, "{}"),
    /* Cloudflare */
    KEPT("HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
         "Connection: keep-alive\r\nCf-Ray: 8a1b2c3d4e5f-FRA\r\nCF-Cache-Status: DYNAMIC\r\n"
         "Report-To: {\"endpoints\":[{\"url\":\"https:\\/\\/a.nel.cloudflare.com\\/report\"}]}\r\n"
         "Server: cloudflare\r\nalt-svc: h3=\":443\"; ma=86400\r\n\r\n2\r\nok\r\n0\r\n\r\n",
         200, "ok"),
    KEPT("HTTP/1.1 520 \r\n" DATE "Content-Length: 0\r\nserver: cloudflare\r\n\r\n", 520, ""),
    /* Envoy and uvicorn write names in lower case */
    KEPT("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n"
         "date: Sun, 22 Nov 2026 14:00:00 GMT\r\nserver: envoy\r\n"
         "x-envoy-upstream-service-time: 3\r\n\r\nok",
         200, "ok"),
    KEPT("HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 14:00:00 GMT\r\nserver: uvicorn\r\n"
         "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
         200, "ok"),
    /* Tomcat gives no reason; Jetty sends Early Hints first */
    KEPT("HTTP/1.1 404 \r\nContent-Type: text/html;charset=utf-8\r\nContent-Language: en\r\n"
         "Content-Length: 3\r\n" DATE "Keep-Alive: timeout=20\r\nConnection: keep-alive\r\n\r\nno.",
         404, "no."),
    KEPT("HTTP/1.1 103 Early Hints\r\nLink: </style.css>;rel=preload\r\n\r\n"
         "HTTP/1.1 103 Early Hints\r\nLink: </x.js>;rel=preload\r\n\r\n"
         "HTTP/1.1 200 OK\r\nServer: Jetty(12.0.3)\r\nContent-Length: 2\r\n\r\nok",
         200, "ok"),
    /* Python's http.server, and a chunked answer written by hand on top of it */
    TO_EOF(
        "HTTP/1.0 501 Unsupported method ('POST')\r\nServer: SimpleHTTP/0.6 Python/3.11.2\r\n" DATE
        "Connection: close\r\nContent-Type: text/html;charset=utf-8\r\n\r\nno",
        501, "no"),
    LAST("HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\n" DATE
         "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
         200, "ok"),
    /* HTTP/1.0 of an old proxy that keeps connections; a server that says so for 1.1 */
    KEPT("HTTP/1.0 200 OK\r\nX-Cache: MISS from squid\r\nContent-Length: 2\r\n"
         "Connection: keep-alive\r\n\r\nok",
         200, "ok"),
    /* printf in a shell script behind a socket; a CGI that Windows gave its line ends */
    TO_EOF("HTTP/1.1 200 OK\n\nok\n", 200, "ok\n"),
    BAD("HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\r\n\r\r\nok", "control"),
    /* A gateway that adds a length to that of the application */
    LAST("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n"
         "content-length: 2\r\n\r\nok",
         200, "ok"),
    /* The trailer of a gRPC gateway; extensions of a proxy that signs */
    KEPT("HTTP/1.1 200 OK\r\nTrailer: Grpc-Status, Grpc-Message\r\nTransfer-Encoding: chunked\r\n"
         "\r\n2\r\nok\r\n0\r\nGrpc-Status: 0\r\nGrpc-Message:\r\n\r\n",
         200, "ok"),
    KEPT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9\r\nok\r\n0;ieof\r\n\r\n",
         200, "ok"),
    /* An IRC server and a Redis at the port of a target */
    BAD(":irc.example NOTICE AUTH :*** Looking up your hostname\r\n", "not an HTTP/1"),
    BAD("-ERR wrong number of arguments for 'post' command\r\n", "not an HTTP/1"),
};

#endif
