/* http_server.c - the server as a whole: its connections by state, their deadlines, its end.
 *
 * Deadlines cost no timer a connection. All connections of a state have the same timeout, so a list
 * to whose end they are added is sorted by deadline, and only its first one needs to be looked at.
 * One timer is set to the earliest of all; it is never moved back when that connection leaves its
 * state in time, but fires once for nothing and finds the next: so the usual request touches no
 * timer.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/http_conn.h"

enum {
    HEAD_BYTES_MAX = 256 * 1024, /* of an answer; more headers than that are a fault of ours */
    LOOK_EVERY_MS = 500          /* after clients of held requests that are not read from */
};

static struct http_conn *first_of(const struct list *list)
{
    return CONTAINER_OF(list->next, struct http_conn, in_state);
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

void http_server_deadline(struct http_server *server, uint64_t at_ms)
{
    if (server->timer_at_ms != 0 && server->timer_at_ms <= at_ms)
        return;
    uint64_t now_ms = clock_mono_ms();
    server->timer_at_ms = at_ms;
    reactor_timer_set(server->deadline_timer, at_ms > now_ms ? at_ms - now_ms : 1);
}

static void on_deadline(void *arg)
{
    struct http_server *server = arg;
    uint64_t now_ms = clock_mono_ms();
    server->timer_at_ms = 0;
    for (int state = 0; state < HTTP_CONN_STATES; state++) {
        struct list *list = &server->conns[state];
        while (!list_empty(list) && first_of(list)->deadline_ms <= now_ms)
            http_conn_expire(first_of(list)); /* leaves the list, or joins its end */
        if (!list_empty(list))
            http_server_deadline(server, first_of(list)->deadline_ms);
    }
}

/* ---- Connections with input that no event announces ------------------------------------------ */

void http_server_ready(struct http_server *server, struct http_conn *conn)
{
    if (list_linked(&conn->ready))
        return;
    list_push_back(&server->ready, &conn->ready);
    if (!reactor_timer_armed(server->ready_timer))
        reactor_timer_set(server->ready_timer, 0);
}

static void on_ready(void *arg)
{
    struct http_server *server = arg;
    struct list todo;
    struct list *node;
    list_init(&todo); /* those that become ready again wait for the next turn */
    while ((node = list_pop_front(&server->ready)))
        list_push_back(&todo, node);
    while ((node = list_pop_front(&todo)))
        http_conn_resume(CONTAINER_OF(node, struct http_conn, ready));
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

static bool take_options(struct http_server *server, const struct http_server_options *options)
{
    assert(options->connections_max > 0 && options->body_bytes_max > 0 &&
           options->buffered_bytes_max > 0 && options->header_timeout_ms > 0 &&
           options->body_timeout_ms > 0 && options->idle_timeout_ms > 0 &&
           options->write_timeout_ms > 0);
    server->options = *options;
    server->options.address = NULL;
    /* A longer one is no numeric address; cut, it is still none. */
    snprintf(server->address, sizeof(server->address), "%s", options->address);
    server->timeouts_ms[HTTP_CONN_IDLE] = options->idle_timeout_ms;
    server->timeouts_ms[HTTP_CONN_HEAD] = options->header_timeout_ms;
    server->timeouts_ms[HTTP_CONN_BODY] = options->body_timeout_ms;
    server->timeouts_ms[HTTP_CONN_STREAM] = options->body_timeout_ms;
    server->timeouts_ms[HTTP_CONN_HELD] = LOOK_EVERY_MS;
    server->timeouts_ms[HTTP_CONN_WRITE] = options->write_timeout_ms;
    server->timeouts_ms[HTTP_CONN_LINGER] = LIMIT_HTTP_LINGER_MS;

    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return false;
    snprintf(server->id_prefix, sizeof(server->id_prefix), "%016" PRIx64, random);
    return true;
}

struct http_server *http_server_new(struct reactor *reactor,
                                    const struct http_server_options *options,
                                    http_handler_fn *handler, void *arg)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return NULL;
    server->reactor = reactor;
    server->handler = handler;
    server->arg = arg;
    server->listen_fd = server->reserve_fd = -1;
    for (int i = 0; i < HTTP_CONN_STATES; i++)
        list_init(&server->conns[i]);
    list_init(&server->ready);
    list_init(&server->orphans);
    list_init(&server->pool);
    buf_init(&server->head, HEAD_BYTES_MAX);
    buf_init(&server->batch, SIZE_MAX / 2);
    server->deadline_timer = reactor_timer_new(reactor, on_deadline, server);
    server->ready_timer = reactor_timer_new(reactor, on_ready, server);
    if (!server->deadline_timer || !server->ready_timer || !take_options(server, options)) {
        http_server_free(server);
        return NULL;
    }
    return server;
}

/* True when bytes have arrived that the loop has not announced yet. */
static bool input_waits(const struct http_conn *conn)
{
    char byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void http_server_drain(struct http_server *server)
{
    server->draining = true;
}

size_t http_server_dismiss_idle(struct http_server *server, uint64_t idle_ms)
{
    uint64_t now_ms = clock_mono_ms();
    LIST_FOREACH(node, &server->conns[HTTP_CONN_IDLE])
    {
        struct http_conn *conn = CONTAINER_OF(node, struct http_conn, in_state);
        uint64_t since_ms = conn->deadline_ms - server->timeouts_ms[HTTP_CONN_IDLE];
        if (since_ms + idle_ms > now_ms)
            break; /* and so are all behind it */
        if (!input_waits(conn))
            http_conn_dismiss(conn);
    }
    return server->populations[HTTP_CONN_IDLE];
}

size_t http_server_open_requests(const struct http_server *server)
{
    return server->populations[HTTP_CONN_HEAD] + server->populations[HTTP_CONN_BODY] +
           server->populations[HTTP_CONN_STREAM] + server->populations[HTTP_CONN_HELD] +
           server->populations[HTTP_CONN_WRITE] + server->orphan_count;
}

size_t http_server_connections(const struct http_server *server)
{
    size_t count = 0;
    for (int i = 0; i < HTTP_CONN_STATES; i++)
        count += server->populations[i];
    return count;
}

const struct http_server_stats *http_server_stats(const struct http_server *server)
{
    return &server->stats;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    assert(!server->processing);
    http_accept_stop(server);
    while (http_server_connections(server) >
           0) { /* on_gone may answer another: its state changes */
        for (int i = 0; i < HTTP_CONN_STATES; i++) {
            if (!list_empty(&server->conns[i]))
                http_conn_close(first_of(&server->conns[i]));
        }
    }
    struct list *node;
    while ((node = list_pop_front(&server->orphans)))
        CONTAINER_OF(node, struct http_request, node)->server = NULL;
    while ((node = list_pop_front(&server->pool)))
        free(CONTAINER_OF(node, struct http_request, node));
    reactor_timer_free(server->deadline_timer);
    reactor_timer_free(server->ready_timer);
    buf_free(&server->head);
    buf_free(&server->batch);
    free(server);
}
