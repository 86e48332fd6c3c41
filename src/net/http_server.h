/* http_server.h - an HTTP/1.1 server on the loop (RFC 9110, RFC 9112).
 *
 * The server hands over complete, valid requests and writes complete answers. What is not a valid
 * request, too large, too slow or too much it answers itself, with
 * `{"error":{"code":"…","message":"…"}}` (http_fault.c has the list), and closes the connection.
 *
 * Bounds: every request has an absolute deadline for its headers, its body and its answer, so a
 * client that sends or reads a byte a second is cut off. Requests of one connection are served one
 * after the other: a client that sends many ahead is read no further than one buffer while the
 * first one is being answered. The server closes with a lingering close (RFC 9112 section 9.6).
 *
 * Two servers may listen on one port when both say so (reuse_port, SO_REUSEPORT): each gets its
 * share of the connections.
 */
#ifndef TROTLINE_NET_HTTP_SERVER_H
#define TROTLINE_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/http_fault.h"
#include "net/http_head.h" /* enum http_method, struct http_header */
#include "net/reactor.h"

struct http_server;
struct http_request;
struct sockaddr_storage;

struct http_server_options {
    const char *address; /* numeric, IPv4 or IPv6; "::" takes IPv4 too. Only read during _new */
    uint16_t port;       /* 0: any free one, see http_server_port() */
    bool reuse_port;     /* share the port with other processes that say so too */

    /* At most so many at once. The newest beyond it gets 503 with Retry-After and is closed: to
     * leave it in the accept queue would let it hang, when another replica could have served it. */
    size_t connections_max;
    size_t body_bytes_max;     /* of one request; more is 413, before reading it if that is known */
    size_t buffered_bytes_max; /* memory for requests of all connections; more is 503 */

    uint64_t header_timeout_ms; /* first byte of a request to the end of its headers; then 408 */
    uint64_t body_timeout_ms;   /* end of the headers to the end of the body; then 408 */
    uint64_t idle_timeout_ms;   /* without a request, also before the first one; then closed */
    uint64_t write_timeout_ms;  /* to send what is waiting for a slow reader; then closed */

    /* Does this request get its body in pieces (http_request_take_body())? Asked once a request,
     * when its head is complete, and may look at nothing else. NULL: none does. */
    bool (*streams)(const struct http_request *request);
};

/* Called from the loop with a complete request, which must be answered exactly once with
 * http_reply(): now, from within, or later. Of a request that streams (options) the body has not
 * come yet: it must be answered, or its body taken, from within. */
typedef void http_handler_fn(void *arg, struct http_request *request);

/* Copies the options. All maxima and timeouts must be greater than 0. NULL when out of memory. The
 * reactor must outlive the server. */
struct http_server *http_server_new(struct reactor *reactor,
                                    const struct http_server_options *options,
                                    http_handler_fn *handler, void *arg);

/* Binds and listens. ST_SYNTAX when the address is not numeric, ST_IO when the system refuses,
 * ST_NOMEM; `error` then has a sentence for people. May be tried again. */
MUST_CHECK enum status http_server_listen(struct http_server *server, char *error,
                                          size_t error_size);

/* The port bound to; 0 when not listening. */
uint16_t http_server_port(const struct http_server *server);

/* A stop that loses no request (HTTP/1.1 has no other way to tell a client than in an answer):
 *
 *     drain           every answer says Connection: close; all else goes on
 *     stop_accepting  the accept queue is emptied and the listener closed
 *     dismiss_idle    again and again, until it and open_requests() return 0
 *
 * What was sent on an idle connection in the very moment in which we end it is not carried out. To
 * make that rare, one is only ended when its client has been silent for a while: a client at work
 * has had its Connection: close by then. [nginx keepalive_min_timeout, haproxy
 * idle-close-on-response, Envoy's drain] */

/* From now on every answer says Connection: close. */
void http_server_drain(struct http_server *server);

/* Takes every connection out of the accept queue, then closes the listener. Requests on these have
 * not been read yet. */
void http_server_stop_accepting(struct http_server *server);

/* Ends the connections that have been without a request for at least `idle_ms`, new ones included.
 * Returns how many idle ones are left. */
size_t http_server_dismiss_idle(struct http_server *server, uint64_t idle_ms);

/* Requests of which a byte has come and whose answer has not been handed to the kernel in full,
 * including those whose client has gone but whose handler still owes the answer. */
size_t http_server_open_requests(const struct http_server *server);

/* Open connections, with those that are only being refused or closed. */
size_t http_server_connections(const struct http_server *server);

struct http_server_stats {
    uint64_t replies[6];   /* by the status's first digit, 2 to 5; refusals of ours included */
    size_t buffered_bytes; /* memory that requests hold now */
};
const struct http_server_stats *http_server_stats(const struct http_server *server);

/* Closes everything at once. Requests with a handler stay valid until it answers them. Must not be
 * called from within a handler. Accepts NULL. */
void http_server_free(struct http_server *server);

