/* match.h - which endpoints take an event type: an index from pattern to endpoints.
 *
 * Part of the registry (endpoint.h), which is what everybody else uses. "order.*" takes every type
 * that begins with "order.", at any depth, and not "order" itself; "*" takes every type.
 */
#ifndef TROTLINE_CORE_MATCH_H
#define TROTLINE_CORE_MATCH_H

#include "base/map.h"
#include "base/slice.h"
#include "base/status.h"

struct endpoint;
struct endpoint_config;

struct match_index {
    struct map topics;
    uint64_t round; /* of match_run; endpoints remember the last one that found them */
};

void match_init(struct match_index *index);
/* Whatever is still in it is forgotten. */
void match_free(struct match_index *index);

/* Enters the endpoint under every pattern of the configuration. ST_NOMEM leaves the index as it
 * was. An endpoint may be in it under several configurations at a time. */
MUST_CHECK enum status match_add(struct match_index *index, struct endpoint *endpoint,
                                 const struct endpoint_config *config);
/* Undoes one match_add with the same configuration. Cost: for each pattern, a pass over the
 * pointers of the endpoints with that pattern (8 bytes each). */
void match_remove(struct match_index *index, struct endpoint *endpoint,
                  const struct endpoint_config *config);

/* As registry_match(); the pattern "*" is passed over unless `all`. */
void match_run(struct match_index *index, struct slice type, bool all,
               void (*fn)(void *arg, struct endpoint *endpoint), void *arg);

#endif
