/* store_schedule.h - the schedule and the dead letters in Redis: peek, lease, renew, and reading.
 */
#ifndef TROTLINE_CORE_STORE_SCHEDULE_H
#define TROTLINE_CORE_STORE_SCHEDULE_H

#include "core/batch.h"
#include "core/endpoint.h"
#include "core/store.h"

/* Replies: peek.lua's, lease.lua's, renew.lua's. At most LANES lanes; of each
 * `most` endpoints are named, after as many as `skip` has for it (by its place in `lanes`). */
MUST_CHECK enum status store_peek(struct store *store, const uint32_t *lanes, const uint32_t *skip,
                                  size_t count, size_t most, store_reply_fn *fn, void *arg);
/* Of at most STORE_LEASES_AT_ONCE endpoints. */
enum { STORE_LEASES_AT_ONCE = 64 };
struct store_lease {
    const struct endpoint *endpoint;
    size_t count;
    uint64_t not_before_ms;
};
MUST_CHECK enum status store_lease(struct store *store, const struct store_lease *leases,
                                   size_t count, uint64_t lease_ms, store_reply_fn *fn, void *arg);
/* At most LIMIT_GROUP_EVENTS deliveries of the endpoint. */
struct store_renewal {
    const char *event_id;
    uint64_t lease;
};
MUST_CHECK enum status store_renew(struct store *store, const struct endpoint *endpoint,
                                   const struct store_renewal *renewals, size_t count,
                                   uint64_t lease_ms, store_reply_fn *fn, void *arg);

/* Takes at most `most` out of the ordered queues of an endpoint. Reply: order_free.lua's. */
MUST_CHECK enum status store_order_free(struct store *store, const struct endpoint *endpoint,
                                        size_t most, store_reply_fn *fn, void *arg);

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
