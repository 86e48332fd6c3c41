/* redis_clock.h - what time is it at Redis? An estimate from the times in its replies. Pure.
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
    uint64_t window_started_ms;
};

/* A reply said `redis_ms`, and `mono_ms` was read after it had come. Times that are not positive
 * (a reply without one) are passed over. */
void redis_clock_saw(struct redis_clock *clock, int64_t redis_ms, uint64_t mono_ms);

/* Redis's time at `mono_ms`; `wall_ms`, our own clock, while nothing is known. */
uint64_t redis_clock_at(const struct redis_clock *clock, uint64_t mono_ms, uint64_t wall_ms);

#endif
