/* lane_tell.h - tells the owners of other lanes that something is due there.
 *
 * Whoever puts a delivery into a lane of another replica, due before that one looks at it again,
 * tells it by channel: once a turn for each lane. A hint: the owner's sweep finds
 * whatever a lost one was about.
 */
#ifndef TROTLINE_CORE_LANE_TELL_H
#define TROTLINE_CORE_LANE_TELL_H

#include "core/core.h"

struct lane_tell;

struct lane_tell *lane_tell_new(struct core *core);
void lane_tell_free(struct lane_tell *tell);

/* Something is due in that lane. Sent in the next turn of the loop, if it is another's then. */
void lane_due_tell(struct core *core, uint32_t lane);

#endif
