/* dispatch.c - may it go now?
 *
 *   open batch --expand, in slices--> place(delivery) --+--> endpoint's queue --round--> attempt
 *                                                       |
 *                                                       +--> settle_postpone(): the schedule
 *
 * The round is the list `ready` of endpoints that have work and a free slot; each gives one attempt
 * a turn of the list. An endpoint leaves the list when it has nothing to send or no slot, or sleeps
 * because the gate says when it may send, and comes back through dispatch_endpoint_ready().
 */
#include "core/dispatch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/attempt.h"
#include "core/claims.h"
#include "core/gate.h"
#include "core/gather.h"
#include "core/journal.h"
#include "core/replica.h"
#include "core/schedule.h"
#include "core/settle.h"

enum {
    EXPAND_QUOTA = 1000,                     /* deliveries a turn */
    START_QUOTA = 256,                       /* attempts a turn */
    LEASE_MOST = 64,                         /* deliveries one lease asks for */
    STORE_PENDING_MAX = 100000,              /* calls that wait for Redis */
    EXPAND_PENDING_BYTES = 16 * 1024 * 1024, /* of calls: beyond it nothing is expanded */
    PASSING = 8,
    HOLD_US = 1000 * 1000, /* a limited endpoint holds in memory what leaves within this time */
    LEAD_US = 500 * 1000   /* and leases what leaves within this one */
};

struct dispatch {
    struct core *core;
    struct list expanding; /* batches not yet taken apart */
    struct list ready;     /* endpoints */
    size_t deliveries;
    size_t unmoved[LANES]; /* of them, by lane */
};

/* ---- Deliveries ----------------------------------------------------------------------------- */

void dispatch_moved(struct dispatch *dispatch, struct delivery *delivery)
{
    dispatch->unmoved[delivery->endpoint->lane] -= delivery->unmoved;
    delivery->unmoved = false;
}

size_t dispatch_unmoved(const struct dispatch *dispatch, uint32_t lane)
{
    return dispatch->unmoved[lane];
}

void dispatch_release(struct dispatch *dispatch, struct delivery *delivery)
{
    struct batch *batch = delivery->message->batch;
    if (batch && batch->slots[delivery->ordinal].delivery == delivery)
        batch->slots[delivery->ordinal].delivery = NULL;
    dispatch_moved(dispatch, delivery);
    dispatch->deliveries--;
    delivery_free(delivery);
}

static bool memory_full(const struct dispatch *dispatch)
{
    const struct core_options *options = &dispatch->core->options;
    return dispatch->deliveries > options->deliveries_max ||
           journal_bytes(dispatch->core->journal) + gather_bytes(dispatch->core->gather) >
               options->bytes_max;
}

