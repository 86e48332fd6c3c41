/* store_stream.h - entries of the streams that events are delivered to.
 *
 * Their keys are "<prefix>:{0}:out:<name>": beside Trotline's own, and never one of these.
 */
#ifndef TROTLINE_CORE_STORE_STREAM_H
#define TROTLINE_CORE_STORE_STREAM_H

#include "core/store.h"

/* The key of the stream with that name; the caller frees it. NULL: out of memory. */
char *store_stream_key(const char *key_prefix, const char *name);

struct store_stream_entry {
    struct slice key;
    uint64_t length_max;       /* entries the stream may have */
    bool waits;                /* none is added beyond that; else the oldest go */
    struct slice id;           /* field `id`: the event's */
    struct slice type;         /* `type` */
    struct slice timestamp;    /* `timestamp` */
    struct slice duplicate_of; /* `duplicateOf`: only when it is one, else SLICE_NULL */
    struct slice event;        /* `e`, always the last: all of it as JSON */
};

/* Adds an entry, as store_write_once() does: the calls of a turn go out in one write. The reply is
 * the entry's id; or nil when the stream is full and waits. An entry whose reply was lost may be
 * there, so one that is added again may be there twice.
 *
 * Trimmed streams have fewer entries than length_max and a node's (Redis's
 * `stream-node-max-entries`, 100 from the start): MAXLEN with `~`, which drops whole nodes and
 * costs a fraction of an exact bound. */
MUST_CHECK enum status store_stream_add(struct store *store, const struct store_stream_entry *entry,
                                        store_reply_fn *fn, void *arg);

#endif
