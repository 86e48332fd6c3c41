/* direct_pool.h - the origins that connections of the direct route lead to, which of those
 * connections idle, and who waits for one. The pool finds and counts; it opens and closes nothing.
 */
#ifndef TROTLINE_NET_DIRECT_POOL_H
#define TROTLINE_NET_DIRECT_POOL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "net/direct_wait.h"

struct direct_pool;

/* Where connections lead to: "https://host:port", as the URLs spell it. Lives as long as somebody
 * uses it. */
struct direct_origin {
    struct map_node node;
    struct direct_pool *pool;
    struct list idle; /* struct direct_place.by_origin; the last one used first */
    struct direct_wait wait;
    struct list due;       /* in the pool's list */
    uint64_t served_at_ms; /* when one that waited was given a connection last; 0: never */
    size_t users;          /* connections, and requests under way */
    unsigned wary;         /* so many uses of a kept connection are preceded by a look at it */
    bool https;
    struct buf host; /* the value of `Host` */
    size_t name_bytes;
    char name[]; /* a NUL behind it */
};

/* A connection's place in the pool. Embedded in it. */
struct direct_place {
    struct direct_origin *origin;
    struct list by_origin;
    struct list by_age;
};

/* Embedded. */
struct direct_pool {
    struct map origins;         /* struct direct_origin */
    struct direct_origin *last; /* the one that was asked for last; NULL: none, or it is gone */
    struct list idle;           /* struct direct_place.by_age; the one that idles longest first */
    size_t idle_count;
    struct list due; /* struct direct_origin.due */
};

void direct_pool_init(struct direct_pool *pool);
/* Everything must have been taken out. */
void direct_pool_deinit(struct direct_pool *pool);

/* The origin of this name, with one more user. NULL when out of memory, or when it cannot be read:
 * then *fault says why, else it is NULL. */
struct direct_origin *direct_origin_get(struct direct_pool *pool, struct slice name,
                                        const char **fault);
/* One more user, that puts it later. */
void direct_origin_hold(struct direct_origin *origin);
/* One user less; the last one frees it. Accepts NULL. */
void direct_origin_put(struct direct_origin *origin);

/* Those who wait at the origin are to be looked after in this turn. Nothing to do when nobody does.
 */
void direct_origin_due(struct direct_origin *origin);
/* An origin that is due, and is not any more; or NULL. */
struct direct_origin *direct_pool_next_due(struct direct_pool *pool);

/* A connection to the origin, which is one more user of it, and does not idle. */
void direct_place_init(struct direct_place *place, struct direct_origin *origin);
/* The connection is gone, whether it idled or not. */
void direct_place_deinit(struct direct_place *place);

/* It idles from now on; its origin is due. */
void direct_place_idle(struct direct_place *place);
/* It idles no longer. No effect when it does not. */
void direct_place_busy(struct direct_place *place);

/* The idle one to the origin that was used last, or NULL. It stays where it is. */
struct direct_place *direct_pool_last_used(struct direct_origin *origin);

/* The one that idles longest, if more than `count` idle; else NULL. It stays where it is. */
struct direct_place *direct_pool_excess(struct direct_pool *pool, size_t count);

#endif
