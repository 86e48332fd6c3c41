/* direct_route.c - the direct route: libcurl connects, we speak HTTP on the connection and keep it.
 *
 *                start              the exchange's end          put back, after done()
 *      spare ---------------> running ------------------> finished ------------------> spare
 *      (struct and head's     on one      the result      in the front's
 *       buffer are kept)    connection    is complete     list
 *
 * A request has a connection all the time it runs: there is no queue. It takes the idle one of its
 * origin that was used last, or has one made, and is written to a standing connection in the call
 * that sends it. In steady state it costs one write, one read and no memory.
 *
 * Stale connections. A peer may close an idle connection in the moment we write to it. So a request
 * for which a kept connection ended before one byte of an answer is sent again, on a new one: once,
 * since that is not a kept one.
 *
 * Before the first byte the guard is asked for the connection's address, since the policy may have
 * changed since it was made, and the caller whether he may still send. When either says no, the
 * connection is closed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/direct_conn.h"
#include "net/direct_exchange.h"
#include "net/direct_head.h"
#include "net/outbound_route.h"

enum {
    HEAD_BYTES_MAX = 1024 * 1024,
    CONNECT_TIMEOUT_DEFAULT_MS = 300 * 1000, /* libcurl's */
};

struct direct_request {
    struct outbound_request base;
    struct direct_route *route;
    struct direct_origin *origin;
    struct direct_conn *conn;
    struct outbound_call call;
    struct buf head;
    uint64_t started_us;
    uint64_t deadline_ms;
    bool begun; /* it was let through to `conn` */
    struct direct_exchange exchange;
    struct outbound_result result;
    char detail[CURL_ERROR_SIZE];
};

struct direct_route {
    struct outbound_route route;
    struct curl_env *env;
    struct direct_conns conns;
    struct list running; /* struct direct_request */
    struct list spare;   /* the same */
};

static struct direct_route *route_of(struct outbound_route *route)
{
    return CONTAINER_OF(route, struct direct_route, route);
}

static struct direct_request *request_of(struct outbound_request *base)
{
    return CONTAINER_OF(base, struct direct_request, base);
}

static struct direct_request *request_at(struct list *node)
{
    return CONTAINER_OF(node, struct direct_request, base.node);
}

/* ---- The end of a request ------------------------------------------------------------------- */

static void take_response(struct direct_request *request)
{
    const struct direct_exchange *exchange = &request->exchange;
    struct outbound_result *result = &request->result;
    result->status_code = exchange->response.status_code;
    result->body_head = slice_of(exchange->body_head, exchange->body_head_bytes);
    result->body_bytes = exchange->response.body_bytes;
    result->truncated = exchange->truncated;
    if (exchange->response.retry_after.len > 0)
        result->retry_after_ms =
            outbound_retry_after(exchange->response.retry_after, clock_wall_ms());
}

/* The request leaves its connection, which is kept when all went well. */
static void release_conn(struct direct_request *request, bool keep)
{
    struct direct_conn *conn = request->conn;
    struct outbound_result *result = &request->result;
    request->conn = NULL;
    result->connection_reused = request->begun && conn->used;
    request->route->env->stats.connections_reused += result->connection_reused;
    memcpy(result->address, direct_conn_address(conn), sizeof(result->address));
    if (request->begun && request->exchange.excess)
        direct_conn_distrust(conn);
    if (keep)
        direct_conn_keep(conn);
    else
        direct_conn_close(conn);
}

