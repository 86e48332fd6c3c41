/* lane_tell.c - tells the owners of other lanes that something is due there. */
#include "core/lane_tell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/channel.h"

struct lane_tell {
    struct core *core;
    uint8_t lanes[LANE_MASK_BYTES];
    struct reactor_timer *timer;
};

static void send(struct core *core, uint32_t lane)
{
    const char *owner = lanes_owner(core->lanes, lane);
    char text[16];
    snprintf(text, sizeof(text), "d%u", (unsigned)lane);
    if (owner && lanes_state(core->lanes, lane) == LANE_OTHER)
        channel_send(core->channel, owner, text);
}

static void on_timer(void *arg)
{
    struct lane_tell *tell = arg;
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (lane_in(tell->lanes, lane))
            send(tell->core, lane);
    memset(tell->lanes, 0, sizeof(tell->lanes));
}

void lane_due_tell(struct core *core, uint32_t lane)
{
    struct lane_tell *tell = core->lane_tell;
    lane_add(tell->lanes, lane);
    if (!reactor_timer_armed(tell->timer))
        reactor_timer_set(tell->timer, 0);
}

struct lane_tell *lane_tell_new(struct core *core)
{
    struct lane_tell *tell = calloc(1, sizeof(*tell));
    if (!tell)
        return NULL;
    tell->core = core;
    tell->timer = reactor_timer_new(core->reactor, on_timer, tell);
    if (!tell->timer) {
        free(tell);
        return NULL;
    }
    return tell;
}

void lane_tell_free(struct lane_tell *tell)
{
    if (!tell)
        return;
    reactor_timer_free(tell->timer);
    free(tell);
}
