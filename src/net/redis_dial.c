/* redis_dial.c - looks up, connects, reports.
 *
 *      start -> (next turn) begin --numeric, unix-----------------> connecting -> report, end
 *                             `----name----> looking up --address---^
 *
 * Numeric addresses go through getaddrinfo with AI_NUMERICHOST, which asks nobody. For a name, a
 * helper thread calls getaddrinfo, which blocks, and rings an eventfd. The lookup is an object of
 * its own with two holders, the thread and the dial; the last one to let go frees it, so a dial can
 * be cancelled while its thread still waits for a name server. A thread is started only for a name
 * and only when a connection is made; curl looks up names in the same way.
 *
 * libevent's evdns was rejected: it knows neither nsswitch.conf nor when it is safe to free its
 * base (cancelled requests call back later, through the base).
 */
#include "net/redis_dial.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"

struct lookup {
    atomic_int holders;
    int bell; /* eventfd; rung when the fields below are filled in */
    int error;
    struct addrinfo *found;
    char port[8];
    char host[];
};

struct redis_dial {
    struct reactor *reactor;
    redis_dial_fn *fn;
    void *arg;
    unsigned attempt;
    bool is_unix;
    char port[8];
    struct reactor_timer *begin;
    struct lookup *lookup;
    struct event *looked_up;
    int fd; /* -1 while there is none */
    struct event *writable;
    struct reap death;
    char name[]; /* host or path */
};

_Static_assert(sizeof((struct sockaddr_un){0}.sun_path) == REDIS_UNIX_PATH_MAX + 1,
               "a path and its NUL");

/* ---- The end -------------------------------------------------------------------------------- */

static void lookup_put(struct lookup *lookup)
{
    if (!lookup || atomic_fetch_sub(&lookup->holders, 1) > 1)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    close(lookup->bell);
    free(lookup);
}

static void on_reap(struct reap *reap)
{
    free(CONTAINER_OF(reap, struct redis_dial, death));
}

/* Stops whatever is under way. The socket is closed unless it was taken (fd set to -1). */
static void dial_end(struct redis_dial *dial)
{
    reactor_timer_free(dial->begin);
    if (dial->looked_up)
        event_free(dial->looked_up);
    lookup_put(dial->lookup);
    if (dial->writable)
        event_free(dial->writable);
    if (dial->fd >= 0)
        close(dial->fd);
    reactor_reap(dial->reactor, &dial->death, on_reap);
}

static void report_error(struct redis_dial *dial, const char *what, const char *why)
{
    char text[256];
    redis_dial_fn *fn = dial->fn;
    void *arg = dial->arg;
    snprintf(text, sizeof(text), "%s: %s", what, why);
    dial_end(dial);
    fn(arg, -1, text);
}

static void report_connected(struct redis_dial *dial)
{
    redis_dial_fn *fn = dial->fn;
    void *arg = dial->arg;
    int fd = dial->fd;
    event_free(dial->writable); /* before the descriptor has another owner */
    dial->writable = NULL;
    dial->fd = -1;
    dial_end(dial);
    fn(arg, fd, "");
}

void redis_dial_cancel(struct redis_dial *dial)
{
    if (dial)
        dial_end(dial);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct redis_dial *dial = arg;
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error)
        report_error(dial, "cannot connect", strerror(error));
    else
        report_connected(dial);
}

/* Commands are small and wait for answers, so Nagle's algorithm would only delay them; keep-alive
 * finds a peer that vanished while nothing is outstanding. Neither is worth failing for. */
static void tune_tcp(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) != 0)
        log_warn("redis.socket_option_failed", "errno=%d", errno);
}

static void connect_to(struct redis_dial *dial, const struct sockaddr *address, socklen_t len)
{
    dial->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dial->fd < 0) {
        report_error(dial, "cannot make a socket", strerror(errno));
        return;
    }
    if (!dial->is_unix)
        tune_tcp(dial->fd);
    /* A unix socket whose backlog is full answers EAGAIN: an error like others, as nothing tells
     * when there is room again. */
    if (connect(dial->fd, address, len) != 0 && errno != EINPROGRESS) {
        report_error(dial, "cannot connect", strerror(errno));
        return;
    }
    dial->writable = event_new(reactor_base(dial->reactor), dial->fd, EV_WRITE, on_writable, dial);
    if (!dial->writable || event_add(dial->writable, NULL) != 0)
        report_error(dial, "cannot connect", "out of memory");
}