bool dispatch_overloaded(const struct dispatch *dispatch)
{
    const struct core_options *options = &dispatch->core->options;
    return dispatch->deliveries > 2 * options->deliveries_max ||
           journal_bytes(dispatch->core->journal) > 2 * options->bytes_max ||
           store_pending(dispatch->core->store) > STORE_PENDING_MAX;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many more attempts the endpoint may have under way: up to its own maximum (gate.h), and to as
 * many as there are slots free for all. So endpoints that hang take less and less of what is left
 * and never all of it: n of them end with 1/(n+1) of the slots each, and as much stays free for the
 * others. [Choudhury and Hahne, "Dynamic queue length thresholds", 1998, with alpha = 1] */
static size_t slots_for(const struct dispatch *dispatch, const struct endpoint *endpoint)
{
    size_t used = endpoint->in_flight + endpoint->claiming;
    const struct attempts *attempts = dispatch->core->attempts;
    size_t most = least(gate_most(endpoint), attempts_free_slots(attempts));
    if (endpoint->in_flight > 0 && attempts_hold(attempts, endpoint->config->kind))
        return 0; /* one of its own that ends brings it back */
    return most > used ? most - used : 0;
}

/* How many deliveries may leave within so long; SIZE_MAX without a limit. */
static size_t room_for(const struct endpoint *endpoint, uint64_t within_us)
{
    size_t requests = gate_room(endpoint, within_us);
    size_t each = gather_per_request(endpoint);
    return requests > SIZE_MAX / each ? SIZE_MAX : requests * each;
}

static bool wants_lease(const struct dispatch *dispatch, const struct endpoint *endpoint)
{
    return endpoint->backlog && endpoint->claiming == 0 && !dispatch->core->stopping;
}

/* Is there something to be sent or leased? */
static bool has_work(const struct dispatch *dispatch, const struct endpoint *endpoint)
{
    if (!gathers(endpoint))
        return endpoint->queued > 0 || (endpoint->backlog && endpoint->claiming == 0);
    return gather_ready(dispatch->core->gather, endpoint) ||
           (wants_lease(dispatch, endpoint) && gather_wants(endpoint, 1, SIZE_MAX) > 0);
}

void dispatch_endpoint_ready(struct dispatch *dispatch, struct endpoint *endpoint)
{
    if (endpoint->deleted || !endpoint->config->active ||
        !lanes_mine(dispatch->core->lanes, endpoint->lane))
        return;
    /* One with nothing under way has nothing that would bring it back: it waits in the round. */
    bool comes_back = endpoint->in_flight + endpoint->claiming > 0;
    if (list_linked(&endpoint->ready) || gate_asleep(endpoint) ||
        (comes_back && slots_for(dispatch, endpoint) == 0) || !has_work(dispatch, endpoint))
        return;
    list_push_back(&dispatch->ready, &endpoint->ready);
    reactor_wake(dispatch->core->reactor);
}

/* More than can leave soon need not wait in memory. */
static bool queue_full(const struct dispatch *dispatch, const struct endpoint *endpoint)
{
    const struct core *core = dispatch->core;
    return endpoint->queued >= core->options.queued_per_endpoint_max ||
           endpoint->queued >= room_for(endpoint, HOLD_US);
}

static void gather(struct dispatch *dispatch, struct delivery *delivery)
{
    struct core *core = dispatch->core;
    if (gather_add(core->gather, delivery) == ST_OK)
        dispatch_endpoint_ready(dispatch, delivery->endpoint);
    else
        settle_postpone(core->settle, delivery, delivery->message->record.deliver_at_ms);
}

static void enqueue(struct dispatch *dispatch, struct delivery *delivery)
{
    struct endpoint *endpoint = delivery->endpoint;
    delivery->phase = DELIVERY_QUEUED;
    if (gathers(endpoint)) {
        gather(dispatch, delivery);
        return;
    }
    list_push_back(&endpoint->queue, &delivery->node);
    endpoint->queued++;
    dispatch_endpoint_ready(dispatch, endpoint);
}

/* What the endpoint is decides: a delivery that cannot go to it at all, or not now, has ended here.
 * Of a lane that is another's its owner decides. False: it may. */
static bool turned_away(struct dispatch *dispatch, struct delivery *delivery)
{
    struct core *core = dispatch->core;
    const struct endpoint *endpoint = delivery->endpoint;
    if (endpoint->deleted) /* whoever owns its lane may be done with clearing it */
        settle_cancel(core->settle, delivery);
    else if (!lanes_mine(core->lanes, endpoint->lane))
        settle_postpone(core->settle, delivery, delivery->message->record.deliver_at_ms);
    else if (!endpoint->config->active)
        settle_dead(core->settle, delivery, "endpoint_disabled");
    else if (core->stopping || gate_closed(endpoint))
        settle_postpone(core->settle, delivery, 0);
    else
        return false;
    return true;
}

void dispatch_leased(struct dispatch *dispatch, struct delivery *delivery)
{
    dispatch->deliveries++;
    if (!turned_away(dispatch, delivery))
        enqueue(dispatch, delivery);
}

/* The schedule is the slow way, through Redis and back, ten times as dear. If new ones had to queue
 * up there behind those that wait, one moment of too much would be followed by a state in which
 * all take it and it does not keep up, though the receiver would. So they pass by while slots are
 * free; one of PASSING joins, and leaves a slot to those that wait. */
static bool may_pass(const struct dispatch *dispatch, struct endpoint *endpoint)
{
    bool limited = gate_room(endpoint, HOLD_US) != SIZE_MAX;
    size_t slots = slots_for(dispatch, endpoint) * gather_per_request(endpoint);
    if (limited || gate_asleep(endpoint) || endpoint->queued >= slots)
        return false;
    return ++endpoint->passed % PASSING != 0;
}

static void place(struct dispatch *dispatch, struct delivery *delivery)
{
    struct core *core = dispatch->core;
    struct endpoint *endpoint = delivery->endpoint;
    uint64_t due_at_ms = delivery->message->record.deliver_at_ms;
    if (turned_away(dispatch, delivery))
        return;
    if (due_at_ms > store_redis_ms(core->store)) {
        settle_postpone(core->settle, delivery, due_at_ms);
    } else if (memory_full(dispatch) || queue_full(dispatch, endpoint) ||
               (endpoint->backlog && !may_pass(dispatch, endpoint))) {
        endpoint->backlog = true;
        settle_postpone(core->settle, delivery, 0);
    } else {
        enqueue(dispatch, delivery);
    }
}

/* One that was just made elsewhere is not known here yet. Its lane's owner reads it again before it
 * cancels. NULL: nobody else makes any, or no memory. */
static struct endpoint *unknown_endpoint(const struct core *core, const struct id *id)
{
    return core_alone(core) ? NULL : endpoint_new_deleted(id);
}

static void cancel_unknown(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal)
{
    dispatch->core->stats.deliveries_cancelled++;
    journal_finished(dispatch->core->journal, batch, ordinal,
                     &(struct outcome){.status = OUTCOME_CANCELLED, .at_ms = clock_wall_ms()});
}

/* False when there is no memory: the batch stays where it is. */
static bool expand_one(struct dispatch *dispatch, struct message *message, uint32_t target)
{
    struct batch *batch = message->batch;
    uint32_t ordinal = message->first_ordinal + target;
    if (batch->slots[ordinal].state != SLOT_PENDING)
        return true;
    struct id id;
    memcpy(id.bytes, message->targets.ptr + (size_t)target * TARGET_BYTES, TARGET_BYTES);
    struct core *core = dispatch->core;
    struct endpoint *known = registry_find(core->registry, &id);
    struct endpoint *endpoint = known ? endpoint_get(known) : unknown_endpoint(core, &id);
    if (!endpoint && core_alone(core)) {
        cancel_unknown(dispatch, batch, ordinal);
        return true;
    }
    struct delivery *delivery = endpoint ? delivery_new(endpoint, message, ordinal) : NULL;
    endpoint_put(endpoint);
    if (!delivery)
        return false;
    delivery->accepted_us = batch->accepted_us;
    delivery->unmoved = true;
    batch->slots[ordinal].delivery = delivery;
    dispatch->deliveries++;
    dispatch->unmoved[delivery->endpoint->lane]++;
    if (known)
        place(dispatch, delivery);
    else
        settle_postpone(core->settle, delivery, message->record.deliver_at_ms);
    return true;
}

/* Takes at most `quota` deliveries out of the batch; returns how many it looked at. */
static size_t expand(struct dispatch *dispatch, struct batch *batch, size_t quota)
{
    size_t done = 0;
    batch_get(batch); /* it may be closed on the way */
    while (done < quota && batch->expand_message < batch->message_count &&
           store_pending_bytes(dispatch->core->store) < EXPAND_PENDING_BYTES) {
        struct message *message = &batch->messages[batch->expand_message];
        if (batch->expand_target == message->target_count) {
            batch->expand_message++;
            batch->expand_target = 0;
            continue;
        }
        if (!expand_one(dispatch, message, batch->expand_target))
            break;
        batch->expand_target++;
        done++;
    }
    if (batch->expand_message == batch->message_count)
        journal_expanded(dispatch->core->journal, batch);
    batch_put(batch);
    return done;
}

void dispatch_open(struct dispatch *dispatch, struct batch *batch)
{
    if (!journal_add(dispatch->core->journal, batch) || batch->pending == 0)
        return;
    list_remove(&batch->node);
    list_push_back(&dispatch->expanding, &batch->node);
    reactor_wake(dispatch->core->reactor);
}

static void expand_some(struct dispatch *dispatch)
{
    size_t quota = EXPAND_QUOTA;
    LIST_FOREACH(node, &dispatch->expanding)
    {
        quota -= expand(dispatch, CONTAINER_OF(node, struct batch, node), quota);
        if (quota == 0)
            break;
    }
    if (!list_empty(&dispatch->expanding) &&
        store_pending_bytes(dispatch->core->store) < EXPAND_PENDING_BYTES)
        reactor_wake(dispatch->core->reactor); /* else Redis's replies do */
}

/* Where it takes one event in a request it does not matter who went with whom. */
static void part_company(struct delivery *delivery)
{
    const struct endpoint *endpoint = delivery->endpoint;
    if (!delivery->group || endpoint->deleted || gathers(endpoint))
        return;
    group_put(delivery->group);
    delivery->group = NULL;
}

/* Places everything anew: into the schedule, or wherever the endpoint's state leads now. */
static void clear_queue(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct list queue;
    list_init(&queue);
    for (struct list *node; (node = list_pop_front(&endpoint->queue));)
        list_push_back(&queue, node);
    gather_take_all(dispatch->core->gather, endpoint, &queue);
    endpoint->queued = 0;
    for (struct list *node; (node = list_pop_front(&queue));) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        part_company(delivery);
        place(dispatch, delivery);
    }
}

