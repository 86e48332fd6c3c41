/* replica.c - this process among others that share the Redis: its lease, and its lanes.
 *
 *   timer, notice, lapse --> heartbeat.lua --> the map --> takeover.h --> lanes are MINE
 *                                  |      \--> surplus ----^
 *                                  |--> lease confirmed: lanes_may_send()
 *                                  '--> the dead --> adoption.h
 *
 * One heartbeat at a time. The lease counts from the moment before its heartbeat was sent, on a
 * clock that goes on while the machine sleeps, less a margin: for what is between the look at the
 * clock and the first byte on the wire, and for clocks that do not run alike. So whoever wakes up
 * knows that others may own its lanes before it sends anything.
 *
 * One that was buried comes back under its name as a new member: all that it had has been free for
 * a while. The map alone would not say so, if it has the same lanes again, so all of them count as
 * lost before the new map is looked at.
 */
#include "core/replica.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "core/adoption.h"
#include "core/endpoint_store.h"
#include "core/feed.h"
#include "core/jobs.h"
#include "core/mailbox.h"
#include "core/schedule.h"
#include "core/store_batch.h"
#include "core/store_lanes.h"
#include "core/takeover.h"

enum { INFO_BYTES_MAX = 4096, MARGIN = 10 /* a tenth of the lease */ };

struct replica {
    struct core *core;
    struct reactor_timer *heartbeat;
    bool begun;             /* the endpoints are known: what is left for them can be read */
    bool beating;           /* a heartbeat is on its way */
    bool again;             /* another one is wanted behind it */
    bool member;            /* one has been answered */
    bool lapsed;            /* and counted */
    bool refused;           /* and logged */
    bool draining;          /* takes no lanes */
    bool leaving;           /* no heartbeat any more */
    bool dead_wait;         /* some were named while lanes arrived */
    uint64_t sent_at_ms;    /* clock_boot_ms() */
    uint64_t started_at_ms; /* unix */
    char *url;
    size_t turn; /* which of the dead is looked at */
    void (*left)(void *arg);
    void *left_arg;
};

static void beat(struct replica *replica);

/* ---- The answer ----------------------------------------------------------------------------- */

/* Those who are here already are of another kind, or too many. They may have gone tomorrow. */
static void refused(struct replica *replica, const struct store_beat *beat)
{
    if (replica->refused)
        return;
    replica->refused = true;
    if (beat->status == BEAT_FULL)
        log_error("replica.refused", "reason=\"there are too many replicas\"");
    else
        log_error("replica.refused",
                  "reason=\"the Redis is used with another number of lanes\" "
                  "lanes=%llu mine=%d",
                  (unsigned long long)beat->lanes, LANES);
}

/* Everything that I had is free, or another's. */
static void was_buried(struct replica *replica)
{
    static const uint8_t nobody[LANES];
    struct core *core = replica->core;
    uint8_t lost[LANE_MASK_BYTES];
    log_warn("replica.buried_alive", "incarnation=%s", store_incarnation(core->store));
    if (lanes_update(core->lanes, lanes_version(core->lanes), NULL, 0, nobody, NULL, lost) == ST_OK)
        takeover_map_changed(core->takeover, lost);
}

/* False: no memory, or a map that cannot be. It is asked for once more. */
static bool take_map(struct replica *replica, const struct store_beat *beat)
{
    struct core *core = replica->core;
    uint8_t lost[LANE_MASK_BYTES];
    if (!beat->map.ptr)
        return true;
    enum status status = lanes_update(core->lanes, beat->version, beat->owners, beat->owner_count,
                                      (const uint8_t *)beat->map.ptr, NULL, lost);
    if (status != ST_OK) {
        log_error("replica.bad_map", "reason=%s", status_name(status));
        return false;
    }
    takeover_map_changed(core->takeover, lost);
    log_debug("replica.lanes", "version=%llu arriving=%zu mine=%zu leaving=%zu replicas=%llu",
              (unsigned long long)beat->version, lanes_count(core->lanes, LANE_ARRIVING),
              lanes_count(core->lanes, LANE_MINE), lanes_count(core->lanes, LANE_LEAVING),
              (unsigned long long)beat->members);
    return true;
}

static void confirm(struct replica *replica)
{
    const struct core_options *options = &replica->core->options;
    uint64_t until_ms = replica->sent_at_ms + options->lease_ms - options->lease_ms / MARGIN;
    lanes_confirm(replica->core->lanes, core_alone(replica->core) ? UINT64_MAX : until_ms);
    replica->lapsed = false;
    reactor_wake(replica->core->reactor); /* dispatch may have waited for it */
}

/* Another one each time, so that one that cannot be buried does not keep the others waiting. Not
 * while lanes arrive: all that is adopted would have to be moved. */
static void adopt(struct replica *replica, const struct store_beat *beat,
                  const struct redis_value *reply)
{
    struct core *core = replica->core;
    replica->dead_wait = beat->dead_count > 0 && lanes_count(core->lanes, LANE_ARRIVING) > 0;
    if (beat->dead_count > 0 && !replica->dead_wait)
        adoption_begin(core->adoption,
                       reply_text(reply, beat->dead_first + replica->turn++ % beat->dead_count));
}

