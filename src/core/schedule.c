/* schedule.c - brings back what waited.
 *
 *   timer --> peek(lanes that are due) --> endpoint->backlog, into dispatch's round
 *                                                     |
 *      claims_ask() <-- its turn, with free slots ----+
 *
 * next_at[lane] is the earliest time worth a peek, in Redis's ms; NEVER when the lane is empty. It
 * is kept by the replies of all scripts that add to a lane, so no polling is needed. Only lanes
 * that are MINE are looked at, and have a time here (lanes.h). What other replicas add is due later
 * than the next sweep over all lanes, which is every second when there are others; or they tell
 * (lane_tell.h).
 *
 * A lane names a number of endpoints in one peek, and the next ones in the next: those that are
 * asleep (gate.h) stay due in their lane, and would keep the others from being named.
 *
 * A claimed delivery's lease ends on its own; those in hand are renewed at half time (under_way.c).
 */
#include "core/schedule.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/clear.h"
#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/lane_tell.h"
#include "core/store_schedule.h"

#define NEVER UINT64_MAX

enum {
    SWEEP_MS = 5 * 1000,
    SWEEP_AMONG_OTHERS_MS = 1000,
    NAMES_MOST = 256,     /* endpoints a lane names in one peek */
    NAMES_AGAIN_MS = 200, /* when it named as many as it may */
    ROUND_AGAIN_MS = 1000 /* when it has named all in several peeks */
};

struct schedule {
    struct core *core;
    uint64_t next_at_ms[LANES];
    uint64_t sweep_at_ms; /* monotonic */
    bool peeking;
    uint32_t named[LANES]; /* of each lane by the peeks of this round through it */
    uint32_t peeked[LANES];
    uint32_t skipped[LANES]; /* of each of `peeked` */
    size_t peeked_count;
    struct map in_hand; /* leased deliveries, by event and endpoint */
    struct reactor_timer *timer;
};

/* ---- In hand -------------------------------------------------------------------------------- */

static uint64_t hand_hash(const struct id *event, const struct id *endpoint)
{
    uint8_t both[2 * sizeof(event->bytes)];
    memcpy(both, event->bytes, sizeof(event->bytes));
    memcpy(both + sizeof(event->bytes), endpoint->bytes, sizeof(endpoint->bytes));
    return hash_bytes(slice_of(both, sizeof(both)));
}

static struct delivery *find_in_hand(const struct schedule *schedule, const struct id *event,
                                     const struct id *endpoint)
{
    struct map_node *node = map_first(&schedule->in_hand, hand_hash(event, endpoint));
    for (; node; node = map_next_same(node)) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, in_hand);
        if (id_eq(&delivery->endpoint->id, endpoint) && id_eq(&delivery->message->id, event))
            return delivery;
    }
    return NULL;
}

const struct delivery *schedule_in_hand(const struct schedule *schedule, const struct id *event,
                                        const struct id *endpoint)
{
    return find_in_hand(schedule, event, endpoint);
}

bool schedule_claimed_again(struct schedule *schedule, const struct id *event,
                            const struct id *endpoint, uint64_t lease)
{
    struct delivery *delivery = find_in_hand(schedule, event, endpoint);
    if (delivery)
        delivery->lease = lease;
    return delivery != NULL;
}

void schedule_hold(struct schedule *schedule, struct delivery *delivery)
{
    if (delivery->held_in_hand)
        return;
    uint64_t hash = hand_hash(&delivery->message->id, &delivery->endpoint->id);
    delivery->held_in_hand = map_insert(&schedule->in_hand, &delivery->in_hand, hash) == ST_OK;
}

void schedule_forget(struct schedule *schedule, struct delivery *delivery)
{
    if (delivery->held_in_hand)
        map_remove(&schedule->in_hand, &delivery->in_hand);
    delivery->held_in_hand = false;
}

/* ---- The timer ------------------------------------------------------------------------------ */

