/* curl_pump.c - the plain route: libcurl does the whole transfer. This file has the multis and the
 * loop; curl_transfer.c has the easy handles.
 *
 *                    outbound_send                 curl's message         done() has returned
 *     idle requests ---------------> shard.running ---------------> finished --------------> idle
 *     (easy handle, slist nodes       in the multi   detached, the   next in   (or a fresh
 *      and options are kept)                |         result copied   the hook  one is made)
 *                                           `-- outbound_cancel, or the multi broke --^
 *
 * A request is in exactly one list. Its easy handle is in its shard's multi exactly while it is in
 * shard.running.
 *
 * Who calls libcurl when. Its callbacks only take notes (curl refuses to be called from them): the
 * socket callback adjusts a watch, the timer callback notes a time. libevent's callbacks call
 * curl_multi_socket_action() for their descriptor. What is due "at once", above all every transfer
 * just added, is done by the hook with one call a shard and turn, without a timer. Then the hook
 * reads curl's messages, detaches what has finished, and only then calls the done() functions: curl
 * is in nobody's stack by then, and done() may send again.
 *
 * Timers. curl does not announce a time again that it has announced before; a timer that fires a
 * little early would be the last one. So after every timeout action we ask curl_multi_timeout().
 * The timer is left alone when curl moves its deadline further away, which it does with every
 * request; it then fires early, sees that, and is set anew.
 *
 * Shards. curl's cost for a request grows with the connections of its multi (removing a handle
 * walks them all), hence several multis. A target has a home shard, from the hash of its origin;
 * when that is full its requests go to the next one, in a fixed order, so that connections are
 * found again. A shard takes half as much again as its equal share: with exactly the share, the
 * uneven hashes of many targets overflow all the time, and each target has connections everywhere
 * (measured with 1000 targets: five times as many connections, 30 % more CPU).
 *
 * When a curl_multi function fails, the manual leaves all its transfers undefined: they are
 * finished as OUTBOUND_INTERNAL and the multi is made anew.
 *
 * Rejected: curl's own limits on connections (CURLMOPT_MAX_HOST_CONNECTIONS and the like):
 * transfers wait in its queue while their timeouts run.
 */
#include <assert.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "net/curl_transfer.h"
#include "net/fd_watch.h"
#include "net/outbound.h"
#include "net/reactor.h"

enum {
    SHARDS_MAX = 8,
    SHARD_REQUESTS_MIN = 64, /* fewer in flight do not pay for another multi */
    DONE_PER_TURN = 256,     /* done() functions called in one turn; the others wait for the next */
};

struct shard {
    struct outbound *outbound;
    CURLM *multi;        /* NULL after it broke and no new one could be made */
    struct list running; /* struct outbound_request */
    size_t running_count;
    struct reactor_timer *timer;
    uint64_t timer_at_ms; /* when the armed timer fires */
    uint64_t due_at_ms;   /* when curl wants to be called; UINT64_MAX: not */
    bool due_now;
    bool has_messages;
    bool broken;
};

struct outbound_request {
    struct list node;
    struct outbound *outbound;
    struct shard *shard;
    outbound_done_fn *done;
    void *arg;
    bool finished; /* in outbound.finished */
    struct curl_transfer transfer;
};

struct outbound {
    struct reactor *reactor;
    struct fd_watches *watches;
    struct curl_env env;
    struct shard shards[SHARDS_MAX];
    size_t shard_count;
    size_t shard_requests_max;
    size_t shard_connections_max;
    size_t in_flight;
    size_t in_flight_max;
    struct list idle;     /* struct outbound_request */
    struct list finished; /* the same; the result is complete */
};

