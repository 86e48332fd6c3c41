/* takeover.c - lanes on their way to this process, and away from it.
 *
 *   gained --> ARRIVING --> health --> lanes_take.lua --> MINE --> the schedule looks at them
 *                  ^                        |
 *                  +------- failed ---------+
 *
 *   surplus --> LEAVING: queues to the schedule,      --tick--> nothing unmoved, health written
 *                  |     attempts moved as leased                            |
 *                  |                                                  lanes_release.lua --> FREE
 *                  +-- no longer surplus, and not sent yet --> MINE
 *
 * One reading and one release at a time, of as many lanes as there are. Replies come in the order
 * in which Redis ran the scripts, because all of them go over one connection: so when a heartbeat's
 * reply is here, every release that it knows of has been answered.
 *
 * A lane is not held for ever by what does not end: after WAIT_MS it goes as it is. What is still
 * in memory then is moved to its next owner's schedule by its own end.
 *
 * A failover may lose the last changes of the map. With replicas(n) lanes_take's answer is held
 * until they have what was written before it, by anybody: the release, or the burial, by which the
 * lane became free, and the heartbeat by which I took it. So nothing is sent for a lane that a new
 * master would give back to the one before. That is why a release is not confirmed: one that is
 * lost has let nobody send, and its lane comes back to me without a state, as after a death. When
 * too few replicas answer in time the lane is sent for all the same (store.c): deliveries do not
 * stand still because a replica is missing.
 *
 * Rejected: telling the next owner directly. The state in Redis is there whoever takes the lane,
 * and whenever.
 */
#include "core/takeover.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/clear.h"
#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/gate.h"
#include "core/handover.h"
#include "core/health_store.h"
#include "core/replica.h"
#include "core/schedule.h"
#include "core/store_lanes.h"
#include "core/under_way.h"

enum {
    AGAIN_MS = 200, /* what failed */
    TICK_MS = 5,    /* looking after lanes that leave */
    WAIT_MS = 2000
};

struct takeover {
    struct core *core;
    /* Arriving. */
    bool reading;
    uint32_t arriving[LANES]; /* that are being read */
    size_t arriving_count;
    struct reactor_timer *again;
    bool scanning, scan_again; /* deleted endpoints */
    /* Leaving. */
    uint64_t since_ms[LANES]; /* monotonic */
    bool sent[LANES];         /* in the release that is under way */
    bool releasing;
    struct reactor_timer *tick;
};

/* ---- Deleted endpoints ---------------------------------------------------------------------- */

/* They are in no registry: who owns their lanes goes on clearing them. */
static void scan_deleted(struct takeover *takeover, struct slice cursor);

static void on_deleted(void *arg, enum status status, const struct redis_value *reply)
{
    struct takeover *takeover = arg;
    struct core *core = takeover->core;
    takeover->scanning = false;
    if (status == ST_STOPPED)
        return;
    if (status != ST_OK || redis_value_type(reply) != REDIS_ARRAY ||
        redis_value_count(reply) != 2) {
        takeover->scan_again = true;
        reactor_timer_set(takeover->again, AGAIN_MS);
        return;
    }
    const struct redis_value *names = redis_value_at(reply, 1);
    for (size_t i = 0; i < redis_value_count(names); i++) {
        struct id id;
        struct endpoint *endpoint = NULL;
        if (id_parse(reply_text(names, i), "ep_", &id) == ST_OK &&
            !registry_find(core->registry, &id))
            endpoint = endpoint_new_deleted(&id);
        if (endpoint)
            clear_endpoint(core->clear, endpoint);
        endpoint_put(endpoint);
    }
    bool end = slice_eq(reply_text(reply, 0), SLICE("0"));
    if (!end || takeover->scan_again)
        scan_deleted(takeover, end ? SLICE("0") : reply_text(reply, 0));
}

static void scan_deleted(struct takeover *takeover, struct slice cursor)
{
    takeover->scan_again = takeover->scanning;
    if (takeover->scanning)
        return;
    takeover->scanning =
        store_deleted_scan(takeover->core->store, cursor, on_deleted, takeover) == ST_OK;
    if (!takeover->scanning) {
        takeover->scan_again = true;
        reactor_timer_set(takeover->again, AGAIN_MS);
    }
}

/* ---- Arriving ------------------------------------------------------------------------------- */

static void read_arriving(struct takeover *takeover);

/* Of one that is disabled nothing may be due that would name it, and yet its ordered queues may
 * wait behind a dead letter: whoever was clearing it may be gone. */
static void clear_ordered(struct core *core, uint32_t lane)
{
    struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(core->registry, lane, endpoint)))
        if (!endpoint->config->active && endpoint->config->ordering != ORDERING_NONE)
            clear_endpoint(core->clear, endpoint);
}

