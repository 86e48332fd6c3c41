/* redis_master.h - the way to the server that redis_options name: a connected socket, and, when
 * Sentinels are named, word that another server has become the master.
 *
 * Each connection has one of its own, so that none waits for another's. Without Sentinels it is
 * redis_dial.h and nothing more.
 *
 *      dial ---> (a Sentinel is asked) ---> a socket ---> handshake ---> arrived: watched
 *        ^                                      |             |             |
 *        +---------------- leave ---------------+-------------+-------------+
 */
#ifndef TROTLINE_NET_REDIS_MASTER_H
#define TROTLINE_NET_REDIS_MASTER_H

#include "net/reactor.h"
#include "net/redis_conn.h"
#include "net/redis_dial.h"

struct redis_master;

/* The Sentinels name another master than the one that was arrived at: leave, and dial anew. */
typedef void redis_master_moved_fn(void *arg, const char *why);

/* The options must outlive it. NULL when out of memory. */
struct redis_master *redis_master_new(struct reactor *reactor, const struct redis_options *options,
                                      redis_master_moved_fn *moved, void *arg);
/* As redis_master_leave(), and frees; may be called from either callback. Accepts NULL. */
void redis_master_free(struct redis_master *master);

/* Finds the server and connects to it: reports once, as redis_dial_start() does, never before this
 * returns. Only after redis_master_leave() or at first. ST_NOMEM: it will not report. */
MUST_CHECK enum status redis_master_dial(struct redis_master *master, unsigned attempt,
                                         redis_dial_fn *fn, void *arg);

/* The server says that it is a master, and serves. From now on, when there are Sentinels, they are
 * asked every two seconds whether it still is the one. */
void redis_master_arrived(struct redis_master *master);

/* Ends whatever is under way without calling back: a dial, a watch. The socket is the caller's. A
 * Sentinel whose answer led to no arrival is not the first to be asked the next time. */
void redis_master_leave(struct redis_master *master);

/* Both have arrived, at the same address; they have the same options. */
bool redis_master_same(const struct redis_master *a, const struct redis_master *b);

#endif