void dispatch_parked(struct dispatch *dispatch, struct delivery *delivery)
{
    if (delivery->lost) {
        schedule_forget(dispatch->core->schedule, delivery);
        dispatch_release(dispatch, delivery);
        return;
    }
    if (delivery->lease > 0)
        delivery_leave_batch(delivery);
    part_company(delivery);
    if (!turned_away(dispatch, delivery))
        enqueue(dispatch, delivery);
}

/* ---- The round ------------------------------------------------------------------------------ */

/* Where several go at once: what free slots have room for, and what a group lacks. */
static void lease_for_gathering(struct dispatch *dispatch, struct endpoint *endpoint,
                                uint64_t not_before_ms)
{
    size_t each = gather_per_request(endpoint), slots = slots_for(dispatch, endpoint);
    size_t count = gather_wants(endpoint, slots, room_for(endpoint, LEAD_US));
    if (count > 0)
        claims_ask(dispatch->core->claims, endpoint, count, least((count + each - 1) / each, slots),
                   not_before_ms);
}

/* Leases what can leave soon: what has a slot, and of a limited endpoint what the next moments have
 * room for, so that it is here when its time comes. */
static void lease_for(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct core *core = dispatch->core;
    size_t room = gate_room(endpoint, LEAD_US);
    bool limited = room != SIZE_MAX;
    uint64_t not_before_ms = limited ? store_redis_ms(core->store) + LEAD_US / 1000 : 0;
    if (gathers(endpoint)) {
        lease_for_gathering(dispatch, endpoint, not_before_ms);
        return;
    }
    size_t count = least(slots_for(dispatch, endpoint), LEASE_MOST);
    count = least(count, room > endpoint->queued ? room - endpoint->queued : 0);
    if (count > 0 && endpoint->queued <= room / 2) /* else a lease for each that leaves */
        claims_ask(core->claims, endpoint, count, count, not_before_ms);
}

