/* handover.h - how a lane's endpoints stand, from one owner to the next. */
#ifndef TROTLINE_CORE_HANDOVER_H
#define TROTLINE_CORE_HANDOVER_H

#include "base/buf.h"
#include "core/core.h"

/* Appends the state of all endpoints of the lane that are not at rest. */
void handover_write(struct core *core, uint32_t lane, struct buf *out);
/* Gives the lane's endpoints what their last owner wrote. ST_SYNTAX: nothing was changed. */
MUST_CHECK enum status handover_apply(struct core *core, uint32_t lane, struct slice state);
/* The last owner left nothing: those with a rate limit start with an empty bucket. */
void handover_absent(struct core *core, uint32_t lane);

#endif
