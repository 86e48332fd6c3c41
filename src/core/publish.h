/* publish.h - from an accepted event to a stored batch.
 *
 * Events of one turn of the loop are packed in one batch; its blob and script travel in one write;
 * at most two batches are on their way at once, so batches grow under load by themselves. One that
 * has entries of feeds alone also waits for those that are coming. The producer is answered when
 * Redis has answered, never before.
 */
#ifndef TROTLINE_CORE_PUBLISH_H
#define TROTLINE_CORE_PUBLISH_H

#include "core/batch.h"
#include "core/core.h"

struct publish;
struct feed_entry;

enum publish_verdict {
    PUBLISH_ACCEPTED,
    PUBLISH_DUPLICATE,        /* same idempotency key, same body: event_id is the first one's; or
                                 same deduplication key, policy DEDUP_DROP */
    PUBLISH_REPEATED,         /* same deduplication key, policy DEDUP_FORWARD: accepted, and the
                                 event says whose duplicate it is */
    PUBLISH_KEY_REUSED,       /* same idempotency key, another body */
    PUBLISH_UID_TAKEN,        /* event_id has it */
    PUBLISH_IDEMPOTENCY_FULL, /* no room for the key; not stored */
    PUBLISH_JOURNAL_FULL,     /* not stored */
    PUBLISH_UNAVAILABLE,      /* Redis is away; not stored */
    PUBLISH_STORE_FULL,       /* Redis is out of memory; not stored */
    PUBLISH_OVERLOADED,       /* our own memory limits; not stored */
    PUBLISH_STOPPING,         /* not stored */
    PUBLISH_UNKNOWN,          /* it may or may not be stored */
    PUBLISH_TAKEN             /* an entry of a feed that was published or deleted by others before:
                                 not stored */
};
const char *publish_verdict_name(enum publish_verdict verdict);

/* What becomes of an event whose deduplication key is taken. */
enum dedup_policy {
    DEDUP_DROP,   /* it is not stored; PUBLISH_DUPLICATE */
    DEDUP_FORWARD /* it is stored and delivered, with `duplicate_of` in its record:
                     PUBLISH_REPEATED. That takes a second round trip to Redis */
};

/* Of a received request. Keys of two sources (record.source) or applications never meet, and none
 * meets an idempotency key. What is in the body plays no part. */
struct publish_dedup {
    struct slice key; /* SLICE_NULL: none, and the event is never a duplicate */
    uint64_t ttl_ms;  /* how long the key is remembered; below 2^48 (key_claims.h) */
    enum dedup_policy policy;
};

struct publish_item {
    struct event_record record;    /* deliver_at_ms: Redis's clock; data has passed json_check(), or
                                      data_kind says what it is */
    struct slice idempotency_key;  /* SLICE_NULL: none */
    struct slice raw;              /* the item's bytes as received: their hash tells a reused key */
    struct publish_dedup dedup;    /* instead of an idempotency key */
    const struct id *about;        /* the endpoint that an operational event (notice.h) is about: it
                                      does not get it, nor do those that take it by "*" alone. NULL:
                                      of all other events */
    const struct feed_entry *feed; /* the entry of a feed's stream that it came as. NULL: it came
                                      otherwise */
};

/* event_id and deliveries are valid for the first five verdicts, during the call only. */
typedef void publish_fn(void *arg, enum publish_verdict verdict, const char *event_id,
                        uint32_t deliveries);

struct publish *publish_new(struct core *core);
void publish_free(struct publish *publish);

/* Matches by type and payload, packs, and calls back once, later, never before it returns. Copies
 * everything. Any status but ST_OK: it will not call back; *why says what to answer. */
MUST_CHECK enum status publish_event(struct publish *publish, const struct publish_item *item,
                                     publish_fn *fn, void *arg, enum publish_verdict *why);

/* Redis is away: what was not sent yet is refused at once, because that is known not to be stored.
 */
void publish_store_lost(struct publish *publish);

/* Redis is back: outcomes that were left open are asked for again. */
void publish_store_ready(struct publish *publish);

/* Is the batch on its way? Its parts may be in my journal, and this module will tell of them. */
bool publish_sends(const struct publish *publish, const char *batch_id);

/* Batches not yet answered by Redis, and events that wait to be matched. */
size_t publish_unanswered(const struct publish *publish);

#endif
