/* channel.h - notices between replicas: hints, which may be lost.
 *
 * Every replica hears two channels of Redis, `<prefix>:{0}:to:<its incarnation>` and
 * `<prefix>:{0}:all`. A notice is a short text, whose first byte says what it is about:
 *
 *      b<member>    a part of a batch was entered in your journal
 *      c<version>   the configuration has changed
 *      d<lane>      there is due work in your lane
 *      f            a replica that read from feeds has stopped: it may have left entries
 *      l<version>   the lanes have another distribution
 *      r<endpoint>  somebody has enabled this endpoint: it is taken to be well again
 *
 * Scripts publish them too, under the same names. A notice only ever makes a replica look earlier
 * than it would by itself: nobody may rely on one, and all that depends on them is also found by
 * the heartbeat. While the subscription is away everything may have been missed,
 * so whoever listens is told when it is there (again). A replica hears its own notices to all.
 */
#ifndef TROTLINE_CORE_CHANNEL_H
#define TROTLINE_CORE_CHANNEL_H

#include "core/core.h"

struct channel;

/* NULL: out of memory. Starts connecting at once. */
struct channel *channel_new(struct core *core);
void channel_free(struct channel *channel);

/* A notice of this kind (a small letter), without its first byte; valid during the call. Unknown
 * kinds, which a newer version may send, are passed over. One function for each kind. */
typedef void channel_fn(void *arg, struct slice text);
void channel_handle(struct channel *channel, char kind, channel_fn *fn, void *arg);

/* Subscribed, for the first time or again: whatever was published before may have been missed.
 * Several may ask for it; all are called, in the order in which they asked. */
typedef void channel_ready_fn(void *arg);
void channel_on_ready(struct channel *channel, channel_ready_fn *fn, void *arg);

/* Publishes to one replica, or to all (`incarnation` NULL). Whether it arrives is not known. */
void channel_send(struct channel *channel, const char *incarnation, const char *text);

/* Redis was lost; Redis is there again: it may be another server, where the notices are now. */
void channel_store_lost(struct channel *channel);
void channel_store_ready(struct channel *channel);

#endif
