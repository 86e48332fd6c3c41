/* store.h - Redis as the core sees it: two connections, calls that are repeated until they are
 * answered, the names of all keys, and Redis's clock.
 *
 * Everything that changes state goes through store_call(): a script that may be repeated, which the
 * store sends again after a lost connection until Redis has answered. So the callers never ask what
 * happened to a settle; they wait for its answer, and their own bounds (deliveries in hand, batches
 * in hand) bound what waits here. Reads go through store_query() and fail when Redis is away; so do
 * writes whose failure means something to the caller (store_write_once()).
 *
 * Two connections: batches travel on their own, so that claims, settles and heartbeats never queue
 * behind large writes.
 */
#ifndef TROTLINE_CORE_STORE_H
#define TROTLINE_CORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digits.h"
#include "base/slice.h"
#include "base/status.h"
#include "core/lanes.h"
#include "net/reactor.h"
#include "net/redis_conn.h"

struct store;

/* A prefix has 32 bytes at most; the rest of a key is a kind and an id, or a short name. */
enum { STORE_KEY_REST_MAX = 64, STORE_KEY_MAX = 32 + STORE_KEY_REST_MAX };

/* What Redis's replicas must have before something counts as done (store_confirm.h). */
struct store_confirm_options {
    unsigned replicas;   /* 0: nothing is asked for */
    uint64_t timeout_ms; /* >= 1; after it Redis says how many there are */
};

struct store_options {
    struct redis_options redis;
    struct store_confirm_options confirm;
    const char *key_prefix;  /* "tl" */
    const char *incarnation; /* this process's name in journals and leases; [0-9a-f]{16} */
};

/* Called when both connections have become ready, and when the first of them is lost. */
typedef void store_state_fn(void *arg, bool ready);

/* The options' strings must outlive the store. NULL: out of memory. */
struct store *store_new(struct reactor *reactor, const struct store_options *options,
                        store_state_fn *on_state, void *arg);
/* Calls still waiting are answered with ST_STOPPED. */
void store_free(struct store *store);

bool store_ready(const struct store *store);
const char *store_error(const struct store *store); /* why not; "" */
const char *store_incarnation(const struct store *store);
/* Where the connections go. As long-lived as the store. */
const struct redis_options *store_redis_options(const struct store *store);

/* ---- Scripts, by the file's name in lua/ without .lua; NULL is a programmer's error --------- */
const struct redis_script *store_script(const struct store *store, const char *name);

/* `reply` is valid during the call only. ST_OK: the script's reply. ST_STOPPED: the store is being
 * freed. Queries only: ST_LOST, ST_AGAIN, ST_LIMIT, and ST_REFUSED for an error reply (logged). */
typedef void store_reply_fn(void *arg, enum status status, const struct redis_value *reply);

/* Repeated until it is answered without an error. Copies keys and args. ST_NOMEM: nothing will be
 * called. */
MUST_CHECK enum status store_call(struct store *store, const struct redis_script *script,
                                  const struct slice *keys, size_t key_count,
                                  const struct slice *args, size_t arg_count, store_reply_fn *fn,
                                  void *arg);

/* The same, and with replicas(n) it is answered only when n of Redis's replicas have what it wrote,
 * or none confirms it in time; a connection lost before that has it repeated. For what may not be
 * forgotten by a failover while this process goes on as if it were done. */
MUST_CHECK enum status store_call_kept(struct store *store, const struct redis_script *script,
                                       const struct slice *keys, size_t key_count,
                                       const struct slice *args, size_t arg_count,
                                       store_reply_fn *fn, void *arg);

/* A plain command or a script, sent once. Calls back exactly once, never before it returns; on a
 * failure to send it answers through the callback too. ST_NOMEM: nothing will be called. */
MUST_CHECK enum status store_query(struct store *store, const struct slice *args, size_t count,
                                   store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_query_script(struct store *store, const struct redis_script *script,
                                          const struct slice *keys, size_t key_count,
                                          const struct slice *args, size_t arg_count,
                                          store_reply_fn *fn, void *arg);

/* A write that is the callback's to judge and to make again: a plain command or, with `script`, a
 * call, sent once on the connection of large writes. With replicas(n) its answer comes as that of
 * store_call_kept() does; a connection lost meanwhile may have it made twice. Statuses as of
 * queries; an error reply is given with ST_REFUSED, and not logged. ST_NOMEM: nothing will be
 * called. */
MUST_CHECK enum status store_write_once(struct store *store, const struct redis_script *script,
                                        const struct slice *keys, size_t key_count,
                                        const struct slice *args, size_t arg_count,
                                        store_reply_fn *fn, void *arg);

/* For batches: the connection of large writes, without repetition. */
struct redis_conn *store_batch_conn(struct store *store);

/* What went over either connection so far. */
const struct redis_conn_stats *store_work_stats(const struct store *store);
const struct redis_conn_stats *store_batch_stats(const struct store *store);

/* Calls that wait for Redis, sent or not: the measure of how far behind it is. */
size_t store_pending(const struct store *store);
size_t store_pending_bytes(const struct store *store);

/* ---- Redis's clock -------------------------------------------------------------------------- */
/* Every script's reply carries Redis's time; the store keeps the best estimate of the difference to
 * our monotonic clock. Unix ms. Before the first reply: our own wall clock. */
void store_saw_time(struct store *store, int64_t redis_now_ms);
uint64_t store_redis_ms(const struct store *store);
/* The same, but never behind Redis: for times that another process reads (redis_clock.h). */
uint64_t store_redis_latest_ms(const struct store *store);

/* ---- Key names: "<prefix>:{0}:<kind>[:<name>]" ---------------------------------------------- */
struct store_key {
    char text[STORE_KEY_MAX];
    size_t len;
};
/* Fills in a key and returns it as a slice that lives as long as `key`. */
struct slice store_key(const struct store *store, struct store_key *key, const char *kind,
                       const char *name);
struct slice store_key_lane(const struct store *store, struct store_key *key, uint32_t lane);
/* The same to a place with room for store_key_max() bytes; returns how many it took. */
size_t store_key_write(const struct store *store, char *out, const char *kind, const char *name);
size_t store_key_max(const struct store *store);

/* A number as an argument. */
struct store_number {
    char digits[DIGITS_MAX];
};
struct slice store_u64(struct store_number *number, uint64_t value);
/* Where the outcome of a delivery is among those of its batch; empty for ORDINAL_NONE. */
struct slice store_outcome_offset(struct store_number *number, uint32_t ordinal);

/* ---- Reading replies: 0 / "" when the element is missing or of another type ----------------- */
int64_t reply_integer(const struct redis_value *reply, size_t index);
struct slice reply_text(const struct redis_value *reply, size_t index);
bool reply_is(const struct redis_value *reply, size_t index, const char *text);
/* The digits at the start of a score or of a number in a member; 0 when there are none. */
uint64_t reply_score(struct slice text);

#endif
