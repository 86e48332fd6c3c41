/* curl_pump.c - the plain route: libcurl does the whole transfer. This file has the requests and
 * their multis, curl_transfer.c the easy handles, curl_shard.c the calls.
 *
 *                       start                 curl's message           put back, after done()
 *     idle requests ---------> shard.running ---------------> finished ----------------------> idle
 *     (easy handle, slist nodes   in the multi   detached, the   in the front's  (or a fresh one
 *      and options are kept)           |         result copied    list            is made)
 *                                      `-- cancelled, or the multi broke --^
 *
 * A request is in exactly one list. Its easy handle is in its shard's multi exactly while it is in
 * shard.running. curl's messages are read in the turn; curl is in nobody's stack when the done()
 * functions are called, which may send again.
 *
 * Shards. curl's cost for a request grows with the connections of its multi (removing a handle
 * walks them all), hence several multis. A target has a home shard, from the hash of its origin;
 * when that is full its requests go to the next one, in a fixed order, so that connections are
 * found again. A shard takes half as much again as its equal share: with exactly the share, the
 * uneven hashes of many targets overflow all the time, and each target has connections everywhere
 * (measured with 1000 targets: five times as many connections, 30 % more CPU).
 *
 * When a multi breaks, its transfers are finished as OUTBOUND_INTERNAL and it is made anew.
 *
 * Rejected: curl's own limits on connections (CURLMOPT_MAX_HOST_CONNECTIONS and the like):
 * transfers wait in its queue while their timeouts run.
 */
#include <stdlib.h>

#include "base/list.h"
#include "net/curl_shard.h"
#include "net/curl_transfer.h"
#include "net/outbound_route.h"

enum {
    SHARDS_MAX = 8,
    SHARD_REQUESTS_MIN = 64, /* fewer in flight do not pay for another multi */
};

struct shard {
    struct curl_shard curl;
    struct list running; /* struct request */
    size_t running_count;
};

struct request {
    struct outbound_request base;
    struct shard *shard;
    struct curl_transfer transfer;
};

struct pump {
    struct outbound_route route;
    struct reactor *reactor;
    struct curl_sockets sockets;
    struct shard shards[SHARDS_MAX];
    size_t shard_count;
    size_t shard_requests_max;
    struct list idle; /* struct request */
};

static struct pump *pump_of(struct outbound_route *route)
{
    return CONTAINER_OF(route, struct pump, route);
}

static struct request *request_of(struct outbound_request *base)
{
    return CONTAINER_OF(base, struct request, base);
}

static struct request *request_at(struct list *node)
{
    return CONTAINER_OF(node, struct request, base.node);
}

/* ---- The end of a request ------------------------------------------------------------------- */

static void detach(struct request *request)
{
    struct shard *shard = request->shard;
    list_remove(&request->base.node);
    shard->running_count--;
    if (!curl_shard_remove(&shard->curl, request->transfer.easy))
        curl_transfer_drop_handle(&request->transfer);
}

/* The result is complete. */
static void finish(struct request *request)
{
    detach(request);
    outbound_finish(&request->base, &request->transfer.result);
}

/* After a failure of the multi. The easy handles go too: they may point into it. */
static void rebuild(struct pump *pump, struct shard *shard)
{
    while (!list_empty(&shard->running)) {
        struct request *request = request_at(shard->running.next);
        curl_transfer_abandon(&request->transfer, OUTBOUND_INTERNAL,
                              "libcurl failed; whether the request was sent is unknown");
        finish(request);
        curl_transfer_drop_handle(&request->transfer);
    }
    pump->sockets.env->stats.rebuilds += shard->curl.multi != NULL;
    curl_shard_rebuild(&shard->curl); /* should that fail, the next turn tries again */
}

static void pump_turn(struct outbound_route *route)
{
    struct pump *pump = pump_of(route);
    for (size_t i = 0; i < pump->shard_count; i++) {
        struct shard *shard = &pump->shards[i];
        CURL *easy;
        CURLcode code;
        curl_shard_turn(&shard->curl);
        while ((easy = curl_shard_next(&shard->curl, &code))) {
            char *private = NULL;
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
            struct request *request = CONTAINER_OF(private, struct request, transfer);
            curl_transfer_complete(&request->transfer, code);
            finish(request);
        }
        if (shard->curl.broken)
            rebuild(pump, shard);
    }
}

