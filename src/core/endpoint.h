/* endpoint.h - the registry of endpoints: who they are, and how they are doing in this process.
 *
 * An endpoint is found by id, or by event type (exact, "prefix.*", "*") when an event is matched.
 * Deliveries keep a reference, so an endpoint that was deleted lives until its last one is settled.
 */
#ifndef TROTLINE_CORE_ENDPOINT_H
#define TROTLINE_CORE_ENDPOINT_H

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "core/endpoint_config.h"

struct registry;
struct recent; /* history.c: attempts to be listed */

struct endpoint {
    struct map_node by_id; /* first members: the registry's own */
    struct registry *registry;
    unsigned refs;
    bool deleted; /* not in the registry any more */

    struct id id;
    char id_text[ID_TEXT_MAX];
    uint32_t lane;                  /* hash_stable(id_text) % 256 */
    struct endpoint_config *config; /* one reference */

    /* How it is doing: dispatch's and schedule's own. */
    struct list queue;        /* deliveries in memory that wait for a slot */
    size_t queued;
    size_t in_flight;         /* attempts under way */
    size_t claiming;          /* slots promised to leases that are on their way */
    struct list ready;        /* in dispatch's list of endpoints that may send */
    bool backlog;             /* due deliveries wait in the schedule: new ones join them there */
    struct recent *recent;
    bool clearing;             /* its schedule is being emptied: disabled or deleted */
};

/* `rules` must outlive the registry. NULL: out of memory. */
struct registry *registry_new(const struct endpoint_rules *rules);
void registry_free(struct registry *registry);
const struct endpoint_rules *registry_rules(const struct registry *registry);

/* Adds an endpoint, or gives an existing one a new configuration (takes over the caller's reference of
 * `config` in any case). Patterns are indexed anew. *out (may be NULL) is the endpoint, not counted. */
MUST_CHECK enum status registry_put(struct registry *registry, const struct id *id,
                                    struct endpoint_config *config, struct endpoint **out);
/* Takes it out; it lives on while referenced. */
void registry_remove(struct registry *registry, struct endpoint *endpoint);

struct endpoint *registry_find(struct registry *registry, const struct id *id);
size_t registry_count(const struct registry *registry);

/* Endpoints ordered by id for lists: the first with id > *after (NULL: the very first); NULL at the
 * end. Cost O(log n) or better for each. */
struct endpoint *registry_next(struct registry *registry, const struct id *after);

/* Calls fn for every active endpoint that takes `type`, each once. Cost: proportional to the matches
 * and to the segments of the type, not to the number of endpoints. */
typedef void registry_match_fn(void *arg, struct endpoint *endpoint);
void registry_match(struct registry *registry, struct slice type, registry_match_fn *fn, void *arg);

struct endpoint *endpoint_get(struct endpoint *endpoint);
void endpoint_put(struct endpoint *endpoint);

#endif
