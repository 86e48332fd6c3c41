/* under_way.h - looks after the attempts that are on the wire: long ones become deliveries of the
 * schedule, so that their batches can be closed, and their leases are renewed.
 */
#ifndef TROTLINE_CORE_UNDER_WAY_H
#define TROTLINE_CORE_UNDER_WAY_H

#include "core/core.h"

struct under_way;

/* NULL: out of memory. */
struct under_way *under_way_new(struct core *core);
void under_way_free(struct under_way *under_way);

/* Attempts under way of lanes that are LEAVING become deliveries of the schedule. */
void under_way_move_leaving(struct under_way *under_way);

#endif
