/* publish.c - from an accepted event to a sealed batch.
 *
 *   publish_event() --> matching --> building --seal (*)---------> shipping: stored, answered
 *                          ^                                             |
 *                          |---- the endpoints were changed meanwhile ---|
 *                          `---- a duplicate that is to be forwarded ----'
 *
 * (*) Once a turn, unless two batches are on their way, or the batch has entries of feeds alone and
 * more of them are coming; earlier when it is full.
 *
 * An event counts as published between its arrival and its answer, so it must be matched by a
 * configuration that is no older than its arrival: whoever has been told that an endpoint exists,
 * by any replica, gets what is accepted from then on. This process knows of others' changes a
 * moment late. So a batch names the version by which its events were matched, and the script
 * refuses it when Redis has a newer one (shipping.c). Its events are then matched once more, by
 * that version or a newer one. That is newer than their arrival, and so it holds whatever else is
 * changed meanwhile: nobody goes round twice. Such a batch is not checked again, and events that
 * come for the first time do not mix with it.
 *
 * A received event whose deduplication key is taken, and which is to be forwarded all the same,
 * comes back, too: it is published once more, without the key, and its record says whose duplicate
 * it is. Only Redis knows that, and only when it was asked to store the event.
 *
 * A batch is made with the masks of the other replicas' lanes as they are then (batch.h).
 *
 * Rejected: an in-process table of keys under way. Two events with one key in one turn are judged
 * by the script, in order, like any others.
 */
#include "core/publish.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/feed.h"
#include "core/matching.h"
#include "core/shipping.h"

enum { TICK_MS = 100 };

/* A batch that begins with an entry of a feed may be so many times as large: nobody waits for an
 * answer, and each call of the script costs Redis as much as a hundred entries. Therefore it also
 * waits until it has so many, as long as more are on their way. */
enum { FEED_BATCHES = 4, FEED_GATHERED = 512 };

struct publish {
    struct core *core;
    struct shipment *building;
    size_t building_bytes_max; /* when it is sealed */
    bool only_fed;             /* it has entries of feeds alone */
    struct matching *matching;
    struct shipping *shipping;
    struct reactor_timer *tick;
};

/* While anything has a deadline. */
static void tick_later(struct publish *publish)
{
    if (!reactor_timer_armed(publish->tick))
        reactor_timer_set(publish->tick, TICK_MS);
}

/* The events so far become a batch. */
static void seal(struct publish *publish)
{
    struct shipment *shipment = publish->building;
    publish->building = NULL;
    if (shipment)
        shipping_seal(publish->shipping, shipment);
}

/* ---- Into a batch --------------------------------------------------------------------------- */

static struct shipment *begin_batch(struct publish *publish, const struct publish_waiter *waiter)
{
    const struct core_options *options = &publish->core->options;
    uint32_t times = waiter->feed.feed ? FEED_BATCHES : 1;
    uint32_t events = options->batch_events_max * times;
    struct shipment *shipment =
        shipping_begin(publish->shipping, events < LIMIT_BATCH_EVENTS ? events : LIMIT_BATCH_EVENTS,
                       waiter->accepted_us);
    publish->building_bytes_max = options->batch_bytes_max * times;
    publish->only_fed = true;
    return shipment;
}

/* The batch that this event may join. */
static struct shipment *batch_for(struct publish *publish, const struct publish_waiter *waiter)
{
    struct shipment *shipment = publish->building;
    bool unchecked = waiter->version == PUBLISH_ANY_VERSION;
    if (shipment && shipment->count > 0 && (shipment->version == PUBLISH_ANY_VERSION) != unchecked)
        seal(publish);
    if (!publish->building)
        publish->building = begin_batch(publish, waiter);
    publish->only_fed = publish->only_fed && waiter->feed.feed;
    tick_later(publish);
    return publish->building;
}

static enum status add_event(struct publish *publish, const struct publish_item *item,
                             struct slice targets, const struct publish_waiter *waiter)
{
    struct shipment *shipment = batch_for(publish, waiter);
    if (!shipment)
        return ST_NOMEM;
    struct id id;
    enum status status = batch_add(shipment->batch, &item->record, targets, &id);
    if (status != ST_OK)
        return status;
    struct publish_waiter *own = &shipment->waiters[shipment->count++];
    *own = *waiter;
    own->deliveries = (uint32_t)(targets.len / TARGET_BYTES);
    if (own->version < shipment->version)
        shipment->version = own->version;
    return ST_OK;
}

