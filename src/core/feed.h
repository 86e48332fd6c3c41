/* feed.h - events out of Redis streams: whoever may XADD may publish.
 *
 * A feed is a stream, `<prefix>:{0}:feed` or `<prefix>:{0}:feed:<name>`. All replicas read it
 * through the consumer group `trotline`, so that each entry is read by one of them, and publish
 * what they have read (publish.h). An entry leaves the stream when its event is stored, by the same
 * script (lua/publish.lua), and so it is published once, whoever has read it, and how often. What
 * cannot be an event goes to `<prefix>:{0}:feed[:<name>]:rejected`, with the reason.
 *
 * What cannot be stored at the moment stays in the stream, and nothing more is read until it can.
 */
#ifndef TROTLINE_CORE_FEED_H
#define TROTLINE_CORE_FEED_H

#include "base/limits.h"
#include "core/core.h"

struct feed;

/* What became of an entry. */
enum feed_result {
    FEED_PUBLISHED,
    FEED_DUPLICATE, /* of an event with the same idempotency key */
    FEED_REJECTED,
    FEED_TAKEN,   /* it had been published, or deleted, by others meanwhile */
    FEED_PUT_OFF, /* it could not be stored then, and is read again */
    FEED_RESULTS
};
const char *feed_result_name(enum feed_result result);

enum feed_state {
    FEED_AWAY,    /* Redis is */
    FEED_READING, /* also when nothing comes */
    FEED_FULL,    /* as much as may be is on its way into the journal */
    FEED_RESTING, /* something could not be stored, or Redis refused to read: soon once more */
    FEED_STOPPED
};
const char *feed_state_name(enum feed_state state);

/* How a feed is, as far as it is known here. */
struct feed_status {
    const char *name;        /* "feed", or the name in the configuration */
    const char *application; /* "": entries say it */
    enum feed_state state;
    const char *error;              /* what Redis said last; "": nothing */
    uint64_t results[FEED_RESULTS]; /* of this process */
    /* Of the stream, for all replicas, when it was looked at last: some seconds ago at most. */
    bool looked;
    uint64_t length;   /* entries in it */
    uint64_t lag;      /* … that nobody has read yet; UINT64_MAX: Redis cannot tell */
    uint64_t rejected; /* entries of the rejected stream */
};

/* NULL: out of memory. Nothing is read before feed_begin(). */
struct feed *feed_new(struct core *core);
/* Behind publish_free(), which answers what is under way. Accepts NULL. */
void feed_free(struct feed *feed);

/* The endpoints are known: connects, and reads. What follows the first call does nothing. */
void feed_begin(struct feed *feed);

/* A replica has died or stopped, or may have: looks what it has left unpublished. */
void feed_look_soon(struct feed *feed);

/* Reads no more. What was read goes on, until feed_in_hand() is 0. */
void feed_stop(struct feed *feed);
size_t feed_in_hand(const struct feed *feed);

/* Are more entries on their way from Redis, without anybody having to add them? Accepts NULL. */
bool feed_is_coming(const struct feed *feed);

size_t feed_count(const struct feed *feed);
void feed_status(const struct feed *feed, size_t index, struct feed_status *status);
/* The name as the store takes it (store_feed.h), of the feed called that; NULL: there is none. */
const char *feed_find(const struct feed *feed, struct slice name);

#endif
