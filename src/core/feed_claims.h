/* feed_claims.h - what publish.lua is told of those events of a batch that came out of a feed's
 * stream: which entries they are. Pure.
 *
 * An entry counts as published when it leaves its stream, and publish.lua takes it out in the same
 * step in which the batch counts. So whoever comes second with an entry, after a takeover, finds it
 * gone.
 */
#ifndef TROTLINE_CORE_FEED_CLAIMS_H
#define TROTLINE_CORE_FEED_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/limits.h"
#include "core/stream_id.h"

/* One entry of a stream. */
struct feed_entry {
    const char *feed; /* its stream's name (store_feed.h), which outlives the core. Of entries
                         of one stream it is the same pointer */
    struct stream_id id;
    struct stream_id
        before; /* of the entry that is right before it in the stream; zeros: not known */
};

/* What is told of one stream. */
struct feed_claim {
    const char *feed;
    struct buf runs;    /* "<first id> <id behind the last> <entries> " of each unbroken row */
    struct buf ids;     /* "<id> " of each entry */
    struct buf numbers; /* of each 12 bytes: first ordinal, ordinals, the bit that refuses it */
    struct stream_id run_first, last;
    size_t run_count;
};

/* All zeros: no claims, and nothing to free. */
struct feed_claims {
    struct feed_claim streams[LIMIT_FEEDS];
    size_t count;
};

void feed_claims_free(struct feed_claims *claims);

/* In the order of the events in the batch. */
void feed_claims_add(struct feed_claims *claims, const struct feed_entry *entry,
                     uint32_t first_ordinal, uint32_t ordinals, uint32_t refused_bit);

/* Behind the last one: the claims are complete. ST_NOMEM: they are not. */
MUST_CHECK enum status feed_claims_end(struct feed_claims *claims);

#endif
