/* core.c - makes, joins and ends the modules of the data path.
 *
 * Hooks run in the order in which the modules are made: publish ships the turn's batch, dispatch
 * starts what the gate lets through; outbound's completions (made before) come first, so their
 * slots are free.
 */
#include "core/core.h"

#include <stdlib.h>

#include "base/log.h"
#include "core/adoption.h"
#include "core/attempt.h"
#include "core/channel.h"
#include "core/claims.h"
#include "core/clear.h"
#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/entries.h"
#include "core/feed.h"
#include "core/gate.h"
#include "core/gather.h"
#include "core/handover.h"
#include "core/health_store.h"
#include "core/history.h"
#include "core/jobs.h"
#include "core/journal.h"
#include "core/lane_tell.h"
#include "core/lanes.h"
#include "core/mailbox.h"
#include "core/notice.h"
#include "core/publish.h"
#include "core/replica.h"
#include "core/schedule.h"
#include "core/settle.h"
#include "core/source_store.h"
#include "core/takeover.h"
#include "core/under_way.h"

enum { RELOAD_MS = 1000 };

static void begin(struct core *core)
{
    schedule_store_ready(core->schedule);
    publish_store_ready(core->publish);
    mailbox_store_ready(core->mailbox);
    jobs_look(core->jobs);
    feed_begin(core->feed);
}

/* False: they are not loaded. */
static bool loaded(struct core *core, enum status status)
{
    if (status == ST_OK || status == ST_STOPPED)
        return status == ST_OK;
    log_error("endpoints.not_loaded", "reason=%s", status_name(status));
    reactor_timer_set(core->reload, RELOAD_MS);
    return false;
}

void core_joined(struct core *core)
{
    if (core->loaded)
        return;
    core->loaded = true;
    begin(core);
}

static void on_loaded(void *arg, enum status status)
{
    struct core *core = arg;
    if (!loaded(core, status))
        return;
    log_info("endpoints.loaded", "count=%zu", registry_count(core->registry));
    if (!core->loaded)
        replica_store_ready(core->replica); /* its first heartbeat goes on */
}

void core_store_ready(struct core *core)
{
    channel_store_ready(core->channel);
    if (core->loaded) {
        replica_store_ready(core->replica);
        begin(core);
    }
    endpoint_store_load(core->endpoints, on_loaded, core);
}

static void on_reload(void *arg)
{
    struct core *core = arg;
    if (store_ready(core->store))
        endpoint_store_load(core->endpoints, on_loaded, core);
}

static void on_lane_notice(void *arg, struct slice text)
{
    struct core *core = arg;
    uint64_t lane = reply_score(text);
    if (text.len > 0 && lane < LANES)
        schedule_told(core->schedule, (uint32_t)lane);
}

static void on_lanes_notice(void *arg, struct slice version)
{
    replica_told(arg, reply_score(version));
}

static void on_missed(void *arg)
{
    struct core *core = arg;
    endpoint_store_look(core->endpoints);
    if (core->loaded)
        mailbox_store_ready(core->mailbox);
    replica_beat_soon(core->replica);
}

/* Which notice goes where (channel.h). */
static void listen_to_others(struct core *core)
{
    channel_handle(core->channel, 'd', on_lane_notice, core);
    channel_handle(core->channel, 'l', on_lanes_notice, core->replica);
    channel_handle(core->channel, 'b', mailbox_announced, core->mailbox);
    channel_handle(core->channel, 'c', endpoint_store_announced, core->endpoints);
    channel_handle(core->channel, 'r', endpoint_store_reset_announced, core->endpoints);
    channel_on_ready(core->channel, on_missed, core);
}

