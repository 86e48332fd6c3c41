/* http_conn.c - one connection: its states, its socket, its order of answers.
 *
 *      accept                first byte       end of head       end of body
 *     --------> IDLE ------------------> HEAD ----------> BODY ------------> HELD
 *                ^                       ^  (steps are skipped when           |
 *                |                       |   more is there already)           | http_reply
 *                | all written, and      | all written, and a next            v
 *                | nothing more came     | request has begun                WRITE
 *                +-----------------------+------------------------------------+
 *                                                     closing, all written    v
 *                          closed <--- end of file, time or bytes used up - LINGER
 *
 * A request whose body comes in pieces goes from HEAD to STREAM and from there to HELD, or, when it
 * is answered before its end, to WRITE (http_stream.c).
 *
 * Invariants: `request` exists in HEAD, BODY, STREAM and HELD; only in STREAM and HELD does a
 * handler know it. In IDLE, HEAD and BODY nothing waits to be written (STREAM and HELD may still be
 * writing the answers before). A refused request goes from HEAD, BODY or STREAM to WRITE. Any state
 * may go to CLOSED.
 *
 * Output: answers given from within the handler are collected in the server's batch and leave with
 * one send when the input is used up; answers given later leave at once, head and body together: a
 * short body is copied behind its head for one send, a long one goes as it is by sendmsg. What the
 * kernel does not take waits in `out`, and then nothing is read until the client has read that: so
 * a connection holds at most one batch or one answer.
 *
 * Re-entrance: http_reply() may be called from anywhere, so nothing below it calls a handler or
 * on_gone; input that is already here is then left to the server's ready list.
 *
 * EPOLL: the event stays registered with EV_READ through any number of requests; in the usual case
 * a request costs one recv and one send, which the kernel does with less ado than read and sendmsg.
 * Bufferevents were rejected for their cost (LIMITS: 12.6 against 9.8 us a request); TLS needs two
 * other functions in place of http_conn_read and raw_send.
 */
#include "net/http_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"

enum { READ_BYTES_MAX = 64 * 1024 }; /* at a time: fairness between connections */

static void on_event(evutil_socket_t fd, short what, void *arg);

/* ---- States ---------------------------------------------------------------------------------- */

static void leave_state(struct http_conn *conn)
{
    list_remove(&conn->in_state);
    conn->server->populations[conn->state]--;
}

static void join_state(struct http_conn *conn, enum http_conn_state state)
{
    struct http_server *server = conn->server;
    conn->state = state;
    list_push_back(&server->conns[state], &conn->in_state);
    server->populations[state]++;
    conn->deadline_ms = clock_mono_ms() + server->timeouts_ms[state];
    http_server_deadline(server, conn->deadline_ms);
}

void http_conn_renew(struct http_conn *conn)
{
    enum http_conn_state state = conn->state;
    leave_state(conn);
    join_state(conn, state);
}

/* Entering the present state again changes nothing: deadlines are absolute. */
void http_conn_enter(struct http_conn *conn, enum http_conn_state state)
{
    assert(conn->state != HTTP_CONN_CLOSED);
    if (conn->state == state)
        return;
    leave_state(conn);
    join_state(conn, state);
}

/* Its request was handed over, and the answer is owed. */
static bool has_handler(const struct http_conn *conn)
{
    return conn->state == HTTP_CONN_HELD || conn->state == HTTP_CONN_STREAM;
}

static short wanted_events(const struct http_conn *conn)
{
    switch (conn->state) {
    case HTTP_CONN_IDLE:
    case HTTP_CONN_HEAD:
    case HTTP_CONN_BODY:
    case HTTP_CONN_LINGER:
        /* After the end of file EV_READ would fire for ever; what is here is on the ready list. */
        return conn->eof ? 0 : EV_READ;
    case HTTP_CONN_STREAM:
    case HTTP_CONN_HELD: {
        bool reads = conn->state == HTTP_CONN_HELD ? !conn->input_full : http_stream_reads(conn);
        short read = reads && !conn->eof ? EV_READ : 0;
        short write = conn->out.len > 0 ? EV_WRITE : 0;
        return (short)(read | write);
    }
    case HTTP_CONN_WRITE:
        return EV_WRITE;
    case HTTP_CONN_CLOSED:
        break;
    }
    return 0;
}

