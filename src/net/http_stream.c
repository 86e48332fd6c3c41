/* http_stream.c - a request whose handler gets its body in pieces, while it comes.
 *
 *      bytes: | head | consumed | window        | room to read into      |
 *             0      ^          from            to = len             cap <= cap_max
 *                    head_bytes
 *
 * The head stays at the front, since the handler may ask for headers all the time. What is read
 * goes behind the window and joins it at once (a chunked body is decoded onto its place), so that
 * the body is never copied unless what is left of the window moves to the front to make room. Only
 * behind the end of the body is something else: the next request.
 *
 *              make room, read                    the end, and the function says MORE
 *      STREAM -----------------> step: function ----------------------------------------> HELD
 *        ^  ^                      |  |    |
 *        |  `---------- MORE ------+  |    `- answered -> WRITE; closing, if before the end
 *        |                            |
 *        +-- resumed, or next turn <--+ PAUSE, TURN: nothing is read
 *
 * The end is always told by a step: whatever breaks the body (a malformed chunk, the client's end,
 * a deadline, no memory) is noted and the connection put on the server's ready list. So the
 * function runs in one place only, and what is called back never meets a half-done operation.
 *
 * Rejected: to hand over each piece as it was read, for the handler to keep what it cannot use yet.
 * It would copy every event that is cut by the end of a read, count its memory itself, and need a
 * way to say which part of a piece must wait under back-pressure.
 */
#include <assert.h>

#include "base/limits.h"
#include "net/http_conn.h"

enum { READ_ROOM_BYTES = 64 * 1024 }; /* what a read is offered */

/* ---- The bytes ------------------------------------------------------------------------------- */

/* The head's bytes come first: those before it were of requests that are answered. */
static void move_to_front(struct http_request *request)
{
    char *from = request->bytes + request->at;
    if (request->at == 0)
        return;
    memmove(request->bytes, from, request->len - request->at);
    http_parser_rebase(&request->parser, from, request->bytes);
    request->len -= request->at;
    request->at = 0;
}

/* The window becomes all that is behind the head. Only while more is to come. */
static void close_gap(struct http_request *request)
{
    struct http_stream *stream = &request->stream;
    size_t head_bytes = request->parser.head_bytes;
    if (stream->from == head_bytes)
        return;
    memmove(request->bytes + head_bytes, request->bytes + stream->from, stream->to - stream->from);
    stream->to -= stream->from - head_bytes;
    stream->from = head_bytes;
    request->len = stream->to;
}

enum status http_stream_make_room(struct http_request *request)
{
    const struct http_stream *stream = &request->stream;
    assert(stream->end == HTTP_STREAM_COMING);
    bool chunked = request->parser.head.framing == HTTP_BODY_CHUNKED;
    size_t wanted =
        chunked || stream->left > READ_ROOM_BYTES ? READ_ROOM_BYTES : (size_t)stream->left;
    if (request->cap - request->len >= wanted)
        return ST_OK;
    close_gap(request);
    if (request->cap - request->len >= wanted)
        return ST_OK;
    size_t cap = request->cap * 2;
    if (cap < request->len + wanted)
        cap = request->len + wanted;
    if (cap > stream->cap_max)
        cap = stream->cap_max;
    enum status status = cap > request->cap ? http_request_grow(request, cap) : ST_LIMIT;
    return request->len < request->cap ? ST_OK : status;
}

static void complete(struct http_request *request, size_t next_at)
{
    request->stream.end = HTTP_STREAM_COMPLETE;
    request->parser.request_bytes = next_at; /* the head is at the front */
}

static void take_length(struct http_request *request)
{
    struct http_stream *stream = &request->stream;
    size_t came = request->len - stream->to;
    if (came > stream->left)
        came = (size_t)stream->left;
    stream->to += came;
    stream->left -= came;
    if (stream->left == 0)
        complete(request, stream->to);
}

static void take_chunked(struct http_request *request)
{
    struct http_stream *stream = &request->stream;
    struct http_chunked *chunked = &request->parser.chunked;
    struct slice raw = slice_of(request->bytes + stream->to, request->len - stream->to);
    while (raw.len > 0 && !chunked->done && stream->end == HTTP_STREAM_COMING) {
        size_t taken;
        struct slice data;
        enum http_fault fault = http_chunked_next(chunked, raw, &taken, &data);
        if (fault) {
            stream->end = HTTP_STREAM_BROKEN;
            stream->fault = fault;
            return;
        }
        if (data.len > 0)
            memmove(request->bytes + stream->to, data.ptr, data.len);
        stream->to += data.len;
        raw = slice_from(raw, taken);
    }
    if (chunked->done)
        complete(request, request->len - raw.len);
    else
        request->len = stream->to;
}