/* The endpoint may not send before `opens_us`: it sleeps. */
static void wait_for(struct dispatch *dispatch, struct endpoint *endpoint, uint64_t opens_us,
                     uint64_t now_us)
{
    struct core *core = dispatch->core;
    if (gate_closed(endpoint)) {
        clear_queue(dispatch, endpoint);
        if (endpoint->backlog && opens_us != UINT64_MAX) /* peeks need not name it meanwhile */
            claims_ask(core->claims, endpoint, 0, 0,
                       store_redis_ms(core->store) + (opens_us - now_us) / 1000);
    } else if (wants_lease(dispatch, endpoint) && !gate_waits_for_host(endpoint)) {
        lease_for(dispatch, endpoint);
        if (endpoint->claiming == 0 && endpoint->queued == 0 && opens_us - now_us > LEAD_US)
            opens_us -= LEAD_US; /* then its delivery is fetched */
    }
    gate_sleep(core->gate, endpoint, opens_us);
}

/* The same where several go in one attempt. */
static bool send_gathered(struct dispatch *dispatch, struct endpoint *endpoint)
{
    enum status status = gather_send(dispatch->core->gather, endpoint);
    if (status == ST_NOTFOUND) {
        if (wants_lease(dispatch, endpoint))
            lease_for(dispatch, endpoint);
        return true;
    }
    if (status != ST_OK) {
        list_push_front(&dispatch->ready, &endpoint->ready);
        return false;
    }
    dispatch_endpoint_ready(dispatch, endpoint);
    return true;
}