/* It is known who gets the event: it joins the batch. */
static enum status pack_event(struct publish *publish, const struct publish_item *item,
                              struct slice targets, const struct publish_waiter *waiter)
{
    enum status status = add_event(publish, item, targets, waiter);
    if (status == ST_LIMIT && publish->building->count > 0) {
        seal(publish); /* it has no room for this one; the next has */
        status = add_event(publish, item, targets, waiter);
    }
    if (status != ST_OK)
        return status;
    struct shipment *shipment = publish->building;
    if (waiter->ordered)
        shipment->ordered_count += ordered_count(publish->core->registry, &item->record, targets);
    if (shipment->count == shipment->capacity || shipment->ordered_count >= LIMIT_BATCH_ORDERED ||
        shipment->batch->blob.len >= publish->building_bytes_max)
        seal(publish);
    return ST_OK;
}

/* ---- Taking events -------------------------------------------------------------------------- */

static bool refused_now(const struct publish *publish, enum publish_verdict *why)
{
    const struct core *core = publish->core;
    if (core->stopping)
        *why = PUBLISH_STOPPING;
    else if (!store_ready(core->store) || !core->loaded)
        *why = PUBLISH_UNAVAILABLE;
    else if (dispatch_overloaded(core->dispatch))
        *why = PUBLISH_OVERLOADED;
    else
        return false;
    return true;
}

static enum status match_event(struct publish *publish, const struct publish_item *item,
                               struct publish_waiter *waiter)
{
    struct slice targets;
    enum status status = matching_begin(publish->matching, item, waiter, &targets);
    if (status == ST_OK)
        return pack_event(publish, item, targets, waiter);
    if (status != ST_AGAIN)
        return status;
    tick_later(publish);
    return ST_OK;
}

static void on_matched(void *arg, enum status status, const struct publish_item *item,
                       struct slice targets, struct publish_waiter *waiter)
{
    struct publish *publish = arg;
    if (status == ST_OK)
        status = pack_event(publish, item, targets, waiter);
    if (status != ST_OK)
        publish_waiter_answer(waiter, &publish->core->stats, PUBLISH_OVERLOADED, "", 0);
}

static enum status take_event(struct publish *publish, const struct publish_item *item,
                              publish_fn *fn, void *arg, enum publish_verdict *why)
{
    if (refused_now(publish, why))
        return ST_REFUSED;
    *why = PUBLISH_OVERLOADED;
    struct publish_waiter waiter;
    if (publish_waiter_init(&waiter, item, fn, arg) != ST_OK)
        return ST_NOMEM;
    waiter.version = endpoint_store_version(publish->core->endpoints);
    return match_event(publish, item, &waiter);
}

enum status publish_event(struct publish *publish, const struct publish_item *item, publish_fn *fn,
                          void *arg, enum publish_verdict *why)
{
    enum status status = take_event(publish, item, fn, arg, why);
    if (status != ST_OK)
        publish->core->stats.events[*why]++;
    return status;
}

/* The newer configuration is known: everything in this batch is matched by it. What cannot be is
 * left in the shipment and refused with it. */
static void on_outdated(void *arg, struct shipment *shipment)
{
    struct publish *publish = arg;
    for (uint32_t i = 0; i < shipment->count; i++) {
        struct publish_waiter *waiter = &shipment->waiters[i];
        struct publish_item item = {.record = shipment->batch->messages[i].record,
                                    .about = waiter->has_about ? &waiter->about : NULL};
        waiter->version = PUBLISH_ANY_VERSION;
        if (match_event(publish, &item, waiter) == ST_OK)
            waiter->fn = NULL; /* it has gone on */
    }
}

/* It goes on as an event without a key, matched as if it came now, that says whose duplicate it is.
 */