/* Sooner when there are others, from the moment on at which they are known. */
static uint64_t sweep_in_ms(const struct schedule *schedule)
{
    uint64_t early_ms = schedule->core->stats.replicas > 1 ? SWEEP_MS - SWEEP_AMONG_OTHERS_MS : 0;
    uint64_t at_ms = schedule->sweep_at_ms > early_ms ? schedule->sweep_at_ms - early_ms : 0;
    uint64_t now_ms = clock_mono_ms();
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

static void arm(struct schedule *schedule)
{
    struct core *core = schedule->core;
    if (schedule->peeking || core->stopping || !store_ready(core->store))
        return;
    uint64_t next_at_ms = NEVER;
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (schedule->next_at_ms[lane] < next_at_ms)
            next_at_ms = schedule->next_at_ms[lane];
    uint64_t now_ms = store_redis_ms(core->store);
    uint64_t in_ms = next_at_ms > now_ms ? next_at_ms - now_ms : 0;
    uint64_t sweep_ms = sweep_in_ms(schedule);
    reactor_timer_set(schedule->timer, in_ms < sweep_ms ? in_ms : sweep_ms);
}

/* Of a lane that is not mine nothing is kept. */
static void note(struct schedule *schedule, uint32_t lane, int64_t due_at_ms)
{
    if (due_at_ms <= 0 || (uint64_t)due_at_ms >= schedule->next_at_ms[lane] ||
        !lanes_mine(schedule->core->lanes, lane))
        return;
    schedule->next_at_ms[lane] = (uint64_t)due_at_ms;
    arm(schedule);
}

void schedule_note(struct schedule *schedule, uint32_t lane, int64_t due_at_ms)
{
    struct core *core = schedule->core;
    bool before_sweep = (uint64_t)due_at_ms < store_redis_ms(core->store) + SWEEP_AMONG_OTHERS_MS;
    if (lanes_state(core->lanes, lane) == LANE_OTHER && due_at_ms > 0 && before_sweep)
        lane_due_tell(core, lane);
    note(schedule, lane, due_at_ms);
}

void schedule_told(struct schedule *schedule, uint32_t lane)
{
    note(schedule, lane, (int64_t)store_redis_ms(schedule->core->store));
}

void schedule_lane_mine(struct schedule *schedule, uint32_t lane)
{
    note(schedule, lane, 1);
}

void schedule_lane_left(struct schedule *schedule, uint32_t lane)
{
    schedule->next_at_ms[lane] = NEVER;
    schedule->named[lane] = 0;
    arm(schedule);
}

void schedule_note_due(struct schedule *schedule, struct endpoint *endpoint, int64_t due_at_ms)
{
    struct core *core = schedule->core;
    bool due = due_at_ms > 0 && (uint64_t)due_at_ms <= store_redis_ms(core->store);
    if (!due || endpoint->deleted || !endpoint->config->active ||
        !lanes_mine(core->lanes, endpoint->lane)) {
        schedule_note(schedule, endpoint->lane, due_at_ms);
        return;
    }
    endpoint->backlog = true; /* a peek would say no more */
    dispatch_endpoint_ready(core->dispatch, endpoint);
}

/* ---- Peek ----------------------------------------------------------------------------------- */

static void named(struct schedule *schedule, struct slice endpoint_id)
{
    struct core *core = schedule->core;
    struct id id;
    if (id_parse(endpoint_id, "ep_", &id) != ST_OK)
        return;
    struct endpoint *endpoint = registry_find(core->registry, &id);
    if (!endpoint) {
        endpoint_store_fetch(core->endpoints, &id); /* it is being cleared, or new to me */
        return;
    }
    if (!endpoint->config->active) {
        clear_endpoint(core->clear, endpoint);
        return;
    }
    endpoint->backlog = true;
    dispatch_endpoint_ready(core->dispatch, endpoint);
}

static void on_peeked(void *arg, enum status status, const struct redis_value *reply)
{
    struct schedule *schedule = arg;
    schedule->peeking = false;
    if (status != ST_OK) {
        schedule->sweep_at_ms = 0; /* the lanes asked for are set to NEVER: all are looked at */
        if (status != ST_STOPPED)
            reactor_timer_set(schedule->timer, 1000);
        return;
    }
    int64_t now_ms = reply_integer(reply, 0);
    store_saw_time(schedule->core->store, now_ms);
    size_t at = 1;
    for (size_t i = 0; i < schedule->peeked_count; i++) {
        int64_t next_at_ms = reply_integer(reply, at);
        int64_t names = reply_integer(reply, at + 1);
        at += 2;
        uint32_t lane = schedule->peeked[i];
        if (!lanes_mine(schedule->core->lanes, lane)) {
            at += (size_t)names;
            continue;
        }
        for (int64_t j = 0; j < names; j++)
            named(schedule, reply_text(reply, at++));
        if (next_at_ms > 0)
            note(schedule, lane, next_at_ms);
        uint32_t *round = &schedule->named[lane];
        if (names >= NAMES_MOST)
            note(schedule, lane, now_ms + NAMES_AGAIN_MS);
        else if (*round > 0) /* some moved up meanwhile, and were passed over */
            note(schedule, lane, now_ms + ROUND_AGAIN_MS);
        *round = names >= NAMES_MOST ? *round + (uint32_t)names : 0;
    }
    arm(schedule);
}

static void on_timer(void *arg)
{
    struct schedule *schedule = arg;
    struct core *core = schedule->core;
    if (schedule->peeking || core->stopping || !store_ready(core->store))
        return;
    bool sweep = sweep_in_ms(schedule) == 0;
    uint64_t now_ms = store_redis_ms(core->store);
    schedule->peeked_count = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        if (!lanes_mine(core->lanes, lane) || (!sweep && schedule->next_at_ms[lane] > now_ms))
            continue;
        schedule->next_at_ms[lane] = NEVER; /* the reply, and what comes meanwhile, sets it */
        schedule->skipped[schedule->peeked_count] = schedule->named[lane];
        schedule->peeked[schedule->peeked_count++] = lane;
    }
    if (sweep)
        schedule->sweep_at_ms = clock_mono_ms() + SWEEP_MS;
    if (schedule->peeked_count == 0) {
        arm(schedule);
        return;
    }
    schedule->peeking = true;
    if (store_peek(core->store, schedule->peeked, schedule->skipped, schedule->peeked_count,
                   NAMES_MOST, on_peeked, schedule) != ST_OK) {
        schedule->peeking = false;
        schedule->sweep_at_ms = 0;
        reactor_timer_set(schedule->timer, 1000);
    }
}