/* One attempt, or the next lease. False when no slot is left for anybody. */
static bool send_next(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct core *core = dispatch->core;
    if (gathers(endpoint))
        return send_gathered(dispatch, endpoint);
    struct list *node = list_pop_front(&endpoint->queue);
    if (!node) {
        if (wants_lease(dispatch, endpoint))
            lease_for(dispatch, endpoint);
        return true;
    }
    struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
    endpoint->queued--;
    if (schedule_lapses(core->schedule, delivery)) {
        settle_postpone(core->settle, delivery, 0); /* it waited here for too long */
    } else if (attempt_start(core->attempts, delivery) != ST_OK) {
        list_push_front(&endpoint->queue, node);
        endpoint->queued++;
        list_push_front(&dispatch->ready, &endpoint->ready);
        return false;
    }
    dispatch_endpoint_ready(dispatch, endpoint);
    return true;
}

/* One endpoint's turn. False when no slot is left for anybody. */
static bool serve(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct core *core = dispatch->core;
    if (attempts_free_slots(core->attempts) == 0)
        return false;
    list_remove(&endpoint->ready);
    if (slots_for(dispatch, endpoint) == 0)
        return true;                   /* an attempt of its own that ends brings it back */
    uint64_t now_us = clock_mono_us(); /* of the turn: one that sleeps a moment more is not early */
    uint64_t opens_us = gate_opens_us(core->gate, endpoint, now_us);
    if (opens_us <= now_us)
        return send_next(dispatch, endpoint);
    wait_for(dispatch, endpoint, opens_us, now_us);
    return true;
}

/* Hook: once a turn. */
static void on_turn(void *arg)
{
    struct dispatch *dispatch = arg;
    expand_some(dispatch);
    if (list_empty(&dispatch->ready))
        return;
    if (!lanes_may_send(dispatch->core->lanes, clock_boot_ms())) {
        replica_lapsed(dispatch->core->replica); /* the next confirmed heartbeat wakes us */
        return;
    }
    for (int quota = START_QUOTA; quota > 0 && !list_empty(&dispatch->ready); quota--)
        if (!serve(dispatch, CONTAINER_OF(dispatch->ready.next, struct endpoint, ready)))
            return; /* a finished attempt wakes us */
    if (!list_empty(&dispatch->ready))
        reactor_wake(dispatch->core->reactor);
}

/* ---- Changes and stop ----------------------------------------------------------------------- */

