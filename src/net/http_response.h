/* http_response.h - reads one HTTP/1.x response to a POST, in any pieces (RFC 9112).
 *
 * Pure: no memory, no clock, no descriptors. The struct is embedded by the caller, who feeds it
 * with bytes as they come. It takes them all, so the caller needs no buffer of his own for a line
 * that is cut; the outcome is the same however the bytes were cut. Bodies are handed on as they
 * arrive and never held.
 *
 *      http_response_begin(&response, LIMIT_RESPONSE_HEADER_BYTES);
 *      ... bytes came:
 *      do {
 *          step = http_response_feed(&response, in, &used, &body);
 *          in = slice_from(in, used);
 *          if (step == HTTP_RESPONSE_BODY)
 *              ... look at body
 *      } while (step == HTTP_RESPONSE_BODY);
 *      ... the connection ended: step = http_response_eof(&response)
 *
 * What is accepted. Whatever decides where the response ends is held to the letter, since a client
 * that is wrong about it takes the rest of this response for the next one. What a sloppy server
 * gets wrong elsewhere does not undo that the delivery arrived: such a response is accepted and the
 * connection is not used again (`keep_alive` is false). The essay in http_response.c has the list.
 */
#ifndef TROTLINE_NET_HTTP_RESPONSE_H
#define TROTLINE_NET_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "net/http_chunked.h"

enum http_response_step {
    HTTP_RESPONSE_MORE,     /* all that was given is used; feed again when more comes */
    HTTP_RESPONSE_BODY,     /* here is a piece of the body; feed the rest, even if it is empty */
    HTTP_RESPONSE_DONE,     /* complete; keep_alive says what becomes of the connection */
    HTTP_RESPONSE_FAULT,    /* not a response that can be trusted; `fault` says why */
    HTTP_RESPONSE_TOO_LARGE /* header lines beyond the maximum; `fault` says so, too */
};

enum {
    HTTP_RESPONSE_RETRY_AFTER_BYTES = 64, /* the longest of RFC 9110's dates has 33 */
    HTTP_RESPONSE_LINE_BYTES = 256 /* so much of a cut line is kept; none that counts is longer */
};

struct http_response {
    /* Results. A status_code counts from header_complete on, which a later fault (of the body) does
     * not undo. */
    int status_code;          /* 200 to 999, of the final status line; 0 before header_complete */
    bool begun;               /* at least one byte came */
    bool header_complete;     /* the empty line behind the final header came */
    bool keep_alive;          /* valid with DONE: another request may go out on this connection */
    size_t header_bytes;      /* of status and header lines, of 1xx too; the trailer without LFs */
    size_t body_bytes;        /* of the content so far; without the framing of chunks */
    struct slice retry_after; /* value of that field, of the final header; empty when there is none
                                 or it is too long. Points into this struct */
    const char *fault;        /* with FAULT and TOO_LARGE: a clause for people. Static memory */

    /* Private. */
    size_t header_bytes_max;
    uint64_t length;           /* Content-Length, if given; then what is left of such a body */
    const char *framing_fault; /* raised at the end of the header, if there can be a body */
    int state;
    int line_status; /* of the header being read, which may be a 1xx */
    int minor;       /* of its version: 0 or 1 */
    int field;       /* of the last line, to which a folded one would belong */
    unsigned provisional_count;
    bool sloppy; /* something was forgiven: no further request on this connection */
    bool close_asked;
    bool keep_alive_asked;
    bool length_given;
    bool coding_given;
    bool cut_control;            /* of the line that is cut: a control byte came ... */
    bool cut_cr;                 /* ... and the last byte so far is CR */
    size_t cut_bytes;            /* how much of it came, of which `cut` holds the first */
    struct http_chunked chunked; /* from here on http_response_begin() clears nothing */
    char retry_after_text[HTTP_RESPONSE_RETRY_AFTER_BYTES];
    char cut[HTTP_RESPONSE_LINE_BYTES];
};

/* Makes it ready for the next response on a connection. Costs little: the buffers are not cleared.
 * The struct must then stay where it is. */
void http_response_begin(struct http_response *response, size_t header_bytes_max);

/* Takes up to in.len bytes, *used of them: all with MORE, and with BODY as far as the piece goes.
 * With DONE those behind *used are not of this response; then keep_alive is false. *body points
 * into `in`; empty with any step but BODY, never empty with that. `in` may be empty. To be called
 * until DONE, FAULT or TOO_LARGE, and not after. */
enum http_response_step http_response_feed(struct http_response *response, struct slice in,
                                           size_t *used, struct slice *body);

/* The peer ended the connection after all it sent was fed, in order and (TLS) provably. DONE when
 * that is how this response ends, else FAULT. Not to be called after a last step. */
enum http_response_step http_response_eof(struct http_response *response);

#endif
