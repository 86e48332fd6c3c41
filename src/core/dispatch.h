/* dispatch.h - may it go now?
 *
 * Takes stored batches apart into deliveries, in slices; queues them in memory by endpoint; and
 * hands them to attempt as slots become free, round robin over the endpoints that have work, so
 * that no endpoint waits for another's queue. What cannot stay in memory goes to the schedule: one
 * rule for "endpoint full", "memory full", "due later". For an endpoint that takes several events
 * in one request they wait in its gathering (gather.h) in place of its queue.
 *
 * An endpoint with due work in the schedule is an equal member of the round: on its turn some
 * deliveries are leased for it. New deliveries join that tail instead of overtaking it (5b.11).
 */
#ifndef TROTLINE_CORE_DISPATCH_H
#define TROTLINE_CORE_DISPATCH_H

#include "core/batch.h"
#include "core/core.h"
#include "core/delivery.h"

struct dispatch *dispatch_new(struct core *core);
void dispatch_free(struct dispatch *dispatch);

/* A batch that is in my journal: takes over its reference. Slots already finished (duplicates, or
 * known from a progress bitmap) are passed over. */
void dispatch_open(struct dispatch *dispatch, struct batch *batch);

/* A slot of this endpoint is free again, or it has become known that due work waits for it. */
void dispatch_endpoint_ready(struct dispatch *dispatch, struct endpoint *endpoint);

/* The endpoint was disabled or deleted: its queue in memory is cleared. */
void dispatch_endpoint_changed(struct dispatch *dispatch, struct endpoint *endpoint);

/* The endpoint takes long to answer: what waits for it in memory goes to the schedule, so that it
 * does not keep the batches open that it came with. */
void dispatch_slow(struct dispatch *dispatch, struct endpoint *endpoint);

/* What the endpoint holds in memory has waited for long, and not for the endpoint: what came with a
 * batch goes to the schedule, what was leased stays. */
void dispatch_release_batches(struct dispatch *dispatch, struct endpoint *endpoint);

/* The endpoint's breaker has opened or closed: what waits in memory goes to the schedule, or on. */
void dispatch_breaker_changed(struct dispatch *dispatch, struct endpoint *endpoint);

/* Our own limits are reached: refuse producers rather than hold more. */
bool dispatch_overloaded(const struct dispatch *dispatch);

/* A delivery of the schedule has come into memory: takes it over, to be sent in its endpoint's
 * turn. */
void dispatch_leased(struct dispatch *dispatch, struct delivery *delivery);

/* One that was PARKING waits on, with the others of its endpoint, or goes where the endpoint's
 * state leads now. */
void dispatch_parked(struct dispatch *dispatch, struct delivery *delivery);

/* A delivery of a batch is one of the schedule from now on. */
void dispatch_moved(struct dispatch *dispatch, struct delivery *delivery);
/* Deliveries of the lane that are in hand, and that only their batches have. */
size_t dispatch_unmoved(const struct dispatch *dispatch, uint32_t lane);

/* The endpoint's lane is not sent for any more: what waits in memory goes to the schedule. */
void dispatch_lane_left(struct dispatch *dispatch, struct endpoint *endpoint);

/* Frees a delivery that needs nothing more from this process. */
void dispatch_release(struct dispatch *dispatch, struct delivery *delivery);

/* Moves everything that waits in memory to the schedule, due now: at shutdown. */
void dispatch_hand_back(struct dispatch *dispatch);

size_t dispatch_deliveries(const struct dispatch *dispatch);

#endif
