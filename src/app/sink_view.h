/* sink_view.h - what the sink tells about a request: which event it is, and one block of text or
 * one JSON object for it. Pure: everything goes into a buffer.
 */
#ifndef TROTLINE_APP_SINK_VIEW_H
#define TROTLINE_APP_SINK_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/http_head.h"
#include "wire/scheme.h"

enum { SINK_NAME_BYTES = 128 };

/* Where a scheme puts an event's id and type: names of headers and of members of the body, "" where
 * it does not. */
struct sink_names {
    char id_header[SINK_NAME_BYTES], type_header[SINK_NAME_BYTES];
    char id_member[SINK_NAME_BYTES], type_member[SINK_NAME_BYTES];
};

/* Finds the names by signing an event and looking where its id and type went. ST_NOMEM, or what
 * signing returns. */
MUST_CHECK enum status sink_names_learn(const struct scheme *scheme, struct sink_names *names);

struct sink_view {
    uint64_t at_ms; /* Unix time */
    struct slice method, path, body;
    const struct http_header *headers;
    size_t header_count;
    struct slice id, type; /* SLICE_NULL: not there */
    bool checked;          /* there was a secret to verify with */
    enum scheme_verdict verdict;
    bool seen_before; /* the id came before */
    int status;       /* of the answer */
};

/* The text of the header, or else of the member, with `buf` to keep it. SLICE_NULL: neither. */
struct slice sink_find(const char *header, const char *member, const struct sink_view *view,
                       struct buf *buf);

/* A line, and the body indented below it, cut at 4 KiB. Control characters are left out. */
void sink_view_text(const struct sink_view *view, struct buf *out);

/* One line with one JSON object. */
void sink_view_json(const struct sink_view *view, struct buf *out);

#endif
