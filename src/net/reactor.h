/* reactor.h - the loop: libevent's event base, the fixed order of a turn, timers, and the reap
 * list.
 *
 * A turn is: wait for events and run their callbacks (which record and enqueue), refresh the clock,
 * run the hooks in the order they were added (which decide and act, in batches), reap what died.
 * One reactor a process, one thread. [pgbouncer main.c, valkey beforeSleep]
 *
 * Nothing here may be called from another thread.
 */
#ifndef TROTLINE_NET_REACTOR_H
#define TROTLINE_NET_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hist.h"
#include "base/list.h"
#include "base/status.h"

struct reactor;
struct reactor_timer;
struct event_base;

/* A hook is called once in every turn. A timer's function is called once each time it fires. */
typedef void reactor_fn(void *arg);

/* Returns NULL when libevent cannot make a base; the reason is in errno. */
struct reactor *reactor_new(void);

/* Every timer must have been freed. Runs what is still on the reap list. Accepts NULL. */
void reactor_free(struct reactor *reactor);

/* For the files of net/ that register sockets with libevent. */
struct event_base *reactor_base(struct reactor *reactor);

/* Adds a hook behind those already there. `name` (static) is logged when a hook takes longer than
 * 20 ms. At most 16 hooks; more is a programmer's error. */
void reactor_add_hook(struct reactor *reactor, const char *name, reactor_fn *fn, void *arg);

/* Runs turns until reactor_stop(). ST_IO when libevent's loop fails. */
MUST_CHECK enum status reactor_run(struct reactor *reactor);

/* Ends reactor_run() after the present turn. */
void reactor_stop(struct reactor *reactor);

/* Makes sure that another turn follows this one at once instead of waiting for events: for a hook
 * that used up its quota, and for a callback's work that a hook must see. */
void reactor_wake(struct reactor *reactor);

/* ---- Timers: one shot, millisecond grain ----------------------------------------------------- */

/* Makes a disarmed timer. NULL when out of memory. */
struct reactor_timer *reactor_timer_new(struct reactor *reactor, reactor_fn *fn, void *arg);
/* Disarms and frees; may be called from the timer's own function. Accepts NULL. */
void reactor_timer_free(struct reactor_timer *timer);

/* Fires once, `in_ms` from now (0: in the next turn); replaces what was set before. */
void reactor_timer_set(struct reactor_timer *timer, uint64_t in_ms);
/* Disarms. No effect on a disarmed timer. */
void reactor_timer_cancel(struct reactor_timer *timer);
bool reactor_timer_armed(const struct reactor_timer *timer);

/* ---- Reaping: memory goes back at the end of the turn ---------------------------------------- */

/* Embedded in whatever dies asynchronously. Zero-initialised means "not on the list". */
struct reap {
    struct reap *next;
    void (*fn)(struct reap *reap);
    bool queued;
};

/* Calls fn(reap) at the end of this turn. Doing it twice for one object has no effect. */
void reactor_reap(struct reactor *reactor, struct reap *reap, void (*fn)(struct reap *reap));

/* ---- How the loop does ---------------------------------------------------------------------- */
struct reactor_stats {
    uint64_t turns;
    uint64_t slow_turns;   /* longer than 20 ms of work */
    uint64_t busy_us;      /* working, in all */
    uint64_t longest_us;   /* longest turn so far */
    uint64_t last_turn_us; /* work of the last whole turn */
    struct hist lag_us;    /* how late timers fired: how long anything due has to wait */
};
const struct reactor_stats *reactor_stats(const struct reactor *reactor);

#endif
