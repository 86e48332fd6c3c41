/* direct_request.h - a request of the direct route: how it waits for a connection, and how it ends.
 * Private to the route.
 */
#ifndef TROTLINE_NET_DIRECT_REQUEST_H
#define TROTLINE_NET_DIRECT_REQUEST_H

#include "net/direct_conn.h"
#include "net/direct_exchange.h"
#include "net/outbound_route.h"

struct direct_route {
    struct outbound_route route;
    struct curl_env *env;
    struct direct_conns conns;
    struct deadlines patience;
    struct list running; /* struct direct_request: that wait, and that have a connection */
    struct list spare;   /* the same struct */
};

struct direct_request {
    struct outbound_request base;
    struct direct_route *route;
    struct direct_origin *origin;
    struct direct_conn *conn;    /* NULL: it waits */
    struct direct_waiter waiter; /* then, at its origin */
    struct deadline patience;    /* the same */
    uint64_t waits_since_ms;
    struct outbound_call call;
    struct buf head;
    uint64_t started_us;
    uint64_t deadline_ms;
    bool begun; /* it was let through to `conn` */
    struct direct_exchange exchange;
    struct outbound_result result;
    char detail[CURL_ERROR_SIZE];
};

static inline struct direct_request *direct_request_waiting(struct direct_waiter *waiter)
{
    return CONTAINER_OF(waiter, struct direct_request, waiter);
}

/* It waits at its origin from now on. With `insists` it takes but a connection that was just made,
 * and is in front of those that take any. */
void direct_request_wait(struct direct_request *request, bool insists);
/* Begins a connect if those who wait at the origin are worth one more. False when out of memory. */
MUST_CHECK bool direct_request_connect(struct direct_origin *origin);
/* Begins as many connects as they are worth. Each that cannot begin for lack of memory finishes one
 * of them; so the caller holds the origin. */
void direct_request_connect_all(struct direct_origin *origin);

/* It waits no longer: it is given a connection next. */
void direct_request_served(struct direct_request *request);
/* It waits no longer, without a connection. No effect when it does not wait. */
void direct_request_give_up(struct direct_request *request);

/* For deadlines_init(): the `patience` of a request is at its end. */
void direct_request_impatient(void *arg, struct deadline *passed);
/* For direct_conn_fns.not_made: finishes those that fail with it, and closes it. */
void direct_request_not_made(struct direct_conn *conn, enum outbound_error error,
                             const char *detail, size_t share);

/* The request is over, whatever its state: leaves its connection or its place in the queue. When it
 * was answered, the connection is kept. `detail` is copied before anything is closed. */
void direct_request_finish(struct direct_request *request, enum outbound_error error,
                           const char *detail);

#endif
