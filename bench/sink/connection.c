/* connection.c - reads requests, has them counted, and answers as their class does.
 *
 *   reading --request--> waiting (in its class's `delayed`) --due--> reading
 *      |
 *      +--request of a class that hangs--> silent, until the peer closes it
 *
 * One fixed buffer each, for the head and as much of the body as the stamps stand in. The requests
 * are trusted as far as a benchmark may: HTTP/1.1, a Content-Length, no chunks. What is not so
 * closes its connection and is counted as broken, for a figure with broken requests is none.
 */
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../stamp.h"
#include "tls.h"

enum { BUFFER_BYTES = 64 * 1024 };

struct connection {
    int fd;
    struct tls_session *tls; /* NULL: http */
    bool silent;
    struct path_class *waiting; /* NULL: not */
    uint64_t due_ns;
    struct connection *next, **before; /* in its class's list; *before points here */
    size_t len;                        /* bytes in `in` */
    size_t skip; /* bytes of a body that are still to come and of no interest */
    char in[BUFFER_BYTES];
};

uint64_t connections_broken;
static void (*on_request)(struct path_class *class, const char *body, size_t len);

void connections_init(void (*count)(struct path_class *class, const char *body, size_t len))
{
    on_request = count;
}

static void delay_begin(struct connection *connection, struct path_class *class, uint64_t due_ns)
{
    connection->waiting = class;
    connection->due_ns = due_ns;
    connection->next = NULL;
    connection->before = class->last;
    *class->last = connection;
    class->last = &connection->next;
}

/* `class` is the one it waits in. */
static void delay_end(struct connection *connection, struct path_class *class)
{
    *connection->before = connection->next;
    if (connection->next)
        connection->next->before = connection->before;
    else
        class->last = connection->before;
    connection->waiting = NULL;
}

struct connection *connection_new(int fd, bool is_tls)
{
    struct connection *connection = malloc(sizeof *connection);
    if (!connection) {
        perror("malloc");
        exit(1);
    }
    connection->fd = fd;
    connection->tls = is_tls ? tls_session_new(fd) : NULL;
    connection->len = connection->skip = 0;
    connection->silent = false;
    connection->waiting = NULL;
    return connection;
}

void connection_close(struct connection *connection)
{
    if (connection->waiting)
        delay_end(connection, connection->waiting);
    tls_session_free(connection->tls);
    close(connection->fd); /* which takes it out of the epoll, too */
    free(connection);
}

/* ---- requests ------------------------------------------------------------------------------ */

/* The Content-Length in a head, or -1. */
static long content_length(const char *head, size_t len)
{
    static const char name[] = "\r\ncontent-length:";
    size_t name_len = sizeof name - 1;
    for (const char *at = head; (at = memchr(at, '\r', len - (size_t)(at - head))); at++) {
        if (len - (size_t)(at - head) < name_len)
            break;
        if (strncasecmp(at, name, name_len) == 0) {
            char *end;
            long value = strtol(at + name_len, &end, 10);
            return *end == '\r' && value >= 0 ? value : -1;
        }
    }
    return -1;
}

/* Takes one request from the buffer. 1: taken; 0: not all there; -1: not what we understand. */
static int request_take(struct connection *connection, struct path_class **class)
{
    char *end = memmem(connection->in, connection->len, "\r\n\r\n", 4);
    if (!end)
        return connection->len == BUFFER_BYTES ? -1 : 0;
    size_t head = (size_t)(end - connection->in) + 4;
    long length = content_length(connection->in, head);
    if (length < 0)
        return -1;
    size_t body = connection->len - head;
    if (body < (size_t)length && connection->len < BUFFER_BYTES)
        return 0;
    if (body > (size_t)length)
        body = (size_t)length;
    *class = path_class_find(connection->in, head);
    on_request(*class, connection->in + head, body);
    connection->skip = (size_t)length - body;
    connection->len -= head + body;
    memmove(connection->in, connection->in + head + body, connection->len);
    return 1;
}

/* False when it could not be written, which would need a peer that sends thousands of requests
 * without reading. */
static bool answer_write(const struct connection *connection, const struct behaviour *behaviour)
{
    const char *answer = behaviour->answer;
    size_t len = behaviour->answer_len;
    ssize_t n = connection->tls ? tls_write(connection->tls, answer, len)
                                : write(connection->fd, answer, len);
    return n == (ssize_t)len;
}

/* Does what the class does with a request; false when the connection is to be closed. */
static bool request_answer(struct connection *connection, struct path_class *class)
{
    const struct behaviour *behaviour = path_class_behaviour(class);
    if (behaviour->kind == HANG) {
        connection->silent = true;
        return true;
    }
    if (behaviour->kind == RESET) {
        struct linger none = {.l_onoff = 1};
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        return false;
    }
    if (behaviour->delay_ns > 0) {
        delay_begin(connection, class, stamp_now_ns() + behaviour->delay_ns);
        return true;
    }
    if (answer_write(connection, behaviour))
        return true;
    connections_broken++;
    return false;
}

/* Takes and answers what is in the buffer; false when the connection is to be closed. */
static bool requests_serve(struct connection *connection)
{
    struct path_class *class;
    int taken = 1;
    while (taken > 0 && connection->skip == 0 && connection->len > 0 && !connection->silent &&
           !connection->waiting) {
        taken = request_take(connection, &class);
        if (taken > 0 && !request_answer(connection, class))
            return false;
    }
    connections_broken += taken < 0;
    return taken >= 0;
}

/* Reads once and answers; false when the connection has ended. */
static bool input_serve(struct connection *connection)
{
    if (connection->silent)
        connection->len = 0;
    if (connection->len == BUFFER_BYTES)
        return false; /* it sends on and on without waiting for a delayed answer */
    char *at = connection->in + connection->len;
    size_t room = BUFFER_BYTES - connection->len;
    ssize_t n =
        connection->tls ? tls_read(connection->tls, at, room) : read(connection->fd, at, room);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    size_t skipped = connection->skip < (size_t)n ? connection->skip : (size_t)n;
    if (skipped > 0) { /* only while the buffer holds nothing else */
        memmove(connection->in, connection->in + skipped, (size_t)n - skipped);
        connection->skip -= skipped;
    }
    connection->len += (size_t)n - skipped;
    return requests_serve(connection);
}

bool connection_serve(struct connection *connection)
{
    do {
        if (!input_serve(connection))
            return false;
    } while (connection->tls && tls_has_more(connection->tls));
    return true;
}

/* ---- delayed answers ----------------------------------------------------------------------- */

int64_t connections_delayed_in_ns(void)
{
    int64_t next = -1, now = (int64_t)stamp_now_ns();
    for (unsigned i = 0; i < path_class_count; i++) {
        const struct connection *first = path_classes[i].delayed;
        if (!first)
            continue;
        int64_t in = (int64_t)first->due_ns > now ? (int64_t)first->due_ns - now : 0;
        if (next < 0 || in < next)
            next = in;
    }
    return next;
}

void connections_answer_delayed(void)
{
    uint64_t now = stamp_now_ns();
    for (unsigned i = 0; i < path_class_count; i++) {
        struct path_class *class = &path_classes[i];
        struct connection *first;
        while ((first = class->delayed) && first->due_ns <= now) {
            delay_end(first, class);
            if (!answer_write(first, &class->alive) || !requests_serve(first))
                connection_close(first);
        }
    }
}
