/* events.h - taking events, and telling what became of them. */
#ifndef TROTLINE_API_EVENTS_H
#define TROTLINE_API_EVENTS_H

#include "api/router.h"
#include "core/publish.h"

/* POST /api/events */
void events_create(struct api *api, struct http_request *request, struct slice id);

/* The code with which a verdict is answered; NULL for the three that are a success. */
const char *events_refusal_code(enum publish_verdict verdict);

/* How a verdict that is no success is told. Static memory. */
struct events_refusal {
    int status;
    const char *code;
    const char *message;
    const char *field; /* NULL: none is at fault */
};
const struct events_refusal *events_refusal(enum publish_verdict verdict);

/* Counts an event that was refused with this code for what it says. */
void events_count_invalid(struct api *api, const char *code);

/* The trace context of the request's headers, of which they are slices (trace_context.h). */
void events_take_trace(const struct http_request *request, struct event_record *record);

/* Answers a request whose event was not stored, or may not be: not for the two successes. */
void events_refuse(struct http_request *request, enum publish_verdict verdict);

/* GET /api/events/{id}: by our id or the producer's uid */
void events_read(struct api *api, struct http_request *request, struct slice id);

/* GET /api/events/{id}/attempts: of all its deliveries, newest first */
void events_attempts(struct api *api, struct http_request *request, struct slice id);

#endif
