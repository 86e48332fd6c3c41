/* store_feed.h - the streams of feeds in Redis, but for reading them, which is feed.c's own
 * connection's, and publishing, which is store_publish.h's.
 *
 * `feed` is a feed's name as feed_find() gives it: "" for the first one, `<prefix>:{0}:feed`, else
 * what stands behind that and a colon. All are queries: sent once, and they fail when Redis is
 * away.
 */
#ifndef TROTLINE_CORE_STORE_FEED_H
#define TROTLINE_CORE_STORE_FEED_H

#include "base/field_error.h"
#include "core/store.h"
#include "core/stream_id.h"

#define STORE_FEED_GROUP "trotline"

struct slice store_feed_key(const struct store *store, struct store_key *key, const char *feed);
struct slice store_feed_rejected_key(const struct store *store, struct store_key *key,
                                     const char *feed);

/* How the stream is; its group is made if there is none. Entries that somebody read into the group
 * and left pending for `idle_ms` are nobody's any more. Reply: feed_look.lua's. */
MUST_CHECK enum status store_feed_look(struct store *store, const char *feed, uint64_t idle_ms,
                                       store_reply_fn *fn, void *arg);

/* Moves the entry to the rejected stream. Reply: feed_reject.lua's. */
struct store_feed_reject {
    struct stream_id first, last; /* the first entry from … to …: of one that was read the same */
    uint64_t bytes_min;           /* only one that has so many in its fields */
    uint64_t rejected_max;        /* the oldest go beyond so many; 0: none goes */
    const struct field_error *error;
};
MUST_CHECK enum status store_feed_reject(struct store *store, const char *feed,
                                         const struct store_feed_reject *reject, store_reply_fn *fn,
                                         void *arg);

/* Takes entries out of the stream. Reply: how many there were. */
MUST_CHECK enum status store_feed_delete(struct store *store, const char *feed,
                                         const struct stream_id *ids, size_t count,
                                         store_reply_fn *fn, void *arg);

/* Rejected entries from `first` to `last`. Reply: feed_rejected.lua's. */
struct store_feed_page {
    struct stream_id first, last;
    bool newest_first;
    size_t most;
    size_t value_bytes_max, fields_max; /* of each entry; 0 bytes: ids alone */
};
MUST_CHECK enum status store_feed_rejected(struct store *store, const char *feed,
                                           const struct store_feed_page *page, store_reply_fn *fn,
                                           void *arg);

/* Puts rejected entries back into the stream as they were, or drops them. Reply: of
 * feed_requeue.lua; how many there were. */
MUST_CHECK enum status store_feed_requeue(struct store *store, const char *feed,
                                          const struct stream_id *ids, size_t count,
                                          store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_feed_discard(struct store *store, const char *feed,
                                          const struct stream_id *ids, size_t count,
                                          store_reply_fn *fn, void *arg);

#endif
