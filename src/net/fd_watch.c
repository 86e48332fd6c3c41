/* fd_watch.c - one libevent event per descriptor, in a table indexed by the descriptor.
 *
 *              want R            want W
 *    (idle) ----------> armed R --------> armed W ...    event_del + event_add: two list
 * operations, ^                  |                             one epoll_ctl at most (changelist)
 *       |    ready, but    | want 0, adopted: stays armed, costs nothing; the next request on the
 *       +--- nothing ------+ same connection finds it armed
 *            is wanted
 *
 * A kept connection idles for a moment between two requests and then waits for reading again, so
 * that its event can stay registered all its life: half an epoll_ctl less a delivery. Should it
 * become readable meanwhile (the peer closed it), the event is disarmed then; the library finds
 * out when it wants to use the connection.
 *
 * Staying armed is safe only if we hear of the close: a number that was closed behind our back is
 * soon somebody else's. libcurl announces the closing of sockets that it asked us to open
 * (CURLOPT_CLOSESOCKETFUNCTION), not that of its resolver's sockets; those are never adopted.
 */
#include "net/fd_watch.h"

#include <stdlib.h>

#include <event2/event.h>

struct watch {
    struct event *event;
    struct fd_watches *watches;
    void *owner;
    unsigned armed;  /* what libevent waits for */
    unsigned wanted; /* what the library waits for */
    bool adopted;
};

struct fd_watches {
    struct event_base *base;
    fd_watch_fn *fn;
    struct watch **table; /* by descriptor; NULL: not watched */
    int table_size;
};

struct fd_watches *fd_watches_new(struct reactor *reactor, fd_watch_fn *fn)
{
    struct fd_watches *watches = calloc(1, sizeof(*watches));
    if (!watches)
        return NULL;
    watches->base = reactor_base(reactor);
    watches->fn = fn;
    return watches;
}

void fd_watches_free(struct fd_watches *watches)
{
    if (!watches)
        return;
    for (int fd = 0; fd < watches->table_size; fd++)
        fd_watch_drop(watches, fd);
    free(watches->table);
    free(watches);
}

static void on_event(evutil_socket_t fd, short what, void *arg);

static bool arm(struct watch *watch, int fd, unsigned what)
{
    if (watch->armed == what)
        return true;
    if (watch->armed)
        event_del(watch->event);
    watch->armed = 0;
    if (what == 0)
        return true;
    struct fd_watches *watches = watch->watches;
    short events = EV_PERSIST;
    events |= what & FD_WATCH_READ ? EV_READ : 0;
    events |= what & FD_WATCH_WRITE ? EV_WRITE : 0;
    if (event_assign(watch->event, watches->base, fd, events, on_event, watch) != 0 ||
        event_add(watch->event, NULL) != 0)
        return false;
    watch->armed = what;
    return true;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;
    unsigned ready = 0;
    ready |= what & EV_READ ? FD_WATCH_READ : 0;
    ready |= what & EV_WRITE ? FD_WATCH_WRITE : 0;
    if (watch->wanted == 0)
        (void)arm(watch, fd, 0); /* disarming cannot fail */
    else
        watch->watches->fn(watch->owner, fd, ready); /* last: it may drop the watch */
}

static bool grow(struct fd_watches *watches, int fd)
{
    int size = watches->table_size ? watches->table_size : 64;
    while (size <= fd)
        size *= 2;
    struct watch **table = realloc(watches->table, (size_t)size * sizeof(struct watch *));
    if (!table)
        return false;
    for (int i = watches->table_size; i < size; i++)
        table[i] = NULL;
    watches->table = table;
    watches->table_size = size;
    return true;
}

/* The descriptor's watch, made if there is none; NULL when out of memory. */
static struct watch *find_or_make(struct fd_watches *watches, int fd)
{
    if (fd >= watches->table_size && !grow(watches, fd))
        return NULL;
    if (watches->table[fd])
        return watches->table[fd];
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->watches = watches;
    watch->event = event_new(watches->base, fd, EV_READ | EV_PERSIST, on_event, watch);
    if (!watch->event) {
        free(watch);
        return NULL;
    }
    watches->table[fd] = watch;
    return watch;
}

bool fd_watch_adopt(struct fd_watches *watches, int fd, void *owner)
{
    fd_watch_drop(watches, fd); /* a resolver's socket had the number, and left without a word */
    struct watch *watch = find_or_make(watches, fd);
    if (!watch)
        return false;
    watch->owner = owner;
    watch->adopted = true;
    return true;
}

bool fd_watch_want(struct fd_watches *watches, int fd, unsigned want, void *owner)
{
    bool known = fd < watches->table_size && watches->table[fd];
    if (want == 0 && !known)
        return true;
    struct watch *watch = find_or_make(watches, fd);
    if (!watch)
        return false;
    watch->owner = owner;
    watch->wanted = want;
    if (want != 0)
        return arm(watch, fd, want);
    if (!watch->adopted)
        fd_watch_drop(watches, fd);
    else if (watch->armed != FD_WATCH_READ) /* writable is true at once; readable only at the end */
        return arm(watch, fd, 0);
    return true;
}

void *fd_watch_owner(const struct fd_watches *watches, int fd)
{
    bool known = fd >= 0 && fd < watches->table_size && watches->table[fd];
    return known ? watches->table[fd]->owner : NULL;
}

void fd_watch_drop(struct fd_watches *watches, int fd)
{
    if (fd < 0 || fd >= watches->table_size || !watches->table[fd])
        return;
    event_free(watches->table[fd]->event); /* event_del included */
    free(watches->table[fd]);
    watches->table[fd] = NULL;
}
