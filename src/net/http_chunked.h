/* http_chunked.h - decodes a chunked body (RFC 9112 section 7.1), in any pieces, where it lies or
 * in place.
 *
 * Pure. Keeps the data; checks and drops chunk extensions and the trailer.
 */
#ifndef TROTLINE_NET_HTTP_CHUNKED_H
#define TROTLINE_NET_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "net/http_fault.h"

struct http_chunked {
    int state;                /* private to http_chunked.c */
    unsigned digits;          /* of the present size */
    uint32_t left;            /* of the present chunk; while its size is read, the size so far */
    size_t body_bytes_max;    /* more is BODY_LONG */
    size_t trailer_bytes_max; /* more is TRAILER_LONG */
    size_t body_bytes;        /* decoded so far */
    size_t extension_bytes;   /* of all chunks together */
    size_t trailer_bytes;
    bool blanks_allowed; /* behind a size, and anywhere in an extension: false at first */
    bool blanks_seen;    /* a size had such */
    bool done;
};

void http_chunked_init(struct http_chunked *chunked, size_t body_bytes_max);

/* Reads on in `raw` as far as the end of the next run of data, which *data becomes (a part of raw;
 * empty when there is none); else to the end of the body (`done`) or of raw. *used becomes the
 * number of bytes consumed. After a fault it must not be called again. */
enum http_fault http_chunked_next(struct http_chunked *chunked, struct slice raw, size_t *used,
                                  struct slice *data);

/* Decodes raw[0..len). Data goes to body + chunked->body_bytes, which may lie in front of raw in
 * the same memory but not behind its first byte. *used becomes the number of bytes consumed: all of
 * them, unless the body ended (`done`) before. After a fault it must not be called again. */
enum http_fault http_chunked_feed(struct http_chunked *chunked, char *body, const char *raw,
                                  size_t len, size_t *used);

#endif