static void pump_cancel(struct outbound_request *base)
{
    struct request *request = request_of(base);
    curl_transfer_abandon(&request->transfer, OUTBOUND_CANCELLED, "cancelled");
    finish(request);
}

static void pump_put_back(struct outbound_request *base)
{
    list_push_front(&pump_of(base->route)->idle, &base->node);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static void request_free(struct request *request)
{
    curl_transfer_deinit(&request->transfer);
    free(request);
}

static struct outbound_request *pump_take(struct outbound_route *route)
{
    struct pump *pump = pump_of(route);
    struct list *node = list_pop_front(&pump->idle);
    if (node)
        return &request_at(node)->base;
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    list_init(&request->base.node);
    request->transfer.dial.sockets = &pump->sockets;
    return &request->base;
}

/* The first shard with room, beginning at the home of the URL's origin (scheme://host:port). */
static struct shard *choose_shard(struct pump *pump, const char *url)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (int slashes = 0; *url && (slashes += *url == '/') < 3; url++)
        hash = (hash ^ (unsigned char)*url) * 16777619u;
    struct shard *home = &pump->shards[hash % pump->shard_count];
    struct shard *shard = home;
    do {
        if (shard->running_count < pump->shard_requests_max)
            return shard;
        if (++shard == pump->shards + pump->shard_count)
            shard = pump->shards;
    } while (shard != home);
    return home; /* not reached: the shards together have room for in_flight_max */
}

static enum status pump_start(struct outbound_request *base, const struct outbound_call *call)
{
    struct request *request = request_of(base);
    struct shard *shard = choose_shard(pump_of(base->route), call->url);
    request->shard = shard;
    if (!curl_transfer_prepare(&request->transfer, call, base->arg, &shard->curl) ||
        !curl_shard_add(&shard->curl, request->transfer.easy)) {
        request_free(request); /* what is half set goes with it */
        return ST_NOMEM;
    }
    list_push_back(&shard->running, &base->node);
    shard->running_count++;
    return ST_OK;
}

/* ---- Start and end -------------------------------------------------------------------------- */

static void on_socket_ready(void *owner, int fd, unsigned ready)
{
    curl_shard_ready(owner, fd, ready);
}

static bool make_shards(struct pump *pump, const struct outbound_options *options)
{
    size_t count = options->in_flight_max / SHARD_REQUESTS_MIN;
    count = count < 1 ? 1 : count > SHARDS_MAX ? SHARDS_MAX : count;
    size_t share = (options->in_flight_max + count - 1) / count;
    pump->shard_requests_max = count > 1 ? share + share / 2 : share;
    size_t connections_max =
        pump->shard_requests_max + (options->idle_connections_max + count - 1) / count;
    for (size_t i = 0; i < count; i++) {
        struct shard *shard = &pump->shards[i];
        pump->shard_count = i + 1; /* so that a half made one is found at the end */
        list_init(&shard->running);
        if (!curl_shard_init(&shard->curl, pump->reactor, pump->sockets.watches,
                             (long)connections_max))
            return false;
    }
    return true;
}

/* Easy handles before their multis, multis before the watches: curl closes sockets until the last
 * of them is gone. */
static void pump_free(struct outbound_route *route)
{
    struct pump *pump = pump_of(route);
    struct list *node;
    for (size_t i = 0; i < pump->shard_count; i++) {
        while ((node = list_pop_front(&pump->shards[i].running))) {
            detach(request_at(node));
            request_free(request_at(node));
        }
    }
    while ((node = list_pop_front(&pump->idle)))
        request_free(request_at(node));
    for (size_t i = 0; i < pump->shard_count; i++)
        curl_shard_deinit(&pump->shards[i].curl);
    fd_watches_free(pump->sockets.watches);
    free(pump);
}

struct outbound_route *curl_pump_new(struct reactor *reactor, struct curl_env *env,
                                     const struct outbound_options *options)
{
    struct pump *pump = calloc(1, sizeof(*pump));
    if (!pump)
        return NULL;
    pump->route = (struct outbound_route){
        .take = pump_take,
        .start = pump_start,
        .cancel = pump_cancel,
        .put_back = pump_put_back,
        .turn = pump_turn,
        .free = pump_free,
    };
    pump->reactor = reactor;
    list_init(&pump->idle);
    pump->sockets.env = env;
    pump->sockets.watches = fd_watches_new(reactor, on_socket_ready);
    if (!pump->sockets.watches || !make_shards(pump, options)) {
        pump_free(&pump->route);
        return NULL;
    }
    return &pump->route;
}
