/* endpoint_store.h - endpoints in Redis, and the registry kept in step.
 *
 * A change is written first and takes effect when Redis has answered. What follows from it (queues
 * emptied, the schedule cleared) is done here, so that no caller can forget it.
 */
#ifndef TROTLINE_CORE_ENDPOINT_STORE_H
#define TROTLINE_CORE_ENDPOINT_STORE_H

#include "core/core.h"

struct endpoint_store;

/* ST_OK; ST_NOTFOUND; ST_LIMIT (too many endpoints); ST_LOST, ST_AGAIN, ST_REFUSED, ST_STOPPED
 * (Redis is away or full: 503; after ST_LOST the change may have been made). `endpoint` is valid
 * during the call; after ST_OK only. */
typedef void endpoint_store_fn(void *arg, enum status status, struct endpoint *endpoint);

struct endpoint_store *endpoint_store_new(struct core *core);
void endpoint_store_free(struct endpoint_store *endpoints);

/* True when the answer to a change was lost: what Redis has must be loaded again. */
bool endpoint_store_unsure(const struct endpoint_store *endpoints);

/* Loads all endpoints into the registry. `done` is called once; ST_LOST when Redis went away: call
 * again. */
typedef void endpoint_store_loaded_fn(void *arg, enum status status);
void endpoint_store_load(struct endpoint_store *endpoints, endpoint_store_loaded_fn *done,
                         void *arg);

/* Each writes, then changes the registry, then calls back: once, later, never before it returns.
 * Takes over the reference of `config` in any case. ST_NOMEM: nothing will be called. */
MUST_CHECK enum status endpoint_store_create(struct endpoint_store *endpoints,
                                             struct endpoint_config *config, endpoint_store_fn *fn,
                                             void *arg);
MUST_CHECK enum status endpoint_store_replace(struct endpoint_store *endpoints,
                                              struct endpoint *endpoint,
                                              struct endpoint_config *config, endpoint_store_fn *fn,
                                              void *arg);

/* Nothing new matches when it calls back; waiting deliveries are cancelled in the background. */
MUST_CHECK enum status endpoint_store_delete(struct endpoint_store *endpoints,
                                             struct endpoint *endpoint, endpoint_store_fn *fn,
                                             void *arg);

/* From the data path: switched off for that reason; logged. `last`: the attempt that is the
 * occasion. Nothing is done while another change is on its way; the next occasion tries again. */
void endpoint_store_disable(struct endpoint_store *endpoints, struct endpoint *endpoint,
                            const char *reason, const struct notice_attempt *last);

/* An endpoint that is not in the registry has work in a lane of mine: its document is read again.
 * It is loaded, or cleared when it is deleted. */
void endpoint_store_look(struct endpoint_store *endpoints, const struct id *id);

struct registry *endpoint_store_registry(struct endpoint_store *endpoints);

#endif
