/* endpoint_store.h - endpoints in Redis, and the registry kept in step with them.
 *
 * Every change is written to Redis first and shows in the registry when it has been written.
 * Changes of one endpoint must not overlap: whoever starts one sets endpoint->changing, and clears
 * it when it is called back.
 */
#ifndef TROTLINE_CORE_ENDPOINT_STORE_H
#define TROTLINE_CORE_ENDPOINT_STORE_H

#include "core/endpoint.h"

struct endpoint_store;

/* Called exactly once for each change, later, never before the call returns. `endpoint` is the one
 * created or changed when the status is ST_OK, without a reference; else NULL. ST_NOTFOUND: it is
 * not there any more; ST_LIMIT: there are too many endpoints; ST_LOST: Redis went away, the outcome
 * is unknown; ST_AGAIN: Redis is away, nothing was changed; ST_STOPPED; ST_NOMEM. */
typedef void endpoint_store_fn(void *arg, enum status status, struct endpoint *endpoint);

/* Writes the document, then puts it into the registry, then calls back. Takes over the caller's
 * reference of `config`. */
void endpoint_store_create(struct endpoint_store *store, struct endpoint_config *config,
                           endpoint_store_fn *fn, void *arg);
void endpoint_store_replace(struct endpoint_store *store, struct endpoint *endpoint,
                            struct endpoint_config *config, endpoint_store_fn *fn, void *arg);

/* Nothing new matches when it calls back (`endpoint` is then NULL); the waiting deliveries become
 * cancelled in the background. */
void endpoint_store_delete(struct endpoint_store *store, struct endpoint *endpoint,
                           endpoint_store_fn *fn, void *arg);

struct registry *endpoint_store_registry(struct endpoint_store *store);

#endif
