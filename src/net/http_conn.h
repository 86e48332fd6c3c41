/* http_conn.h - what the files of the HTTP server share: connection, request and server inside out.
 *
 * Private to http_server.c, http_accept.c, http_conn.c, http_input.c, http_stream.c, http_request.c
 * and http_reply.c. Everybody else includes net/http_server.h.
 */
#ifndef TROTLINE_NET_HTTP_CONN_H
#define TROTLINE_NET_HTTP_CONN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/http_parse.h"
#include "net/http_server.h"

struct event;

/* Each state but the last is a list of the server; see the picture in http_conn.c. */
enum http_conn_state {
    HTTP_CONN_IDLE,   /* no byte of a request */
    HTTP_CONN_HEAD,   /* part of a head */
    HTTP_CONN_BODY,   /* a head and part of its body */
    HTTP_CONN_STREAM, /* a request whose handler gets, or has just got, its body in pieces */
    HTTP_CONN_HELD,   /* a complete request, whose handler owes the answer */
    HTTP_CONN_WRITE,  /* answered; bytes are waiting for the client to read */
    HTTP_CONN_LINGER, /* our side is shut; reading until the client has seen that */
    HTTP_CONN_CLOSED  /* waiting to be reaped */
};
enum { HTTP_CONN_STATES = HTTP_CONN_CLOSED };

struct http_conn {
    struct http_server *server;
    struct event *event; /* the one event of the socket */
    struct list in_state;
    struct list ready;            /* linked while input waits that no event will announce */
    struct http_request *request; /* NULL when there is no byte of one */
    struct buf out;               /* what the kernel did not take at once; empty when all is sent */
    size_t out_at;                /* how much of it has been sent since */
    struct reap reap;
    uint64_t deadline_ms; /* of the present state */
    size_t lingered_bytes;
    int fd;
    short watched; /* what the event waits for: EV_READ, EV_WRITE */
    enum http_conn_state state;
    bool closing;    /* after the bytes that wait, close */
    bool eof;        /* the client has closed its side */
    bool input_full; /* held, and no room to read ahead */
};

enum { HTTP_ID_BYTES = 64, HTTP_FIRST_BYTES = 4096 };

/* A body in pieces; see the picture in http_stream.c. */
struct http_stream {
    http_stream_fn *fn; /* NULL: the body is none of these, or was not taken yet */
    size_t from, to;    /* the window, in the request's bytes */
    size_t cap_max;     /* of the request: head and window */
    uint64_t left;      /* of a body with a length: to come, behind `to` */
    size_t since_bytes; /* read since the deadline was set */
    enum http_stream_end end;
    enum http_fault fault;
    bool paused;
};

/* Belongs to its connection until it is handed to the handler, then to both: if the connection dies
 * it becomes an orphan, which lives until http_reply(). */
struct http_request {
    struct http_conn *conn;     /* NULL for an orphan */
    struct http_server *server; /* NULL for an orphan whose server is gone too */
    struct list node;           /* in the server's orphans or its pool of unused ones */
    char *bytes;                /* `first`, or allocated when that is too small */
    size_t cap;
    size_t len;
    size_t at; /* where the request begins in bytes; before it are those already answered */
    void *user;
    void (*on_gone)(void *user, struct http_request *request);
    size_t id_len;
    char id[HTTP_ID_BYTES];
    struct http_stream stream;
    struct http_parser parser;
    char first[HTTP_FIRST_BYTES];
};

/* How answers begin, up to the id. It is the same for most answers of a second. */
struct http_start {
    uint64_t date_s;
    int status;
    size_t len;
    char text[128];
};

struct http_server {
    struct reactor *reactor;
    struct http_server_options options;
    http_handler_fn *handler;
    void *arg;

    /* Connections by state. All of a state have the same timeout, so each list is sorted by
     * deadline and one timer, set to the earliest of the six first ones, serves any number of them.
     */
    struct list conns[HTTP_CONN_STATES];
    size_t populations[HTTP_CONN_STATES];
    uint64_t timeouts_ms[HTTP_CONN_STATES];
    struct reactor_timer *deadline_timer;
    uint64_t timer_at_ms; /* when it fires; 0 when disarmed */

    struct list ready; /* connections to process in the next turn */
    struct reactor_timer *ready_timer;

    struct list orphans;
    size_t orphan_count;
    struct list pool; /* unused requests */
    size_t pool_count;
    struct http_server_stats stats; /* buffered_bytes: capacity of all requests in use */

    struct http_conn *processing; /* whose handler is being called; its answers go to `batch` */
    struct buf batch;
    struct buf head; /* of the answer being written */

    int listen_fd;  /* -1 when not listening */
    int reserve_fd; /* given up to accept and close when descriptors run out */
    struct event *accept_event;
    struct reactor_timer *accept_timer; /* ends the pause after descriptors ran out */
    uint64_t accept_logged_ms;
    uint16_t port;
    bool draining;

    struct http_start start;
    uint64_t id_next;
    char id_prefix[17];
    char address[64];
};

