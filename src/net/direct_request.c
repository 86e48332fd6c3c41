/* direct_request.c - waiting for a connection, and the end.
 *
 * How long a request waits. When its time for connecting passes, and in that time nobody at its
 * origin was given a connection, the origin does not take connections, and that is what this time
 * is for: the request has timed out. But as long as others are given connections there, ours are
 * the limits that it waits for, and it must not fail by them: it waits on, each time as long again,
 * until the time for all of the request is up.
 *
 * libcurl's own watch over a connect ends first, since it knows what took so long, a name, an
 * address or a handshake; with it fail all whose time is up. Ours is for those that wait behind the
 * limit of connects.
 */
#include "net/direct_request.h"

#include <stdio.h>

#include "base/clock.h"

enum {
    CONNECT_TIMEOUT_DEFAULT_MS = 300 * 1000, /* libcurl's */
    LIBCURL_FIRST_MS = 50                    /* we look so much later than it does */
};

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

/* The request leaves its connection, which is kept when all went well, or when nothing was sent and
 * others wait for it. */
static void release_conn(struct direct_request *request, enum outbound_error error)
{
    struct direct_conn *conn = request->conn;
    struct outbound_result *result = &request->result;
    bool answered = error == OUTBOUND_OK && request->exchange.keep_alive;
    bool unused = error == OUTBOUND_CANCELLED && !request->begun;
    request->conn = NULL;
    result->connection_reused = request->begun && conn->kept;
    request->route->env->stats.connections_reused += result->connection_reused;
    memcpy(result->address, direct_conn_address(conn), sizeof(result->address));
    if (request->begun && request->exchange.excess)
        direct_conn_distrust(conn);
    if (answered || (unused && direct_wait_first_for_freed(&request->origin->wait)))
        direct_conn_keep(conn, answered);
    else
        direct_conn_close(conn);
}

static void stop_waiting(struct direct_request *request)
{
    deadlines_clear(&request->route->patience, &request->patience);
    direct_wait_leave(&request->origin->wait, &request->waiter);
}

void direct_request_give_up(struct direct_request *request)
{
    if (!list_linked(&request->waiter.node))
        return;
    stop_waiting(request);
    direct_conn_give_up(request->origin);
}

void direct_request_served(struct direct_request *request)
{
    stop_waiting(request);
    request->origin->served_at_ms = clock_mono_ms();
}

void direct_request_finish(struct direct_request *request, enum outbound_error error,
                           const char *detail)
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
        release_conn(request, error);
    direct_request_give_up(request);
    direct_origin_put(request->origin);
    request->origin = NULL;
    list_remove(&request->base.node);
    outbound_finish(&request->base, result);
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static uint64_t connect_timeout(const struct direct_request *request)
{
    uint64_t timeout_ms = request->call.connect_timeout_ms;
    return timeout_ms ? timeout_ms : CONNECT_TIMEOUT_DEFAULT_MS;
}

/* When it has waited long enough, as things are. */
static uint64_t waits_until(const struct direct_request *request)
{
    uint64_t served_at_ms = request->origin->served_at_ms;
    uint64_t since_ms =
        served_at_ms > request->waits_since_ms ? served_at_ms : request->waits_since_ms;
    uint64_t until_ms = since_ms + connect_timeout(request);
    return until_ms < request->deadline_ms ? until_ms : request->deadline_ms;
}

static void set_patience(struct direct_request *request)
{
    deadlines_set(&request->route->patience, &request->patience,
                  waits_until(request) + LIBCURL_FIRST_MS);
}

/* It gets the time that the newest has. */
bool direct_request_connect(struct direct_origin *origin)
{
    if (!direct_wait_wants_try(&origin->wait))
        return true;
    struct direct_request *newest = direct_request_waiting(direct_wait_newest(&origin->wait));
    uint64_t now_ms = clock_mono_ms();
    uint64_t until_ms = waits_until(newest);
    return direct_conn_open(&newest->route->conns, origin,
                            until_ms > now_ms ? until_ms - now_ms : 1 /* not libcurl's default */);
}

void direct_request_connect_all(struct direct_origin *origin)
{
    while (direct_wait_wants_try(&origin->wait))
        if (!direct_request_connect(origin))
            direct_request_finish(direct_request_waiting(direct_wait_first_for_made(&origin->wait)),
                                  OUTBOUND_INTERNAL, "out of memory");
}

void direct_request_wait(struct direct_request *request, bool insists)
{
    request->conn = NULL;
    request->begun = false;
    request->waits_since_ms = clock_mono_ms();
    direct_wait_join(&request->origin->wait, &request->waiter, insists);
    set_patience(request);
}

void direct_request_impatient(void *arg, struct deadline *passed)
{
    (void)arg;
    struct direct_request *request = CONTAINER_OF(passed, struct direct_request, patience);
    uint64_t now_us = clock_mono_us();
    char detail[CURL_ERROR_SIZE];
    if (waits_until(request) + LIBCURL_FIRST_MS > clock_mono_ms()) {
        set_patience(request); /* others were served meanwhile */
        return;
    }
    snprintf(detail, sizeof(detail), "Connection timed out after %llu milliseconds",
             (unsigned long long)(now_us - request->started_us) / 1000);
    snprintf(request->result.address, sizeof(request->result.address), "%s",
             direct_conn_tried_address(request->origin));
    direct_request_finish(request, OUTBOUND_TIMEOUT, detail);
}

/* ---- No connection -------------------------------------------------------------------------- */

static void fail_waiting(struct direct_waiter *waiter, const struct direct_conn *conn,
                         enum outbound_error error, const char *detail)
{
    struct direct_request *request = direct_request_waiting(waiter);
    memcpy(request->result.address, direct_conn_address(conn), sizeof(request->result.address));
    direct_request_finish(request, error, detail);
}

/* Those of a list who have waited as long as they may. */
static void fail_impatient(struct list *waiters, const struct direct_conn *conn, const char *detail)
{
    uint64_t soon_ms = clock_mono_ms() + LIBCURL_FIRST_MS;
    LIST_FOREACH(node, waiters)
    {
        struct direct_waiter *waiter = CONTAINER_OF(node, struct direct_waiter, node);
        if (waits_until(direct_request_waiting(waiter)) <= soon_ms)
            fail_waiting(waiter, conn, OUTBOUND_TIMEOUT, detail);
    }
}

void direct_request_not_made(struct direct_conn *conn, enum outbound_error error,
                             const char *detail, size_t share)
{
    struct direct_wait *wait = &direct_conn_origin(conn)->wait;
    while (share-- > 0)
        fail_waiting(direct_wait_first_for_made(wait), conn, error, detail);
    if (error == OUTBOUND_TIMEOUT) {
        fail_impatient(&wait->insisting, conn, detail);
        fail_impatient(&wait->waiters, conn, detail);
    }
    direct_origin_due(direct_conn_origin(conn));
    direct_conn_close(conn);
}
