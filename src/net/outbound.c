/* outbound.c - the front: how many requests are in flight, which route each takes, and when their
 * done() functions are called.
 *
 *                     +--> direct route (direct_*.c) --+
 *     outbound_send --|                                |--> finished ----> done(), in the hook
 *                     +--> plain route (curl_*.c) -----+
 *
 * The direct route is a third of the work and takes what it can: all but what goes through a proxy
 * that wants more than a tunnel. That is a proxy which is spoken to in TLS, since the direct route
 * takes a connection's TLS over and cannot take over two layers of it; and http through an HTTP
 * proxy, since many allow tunnels (CONNECT) to port 443 only and want the request itself.
 *
 * A done() function may send again. It is never called from outbound_send() or outbound_cancel(),
 * only from the hook, where nobody else is on the stack.
 */
#include "net/outbound.h"

#include <assert.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "base/list.h"
#include "net/curl_env.h"
#include "net/outbound_route.h"
#include "net/reactor.h"

enum {
    DONE_PER_TURN = 256 /* done() functions called in one turn; the others wait for the next */
};

struct outbound {
    struct reactor *reactor;
    struct curl_env env;
    struct outbound_route *plain;  /* NULL: never chosen */
    struct outbound_route *direct; /* the same */
    size_t in_flight;
    size_t in_flight_max;
    struct list finished; /* struct outbound_request */
};

/* ---- The choice of route -------------------------------------------------------------------- */

static bool url_is_https(const char *url)
{
    return strncasecmp(url, "https:", 6) == 0;
}

/* A proxy of libcurl's without a scheme is an http proxy. */
static bool proxy_is_http(const char *proxy)
{
    return strncasecmp(proxy, "http:", 5) == 0 || (proxy[0] && !strstr(proxy, "://"));
}

static struct outbound_route *choose_route(const struct outbound *outbound, const char *url)
{
    if (!outbound->direct)
        return outbound->plain;
    if (outbound->plain && !url_is_https(url))
        return outbound->plain; /* there is one besides direct only with a http proxy */
    return outbound->direct;
}

static bool make_routes(struct outbound *outbound, const struct outbound_options *options)
{
    const char *proxy = outbound->env.proxy;
    bool direct = options->route == OUTBOUND_AUTO && !url_is_https(proxy);
    bool plain = !direct || proxy_is_http(proxy);
    if (plain)
        outbound->plain = curl_pump_new(outbound->reactor, &outbound->env, options);
    if (direct)
        outbound->direct = direct_route_new(outbound->reactor, &outbound->env, options);
    return plain == (outbound->plain != NULL) && direct == (outbound->direct != NULL);
}

/* ---- The hook ------------------------------------------------------------------------------- */

void outbound_finish(struct outbound_request *request, const struct outbound_result *result)
{
    request->result = result;
    list_push_back(&request->outbound->finished, &request->node);
}

static struct outbound_request *first_finished(struct outbound *outbound)
{
    struct list *node = list_pop_front(&outbound->finished);
    return node ? CONTAINER_OF(node, struct outbound_request, node) : NULL;
}

static void outbound_turn(void *arg)
{
    struct outbound *outbound = arg;
    struct outbound_request *request;
    if (outbound->plain)
        outbound->plain->turn(outbound->plain);
    if (outbound->direct)
        outbound->direct->turn(outbound->direct);
    for (int i = 0; i < DONE_PER_TURN && (request = first_finished(outbound)); i++) {
        outbound->in_flight--;
        outbound->env.stats.finished++;
        request->done(request->arg, request->result);
        request->route->put_back(request); /* only now: the result lived in it */
    }
    if (!list_empty(&outbound->finished))
        reactor_wake(outbound->reactor);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static bool lines_are_clean(const struct outbound_call *call)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (strchr(call->header_lines[i], '\n') || strchr(call->header_lines[i], '\r'))
            return false;
    return true;
}

enum status outbound_send(struct outbound *outbound, const struct outbound_call *call,
                          outbound_done_fn *done, void *arg, struct outbound_request **handle)
{
    if (outbound->in_flight >= outbound->in_flight_max)
        return ST_LIMIT;
    if (!lines_are_clean(call))
        return ST_SYNTAX;
    struct outbound_route *route = choose_route(outbound, call->url);
    struct outbound_request *request = route->take(route);
    if (!request)
        return ST_NOMEM;
    request->outbound = outbound;
    request->route = route;
    request->done = done;
    request->arg = arg;
    request->result = NULL;
    enum status status = route->start(request, call);
    if (status != ST_OK)
        return status;
    outbound->in_flight++;
    outbound->env.stats.sent++;
    if (request->result)
        reactor_wake(outbound->reactor); /* over already: the hook must see it */
    if (handle)
        *handle = request;
    return ST_OK;
}

void outbound_cancel(struct outbound_request *request)
{
    if (request->result)
        return;
    request->route->cancel(request);
    reactor_wake(request->outbound->reactor);
}

size_t outbound_in_flight(const struct outbound *outbound)
{
    return outbound->in_flight;
}

const struct outbound_stats *outbound_stats(const struct outbound *outbound)
{
    return &outbound->env.stats;
}

/* ---- Start and end -------------------------------------------------------------------------- */

struct outbound *outbound_new(struct reactor *reactor, const struct outbound_options *options)
{
    assert(options->in_flight_max >= 1 && options->guard);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    struct outbound *outbound = calloc(1, sizeof(*outbound));
    if (!outbound) {
        curl_global_cleanup();
        return NULL;
    }
    outbound->reactor = reactor;
    outbound->in_flight_max = options->in_flight_max;
    list_init(&outbound->finished);
    if (!curl_env_init(&outbound->env, options) || !make_routes(outbound, options)) {
        outbound_free(outbound);
        return NULL;
    }
    reactor_add_hook(reactor, "outbound", outbound_turn, outbound);
    return outbound;
}

/* The routes before what they share: libcurl forgets sessions until the last of its handles is
 * gone. */
void outbound_free(struct outbound *outbound)
{
    if (!outbound)
        return;
    struct outbound_request *request;
    while ((request = first_finished(outbound)))
        request->route->put_back(request);
    if (outbound->plain)
        outbound->plain->free(outbound->plain);
    if (outbound->direct)
        outbound->direct->free(outbound->direct);
    curl_env_deinit(&outbound->env);
    free(outbound);
    curl_global_cleanup();
}
