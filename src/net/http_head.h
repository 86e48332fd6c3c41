/* http_head.h - the head of a request: request line and header lines (RFC 9112 sections 2 to 6).
 *
 * Pure: no memory, no clock, no descriptors. Two steps, so that a head that trickles in is looked
 * at once and not once a byte: http_head_scan() finds its end and remembers where it stopped;
 * http_head_parse() takes the complete head apart, once. All slices point into the given bytes.
 */
#ifndef TROTLINE_NET_HTTP_HEAD_H
#define TROTLINE_NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/slice.h"
#include "net/http_fault.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER /* a well-formed method that we do not know; methods are case-sensitive */
};

struct http_header {
    struct slice name;  /* as received */
    struct slice value; /* without white space around it */
};

/* How the end of the body is known (RFC 9112 section 6.3). */
enum http_framing { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED };

struct http_head {
    enum http_method method;
    int minor;       /* of the version: 0 or 1 */
    bool keep_alive; /* what the client wants, by version and Connection */
    bool expect_continue;
    enum http_framing framing;
    uint64_t content_length; /* UINT64_MAX when it is more than that */
    struct slice method_name;
    struct slice path;  /* begins with '/', or is "*"; percent-encoding as received */
    struct slice query; /* behind the '?'; SLICE_NULL without one */
    struct slice host; /* of the target if that is a URI, else of Host; SLICE_NULL in 1.0 without */
    size_t header_count;
    struct http_header headers[LIMIT_HTTP_HEADERS];
};

/* Zero-initialise it before the first byte of a request. */
struct http_head_scan {
    size_t line_at;         /* where the present line begins */
    size_t looked;          /* no LF in front of this */
    bool skipped;           /* the one empty line that may come first has come */
    bool have_request_line; /* complete, not yet parsed */
};

/* Looks for the end of the head in bytes[0..len), which begins with the request's first byte and
 * has only grown since the last call. *head_bytes becomes the length of the head with its empty
 * line, or 0 while that is not there. Faults: BEGIN, BARE_LF, TARGET_LONG, HEAD_LONG. The result
 * depends on the bytes alone, never on how they were cut. */
enum http_fault http_head_scan(struct http_head_scan *scan, const char *bytes, size_t len,
                               size_t *head_bytes);

/* Takes apart the head of the length that http_head_scan() found. On a fault *head is undefined,
 * but method, and headers up to header_count, can be looked at. */
enum http_fault http_head_parse(struct http_head *head, const char *bytes, size_t head_bytes);

/* The bytes of the head have been moved (not yet freed): makes all slices follow. */
void http_head_rebase(struct http_head *head, const char *from, const char *to);

/* ---- Classes of characters ------------------------------------------------------------------- */
enum {
    HTTP_CHAR_TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
    HTTP_CHAR_VALUE = 2,  /* in a field value: VCHAR, SP, HTAB, obs-text, RFC 9110 section 5.5 */
    HTTP_CHAR_TARGET = 4, /* visible ASCII without '#' */
    HTTP_CHAR_HOST = 8,   /* unreserved and sub-delims, RFC 3986 section 3.2.2 */
    HTTP_CHAR_HEX = 16
};
extern const unsigned char http_char_class[256];

static inline bool http_char_is(char c, int class)
{
    return (http_char_class[(unsigned char)c] & class) != 0;
}

/* Length of the longest prefix whose bytes are all of the class. */
size_t http_char_span(struct slice s, int class);

/* http_char_span(s, HTTP_CHAR_VALUE) == s.len, eight bytes at a time. */
bool http_is_value(struct slice s);

/* ---- Parts of field values, for requests and responses --------------------------------------- */

static inline bool http_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the blanks around it. */
struct slice http_trim(struct slice s);

/* Cuts the next element off a comma-separated list, without the blanks around it; it may be empty.
 * *list is SLICE_NULL after the last. Knows no quoted strings: for lists of tokens and numbers. */
struct slice http_list_next(struct slice *list);

#endif
