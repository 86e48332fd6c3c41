/* deadlines.c - deadlines in a heap, by a time that may be earlier than the real one.
 *
 *      set at 10:15         moved to 10:40          10:15: found to be early      10:40: passed
 *      key 10:15  --------> key 10:15   ----------> key 10:40       ------------> fn()
 *      at  10:15            at  10:40               at  10:40
 *
 * A connection that is used all the time has its deadline moved twice a request, and looked at once
 * in as long as the deadline is away: a thousand requests under way with a timeout of 15 s cost 67
 * looks a second, however many requests that are.
 *
 * What began together ends together, and to close a connection costs some 30 µs (far more with
 * TLS). So a turn has room for so many that pass; the others wait for the next, which follows at
 * once.
 *
 * Rejected: a libevent timer each (a heap operation and often a timer of the kernel's for each
 * request); a wheel (it ticks, or must be searched for what is next).
 */
#include "net/deadlines.h"

#include "base/clock.h"
#include "base/list.h"

enum { PASSED_PER_TURN = 64 };

/* Arms the timer for the first deadline, unless it fires before that anyway. */
static void arm(struct deadlines *deadlines)
{
    const struct heap_node *first = heap_first(&deadlines->heap);
    if (!first || first->key >= deadlines->timer_at_ms)
        return;
    uint64_t now_ms = clock_mono_ms();
    deadlines->timer_at_ms = first->key;
    reactor_timer_set(deadlines->timer, first->key > now_ms ? first->key - now_ms : 0);
}

static void on_timer(void *arg)
{
    struct deadlines *deadlines = arg;
    uint64_t now_ms = clock_mono_ms();
    struct heap_node *first;
    int passed = 0;
    deadlines->timer_at_ms = DEADLINE_NEVER;
    while (passed < PASSED_PER_TURN && (first = heap_first(&deadlines->heap)) &&
           first->key <= now_ms) {
        struct deadline *deadline = CONTAINER_OF(first, struct deadline, node);
        heap_remove(&deadlines->heap, first);
        if (deadline->at_ms <= now_ms) {
            passed++;
            deadlines->fn(deadlines->arg, deadline);
        } else if (deadline->at_ms != DEADLINE_NEVER) {
            heap_insert(&deadlines->heap, first, deadline->at_ms);
        }
    }
    arm(deadlines);
}

bool deadlines_init(struct deadlines *deadlines, struct reactor *reactor, deadlines_fn *fn,
                    void *arg)
{
    *deadlines = (struct deadlines){.fn = fn, .arg = arg, .timer_at_ms = DEADLINE_NEVER};
    heap_init(&deadlines->heap);
    deadlines->timer = reactor_timer_new(reactor, on_timer, deadlines);
    return deadlines->timer != NULL;
}

void deadlines_deinit(struct deadlines *deadlines)
{
    struct heap_node *first;
    while ((first = heap_first(&deadlines->heap)))
        heap_remove(&deadlines->heap, first);
    reactor_timer_free(deadlines->timer);
    deadlines->timer = NULL;
}

void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t at_ms)
{
    deadline->at_ms = at_ms;
    if (heap_linked(&deadline->node) && deadline->node.key <= at_ms)
        return;
    heap_remove(&deadlines->heap, &deadline->node);
    if (at_ms == DEADLINE_NEVER)
        return;
    heap_insert(&deadlines->heap, &deadline->node, at_ms);
    arm(deadlines);
}

void deadlines_clear(struct deadlines *deadlines, struct deadline *deadline)
{
    heap_remove(&deadlines->heap, &deadline->node);
}