/* The state is imported when the lane is MINE already: importing wakes those who may send. */
static void become_mine(struct core *core, uint32_t lane, struct slice state)
{
    lanes_step(core->lanes, lane, LANE_MINE);
    enum status status = state.len > 0 ? handover_apply(core, lane, state) : ST_NOTFOUND;
    if (status == ST_SYNTAX)
        log_error("replica.bad_handover", "lane=%u bytes=%zu", lane, state.len);
    if (status != ST_OK)
        handover_absent(core, lane);
    schedule_lane_mine(core->schedule, lane);
    clear_ordered(core, lane);
    core->stats.lanes_gained++;
}

static void on_taken(void *arg, enum status status, const struct redis_value *reply)
{
    struct takeover *takeover = arg;
    struct core *core = takeover->core;
    takeover->reading = false;
    if (status != ST_OK)
        return; /* the store is being freed; whatever else goes wrong has it repeated */
    bool outdated = false;
    for (size_t i = 0; i < takeover->arriving_count; i++) {
        struct slice state = reply_text(reply, i); /* of one that is not mine it is a number */
        uint32_t lane = takeover->arriving[i];
        if (lanes_state(core->lanes, lane) != LANE_ARRIVING)
            continue;
        if (state.ptr)
            become_mine(core, lane, state);
        outdated |= !state.ptr;
    }
    scan_deleted(takeover, SLICE("0"));
    if (core->stopping)
        takeover_leave_all(takeover);
    if (outdated) { /* Redis says that I was buried meanwhile: the next map will */
        reactor_timer_set(takeover->again, AGAIN_MS);
        replica_beat_soon(core->replica);
        return;
    }
    read_arriving(takeover);
    if (!takeover->reading)
        replica_lanes_arrived(core->replica);
}

static void on_health(void *arg, enum status status)
{
    struct takeover *takeover = arg;
    if (status == ST_OK)
        status = store_lanes_take(takeover->core->store, takeover->arriving,
                                  takeover->arriving_count, on_taken, takeover);
    if (status == ST_OK)
        return;
    takeover->reading = false;
    if (status != ST_STOPPED)
        reactor_timer_set(takeover->again, AGAIN_MS);
}

static void read_arriving(struct takeover *takeover)
{
    struct core *core = takeover->core;
    uint8_t mask[LANE_MASK_BYTES] = {0};
    if (takeover->reading || lanes_count(core->lanes, LANE_ARRIVING) == 0)
        return;
    takeover->arriving_count = 0;
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (lanes_state(core->lanes, lane) == LANE_ARRIVING) {
            takeover->arriving[takeover->arriving_count++] = lane;
            lane_add(mask, lane);
        }
    takeover->reading = true;
    enum status status = health_store_load(core->health, mask, on_health, takeover);
    if (status != ST_OK)
        on_health(takeover, status);
}

static void on_again(void *arg)
{
    struct takeover *takeover = arg;
    if (!store_ready(takeover->core->store)) {
        reactor_timer_set(takeover->again, AGAIN_MS);
        return;
    }
    read_arriving(takeover);
    if (takeover->scan_again && !takeover->scanning)
        scan_deleted(takeover, SLICE("0"));
}

/* ---- Leaving -------------------------------------------------------------------------------- */

/* From now on nothing is sent for it; what waits here is moved, and nothing is cleared. */
static void stop_sending(struct core *core, uint32_t lane)
{
    schedule_lane_left(core->schedule, lane);
    struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(core->registry, lane, endpoint)))
        dispatch_lane_left(core->dispatch, endpoint);
}

static void begin_to_leave(struct takeover *takeover, uint32_t lane)
{
    lanes_step(takeover->core->lanes, lane, LANE_LEAVING);
    takeover->since_ms[lane] = clock_mono_ms();
    stop_sending(takeover->core, lane);
}

static void stay(struct takeover *takeover, uint32_t lane)
{
    struct core *core = takeover->core;
    lanes_step(core->lanes, lane, LANE_MINE);
    schedule_lane_mine(core->schedule, lane);
    clear_ordered(core, lane);
}

static bool may_go(const struct takeover *takeover, uint32_t lane)
{
    const struct core *core = takeover->core;
    if (clock_mono_ms() - takeover->since_ms[lane] > WAIT_MS)
        return true;
    return dispatch_unmoved(core->dispatch, lane) == 0 && health_store_saved(core->health, lane);
}

struct release {
    struct takeover *takeover;
    size_t count;
    uint32_t lanes[STORE_LANES_MOST];
};

static void on_released(void *arg, enum status status, const struct redis_value *reply)
{
    struct release *release = arg;
    struct takeover *takeover = release->takeover;
    struct core *core = takeover->core;
    bool stale = status == ST_OK && reply_is(reply, 0, "stale");
    takeover->releasing = false;
    for (size_t i = 0; i < release->count; i++) {
        uint32_t lane = release->lanes[i];
        takeover->sent[lane] = false;
        if (status != ST_OK || stale || lanes_state(core->lanes, lane) != LANE_LEAVING)
            continue;
        lanes_released(core->lanes, lane);
        core->stats.lanes_released++;
        handover_leave(core, lane);
    }
    free(release);
    if (status == ST_STOPPED)
        return;
    if (stale)
        replica_beat_soon(core->replica); /* then the version is known by which they are mine */
    reactor_timer_set(takeover->tick, stale ? AGAIN_MS : TICK_MS);
}

