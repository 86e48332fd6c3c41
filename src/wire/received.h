/* received.h - one request from outside, as the verifier, the handshakes and the receiver see it.
 *
 * All slices are the caller's and stay as long as the struct is used. Everything is as it was
 * received: nothing is decoded, nothing put together again. The exception is `public_url`, which
 * comes from the configuration: what a sender signed as the URL is what it was told, and Host or
 * X-Forwarded-* are whatever the sender likes.
 */
#ifndef TROTLINE_WIRE_RECEIVED_H
#define TROTLINE_WIRE_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct received_header {
    struct slice name;
    struct slice value; /* without white space around it */
};

/* What a source has configured beside its secrets, for {var:NAME}. */
struct received_var {
    struct slice name;
    struct slice value;
};

/* How far a signed time may be from now, inclusive. */
struct received_tolerance {
    uint64_t past_ms;
    uint64_t future_ms;
};
#define RECEIVED_TOLERANCE_OFF UINT64_MAX /* for either: not looked at */

/* Is the body JSON (json_check())? Who knows already says so; else it is found out where it is
 * needed, each time again. */
enum received_json { RECEIVED_JSON_UNKNOWN, RECEIVED_JSON_YES, RECEIVED_JSON_NO };

struct received {
    struct slice method; /* "POST" */
    struct slice path;
    struct slice query; /* without the '?'; SLICE_NULL: none */
    const struct received_header *headers;
    size_t header_count;
    struct slice body;
    enum received_json body_json;
    struct slice public_url; /* SLICE_NULL: none is configured */
    const struct received_var *vars;
    size_t var_count;
    const struct received_tolerance *tolerance; /* the source's own; NULL: the scheme's */
    uint64_t now_ms;                            /* Unix time */
};

/* The value of a header, whose name is compared without regard to case. SLICE_NULL when there is
 * none, or more than one: which of two would count, the next program may see otherwise. */
struct slice received_header(const struct received *received, struct slice name);

/* The value of a variable; SLICE_NULL: there is none. */
struct slice received_var(const struct received *received, struct slice name);

/* Appends the value of a query parameter, percent-decoded and with '+' as a blank, to `buf`, whose
 * status the caller checks. False, and nothing appended: it is not there, or more than once, or
 * badly encoded. `query` may be received->query or any other. The name is compared as it is
 * decoded. */
bool received_query(struct slice query, struct slice name, struct buf *buf);

/* Appends the text, percent-decoded and with '+' as a blank. False, and nothing appended: a '%'
 * without two digits behind it. */
bool received_form_decode(struct slice text, struct buf *buf);

/* True when the body is JSON; finds it out when that is not known. */
bool received_is_json(const struct received *received);

/* Finds it out and remembers it. */
void received_look(struct received *received);

/* ---- JSON paths: "data.id", "0.type", "value.0.clientState" ------------------------------------
 *
 * Names and places in arrays, separated by dots; no names with dots in them. No tree is made. */

/* The value at the path, in JSON that has passed json_check(): a string with its quotes. SLICE_NULL
 * when there is none, or when a name of the path is there more than once in its object. An empty
 * path is the whole value. */
struct slice received_json_at(struct slice json, struct slice path);

/* True when nothing is at the path, or null: not when a name is there more than once. */
bool received_json_absent(struct slice json, struct slice path);

/* The text of the value: what a string says, a number, true or false as it is written. SLICE_NULL
 * for null, objects and arrays, for nothing, and when out of memory (see its status). Points into
 * `json` when the string has no escapes, else to what was appended to `buf`, until it changes. */
struct slice received_json_text(struct slice json, struct slice path, struct buf *buf);

#endif
