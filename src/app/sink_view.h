/* sink_view.h - what the sink tells about a request: one block of text or one JSON object. Pure:
 * everything goes into a buffer.
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

struct sink_view {
    uint64_t at_ms; /* Unix time */
    struct slice method, path, body;
    const struct http_header *headers;
    size_t header_count;
    struct slice id, type; /* SLICE_NULL: not there */
    bool checked;          /* there was a secret to verify with */
    enum scheme_verdict verdict;
    bool seen_before; /* the id came before */
    bool batch;       /* it carries several events: */
    size_t events;    /* so many */
    size_t repeated;  /* of which so many came before */
    int status;       /* of the answer */
};

/* A line, and the body indented below it, or a line for each event that it carries; cut at 4 KiB.
 * Control characters are left out. */
void sink_view_text(const struct sink_view *view, struct buf *out);

/* One line with one JSON object. */
void sink_view_json(const struct sink_view *view, struct buf *out);

#endif
