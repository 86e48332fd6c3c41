/* event_split.h - where events end in a body of many that comes in pieces: lines, a JSON array, or
 * a msgpack array. Pure.
 *
 * It finds ends and nothing else: an item may turn out not to be what its form asks for, and is
 * then refused by whoever reads it (event_document.h), without harm to those behind it. Only what
 * stands between items, and what leaves no end to be found, breaks the rest.
 *
 * What it says does not depend on how the body was cut into pieces. No byte is looked at twice, but
 * for some at a cut, and it takes no memory, whatever lengths and depths the body claims.
 */
#ifndef TROTLINE_WIRE_EVENT_SPLIT_H
#define TROTLINE_WIRE_EVENT_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum event_split_form {
    EVENT_SPLIT_LINES, /* NDJSON: LF ends an item, blank lines (and blanks, CR among them, around an
                          item) are none; the last line may lack its LF */
    EVENT_SPLIT_JSON,
    EVENT_SPLIT_MSGPACK
};

enum event_split_got {
    EVENT_SPLIT_MORE,  /* no item ends in what is here */
    EVENT_SPLIT_ITEM,  /* *item: at most item_bytes_max bytes */
    EVENT_SPLIT_LONG,  /* an item with more, of which nothing is left */
    EVENT_SPLIT_END,   /* all has been said */
    EVENT_SPLIT_BROKEN /* no more can be found: `reason`, at byte `broken_at` of the body. To be
                          called no more */
};

struct event_split {
    enum event_split_form form;
    size_t item_bytes_max;
    uint64_t offset;    /* of the input's first byte in the body */
    uint64_t broken_at; /* in the body */
    const char *reason; /* static memory; for people, without a full stop */

    /* Private. */
    int state;
    bool inside;      /* of an item, which is where the input begins */
    bool in_string;   /* JSON: within the item */
    unsigned depth;   /* JSON: open brackets and braces of the item */
    uint64_t pending; /* msgpack: values the item still has */
    uint64_t left;    /* msgpack: items to come */
    uint64_t looked;  /* of the input, from the item's first byte: may be beyond what is here */
    uint64_t passed;  /* bytes of the item that are gone: it is a long one */
};

void event_split_init(struct event_split *split, enum event_split_form form, size_t item_bytes_max);

/* `input` is what has come of the body and was not used before; `last`: no more will come. The
 * first *used bytes of it are done with, after whatever is done with *item, which is among them:
 * the next call's input begins behind them. When MORE is said, at most item_bytes_max bytes are
 * left. */
enum event_split_got event_split_next(struct event_split *split, struct slice input, bool last,
                                      struct slice *item, size_t *used);

#endif