struct core *core_new(const struct core_options *options, struct reactor *reactor,
                      struct store *store, struct registry *registry, struct outbound *outbound)
{
    struct core *core = calloc(1, sizeof(*core));
    if (!core)
        return NULL;
    core->options = *options;
    core->reactor = reactor;
    core->store = store;
    core->registry = registry;
    core->outbound = outbound;
    rng_seed(&core->rng, rng_u64());
    core->lanes = lanes_new(store_incarnation(store));
    core->reload = reactor_timer_new(reactor, on_reload, core);
    core->channel = channel_new(core);
    core->publish = publish_new(core);
    core->gate = gate_new(core);
    core->gather = gather_new(core);
    core->journal = journal_new(core);
    core->dispatch = dispatch_new(core);
    core->attempts = attempts_new(core);
    core->settle = settle_new(core);
    core->entries = entries_new(core);
    core->schedule = schedule_new(core);
    core->claims = claims_new(core);
    core->under_way = under_way_new(core);
    core->replica = replica_new(core);
    core->takeover = takeover_new(core);
    core->lane_tell = lane_tell_new(core);
    core->adoption = adoption_new(core);
    core->mailbox = mailbox_new(core);
    core->history = history_new(core);
    core->clear = clear_new(core);
    core->jobs = jobs_new(core);
    core->endpoints = endpoint_store_new(core);
    core->sources = source_store_new(core);
    core->health = health_store_new(core);
    core->notice = notice_new(core);
    core->feed = core->channel ? feed_new(core) : NULL;
    if (!core->lanes || !core->reload || !core->channel || !core->publish || !core->gate ||
        !core->gather || !core->journal || !core->dispatch || !core->attempts || !core->settle ||
        !core->entries || !core->schedule || !core->claims || !core->under_way || !core->replica ||
        !core->takeover || !core->lane_tell || !core->adoption || !core->mailbox ||
        !core->history || !core->clear || !core->endpoints || !core->sources || !core->jobs ||
        !core->health || !core->notice || !core->feed) {
        core_free(core);
        return NULL;
    }
    listen_to_others(core);
    return core;
}

void core_free(struct core *core)
{
    if (!core)
        return;
    entries_free(core->entries);
    attempts_free(core->attempts);
    publish_free(core->publish);
    feed_free(core->feed);
    dispatch_free(core->dispatch);
    journal_free(core->journal);
    gather_free(core->gather);
    gate_free(core->gate);
    jobs_free(core->jobs);
    clear_free(core->clear);
    history_free(core->history);
    mailbox_free(core->mailbox);
    adoption_free(core->adoption);
    lane_tell_free(core->lane_tell);
    takeover_free(core->takeover);
    replica_free(core->replica);
    under_way_free(core->under_way);
    claims_free(core->claims);
    schedule_free(core->schedule);
    settle_free(core->settle);
    channel_free(core->channel);
    endpoint_store_free(core->endpoints);
    source_store_free(core->sources);
    health_store_free(core->health);
    notice_free(core->notice);
    lanes_free(core->lanes);
    reactor_timer_free(core->reload);
    free(core);
}

void core_store_lost(struct core *core)
{
    channel_store_lost(core->channel);
    publish_store_lost(core->publish);
}

void core_stop(struct core *core)
{
    core->stopping = true;
    feed_stop(core->feed);
    dispatch_hand_back(core->dispatch);
    replica_drain(core->replica);
    takeover_leave_all(core->takeover);
    reactor_wake(core->reactor); /* the hooks send what is to be done because of it */
}

bool core_idle(struct core *core)
{
    bool idle = publish_unanswered(core->publish) == 0 && journal_count(core->journal) == 0 &&
                feed_in_hand(core->feed) == 0 && dispatch_deliveries(core->dispatch) == 0 &&
                attempts_in_flight(core->attempts) == 0 && takeover_done(core->takeover) &&
                store_pending(core->store) == 0;
    /* These make last calls. */
    return idle && !history_flush(core->history) && !health_store_flush(core->health);
}

struct core_left core_left(const struct core *core)
{
    return (struct core_left){.deliveries = dispatch_deliveries(core->dispatch),
                              .batches = journal_count(core->journal),
                              .calls = store_pending(core->store)};
}

void core_abandon(struct core *core)
{
    attempts_cancel_all(core->attempts);
}
