/* http_input.c - from the bytes of a connection to calls of the handler.
 *
 * One read an event. Requests are served in a row; while one is held, reading goes on, which shows
 * at once when the client goes, but only into the room its buffer has. When that is full the socket
 * is no longer watched, so that a client that sends ahead cannot make the loop spin; its TCP state
 * is then asked for every half second. (EV_CLOSED was tried: libevent 2.1 reports a reset as
 * EV_READ only, so an event that wants just EV_CLOSED spins; and with EV_ET the epoll changelist
 * leaves the descriptor edge-triggered behind the event's back when it is registered anew.)
 *
 * Whatever calls out stands last in its function, and before anything is touched again its state is
 * looked at: the handler may have answered, so that the request is another or none.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/http_conn.h"

enum {
    BATCH_REQUESTS_MAX = 32,     /* a turn: fairness between connections */
    BATCH_BYTES_MAX = 64 * 1024, /* of answers, collected before they are written */
    DISCARD_BYTES = 16 * 1024
};

/* ---- Input ----------------------------------------------------------------------------------- */

/* The head is complete, its body is not. False when the request was refused. */
static bool begin_body(struct http_conn *conn)
{
    const struct http_server *server = conn->server;
    const struct http_request *request = conn->request;
    uint64_t expected = http_parser_expected_bytes(&request->parser);
    if (expected > request->cap && expected - request->cap > server->options.buffered_bytes_max -
                                                                 server->stats.buffered_bytes) {
        http_conn_refuse(conn, HTTP_FAULT_MEMORY); /* better now than in the middle */
        return false;
    }
    /* RFC 9110 section 10.1.1: not needed when the client did not wait. */
    if (request->parser.head.expect_continue && !request->parser.body_begun)
        http_conn_transmit(conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"), SLICE_NULL);
    return true;
}

/* Takes one step. True when a request was served and input of a next one is here. */
static bool process_one(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    struct http_request *request = conn->request;
    struct http_parser *parser = &request->parser;
    bool had_head = parser->head_bytes > 0;
    size_t len = request->len - request->at;
    enum http_progress progress = HTTP_NEED_BODY;
    if (conn->state == HTTP_CONN_STREAM)
        return http_stream_step(conn);
    if (!had_head && server->options.streams) {
        progress = http_parser_head(parser, request->bytes + request->at, len);
        if (progress == HTTP_NEED_BODY && server->options.streams(request))
            return http_stream_begin(conn);
    }
    if (progress == HTTP_NEED_BODY) {
        progress = http_parser_advance(parser, request->bytes + request->at, &len);
        request->len = request->at + len;
    }
    switch (progress) {
    case HTTP_NEED_HEAD:
        http_conn_enter(conn, HTTP_CONN_HEAD);
        return false;
    case HTTP_NEED_BODY:
        if (had_head || begin_body(conn))
            http_conn_enter(conn, HTTP_CONN_BODY);
        return false;
    case HTTP_FAULTY:
        http_conn_refuse(conn, parser->fault);
        return false;
    case HTTP_COMPLETE:
        break;
    }
    http_request_name(request);
    http_conn_enter(conn, HTTP_CONN_HELD);
    server->handler(server->arg, request); /* may have answered: the request may be gone */
    return conn->state == HTTP_CONN_WRITE && conn->request;
}

/* Requests in a row, until input, answers or the quota run out. True when input is left. */
static bool process(struct http_conn *conn)
{
    for (int i = 0; i < BATCH_REQUESTS_MAX && conn->server->batch.len < BATCH_BYTES_MAX; i++) {
        if (!process_one(conn))
            return false;
    }
    return true;
}

void http_conn_resume(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    assert(!server->processing && server->batch.len == 0);
    list_remove(&conn->ready);
    if (conn->state == HTTP_CONN_CLOSED || conn->state == HTTP_CONN_HELD || !conn->request)
        return;
    server->processing = conn;
    bool left = process(conn);
    server->processing = NULL;

    bool batch_good = buf_status(&server->batch) == ST_OK;
    if (conn->state != HTTP_CONN_CLOSED && server->batch.len > 0 && batch_good)
        http_conn_send(conn, buf_slice(&server->batch), SLICE_NULL);
    buf_clear(&server->batch);
    if (!batch_good)
        http_conn_close(conn);
    http_conn_settle(conn);

    bool partial = conn->state == HTTP_CONN_HEAD || conn->state == HTTP_CONN_BODY;
    if (conn->eof && partial && !left)
        http_conn_close(conn); /* RFC 9112 section 8: the rest will never come */
    else if (conn->eof && conn->state == HTTP_CONN_STREAM && http_stream_reads(conn) &&
             !list_linked(&conn->ready))
        http_stream_break(conn, HTTP_FAULT_BODY_ENDS);
    else if (conn->eof && conn->state == HTTP_CONN_HELD)
        http_request_gone(conn->request); /* last: it calls out */
}

/* The client has closed its side: what it sent completely is still answered. */
static void on_end_of_file(struct http_conn *conn)
{
    conn->eof = true;
    if (conn->state == HTTP_CONN_STREAM) {
        http_stream_break(conn, HTTP_FAULT_BODY_ENDS);
        http_conn_watch(conn);
    } else if (conn->state == HTTP_CONN_HELD) {
        struct http_request *request = conn->request;
        http_conn_watch(conn);
        if (conn->state == HTTP_CONN_HELD)
            http_request_gone(request); /* last: it calls out */
    } else if (!list_linked(&conn->ready)) {
        http_conn_close(conn);
    } else {
        http_conn_watch(conn);
    }
}

void http_conn_look(struct http_conn *conn)
{
    struct tcp_info info = {.tcpi_state = TCP_CLOSE};
    socklen_t len = sizeof(info);
    if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        info.tcpi_state == TCP_CLOSE)
        http_conn_close(conn);
    else if (info.tcpi_state != TCP_ESTABLISHED)
        http_request_gone(conn->request); /* not eof: there is input to be read before that */
}

