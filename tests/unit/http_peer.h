/* http_peer.h - for tests: a target that answers by script, on the same loop as the sender.
 *
 * It reads requests (a header, and a body of Content-Length) and answers each with the next reply
 * of a list; the last reply is repeated. What came is kept. One peer listens on one free loopback
 * port. All in the header, because every test is one file.
 */
#ifndef TROTLINE_TESTS_HTTP_PEER_H
#define TROTLINE_TESTS_HTTP_PEER_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "base/list.h"
#include "net/reactor.h"

enum peer_then {
    PEER_KEEP,    /* wait for the next request */
    PEER_CLOSE,   /* close in order */
    PEER_RESET,   /* close with a reset */
    PEER_ENDLESS, /* repeat `again` until the client goes away */
    PEER_SILENT,  /* never answer again on this connection */
};

struct peer_reply {
    const char *text;
    enum peer_then then;
    const char *again; /* for PEER_ENDLESS */
};

struct peer {
    struct evconnlistener *listener;
    int port;
    const struct peer_reply *replies;
    size_t reply_count;
    size_t next_reply;
    size_t hold; /* nobody is answered before so many requests are waiting */
    bool close_on_accept;
    struct list conns;
    /* What was seen. */
    size_t connections; /* accepted, in all */
    size_t requests;
    size_t waiting; /* requests that are held */
    char *last;     /* the last request, whole */
    size_t last_len;
};

struct peer_conn {
    struct list node;
    struct peer *peer;
    struct bufferevent *io;
    enum peer_then then; /* what follows when the reply is written */
    const char *again;
    bool held;
};

static inline void peer_conn_close(struct peer_conn *conn)
{
    list_remove(&conn->node);
    bufferevent_free(conn->io);
    free(conn);
}

static inline void peer_answer(struct peer_conn *conn)
{
    struct peer *peer = conn->peer;
    const struct peer_reply *reply = &peer->replies[peer->next_reply];
    if (peer->next_reply + 1 < peer->reply_count)
        peer->next_reply++;
    conn->held = false;
    conn->then = reply->then;
    conn->again = reply->again;
    if (reply->text && reply->text[0])
        bufferevent_write(conn->io, reply->text, strlen(reply->text));
    else
        bufferevent_trigger(conn->io, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

/* Removes one request from the input and keeps it as the last one; false when it is not whole. */
static inline bool peer_take_request(struct peer_conn *conn)
{
    struct peer *peer = conn->peer;
    struct evbuffer *input = bufferevent_get_input(conn->io);
    size_t have = evbuffer_get_length(input);
    const char *bytes = (const char *)evbuffer_pullup(input, -1);
    const char *end = have ? memmem(bytes, have, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    size_t header_len = (size_t)(end - bytes) + 4;
    static const char name[] = "\r\nContent-Length: ";
    const char *length = memmem(bytes, header_len, name, sizeof(name) - 1);
    size_t len = header_len + (length ? strtoul(length + sizeof(name) - 1, NULL, 10) : 0);
    if (have < len)
        return false;
    free(peer->last);
    peer->last = malloc(len + 1);
    peer->last_len = len;
    if (!peer->last)
        abort();
    evbuffer_remove(input, peer->last, len);
    peer->last[len] = '\0';
    peer->requests++;
    return true;
}

static inline void peer_on_read(struct bufferevent *io, void *arg)
{
    (void)io;
    struct peer_conn *conn = arg;
    struct peer *peer = conn->peer;
    if (conn->held || conn->then != PEER_KEEP || !peer_take_request(conn))
        return;
    conn->held = true;
    if (++peer->waiting < peer->hold)
        return;
    peer->waiting = 0;
    LIST_FOREACH(node, &peer->conns)
    {
        struct peer_conn *other = CONTAINER_OF(node, struct peer_conn, node);
        if (other->held)
            peer_answer(other);
    }
}

static inline void peer_on_written(struct bufferevent *io, void *arg)
{
    struct peer_conn *conn = arg;
    struct linger reset = {.l_onoff = 1};
    switch (conn->then) {
    case PEER_KEEP:
    case PEER_SILENT:
        break;
    case PEER_ENDLESS:
        bufferevent_write(io, conn->again, strlen(conn->again));
        break;
    case PEER_RESET:
        setsockopt(bufferevent_getfd(io), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        peer_conn_close(conn);
        break;
    case PEER_CLOSE:
        peer_conn_close(conn);
        break;
    }
}

static inline void peer_on_end(struct bufferevent *io, short what, void *arg)
{
    (void)io;
    (void)what;
    peer_conn_close(arg);
}

static inline void peer_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
                                  struct sockaddr *from, int from_len, void *arg)
{
    (void)from;
    (void)from_len;
    struct peer *peer = arg;
    peer->connections++;
    if (peer->close_on_accept) {
        evutil_closesocket(fd);
        return;
    }
    struct peer_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        abort();
    conn->peer = peer;
    conn->io = bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!conn->io)
        abort();
    list_push_back(&peer->conns, &conn->node);
    bufferevent_setcb(conn->io, peer_on_read, peer_on_written, peer_on_end, conn);
    bufferevent_enable(conn->io, EV_READ | EV_WRITE);
}

/* Sets other replies, beginning with the first. They are borrowed. */
static inline void peer_script(struct peer *peer, const struct peer_reply *replies, size_t count)
{
    peer->replies = replies;
    peer->reply_count = count;
    peer->next_reply = 0;
}

/* Listens on 127.0.0.1; ends the program when it cannot. */
static inline void peer_start(struct peer *peer, struct reactor *reactor)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *peer = (struct peer){.hold = 1};
    list_init(&peer->conns);
    peer->listener = evconnlistener_new_bind(reactor_base(reactor), peer_on_accept, peer,
                                             LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 1024,
                                             (const struct sockaddr *)&address, sizeof(address));
    if (!peer->listener ||
        getsockname(evconnlistener_get_fd(peer->listener), (struct sockaddr *)&address, &len) != 0)
        abort();
    peer->port = ntohs(address.sin_port);
}

static inline void peer_close_connections(struct peer *peer)
{
    LIST_FOREACH(node, &peer->conns)
    peer_conn_close(CONTAINER_OF(node, struct peer_conn, node));
}

static inline void peer_stop(struct peer *peer)
{
    peer_close_connections(peer);
    if (peer->listener)
        evconnlistener_free(peer->listener);
    peer->listener = NULL;
    free(peer->last);
    peer->last = NULL;
}

#endif
