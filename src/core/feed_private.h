/* feed_private.h - inside the feed: a stream and the entries of it that are in hand. For feed.c,
 * which reads, and feed_entries.c, which makes events of what was read.
 */
#ifndef TROTLINE_CORE_FEED_PRIVATE_H
#define TROTLINE_CORE_FEED_PRIVATE_H

#include "base/list.h"
#include "core/feed.h"
#include "core/feed_claims.h"
#include "net/redis_conn.h"

struct feed_done;
struct feed_read;

struct feed_stream {
    struct core *core;
    const char *application; /* that its entries are for */
    const struct core_feed *options;
    const char *name, *feed; /* as people know it, and as the store does */
    uint32_t lane;           /* whose owner looks for what nobody has in hand */
    uint32_t want_max;
    struct redis_conn *conn;
    struct reactor_timer *again; /* armed: the stream rests */
    unsigned failures;           /* rests since something was last published */

    /* What is asked of Redis. */
    unsigned asked;           /* commands on the stream's own connection that are not answered */
    bool looking;             /* for how it is */
    bool looking_for;         /* … because of what is left */
    bool left;                /* entries that were read may not be in anybody's hands */
    bool sweeping;            /* these are read, behind `swept` and up to `limit` */
    bool blocking;            /* the last command waits for entries */
    bool ranging;             /* … is a sweep's XRANGE; there is no other on its way then */
    bool plenty;              /* the last reply had so many entries that there are more */
    uint32_t want, asked_for; /* entries at once */
    unsigned alone_lost;      /* connections lost over a single entry */
    struct stream_id swept, limit;

    /* Entries in hand (feed_entries.c). */
    struct list reads;
    struct feed_read *reading; /* whose reply is still coming; NULL: none is */
    size_t in_hand;
    struct stream_id highest;
    struct feed_done *done;
    struct reactor_timer *flush;
    uint64_t rejected_logged_ms; /* monotonic */
    uint64_t rejections;         /* since then */
    uint64_t results[FEED_RESULTS];

    /* How the stream was when it was looked at last. */
    uint64_t looked_ms, looked_results; /* monotonic; all results so far. 0: never */
    uint64_t length, lag, rejected;
    struct stream_id stuck; /* the first entry, which was read and is still there … */
    uint64_t stuck_since_ms;
    char error[160];
    uint64_t error_logged_ms;
};

/* ---- feed_entries.c ------------------------------------------------------------------------- */

MUST_CHECK enum status feed_entries_init(struct feed_stream *stream);
void feed_entries_deinit(struct feed_stream *stream);

/* Publishes what was read, entries in the order of their ids, except for those that are in hand
 * already. What cannot be published now is left (feed_leave()). Of a reply that is still coming
 * `whole` entries are there; it is called again with more of the same. Returns the bytes so far. */
size_t feed_take(struct feed_stream *stream, const struct redis_value *entries, size_t whole);

/* The rest of what feed_take() was given will not come. Does nothing when it has had all. */
void feed_read_ended(struct feed_stream *stream);

/* ---- feed.c, for it ------------------------------------------------------------------------- */

/* Something that was read is in nobody's hands: rests, and reads it again. */
void feed_leave(struct feed_stream *stream);

/* There may be room. */
void feed_go_on(struct feed_stream *stream);

#endif
