/* shipment.h - a batch with those who wait for it, from its first event until Redis has it.
 *
 * Filled by publish.c, which owns it until it is sealed; shipping.c's from then on.
 */
#ifndef TROTLINE_CORE_SHIPMENT_H
#define TROTLINE_CORE_SHIPMENT_H

#include "core/publish_waiter.h"
#include "core/store_publish.h"

struct shipment {
    struct list node; /* in a list of shipping's, or in none */
    struct core *core;
    struct batch *batch;
    uint64_t deadline_ms;     /* monotonic */
    uint64_t version;         /* of the configuration: the oldest that an event was matched by */
    struct lanes_part *lanes; /* of the others, as in the batch's masks; NULL: none. Owned */
    uint32_t count, capacity;

    /* Shipping's own. */
    struct shipping *shipping;
    uint64_t sequence;
    bool sent;                /* the blob was sent at least once */
    bool waiting;             /* for Redis to come back */
    bool unsure;              /* a reply was lost: it may be stored, whatever a later error says */
    bool answered;            /* its waiters were told "unknown" */
    uint64_t needs;           /* outdated: it is matched again when this version is known here */
    struct store_part *parts; /* that have ordinals; NULL: the batch is one whole. Owned */
    uint32_t part_count;
    size_t ordered_count;        /* ordered deliveries of the events so far */
    struct ordered_list ordered; /* these, once it is sealed. Owned */

    struct publish_waiter waiters[]; /* as many as messages in the batch */
};

/* With a batch of the lanes as they are now, named by `nonce`; its deadline counts from
 * `accepted_us` (monotonic). NULL: out of memory. */
struct shipment *shipment_new(struct core *core, uint64_t nonce, uint32_t capacity,
                              uint64_t accepted_us);
/* Out of its list. The batch, if there is one, goes on without it, or is put by the caller. */
void shipment_free(struct shipment *shipment);

/* No more events: the batch is parsed and divided into parts, and what is ordered is found.
 * ST_NOMEM.
 */
MUST_CHECK enum status shipment_seal(struct shipment *shipment);

void shipment_answer_all(struct shipment *shipment, enum publish_verdict verdict);

#endif
