/* http_accept.c - the listener: from the accept queue to connections.
 *
 * Accepts in a loop, at most ACCEPTS_MAX a turn so that a flood does not starve those already here.
 *
 * When descriptors run out (EMFILE, ENFILE), the listening socket stays readable, and a loop that
 * merely returned would spin. So accepting pauses and a timer tries again; each time it still does
 * not work, the reserve descriptor is given up for a moment to accept and close some of those that
 * wait: they learn at once that this replica cannot serve them. [relayd FD_RESERVE]
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/bound_socket.h"
#include "net/http_conn.h"

enum {
    ACCEPTS_MAX = 64, /* a turn */
    SHED_MAX = 16,    /* accepted and closed, each time descriptors have run out */
    PAUSE_MS = 100,
    LOG_EVERY_MS = 1000
};

static void open_reserve(struct http_server *server)
{
    if (server->reserve_fd < 0)
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Gives up the reserve to tell some clients that nobody will serve them. */
static void shed(struct http_server *server)
{
    for (int i = 0; i < SHED_MAX && server->reserve_fd >= 0; i++) {
        close(server->reserve_fd);
        server->reserve_fd = -1;
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        open_reserve(server);
        if (fd < 0)
            break;
    }
}

static void pause_accepting(struct http_server *server, int error)
{
    uint64_t now_ms = clock_mono_ms();
    if (server->accept_logged_ms == 0 || now_ms - server->accept_logged_ms >= LOG_EVERY_MS) {
        server->accept_logged_ms = now_ms;
        log_error("http.accept_failed", "errno=%d connections=%zu pause_ms=%d", error,
                  http_server_connections(server), PAUSE_MS);
    }
    if (error == EMFILE || error == ENFILE)
        shed(server);
    event_del(server->accept_event);
    reactor_timer_set(server->accept_timer, PAUSE_MS);
}

static void take(struct http_server *server, int fd)
{
    size_t count = http_server_connections(server);
    size_t max = server->options.connections_max;
    int on = 1;
    struct http_conn *conn = count < max + LIMIT_HTTP_REFUSED ? http_conn_new(server, fd) : NULL;
    if (!conn) {
        close(fd);
        return;
    }
    /* Answers are written whole, so waiting for more (Nagle) only delays them. A failure costs no
     * more than that. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (count >= max)
        http_conn_refuse(conn, HTTP_FAULT_CONNECTIONS);
}

/* True when a connection was taken, or one was lost before it could be. False and the error when
 * the queue is empty (EAGAIN) or accepting is impossible now. */
static bool accept_one(struct http_server *server, int *error)
{
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        take(server, fd);
        return true;
    }
    *error = errno;
    /* accept(2): errors of the new connection are reported here and concern only that one. */
    return *error != EAGAIN && *error != EMFILE && *error != ENFILE && *error != ENOBUFS &&
           *error != ENOMEM;
}

static void accept_some(struct http_server *server)
{
    int error = 0;
    int left = ACCEPTS_MAX;
    while (left > 0 && accept_one(server, &error))
        left--;
    if (left > 0 && error != EAGAIN)
        pause_accepting(server, error);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    accept_some(arg);
}

static void on_pause_over(void *arg)
{
    struct http_server *server = arg;
    open_reserve(server);
    if (event_add(server->accept_event, NULL) != 0)
        reactor_timer_set(server->accept_timer, PAUSE_MS);
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Registers the listener with the loop. */
static enum status start(struct http_server *server)
{
    open_reserve(server);
    if (!server->accept_timer)
        server->accept_timer = reactor_timer_new(server->reactor, on_pause_over, server);
    server->accept_event = event_new(reactor_base(server->reactor), server->listen_fd,
                                     EV_READ | EV_PERSIST, on_acceptable, server);
    if (!server->accept_timer || !server->accept_event ||
        event_add(server->accept_event, NULL) != 0)
        return ST_NOMEM;
    server->port = bound_socket_port(server->listen_fd);
    return ST_OK;
}

/* A listening socket in server->listen_fd. */
static enum status open_listener(struct http_server *server, char *error, size_t error_size)
{
    uint16_t port = server->options.port;
    enum status status = bound_socket_open(server->address, port, server->options.reuse_port,
                                           &server->listen_fd, error, error_size);
    if (status == ST_OK && listen(server->listen_fd, LIMIT_HTTP_BACKLOG) != 0) {
        snprintf(error, error_size, "cannot listen on %s port %u: %s", server->address,
                 (unsigned)port, strerror(errno));
        status = ST_IO;
    }
    return status;
}

enum status http_server_listen(struct http_server *server, char *error, size_t error_size)
{
    assert(server->listen_fd < 0);
    enum status status = open_listener(server, error, error_size);
    if (status == ST_OK && (status = start(server)) != ST_OK)
        snprintf(error, error_size, "cannot watch the listener: %s", status_text(status));
    if (status != ST_OK)
        http_accept_stop(server);
    return status;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stop_accepting(struct http_server *server)
{
    int error = 0;
    /* Bounded, for new ones may come as fast as they are taken. */
    for (int i = 0; server->listen_fd >= 0 && i < 2 * LIMIT_HTTP_BACKLOG; i++) {
        if (!accept_one(server, &error))
            break;
    }
    http_accept_stop(server);
}

void http_accept_stop(struct http_server *server)
{
    if (server->accept_event)
        event_free(server->accept_event);
    server->accept_event = NULL;
    reactor_timer_free(server->accept_timer);
    server->accept_timer = NULL;
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    server->listen_fd = -1;
    if (server->reserve_fd >= 0)
        close(server->reserve_fd);
    server->reserve_fd = -1;
    server->port = 0;
}
