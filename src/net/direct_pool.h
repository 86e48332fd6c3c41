/* direct_pool.h - the origins that connections of the direct route lead to, and which of those
 * connections idle. The pool finds and counts; it opens and closes nothing.
 */
#ifndef TROTLINE_NET_DIRECT_POOL_H
#define TROTLINE_NET_DIRECT_POOL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

struct direct_pool;

/* Where connections lead to: "https://host:port", as the URLs spell it. Lives as long as somebody
 * uses it. */
struct direct_origin {
    struct map_node node;
    struct direct_pool *pool;
    struct list idle; /* struct direct_place.by_origin; the last one used first */
    size_t users;     /* connections, and requests under way */
    unsigned wary;    /* so many uses of a kept connection are preceded by a look at it */
    bool https;
    struct buf host; /* the value of `Host` */
    size_t name_bytes;
    char name[];
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
};

void direct_pool_init(struct direct_pool *pool);
/* Everything must have been taken out. */
void direct_pool_deinit(struct direct_pool *pool);

/* The origin of this name, with one more user. NULL when out of memory, or when it cannot be read:
 * then *fault says why, else it is NULL. */
struct direct_origin *direct_origin_get(struct direct_pool *pool, struct slice name,
                                        const char **fault);
/* One user less; the last one frees it. Accepts NULL. */
void direct_origin_put(struct direct_origin *origin);

/* A connection to the origin, which is one more user of it, and does not idle. */
void direct_place_init(struct direct_place *place, struct direct_origin *origin);
/* The connection is gone, whether it idled or not. */
void direct_place_deinit(struct direct_place *place);

/* It idles from now on. */
void direct_place_idle(struct direct_place *place);
/* It idles no longer. No effect when it does not. */
void direct_place_busy(struct direct_place *place);

/* The idle one to the origin that was used last, or NULL. It stays where it is. */
struct direct_place *direct_pool_last_used(struct direct_origin *origin);

/* The one that idles longest, if more than `count` idle; else NULL. It stays where it is. */
struct direct_place *direct_pool_excess(struct direct_pool *pool, size_t count);

#endif
