/* api.h - the HTTP API: what its handlers share, and the door they stand behind.
 *
 * A request goes through: route, key, application, query, media type; then its handler has it. To
 * add a resource, write its handlers in a file of their own and their rows in routes.c.
 */
#ifndef TROTLINE_API_API_H
#define TROTLINE_API_API_H

#include "api/auth.h"
#include "api/bulk.h"
#include "api/router.h"
#include "core/core.h"
#include "net/http_server.h"
#include "wire/event_document.h"

struct endpoint_store;

/* Pointers are borrowed; they outlive every request. */
struct api {
    const struct auth *auth;
    struct endpoint_store *endpoints;
    struct core *core;
    struct http_server *server;
    size_t event_bytes_max; /* of an event's data */
    struct bulk_desk bulk;
    const bool *draining;   /* a stop has begun: /readyz says so while requests are still served */
    uint64_t started_at_ms; /* unix: when this process began */
    /* Events refused for what they say, by event_document_codes; behind them those with another
     * code. */
    uint64_t events_invalid[EVENT_DOCUMENT_CODES + 1];
    uint64_t receive_logged_ms; /* monotonic: when a refused request to a source was logged last */
    uint64_t receive_refused;   /* and how many were not, since then */
    const char *not_ready;      /* why events cannot be taken yet, or ""; a sentence */
};

/* For http_server_new(): `arg` is the struct api. */
void api_handle(void *arg, struct http_request *request);

/* For the options of http_server: is it one whose handler takes its body in pieces? */
bool api_streams(const struct http_request *request);

/* routes.c */
extern const struct route api_routes[];
extern const size_t api_route_count;

#endif
