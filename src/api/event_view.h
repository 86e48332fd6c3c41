/* event_view.h - all that is known of one event and its deliveries, collected for an answer.
 *
 * Where a delivery stands is found in this order:
 *   1. in this process: sending, or queued        memory
 *   2. waiting in the schedule, or a dead letter  its state in the event's hash
 *   3. final                                      the event's hash, the batch's outcomes, or its
 *                                                 slot in memory
 *   4. nowhere, and the batch is closed: it was sent just before its process died, the outcome is
 *      lost
 */
#ifndef TROTLINE_API_EVENT_VIEW_H
#define TROTLINE_API_EVENT_VIEW_H

#include "api/router.h"
#include "core/batch.h"
#include "core/outcome.h"

/* What the event's hash says of one endpoint. */
struct event_view_field {
    struct event_view *view;
    struct id endpoint;
    char endpoint_id[ID_TEXT_MAX];
    bool final;                  /* then outcome, else state */
    struct delivery_state state; /* slices are the view's */
    struct outcome outcome;
    struct slice log;   /* of either (attempt_log.h); the view's */
    uint64_t due_at_ms; /* for the reader of the view; 0 at first */
};

struct event_view {
    struct api *api;
    struct http_request *request;
    struct id id;
    char id_text[ID_TEXT_MAX];
    char batch_id[BATCH_ID_TEXT];
    struct event_view_field *fields;
    size_t field_count;
    size_t alone_count; /* the first of them speak of deliveries that the batch does not know */
    const struct message *message; /* in the batch, with its targets; or alone */
    uint64_t limit;                /* as event_view_read() was told */
    size_t answers;                /* for the reader of the view */

    void (*fn)(struct event_view *view);
    struct message *alone; /* from the event's hash; NULL: it has none */
    struct batch *batch;   /* a copy of our own; NULL: it has none any more */
    struct buf values;     /* of the fields */
    struct buf outcomes;
    bool closed;
    int readings; /* how often all of it was read */
};

/* Collects what there is of the event named by our id or the producer's uid. fn takes the view
 * over, when there is one; otherwise the request is answered here. Neither before it returns,
 * except when memory is out. */
void event_view_read(struct api *api, struct http_request *request, struct slice id, uint64_t limit,
                     void (*fn)(struct event_view *view));
void event_view_free(struct event_view *view);

/* One delivery as it stands. */
struct event_view_delivery {
    struct id endpoint;
    const char *status; /* of the API: pending sending sent failed dead_letter cancelled */
    uint32_t attempts;
    char error[64];                       /* of the last attempt; "": none */
    const struct event_view_field *field; /* what the hash says of it; NULL: nothing */
    struct outcome outcome;               /* final, and not in the hash; else OUTCOME_NONE */
    bool assumed;                         /* "sent", because nothing says otherwise */
};

/* Deliveries by their place in the event's list of targets, and behind these, or instead when the
 * event stands alone, those of which only its hash knows: it was replayed to an endpoint that came
 * later. */
size_t event_view_count(const struct event_view *view);
struct event_view_delivery event_view_at(const struct event_view *view, size_t index);

#endif
