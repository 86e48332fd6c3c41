/* direct_route.c - the direct route: libcurl connects, we speak HTTP on the connection and keep it.
 *
 *             one idles
 *        ,-----------------------------------------------.
 *        |                                               v       the exchange's end
 *      spare -----> waiting -----------------------> running -----------------------> finished
 *      ^    none     ^  |    one comes free,            |                              ^   |
 *      |    idles    |  |    or is made                 |                              |   |
 *      |             |  `-------------------------------|------------------------------'   |
 *      |             |       none in time, or none can be made                             |
 *      |             `----------------------------------'                                  |
 *      |                     the kept connection was stale                                 |
 *      `-----------------------------------------------------------------------------------'
 *                            put back, after done()
 *
 * A request takes the idle connection of its origin that was used last, and is written to it in the
 * call that sends it: one write, one read and no memory. When none idles, it waits at its origin
 * for what comes first, a connection that comes free or one that is made. direct_wait.c says how
 * many are made, and direct_request.c how long it waits. Nobody passes by those who wait.
 *
 * A connection that came free is given to those who wait in the hook, once a turn, and only then
 * more are made. So no exchange begins inside the end of another, and nothing is made for whom
 * something has just come free.
 *
 * Stale connections. A peer may close an idle connection in the moment we write to it. So a request
 * for which a kept connection ended before one byte of an answer is sent again, on a new one, for
 * which it waits in front of all others: once, since that is not a kept one. After a peer's restart
 * one that came free could be as stale as the first, and that would be the attempt.
 *
 * Before the first byte the guard is asked for the connection's address, since the policy may have
 * changed since it was made; when it says no, the connection is closed. And the caller is asked
 * whether he may still send; when he says no, it is the next one's, as nothing went out on it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/direct_head.h"
#include "net/direct_request.h"

enum { HEAD_BYTES_MAX = 1024 * 1024 };

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

/* ---- The exchange --------------------------------------------------------------------------- */

/* What came on a kept connection is no answer: it may have been there before the request was. */
static bool out_of_step(const struct direct_request *request, enum outbound_error error)
{
    return error == OUTBOUND_PROTOCOL && request->begun && request->conn->kept;
}

/* The connection broke. Fails the request, or sends it again when that is due to it. */
static void fail(struct direct_request *request, enum outbound_error error, const char *detail)
{
    bool stale = error == OUTBOUND_CONNECTION_RESET && request->conn->kept &&
                 !request->exchange.response.begun;
    if (!stale) {
        if (out_of_step(request, error))
            direct_conn_distrust(request->conn);
        direct_request_finish(request, error, detail);
        return;
    }
    direct_conn_distrust(request->conn);
    direct_conn_close(request->conn);
    direct_request_wait(request, true);
    direct_origin_due(request->origin);
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
            direct_request_finish(request, OUTBOUND_INTERNAL, "the loop does not take the socket");
        break;
    case DIRECT_EXCHANGE_DONE:
        direct_request_finish(request, OUTBOUND_OK, "");
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
        direct_request_finish(request, OUTBOUND_ADDRESS_DENIED, denied);
        return false;
    }
    if (call->may_send && !call->may_send(request->base.arg)) {
        direct_request_finish(request, OUTBOUND_CANCELLED,
                              "it must not be sent from here any more");
        return false;
    }
    return true;
}

/* The request's connection stands. */
static void exchange_begin(struct direct_conn *conn, struct direct_request *request)
{
    struct direct_exchange *exchange = &request->exchange;
    request->conn = conn;
    if (!may_go(request))
        return;
    request->begun = true;
    direct_exchange_begin(exchange, buf_slice(&request->head), request->call.body,
                          request->call.response_bytes_max);
    direct_conn_exchange(conn, request, request->deadline_ms);
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
    direct_request_finish(request, OUTBOUND_TIMEOUT, detail);
}

/* ---- A connection for those who wait -------------------------------------------------------- */

