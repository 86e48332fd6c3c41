/* gcra.c - the rate limit in exact arithmetic.
 *
 * Inside a call all times are counted in units of 1/limit of a microsecond: the interval T is then
 * period / limit = `period_us` units, a whole number, and nothing is ever rounded but the answer
 * (up, to a whole microsecond). The products need 96 bits.
 *
 *     tau = (burst - 1) T
 *
 *                 slot                        next
 *     ─────────────┼───────────────────────────┼──────────────┼────────▶ time
 *     not yet      │◀────────── tau ──────────▶│◀──── T ─────▶│
 *                  │ goes: next += T, from what was left of the burst
 *                                              │ late: next += T
 *                                                             │ a pause: next = now + T
 *
 * Why the promise holds. Let n go within a window, the first at t1, the last at tn. After the first
 * `next` is later than t1 - T + T, and each of the others adds T or more; before the last it is at
 * most tn + tau. So t1 + (n-2) T < tn + (burst-1) T, that is n < (tn - t1) / T + burst + 1, and
 * with tn - t1 at most the period: n <= limit + burst. Nothing is asked of `next` before t1, which
 * is why a changed limit or a state of any origin cannot break it.
 *
 * An empty bucket is next = now + burst T. No state of this limit can be later than that at `now`
 * (the last one went at t <= now, with next <= t + tau before it), so one that starts with it after
 * a death waits at least as long as the dead one would have.
 *
 * Rejected: a counter of tokens that is refilled (two numbers and a rounding where one suffices);
 * nanoseconds instead of fractions (3 per second drift by 3.6 us an hour: little, but an exact
 * limit needs no argument).
 */
#include "core/gcra.h"

#include <assert.h>
#include <stdbool.h>

typedef unsigned __int128 uint128;

/* All in units of 1/limit of a microsecond. */
struct view {
    uint128 next, now;
    uint128 interval, tau;
};

/* A fraction that belongs to another limit is rounded up: that can only make a wait longer. */
static struct view view_of(const struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us)
{
    assert(limit->limit > 0 && limit->period_ms > 0 && limit->burst > 0);
    struct view view = {
        .next = (uint128)gcra->next_us * limit->limit,
        .now = (uint128)now_us * limit->limit,
        .interval = (uint128)limit->period_ms * 1000,
    };
    view.tau = view.interval * (limit->burst - 1);
    if (gcra->part > 0)
        view.next += gcra->of == limit->limit ? gcra->part : limit->limit;
    return view;
}

static void keep(struct gcra *gcra, const struct gcra_limit *limit, uint128 next)
{
    gcra->next_us = (uint64_t)(next / limit->limit);
    gcra->part = (uint32_t)(next % limit->limit);
    gcra->of = limit->limit;
}

/* The time from which the one that goes now is counted. */
static uint128 base_of(const struct view *view)
{
    bool paused = view->now >= view->next + view->interval;
    return paused ? view->now : view->next;
}

static uint64_t slot_of(const struct view *view, const struct gcra_limit *limit)
{
    uint128 slot = view->next > view->tau ? view->next - view->tau : 0;
    if (slot < view->now)
        slot = view->now;
    return (uint64_t)((slot + limit->limit - 1) / limit->limit);
}

void gcra_reset_empty(struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us)
{
    *gcra = (struct gcra){.next_us = 0};
    if (limit->limit == 0)
        return;
    struct view view = view_of(gcra, limit, now_us);
    keep(gcra, limit, view.now + view.interval + view.tau);
}

void gcra_change(struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us)
{
    if (limit->limit == 0 || gcra->of == 0) {
        gcra_reset_empty(gcra, limit, now_us);
        return;
    }
    struct view view = view_of(gcra, limit, now_us);
    uint128 empty = view.now + view.interval + view.tau;
    keep(gcra, limit, view.next < empty ? view.next : empty);
}

uint64_t gcra_slot_us(const struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us)
{
    if (limit->limit == 0)
        return now_us;
    struct view view = view_of(gcra, limit, now_us);
    return slot_of(&view, limit);
}

void gcra_take(struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us)
{
    if (limit->limit == 0)
        return;
    struct view view = view_of(gcra, limit, now_us);
    keep(gcra, limit, base_of(&view) + view.interval);
}

size_t gcra_room(const struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us,
                 uint64_t until_us)
{
    if (limit->limit == 0)
        return SIZE_MAX;
    struct view view = view_of(gcra, limit, now_us);
    if (slot_of(&view, limit) > until_us)
        return 0;
    /* The first is counted from its base, each further one an interval later; it goes tau before
     * that. */
    uint128 until = (uint128)until_us * limit->limit;
    return (size_t)((until + view.tau - base_of(&view)) / view.interval) + 1;
}

/* ---- In another process ---------------------------------------------------------------------- */

/* With `next` not after now the bucket is as good as full: from a full one the next is counted from
 * when it goes, which is later still. */
uint64_t gcra_export(const struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us)
{
    if (limit->limit == 0)
        return 0;
    struct view view = view_of(gcra, limit, now_us);
    return view.next > view.now ? (uint64_t)((view.next + limit->limit - 1) / limit->limit) : 0;
}

void gcra_import(struct gcra *gcra, const struct gcra_limit *limit, uint64_t next_us,
                 uint64_t now_us)
{
    *gcra = (struct gcra){.next_us = 0};
    if (next_us == 0 || limit->limit == 0)
        return;
    gcra->next_us = next_us;
    gcra->of = limit->limit;
    gcra_change(gcra, limit, now_us);
}
