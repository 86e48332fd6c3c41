/* http_fixture.h - a server on the loop and clients on real sockets, in one process.
 *
 * The clients are plain sockets that never block. until() turns the loop, with a tick of a
 * millisecond so that it also turns when only the client has something to do, until a condition
 * holds, and fails the test after ten seconds.
 */
#ifndef TROTLINE_TESTS_HTTP_FIXTURE_H
#define TROTLINE_TESTS_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/http_server.h"

enum { HELD_MAX = 64, PATIENCE_MS = 10000 };

struct fixture {
    struct reactor *reactor;
    struct http_server *server;
    struct reactor_timer *tick;
    bool (*done)(void *arg);
    void *done_arg;
    uint64_t give_up_ms;
    bool gave_up;
    struct http_request *held[HELD_MAX]; /* of /hold, oldest first */
    int held_count;
    int gone;
    int answer_gone; /* on_gone answers at once */
    int handled;
    http_handler_fn *on_stream; /* of requests to /stream, with the options' streams; NULL: none */
};

struct client {
    int fd;
    struct buf in;
    bool eof;
    int error; /* errno of a failed recv, such as ECONNRESET */
};

/* ---- The server's side ---------------------------------------------------------------------- */

static inline void on_fixture_gone(void *user, struct http_request *request)
{
    struct fixture *f = user;
    f->gone++;
    for (int i = 0; f->answer_gone && i < f->held_count; i++) {
        if (f->held[i] == request) {
            http_reply_json(request, 499, SLICE("gone"));
            f->held[i] = f->held[--f->held_count];
            return;
        }
    }
}

/* /hold keeps the request, /big?N answers with N bytes, /status?N with that status, /drain starts
 * to drain; all others echo the body. */
static inline void fixture_handler(void *arg, struct http_request *request)
{
    struct fixture *f = arg;
    struct slice path = http_request_path(request);
    struct slice query = http_request_query(request);
    char number[16];
    snprintf(number, sizeof(number), "%.*s", SLICE_ARGS(query));
    f->handled++;
    if (f->on_stream && slice_eq(path, SLICE("/stream"))) {
        f->on_stream(f, request);
    } else if (slice_eq(path, SLICE("/hold"))) {
        assert_true(f->held_count < HELD_MAX);
        f->held[f->held_count++] = request;
        http_request_set_user(request, f, on_fixture_gone);
    } else if (slice_eq(path, SLICE("/big"))) {
        size_t len = (size_t)atol(number);
        char *body = malloc(len);
        assert_non_null(body);
        memset(body, 'b', len);
        http_reply_json(request, 200, slice_of(body, len));
        free(body);
    } else if (slice_eq(path, SLICE("/status"))) {
        http_reply(request, atoi(number), NULL, 0, SLICE("body"));
    } else {
        if (slice_eq(path, SLICE("/drain")))
            http_server_drain(f->server);
        http_reply_json(request, 200, http_request_body(request));
    }
}

/* Answers the oldest held request with its own body. */
static inline void answer_held(struct fixture *f)
{
    assert_true(f->held_count > 0);
    struct http_request *request = f->held[0];
    memmove(f->held, f->held + 1, sizeof(f->held[0]) * (size_t)--f->held_count);
    http_reply_json(request, 200, http_request_body(request));
}

static inline void on_fixture_hook(void *arg)
{
    struct fixture *f = arg;
    bool done = f->done && f->done(f->done_arg);
    f->gave_up = !done && clock_mono_ms() > f->give_up_ms;
    if (done || f->gave_up)
        reactor_stop(f->reactor);
}

static inline void on_fixture_tick(void *arg)
{
    struct fixture *f = arg;
    reactor_timer_set(f->tick, 1);
}

static inline struct http_server_options fixture_options(void)
{
    return (struct http_server_options){.address = "127.0.0.1",
                                        .connections_max = 100,
                                        .body_bytes_max = 1024 * 1024,
                                        .buffered_bytes_max = 8 * 1024 * 1024,
                                        .header_timeout_ms = 60000,
                                        .body_timeout_ms = 60000,
                                        .idle_timeout_ms = 60000,
                                        .write_timeout_ms = 60000};
}

static inline struct http_server *fixture_server(struct fixture *f,
                                                 struct http_server_options options)
{
    char error[200] = "";
    struct http_server *server = http_server_new(f->reactor, &options, fixture_handler, f);
    assert_non_null(server);
    if (http_server_listen(server, error, sizeof(error)) != ST_OK)
        fail_msg("%s", error);
    return server;
}

static inline void fixture_open(struct fixture *f, struct http_server_options options)
{
    *f = (struct fixture){.reactor = reactor_new()};
    assert_non_null(f->reactor);
    f->tick = reactor_timer_new(f->reactor, on_fixture_tick, f);
    assert_non_null(f->tick);
    reactor_add_hook(f->reactor, "test", on_fixture_hook, f);
    clock_expire();
    f->server = fixture_server(f, options);
}

