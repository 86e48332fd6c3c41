/* takeover.h - lanes on their way to this process, and away from it.
 *
 * A lane that was taken is ARRIVING: what its last owner left (handover.h) and the health of its
 * endpoints are read, then it is MINE. One that is to be given up is LEAVING: nothing is sent for
 * it any more, what waits here goes to the schedule, attempts under way are moved there as leased;
 * then it is released, together with how its endpoints stand.
 */
#ifndef TROTLINE_CORE_TAKEOVER_H
#define TROTLINE_CORE_TAKEOVER_H

#include "core/core.h"

struct takeover;

struct takeover *takeover_new(struct core *core);
void takeover_free(struct takeover *takeover);

/* Redis's map was taken over into core->lanes: what is ARRIVING is read, `lost` is mine no more. */
void takeover_map_changed(struct takeover *takeover, const uint8_t lost[LANE_MASK_BYTES]);

/* So many lanes that are mine in Redis are more than my share; 0: I may keep all. */
void takeover_surplus(struct takeover *takeover, size_t count);

/* At a stop: gives up all lanes. */
void takeover_leave_all(struct takeover *takeover);

/* No lane is mine, or there is no Redis to tell. */
bool takeover_done(const struct takeover *takeover);

#endif