/* ---- A request: everything is valid until http_reply() --------------------------------------- */
enum http_method http_request_method(const struct http_request *request);
struct slice http_request_method_name(const struct http_request *request);

/* Percent-encoded as received, begins with '/'; or "*" with OPTIONS. */
struct slice http_request_path(const struct http_request *request);

/* What stands behind the first '?'; SLICE_NULL without one. */
struct slice http_request_query(const struct http_request *request);

/* host[:port] the client meant: of the target if that is a URI, else of Host (RFC 9112
 * section 3.3). SLICE_NULL in an HTTP/1.0 request that has neither. */
struct slice http_request_host(const struct http_request *request);

/* The value of the first header of that name (any case), without white space around it; SLICE_NULL
 * when there is none. Where a second one would matter, look at the count. */
struct slice http_request_header(const struct http_request *request, struct slice name);
size_t http_request_header_count(const struct http_request *request, struct slice name);
const struct http_header *http_request_headers(const struct http_request *request, size_t *count);

/* Who is connected. False when the connection is gone. */
MUST_CHECK bool http_request_peer(const struct http_request *request,
                                  struct sockaddr_storage *peer);

/* The whole body, decoded; empty without one. The bytes belong to the request. Of a body in pieces:
 * what has come of it and was not consumed. */
struct slice http_request_body(const struct http_request *request);

/* For X-Request-Id: the client's if it is one of 1 to 64 characters of [A-Za-z0-9._-], else our
 * own. */
struct slice http_request_id(const struct http_request *request);

/* on_gone(user, request) is called at most once, from the loop, when the client has closed its side
 * or the connection broke before the answer. The answer is still owed and may be given from within
 * on_gone; it still goes out if the client only closed its sending side. Never called before this
 * returns, nor after the answer. */
void http_request_set_user(struct http_request *request, void *user,
                           void (*on_gone)(void *user, struct http_request *request));

/* ---- A body in pieces ------------------------------------------------------------------------ */

/* A request that streams goes to the handler when its head is complete. Then its body comes, and a
 * function is called, from the loop, whenever there is more of it. What has come lies in a window,
 * in one piece; the function consumes of it what it can use, and what it leaves stands at the
 * beginning of the window when it is called again. Reading stops while the window is full, and
 * while the function says so (back-pressure): the rest waits in the client.
 *
 * For a body in pieces everything that is a slice of the request (headers, path, body) is valid
 * only until the function, or the handler, returns: the bytes move.
 *
 * Deadline: each 64 KiB (LIMIT_HTTP_STREAM_BYTES) have as long as the whole body of another request
 * (body_timeout_ms), and the time during which nothing is read does not count. */
enum http_stream_next {
    HTTP_STREAM_MORE, /* call me when more has come; after the end: not at all */
    HTTP_STREAM_TURN, /* call me in the next turn: there is more here than a turn may take */
    HTTP_STREAM_PAUSE /* read nothing and call me when http_request_resume() is called */
};
enum http_stream_end {
    HTTP_STREAM_COMING,
    HTTP_STREAM_COMPLETE, /* the window has the rest */
    HTTP_STREAM_BROKEN    /* no more will come, although more should: http_request_body_fault() */
};

/* May answer the request; what it returns then does not matter. Must not say MORE while the window
 * is full (asserted). After it said MORE at the end of the body the answer is still owed. */
typedef enum http_stream_next http_stream_fn(void *user, struct http_request *request);

/* From within the handler only: answers `Expect: 100-continue` and begins; `user` is that of
 * http_request_set_user(). False: the body is known to be longer than body_bytes_max; the request
 * was answered (413) and is gone. A body that turns out longer later is broken. The window has room
 * for at least `window_bytes` of it. */
MUST_CHECK bool http_request_take_body(struct http_request *request, size_t body_bytes_max,
                                       size_t window_bytes, http_stream_fn *fn);

/* From within the function: the first `len` bytes of the window are done with. */
void http_request_consume(struct http_request *request, size_t len);

/* Ends the pause: the function is called in the next turn. From anywhere, calls nothing back; does
 * nothing when there is no pause or the client has gone. */
void http_request_resume(struct http_request *request);

enum http_stream_end http_request_body_end(const struct http_request *request);

/* Why the body is broken. Static memory. */
const struct http_fault_info *http_request_body_fault(const struct http_request *request);

/* ---- The answer ------------------------------------------------------------------------------ */

/* Exactly once a request, which is invalid afterwards. Copies what it needs; calls nothing back;
 * does nothing when the client has gone. `status` is 200 to 599. Adds Date, X-Request-Id,
 * Content-Length and Connection, which must not be among the headers; their names must be tokens
 * and values without control characters (asserted: outside text must be checked before). HEAD gets
 * no body but the length of `body`; 204 and 304 get neither. */
void http_reply(struct http_request *request, int status, const struct http_header *headers,
                size_t header_count, struct slice body);

/* The same with Content-Type: application/json. */
void http_reply_json(struct http_request *request, int status, struct slice body);

#endif