/* `detail` is copied, before the connection ends that it may be of. */
static void finish(struct direct_request *request, enum outbound_error error, const char *detail)
{
    struct outbound_result *result = &request->result;
    uint64_t now_us = clock_mono_us();
    request->detail[0] = '\0';
    if (detail[0])
        snprintf(request->detail, sizeof(request->detail), "%s", detail);
    result->error = error;
    result->detail = request->detail;
    result->duration_us = now_us > request->started_us ? now_us - request->started_us : 0;
    if (request->begun)
        take_response(request);
    if (request->conn)
        release_conn(request, error == OUTBOUND_OK && request->exchange.keep_alive);
    direct_origin_put(request->origin);
    request->origin = NULL;
    list_remove(&request->base.node);
    outbound_finish(&request->base, result);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

static uint64_t connect_timeout(const struct direct_request *request)
{
    uint64_t timeout_ms = request->call.connect_timeout_ms;
    uint64_t now_ms = clock_mono_ms();
    if (timeout_ms == 0)
        timeout_ms = CONNECT_TIMEOUT_DEFAULT_MS;
    if (request->deadline_ms <= now_ms)
        return 1; /* libcurl takes 0 for its default */
    uint64_t left_ms = request->deadline_ms - now_ms;
    return left_ms < timeout_ms ? left_ms : timeout_ms;
}

/* Has a new connection made. False when out of memory. */
static bool connect_for(struct direct_request *request)
{
    const struct outbound_call *call = &request->call;
    request->begun = false;
    request->conn = direct_conn_open(&request->route->conns, request->origin, request, call->url,
                                     connect_timeout(request), call->insecure_http_allowed);
    return request->conn != NULL;
}

/* ---- The exchange --------------------------------------------------------------------------- */

/* What came on a kept connection is no answer: it may have been there before the request was. */
static bool out_of_step(const struct direct_request *request, enum outbound_error error)
{
    return error == OUTBOUND_PROTOCOL && request->begun && request->conn->used;
}

/* The connection could not be made, or broke. Fails the request, or sends it again when that is due
 * to it. */
static void fail(struct direct_request *request, enum outbound_error error, const char *detail)
{
    bool stale = error == OUTBOUND_CONNECTION_RESET && request->conn->used &&
                 !request->exchange.response.begun;
    if (!stale) {
        if (out_of_step(request, error))
            direct_conn_distrust(request->conn);
        finish(request, error, detail);
        return;
    }
    direct_conn_distrust(request->conn);
    direct_conn_close(request->conn);
    if (!connect_for(request))
        finish(request, OUTBOUND_INTERNAL, "out of memory");
}

static void on_failed(struct direct_conn *conn, enum outbound_error error, const char *detail)
{
    fail(conn->request, error, detail);
}

/* What the exchange waits for. */
static unsigned wanted(const struct direct_request *request)
{
    const struct direct_exchange *exchange = &request->exchange;
    unsigned want = direct_exchange_receiving(exchange) ? FD_WATCH_READ : 0;
    if (direct_exchange_sending(exchange))
        want |= request->conn->stream.write_waits_to_read ? FD_WATCH_READ : FD_WATCH_WRITE;
    return want;
}

/* Acts on what an exchange has come to. May end the connection. */
static void settle(struct direct_request *request, enum direct_exchange_step step)
{
    const struct direct_exchange *exchange = &request->exchange;
    switch (step) {
    case DIRECT_EXCHANGE_WAIT:
        if (!direct_conn_want(request->conn, wanted(request)))
            finish(request, OUTBOUND_INTERNAL, "the loop does not take the socket");
        break;
    case DIRECT_EXCHANGE_DONE:
        finish(request, OUTBOUND_OK, "");
        break;
    case DIRECT_EXCHANGE_FAILED:
        fail(request, exchange->error, exchange->detail);
        break;
    }
}

/* May the request go out on this connection now? If not, it is finished. */
static bool may_go(struct direct_request *request)
{
    const struct outbound_call *call = &request->call;
    const struct sockaddr *peer = (const struct sockaddr *)&request->conn->peer;
    const char *denied = NULL;
    if (!curl_env_allows(request->route->env, peer, &denied)) {
        finish(request, OUTBOUND_ADDRESS_DENIED, denied);
        return false;
    }
    if (call->may_send && !call->may_send(request->base.arg)) {
        finish(request, OUTBOUND_CANCELLED, "it must not be sent from here any more");
        return false;
    }
    return true;
}

/* The request's connection stands. */
static void exchange_begin(struct direct_conn *conn)
{
    struct direct_request *request = conn->request;
    struct direct_exchange *exchange = &request->exchange;
    if (!may_go(request))
        return;
    request->begun = true;
    direct_exchange_begin(exchange, buf_slice(&request->head), request->call.body,
                          request->call.response_bytes_max);
    direct_conn_exchange(conn, request->deadline_ms);
    enum direct_exchange_step step = direct_exchange_send(exchange, &conn->stream);
    if (step == DIRECT_EXCHANGE_WAIT && direct_stream_has_more(&conn->stream))
        step = direct_exchange_receive(exchange, &conn->stream);
    settle(request, step);
}

static void on_ready(struct direct_conn *conn, unsigned ready)
{
    struct direct_exchange *exchange = &conn->request->exchange;
    enum direct_exchange_step step = DIRECT_EXCHANGE_WAIT;
    bool writable = ready & FD_WATCH_WRITE || conn->stream.write_waits_to_read;
    if (writable && direct_exchange_sending(exchange))
        step = direct_exchange_send(exchange, &conn->stream);
    if (step == DIRECT_EXCHANGE_WAIT && ready & FD_WATCH_READ &&
        direct_exchange_receiving(exchange))
        step = direct_exchange_receive(exchange, &conn->stream);
    settle(conn->request, step);
}

static void on_expired(struct direct_conn *conn)
{
    struct direct_request *request = conn->request;
    const struct direct_exchange *exchange = &request->exchange;
    char detail[CURL_ERROR_SIZE];
    snprintf(detail, sizeof(detail), "timed out after %llu ms %s",
             (unsigned long long)request->call.total_timeout_ms,
             direct_exchange_sending(exchange) ? "while the request was written"
             : exchange->response.begun        ? "inside the response"
                                               : "without a response");
    finish(request, OUTBOUND_TIMEOUT, detail);
}

/* ---- Starting ------------------------------------------------------------------------------- */

static void request_free(struct direct_request *request)
{
    buf_free(&request->head);
    free(request);
}

static struct outbound_request *direct_take(struct outbound_route *base)
{
    struct direct_route *route = route_of(base);
    struct list *node = list_pop_front(&route->spare);
    if (node)
        return &request_at(node)->base;
    struct direct_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->route = route;
    list_init(&request->base.node);
    buf_init(&request->head, HEAD_BYTES_MAX);
    return &request->base;
}

static void forget_last(struct direct_request *request, const struct outbound_call *call)
{
    request->call = *call;
    request->started_us = clock_mono_us();
    request->deadline_ms =
        call->total_timeout_ms ? clock_mono_ms() + call->total_timeout_ms : DEADLINE_NEVER;
    request->begun = false;
    request->result = (struct outbound_result){
        .body_head = slice_of(request->exchange.body_head, 0),
        .retry_after_ms = -1,
    };
}

/* Finds the origin and makes the head. ST_OK; ST_NOMEM; or another status when no such request can
 * be made: then `error` and `detail` say why. */
static enum status prepare(struct direct_request *request, enum outbound_error *error,
                           const char **detail)
{
    const struct outbound_call *call = &request->call;
    struct slice name = direct_url_origin(call->url);
    *error = OUTBOUND_PROTOCOL;
    request->origin = direct_origin_get(&request->route->conns.pool, name, detail);
    if (!request->origin)
        return *detail ? ST_SYNTAX : ST_NOMEM;
    if (!request->origin->https && !call->insecure_http_allowed) {
        *error = OUTBOUND_ADDRESS_DENIED;
        *detail = "http is not allowed here, only https";
        return ST_DENIED;
    }
    buf_clear(&request->head);
    if (direct_head_add(&request->head, call, name.len, buf_slice(&request->origin->host),
                        request->route->env->user_agent))
        return ST_OK;
    *detail = "the URL cannot be read";
    return buf_status(&request->head) == ST_OK ? ST_SYNTAX : ST_NOMEM;
}

static enum status refuse(struct direct_request *request)
{
    direct_origin_put(request->origin);
    request->origin = NULL;
    list_push_front(&request->route->spare, &request->base.node);
    return ST_NOMEM;
}

static enum status direct_start(struct outbound_request *base, const struct outbound_call *call)
{
    struct direct_request *request = request_of(base);
    enum outbound_error error;
    const char *detail;
    forget_last(request, call);
    enum status status = prepare(request, &error, &detail);
    if (status == ST_NOMEM)
        return refuse(request);
    if (status != ST_OK) {
        finish(request, error, detail);
        return ST_OK;
    }
    request->conn = direct_conn_take(request->origin, request);
    bool standing = request->conn != NULL;
    if (!standing && !connect_for(request))
        return refuse(request);
    list_push_back(&request->route->running, &base->node);
    if (standing)
        exchange_begin(request->conn);
    return ST_OK;
}

static void direct_cancel(struct outbound_request *base)
{
    finish(request_of(base), OUTBOUND_CANCELLED, "cancelled");
}

static void direct_put_back(struct outbound_request *base)
{
    list_push_front(&route_of(base->route)->spare, &base->node);
}

static void direct_turn(struct outbound_route *base)
{
    direct_conns_turn(&route_of(base)->conns);
}

/* ---- Start and end -------------------------------------------------------------------------- */

static void direct_free(struct outbound_route *base)
{
    struct direct_route *route = route_of(base);
    struct list *node;
    while ((node = list_pop_front(&route->running))) {
        struct direct_request *request = request_at(node);
        direct_conn_close(request->conn);
        direct_origin_put(request->origin);
        request_free(request);
    }
    while ((node = list_pop_front(&route->spare)))
        request_free(request_at(node));
    direct_conns_deinit(&route->conns);
    free(route);
}

struct outbound_route *direct_route_new(struct reactor *reactor, struct curl_env *env,
                                        const struct outbound_options *options)
{
    static const struct direct_conn_fns fns = {
        .connected = exchange_begin,
        .failed = on_failed,
        .ready = on_ready,
        .expired = on_expired,
    };
    struct direct_route *route = calloc(1, sizeof(*route));
    if (!route)
        return NULL;
    route->route = (struct outbound_route){
        .take = direct_take,
        .start = direct_start,
        .cancel = direct_cancel,
        .put_back = direct_put_back,
        .turn = direct_turn,
        .free = direct_free,
    };
    route->env = env;
    list_init(&route->running);
    list_init(&route->spare);
    if (!direct_conns_init(&route->conns, reactor, env, options, &fns)) {
        direct_free(&route->route);
        return NULL;
    }
    return &route->route;
}