static void discard(struct http_conn *conn)
{
    char bytes[DISCARD_BYTES];
    ssize_t n = http_conn_read(conn, bytes, sizeof(bytes));
    if (n > 0)
        conn->lingered_bytes += (size_t)n;
    bool again = n < 0 && (errno == EAGAIN || errno == EINTR);
    if ((n <= 0 && !again) || conn->lingered_bytes > LIMIT_HTTP_LINGER_BYTES)
        http_conn_close(conn);
}

/* Makes sure that there is a request with room to read into. False when there is none. */
static bool prepare_input(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_HELD) { /* its bytes must not move */
        conn->input_full = conn->request->len == conn->request->cap;
        if (conn->input_full)
            http_conn_watch(conn);
        return !conn->input_full;
    }
    if (conn->state == HTTP_CONN_STREAM) {
        if (list_linked(&conn->ready)) /* it has its turn first; the bytes can wait */
            return false;
        if (http_stream_make_room(conn->request) == ST_OK)
            return true;
        http_stream_break(conn, HTTP_FAULT_MEMORY);
        return false;
    }
    if (!conn->request)
        conn->request = http_request_acquire(conn->server, conn);
    if (conn->request && http_request_make_room(conn->request) == ST_OK)
        return true;
    http_conn_refuse(conn, HTTP_FAULT_MEMORY);
    return false;
}

void http_conn_on_readable(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_LINGER) {
        discard(conn);
        return;
    }
    if (!prepare_input(conn))
        return;
    struct http_request *request = conn->request;
    ssize_t n = http_conn_read(conn, request->bytes + request->len, request->cap - request->len);
    if (n > 0) {
        request->len += (size_t)n;
        if (conn->state == HTTP_CONN_STREAM)
            http_stream_came(conn, (size_t)n);
        http_conn_resume(conn);
    } else if (n == 0) {
        on_end_of_file(conn);
    } else if (errno != EAGAIN && errno != EINTR) {
        http_conn_close(conn);
    } else if (conn->state == HTTP_CONN_IDLE) {
        http_conn_drop_request(conn);
    }
}