void dispatch_endpoint_changed(struct dispatch *dispatch, struct endpoint *endpoint)
{
    endpoint_get(endpoint);
    gate_changed(dispatch->core->gate, endpoint);
    if (endpoint->deleted || !endpoint->config->active) {
        list_remove(&endpoint->ready);
        clear_queue(dispatch, endpoint);
    } else {
        gather_changed(dispatch->core->gather, endpoint);
        if (gathers(endpoint) == !list_empty(&endpoint->queue) && endpoint->queued > 0)
            clear_queue(dispatch, endpoint);                /* it takes them otherwise now */
        if (endpoint->queued > room_for(endpoint, HOLD_US)) /* its limit is a lower one now */
            dispatch_slow(dispatch, endpoint);
        dispatch_endpoint_ready(dispatch, endpoint);
    }
    endpoint_put(endpoint);
}

void dispatch_lane_left(struct dispatch *dispatch, struct endpoint *endpoint)
{
    list_remove(&endpoint->ready);
    endpoint->backlog = false;
    clear_queue(dispatch, endpoint);
}

void dispatch_slow(struct dispatch *dispatch, struct endpoint *endpoint)
{
    if (endpoint->queued == 0)
        return;
    if (gathers(endpoint)) {
        dispatch_release_batches(dispatch, endpoint);
        return;
    }
    endpoint->backlog = true;
    clear_queue(dispatch, endpoint);
}

static void release_batches_of_gathering(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct list unmoved;
    list_init(&unmoved);
    gather_take_unmoved(dispatch->core->gather, endpoint, &unmoved);
    endpoint->backlog |= !list_empty(&unmoved);
    for (struct list *node; (node = list_pop_front(&unmoved));) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        if (!turned_away(dispatch, delivery))
            settle_postpone(dispatch->core->settle, delivery, 0);
    }
}

void dispatch_release_batches(struct dispatch *dispatch, struct endpoint *endpoint)
{
    release_batches_of_gathering(dispatch, endpoint);
    LIST_FOREACH(node, &endpoint->queue)
    {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        if (delivery->lease > 0)
            continue;
        list_remove(node);
        endpoint->queued--;
        endpoint->backlog = true;
        if (!turned_away(dispatch, delivery))
            settle_postpone(dispatch->core->settle, delivery, 0);
    }
}

void dispatch_breaker_changed(struct dispatch *dispatch, struct endpoint *endpoint)
{
    gate_wake(dispatch->core->gate, endpoint);
    if (gate_closed(endpoint))
        clear_queue(dispatch, endpoint);
    dispatch_endpoint_ready(dispatch, endpoint);
}

void dispatch_hand_back(struct dispatch *dispatch)
{
    struct registry *registry = dispatch->core->registry;
    for (struct endpoint *endpoint = registry_next(registry, NULL); endpoint;
         endpoint = registry_next(registry, &endpoint->id))
        clear_queue(dispatch, endpoint);
}

size_t dispatch_deliveries(const struct dispatch *dispatch)
{
    return dispatch->deliveries;
}

struct dispatch *dispatch_new(struct core *core)
{
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
    if (!dispatch)
        return NULL;
    dispatch->core = core;
    list_init(&dispatch->expanding);
    list_init(&dispatch->ready);
    reactor_add_hook(core->reactor, "dispatch", on_turn, dispatch);
    return dispatch;
}

/* Leased deliveries; those of batches go with them. */
static void drop_queues(struct dispatch *dispatch)
{
    struct registry *registry = dispatch->core->registry;
    for (struct endpoint *endpoint = registry_next(registry, NULL); endpoint;
         endpoint = registry_next(registry, &endpoint->id)) {
        gather_take_all(dispatch->core->gather, endpoint, &endpoint->queue);
        LIST_FOREACH(node, &endpoint->queue)
        {
            struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
            list_remove(node);
            if (delivery->message->batch)
                continue;
            schedule_forget(dispatch->core->schedule, delivery);
            delivery_free(delivery);
        }
    }
}

void dispatch_free(struct dispatch *dispatch)
{
    if (!dispatch)
        return;
    drop_queues(dispatch);
    journal_drop(&dispatch->expanding);
    LIST_FOREACH(node, &dispatch->ready)
    list_remove(node);
    free(dispatch);
}
