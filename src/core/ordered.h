/* ordered.h - the ordered deliveries of a batch (ordering.h), from its seal until Redis has them.
 *
 * What is in the list is no work of the batch's any more when that is stored: it is in the
 * schedule.
 */
#ifndef TROTLINE_CORE_ORDERED_H
#define TROTLINE_CORE_ORDERED_H

#include "core/batch.h"
#include "core/endpoint.h"
#include "core/ordering.h"

struct ordered {
    uint32_t message; /* its place in the batch */
    uint32_t ordinal;
    uint32_t endpoint_number; /* among those of the list, from 1 on */
    uint8_t hash[ORDER_HASH_BYTES];
};

struct ordered_list {
    struct ordered *items; /* owned; in the order of ordinals */
    size_t count, most;
    struct endpoint **endpoints; /* one reference of each. Owned */
    size_t endpoint_count, endpoints_most;
};

/* Adds those of one message of a batch that was parsed. ST_NOMEM: some are missing. */
MUST_CHECK enum status ordered_list_add(struct ordered_list *list, struct registry *registry,
                                        const struct batch *batch, uint32_t message);
/* How many an event with these targets has: what its batch will be asked to enter. */
size_t ordered_count(struct registry *registry, const struct event_record *record,
                     struct slice targets);
void ordered_list_free(struct ordered_list *list);

/* The batch was stored: what of this was not refused is in the schedule. Before dispatch has it. */
void ordered_list_moved(const struct ordered_list *list, struct batch *batch);

#endif
