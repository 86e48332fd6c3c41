/* dispatch.c - may it go now?
 *
 *   open batch --expand, in slices--> place(delivery) --+--> endpoint's queue --round--> attempt
 *                                                       |
 *                                                       +--> settle_postpone(): the schedule
 *
 * The round is the list `ready` of endpoints that have work and a free slot; each gives one attempt
 * a turn of the list. An endpoint leaves the list when it has nothing to send or no slot, and comes
 * back through dispatch_endpoint_ready().
 *
 * A batch is OPEN while an ordinal is pending. `pending` falls by dispatch_finished() and
 * dispatch_moved() alone, once for each ordinal; at zero the batch is closed, together with others
 * that end within CLOSE_AFTER_MS: what is paid for a call of close.lua is paid once for all of
 * them.
 */
#include "core/dispatch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/attempt.h"
#include "core/history.h"
#include "core/schedule.h"
#include "core/settle.h"
#include "core/store_batch.h"

enum {
    EXPAND_QUOTA = 1000,                    /* deliveries a turn */
    START_QUOTA = 256,                      /* attempts a turn */
    LEASE_MOST = 64,                        /* deliveries one lease asks for */
    MARK_AFTER_MS = 100,                    /* a batch open for longer gets progress marks */
    CLOSE_AFTER_MS = 20,                    /* a batch that has ended waits for others */
    CLOSE_MOST = 32,                        /* batches closed at once */
    CLOSE_ORDINALS = 16384,                 /* of together so many deliveries */
    STORE_PENDING_MAX = 100000,             /* calls that wait for Redis */
    EXPAND_PENDING_BYTES = 16 * 1024 * 1024 /* of calls: beyond it nothing is expanded */
};

struct dispatch {
    struct core *core;
    struct map batches;    /* open and closing, by name */
    struct list expanding; /* not yet taken apart */
    struct list open;      /* oldest first */
    struct list ready;     /* endpoints */
    size_t deliveries;
    size_t bytes;
    struct reactor_timer *mark;
    struct closing *closing; /* ended, not yet closed; NULL: none */
    struct reactor_timer *close;
};

/* Batches that are closed by one call. They stay in the list they are in. */
struct closing {
    struct dispatch *dispatch;
    size_t count, ordinals;
    struct batch *batches[CLOSE_MOST];
};

/* ---- Batches -------------------------------------------------------------------------------- */

static uint64_t batch_hash(const char *id_text)
{
    return hash_bytes(slice_str(id_text));
}

struct batch *dispatch_find(struct dispatch *dispatch, const char *batch_id)
{
    struct map_node *node = map_first(&dispatch->batches, batch_hash(batch_id));
    for (; node; node = map_next_same(node)) {
        struct batch *batch = CONTAINER_OF(node, struct batch, by_id);
        if (strcmp(batch->id_text, batch_id) == 0)
            return batch;
    }
    return NULL;
}

static void on_batch_free(void *arg, struct batch *batch)
{
    struct dispatch *dispatch = arg;
    dispatch->bytes -= batch_bytes(batch);
}

static void forget_batch(struct dispatch *dispatch, struct batch *batch)
{
    batch->state = BATCH_CLOSED;
    map_remove(&dispatch->batches, &batch->by_id);
    list_remove(&batch->node);
    batch_put(batch);
}

static void on_closed(void *arg, enum status status, const struct redis_value *reply)
{
    struct closing *closing = arg;
    struct dispatch *dispatch = closing->dispatch;
    struct core *core = dispatch->core;
    if (status == ST_OK) {
        store_saw_time(core->store, reply_integer(reply, 0));
        history_saw_closed(core->history, reply_integer(reply, 1));
        core->stats.batches_closed += (uint64_t)reply_integer(reply, 2);
    }
    for (size_t i = 0; i < closing->count; i++)
        forget_batch(dispatch, closing->batches[i]);
    free(closing);
}

static void close_now(struct dispatch *dispatch)
{
    struct closing *closing = dispatch->closing;
    struct core *core = dispatch->core;
    if (!closing)
        return;
    dispatch->closing = NULL;
    if (store_close(core->store, closing->batches, closing->count, core->options.history_ttl_ms,
                    on_closed, closing) == ST_OK)
        return;
    log_error("dispatch.close_failed", "batches=%zu reason=nomem", closing->count);
    for (size_t i = 0; i < closing->count; i++)
        closing->batches[i]->state = BATCH_OPEN; /* the marker tries again */
    free(closing);
}

static void on_close(void *arg)
{
    close_now(arg);
}

