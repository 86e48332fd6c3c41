/* store_settle.h - what becomes of deliveries, in Redis: move.lua takes them out of open batches,
 * settle.lua says what became of those of the schedule; both take many in one call.
 *
 * What the records point to is borrowed until the call returns.
 */
#ifndef TROTLINE_CORE_STORE_SETTLE_H
#define TROTLINE_CORE_STORE_SETTLE_H

#include "core/batch.h"
#include "core/endpoint.h"
#include "core/store.h"

/* In one call: about a millisecond of Redis, which serves nobody else meanwhile. */
enum { STORE_AT_ONCE = 128 };

/* Of the configuration. */
struct store_keeping {
    uint32_t attempts_kept; /* of an endpoint */
    uint64_t history_ttl_ms;
};

/* One delivery out of an open batch. */
enum store_move_kind {
    STORE_MOVE_IN /* value: ms from now */,
    STORE_MOVE_AT /* absolute ms */,
    STORE_MOVE_LEASED /* it is in flight; length of its lease in ms */,
    STORE_MOVE_DEAD
};
struct store_move {
    const struct message *message; /* in its batch */
    const struct endpoint *endpoint;
    uint32_t ordinal;
    enum store_move_kind kind;
    uint64_t value;
    struct slice state;
    struct slice attempt; /* record of the attempt, or empty */
};
/* At most STORE_AT_ONCE. Reply: move.lua's. */
MUST_CHECK enum status store_move(struct store *store, const struct store_move *moves, size_t count,
                                  const struct store_keeping *keeping, store_reply_fn *fn,
                                  void *arg);

/* One delivery of the schedule. */
enum store_settle_kind { STORE_SETTLE_DONE, STORE_SETTLE_RETRY, STORE_SETTLE_DEAD };
struct store_settle {
    const struct id *event;
    const char *event_id;
    const struct endpoint *endpoint;
    uint64_t lease; /* 0: none, unless somebody has one */
    enum store_settle_kind kind;
    struct slice state;   /* RETRY, DEAD; DONE: the log of its attempts */
    struct slice attempt; /* as above */
    uint64_t delay_ms;    /* RETRY */
    uint32_t ordinal;     /* DONE: where its outcome belongs */
    struct slice outcome; /* DONE */
    size_t record_bytes;  /* DONE: of the event */
    struct slice order;   /* hash of the ordering key whose queue it leaves; empty: none */
};
/* As `order`, when it is not known: looked for in all queues of the endpoint, if it has any. */
#define STORE_ORDER_UNKNOWN SLICE("*")

/* At most STORE_AT_ONCE, of any endpoints; one delivery may be named twice. Reply: settle.lua's. */
MUST_CHECK enum status store_settle(struct store *store, const struct store_settle *settles,
                                    size_t count, const struct store_keeping *keeping,
                                    store_reply_fn *fn, void *arg);

/* What the reply says of the n-th one, from 0 on: its due time in ms, 0, or why nothing was done.
 * When it has left an ordered queue, and another is its head now: the due time of that. */
enum { STORE_STALE = -1, STORE_GONE = -1 };
int64_t store_moved(const struct redis_value *reply, size_t n);
int64_t store_settled(const struct redis_value *reply, size_t n);

#endif
