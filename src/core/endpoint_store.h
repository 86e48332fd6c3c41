/* endpoint_store.h - endpoints in Redis, and the registry kept in step.
 *
 * A change is written first and takes effect when Redis has answered. What follows from it (queues
 * emptied, the schedule cleared) is done here, so that no caller can forget it.
 *
 * Every change raises the version of the configuration, whoever makes it. What others have changed
 * is read as soon as their version is heard of (endpoint_follow.c): by a notice at once, else by
 * the heartbeat. It takes effect like a change of one's own, but no operational event is told of
 * it: that is for the replica that made the change.
 */
#ifndef TROTLINE_CORE_ENDPOINT_STORE_H
#define TROTLINE_CORE_ENDPOINT_STORE_H

#include "core/core.h"

struct endpoint_store;

/* ST_OK; ST_NOTFOUND; ST_LIMIT (too many endpoints); ST_CONFLICT (it was changed by another
 * replica since the endpoint's present configuration was read; it has the newer one now); ST_LOST,
 * ST_AGAIN, ST_REFUSED, ST_STOPPED (Redis is away or full: 503; after ST_LOST the change may have
 * been made). `endpoint` is valid during the call; after ST_OK only. */
typedef void endpoint_store_fn(void *arg, enum status status, struct endpoint *endpoint);

/* NULL: out of memory. */
struct endpoint_store *endpoint_store_new(struct core *core);
void endpoint_store_free(struct endpoint_store *endpoints);

/* Loads all endpoints into the registry, and removes those that Redis does not have (any more). To
 * be called whenever Redis has become reachable: it may have lost changes, and answers to changes
 * may have been lost. `done` is called once; ST_LOST when Redis went away: call again. */
typedef void endpoint_store_loaded_fn(void *arg, enum status status);
void endpoint_store_load(struct endpoint_store *endpoints, endpoint_store_loaded_fn *done,
                         void *arg);

/* ---- Changes -------------------------------------------------------------------------------- */

/* Each writes, then changes the registry, then calls back: once, later, never before it returns.
 * Takes over the reference of `config` in any case. ST_NOMEM: nothing will be called. */
MUST_CHECK enum status endpoint_store_create(struct endpoint_store *endpoints,
                                             struct endpoint_config *config, endpoint_store_fn *fn,
                                             void *arg);
/* `config` was made of the endpoint's present configuration, in this turn. */
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

/* Somebody says that this endpoint is well, which changes nothing in its document: it is taken to
 * be, here and by the other replicas. */
void endpoint_store_reset(struct endpoint_store *endpoints, struct endpoint *endpoint);

/* ---- The version ---------------------------------------------------------------------------- */

/* Redis's version of the configuration, in the answer to a call on the store's work connection
 * (heartbeat). A newer one is followed at once; an older one means that Redis has lost changes, and
 * everything is loaded again. */
void endpoint_store_saw_version(struct endpoint_store *endpoints, uint64_t version);

/* The same, from any other connection: its answers may overtake others', so an older version says
 * nothing. endpoint_store_version() will reach it. */
void endpoint_store_heard(struct endpoint_store *endpoints, uint64_t version);

/* What other replicas tell (channel.h; `endpoints` is a struct endpoint_store): another version; an
 * endpoint that is taken to be well; and that both may have been missed. */
void endpoint_store_announced(void *endpoints, struct slice version);
void endpoint_store_reset_announced(void *endpoints, struct slice id_text);
void endpoint_store_look(void *endpoints);

/* All changes up to this one are in the registry. */
uint64_t endpoint_store_version(const struct endpoint_store *endpoints);

/* An endpoint that is not in the registry has work in a lane of mine: its document is read again.
 * It is loaded, or cleared when it is deleted. */
void endpoint_store_fetch(struct endpoint_store *endpoints, const struct id *id);

struct registry *endpoint_store_registry(struct endpoint_store *endpoints);

#endif