/* ---- When curl wants to be called ----------------------------------------------------------- */

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    (void)easy;
    (void)unused;
    struct shard *shard = arg;
    unsigned want = 0;
    want |= what & CURL_POLL_IN && what != CURL_POLL_REMOVE ? FD_WATCH_READ : 0;
    want |= what & CURL_POLL_OUT && what != CURL_POLL_REMOVE ? FD_WATCH_WRITE : 0;
    return fd_watch_want(shard->outbound->watches, fd, want, shard) ? 0 : -1;
}

static void note_timeout(struct shard *shard, long in_ms)
{
    shard->due_at_ms = UINT64_MAX;
    if (in_ms == 0)
        shard->due_now = true;
    if (in_ms <= 0)
        return;
    shard->due_at_ms = clock_mono_ms() + (uint64_t)in_ms;
    if (reactor_timer_armed(shard->timer) && shard->timer_at_ms <= shard->due_at_ms)
        return;
    shard->timer_at_ms = shard->due_at_ms;
    reactor_timer_set(shard->timer, (uint64_t)in_ms);
}

static int on_timeout_wanted(CURLM *multi, long in_ms, void *arg)
{
    (void)multi;
    note_timeout(arg, in_ms);
    return 0;
}

static void act(struct shard *shard, curl_socket_t fd, int ready)
{
    int still_running = 0;
    if (shard->broken)
        return;
    CURLMcode code = curl_multi_socket_action(shard->multi, fd, ready, &still_running);
    shard->has_messages |= (size_t)still_running < shard->running_count;
    if (code != CURLM_OK) {
        log_error("outbound.multi_failed", "code=%d", (int)code);
        shard->broken = true;
    }
}

static void act_on_timeout(struct shard *shard)
{
    long in_ms = -1;
    shard->due_now = false;
    act(shard, CURL_SOCKET_TIMEOUT, 0);
    if (!shard->broken && curl_multi_timeout(shard->multi, &in_ms) == CURLM_OK)
        note_timeout(shard, in_ms);
}

static void on_timer(void *arg)
{
    struct shard *shard = arg;
    uint64_t now_ms = clock_mono_ms();
    if (shard->due_at_ms <= now_ms) {
        shard->due_now = true;
    } else if (shard->due_at_ms != UINT64_MAX) {
        shard->timer_at_ms = shard->due_at_ms;
        reactor_timer_set(shard->timer, shard->due_at_ms - now_ms);
    }
}

static void on_socket_ready(void *owner, int fd, unsigned ready)
{
    int flags = 0;
    flags |= ready & FD_WATCH_READ ? CURL_CSELECT_IN : 0;
    flags |= ready & FD_WATCH_WRITE ? CURL_CSELECT_OUT : 0;
    act(owner, fd, flags);
}

/* ---- Multis --------------------------------------------------------------------------------- */

static CURLM *make_multi(struct shard *shard)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        return NULL;
    bool failed = false;