/* What was read joins the window. */
static void take_in(struct http_request *request)
{
    if (request->stream.end != HTTP_STREAM_COMING)
        return;
    if (request->parser.head.framing == HTTP_BODY_CHUNKED)
        take_chunked(request);
    else
        take_length(request);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

bool http_stream_reads(const struct http_conn *conn)
{
    const struct http_stream *stream = &conn->request->stream;
    return stream->end == HTTP_STREAM_COMING && !stream->paused;
}

static bool window_full(const struct http_request *request)
{
    const struct http_stream *stream = &request->stream;
    return stream->from == request->parser.head_bytes && stream->to == request->cap &&
           request->cap >= stream->cap_max;
}

/* Was the request answered, and is the next one here? */
static bool answered(const struct http_conn *conn)
{
    return conn->state == HTTP_CONN_WRITE && conn->request;
}

bool http_stream_step(struct http_conn *conn)
{
    struct http_request *request = conn->request;
    struct http_stream *stream = &request->stream;
    if (stream->paused)
        return false;
    take_in(request);
    enum http_stream_next next = stream->fn(request->user, request);
    if (conn->state != HTTP_CONN_STREAM)
        return answered(conn); /* it is another request now, or none */
    assert(next != HTTP_STREAM_MORE || stream->end != HTTP_STREAM_COMING || !window_full(request));
    if (next == HTTP_STREAM_PAUSE)
        stream->paused = true;
    else if (next == HTTP_STREAM_TURN)
        http_server_ready(conn->server, conn);
    else if (stream->end != HTTP_STREAM_COMING)
        http_conn_enter(conn, HTTP_CONN_HELD);
    return false;
}

/* An answer before the end of the body is the connection's last, unless all of it is here. */
static void find_end(struct http_request *request)
{
    const struct http_head *head = &request->parser.head;
    size_t here = request->len - request->parser.head_bytes;
    if (head->framing == HTTP_BODY_NONE)
        request->parser.request_bytes = request->parser.head_bytes;
    else if (head->framing == HTTP_BODY_LENGTH && head->content_length <= here)
        request->parser.request_bytes = request->parser.head_bytes + (size_t)head->content_length;
}

bool http_stream_begin(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    struct http_request *request = conn->request;
    move_to_front(request);
    find_end(request);
    http_request_name(request);
    http_conn_enter(conn, HTTP_CONN_STREAM);
    server->handler(server->arg, request);
    if (conn->state != HTTP_CONN_STREAM)
        return answered(conn);
    assert(request->stream.fn);
    return http_stream_step(conn);
}

void http_stream_came(struct http_conn *conn, size_t bytes)
{
    struct http_stream *stream = &conn->request->stream;
    stream->since_bytes += bytes;
    if (stream->since_bytes < LIMIT_HTTP_STREAM_BYTES)
        return;
    stream->since_bytes = 0;
    http_conn_renew(conn);
}

void http_stream_break(struct http_conn *conn, enum http_fault fault)
{
    struct http_stream *stream = &conn->request->stream;
    assert(stream->end == HTTP_STREAM_COMING);
    stream->end = HTTP_STREAM_BROKEN;
    stream->fault = fault;
    http_server_ready(conn->server, conn);
    http_conn_watch(conn);
}

void http_stream_expire(struct http_conn *conn)
{
    bool late = http_stream_reads(conn) && !list_linked(&conn->ready);
    http_conn_renew(conn);
    if (late)
        http_stream_break(conn, HTTP_FAULT_BODY_SLOW);
}

/* ---- What a handler may ask and say ---------------------------------------------------------- */

bool http_request_take_body(struct http_request *request, size_t body_bytes_max,
                            size_t window_bytes, http_stream_fn *fn)
{
    struct http_conn *conn = request->conn;
    struct http_parser *parser = &request->parser;
    assert(conn->state == HTTP_CONN_STREAM && !request->stream.fn && window_bytes > 0);
    if (parser->head.content_length > body_bytes_max) {
        http_conn_refuse(conn, HTTP_FAULT_BODY_LONG);
        return false;
    }
    parser->chunked.body_bytes_max = body_bytes_max;
    parser->request_bytes = 0; /* until its end was passed */
    request->stream = (struct http_stream){
        .fn = fn,
        .from = parser->head_bytes,
        .to = parser->head_bytes,
        .cap_max = parser->head_bytes + window_bytes,
        .left = parser->head.content_length,
        .since_bytes = request->len - parser->head_bytes,
    };
    /* RFC 9110 section 10.1.1: not needed when the client did not wait. */
    if (parser->head.expect_continue && request->len == parser->head_bytes)
        http_conn_transmit(conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"), SLICE_NULL);
    return true;
}

void http_request_consume(struct http_request *request, size_t len)
{
    struct http_stream *stream = &request->stream;
    assert(len <= stream->to - stream->from);
    stream->from += len;
}

void http_request_resume(struct http_request *request)
{
    struct http_conn *conn = request->conn;
    if (!conn || conn->state != HTTP_CONN_STREAM || !request->stream.paused)
        return;
    request->stream.paused = false;
    http_conn_renew(conn);
    http_server_ready(conn->server, conn);
}

enum http_stream_end http_request_body_end(const struct http_request *request)
{
    return request->stream.end;
}

const struct http_fault_info *http_request_body_fault(const struct http_request *request)
{
    return http_fault_info(request->stream.fault);
}
