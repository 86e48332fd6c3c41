/* deadlines.h - many deadlines that keep being moved further away, and one timer for all.
 *
 * Each holder has one deadline for all its life and moves it whenever it begins something else. To
 * move it further away costs one store; only to move it nearer costs work in the heap.
 */
#ifndef TROTLINE_NET_DEADLINES_H
#define TROTLINE_NET_DEADLINES_H

#include "base/heap.h"
#include "net/reactor.h"

#define DEADLINE_NEVER UINT64_MAX

/* Embedded in what has it. Zero-initialised it is not set. */
struct deadline {
    struct heap_node node; /* its key is no later than `at_ms`; not linked: never */
    uint64_t at_ms;        /* monotonic */
};

/* May set, clear and free any deadline, the one that passed (it is not set any more) too. */
typedef void deadlines_fn(void *arg, struct deadline *passed);

/* Embedded. */
struct deadlines {
    struct reactor_timer *timer;
    struct heap heap;
    deadlines_fn *fn;
    void *arg;
    uint64_t timer_at_ms; /* when the timer fires; DEADLINE_NEVER: it is not armed */
};

/* `fn` is called from the loop, some milliseconds after a deadline at the latest (unless the loop
 * is late, or very many have passed), never before it. False when out of memory. */
MUST_CHECK bool deadlines_init(struct deadlines *deadlines, struct reactor *reactor,
                               deadlines_fn *fn, void *arg);
/* Forgets those that are set. Accepts a zero-initialised struct. */
void deadlines_deinit(struct deadlines *deadlines);

/* Sets or moves it. DEADLINE_NEVER: to the end of time. */
void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t at_ms);

/* Before its holder is freed. No effect when it is not set. */
void deadlines_clear(struct deadlines *deadlines, struct deadline *deadline);

#endif
