/* gather.h - brings together what goes to an endpoint in one request.
 *
 * For endpoints whose configuration has a `batch`; those without one have nothing to do with this
 * module. dispatch gives what it would put into the endpoint's queue, is told when there is
 * something to send (dispatch_endpoint_ready()), and takes it from here.
 *
 * Nothing waits here at the cost of others: after a second what only its batch in the journal has
 * is written to the schedule as leased, so that the batch can be closed, and goes on waiting here
 * with a copy of its event; its lease is renewed as long as it waits. A process that dies lets go
 * of it by doing nothing.
 */
#ifndef TROTLINE_CORE_GATHER_H
#define TROTLINE_CORE_GATHER_H

#include "core/core.h"
#include "core/delivery.h"
#include "core/group.h"

struct gather;

/* NULL: out of memory. */
struct gather *gather_new(struct core *core);
/* Nothing waits any more. Accepts NULL. */
void gather_free(struct gather *gather);

static inline bool gathers(const struct endpoint *endpoint)
{
    return endpoint->config->batch.max_events > 0;
}

/* How many deliveries one request of the endpoint takes. */
static inline size_t gather_per_request(const struct endpoint *endpoint)
{
    return gathers(endpoint) ? endpoint->config->batch.max_events : 1;
}

/* The delivery, which is in no list, waits from now on; endpoint->queued counts it. ST_NOMEM: it
 * does not. */
MUST_CHECK enum status gather_add(struct gather *gather, struct delivery *delivery);

/* The group of that id of which members wait, or a new one of that size: one reference for the
 * caller. NULL: out of memory. */
struct group *gather_group(struct endpoint *endpoint, const struct id *id, uint32_t size);

/* May a request go? While leased deliveries are on their way here, only what is full goes. */
bool gather_ready(const struct gather *gather, const struct endpoint *endpoint);
/* Sends it. ST_NOTFOUND: there is nothing to be sent now; other failures are those of
 * attempt_start_group(). */
MUST_CHECK enum status gather_send(struct gather *gather, struct endpoint *endpoint);

/* How many more are worth being leased when `requests` requests may go, and so many deliveries
 * (`room`); 0: none. */
size_t gather_wants(const struct endpoint *endpoint, size_t requests, size_t room);

/* Takes out all that waits, to the end of `list`; or only what its batch alone has. */
void gather_take_all(struct gather *gather, struct endpoint *endpoint, struct list *list);
void gather_take_unmoved(struct gather *gather, struct endpoint *endpoint, struct list *list);

/* The endpoint's rule may be another one. */
void gather_changed(struct gather *gather, struct endpoint *endpoint);

/* Bytes, about, of events that wait here and are in no batch. */
size_t gather_bytes(const struct gather *gather);

#endif