static inline void fixture_close(struct fixture *f)
{
    http_server_free(f->server);
    reactor_timer_free(f->tick);
    reactor_free(f->reactor);
}

static inline bool turn_until(struct fixture *f, bool (*done)(void *arg), void *arg,
                              uint64_t patience_ms)
{
    clock_expire();
    f->done = done;
    f->done_arg = arg;
    f->give_up_ms = clock_mono_ms() + patience_ms;
    reactor_timer_set(f->tick, 0);
    assert_int_equal(reactor_run(f->reactor), ST_OK);
    clock_expire(); /* what the test does next happens now */
    return !f->gave_up;
}

/* ---- The client's side ---------------------------------------------------------------------- */

static inline struct client dial_address(const char *address, uint16_t port)
{
    struct client c = {.fd = -1};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    bool is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    if (!is_v6)
        assert_int_equal(inet_pton(AF_INET, address, &v4.sin_addr), 1);
    c.fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c.fd >= 0);
    int got = is_v6 ? connect(c.fd, (struct sockaddr *)&v6, sizeof(v6))
                    : connect(c.fd, (struct sockaddr *)&v4, sizeof(v4));
    assert_int_equal(got, 0); /* loopback: done by the kernel, accepted or not */
    assert_int_equal(fcntl(c.fd, F_SETFL, O_NONBLOCK), 0);
    buf_init(&c.in, 64 * 1024 * 1024);
    return c;
}

static inline struct client dial(const struct fixture *f)
{
    return dial_address("127.0.0.1", http_server_port(f->server));
}

static inline void hang_up(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_free(&c->in);
}

/* Goes away with a reset instead of an end of file. */
static inline void reset(struct client *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    hang_up(c);
}

/* Sends all of it: small enough for the socket's buffers. */
static inline void say(struct client *c, const char *text)
{
    assert_int_equal(send(c->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void hear(struct client *c)
{
    while (!c->eof && !c->error) {
        char *place = buf_reserve(&c->in, 64 * 1024);
        assert_non_null(place);
        ssize_t n = recv(c->fd, place, 64 * 1024, 0);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                c->error = errno;
            return;
        }
        c->in.len += (size_t)n;
        c->eof = n == 0;
    }
}

static inline int count_of(const struct client *c, const char *text)
{
    int count = 0;
    size_t len = strlen(text), at = 0;
    while (at + len <= c->in.len) {
        const char *found = memmem(c->in.ptr + at, c->in.len - at, text, len);
        if (!found)
            break;
        count++;
        at = (size_t)(found - c->in.ptr) + len;
    }
    return count;
}

/* ---- Conditions ----------------------------------------------------------------------------- */

struct expectation {
    struct fixture *f;
    struct client *c;
    const char *text;
    int count;
};

static inline bool heard(void *arg)
{
    struct expectation *e = arg;
    hear(e->c);
    return count_of(e->c, e->text) >= e->count;
}

static inline bool heard_end(void *arg)
{
    struct expectation *e = arg;
    hear(e->c);
    return e->c->eof || e->c->error;
}

static inline bool held_enough(void *arg)
{
    struct expectation *e = arg;
    return e->f->held_count >= e->count;
}

static inline bool gone_enough(void *arg)
{
    struct expectation *e = arg;
    return e->f->gone >= e->count;
}

static inline bool connections_are(void *arg)
{
    struct expectation *e = arg;
    return http_server_connections(e->f->server) == (size_t)e->count;
}

static inline bool never(void *arg)
{
    (void)arg;
    return false;
}

/* Turns until the client has heard `text` so many times. */
static inline void expect(struct fixture *f, struct client *c, const char *text, int count)
{
    struct expectation e = {f, c, text, count};
    if (!turn_until(f, heard, &e, PATIENCE_MS))
        fail_msg("expected %d times '%s', got:\n%.*s", count, text, SLICE_ARGS(buf_slice(&c->in)));
}

/* … until the server has closed, in order, and not with a reset. */
static inline void expect_end(struct fixture *f, struct client *c)
{
    struct expectation e = {f, c, NULL, 0};
    if (!turn_until(f, heard_end, &e, PATIENCE_MS))
        fail_msg("expected the end, got:\n%.*s", SLICE_ARGS(buf_slice(&c->in)));
    assert_int_equal(c->error, 0);
}

static inline void expect_held(struct fixture *f, int count)
{
    struct expectation e = {f, NULL, NULL, count};
    assert_true(turn_until(f, held_enough, &e, PATIENCE_MS));
}

static inline void expect_gone(struct fixture *f, int count)
{
    struct expectation e = {f, NULL, NULL, count};
    assert_true(turn_until(f, gone_enough, &e, PATIENCE_MS));
}

static inline void expect_connections(struct fixture *f, int count)
{
    struct expectation e = {f, NULL, NULL, count};
    assert_true(turn_until(f, connections_are, &e, PATIENCE_MS));
}

#endif
