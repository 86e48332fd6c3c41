/* endpoint.h - the registry of endpoints: who they are, and how they are doing in this process.
 *
 * An endpoint is found by id, or by event type (exact, "prefix.*", "*") when an event is matched.
 * Deliveries keep a reference, so an endpoint that was deleted lives until its last one is settled.
 *
 * Memory: an endpoint with one secret, two patterns and one custom header takes 2.9 kB, all
 * included: 600 bytes here, 800 in its configuration, 960 in OpenSSL for the keyed secret, the rest
 * in strings and indexes. 100,000 of them take 290 MB; matching all of them takes 2 ms.
 */
#ifndef TROTLINE_CORE_ENDPOINT_H
#define TROTLINE_CORE_ENDPOINT_H

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "core/endpoint_config.h"
#include "core/gate.h"
#include "core/health.h"
#include "core/id_tree.h"
#include "core/lanes.h"
#include "core/notice_data.h"

struct registry;
struct recent;
struct gathering;

struct endpoint {
    struct map_node by_id; /* first members: the registry's own */
    struct id_tree_node in_order;
    struct list in_lane;
    uint64_t matched_in;       /* the last round of matching that found it */
    struct registry *registry; /* NULL when deleted */
    unsigned refs;             /* the registry's own and one for each endpoint_get() */
    bool deleted;              /* not in the registry any more */
    bool changing;    /* a change is on its way to Redis: no other may start (endpoint_store.h) */
    uint64_t version; /* of the configuration: its document is as new as that, at least */
    uint64_t round;   /* of loading all endpoints that found it last (endpoint_store's) */

    struct id id;
    char id_text[ID_TEXT_MAX];
    uint32_t lane;                  /* endpoint_lane(id) */
    struct endpoint_config *config; /* one reference */

    /* How it is doing: dispatch's and schedule's own. */
    struct list queue; /* deliveries in memory that wait for a slot */
    size_t queued;
    size_t in_flight;              /* attempts under way */
    size_t claiming;               /* slots promised to leases that are on their way */
    struct list ready;             /* in dispatch's list of endpoints that may send */
    bool backlog;                  /* due deliveries wait in the schedule */
    unsigned passed;               /* new ones that came meanwhile and found a slot free */
    struct gate_entry gate;        /* gate's: limits, breaker, sleep */
    struct gathering *gathering;   /* gather's: what waits to go together; NULL: nothing did yet */
    struct recent *recent;         /* history's: attempts to be listed */
    bool clearing;                 /* its schedule is being emptied: disabled or deleted */
    struct endpoint_health health; /* watch's */
    struct notice_memory told;     /* notice's */
};

/* The lane that an endpoint with this id is in: hash_stable() of its text, modulo LANES. For ever:
 * what is stored relies on it. */
uint32_t endpoint_lane(const struct id *id);

/* `rules` must outlive the registry. NULL: out of memory. */
struct registry *registry_new(const struct endpoint_rules *rules);
/* Endpoints that are still referenced live on, as deleted ones. Accepts NULL. */
void registry_free(struct registry *registry);
const struct endpoint_rules *registry_rules(const struct registry *registry);

/* Adds an endpoint, or gives an existing one a new configuration (takes over the caller's reference
 * of `config` in any case). Patterns are indexed anew. *out (`out` may be NULL) is the endpoint,
 * without a reference for the caller. ST_NOMEM: nothing is changed, *out is NULL. */
MUST_CHECK enum status registry_put(struct registry *registry, const struct id *id,
                                    struct endpoint_config *config, struct endpoint **out);
/* Takes it out and drops the registry's reference; it lives on while others have one. */
void registry_remove(struct registry *registry, struct endpoint *endpoint);

/* An endpoint that is in no registry and has no configuration (NULL): one that was deleted and
 * whose schedule is not empty yet. One reference for the caller. NULL: out of memory. */
struct endpoint *endpoint_new_deleted(const struct id *id);

/* NULL: there is none. Not counted: valid until it is removed. */
struct endpoint *registry_find(struct registry *registry, const struct id *id);
size_t registry_count(const struct registry *registry);
size_t registry_count_active(const struct registry *registry);

/* Endpoints ordered by id for lists: the first with id > *after (NULL: the very first); NULL at the
 * end. Costs O(log n) for each. */
struct endpoint *registry_next(struct registry *registry, const struct id *after);

/* The endpoints of one lane, in no order: the one behind `after` (NULL: the first), which must be
 * in the registry; NULL at the end. Costs O(1) for each, so a lane is walked without its
 * neighbours. */
struct endpoint *registry_next_in_lane(struct registry *registry, uint32_t lane,
                                       const struct endpoint *after);

/* Calls fn for every active endpoint that takes `type`, each once, in no order, before it returns.
 * `fn` must not change the registry nor match again. Allocates nothing. Cost: proportional to the
 * matches and to the segments of the type, not to the number of endpoints. */
typedef void registry_match_fn(void *arg, struct endpoint *endpoint);
void registry_match(struct registry *registry, struct slice type, registry_match_fn *fn, void *arg);
/* The same, but the pattern "*" takes nothing: for operational events, which must be asked for. */
void registry_match_named(struct registry *registry, struct slice type, registry_match_fn *fn,
                          void *arg);

/* Adds a reference; drops one (accepts NULL), and the last one frees the endpoint, which must then
 * be deleted, with nothing in its queue and itself in no list. */
struct endpoint *endpoint_get(struct endpoint *endpoint);
void endpoint_put(struct endpoint *endpoint);

#endif
