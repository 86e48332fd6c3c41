/* split_whole.h - all that event_split says of a body, as one text, with any cuts; for the tests
 * and the fuzz target.
 *
 * The window is as the server's: what was not used stays, at a place of its own, exactly as large
 * as what there is, so that a sanitizer sees each byte too far.
 */
#ifndef TROTLINE_TESTS_SPLIT_WHOLE_H
#define TROTLINE_TESTS_SPLIT_WHOLE_H

#include <stdlib.h>

#include "base/buf.h"
#include "wire/event_split.h"

/* The length of the next piece, of `left` bytes that are to come. */
typedef size_t split_cut_fn(void *arg, size_t left);

static inline void split_say(struct buf *said, const struct event_split *split,
                             enum event_split_got got, struct slice item)
{
    if (got == EVENT_SPLIT_ITEM)
        buf_addf(said, "<%.*s>", SLICE_ARGS(item));
    else if (got == EVENT_SPLIT_LONG)
        buf_add_str(said, "LONG");
    else if (got == EVENT_SPLIT_END)
        buf_add_str(said, "END");
    else
        buf_addf(said, "BROKEN@%llu", (unsigned long long)split->broken_at);
}

/* Appends to `said`. False when something was not as event_split.h promises. */
static inline bool split_whole(enum event_split_form form, size_t item_bytes_max, struct slice body,
                               split_cut_fn *cut, void *arg, struct buf *said)
{
    struct event_split split;
    size_t at = 0, kept = 0;
    bool good = true, over = false;
    event_split_init(&split, form, item_bytes_max);
    while (good && !over) {
        size_t piece = at < body.len ? cut(arg, body.len - at) : 0;
        size_t begin = at - kept, len = kept + piece;
        at += piece;
        char *window = malloc(len > 0 ? len : 1);
        if (!window)
            return false;
        if (len > 0)
            memcpy(window, body.ptr + begin, len);
        struct slice input = slice_of(window, len);
        enum event_split_got got = EVENT_SPLIT_ITEM;
        while (good && (got == EVENT_SPLIT_ITEM || got == EVENT_SPLIT_LONG)) {
            struct slice item = SLICE_NULL;
            size_t used;
            got = event_split_next(&split, input, at == body.len, &item, &used);
            good = used <= input.len;
            if (got == EVENT_SPLIT_ITEM)
                good = good && item.len > 0 && item.len <= item_bytes_max &&
                       item.ptr >= input.ptr && item.ptr + item.len <= input.ptr + used;
            if (got != EVENT_SPLIT_MORE)
                split_say(said, &split, got, item);
            input = slice_from(input, used);
        }
        kept = input.len;
        over = got == EVENT_SPLIT_END || got == EVENT_SPLIT_BROKEN;
        good = good && (over || kept <= item_bytes_max) && (over || at < body.len || piece > 0);
        if (got == EVENT_SPLIT_BROKEN)
            good = good && split.broken_at <= body.len;
        free(window);
    }
    return good && buf_status(said) == ST_OK;
}

#endif
