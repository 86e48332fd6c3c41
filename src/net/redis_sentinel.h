/* redis_sentinel.h - which server is the master now: a question to Redis's Sentinels.
 *
 * The Sentinels of the options are asked in turn until one knows; each has half a second for name,
 * connection and answer together. The one that answered is asked first the next time, unless its
 * answer turned out to be wrong (redis.io, "Sentinel client spec", steps 1 and 2; step 3, that the
 * server itself says it is a master, is the connection's).
 *
 * A Sentinel may know less than the others, and all of them name a dead master until they have
 * agreed on another: an answer is where to try, no more.
 */
#ifndef TROTLINE_NET_REDIS_SENTINEL_H
#define TROTLINE_NET_REDIS_SENTINEL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/reactor.h"
#include "net/redis_conn.h"

struct redis_sentinel;

/* `host` and `port` of the master; or NULL, 0 and `error`, which says why the last one that was
 * asked gave none. All valid during the call. */
typedef void redis_sentinel_fn(void *arg, const char *host, uint16_t port, const char *error);

/* The options name at least one Sentinel and must outlive it. NULL when out of memory. */
struct redis_sentinel *redis_sentinel_new(struct reactor *reactor,
                                          const struct redis_options *options);
/* Ends a question without calling back. May be called from the callback. Accepts NULL. */
void redis_sentinel_free(struct redis_sentinel *sentinel);

/* Asks; one question at a time. Calls back once, never before it returns, unless it is cancelled.
 * ST_NOMEM: it will not. */
MUST_CHECK enum status redis_sentinel_ask(struct redis_sentinel *sentinel, redis_sentinel_fn *fn,
                                          void *arg);

/* Ends the question, if there is one, without calling back. The next one begins with the Sentinel
 * behind the one that has not answered yet. */
void redis_sentinel_cancel(struct redis_sentinel *sentinel);

/* What the last answer named is no master: the next question begins with another Sentinel. */
void redis_sentinel_distrust(struct redis_sentinel *sentinel);

#endif
