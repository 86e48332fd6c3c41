/* http_parse.h - one whole request, head and body, out of one growing piece of memory.
 *
 * Pure. The caller owns the bytes and adds to them; the parser says how far the request is. The
 * outcome is the same however the bytes were cut into pieces.
 *
 *      bytes: | head | body (decoded) | of a following request ... |
 *             0      head_bytes       ^ ... request_bytes, which is behind the framing of a
 *                                       chunked body: there may be a gap
 */
#ifndef TROTLINE_NET_HTTP_PARSE_H
#define TROTLINE_NET_HTTP_PARSE_H

#include "net/http_chunked.h"
#include "net/http_fault.h"
#include "net/http_head.h"

enum http_progress {
    HTTP_NEED_HEAD, /* more bytes are needed for the head */
    HTTP_NEED_BODY, /* the head is complete and valid; more bytes are needed for the body */
    HTTP_COMPLETE,
    HTTP_FAULTY /* `fault` says why; the stream cannot be used any further */
};

struct http_parser {
    enum http_fault fault;
    size_t body_bytes_max; /* more is BODY_LONG, known from Content-Length before the body comes */
    size_t head_bytes;     /* 0 until the head is parsed */
    size_t body_bytes;     /* decoded, valid when complete */
    size_t request_bytes;  /* where the next request begins, valid when complete */
    bool body_begun;       /* at least one byte behind the head has come */
    struct http_head
        head; /* valid when head_bytes is not 0; before: method_name and headers so far */
    struct http_head_scan scan;
    struct http_chunked chunked;
};

void http_parser_init(struct http_parser *parser, size_t body_bytes_max);

/* Only the head: HTTP_NEED_BODY as soon as that is complete and valid, whatever there is of a body.
 * Not to be called again after that or HTTP_FAULTY; http_parser_advance() goes on from there. */
enum http_progress http_parser_head(struct http_parser *parser, const char *bytes, size_t len);

/* bytes[0..*len) is what is held of the request, from its first byte on, with more at the end than
 * at the last call. *len shrinks when the framing of an unfinished chunked body is squeezed out:
 * new bytes go to the new end. Not to be called again after HTTP_COMPLETE or HTTP_FAULTY. */
enum http_progress http_parser_advance(struct http_parser *parser, char *bytes, size_t *len);

/* The bytes have been copied or moved from `from` to `to`; call it before `from` is freed. */
void http_parser_rebase(struct http_parser *parser, const char *from, const char *to);

/* Bytes that head and body will have together, as far as the head tells: 0 when it does not. */
uint64_t http_parser_expected_bytes(const struct http_parser *parser);

#endif
