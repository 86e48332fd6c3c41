/* handover.c - how a lane's endpoints stand, from one owner to the next. */
#include "core/handover.h"

#include "core/gate.h"

void handover_write(struct core *core, uint32_t lane, struct buf *out)
{
    (void)core;
    (void)lane;
    (void)out;
}

enum status handover_apply(struct core *core, uint32_t lane, struct slice state)
{
    (void)core;
    (void)lane;
    (void)state;
    return ST_SYNTAX;
}

void handover_absent(struct core *core, uint32_t lane)
{
    LIST_FOREACH(node, registry_lane(core->registry, lane))
    gate_restore(core->gate, CONTAINER_OF(node, struct endpoint, in_lane));
}
