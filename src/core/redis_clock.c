/* redis_clock.c - an estimate of Redis's clock.
 *
 * Each reply gives one difference: Redis's time when it ran the script, less ours when the reply
 * was read. The reply was under way in between, so the difference is too small by that time and
 * (but for the rounding) never too large: of many the largest is the best. A largest value that is
 * never forgotten could not follow a clock that is set back, so it is the largest of the present
 * window and the one before:
 *
 *     ...--|-- last window --|-- this window --> now
 *           \__________________________________/
 *                    largest difference
 *
 * A clock that is set forward, or a fail-over to a Redis whose clock is ahead, is followed at once.
 * When nothing came for two windows, what was known is as old as a forgotten window and is dropped.
 *
 * The other side is found in the same way: Redis ran the script after the call was made, so Redis's
 * time less ours at that moment is never too small, and of many the smallest is the best. Where the
 * two contradict each other the clock was set, and the latest reply is right.
 *
 * Rejected: asking Redis for its TIME and halving the round trip. It costs commands, and replies
 * are slow exactly when many wait.
 */
#include "core/redis_clock.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void redis_clock_saw(struct redis_clock *clock, int64_t redis_ms, uint64_t sent_ms,
                     uint64_t mono_ms)
{
    if (redis_ms <= 0)
        return;
    int64_t offset_ms = redis_ms - (int64_t)mono_ms;
    int64_t late_ms = sent_ms == REDIS_CLOCK_NEVER ? INT64_MAX : redis_ms - (int64_t)sent_ms;
    uint64_t age_ms = mono_ms - clock->window_started_ms;
    if (!clock->known || age_ms > 2 * REDIS_CLOCK_WINDOW_MS) {
        *clock = (struct redis_clock){true, offset_ms, offset_ms, late_ms, late_ms, mono_ms};
    } else if (age_ms > REDIS_CLOCK_WINDOW_MS) {
        clock->offset_ms = larger(clock->window_offset_ms, offset_ms);
        clock->late_ms = smaller(clock->window_late_ms, late_ms);
        clock->window_offset_ms = offset_ms;
        clock->window_late_ms = late_ms;
        clock->window_started_ms = mono_ms;
    } else {
        clock->window_offset_ms = larger(clock->window_offset_ms, offset_ms);
        clock->window_late_ms = smaller(clock->window_late_ms, late_ms);
        clock->offset_ms = larger(clock->offset_ms, offset_ms);
        clock->late_ms = smaller(clock->late_ms, late_ms);
    }
    if (clock->late_ms < offset_ms - 1) /* more than what rounding makes: it was set forward */
        clock->late_ms = clock->window_late_ms = late_ms;
}

uint64_t redis_clock_at(const struct redis_clock *clock, uint64_t mono_ms, uint64_t wall_ms)
{
    return clock->known ? mono_ms + (uint64_t)clock->offset_ms : wall_ms;
}

/* One more: Redis's time is cut to whole milliseconds. */
uint64_t redis_clock_latest(const struct redis_clock *clock, uint64_t mono_ms, uint64_t wall_ms)
{
    if (!clock->known || clock->late_ms == INT64_MAX)
        return redis_clock_at(clock, mono_ms, wall_ms);
    return mono_ms + (uint64_t)clock->late_ms + 1;
}
