/* settle.h - records what became of a delivery, and retries or finishes it.
 *
 * Every function here takes the delivery over: it is in no list any more, and is freed when Redis
 * has answered. Nothing is lost when Redis is away: the store repeats the call, the delivery waits.
 */
#ifndef TROTLINE_CORE_SETTLE_H
#define TROTLINE_CORE_SETTLE_H

#include "core/core.h"
#include "core/delivery.h"

struct settle *settle_new(struct core *core);
void settle_free(struct settle *settle);

/* An attempt came to its end. `started_at_ms`: unix. */
void settle_attempt(struct settle *settle, struct delivery *delivery,
                    const struct outbound_result *result, uint64_t started_at_ms);

/* The same for those that went together (group.h), in their order: all of them are tried again at
 * the same time, or none is, and of their endpoint it counts as one. `count` is 1 at least. */
void settle_group(struct settle *settle, struct delivery *const *members, size_t count,
                  const struct outbound_result *result, uint64_t started_at_ms);

/* Into the schedule, without an attempt: due at an absolute time of Redis's clock (0: now). Also
 * puts a leased delivery back. */
void settle_postpone(struct settle *settle, struct delivery *delivery, uint64_t due_at_ms);

/* To the dead letters, without an attempt; `reason` is static. */
void settle_dead(struct settle *settle, struct delivery *delivery, const char *reason);

/* The endpoint is gone. */
void settle_cancel(struct settle *settle, struct delivery *delivery);

/* A delivery of the memory path that is still being sent moves to the schedule, leased; it stays
 * the caller's, and its lease is set when Redis has answered. */
void settle_move_leased(struct settle *settle, struct delivery *delivery, uint64_t lease_ms);

/* The same for one that waits, and is in no list: PARKING from now on. dispatch_parked() has it
 * back. */
void settle_park(struct settle *settle, struct delivery *delivery, uint64_t lease_ms);

/* A move or a renewal was answered: if the attempt has ended meanwhile, its result is settled now.
 */
void settle_release_held(struct settle *settle, struct delivery *delivery);

#endif