/* Last in whatever changes the state; may close. */
void http_conn_watch(struct http_conn *conn)
{
    short events = wanted_events(conn);
    if (events == conn->watched)
        return;
    struct event_base *base = reactor_base(conn->server->reactor);
    event_del(conn->event);
    conn->watched = events;
    if (events != 0 && (event_assign(conn->event, base, conn->fd, (short)(events | EV_PERSIST),
                                     on_event, conn) != 0 ||
                        event_add(conn->event, NULL) != 0)) {
        log_error("http.watch_failed", "errno=%d", errno);
        http_conn_close(conn);
    }
}

struct http_conn *http_conn_new(struct http_server *server, int fd)
{
    struct http_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->event =
        event_new(reactor_base(server->reactor), fd, EV_READ | EV_PERSIST, on_event, conn);
    if (!conn->event || event_add(conn->event, NULL) != 0) {
        if (conn->event)
            event_free(conn->event);
        free(conn);
        return NULL;
    }
    conn->server = server;
    conn->fd = fd;
    conn->watched = EV_READ;
    list_init(&conn->in_state);
    list_init(&conn->ready);
    buf_init(&conn->out, SIZE_MAX / 2); /* one batch, or one answer of a handler */
    join_state(conn, HTTP_CONN_IDLE);
    return conn;
}

static void on_reap(struct reap *reap)
{
    struct http_conn *conn = CONTAINER_OF(reap, struct http_conn, reap);
    event_free(conn->event);
    free(conn);
}

void http_conn_close(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_CLOSED)
        return;
    struct http_server *server = conn->server;
    struct http_request *request = conn->request;
    bool held = has_handler(conn);
    leave_state(conn);
    conn->state = HTTP_CONN_CLOSED;
    list_remove(&conn->ready);
    event_del(conn->event); /* before the descriptor goes */
    conn->watched = 0;
    close(conn->fd);
    conn->fd = -1;
    conn->request = NULL;
    buf_free(&conn->out);
    reactor_reap(server->reactor, &conn->reap, on_reap);
    if (request && !held)
        http_request_release(request);
    if (request && held) {
        request->conn = NULL;
        list_push_back(&server->orphans, &request->node);
        server->orphan_count++;
        http_request_gone(request); /* last: it calls out */
    }
}

void http_conn_expire(struct http_conn *conn)
{
    switch (conn->state) {
    case HTTP_CONN_HEAD:
        http_conn_refuse(conn, HTTP_FAULT_HEAD_SLOW);
        break;
    case HTTP_CONN_BODY:
        http_conn_refuse(conn, HTTP_FAULT_BODY_SLOW);
        break;
    case HTTP_CONN_STREAM:
        http_stream_expire(conn);
        break;
    case HTTP_CONN_HELD: /* the handler's time is its own; ours is to look after the client */
        http_conn_renew(conn);
        if (conn->input_full)
            http_conn_look(conn);
        break;
    case HTTP_CONN_IDLE:
    case HTTP_CONN_WRITE:
    case HTTP_CONN_LINGER:
    case HTTP_CONN_CLOSED:
        http_conn_close(conn); /* nobody awaits an answer, or nobody reads it */
        break;
    }
}

void http_conn_drop_request(struct http_conn *conn)
{
    if (conn->request)
        http_request_release(conn->request);
    conn->request = NULL;
}

/* Shuts our side and reads on, so that the client gets the answer before it gets a reset for bytes
 * that nobody read (RFC 9112 section 9.6). */
static void linger(struct http_conn *conn)
{
    http_conn_drop_request(conn);
    if (conn->eof || shutdown(conn->fd, SHUT_WR) != 0) {
        http_conn_close(conn);
        return;
    }
    http_conn_enter(conn, HTTP_CONN_LINGER);
}

void http_conn_dismiss(struct http_conn *conn)
{
    assert(conn->state == HTTP_CONN_IDLE);
    linger(conn);
    if (conn->state != HTTP_CONN_CLOSED)
        http_conn_watch(conn);
}

/* ---- Output ---------------------------------------------------------------------------------- */

ssize_t http_conn_read(struct http_conn *conn, char *place, size_t room)
{
    return recv(conn->fd, place, room < READ_BYTES_MAX ? room : READ_BYTES_MAX, 0);
}

