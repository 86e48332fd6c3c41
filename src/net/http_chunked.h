/* http_chunked.h - decodes a chunked body (RFC 9112 section 7.1), in place and in any pieces.
 *
 * Pure. Keeps the data; checks and drops chunk extensions and the trailer.
 */
#ifndef TROTLINE_NET_HTTP_CHUNKED_H
#define TROTLINE_NET_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http_fault.h"

struct http_chunked {
    int state;              /* private to http_chunked.c */
    unsigned digits;        /* of the present size */
    uint32_t left;          /* of the present chunk; while its size is read, the size so far */
    size_t body_bytes_max;  /* more is BODY_LONG */
    size_t body_bytes;      /* decoded so far */
    size_t extension_bytes; /* of all chunks together */
    size_t trailer_bytes;
    bool done;
};

void http_chunked_init(struct http_chunked *chunked, size_t body_bytes_max);

/* Decodes raw[0..len). Data goes to body + chunked->body_bytes, which may lie in front of raw in
 * the same memory but not behind its first byte. *used becomes the number of bytes consumed: all of
 * them, unless the body ended (`done`) before. After a fault it must not be called again. */
enum http_fault http_chunked_feed(struct http_chunked *chunked, char *body, const char *raw,
                                  size_t len, size_t *used);

#endif
