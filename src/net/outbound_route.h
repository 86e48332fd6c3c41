/* outbound_route.h - between outbound.c, the front, and the routes behind it. Private to them.
 *
 * The front counts what is in flight, chooses a route for each call, and calls done() in its hook.
 * A route sends: it is given a call, and later says outbound_finish(). Its requests begin with a
 * struct outbound_request, by which both know them.
 */
#ifndef TROTLINE_NET_OUTBOUND_ROUTE_H
#define TROTLINE_NET_OUTBOUND_ROUTE_H

#include "base/list.h"
#include "net/outbound.h"

struct curl_env;

/* The first member of a route's requests. The front sets all but `node`. */
struct outbound_request {
    struct list node; /* the route's to use, but for the time between finish and put_back */
    struct outbound *outbound;
    struct outbound_route *route;
    outbound_done_fn *done;
    void *arg;
    const struct outbound_result *result; /* NULL until it is finished */
};

/* A route's functions, in an object of its own that begins with this. */
struct outbound_route {
    /* A request in no list, made or used again. NULL when out of memory. */
    struct outbound_request *(*take)(struct outbound_route *route);
    /* Sends the call: finishes the request later, or at once. Or refuses with a status, as
     * outbound_send() does; then the request is the route's again. */
    enum status (*start)(struct outbound_request *request, const struct outbound_call *call);
    /* Finishes a request that is not finished, as OUTBOUND_CANCELLED. */
    void (*cancel)(struct outbound_request *request);
    /* done() has returned: the request and its result are the route's again. */
    void (*put_back)(struct outbound_request *request);
    /* Once a turn, before the done() functions are called. */
    void (*turn)(struct outbound_route *route);
    /* Ends what is in flight without finishing it, closes all connections, frees the route. The
     * front has put back what was finished. */
    void (*free)(struct outbound_route *route);
};

/* The request is over, `result` stays valid until it is put back. Before that done() is called, in
 * the front's hook, never in here. */
void outbound_finish(struct outbound_request *request, const struct outbound_result *result);

/* The routes. Both borrow `env` for their life. NULL when out of memory. */
struct outbound_route *curl_pump_new(struct reactor *reactor, struct curl_env *env,
                                     const struct outbound_options *options);
struct outbound_route *direct_route_new(struct reactor *reactor, struct curl_env *env,
                                        const struct outbound_options *options);

#endif