static void answered(struct replica *replica, const struct redis_value *reply)
{
    struct core *core = replica->core;
    struct store_beat beat;
    if (store_beat_read(reply, &beat) != ST_OK) {
        log_error("replica.bad_heartbeat", "count=%zu", redis_value_count(reply));
        return;
    }
    store_saw_time(core->store, beat.now_ms);
    if (beat.status > BEAT_JOINED) {
        refused(replica, &beat);
        return;
    }
    if (beat.status == BEAT_JOINED && replica->member)
        was_buried(replica);
    if (!take_map(replica, &beat))
        return;
    replica->member = true;
    replica->refused = false;
    if (core->loaded && beat.members < core->stats.replicas) { /* what whoever has gone has left */
        jobs_look(core->jobs);
        feed_look_soon(core->feed);
    }
    core->stats.replicas = beat.members;
    confirm(replica); /* behind their number */
    takeover_surplus(core->takeover, beat.surplus);
    endpoint_store_saw_version(core->endpoints, beat.config_version);
    mailbox_compare(core->mailbox, beat.journal_batches);
    adopt(replica, &beat, reply);
    if (lanes_count(core->lanes, LANE_ARRIVING) == 0)
        core_joined(core);
}

static void on_beat(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    replica->beating = false;
    if (status == ST_OK)
        answered(replica, reply);
    bool again = replica->again;
    replica->again = false;
    if (again && status == ST_OK)
        beat(replica);
}

/* ---- Beating -------------------------------------------------------------------------------- */

static void write_info(const struct replica *replica, struct buf *info)
{
    char host[256] = "";
    struct json_out out;
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    json_out_begin(&out, info);
    json_object_open(&out);
    json_member_str(&out, "host", slice_str(host));
    json_member_u64(&out, "pid", (uint64_t)getpid());
    json_member_str(&out, "url", slice_str(replica->url ? replica->url : ""));
    json_member_time_ms(&out, "startedAt", replica->started_at_ms);
    json_member_str(&out, "version", SLICE(TROTLINE_VERSION));
    json_member_bool(&out, "draining", replica->draining);
    json_object_close(&out);
}

static void beat(struct replica *replica)
{
    struct core *core = replica->core;
    struct buf info;
    if (!replica->begun || replica->leaving || !store_ready(core->store))
        return;
    if (replica->beating) {
        replica->again = true;
        return;
    }
    buf_init(&info, INFO_BYTES_MAX);
    write_info(replica, &info);
    struct store_beat_args args = {
        .lease_ms = core->options.lease_ms,
        .others_dead = core->options.others_dead && !replica->member,
        .known_version = lanes_version(core->lanes),
        .info = buf_status(&info) == ST_OK ? buf_slice(&info) : SLICE("{}"),
    };
    replica->sent_at_ms = clock_boot_ms();
    replica->beating = store_beat(core->store, &args, on_beat, replica) == ST_OK;
    buf_free(&info);
}

static void on_heartbeat(void *arg)
{
    struct replica *replica = arg;
    reactor_timer_set(replica->heartbeat, replica->core->options.heartbeat_ms);
    if (!replica->beating)
        beat(replica);
}

void replica_store_ready(struct replica *replica)
{
    replica->begun = true;
    reactor_timer_set(replica->heartbeat, replica->core->options.heartbeat_ms);
    beat(replica);
}

void replica_beat_soon(struct replica *replica)
{
    beat(replica);
}

void replica_told(struct replica *replica, uint64_t version)
{
    if (version > lanes_version(replica->core->lanes))
        beat(replica);
}

void replica_lapsed(struct replica *replica)
{
    if (replica->lapsed)
        return;
    replica->lapsed = true;
    replica->core->stats.lease_lapses++;
    log_warn("replica.lease_lapsed", "incarnation=%s", store_incarnation(replica->core->store));
    beat(replica);
}

void replica_lanes_arrived(struct replica *replica)
{
    core_joined(replica->core);
    if (replica->dead_wait)
        beat(replica);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

void replica_set_url(struct replica *replica, const char *url)
{
    free(replica->url);
    replica->url = strdup(url); /* without memory for it none is told */
}

void replica_drain(struct replica *replica)
{
    if (replica->draining)
        return;
    replica->draining = true;
    beat(replica);
}

static void on_left(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    (void)status;
    (void)reply;
    replica->left(replica->left_arg);
}

void replica_leave(struct replica *replica, void (*done)(void *arg), void *arg)
{
    replica->left = done;
    replica->left_arg = arg;
    replica->leaving = true;
    reactor_timer_cancel(replica->heartbeat);
    if (store_bury(replica->core->store, store_incarnation(replica->core->store), true, on_left,
                   replica) != ST_OK)
        done(arg);
}

struct replica *replica_new(struct core *core)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    if (!replica)
        return NULL;
    replica->core = core;
    replica->started_at_ms = clock_wall_ms();
    replica->heartbeat = reactor_timer_new(core->reactor, on_heartbeat, replica);
    if (!replica->heartbeat) {
        replica_free(replica);
        return NULL;
    }
    return replica;
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    reactor_timer_free(replica->heartbeat);
    free(replica->url);
    free(replica);
}
