/* endpoint.c - the registry: one table by id, one tree in order of ids, one list for each lane, one
 * index by pattern.
 *
 *     registry ──┬─ by_id   map:  id ─▶ endpoint          deliveries and retries ask here
 *                ├─ ordered tree: ids in order            lists ask here
 *                ├─ lanes   list: lane ─▶ endpoints       whoever takes over a lane asks here
 *                └─ match   map:  pattern ─▶ endpoints    events ask here; active endpoints only
 *
 * An endpoint is in all of them or in none: what can fail (memory for the index) is done before
 * anything is changed. The registry holds one reference of each; removing an endpoint drops it, and
 * the last reference frees it.
 *
 * A new configuration replaces the old one in place, because the endpoint's queue and counters
 * belong to the endpoint and not to what it is set to.
 */
#include "core/endpoint.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "core/match.h"

struct registry {
    const struct endpoint_rules *rules;
    struct map by_id;
    struct id_tree ordered;
    struct list lanes[LANES];
    struct match_index match;
    size_t active;
};

struct registry *registry_new(const struct endpoint_rules *rules)
{
    struct registry *registry = calloc(1, sizeof(*registry));
    if (!registry)
        return NULL;
    registry->rules = rules;
    map_init(&registry->by_id);
    for (uint32_t lane = 0; lane < LANES; lane++)
        list_init(&registry->lanes[lane]);
    match_init(&registry->match);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    match_free(&registry->match);
    MAP_FOREACH(node, &registry->by_id)
    {
        struct endpoint *endpoint = CONTAINER_OF(node, struct endpoint, by_id);
        map_remove(&registry->by_id, node);
        list_remove(&endpoint->in_lane);
        endpoint->deleted = true;
        endpoint->registry = NULL;
        endpoint_put(endpoint);
    }
    map_free(&registry->by_id);
    free(registry);
}

const struct endpoint_rules *registry_rules(const struct registry *registry)
{
    return registry->rules;
}

static uint64_t id_hash(const struct id *id)
{
    return hash_bytes(slice_of(id->bytes, sizeof(id->bytes)));
}

static struct endpoint *find_hashed(const struct registry *registry, const struct id *id,
                                    uint64_t hash)
{
    for (struct map_node *n = map_first(&registry->by_id, hash); n; n = map_next_same(n)) {
        struct endpoint *endpoint = CONTAINER_OF(n, struct endpoint, by_id);
        if (id_eq(&endpoint->id, id))
            return endpoint;
    }
    return NULL;
}

uint32_t endpoint_lane(const struct id *id)
{
    char text[ID_TEXT_MAX];
    size_t len = id_format(text, "ep_", id);
    return (uint32_t)(hash_stable(slice_of(text, len)) % LANES);
}

static struct endpoint *endpoint_new(struct registry *registry, const struct id *id,
                                     struct endpoint_config *config)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint)
        return NULL;
    endpoint->registry = registry;
    endpoint->refs = 1;
    endpoint->id = *id;
    id_format(endpoint->id_text, "ep_", id);
    endpoint->lane = endpoint_lane(id);
    endpoint->config = config;
    list_init(&endpoint->in_lane);
    list_init(&endpoint->queue);
    list_init(&endpoint->ready);
    list_init(&endpoint->gate.host_waiter);
    health_init(&endpoint->health);
    return endpoint;
}

struct endpoint *endpoint_new_deleted(const struct id *id)
{
    struct endpoint *endpoint = endpoint_new(NULL, id, NULL);
    if (endpoint)
        endpoint->deleted = true;
    return endpoint;
}

/* An inactive endpoint is not in the index at all, so that events need not look at it. */
static enum status index_add(struct registry *registry, struct endpoint *endpoint,
                             const struct endpoint_config *config)
{
    return config->active ? match_add(&registry->match, endpoint, config) : ST_OK;
}

static void index_remove(struct registry *registry, struct endpoint *endpoint,
                         const struct endpoint_config *config)
{
    if (config->active)
        match_remove(&registry->match, endpoint, config);
}