void schedule_store_ready(struct schedule *schedule)
{
    schedule->sweep_at_ms = 0;
    arm(schedule);
}

/* ---- Times ---------------------------------------------------------------------------------- */

bool schedule_lapses(const struct schedule *schedule, const struct delivery *delivery)
{
    return delivery->lease > 0 &&
           delivery->lease < store_redis_ms(schedule->core->store) + SCHEDULE_LEASE_MS / 2;
}

uint64_t schedule_lag_ms(const struct schedule *schedule)
{
    uint64_t now_ms = store_redis_ms(schedule->core->store), earliest_ms = NEVER;
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (schedule->next_at_ms[lane] < earliest_ms)
            earliest_ms = schedule->next_at_ms[lane];
    return earliest_ms < now_ms ? now_ms - earliest_ms : 0;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct schedule *schedule_new(struct core *core)
{
    struct schedule *schedule = calloc(1, sizeof(*schedule));
    if (!schedule)
        return NULL;
    schedule->core = core;
    map_init(&schedule->in_hand);
    for (uint32_t lane = 0; lane < LANES; lane++)
        schedule->next_at_ms[lane] = NEVER;
    schedule->timer = reactor_timer_new(core->reactor, on_timer, schedule);
    if (!schedule->timer) {
        schedule_free(schedule);
        return NULL;
    }
    return schedule;
}

void schedule_free(struct schedule *schedule)
{
    if (!schedule)
        return;
    reactor_timer_free(schedule->timer);
    map_free(&schedule->in_hand);
    free(schedule);
}
