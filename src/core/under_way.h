/* under_way.h - looks after the attempts that are on the wire: long ones become deliveries of the
 * schedule, so that their batches can be closed, and their leases are renewed.
 */
#ifndef TROTLINE_CORE_UNDER_WAY_H
#define TROTLINE_CORE_UNDER_WAY_H

#include "core/core.h"
#include "core/delivery.h"

struct under_way;

/* NULL: out of memory. */
struct under_way *under_way_new(struct core *core);
void under_way_free(struct under_way *under_way);

/* Renews the leases of deliveries of one endpoint, at most LIMIT_GROUP_EVENTS; they may be SENDING,
 * or PARKING: then dispatch_parked() has them back, perhaps before this returns. */
void under_way_renew(struct core *core, struct delivery *const *deliveries, size_t count);

/* Attempts under way of lanes that are LEAVING become deliveries of the schedule. */
void under_way_move_leaving(struct under_way *under_way);

#endif