/* ---- http_conn.c ----------------------------------------------------------------------------- */

/* Takes over `fd`. NULL when out of memory (the descriptor is then still the caller's). */
struct http_conn *http_conn_new(struct http_server *server, int fd);

/* The one function that ends a connection: idempotent, may be called from anywhere.
 * The memory goes back with the reactor's reap list. May call on_gone, as its last act. */
void http_conn_close(struct http_conn *conn);

/* Ends an idle connection as after a last answer: our side is shut, and what the client was just
 * sending is read and dropped, so that it sees an orderly end instead of a reset. */
void http_conn_dismiss(struct http_conn *conn);

/* The deadline of its state has passed. Leaves that state, or goes to the end of its list. */
void http_conn_expire(struct http_conn *conn);

/* Answers with the fault and closes behind it. May close at once. Calls nothing back. */
void http_conn_refuse(struct http_conn *conn, enum http_fault fault);

/* The request that a handler has got its answer: `head` and `body` are sent or queued. Calls
 * nothing back. */
void http_conn_answer(struct http_conn *conn, struct slice head, struct slice body);

/* True when the answer to the request that a handler has must be the connection's last. */
bool http_conn_must_close(const struct http_conn *conn);

/* Entering the present state again changes nothing: deadlines are absolute. */
void http_conn_enter(struct http_conn *conn, enum http_conn_state state);

/* The deadline of the present state begins anew. */
void http_conn_renew(struct http_conn *conn);

/* Makes the event wait for what the state needs. May close. */
void http_conn_watch(struct http_conn *conn);

/* After something was sent: writing on, closing, or ready for the next request. May close. */
void http_conn_settle(struct http_conn *conn);

/* Sends what the kernel takes and keeps the rest. Closes when the connection is broken. */
void http_conn_send(struct http_conn *conn, struct slice first, struct slice second);

/* The same, but through the batch while this connection is being processed. */
void http_conn_transmit(struct http_conn *conn, struct slice first, struct slice second);

/* -1 and errno as of read(2), 0 at the end of file. */
ssize_t http_conn_read(struct http_conn *conn, char *place, size_t room);

void http_conn_drop_request(struct http_conn *conn);

/* ---- http_input.c ---------------------------------------------------------------------------- */

/* Processes the input that is there. May call handlers. */
void http_conn_resume(struct http_conn *conn);

/* The socket has bytes, its end, or an error. May call handlers and on_gone. */
void http_conn_on_readable(struct http_conn *conn);

/* Whether the client of a held request that is not being read from has gone. May call on_gone. */
void http_conn_look(struct http_conn *conn);

/* ---- http_stream.c --------------------------------------------------------------------------- */

/* The head is complete: hands the request to the handler. May call it, and the stream's function.
 * True when it was answered and input of a next request is here. */
bool http_stream_begin(struct http_conn *conn);

/* Takes in what was read, and calls the function. The same result. */
bool http_stream_step(struct http_conn *conn);

/* No more will come: the function is told in the next turn. Calls nothing back. */
void http_stream_break(struct http_conn *conn, enum http_fault fault);

/* Does the stream want to be read? */
bool http_stream_reads(const struct http_conn *conn);

/* Makes room behind len. ST_NOMEM, ST_LIMIT. */
MUST_CHECK enum status http_stream_make_room(struct http_request *request);

/* `bytes` more were read. */
void http_stream_came(struct http_conn *conn, size_t bytes);

/* The deadline has passed. */
void http_stream_expire(struct http_conn *conn);

/* ---- http_request.c -------------------------------------------------------------------------- */

/* An empty request for the connection. NULL when the memory for requests is used up. */
struct http_request *http_request_acquire(struct http_server *server, struct http_conn *conn);
void http_request_release(struct http_request *request);

/* Makes room behind len: moves, or grows. Not for a request that a handler has. ST_NOMEM, ST_LIMIT.
 */
MUST_CHECK enum status http_request_make_room(struct http_request *request);

/* To that capacity, which is more than the present one. ST_NOMEM, ST_LIMIT. */
MUST_CHECK enum status http_request_grow(struct http_request *request, size_t cap);

/* Gives the complete request its id. */
void http_request_name(struct http_request *request);

/* Drops the complete request; what follows it becomes the next. False when nothing follows. */
bool http_request_next(struct http_request *request);

/* The client has gone: tells the handler, once. */
void http_request_gone(struct http_request *request);

/* ---- http_reply.c ---------------------------------------------------------------------------- */

/* Writes head and body of the answer to a fault into server->head (the body behind the head).
 * `request` may be NULL. */
void http_reply_fault(struct http_server *server, struct http_request *request,
                      enum http_fault fault);

/* ---- http_server.c --------------------------------------------------------------------------- */
void http_server_deadline(struct http_server *server, uint64_t at_ms);
void http_server_ready(struct http_server *server, struct http_conn *conn);

/* ---- http_accept.c --------------------------------------------------------------------------- */
void http_accept_stop(struct http_server *server);

#endif