static void close_if_done(struct dispatch *dispatch, struct batch *batch)
{
    if (batch->pending > 0 || batch->state != BATCH_OPEN)
        return;
    if (batch->taken_away) {
        forget_batch(dispatch, batch);
        return;
    }
    struct closing *closing = dispatch->closing;
    if (!closing) {
        closing = malloc(sizeof(*closing));
        if (!closing)
            return; /* the marker tries again */
        closing->dispatch = dispatch;
        closing->count = closing->ordinals = 0;
        dispatch->closing = closing;
        reactor_timer_set(dispatch->close, dispatch->core->stopping ? 0 : CLOSE_AFTER_MS);
    }
    batch->state = BATCH_CLOSING;
    closing->batches[closing->count++] = batch;
    closing->ordinals += batch->ordinal_count;
    if (closing->count == CLOSE_MOST || closing->ordinals >= CLOSE_ORDINALS)
        close_now(dispatch);
}

static void settle_slot(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal,
                        enum slot_state state)
{
    struct batch_slot *slot = &batch->slots[ordinal];
    if (slot->state != SLOT_PENDING)
        return;
    slot->state = (uint8_t)state;
    batch->pending--;
    close_if_done(dispatch, batch);
}

void dispatch_finished(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal,
                       const struct outcome *outcome)
{
    outcome_write(batch->slots[ordinal].outcome, outcome);
    batch->unmarked++;
    settle_slot(dispatch, batch, ordinal, SLOT_FINISHED);
}

void dispatch_moved(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal)
{
    batch->slots[ordinal].marked = true;
    settle_slot(dispatch, batch, ordinal, SLOT_MOVED);
}

void dispatch_lost(struct dispatch *dispatch, struct batch *batch, uint32_t ordinal)
{
    batch->taken_away = true;
    settle_slot(dispatch, batch, ordinal, SLOT_MOVED);
}

void dispatch_skip(struct batch *batch, uint32_t ordinal)
{
    struct batch_slot *slot = &batch->slots[ordinal];
    if (slot->state != SLOT_PENDING)
        return;
    outcome_write(slot->outcome, &(struct outcome){.status = OUTCOME_DUPLICATE});
    slot->state = SLOT_FINISHED;
    slot->marked = true; /* by the publish script */
    batch->pending--;
}

void dispatch_skip_done(struct batch *batch, uint32_t ordinal)
{
    struct batch_slot *slot = &batch->slots[ordinal];
    if (slot->state != SLOT_PENDING)
        return;
    /* Moved, or sent and its outcome died with its process: nothing to write when the batch closes.
     */
    slot->state = SLOT_MOVED;
    slot->marked = true;
    batch->pending--;
}

void dispatch_open(struct dispatch *dispatch, struct batch *batch)
{
    batch->state = BATCH_OPEN;
    batch->opened_at_ms = clock_mono_ms();
    batch->on_free = on_batch_free;
    batch->free_arg = dispatch;
    dispatch->bytes += batch_bytes(batch);
    if (map_insert(&dispatch->batches, &batch->by_id, batch_hash(batch->id_text)) != ST_OK) {
        /* It stays in the journal; a restart adopts it. */
        log_error("dispatch.open_failed", "batch=%s reason=nomem", batch->id_text);
        batch_put(batch);
        return;
    }
    list_remove(&batch->node);
    list_push_back(batch->pending > 0 ? &dispatch->expanding : &dispatch->open, &batch->node);
    close_if_done(dispatch, batch);
}

/* ---- Progress marks ------------------------------------------------------------------------- */

