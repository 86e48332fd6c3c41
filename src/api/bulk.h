/* bulk.h - POST /api/events/batch: many events in one request, journalled as they arrive. */
#ifndef TROTLINE_API_BULK_H
#define TROTLINE_API_BULK_H

#include "api/router.h"
#include "base/list.h"

/* What the batch requests of a process share. A member of struct api. */
struct bulk_desk {
    /* From the configuration. */
    size_t events_max; /* of a request */
    size_t body_bytes_max;
    /* Private; bulk_desk_init(). */
    struct list waiting; /* requests that may not go on before others' events are answered */
    size_t unanswered, unanswered_bytes; /* events that Redis has not got yet, of all requests */
    size_t result_bytes;                 /* memory of all requests' results */
    uint64_t turn_us;                    /* the turn in which the next two were spent */
    size_t turn_events, turn_bytes;
};
void bulk_desk_init(struct bulk_desk *desk, size_t events_max, size_t body_bytes_max);

/* POST /api/events/batch; a request that streams (http_server.h). */
void bulk_create(struct api *api, struct http_request *request, struct slice id);

#endif
