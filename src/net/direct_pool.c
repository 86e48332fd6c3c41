/* direct_pool.c - finding an idle connection.
 *
 *      "https://a.test"       --> idle:  [used last] - [before that] - ...     (by_origin)
 *      "https://b.test:8443"  --> idle:  ...
 *      all of them            --> idle:  [idles longest] - ... - [used last]   (by_age)
 *
 * Last in, first out: under little load few connections are used and the others grow old and go;
 * the one used last is also the most likely to be still open. When too many idle, the one that does
 * it longest goes first, whosever it is.
 *
 * Origins are compared as they are spelled. Two spellings of one have connections each; nobody is
 * connected to the wrong place.
 */
#include "net/direct_pool.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "net/direct_head.h"

void direct_pool_init(struct direct_pool *pool)
{
    map_init(&pool->origins);
    list_init(&pool->idle);
    pool->last = NULL;
    list_init(&pool->due);
    pool->idle_count = 0;
}

void direct_pool_deinit(struct direct_pool *pool)
{
    assert(pool->idle_count == 0 && pool->origins.count == 0);
    map_free(&pool->origins);
}

/* ---- Origins -------------------------------------------------------------------------------- */

static void origin_free(struct direct_origin *origin)
{
    buf_free(&origin->host);
    free(origin);
}

static struct direct_origin *origin_new(struct direct_pool *pool, struct slice name, uint64_t hash,
                                        const char **fault)
{
    struct direct_origin *origin = calloc(1, sizeof(*origin) + name.len + 1);
    if (!origin)
        return NULL;
    origin->pool = pool;
    list_init(&origin->idle);
    list_init(&origin->due);
    direct_wait_init(&origin->wait);
    buf_init(&origin->host, LIMIT_URL_BYTES);
    origin->name_bytes = name.len;
    memcpy(origin->name, name.ptr, name.len);
    *fault = direct_url_read(name, &origin->https, &origin->host);
    if (*fault || buf_status(&origin->host) != ST_OK ||
        map_insert(&pool->origins, &origin->node, hash) != ST_OK) {
        origin_free(origin);
        return NULL;
    }
    return origin;
}

static bool has_name(const struct direct_origin *origin, struct slice name)
{
    return slice_eq(slice_of(origin->name, origin->name_bytes), name);
}

static struct direct_origin *find_or_make(struct direct_pool *pool, struct slice name,
                                          const char **fault)
{
    uint64_t hash = hash_bytes(name);
    for (struct map_node *n = map_first(&pool->origins, hash); n; n = map_next_same(n)) {
        struct direct_origin *origin = CONTAINER_OF(n, struct direct_origin, node);
        if (has_name(origin, name))
            return origin;
    }
    return origin_new(pool, name, hash, fault);
}

struct direct_origin *direct_origin_get(struct direct_pool *pool, struct slice name,
                                        const char **fault)
{
    *fault = NULL;
    if (!pool->last || !has_name(pool->last, name))
        pool->last = find_or_make(pool, name, fault);
    if (pool->last)
        direct_origin_hold(pool->last);
    return pool->last;
}

void direct_origin_hold(struct direct_origin *origin)
{
    origin->users++;
}

void direct_origin_put(struct direct_origin *origin)
{
    if (!origin || --origin->users > 0)
        return;
    assert(origin->wait.waiting == 0 && origin->wait.trying == 0);
    list_remove(&origin->due);
    map_remove(&origin->pool->origins, &origin->node);
    if (origin->pool->last == origin)
        origin->pool->last = NULL;
    origin_free(origin);
}

void direct_origin_due(struct direct_origin *origin)
{
    if (origin->wait.waiting > 0 && !list_linked(&origin->due))
        list_push_back(&origin->pool->due, &origin->due);
}

struct direct_origin *direct_pool_next_due(struct direct_pool *pool)
{
    struct list *node = list_pop_front(&pool->due);
    return node ? CONTAINER_OF(node, struct direct_origin, due) : NULL;
}

/* ---- Connections ---------------------------------------------------------------------------- */

void direct_place_init(struct direct_place *place, struct direct_origin *origin)
{
    place->origin = origin;
    direct_origin_hold(origin);
    list_init(&place->by_origin);
    list_init(&place->by_age);
}

void direct_place_deinit(struct direct_place *place)
{
    direct_place_busy(place);
    direct_origin_put(place->origin);
    place->origin = NULL;
}

void direct_place_idle(struct direct_place *place)
{
    struct direct_origin *origin = place->origin;
    struct direct_pool *pool = origin->pool;
    list_push_front(&origin->idle, &place->by_origin);
    list_push_back(&pool->idle, &place->by_age);
    pool->idle_count++;
    direct_origin_due(origin);
}

void direct_place_busy(struct direct_place *place)
{
    if (!list_linked(&place->by_origin))
        return;
    list_remove(&place->by_origin);
    list_remove(&place->by_age);
    place->origin->pool->idle_count--;
}

struct direct_place *direct_pool_last_used(struct direct_origin *origin)
{
    return list_empty(&origin->idle)
               ? NULL
               : CONTAINER_OF(origin->idle.next, struct direct_place, by_origin);
}

struct direct_place *direct_pool_excess(struct direct_pool *pool, size_t count)
{
    return pool->idle_count > count ? CONTAINER_OF(pool->idle.next, struct direct_place, by_age)
                                    : NULL;
}
