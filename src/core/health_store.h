/* health_store.h - how endpoints fare, kept in Redis so that a restart knows it.
 *
 * `tl:{0}:health` is a hash: endpoint id -> struct health_record as JSON; an endpoint with which
 * nothing is wrong has no field. Written on change only: what changed within FLUSH_MS goes in one
 * call, so an endpoint that fails and succeeds in turn costs five calls a second at most. A process
 * that is killed may lose the changes of that time.
 *
 * Only a lane's owner writes of its endpoints: here what is another's is passed over, and
 * lua/health_put.lua takes no word about it.
 */
#ifndef TROTLINE_CORE_HEALTH_STORE_H
#define TROTLINE_CORE_HEALTH_STORE_H

#include "core/core.h"

struct health_store;

struct health_store *health_store_new(struct core *core);
void health_store_free(struct health_store *health);

/* endpoint->health.kept has changed: all of it is written soon, and until Redis has taken it, as
 * long as its lane is this process's; if it is not, nothing is done. Cannot fail, costs next to
 * nothing, and may be called for each change. */
void health_store_note(struct health_store *health, struct endpoint *endpoint);

/* Gives the endpoints of these lanes what is kept of them, those of which nothing is kept that they
 * are well. `done` is called once, later; ST_LOST when Redis went away: call again. ST_NOMEM: it
 * will not be called. Several may be under way, each with its own lanes. Reads all that is kept,
 * 512 endpoints a call. */
typedef void health_store_loaded_fn(void *arg, enum status status);
MUST_CHECK enum status health_store_load(struct health_store *health,
                                         const uint8_t lanes[LANE_MASK_BYTES],
                                         health_store_loaded_fn *done, void *arg);

/* Reads what is kept of one endpoint that is another replica's, for those who ask; nothing of the
 * endpoint is changed. `record` is NULL when Redis could not tell; else valid during the call.
 * ST_NOMEM: nothing will be called. */
typedef void health_store_read_fn(void *arg, const struct health_record *record);
MUST_CHECK enum status health_store_read(struct health_store *health,
                                         const struct endpoint *endpoint, health_store_read_fn *fn,
                                         void *arg);

/* Has all that is known of the lane's endpoints been sent to Redis? */
bool health_store_saved(const struct health_store *health, uint32_t lane);

/* Writes at once what waits to be written. True when there was something. */
bool health_store_flush(struct health_store *health);

#endif
