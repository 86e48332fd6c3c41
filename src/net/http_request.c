/* http_request.c - the memory of a request, and what a handler may ask it.
 *
 * A request exists from its first byte to its answer; an idle connection has none. It is one piece
 * of memory with room for 4 KiB of bytes and for all headers, taken from a pool (last in, first
 * out, so that it is warm in the cache), and so the usual request costs no allocation at all.
 * Larger ones get a buffer of their own, which doubles as bytes really arrive: a Content-Length of
 * many megabytes reserves nothing.
 *
 * All capacity in use counts against buffered_bytes_max.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/ascii.h"
#include "net/http_conn.h"

enum { POOL_MAX = 256 };

struct http_request *http_request_acquire(struct http_server *server, struct http_conn *conn)
{
    if (server->stats.buffered_bytes + HTTP_FIRST_BYTES > server->options.buffered_bytes_max)
        return NULL;
    struct list *node = list_pop_front(&server->pool);
    struct http_request *request;
    if (node) {
        server->pool_count--;
        request = CONTAINER_OF(node, struct http_request, node);
    } else {
        request = malloc(sizeof(*request));
        if (!request)
            return NULL;
        list_init(&request->node);
    }
    server->stats.buffered_bytes += HTTP_FIRST_BYTES;
    request->conn = conn;
    request->server = server;
    request->bytes = request->first;
    request->cap = HTTP_FIRST_BYTES;
    request->len = request->at = 0;
    request->user = NULL;
    request->on_gone = NULL;
    request->id_len = 0;
    request->stream.fn = NULL;
    http_parser_init(&request->parser, server->options.body_bytes_max);
    return request;
}

void http_request_release(struct http_request *request)
{
    struct http_server *server = request->server;
    list_remove(&request->node);
    if (request->bytes != request->first)
        free(request->bytes);
    if (!server) {
        free(request);
        return;
    }
    server->stats.buffered_bytes -= request->cap;
    if (server->pool_count >= POOL_MAX) {
        free(request);
        return;
    }
    list_push_front(&server->pool, &request->node);
    server->pool_count++;
}

/* ---- Room ------------------------------------------------------------------------------------ */

static size_t next_cap(const struct http_request *request)
{
    size_t cap = request->cap * 2; /* at most twice a head and a body */
    uint64_t expected = http_parser_expected_bytes(&request->parser);
    return expected > request->cap && expected < cap ? (size_t)expected : cap;
}

enum status http_request_grow(struct http_request *request, size_t cap)
{
    struct http_server *server = request->server;
    if (server->stats.buffered_bytes + (cap - request->cap) > server->options.buffered_bytes_max)
        return ST_LIMIT;
    char *bytes = malloc(cap);
    if (!bytes)
        return ST_NOMEM;
    memcpy(bytes, request->bytes, request->len);
    http_parser_rebase(&request->parser, request->bytes, bytes);
    if (request->bytes != request->first)
        free(request->bytes);
    server->stats.buffered_bytes += cap - request->cap;
    request->bytes = bytes;
    request->cap = cap;
    return ST_OK;
}

enum status http_request_make_room(struct http_request *request)
{
    if (request->at > 0 && request->cap - request->len < request->cap / 4) {
        char *from = request->bytes + request->at;
        memmove(request->bytes, from, request->len - request->at);
        http_parser_rebase(&request->parser, from, request->bytes);
        request->len -= request->at;
        request->at = 0;
    }
    return request->len < request->cap ? ST_OK : http_request_grow(request, next_cap(request));
}

bool http_request_next(struct http_request *request)
{
    request->at += request->parser.request_bytes;
    request->user = NULL;
    request->on_gone = NULL;
    request->id_len = 0;
    request->stream.fn = NULL;
    http_parser_init(&request->parser, request->server->options.body_bytes_max);
    return request->at < request->len;
}

void http_request_gone(struct http_request *request)
{
    void (*on_gone)(void *user, struct http_request *request) = request->on_gone;
    request->on_gone = NULL;
    if (on_gone)
        on_gone(request->user, request);
}

/* ---- Its id ---------------------------------------------------------------------------------- */

static bool id_acceptable(struct slice id)
{
    if (id.len == 0 || id.len > HTTP_ID_BYTES)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!ascii_is_alnum(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* A random prefix of the server and a counter: unique over processes, and cheap. */
static void make_id(struct http_request *request)
{
    static const char hex[] = "0123456789abcdef";
    struct http_server *server = request->server;
    uint64_t number = ++server->id_next;
    size_t prefix_len = sizeof(server->id_prefix) - 1;
    memcpy(request->id, server->id_prefix, prefix_len);
    request->id[prefix_len] = '-';
    for (size_t i = 0; i < 8; i++, number >>= 4)
        request->id[prefix_len + 8 - i] = hex[number & 15];
    request->id_len = prefix_len + 9;
}

void http_request_name(struct http_request *request)
{
    struct slice name = SLICE("X-Request-Id");
    struct slice id = http_request_header(request, name);
    if (!id.ptr || !id_acceptable(id) || http_request_header_count(request, name) != 1) {
        make_id(request);
        return;
    }
    memcpy(request->id, id.ptr, id.len);
    request->id_len = id.len;
}

/* ---- What a handler may ask ------------------------------------------------------------------ */

enum http_method http_request_method(const struct http_request *request)
{
    return request->parser.head.method;
}

struct slice http_request_method_name(const struct http_request *request)
{
    return request->parser.head.method_name;
}

struct slice http_request_path(const struct http_request *request)
{
    return request->parser.head.path;
}

struct slice http_request_query(const struct http_request *request)
{
    return request->parser.head.query;
}

struct slice http_request_host(const struct http_request *request)
{
    return request->parser.head.host;
}

struct slice http_request_header(const struct http_request *request, struct slice name)
{
    const struct http_head *head = &request->parser.head;
    for (size_t i = 0; i < head->header_count; i++) {
        if (slice_eq_nocase(head->headers[i].name, name))
            return head->headers[i].value;
    }
    return SLICE_NULL;
}

size_t http_request_header_count(const struct http_request *request, struct slice name)
{
    const struct http_head *head = &request->parser.head;
    size_t count = 0;
    for (size_t i = 0; i < head->header_count; i++)
        count += slice_eq_nocase(head->headers[i].name, name);
    return count;
}

bool http_request_peer(const struct http_request *request, struct sockaddr_storage *peer)
{
    socklen_t len = sizeof(*peer);
    return request->conn && getpeername(request->conn->fd, (struct sockaddr *)peer, &len) == 0;
}

const struct http_header *http_request_headers(const struct http_request *request, size_t *count)
{
    *count = request->parser.head.header_count;
    return request->parser.head.headers;
}

struct slice http_request_body(const struct http_request *request)
{
    const struct http_parser *parser = &request->parser;
    const struct http_stream *stream = &request->stream;
    if (stream->fn)
        return slice_of(request->bytes + stream->from, stream->to - stream->from);
    return slice_of(request->bytes + request->at + parser->head_bytes, parser->body_bytes);
}

struct slice http_request_id(const struct http_request *request)
{
    return slice_of(request->id, request->id_len);
}

void http_request_set_user(struct http_request *request, void *user,
                           void (*on_gone)(void *user, struct http_request *request))
{
    request->user = user;
    request->on_gone = on_gone;
}
