/* handover.h - what protects a lane's endpoints goes with the lane to its next owner.
 *
 * Rate limits, breakers, allowances and failures in a row live in the owner's memory. An owner that
 * gives a lane up leaves them beside it in Redis (`tl:{0}:handover`), so that the next one goes on
 * as if nothing had been: no window of a rate limit has more than it may over both, an open breaker
 * stays open until its probe is due, what was learnt of an endpoint is not learnt again.
 *
 * Only the endpoints of the lane are walked (registry_next_in_lane()): 256 lanes with 100,000
 * endpoints cost as much as those endpoints, once.
 *
 * The order of things. The old owner, with the lane LEAVING and nothing of it sent any more:
 *
 *     handover_write() ─▶ the script that releases the lane, with the state ─▶ handover_leave()
 *
 * The new one:
 *
 *     health_store_load() ─▶ handover_apply(), or handover_absent() when there is no state
 *
 * An endpoint that may send is put into dispatch's round by that. An owner that keeps the lane
 * after all does nothing more; one that has lost it without a release: handover_leave().
 */
#ifndef TROTLINE_CORE_HANDOVER_H
#define TROTLINE_CORE_HANDOVER_H

#include "core/core.h"

/* Appends the state of all the lane's endpoints that are not at rest; changes nothing. Initialise
 * `out` with LIMIT_HANDOVER_BYTES. ST_LIMIT, ST_NOMEM: `out` is of no use; release the lane without
 * a state, which is safe. */
MUST_CHECK enum status handover_write(struct core *core, uint32_t lane, struct buf *out);

/* The lane's endpoints go on from `state`; those that are not named are at rest: a full bucket, a
 * closed breaker, a fresh allowance, no failures. ST_SYNTAX (another version, or rubbish),
 * ST_NOMEM: nothing was changed; go on with handover_absent(). */
MUST_CHECK enum status handover_apply(struct core *core, uint32_t lane, struct slice state);

/* Nothing was left: the buckets are empty, and breakers are as endpoint->health.kept says. */
void handover_absent(struct core *core, uint32_t lane);

/* The lane is not this process's any more: all is forgotten, and what attempts under way will say
 * of their endpoints counts for nothing here. */
void handover_leave(struct core *core, uint32_t lane);

#endif
