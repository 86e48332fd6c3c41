/* under_way.c - looks after the attempts that are on the wire.
 *
 *   sent from memory --longer than a second, or its lane leaves--> moved as leased: its batch can
 *                                                                  be closed
 *   leased           --half of the lease has gone----------------> renewed
 *
 * A look every TICK_MS at those that have been on the wire for a second, oldest first. What Redis
 * says to be another's is left alone from then on (delivery->lost).
 */
#include "core/under_way.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "core/attempt.h"
#include "core/dispatch.h"
#include "core/gate.h"
#include "core/schedule.h"
#include "core/settle.h"
#include "core/store_schedule.h"

enum {
    TICK_MS = 250,
    TICKS_A_SECOND = 1000 / TICK_MS,
    LONG_ATTEMPT_MS = 1000 /* then its batch need not wait for it, and its endpoint is slow */
};

struct under_way {
    struct core *core;
    struct reactor_timer *tick;
    unsigned ticks;
};

struct renewal {
    struct core *core;
    size_t count;
    struct delivery *deliveries[];
};

static void renewed(struct core *core, struct delivery *delivery, enum status status)
{
    delivery->renewing = false;
    if (delivery->phase != DELIVERY_PARKING) {
        settle_release_held(core->settle, delivery);
    } else if (status != ST_STOPPED) {
        dispatch_parked(core->dispatch, delivery);
    } else {
        schedule_forget(core->schedule, delivery);
        dispatch_release(core->dispatch, delivery);
    }
}

static void on_renewed(void *arg, enum status status, const struct redis_value *reply)
{
    struct renewal *renewal = arg;
    for (size_t i = 0; i < renewal->count; i++) {
        struct delivery *delivery = renewal->deliveries[i];
        if (status == ST_OK && reply_integer(reply, 2 + i) == 1)
            delivery->lease = (uint64_t)reply_integer(reply, 1);
        else if (status == ST_OK)
            delivery->lost = true;
        renewed(renewal->core, delivery, status);
    }
    free(renewal);
}

static enum status send_renewal(struct renewal *renewal)
{
    struct store_renewal renewals[LIMIT_GROUP_EVENTS];
    for (size_t i = 0; i < renewal->count; i++)
        renewals[i] = (struct store_renewal){renewal->deliveries[i]->message->id_text,
                                             renewal->deliveries[i]->lease};
    return store_renew(renewal->core->store, renewal->deliveries[0]->endpoint, renewals,
                       renewal->count, SCHEDULE_LEASE_MS, on_renewed, renewal);
}

void under_way_renew(struct core *core, struct delivery *const *deliveries, size_t count)
{
    if (count == 0)
        return;
    struct renewal *renewal =
        malloc(sizeof(*renewal) + count * sizeof(struct delivery *)); /* else they lapse */
    if (renewal) {
        renewal->core = core;
        renewal->count = count;
        memcpy(renewal->deliveries, deliveries, count * sizeof(struct delivery *));
        for (size_t i = 0; i < count; i++)
            deliveries[i]->renewing = true;
        if (send_renewal(renewal) == ST_OK)
            return;
    }
    free(renewal);
    for (size_t i = 0; i < count; i++)
        renewed(core, deliveries[i], ST_NOMEM);
}

static bool may_renew(const struct core *core, const struct delivery *delivery)
{
    return delivery->lease > 0 && !delivery->moving && !delivery->renewing && !delivery->lost &&
           schedule_lapses(core->schedule, delivery);
}

/* The delivery, and those that go with it. */
static void renew(struct core *core, struct delivery *delivery)
{
    struct delivery *lapsing[LIMIT_GROUP_EVENTS];
    size_t count, lapsing_count = 0;
    struct delivery *const *members = attempt_members(delivery, &count);
    for (size_t i = 0; i < count; i++)
        if (may_renew(core, members[i]))
            lapsing[lapsing_count++] = members[i];
    under_way_renew(core, lapsing, lapsing_count);
}

static void on_tick(void *arg)
{
    struct under_way *under_way = arg;
    struct core *core = under_way->core;
    reactor_timer_set(under_way->tick, TICK_MS);
    under_way->ticks++;
    bool ready = store_ready(core->store);
    uint64_t now_ms = clock_mono_ms();
    LIST_FOREACH(node, attempts_sending(core->attempts))
    {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        if (now_ms - delivery->sending_since_ms < LONG_ATTEMPT_MS)
            break;
        if (under_way->ticks % TICKS_A_SECOND == 0 && attempt_is_led_by(delivery))
            gate_hanging(delivery->endpoint, (now_ms - delivery->sending_since_ms) * 1000);
        if (!ready || delivery->moving || delivery->renewing || delivery->lost)
            continue;
        if (delivery->lease == 0) {
            if (delivery->endpoint->deleted)
                continue; /* nobody would clear the entry any more */
            settle_move_leased(core->settle, delivery, SCHEDULE_LEASE_MS);
            dispatch_slow(core->dispatch, delivery->endpoint);
        } else if (may_renew(core, delivery)) {
            renew(core, delivery);
        }
    }
}

void under_way_move_leaving(struct under_way *under_way)
{
    struct core *core = under_way->core;
    LIST_FOREACH(node, attempts_sending(core->attempts))
    {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        const struct endpoint *endpoint = delivery->endpoint;
        if (lanes_state(core->lanes, endpoint->lane) == LANE_LEAVING && !endpoint->deleted &&
            delivery->lease == 0 && !delivery->moving && !delivery->renewing && !delivery->lost)
            settle_move_leased(core->settle, delivery, SCHEDULE_LEASE_MS);
    }
}

struct under_way *under_way_new(struct core *core)
{
    struct under_way *under_way = calloc(1, sizeof(*under_way));
    if (!under_way)
        return NULL;
    under_way->core = core;
    under_way->tick = reactor_timer_new(core->reactor, on_tick, under_way);
    if (!under_way->tick) {
        free(under_way);
        return NULL;
    }
    reactor_timer_set(under_way->tick, TICK_MS);
    return under_way;
}

void under_way_free(struct under_way *under_way)
{
    if (!under_way)
        return;
    reactor_timer_free(under_way->tick);
    free(under_way);
}