static void on_duplicate(void *arg, const struct event_record *record,
                         struct publish_waiter *waiter, const char *first_id)
{
    struct publish *publish = arg;
    struct publish_item item = {.record = *record,
                                .about = waiter->has_about ? &waiter->about : NULL};
    item.record.duplicate_of = slice_str(first_id);
    waiter->has_dedup = waiter->forwards = false;
    waiter->repeats = true;
    waiter->version = endpoint_store_version(publish->core->endpoints);
    if (match_event(publish, &item, waiter) == ST_OK)
        waiter->fn = NULL; /* it has gone on */
    else
        publish_waiter_answer(waiter, &publish->core->stats, PUBLISH_OVERLOADED, "", 0);
}

/* ---- Turns and deadlines -------------------------------------------------------------------- */

/* Those that wait to be matched since then or longer. */
static void give_up_matching(struct publish *publish, uint64_t since_ms,
                             enum publish_verdict verdict)
{
    struct publish_waiter waiter;
    while (matching_give_up(publish->matching, since_ms, &waiter))
        publish_waiter_answer(&waiter, &publish->core->stats, verdict, "", 0);
}

/* What was outdated goes before what was accepted since. */
static void match_anew(struct publish *publish)
{
    if (!shipping_may_hand_back(publish->shipping))
        return;
    seal(publish);
    shipping_hand_back(publish->shipping);
    seal(publish);
}

/* Nobody waits for what is in the batch, and more is on its way. */
static bool is_gathering(const struct publish *publish)
{
    const struct shipment *building = publish->building;
    return building && publish->only_fed && building->count < FEED_GATHERED &&
           feed_is_coming(publish->core->feed);
}

/* Hook: once a turn. While two batches are on their way the next one goes on growing. */
static void on_turn(void *arg)
{
    struct publish *publish = arg;
    matching_go_on(publish->matching);
    match_anew(publish);
    if (shipping_free_way(publish->shipping) && !is_gathering(publish))
        seal(publish);
    shipping_turn(publish->shipping);
}

static void on_tick(void *arg)
{
    struct publish *publish = arg;
    uint64_t now_ms = clock_mono_ms();
    uint64_t timeout_ms = publish->core->options.publish_timeout_ms;
    if (now_ms >= timeout_ms)
        give_up_matching(publish, now_ms - timeout_ms, PUBLISH_OVERLOADED);
    if (publish->building && publish->building->deadline_ms <= now_ms)
        seal(publish);
    shipping_tick(publish->shipping, now_ms);
    if (publish_unanswered(publish) > 0)
        tick_later(publish);
}

void publish_store_lost(struct publish *publish)
{
    give_up_matching(publish, UINT64_MAX, PUBLISH_UNAVAILABLE);
    seal(publish);
    shipping_store_lost(publish->shipping);
}

void publish_store_ready(struct publish *publish)
{
    shipping_store_ready(publish->shipping);
    reactor_wake(publish->core->reactor);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct publish *publish_new(struct core *core)
{
    struct publish *publish = calloc(1, sizeof(*publish));
    if (!publish)
        return NULL;
    publish->core = core;
    publish->matching = matching_new(core, on_matched, publish);
    publish->shipping = shipping_new(core, on_outdated, on_duplicate, publish);
    publish->tick = reactor_timer_new(core->reactor, on_tick, publish);
    if (!publish->matching || !publish->shipping || !publish->tick) {
        reactor_timer_free(publish->tick);
        shipping_free(publish->shipping);
        matching_free(publish->matching);
        free(publish);
        return NULL;
    }
    reactor_add_hook(core->reactor, "publish", on_turn, publish);
    return publish;
}

void publish_free(struct publish *publish)
{
    if (!publish)
        return;
    give_up_matching(publish, UINT64_MAX, PUBLISH_STOPPING);
    seal(publish);
    shipping_free(publish->shipping);
    reactor_timer_free(publish->tick);
    matching_free(publish->matching);
    free(publish);
}

bool publish_sends(const struct publish *publish, const char *batch_id)
{
    return shipping_sends(publish->shipping, batch_id);
}

size_t publish_unanswered(const struct publish *publish)
{
    return matching_waiting(publish->matching) + (publish->building ? 1 : 0) +
           shipping_count(publish->shipping);
}
