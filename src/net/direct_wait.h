/* direct_wait.h - the requests that wait at an origin for a connection, and how many connects are
 * to be under way for them. It only counts and orders: it connects nothing and knows no time.
 */
#ifndef TROTLINE_NET_DIRECT_WAIT_H
#define TROTLINE_NET_DIRECT_WAIT_H

#include "base/list.h"

#include <stdint.h>

enum {
    /* Connects under way at one origin: */
    DIRECT_CONNECTS_FIRST = 16, /* to begin with */
    DIRECT_CONNECTS_MIN = 2,    /* however dear they are */
    DIRECT_CONNECTS_MAX = 128   /* however many are wanted */
};

/* Embedded in what waits. Initialise it with list_init(). */
struct direct_waiter {
    struct list node;
};

/* A connect under way. Embedded in what is connected. */
struct direct_try {
    struct list node;
    uint64_t freed_before; /* direct_wait.freed when it began */
};

/* Embedded in the origin. */
struct direct_wait {
    struct list insisting; /* struct direct_waiter: want a connection that was just made */
    struct list waiters;   /* struct direct_waiter: want any; both in the order they came */
    size_t waiting;        /* of both kinds */
    struct list tries;     /* struct direct_try, in the order they began */
    size_t trying;
    size_t tries_max;
    bool failing;   /* the last one that ended failed */
    uint64_t freed; /* times that a connection came free */
};

void direct_wait_init(struct direct_wait *wait);

void direct_wait_join(struct direct_wait *wait, struct direct_waiter *waiter, bool insists);
/* It has a connection, or gave up. No effect when it does not wait. */
void direct_wait_leave(struct direct_wait *wait, struct direct_waiter *waiter);

/* Whose turn it is, NULL: nobody's. For a connection that was just made: those who insist come
 * first. For one that came free they do not count. */
struct direct_waiter *direct_wait_first_for_made(const struct direct_wait *wait);
struct direct_waiter *direct_wait_first_for_freed(const struct direct_wait *wait);
/* The one that came last of those that want any, if there are such; else of those that insist.
 * Somebody must wait. */
struct direct_waiter *direct_wait_newest(const struct direct_wait *wait);

/* Is one more connect to begin? */
bool direct_wait_wants_try(const struct direct_wait *wait);
/* It begins. */
void direct_wait_try(struct direct_wait *wait, struct direct_try *attempt);
/* It ended with a connection, which is not given to anybody yet. `costly`: meanwhile the loop spent
 * much of its time on connects. */
void direct_wait_made(struct direct_wait *wait, struct direct_try *attempt, bool costly);
/* It ended without. Returns for how many of those that wait it was begun: they fail with it. */
size_t direct_wait_failed(struct direct_wait *wait, struct direct_try *attempt);
/* It is given up. No effect when it has ended. */
void direct_wait_drop(struct direct_wait *wait, struct direct_try *attempt);

/* A connection came free. */
static inline void direct_wait_freed(struct direct_wait *wait)
{
    wait->freed++;
}

/* The connect to be given up when somebody has given up waiting: the newest, if there are more of
 * them than waiters; else NULL. */
struct direct_try *direct_wait_surplus(const struct direct_wait *wait);
/* The oldest connect under way, or NULL. */
struct direct_try *direct_wait_oldest_try(const struct direct_wait *wait);

#endif