static enum status put_new(struct registry *registry, const struct id *id, uint64_t hash,
                           struct endpoint_config *config, struct endpoint **out)
{
    struct endpoint *endpoint = endpoint_new(registry, id, config);
    if (!endpoint)
        return ST_NOMEM;
    if (index_add(registry, endpoint, config))
        goto fail;
    if (map_insert(&registry->by_id, &endpoint->by_id, hash))
        goto fail_index;
    id_tree_insert(&registry->ordered, &endpoint->in_order, &endpoint->id, hash);
    list_push_back(&registry->lanes[endpoint->lane], &endpoint->in_lane);
    registry->active += config->active;
    *out = endpoint;
    return ST_OK;

fail_index:
    index_remove(registry, endpoint, config);
fail:
    free(endpoint);
    return ST_NOMEM;
}

static enum status put_again(struct registry *registry, struct endpoint *endpoint,
                             struct endpoint_config *config)
{
    struct endpoint_config *old = endpoint->config;
    if (index_add(registry, endpoint, config))
        return ST_NOMEM;
    index_remove(registry, endpoint, old);
    registry->active += config->active;
    registry->active -= old->active;
    endpoint->config = config;
    endpoint_config_put(old);
    return ST_OK;
}

enum status registry_put(struct registry *registry, const struct id *id,
                         struct endpoint_config *config, struct endpoint **out)
{
    uint64_t hash = id_hash(id);
    struct endpoint *endpoint = find_hashed(registry, id, hash);
    enum status status = endpoint ? put_again(registry, endpoint, config)
                                  : put_new(registry, id, hash, config, &endpoint);
    if (status) {
        endpoint_config_put(config);
        endpoint = NULL;
    }
    if (out)
        *out = endpoint;
    return status;
}

void registry_remove(struct registry *registry, struct endpoint *endpoint)
{
    assert(!endpoint->deleted && endpoint->registry == registry);

    index_remove(registry, endpoint, endpoint->config);
    map_remove(&registry->by_id, &endpoint->by_id);
    id_tree_remove(&registry->ordered, &endpoint->in_order);
    list_remove(&endpoint->in_lane);
    registry->active -= endpoint->config->active;
    endpoint->deleted = true;
    endpoint->registry = NULL;
    endpoint_put(endpoint);
}

struct endpoint *registry_find(struct registry *registry, const struct id *id)
{
    return find_hashed(registry, id, id_hash(id));
}

size_t registry_count(const struct registry *registry)
{
    return registry->by_id.count;
}

size_t registry_count_active(const struct registry *registry)
{
    return registry->active;
}

struct endpoint *registry_next(struct registry *registry, const struct id *after)
{
    struct id_tree_node *node = id_tree_next(&registry->ordered, after);
    return node ? CONTAINER_OF(node, struct endpoint, in_order) : NULL;
}

struct endpoint *registry_next_in_lane(struct registry *registry, uint32_t lane,
                                       const struct endpoint *after)
{
    const struct list *head = &registry->lanes[lane];
    struct list *node = after ? after->in_lane.next : head->next;
    return node != head ? CONTAINER_OF(node, struct endpoint, in_lane) : NULL;
}

void registry_match(struct registry *registry, struct slice type, registry_match_fn *fn, void *arg)
{
    match_run(&registry->match, type, true, fn, arg);
}

void registry_match_named(struct registry *registry, struct slice type, registry_match_fn *fn,
                          void *arg)
{
    match_run(&registry->match, type, false, fn, arg);
}

struct endpoint *endpoint_get(struct endpoint *endpoint)
{
    endpoint->refs++;
    return endpoint;
}

void endpoint_put(struct endpoint *endpoint)
{
    if (!endpoint)
        return;
    assert(endpoint->refs > 0);
    if (--endpoint->refs > 0)
        return;
    assert(endpoint->deleted && list_empty(&endpoint->queue));
    assert(!list_linked(&endpoint->ready) && !gate_asleep(endpoint));
    assert(!list_linked(&endpoint->health.unsaved));
    free(endpoint->gathering);
    endpoint_config_put(endpoint->config);
    free(endpoint);
}