static void serve(struct direct_conn *conn, struct direct_waiter *waiter)
{
    struct direct_request *request = direct_request_waiting(waiter);
    direct_request_served(request);
    exchange_begin(conn, request);
}

static void on_made(struct direct_conn *conn)
{
    struct direct_origin *origin = direct_conn_origin(conn);
    struct direct_waiter *waiter = direct_wait_first_for_made(&origin->wait);
    if (!waiter) {
        direct_conn_keep(conn, false);
        return;
    }
    direct_origin_due(origin); /* for the others */
    serve(conn, waiter);
}

/* Something has changed for those who wait at the origin: they are given what came free, and then
 * as many connects are begun as they are still worth. */
static void serve_due(struct direct_origin *origin)
{
    struct direct_waiter *waiter;
    struct direct_conn *conn;
    direct_origin_hold(origin);
    while ((waiter = direct_wait_first_for_freed(&origin->wait)) &&
           (conn = direct_conn_take(origin)))
        serve(conn, waiter);
    direct_request_connect_all(origin);
    direct_origin_put(origin);
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
    list_init(&request->waiter.node);
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

static enum status start_waiting(struct direct_request *request)
{
    direct_request_wait(request, false);
    if (!direct_request_connect(request->origin)) {
        direct_request_give_up(request);
        return refuse(request);
    }
    list_push_back(&request->route->running, &request->base.node);
    return ST_OK;
}

static enum status direct_start(struct outbound_request *base, const struct outbound_call *call)
{
    struct direct_request *request = request_of(base);
    struct direct_conn *conn = NULL;
    enum outbound_error error;
    const char *detail;
    forget_last(request, call);
    enum status status = prepare(request, &error, &detail);
    if (status == ST_NOMEM)
        return refuse(request);
    if (status != ST_OK) {
        direct_request_finish(request, error, detail);
        return ST_OK;
    }
    if (!direct_wait_first_for_freed(&request->origin->wait))
        conn = direct_conn_take(request->origin);
    if (!conn)
        return start_waiting(request);
    list_push_back(&request->route->running, &base->node);
    exchange_begin(conn, request);
    return ST_OK;
}

static void direct_cancel(struct outbound_request *base)
{
    direct_request_finish(request_of(base), OUTBOUND_CANCELLED, "cancelled");
}

static void direct_put_back(struct outbound_request *base)
{
    list_push_front(&route_of(base->route)->spare, &base->node);
}

static void direct_turn(struct outbound_route *base)
{
    struct direct_conns *conns = &route_of(base)->conns;
    struct direct_origin *origin;
    direct_conns_turn(conns);
    while ((origin = direct_pool_next_due(&conns->pool)))
        serve_due(origin);
    direct_conns_trim(conns);
}

/* ---- Start and end -------------------------------------------------------------------------- */

static void direct_free(struct outbound_route *base)
{
    struct direct_route *route = route_of(base);
    struct list *node;
    while ((node = list_pop_front(&route->running))) {
        struct direct_request *request = request_at(node);
        if (request->conn)
            direct_conn_close(request->conn);
        else
            direct_request_give_up(request);
        direct_origin_put(request->origin);
        request_free(request);
    }
    while ((node = list_pop_front(&route->spare)))
        request_free(request_at(node));
    direct_conns_deinit(&route->conns);
    deadlines_deinit(&route->patience);
    free(route);
}

struct outbound_route *direct_route_new(struct reactor *reactor, struct curl_env *env,
                                        const struct outbound_options *options)
{
    static const struct direct_conn_fns fns = {
        .made = on_made,
        .not_made = direct_request_not_made,
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
    if (!direct_conns_init(&route->conns, reactor, env, options, &fns) ||
        !deadlines_init(&route->patience, reactor, direct_request_impatient, route)) {
        direct_free(&route->route);
        return NULL;
    }
    return &route->route;
}