static void on_marked(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

static void mark_batch(struct dispatch *dispatch, struct batch *batch)
{
    uint32_t *ordinals = malloc(batch->unmarked * sizeof(*ordinals));
    if (!ordinals)
        return; /* the next time */
    size_t count = 0;
    for (uint32_t i = 0; i < batch->ordinal_count && count < batch->unmarked; i++)
        if (batch->slots[i].state == SLOT_FINISHED && !batch->slots[i].marked)
            ordinals[count++] = i;
    if (store_progress(dispatch->core->store, batch->id_text, ordinals, count, on_marked, NULL) ==
        ST_OK) {
        for (size_t i = 0; i < count; i++)
            batch->slots[ordinals[i]].marked = true;
        batch->unmarked = 0;
    }
    free(ordinals);
}

static void on_mark(void *arg)
{
    struct dispatch *dispatch = arg;
    uint64_t now_ms = clock_mono_ms();
    LIST_FOREACH(node, &dispatch->open)
    {
        struct batch *batch = CONTAINER_OF(node, struct batch, node);
        if (now_ms - batch->opened_at_ms < MARK_AFTER_MS)
            break;
        if (batch->state == BATCH_OPEN && batch->unmarked > 0 && batch->pending > 0)
            mark_batch(dispatch, batch);
        close_if_done(dispatch, batch); /* one that could not be closed for lack of memory */
    }
    if (!list_empty(&dispatch->open))
        reactor_timer_set(dispatch->mark, MARK_AFTER_MS);
}

/* ---- Deliveries ----------------------------------------------------------------------------- */

void dispatch_took(struct dispatch *dispatch, struct delivery *delivery)
{
    (void)delivery;
    dispatch->deliveries++;
}

void dispatch_release(struct dispatch *dispatch, struct delivery *delivery)
{
    struct batch *batch = delivery->message->batch;
    if (batch && batch->slots[delivery->ordinal].delivery == delivery)
        batch->slots[delivery->ordinal].delivery = NULL;
    dispatch->deliveries--;
    delivery_free(delivery);
}

static bool memory_full(const struct dispatch *dispatch)
{
    const struct core_options *options = &dispatch->core->options;
    return dispatch->deliveries > options->deliveries_max || dispatch->bytes > options->bytes_max;
}

bool dispatch_overloaded(const struct dispatch *dispatch)
{
    const struct core_options *options = &dispatch->core->options;
    return dispatch->deliveries > 2 * options->deliveries_max ||
           dispatch->bytes > 2 * options->bytes_max ||
           store_pending(dispatch->core->store) > STORE_PENDING_MAX;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many more attempts the endpoint may have under way: up to its own maximum, and to as many as
 * there are slots free for all. So endpoints that hang take less and less of what is left and never
 * all of it: n of them end with 1/(n+1) of the slots each, and as much stays free for the others.
 * [Choudhury and Hahne, "Dynamic queue length thresholds", 1998, with alpha = 1] */
static size_t slots_for(const struct dispatch *dispatch, const struct endpoint *endpoint)
{
    size_t used = endpoint->in_flight + endpoint->claiming;
    size_t most =
        least(endpoint->config->max_in_flight, attempts_free_slots(dispatch->core->attempts));
    return most > used ? most - used : 0;
}

void dispatch_endpoint_ready(struct dispatch *dispatch, struct endpoint *endpoint)
{
    if (endpoint->deleted || !endpoint->config->active)
        return;
    if (list_linked(&endpoint->ready) || slots_for(dispatch, endpoint) == 0 ||
        (endpoint->queued == 0 && (!endpoint->backlog || endpoint->claiming > 0)))
        return;
    list_push_back(&dispatch->ready, &endpoint->ready);
    reactor_wake(dispatch->core->reactor);
}

static void place(struct dispatch *dispatch, struct delivery *delivery)
{
    struct core *core = dispatch->core;
    struct endpoint *endpoint = delivery->endpoint;
    uint64_t due_at_ms = delivery->message->record.deliver_at_ms;
    if (endpoint->deleted) {
        settle_cancel(core->settle, delivery);
    } else if (!endpoint->config->active) {
        settle_dead(core->settle, delivery, "endpoint_disabled");
    } else if (due_at_ms > store_redis_ms(core->store)) {
        settle_postpone(core->settle, delivery, due_at_ms);
    } else if (endpoint->backlog || core->stopping || memory_full(dispatch) ||
               endpoint->queued >= core->options.queued_per_endpoint_max) {
        endpoint->backlog = true;
        settle_postpone(core->settle, delivery, 0);
    } else {
        list_push_back(&endpoint->queue, &delivery->node);
        endpoint->queued++;
        dispatch_endpoint_ready(dispatch, endpoint);
    }
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
    struct endpoint *endpoint = registry_find(dispatch->core->registry, &id);
    if (!endpoint) {
        dispatch->core->stats.deliveries_cancelled++;
        dispatch_finished(dispatch, batch, ordinal,
                          &(struct outcome){.status = OUTCOME_CANCELLED, .at_ms = clock_wall_ms()});
        return true;
    }
    struct delivery *delivery = delivery_new(endpoint, message, ordinal);
    if (!delivery)
        return false;
    delivery->accepted_us = batch->opened_at_ms * 1000;
    batch->slots[ordinal].delivery = delivery;
    dispatch->deliveries++;
    place(dispatch, delivery);
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
    if (batch->expand_message == batch->message_count && batch->state != BATCH_CLOSED) {
        list_remove(&batch->node);
        list_push_back(&dispatch->open, &batch->node);
        if (!reactor_timer_armed(dispatch->mark))
            reactor_timer_set(dispatch->mark, MARK_AFTER_MS);
    }
    batch_put(batch);
    return done;
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

/* ---- The round ------------------------------------------------------------------------------ */

static void lease_for(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct core *core = dispatch->core;
    size_t count = least(slots_for(dispatch, endpoint), LEASE_MOST);
    if (count > 0)
        schedule_lease(core->schedule, endpoint, count);
}

/* One endpoint's turn. False when no slot is left for anybody. */
static bool serve(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct core *core = dispatch->core;
    if (attempts_free_slots(core->attempts) == 0)
        return false;
    list_remove(&endpoint->ready);
    if (slots_for(dispatch, endpoint) == 0)
        return true; /* an attempt of its own that ends brings it back */
    struct list *node = list_pop_front(&endpoint->queue);
    if (!node) {
        if (endpoint->backlog && !core->stopping)
            lease_for(dispatch, endpoint);
        return true;
    }
    struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
    endpoint->queued--;
    if (attempt_start(core->attempts, delivery) != ST_OK) {
        list_push_front(&endpoint->queue, node);
        endpoint->queued++;
        list_push_front(&dispatch->ready, &endpoint->ready);
        return false;
    }
    dispatch_endpoint_ready(dispatch, endpoint);
    return true;
}

/* Hook: once a turn. */
static void on_turn(void *arg)
{
    struct dispatch *dispatch = arg;
    expand_some(dispatch);
    for (int quota = START_QUOTA; quota > 0 && !list_empty(&dispatch->ready); quota--)
        if (!serve(dispatch, CONTAINER_OF(dispatch->ready.next, struct endpoint, ready)))
            return; /* a finished attempt wakes us */
    if (!list_empty(&dispatch->ready))
        reactor_wake(dispatch->core->reactor);
}

/* ---- Changes and stop ----------------------------------------------------------------------- */

static void clear_queue(struct dispatch *dispatch, struct endpoint *endpoint)
{
    struct list queue;
    list_init(&queue);
    for (struct list *node; (node = list_pop_front(&endpoint->queue));)
        list_push_back(&queue, node);
    endpoint->queued = 0;
    for (struct list *node; (node = list_pop_front(&queue));)
        place(dispatch, CONTAINER_OF(node, struct delivery, node));
}

void dispatch_endpoint_changed(struct dispatch *dispatch, struct endpoint *endpoint)
{
    endpoint_get(endpoint);
    if (endpoint->deleted || !endpoint->config->active) {
        list_remove(&endpoint->ready);
        clear_queue(dispatch, endpoint);
    } else {
        dispatch_endpoint_ready(dispatch, endpoint);
    }
    endpoint_put(endpoint);
}

void dispatch_hand_back(struct dispatch *dispatch)
{
    struct registry *registry = dispatch->core->registry;
    for (struct endpoint *endpoint = registry_next(registry, NULL); endpoint;
         endpoint = registry_next(registry, &endpoint->id))
        clear_queue(dispatch, endpoint);
}

size_t dispatch_open_batches(const struct dispatch *dispatch)
{
    return dispatch->batches.count;
}

size_t dispatch_deliveries(const struct dispatch *dispatch)
{
    return dispatch->deliveries;
}

size_t dispatch_bytes(const struct dispatch *dispatch)
{
    return dispatch->bytes;
}

struct dispatch *dispatch_new(struct core *core)
{
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
    if (!dispatch)
        return NULL;
    dispatch->core = core;
    map_init(&dispatch->batches);
    list_init(&dispatch->expanding);
    list_init(&dispatch->open);
    list_init(&dispatch->ready);
    dispatch->mark = reactor_timer_new(core->reactor, on_mark, dispatch);
    dispatch->close = reactor_timer_new(core->reactor, on_close, dispatch);
    if (!dispatch->mark || !dispatch->close) {
        reactor_timer_free(dispatch->mark);
        reactor_timer_free(dispatch->close);
        free(dispatch);
        return NULL;
    }
    reactor_add_hook(core->reactor, "dispatch", on_turn, dispatch);
    return dispatch;
}

static void drop_batches(struct list *batches)
{
    LIST_FOREACH(node, batches)
    {
        struct batch *batch = CONTAINER_OF(node, struct batch, node);
        for (uint32_t i = 0; i < batch->ordinal_count; i++) {
            struct delivery *delivery = batch->slots[i].delivery;
            batch->slots[i].delivery = NULL;
            if (delivery) {
                list_remove(&delivery->node);
                delivery_free(delivery);
            }
        }
        list_remove(&batch->node);
        batch_put(batch);
    }
}

void dispatch_free(struct dispatch *dispatch)
{
    if (!dispatch)
        return;
    drop_batches(&dispatch->expanding);
    drop_batches(&dispatch->open);
    LIST_FOREACH(node, &dispatch->ready)
    list_remove(node);
    map_free(&dispatch->batches);
    reactor_timer_free(dispatch->mark);
    reactor_timer_free(dispatch->close);
    free(dispatch->closing);
    free(dispatch);
}
