/* router.h - from method and path to the handler, by a table. Pure. */
#ifndef TROTLINE_API_ROUTER_H
#define TROTLINE_API_ROUTER_H

#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"
#include "net/http_head.h"

struct api;
struct http_request;

/* Answers the request, now or later. `id` is the segment of the path that {id} stands for, as
 * received; SLICE_NULL in routes without. */
typedef void route_fn(struct api *api, struct http_request *request, struct slice id);

enum {
    ROUTE_OPEN = 1,     /* needs no key: health, metrics, and what checks signatures itself */
    ROUTE_JSON = 2,     /* takes a JSON body: other media types are 415 */
    ROUTE_QUERY = 4,    /* reads the query itself; without this, any parameter is 400 */
    ROUTE_UNLOADED = 8, /* works while the endpoints are not in memory */
};

/* One row. `path` may have one segment "{id}", which stands for any segment that is not empty. A
 * GET row answers HEAD too. Of several rows that fit, the first counts. */
struct route {
    enum http_method method;
    const char *path;
    route_fn *handler;
    unsigned flags;
};

/* The row for a request, and the {id}. NULL when there is none; *allowed then has the methods of
 * the rows whose path fits: bit (1 << method), 0 when none does. */
const struct route *router_find(const struct route *routes, size_t count, enum http_method method,
                                struct slice path, struct slice *id, unsigned *allowed);

/* Appends "GET, HEAD, POST": for Allow. */
void router_methods(unsigned allowed, struct buf *out);

#endif