#define SET(option, value) failed |= curl_multi_setopt(multi, option, value) != CURLM_OK
    SET(CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    SET(CURLMOPT_SOCKETDATA, shard);
    SET(CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    SET(CURLMOPT_TIMERDATA, shard);
    SET(CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    SET(CURLMOPT_MAXCONNECTS, (long)shard->outbound->shard_connections_max);
#undef SET
    if (failed) {
        curl_multi_cleanup(multi);
        return NULL;
    }
    return multi;
}

static bool shard_init(struct shard *shard, struct outbound *outbound)
{
    shard->outbound = outbound;
    shard->due_at_ms = UINT64_MAX;
    list_init(&shard->running);
    shard->timer = reactor_timer_new(outbound->reactor, on_timer, shard);
    shard->multi = shard->timer ? make_multi(shard) : NULL;
    return shard->multi != NULL;
}

/* Takes the request out of its multi: nothing of the call is looked at after this. */
static void detach(struct outbound_request *request)
{
    struct shard *shard = request->shard;
    list_remove(&request->node);
    shard->running_count--;
    if (curl_multi_remove_handle(shard->multi, request->transfer.easy) != CURLM_OK) {
        curl_transfer_drop_handle(&request->transfer);
        shard->broken = true;
    }
}

/* The result is complete; done() is called in the hook. */
static void finish(struct outbound_request *request)
{
    detach(request);
    request->finished = true;
    list_push_back(&request->outbound->finished, &request->node);
}

static struct outbound_request *first_running(struct shard *shard)
{
    return CONTAINER_OF(shard->running.next, struct outbound_request, node);
}

/* After a failure of the multi. The easy handles go too: they may point into it. */
static void rebuild(struct shard *shard)
{
    while (!list_empty(&shard->running)) {
        struct outbound_request *request = first_running(shard);
        curl_transfer_abandon(&request->transfer, OUTBOUND_INTERNAL,
                              "libcurl failed; whether the request was sent is unknown");
        finish(request);
        curl_transfer_drop_handle(&request->transfer);
    }
    if (shard->multi) {
        curl_multi_cleanup(shard->multi);
        shard->outbound->env.stats.rebuilds++;
    }
    shard->multi = make_multi(shard);
    shard->broken = !shard->multi; /* then the next turn tries again */
    shard->has_messages = shard->due_now = false;
}

/* ---- The hook ------------------------------------------------------------------------------- */

static void read_messages(struct shard *shard)
{
    CURLMsg *message;
    int left;
    shard->has_messages = false;
    while (!shard->broken && (message = curl_multi_info_read(shard->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        char *private = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct outbound_request *request = CONTAINER_OF(private, struct outbound_request, transfer);
        curl_transfer_complete(&request->transfer, code);
        finish(request);
    }
}

static void call_done(struct outbound *outbound)
{
    for (int i = 0; i < DONE_PER_TURN && !list_empty(&outbound->finished); i++) {
        struct outbound_request *request =
            CONTAINER_OF(list_pop_front(&outbound->finished), struct outbound_request, node);
        outbound->in_flight--;
        outbound->env.stats.finished++;
        request->done(request->arg, &request->transfer.result);
        list_push_front(&outbound->idle, &request->node); /* only now: the result lived in it */
    }
}

static void outbound_turn(void *arg)
{
    struct outbound *outbound = arg;
    bool more = false;
    for (size_t i = 0; i < outbound->shard_count; i++) {
        struct shard *shard = &outbound->shards[i];
        if (shard->due_now)
            act_on_timeout(shard);
        if (shard->has_messages)
            read_messages(shard);
        if (shard->broken)
            rebuild(shard);
    }
    call_done(outbound);
    for (size_t i = 0; i < outbound->shard_count; i++)
        more |= outbound->shards[i].due_now;
    if (more || !list_empty(&outbound->finished))
        reactor_wake(outbound->reactor);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static void request_free(struct outbound_request *request)
{
    curl_transfer_deinit(&request->transfer);
    free(request);
}

/* A request that is in no list. NULL when out of memory. */
static struct outbound_request *take_request(struct outbound *outbound)
{
    struct list *node = list_pop_front(&outbound->idle);
    if (node)
        return CONTAINER_OF(node, struct outbound_request, node);
    struct outbound_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    list_init(&request->node);
    request->outbound = outbound;
    request->transfer.env = &outbound->env;
    return request;
}

/* The first shard with room, beginning at the home of the URL's origin (scheme://host:port). */
static struct shard *choose_shard(struct outbound *outbound, const char *url)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (int slashes = 0; *url && (slashes += *url == '/') < 3; url++)
        hash = (hash ^ (unsigned char)*url) * 16777619u;
    struct shard *home = &outbound->shards[hash % outbound->shard_count];
    struct shard *shard = home;
    do {
        if (shard->running_count < outbound->shard_requests_max)
            return shard;
        if (++shard == outbound->shards + outbound->shard_count)
            shard = outbound->shards;
    } while (shard != home);
    return home; /* not reached: the shards together have room for in_flight_max */
}

/* Sets the call up and gives it to the shard's multi. */
static enum status start(struct outbound_request *request, const struct outbound_call *call)
{
    struct shard *shard = request->shard;
    if (!shard->multi)
        return ST_NOMEM;
    enum status status = curl_transfer_prepare(&request->transfer, call, request->arg, shard);
    if (status != ST_OK)
        return status;
    CURLMcode code = curl_multi_add_handle(shard->multi, request->transfer.easy);
    return code == CURLM_OK ? ST_OK : ST_NOMEM;
}

enum status outbound_send(struct outbound *outbound, const struct outbound_call *call,
                          outbound_done_fn *done, void *arg, struct outbound_request **handle)
{
    if (outbound->in_flight >= outbound->in_flight_max)
        return ST_LIMIT;
    struct outbound_request *request = take_request(outbound);
    if (!request)
        return ST_NOMEM;
    struct shard *shard = choose_shard(outbound, call->url);
    request->shard = shard;
    request->done = done;
    request->arg = arg;
    request->finished = false;
    enum status status = start(request, call);
    if (status != ST_OK) {
        request_free(request); /* what is half set goes with it */
        return status;
    }
    list_push_back(&shard->running, &request->node);
    shard->running_count++;
    shard->due_now = true;
    outbound->in_flight++;
    outbound->env.stats.sent++;
    reactor_wake(outbound->reactor);
    if (handle)
        *handle = request;
    return ST_OK;
}

void outbound_cancel(struct outbound_request *request)
{
    if (request->finished)
        return;
    curl_transfer_abandon(&request->transfer, OUTBOUND_CANCELLED, "cancelled");
    finish(request);
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

static bool make_shards(struct outbound *outbound, const struct outbound_options *options)
{
    size_t count = options->in_flight_max / SHARD_REQUESTS_MIN;
    count = count < 1 ? 1 : count > SHARDS_MAX ? SHARDS_MAX : count;
    size_t share = (options->in_flight_max + count - 1) / count;
    outbound->shard_requests_max = count > 1 ? share + share / 2 : share;
    outbound->shard_connections_max =
        outbound->shard_requests_max + (options->idle_connections_max + count - 1) / count;
    for (size_t i = 0; i < count; i++) {
        outbound->shard_count = i + 1; /* so that outbound_free finds a half made one */
        if (!shard_init(&outbound->shards[i], outbound))
            return false;
    }
    return true;
}

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
    list_init(&outbound->idle);
    list_init(&outbound->finished);
    outbound->watches = fd_watches_new(reactor, on_socket_ready);
    if (!outbound->watches || !curl_env_init(&outbound->env, outbound->watches, options) ||
        !make_shards(outbound, options)) {
        outbound_free(outbound);
        return NULL;
    }
    reactor_add_hook(reactor, "outbound", outbound_turn, outbound);
    return outbound;
}

static void free_requests(struct list *requests)
{
    struct list *node;
    while ((node = list_pop_front(requests)))
        request_free(CONTAINER_OF(node, struct outbound_request, node));
}

/* Easy handles before their multis, multis before the share and the watches: curl closes sockets
 * and forgets sessions until the last of them is gone. */
void outbound_free(struct outbound *outbound)
{
    if (!outbound)
        return;
    for (size_t i = 0; i < outbound->shard_count; i++) {
        struct shard *shard = &outbound->shards[i];
        while (!list_empty(&shard->running))
            finish(first_running(shard));
    }
    free_requests(&outbound->finished);
    free_requests(&outbound->idle);
    for (size_t i = 0; i < outbound->shard_count; i++) {
        if (outbound->shards[i].multi)
            curl_multi_cleanup(outbound->shards[i].multi);
        reactor_timer_free(outbound->shards[i].timer);
    }
    curl_env_deinit(&outbound->env);
    fd_watches_free(outbound->watches);
    free(outbound);
    curl_global_cleanup();
}