static void connect_to_one(struct redis_dial *dial, const struct addrinfo *all)
{
    unsigned count = 0;
    for (const struct addrinfo *info = all; info; info = info->ai_next)
        count++;
    assert(count > 0); /* a lookup that succeeds finds at least one */
    for (unsigned skip = dial->attempt % count; skip > 0; skip--)
        all = all->ai_next;
    connect_to(dial, all->ai_addr, all->ai_addrlen);
}

/* ---- Looking up ----------------------------------------------------------------------------- */

static void *lookup_thread(void *arg)
{
    struct lookup *lookup = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    lookup->error = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
    eventfd_write(lookup->bell, 1); /* cannot fail: the counter is 0 */
    lookup_put(lookup);
    return NULL;
}

static struct lookup *lookup_new(const char *host, const char *port)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup) + strlen(host) + 1);
    if (!lookup)
        return NULL;
    memcpy(lookup->host, host, strlen(host));
    memcpy(lookup->port, port, sizeof(lookup->port));
    atomic_init(&lookup->holders, 1);
    lookup->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lookup->bell < 0) {
        free(lookup);
        return NULL;
    }
    return lookup;
}

/* The thread takes no signals: they are the loop's. */
static int lookup_run(struct lookup *lookup)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add(&lookup->holders, 1);
    int error = pthread_create(&thread, NULL, lookup_thread, lookup);
    if (error)
        atomic_fetch_sub(&lookup->holders, 1);
    else
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void on_looked_up(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_dial *dial = arg;
    event_del(dial->looked_up);
    if (dial->lookup->error != 0)
        report_error(dial, "cannot look up the host", gai_strerror(dial->lookup->error));
    else
        connect_to_one(dial, dial->lookup->found);
}

static void look_up(struct redis_dial *dial)
{
    dial->lookup = lookup_new(dial->name, dial->port);
    if (dial->lookup)
        dial->looked_up =
            event_new(reactor_base(dial->reactor), dial->lookup->bell, EV_READ, on_looked_up, dial);
    if (!dial->looked_up || event_add(dial->looked_up, NULL) != 0) {
        report_error(dial, "cannot look up the host", "out of memory or descriptors");
        return;
    }
    int error = lookup_run(dial->lookup);
    if (error)
        report_error(dial, "cannot look up the host", strerror(error));
}

/* ---- The beginning -------------------------------------------------------------------------- */

static void on_begin(void *arg)
{
    struct redis_dial *dial = arg;
    if (dial->is_unix) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        if (strlen(dial->name) > REDIS_UNIX_PATH_MAX) {
            report_error(dial, "cannot connect", "the socket's path is too long");
            return;
        }
        memcpy(address.sun_path, dial->name, strlen(dial->name));
        connect_to(dial, (const struct sockaddr *)&address, sizeof(address));
        return;
    }
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *numeric;
    if (getaddrinfo(dial->name, dial->port, &hints, &numeric) != 0) {
        look_up(dial);
        return;
    }
    connect_to_one(dial, numeric);
    freeaddrinfo(numeric);
}

struct redis_dial *redis_dial_start(struct reactor *reactor, const char *host, uint16_t port,
                                    const char *unix_path, unsigned attempt, redis_dial_fn *fn,
                                    void *arg)
{
    const char *name = unix_path ? unix_path : host;
    struct redis_dial *dial = calloc(1, sizeof(*dial) + strlen(name) + 1);
    if (!dial)
        return NULL;
    *dial = (struct redis_dial){.reactor = reactor,
                                .fn = fn,
                                .arg = arg,
                                .attempt = attempt,
                                .is_unix = unix_path != NULL,
                                .fd = -1};
    memcpy(dial->name, name, strlen(name));
    snprintf(dial->port, sizeof(dial->port), "%u", (unsigned)port);
    dial->begin = reactor_timer_new(reactor, on_begin, dial);
    if (!dial->begin) {
        free(dial);
        return NULL;
    }
    reactor_timer_set(dial->begin, 0);
    return dial;
}
