/* redis_clock.h - what time is it at Redis? An estimate from the times in its replies. Pure.
 *
 * There are two: one that is never ahead of Redis (but for a millisecond), for all usual things,
 * and one that is never behind it, for what must not come too early in another process.
 *
 * Lives in the store, by value; all zeros: nothing is known yet. Times are ms: Redis's and `wall`
 * of Unix, `mono` of our monotonic clock.
 */
#ifndef TROTLINE_CORE_REDIS_CLOCK_H
#define TROTLINE_CORE_REDIS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* After Redis's clock was set back the old, too late time is told for two windows at most, as long
 * as replies come. */
enum { REDIS_CLOCK_WINDOW_MS = 10 * 1000 };

struct redis_clock {
    bool known;
    int64_t offset_ms;        /* Redis's clock less ours: the best of this window and the last */
    int64_t window_offset_ms; /* the best of this window */
    int64_t late_ms,
        window_late_ms; /* the difference is not larger: the best of the same windows */
    uint64_t window_started_ms;
};

/* The question's sending is not known: the reply tells nothing of the later estimate. */
#define REDIS_CLOCK_NEVER UINT64_MAX

/* A reply said `redis_ms`; `sent_ms` was read before the question was sent, `mono_ms` after the
 * reply had come. Times that are not positive (a reply without one) are passed over. */
void redis_clock_saw(struct redis_clock *clock, int64_t redis_ms, uint64_t sent_ms,
                     uint64_t mono_ms);

/* Redis's time at `mono_ms`; `wall_ms`, our own clock, while nothing is known. */
uint64_t redis_clock_at(const struct redis_clock *clock, uint64_t mono_ms, uint64_t wall_ms);

/* The same, but never behind Redis's clock (while that goes evenly): by so much more as the
 * quickest question and answer took. As redis_clock_at() while no question's sending was known. */
uint64_t redis_clock_latest(const struct redis_clock *clock, uint64_t mono_ms, uint64_t wall_ms);

#endif
