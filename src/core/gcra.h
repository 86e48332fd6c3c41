/* gcra.h - a rate limit: when the next one may go. Pure.
 *
 * The generic cell rate algorithm of ITU-T I.371 (annex A, the virtual scheduling form), which is
 * the leaky bucket as a meter: with T = period / limit, one goes every T, and after a pause up to
 * `burst` go at once. The state is one time, at which the next one is due when all go evenly
 * (I.371: theoretical arrival time).
 *
 * Promise: from any start, and across changes of the limit counted from the change on, no window
 * as long as the period ever has more than limit + burst of them.
 *
 * Late is not lost: one that goes up to T after its time leaves the times of those behind it as
 * they were. So a limit of 100 per second gives 100 per second, not 91, although a loop comes a
 * millisecond late to each. (I.371 has such a tolerance too, for cell delay variation.)
 *
 * Times are microseconds of a monotonic clock. What a limit's interval leaves below a microsecond
 * is kept as a fraction, so 7 per second are 25,200 per hour exactly.
 */
#ifndef TROTLINE_CORE_GCRA_H
#define TROTLINE_CORE_GCRA_H

#include <stddef.h>
#include <stdint.h>

struct gcra_limit {
    uint32_t limit;     /* so many … ; 0: no limit, and the rest means nothing */
    uint64_t period_ms; /* … in so long; at least 1 */
    uint32_t burst;     /* so many may go at once after a pause; at least 1 */
};

/* 16 bytes. All zero: a full bucket. */
struct gcra {
    uint64_t next_us;
    uint32_t part, of; /* and part/of of a microsecond; of 0: none */
};

/* An empty bucket: the first may go one interval from now, a full burst only after `burst` of them.
 * For a start after a death: whatever a predecessor with this limit had sent up
 * to now, both together keep the promise. */
void gcra_reset_empty(struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us);

/* The limit has become `limit` (from another, or from none: then the bucket is empty). Nothing that
 * the old limit allowed is waited for: the first may go at the latest one new interval from now.
 * Leaving this call out breaks no promise; a wait that was long under the old limit then stays. */
void gcra_change(struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us);

/* The earliest time, in whole microseconds, at which one may go; now_us when at once. */
uint64_t gcra_slot_us(const struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us);

/* One goes now. It should only when gcra_slot_us() <= now_us; one that goes earlier all the same
 * is counted, and those behind it wait the longer. */
void gcra_take(struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us);

/* How many may go from now_us up to until_us (included) when each goes at its slot. SIZE_MAX when
 * there is no limit. */
size_t gcra_room(const struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us,
                 uint64_t until_us);

/* ---- In another process ---------------------------------------------------------------------- */

/* The state as one time for another process, which goes on with it by gcra_import(): rounded up to
 * a whole microsecond. 0: nothing to tell, the bucket is full (the other may let a little less go).
 */
uint64_t gcra_export(const struct gcra *gcra, const struct gcra_limit *limit, uint64_t now_us);

/* Goes on from there. `next_us` is that time on this process's clock, and if there is doubt, the
 * later one: then the sender, which lets none go any more, and this process keep the promise
 * together. 0: a full bucket. The limit may be another one: nothing that it allows is waited for.
 */
void gcra_import(struct gcra *gcra, const struct gcra_limit *limit, uint64_t next_us,
                 uint64_t now_us);

#endif