/* Bytes the kernel took, 0 when it takes none now, -1 when the connection is broken. */
static ssize_t raw_send(struct http_conn *conn, struct slice first, struct slice second)
{
    ssize_t sent;
    if (second.len == 0) {
        sent = send(conn->fd, first.ptr, first.len, MSG_NOSIGNAL);
    } else {
        struct iovec parts[2] = {
            {.iov_base = (void *)(uintptr_t)first.ptr, .iov_len = first.len},
            {.iov_base = (void *)(uintptr_t)second.ptr, .iov_len = second.len},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    }
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return sent;
}

/* Sends what the kernel takes and keeps the rest. Closes when the connection is broken. */
void http_conn_send(struct http_conn *conn, struct slice first, struct slice second)
{
    size_t sent = 0;
    if (conn->out.len == 0) {
        ssize_t n = raw_send(conn, first, second);
        if (n < 0) {
            http_conn_close(conn);
            return;
        }
        sent = (size_t)n;
    }
    if (sent < first.len)
        buf_add_slice(&conn->out, slice_from(first, sent));
    if (sent < first.len + second.len)
        buf_add_slice(&conn->out, slice_from(second, sent > first.len ? sent - first.len : 0));
    if (buf_status(&conn->out) != ST_OK)
        http_conn_close(conn); /* part of an answer would be worse than none */
}

/* To the batch while this connection is being processed, else to the socket. */
void http_conn_transmit(struct http_conn *conn, struct slice first, struct slice second)
{
    struct http_server *server = conn->server;
    if (server->processing == conn) {
        buf_add_slice(&server->batch, first);
        buf_add_slice(&server->batch, second);
    } else {
        http_conn_send(conn, first, second);
    }
}

/* After something was sent: where does the connection stand? */
void http_conn_settle(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_CLOSED)
        return;
    if (!has_handler(conn)) {
        if (conn->out.len > 0) {
            http_conn_enter(conn, HTTP_CONN_WRITE);
        } else if (conn->closing) {
            linger(conn);
        } else if (conn->state == HTTP_CONN_WRITE && conn->request) {
            bool head = conn->request->parser.head_bytes > 0;
            http_conn_enter(conn, head ? HTTP_CONN_BODY : HTTP_CONN_HEAD);
            http_server_ready(conn->server, conn);
        } else if (conn->state == HTTP_CONN_WRITE) {
            http_conn_enter(conn, HTTP_CONN_IDLE);
        }
    }
    if (conn->state != HTTP_CONN_CLOSED)
        http_conn_watch(conn);
}

bool http_conn_must_close(const struct http_conn *conn)
{
    const struct http_request *request = conn->request;
    const struct http_parser *parser = &request->parser;
    bool last = request->at + parser->request_bytes >= request->len;
    bool whole = parser->request_bytes > 0; /* else nobody knows where the next one begins */
    return !whole || !parser->head.keep_alive || conn->server->draining || (conn->eof && last);
}

void http_conn_answer(struct http_conn *conn, struct slice head, struct slice body)
{
    assert(has_handler(conn) && conn->request);
    struct http_request *request = conn->request;
    conn->closing = http_conn_must_close(conn);
    conn->input_full = false;
    conn->request = NULL; /* the handler has done its part: not to be told of a broken connection */
    http_conn_enter(conn, HTTP_CONN_WRITE);
    if (buf_status(&conn->server->head) == ST_OK)
        http_conn_transmit(conn, head, body);
    else
        http_conn_close(conn);
    /* Only now, since the body may be the request's own. */
    if (conn->state != HTTP_CONN_CLOSED && !conn->closing && http_request_next(request))
        conn->request = request;
    else
        http_request_release(request);
    if (conn->server->processing != conn)
        http_conn_settle(conn);
}

void http_conn_refuse(struct http_conn *conn, enum http_fault fault)
{
    struct http_server *server = conn->server;
    log_debug("http.refused", "status=%d reason=%s", http_fault_info(fault)->status,
              log_quote(slice_str(http_fault_info(fault)->message)));
    http_reply_fault(server, conn->request, fault);
    conn->closing = true;
    http_conn_drop_request(conn);
    http_conn_enter(conn, HTTP_CONN_WRITE);
    if (buf_status(&server->head) == ST_OK)
        http_conn_transmit(conn, buf_slice(&server->head), SLICE_NULL);
    else
        http_conn_close(conn);
    if (server->processing != conn)
        http_conn_settle(conn);
}

static void on_writable(struct http_conn *conn)
{
    ssize_t sent = raw_send(conn, slice_from(buf_slice(&conn->out), conn->out_at), SLICE_NULL);
    if (sent < 0) {
        http_conn_close(conn);
        return;
    }
    conn->out_at += (size_t)sent;
    if (conn->out_at == conn->out.len) {
        buf_free(&conn->out);
        conn->out_at = 0;
    }
    http_conn_settle(conn);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct http_conn *conn = arg;
    if ((what & EV_WRITE) && conn->out.len > 0)
        on_writable(conn);
    /* The former may have changed the state, and with it what is wanted. */
    if (what & conn->watched & EV_READ)
        http_conn_on_readable(conn);
}
