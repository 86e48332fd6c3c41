/* publish_waiter.h - who waits for the verdict on an event, and what the verdict depends on.
 *
 * It goes with the event: while that is matched, in its batch, and, when the batch turns out to be
 * matched by an old configuration, through all of it once more.
 */
#ifndef TROTLINE_CORE_PUBLISH_WAITER_H
#define TROTLINE_CORE_PUBLISH_WAITER_H

#include "core/feed_claims.h"
#include "core/publish.h"
#include "core/publish_key.h"

/* A version that is new enough, whatever Redis has meanwhile. */
#define PUBLISH_ANY_VERSION UINT64_MAX

struct publish_waiter {
    publish_fn *fn; /* NULL once answered */
    void *arg;
    uint64_t accepted_us; /* monotonic, of the turn in which it came */
    uint64_t version;     /* of the configuration by which its endpoints were found */
    uint64_t fingerprint; /* of the item, when there is an idempotency key */
    uint64_t dedup_ttl_ms;
    uint32_t deliveries;
    bool has_idempotency, has_uid, has_dedup, has_about;
    bool forwards; /* as a duplicate it is published anew, and says so: DEDUP_FORWARD */
    bool repeats;  /* that was done */
    bool ordered;  /* an endpoint that may get it has an order (ordering.h) */
    bool taken;    /* its entry had gone from its stream: it was refused */
    uint8_t idempotency[PUBLISH_KEY_BYTES];
    uint8_t uid[PUBLISH_KEY_BYTES];
    uint8_t dedup[PUBLISH_KEY_BYTES];
    struct id about;        /* as in struct publish_item */
    struct feed_entry feed; /* feed.feed NULL: it is no entry of a feed's stream */
};

/* Needs nothing of the item any more. ST_NOMEM. */
MUST_CHECK enum status publish_waiter_init(struct publish_waiter *waiter,
                                           const struct publish_item *item, publish_fn *fn,
                                           void *arg);

static inline bool publish_waiter_has_key(const struct publish_waiter *waiter)
{
    return waiter->has_idempotency || waiter->has_uid || waiter->has_dedup;
}

/* Counts the verdict and calls back, if that was not done before. */
void publish_waiter_answer(struct publish_waiter *waiter, struct core_stats *stats,
                           enum publish_verdict verdict, const char *event_id, uint32_t deliveries);

#endif
