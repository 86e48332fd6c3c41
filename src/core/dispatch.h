/* dispatch.h - may it go now?
 *
 * Takes stored batches apart into deliveries, in slices; queues them in memory by endpoint; and
 * hands them to attempt as slots become free, round robin over the endpoints that have work, so
 * that no endpoint waits for another's queue. What cannot stay in memory goes to the schedule
 * (DESIGN.md 5b.10): one rule for "endpoint full", "memory full", "due later".
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

/* Before dispatch_open: this ordinal is not to be delivered (its event is a duplicate). */
void dispatch_skip(struct batch *batch, uint32_t ordinal);

/* Before dispatch_open: the progress bitmap says that this ordinal is finished or moved. */
void dispatch_skip_done(struct batch *batch, uint32_t ordinal);

/* The open batch with this name, or NULL. */
struct batch *dispatch_find(struct dispatch *dispatch, const char *batch_id);

/* A slot of this endpoint is free again, or it has become known that due work waits for it. */
void dispatch_endpoint_ready(struct dispatch *dispatch, struct endpoint *endpoint);

/* The endpoint was disabled or deleted: its queue in memory is cleared. */
void dispatch_endpoint_changed(struct dispatch *dispatch, struct endpoint *endpoint);

/* The ordinal is finished (outcome final) or moved; the last one closes the batch. */
void dispatch_finished(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal,
                       const struct outcome *outcome);
void dispatch_moved(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal);
/* A move found that the batch is another replica's: the delivery is that one's business, and so is
 * the batch's end, even if it comes back to our journal, because then it is opened once more. */
void dispatch_lost(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal);

/* Our own limits are reached: refuse producers rather than hold more. */
bool dispatch_overloaded(const struct dispatch *dispatch);

/* A delivery of the schedule has come into memory: it counts as in hand. */
void dispatch_took(struct dispatch *dispatch, struct delivery *delivery);

/* Frees a delivery that needs nothing more from this process. */
void dispatch_release(struct dispatch *dispatch, struct delivery *delivery);

/* Moves everything that waits in memory to the schedule, due now: at shutdown. */
void dispatch_hand_back(struct dispatch *dispatch);

size_t dispatch_open_batches(const struct dispatch *dispatch);
size_t dispatch_deliveries(const struct dispatch *dispatch);
size_t dispatch_bytes(const struct dispatch *dispatch);

#endif
