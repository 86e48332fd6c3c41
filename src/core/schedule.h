/* schedule.h - knows when the next delivery is due and which are in hand.
 *
 * The schedule's two levels (endpoints by time in lanes, deliveries by time in `due`) live in
 * Redis. Here is only the earliest time of each lane, so that one timer fires at the next moment of
 * interest and an idle process asks Redis next to nothing.
 */
#ifndef TROTLINE_CORE_SCHEDULE_H
#define TROTLINE_CORE_SCHEDULE_H

#include "core/core.h"
#include "core/delivery.h"

struct schedule;

enum { SCHEDULE_LEASE_MS = 10 * 1000 }; /* a delivery is in hand, unless that is renewed */

struct schedule *schedule_new(struct core *core);
void schedule_free(struct schedule *schedule);

/* Redis is (again) reachable: everything is looked at anew. */
void schedule_store_ready(struct schedule *schedule);

/* A delivery of this lane is due at that time (Redis's ms), as a script's reply said. If the lane
 * is another replica's, that one is told. */
void schedule_note(struct schedule *schedule, uint32_t lane, int64_t due_at_ms);

/* Something is due in this lane, another replica says. */
void schedule_told(struct schedule *schedule, uint32_t lane);

/* The lane is MINE from now on, and looked at; it is not any more. */
void schedule_lane_mine(struct schedule *schedule, uint32_t lane);
void schedule_lane_left(struct schedule *schedule, uint32_t lane);

/* The same for a delivery of this endpoint: what is due already needs no peek. */
void schedule_note_due(struct schedule *schedule, struct endpoint *endpoint, int64_t due_at_ms);

/* The delivery is leased, and more than half of the lease has gone: it must be renewed, or go
 * back. */
bool schedule_lapses(const struct schedule *schedule, const struct delivery *delivery);

/* The delivery is not in hand any more: before it is released. */
void schedule_forget(struct schedule *schedule, struct delivery *delivery);

/* A delivery that was sent from memory has become one of the schedule: it is in hand from now on.
 */
void schedule_hold(struct schedule *schedule, struct delivery *delivery);

/* The leased delivery of that event to that endpoint, if it is in hand; else NULL. */
const struct delivery *schedule_in_hand(const struct schedule *schedule, const struct id *event,
                                        const struct id *endpoint);

/* The same was claimed: if it is in hand, because its lease had lapsed, its settle uses the new
 * one.
 */
bool schedule_claimed_again(struct schedule *schedule, const struct id *event,
                            const struct id *endpoint, uint64_t lease);

/* Milliseconds by which the earliest due delivery is late; 0 when none is. */
uint64_t schedule_lag_ms(const struct schedule *schedule);

#endif