static enum status send_release(struct takeover *takeover, struct release *release)
{
    struct core *core = takeover->core;
    struct buf states[STORE_LANES_MOST];
    struct slice views[STORE_LANES_MOST];
    for (size_t i = 0; i < release->count; i++) {
        buf_init(&states[i], LIMIT_HANDOVER_BYTES);
        bool written = handover_write(core, release->lanes[i], &states[i]) == ST_OK;
        views[i] = written ? buf_slice(&states[i]) : SLICE("");
    }
    enum status status =
        store_lanes_release(core->store, lanes_version(core->lanes), release->lanes, views,
                            release->count, on_released, release);
    for (size_t i = 0; i < release->count; i++)
        buf_free(&states[i]);
    return status;
}

static void release_some(struct takeover *takeover)
{
    struct release *release = malloc(sizeof(*release));
    if (!release)
        return; /* the next tick tries again */
    release->takeover = takeover;
    release->count = 0;
    for (uint32_t lane = 0; lane < LANES && release->count < STORE_LANES_MOST; lane++)
        if (lanes_state(takeover->core->lanes, lane) == LANE_LEAVING && may_go(takeover, lane))
            release->lanes[release->count++] = lane;
    if (release->count == 0 || send_release(takeover, release) != ST_OK) {
        free(release);
        return;
    }
    takeover->releasing = true;
    for (size_t i = 0; i < release->count; i++)
        takeover->sent[release->lanes[i]] = true;
}

static void on_tick(void *arg)
{
    struct takeover *takeover = arg;
    struct core *core = takeover->core;
    if (lanes_count(core->lanes, LANE_LEAVING) == 0)
        return;
    if (store_ready(core->store) && !takeover->releasing) {
        under_way_move_leaving(core->under_way);
        (void)health_store_flush(core->health);
        release_some(takeover);
    }
    if (!takeover->releasing) /* else its answer goes on */
        reactor_timer_set(takeover->tick, store_ready(core->store) ? TICK_MS : AGAIN_MS);
}

void takeover_surplus(struct takeover *takeover, size_t count)
{
    struct core *core = takeover->core;
    size_t leaving = lanes_count(core->lanes, LANE_LEAVING);
    bool stays = false;
    if (core->stopping)
        count = LANES;
    for (uint32_t lane = LANES; lane-- > 0 && leaving != count;) {
        enum lane_state state = lanes_state(core->lanes, lane);
        if (leaving < count && state == LANE_MINE) {
            begin_to_leave(takeover, lane);
            leaving++;
        } else if (leaving > count && state == LANE_LEAVING && !takeover->sent[lane]) {
            stay(takeover, lane);
            leaving--;
            stays = true;
        }
    }
    if (stays)
        scan_deleted(takeover, SLICE("0")); /* clearing them has ended, as if for another owner */
    if (leaving > 0 && !takeover->releasing)
        reactor_timer_set(takeover->tick, 0);
}

void takeover_leave_all(struct takeover *takeover)
{
    takeover_surplus(takeover, LANES);
}

bool takeover_done(const struct takeover *takeover)
{
    const struct core *core = takeover->core;
    size_t mine = lanes_count(core->lanes, LANE_MINE) + lanes_count(core->lanes, LANE_LEAVING) +
                  lanes_count(core->lanes, LANE_ARRIVING);
    return mine == 0 || !store_ready(core->store);
}

/* ---- The map -------------------------------------------------------------------------------- */

void takeover_map_changed(struct takeover *takeover, const uint8_t lost[LANE_MASK_BYTES])
{
    struct core *core = takeover->core;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        if (!lane_in(lost, lane))
            continue;
        core->stats.lanes_lost++;
        stop_sending(core, lane);
        handover_leave(core, lane);
    }
    read_arriving(takeover);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct takeover *takeover_new(struct core *core)
{
    struct takeover *takeover = calloc(1, sizeof(*takeover));
    if (!takeover)
        return NULL;
    takeover->core = core;
    takeover->again = reactor_timer_new(core->reactor, on_again, takeover);
    takeover->tick = reactor_timer_new(core->reactor, on_tick, takeover);
    if (!takeover->again || !takeover->tick) {
        takeover_free(takeover);
        return NULL;
    }
    return takeover;
}

void takeover_free(struct takeover *takeover)
{
    if (!takeover)
        return;
    reactor_timer_free(takeover->again);
    reactor_timer_free(takeover->tick);
    free(takeover);
}
