/* store_schedule.h - the schedule and the dead letters in Redis: move, peek, lease, renew, settle.
 */
#ifndef TROTLINE_CORE_STORE_SCHEDULE_H
#define TROTLINE_CORE_STORE_SCHEDULE_H

#include "core/batch.h"
#include "core/endpoint.h"
#include "core/store.h"

/* One delivery out of an open batch. Reply: move.lua's. */
enum store_move_kind {
    STORE_MOVE_IN /* value: ms from now */,
    STORE_MOVE_AT /* absolute ms */,
    STORE_MOVE_LEASED /* it is in flight; length of its lease in ms */,
    STORE_MOVE_DEAD
};
struct store_move {
    const struct batch *batch;
    uint32_t ordinal;
    const char *event_id;
    const struct endpoint *endpoint;
    struct slice record;
    struct slice state;
    enum store_move_kind kind;
    uint64_t value;
    struct slice attempt; /* record of the attempt, or empty */
    uint32_t attempts_kept;
    uint64_t history_ttl_ms;
};
MUST_CHECK enum status store_move(struct store *store, const struct store_move *move,
                                  store_reply_fn *fn, void *arg);

/* One leased delivery. Reply: settle.lua's. */
enum store_settle_kind { STORE_SETTLE_DONE, STORE_SETTLE_RETRY, STORE_SETTLE_DEAD };
struct store_settle {
    const struct id *event;
    const char *event_id;
    const struct endpoint *endpoint;
    uint64_t lease; /* 0: none, unless somebody has one */
    enum store_settle_kind kind;
    uint64_t delay_ms;  /* RETRY */
    struct slice state; /* RETRY, DEAD */
    uint32_t ordinal;   /* DONE: where its outcome belongs */
    struct slice outcome;
    struct slice log; /* DONE: its attempts */
    struct slice attempt;
    uint32_t attempts_kept;
    uint64_t history_ttl_ms;
};
MUST_CHECK enum status store_settle(struct store *store, const struct store_settle *settle,
                                    store_reply_fn *fn, void *arg);

/* Replies: peek.lua's, lease.lua's, renew.lua's (one delivery). At most LANES lanes; of each
 * `most` endpoints are named, after as many as `skip` has for it (by its place in `lanes`). */
MUST_CHECK enum status store_peek(struct store *store, const uint32_t *lanes, const uint32_t *skip,
                                  size_t count, size_t most, store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_lease(struct store *store, const struct endpoint *endpoint,
                                   size_t count, uint64_t lease_ms, uint64_t not_before_ms,
                                   store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_renew(struct store *store, const struct endpoint *endpoint,
                                   const char *event_id, uint64_t lease, uint64_t lease_ms,
                                   store_reply_fn *fn, void *arg);

/* [record, state] of a waiting or dead delivery; nil where there is none. */
MUST_CHECK enum status store_event_read(struct store *store, const char *event_id,
                                        const char *endpoint_id, store_reply_fn *fn, void *arg);
/* All fields of the event (HGETALL), as settle.lua names them. */
MUST_CHECK enum status store_event_read_all(struct store *store, const char *event_id,
                                            store_reply_fn *fn, void *arg);

/* Event ids that wait for the endpoint, the earliest first, and those among its dead letters, the
 * oldest first: both with scores; `first` are passed over. */
enum store_set { STORE_DUE, STORE_DEAD };
MUST_CHECK enum status store_set_read(struct store *store, enum store_set set,
                                      const char *endpoint_id, size_t first, size_t most,
                                      store_reply_fn *fn, void *arg);
/* Dead letters of one endpoint between two times (ms, inclusive), oldest first, with scores. */
MUST_CHECK enum status store_dead_range(struct store *store, const char *endpoint_id,
                                        uint64_t since_ms, uint64_t until_ms, size_t first,
                                        size_t most, store_reply_fn *fn, void *arg);
/* Endpoints that have dead letters, by id, after `after` ("" = from the start). */
MUST_CHECK enum status store_dead_endpoints(struct store *store, const char *after, size_t most,
                                            store_reply_fn *fn, void *arg);
/* The score of one event in a set, or nil. */
MUST_CHECK enum status store_set_score(struct store *store, enum store_set set,
                                       const char *endpoint_id, const char *event_id,
                                       store_reply_fn *fn, void *arg);

/* The newest attempts of an endpoint; and adding to them. */
MUST_CHECK enum status store_attempts_read(struct store *store, const char *endpoint_id,
                                           size_t most, store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_attempts_add(struct store *store, const char *endpoint_id,
                                          const struct slice *records, size_t count, uint32_t kept,
                                          uint64_t history_ttl_ms, store_reply_fn *fn, void *arg);

#endif
