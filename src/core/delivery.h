/* delivery.h - one event on its way to one endpoint, while this process has it in hand.
 *
 *              memory path                      schedule path
 *        (its batch is open, lease 0)     (leased from `due`, lease = fence)
 *
 *   new --> QUEUED --> SENDING --> SETTLING --> gone
 *              |          |
 *              |          +-- longer than a second: moved to the schedule as leased, so that its
 * batch |              can close; it goes on as a delivery of the schedule
 *              +--> SETTLING (moved to the schedule: endpoint full, memory full, due later, ...)
 *              |
 *              +--> PARKING --> QUEUED (one that waits for others, to go with them: leased, or its
 *                                       lease renewed)
 */
#ifndef TROTLINE_CORE_DELIVERY_H
#define TROTLINE_CORE_DELIVERY_H

#include "base/list.h"
#include "base/map.h"
#include "core/batch.h"
#include "core/endpoint.h"
#include "core/ordering.h"

enum delivery_phase { DELIVERY_QUEUED, DELIVERY_PARKING, DELIVERY_SENDING, DELIVERY_SETTLING };

struct group;

struct delivery {
    struct list node;          /* QUEUED: endpoint's queue. SENDING: attempts' list, oldest first */
    struct map_node in_hand;   /* schedule path: the schedule's table of what is in hand */
    struct endpoint *endpoint; /* one reference */
    struct message *message;   /* one reference */
    enum delivery_phase phase;
    uint32_t ordinal;
    uint32_t attempts;         /* made so far */
    uint32_t replayed_at;      /* of which before the last replay */
    uint64_t lease;            /* 0: memory path. Else the score held in `due` */
    uint64_t accepted_at_ms;   /* unix */
    uint64_t accepted_us;      /* monotonic; 0: by another process, or it came from the schedule */
    uint64_t sending_since_ms; /* monotonic; SENDING */
    uint8_t order[ORDER_HASH_BYTES]; /* if `ordered`: the queue that waits for it */
    bool ordered;
    bool moving;       /* SENDING or PARKING, on its way to the schedule as leased */
    bool held_in_hand; /* it is in the schedule's table */
    bool renewing;     /* SENDING or PARKING, and its lease is being renewed */
    bool lost;         /* Redis said that it is another's business: nothing is moved or renewed */
    bool unmoved;      /* only its batch has it: dispatch_unmoved() counts it */
    struct attempt *attempt; /* SENDING */
    struct gate_pass pass;   /* SENDING; of a group its first member's */
    struct group *group;     /* it goes, or has gone, in that company (group.h); NULL: in none */
    uint32_t place;          /* there */
    uint64_t waits_since_us; /* monotonic, for others to go with; 0: it does not */
    char *log;               /* its earlier attempts (attempt_log.h); NULL: none. Owned */
    size_t log_len;
    struct settlement
        *held; /* the attempt's result, while `moving` or `renewing` is not answered */
};

/* Takes a reference of both. NULL: out of memory. */
struct delivery *delivery_new(struct endpoint *endpoint, struct message *message, uint32_t ordinal);
/* It goes on with a copy of its event, so that its batch, which has let go of it, need not stay in
 * memory. Without memory for a copy it does. */
void delivery_leave_batch(struct delivery *delivery);
/* It must be in no list and no table. */
void delivery_free(struct delivery *delivery);

#endif
