/* fd_watch.h - watches descriptors that belong to a library, which says by number what it waits
 * for.
 *
 * Between libcurl's socket callback and libevent: one libevent event per descriptor, found by its
 * number, changed only when the interest really changes.
 */
#ifndef TROTLINE_NET_FD_WATCH_H
#define TROTLINE_NET_FD_WATCH_H

#include <stdbool.h>

#include "net/reactor.h"

enum { FD_WATCH_READ = 1, FD_WATCH_WRITE = 2 };

/* `owner` is what fd_watch_adopt or fd_watch_want was given last. The function may adopt, want and
 * drop any descriptor, this one too. */
typedef void fd_watch_fn(void *owner, int fd, unsigned ready);

struct fd_watches;

/* NULL when out of memory. `fn` is called from the loop, never from a function of this module. */
struct fd_watches *fd_watches_new(struct reactor *reactor, fd_watch_fn *fn);
/* Forgets all descriptors; closes none. Accepts NULL. */
void fd_watches_free(struct fd_watches *watches);

/* Says that the descriptor's closing will be announced with fd_watch_drop(). Only such a descriptor
 * stays registered while nothing is wanted of it. False when out of memory. */
bool fd_watch_adopt(struct fd_watches *watches, int fd, void *owner);

/* Sets what is waited for: FD_WATCH_READ, FD_WATCH_WRITE, both or 0. False when out of memory or
 * when libevent refuses. */
bool fd_watch_want(struct fd_watches *watches, int fd, unsigned want, void *owner);

/* NULL for a descriptor that is not watched. */
void *fd_watch_owner(const struct fd_watches *watches, int fd);

/* Before the descriptor is closed. No effect on an unknown one. */
void fd_watch_drop(struct fd_watches *watches, int fd);

#endif
