/* publish.c - from an accepted event to a stored batch.
 *
 *   publish_event() --> matching --> building --seal, once a turn--> sealed --at most 2--> storing
 *                                                          |                    |
 *                                                    deadline: 503        deadline: "unknown"
 *
 * Each event has a waiter, the producer's callback, answered exactly once:
 *   - by the script's verdict, which with replicas(n) counts when n of Redis's replicas have it
 *     (store_confirm.h), else they are told `unknown` and the batch goes its way; or
 *   - when the batch's deadline passes: a batch that was not sent yet is dropped and nothing is
 * stored; one that was sent stays, its waiters are told `unknown`, and its fate is found out later:
 * if it was stored after all, it is delivered.
 *
 * A batch is made with the masks of the other replicas' lanes as they are then (batch.h). When it
 * is sealed the parts that have ordinals are known; the script enters each in its owner's journal,
 * or in mine. Its reply names those that are in mine: part 0 goes on as this very batch, any other
 * is read back like one that another replica sent (mailbox.h).
 *
 * Rejected: an in-process table of keys under way. Two events with one key in one turn are judged
 * by the script, in order, like any others.
 */
#include "core/publish.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/dispatch.h"
#include "core/history.h"
#include "core/journal.h"
#include "core/mailbox.h"
#include "core/matching.h"
#include "core/publish_key.h"
#include "core/store_batch.h"

enum { STORING_MAX = 2, ID_TEXT_LEN = 31, ANSWER_BYTES = ID_TEXT_LEN + 8 + 4 };

struct waiter {
    publish_fn *fn; /* NULL once answered */
    void *arg;
    uint64_t accepted_us;
    uint32_t deliveries;
    uint64_t fingerprint;
    bool has_idempotency, has_uid;
    uint8_t idempotency[PUBLISH_KEY_BYTES];
    uint8_t uid[PUBLISH_KEY_BYTES];
};

/* A batch on its way to Redis, with those who wait for it. */
struct shipment {
    struct list node; /* in publish->sealed or publish->storing */
    struct publish *publish;
    struct batch *batch;
    uint64_t sequence;
    uint64_t deadline_ms;     /* monotonic */
    bool sent;                /* the blob was sent at least once */
    bool waiting;             /* for Redis to come back */
    bool unsure;              /* a reply was lost: it may be stored, whatever a later error says */
    bool answered;            /* its waiters were told "unknown" */
    struct lanes_part *lanes; /* of the others, as in the batch's masks; NULL: none. Owned */
    struct store_part *parts; /* that have ordinals; NULL: the batch is one whole. Owned */
    uint32_t part_count;
    uint32_t count, capacity;
    struct waiter waiters[];
};

struct publish {
    struct core *core;
    struct shipment *building;
    struct list sealed, storing;
    uint32_t storing_count;
    enum publish_verdict blob_refused; /* by the last SET; PUBLISH_ACCEPTED: it was not */
    uint64_t refusal_logged_ms;        /* monotonic */
    uint32_t refusals;                 /* since then */
    uint64_t nonce_high;               /* this process's half of a batch's nonce */
    uint32_t sequence;
    struct matching *matching;
    struct reactor_timer *deadline;
};

const char *publish_verdict_name(enum publish_verdict verdict)
{
    static const char *const names[] = {
        "accepted",    "duplicate",  "key_reused", "uid_taken", "idempotency_full", "journal_full",
        "unavailable", "store_full", "overloaded", "stopping",  "unknown"};
    return names[verdict];
}

/* ---- Answering ------------------------------------------------------------------------------ */

_Static_assert(sizeof(((struct core_stats *)NULL)->events) / sizeof(uint64_t) > PUBLISH_UNKNOWN,
               "core_stats counts every verdict");

static void answer(struct publish *publish, struct waiter *waiter, enum publish_verdict verdict,
                   const char *event_id, uint32_t deliveries)
{
    publish_fn *fn = waiter->fn;
    if (!fn)
        return;
    waiter->fn = NULL;
    struct core_stats *stats = &publish->core->stats;
    stats->events[verdict]++;
    if (verdict == PUBLISH_ACCEPTED)
        hist_record(&stats->publish_us, clock_now_us() - waiter->accepted_us);
    fn(waiter->arg, verdict, event_id, deliveries);
}

static void answer_all(struct shipment *shipment, enum publish_verdict verdict)
{
    for (uint32_t i = 0; i < shipment->count; i++)
        answer(shipment->publish, &shipment->waiters[i], verdict, "", 0);
}

/* Of an event that waited to be matched and is in no batch. */
static void refuse_waiting(struct publish *publish, struct matching_waiter waiter,
                           enum publish_verdict verdict)
{
    publish->core->stats.events[verdict]++;
    waiter.fn(waiter.arg, verdict, "", 0);
}

/* Those that wait to be matched since then or longer. */
static void give_up_matching(struct publish *publish, uint64_t since_ms,
                             enum publish_verdict verdict)
{
    struct matching_waiter waiter;
    while (matching_give_up(publish->matching, since_ms, &waiter))
        refuse_waiting(publish, waiter, verdict);
}

/* Ends a shipment; the batch goes on without it, or was put by the caller. */
static void shipment_end(struct shipment *shipment)
{
    struct publish *publish = shipment->publish;
    if (shipment->sent)
        publish->storing_count--;
    list_remove(&shipment->node);
    free(shipment->lanes);
    free(shipment->parts);
    free(shipment);
}

static void shipment_refuse(struct shipment *shipment, enum publish_verdict verdict)
{
    answer_all(shipment, verdict);
    batch_put(shipment->batch);
    shipment_end(shipment);
}

/* ---- Storing -------------------------------------------------------------------------------- */

static bool send_shipment(struct shipment *shipment);

static void answer_verdict(struct shipment *shipment, uint32_t index, struct slice verdict,
                           struct batch *batch)
{
    struct waiter *waiter = &shipment->waiters[index];
    struct message *message = &batch->messages[index];
    if (verdict.len == 0) {
        answer(shipment->publish, waiter, PUBLISH_ACCEPTED, message->id_text, waiter->deliveries);
        return;
    }
    journal_skip(message);
    if (verdict.ptr[0] == 'f' || verdict.len != 1 + ANSWER_BYTES) {
        answer(shipment->publish, waiter, PUBLISH_IDEMPOTENCY_FULL, "", 0);
        return;
    }
    char event_id[ID_TEXT_LEN + 1];
    uint64_t fingerprint;
    uint32_t deliveries;
    memcpy(event_id, verdict.ptr + 1, ID_TEXT_LEN);
    event_id[ID_TEXT_LEN] = '\0';
    memcpy(&fingerprint, verdict.ptr + 1 + ID_TEXT_LEN, sizeof(fingerprint));
    memcpy(&deliveries, verdict.ptr + 1 + ID_TEXT_LEN + 8, sizeof(deliveries));
    enum publish_verdict what = verdict.ptr[0] == 'u'                ? PUBLISH_UID_TAKEN
                                : fingerprint == waiter->fingerprint ? PUBLISH_DUPLICATE
                                                                     : PUBLISH_KEY_REUSED;
    answer(shipment->publish, waiter, what, event_id, deliveries);
}

/* `numbers`: the parts that are in my journal, "0,2". True if part 0 is among them; the others are
 * taken over by the mailbox. */
static bool parts_are_mine(struct shipment *shipment, struct slice numbers)
{
    const struct batch *batch = shipment->batch;
    bool own = false;
    for (size_t at = 0; at < numbers.len;) {
        const char *comma = memchr(numbers.ptr + at, ',', numbers.len - at);
        size_t end = comma ? (size_t)(comma - numbers.ptr) : numbers.len;
        struct slice number = slice_of(numbers.ptr + at, end - at);
        char member[BATCH_MEMBER_TEXT];
        snprintf(member, sizeof(member), "%s.%.*s", batch->id_text, SLICE_ARGS(number));
        if (slice_eq(number, SLICE("0")))
            own = true;
        else
            mailbox_announced(shipment->publish->core->mailbox, slice_str(member));
        at = end + 1;
    }
    return own;
}

/* Stored. Parts that are not in my journal are others', who deliver them: theirs from the start, or
 * adopted. */
static void on_accepted(struct shipment *shipment, const struct redis_value *reply)
{
    enum { REPLY_PARTS = 2, REPLY_VERDICTS = 3 };
    struct publish *publish = shipment->publish;
    struct batch *batch = shipment->batch;
    size_t verdict_at = REPLY_VERDICTS;
    list_remove(&shipment->node);
    for (uint32_t i = 0; i < shipment->count; i++) {
        const struct waiter *waiter = &shipment->waiters[i];
        bool judged = waiter->has_idempotency || waiter->has_uid;
        answer_verdict(shipment, i, judged ? reply_text(reply, verdict_at) : SLICE_NULL, batch);
        verdict_at += judged;
    }
    struct core_stats *stats = &publish->core->stats;
    stats->batches_stored++;
    hist_record(&stats->batch_events, shipment->count);
    hist_record(&stats->batch_bytes, batch->blob.len);
    bool own = parts_are_mine(shipment, reply_text(reply, REPLY_PARTS));
    shipment_end(shipment);
    if (own)
        dispatch_open(publish->core->dispatch, batch); /* last: it takes the batch over */
    else
        batch_put(batch);
}

/* While Redis refuses it does so for every batch: one line a second tells it. */
static void log_refusal(struct publish *publish, struct slice error)
{
    uint64_t now_ms = clock_mono_ms();
    publish->refusals++;
    if (now_ms - publish->refusal_logged_ms < 1000)
        return;
    log_warn("publish.refused", "batches=%u error=%s", publish->refusals, log_quote(error));
    publish->refusal_logged_ms = now_ms;
    publish->refusals = 0;
}

/* Stored, but a failover may lose it: fewer replicas than `durability` wants have it. It is
 * delivered, and nobody is told so. */
static void on_unconfirmed(struct shipment *shipment)
{
    log_refusal(shipment->publish, SLICE("too few replicas confirmed it (durability)"));
    shipment->answered = true;
    answer_all(shipment, PUBLISH_UNKNOWN);
}

/* What an error reply means for the producers. */
static enum publish_verdict refusal_of(struct publish *publish, struct slice error)
{
    log_refusal(publish, error);
    if (!slice_starts(error, SLICE("OOM")))
        return PUBLISH_UNAVAILABLE;
    history_make_room(publish->core->history);
    return PUBLISH_STORE_FULL;
}

/* The answer to a SET comes right before its script's; it matters when it is a refusal, because the
 * script then only finds that there is no blob. It is kept here and not with the shipment, which
 * may have ended meanwhile. */
static void on_blob(void *arg, enum status status, const struct redis_value *reply)
{
    struct publish *publish = arg;
    publish->blob_refused = PUBLISH_ACCEPTED;
    if (status == ST_OK && redis_value_type(reply) == REDIS_ERROR)
        publish->blob_refused = refusal_of(publish, redis_value_text(reply));
}

static void on_published(void *arg, enum status status, const struct redis_value *reply)
{
    struct shipment *shipment = arg;
    struct publish *publish = shipment->publish;
    reactor_wake(publish->core->reactor); /* the next batch may go */
    if (status == ST_STOPPED) {
        shipment_refuse(shipment, PUBLISH_UNKNOWN);
        return;
    }
    if (status != ST_OK && status != ST_TIMEOUT) {
        shipment->waiting = shipment->unsure = true; /* until publish_store_ready() */
        return;
    }
    store_saw_time(publish->core->store, reply_integer(reply, 1));
    if (redis_value_type(reply) == REDIS_ERROR && shipment->unsure) {
        /* Only an answer of the script tells: the deadline's timer asks again. */
        shipment->waiting = true;
    } else if (redis_value_type(reply) == REDIS_ERROR) {
        shipment_refuse(shipment, refusal_of(publish, redis_value_text(reply)));
    } else if (reply_is(reply, 0, "ok")) {
        if (status == ST_TIMEOUT)
            on_unconfirmed(shipment);
        on_accepted(shipment, reply);
    } else if (reply_is(reply, 0, "journal_full")) {
        shipment_refuse(shipment, PUBLISH_JOURNAL_FULL);
    } else if (shipment->answered) { /* noblob, and nobody waits: it was not stored */
        shipment_refuse(shipment, PUBLISH_UNKNOWN);
    } else if (publish->blob_refused != PUBLISH_ACCEPTED) {
        shipment_refuse(shipment, publish->blob_refused);
    } else { /* noblob: the SET was lost on the way */
        shipment->sent = shipment->unsure = false;
        publish->storing_count--;
        list_remove(&shipment->node);
        list_push_front(&publish->sealed, &shipment->node);
    }
}

static enum status ship(struct shipment *shipment, bool script_only)
{
    struct core *core = shipment->publish->core;
    const struct core_options *options = &core->options;
    struct store_publish_options publish = {
        .journal_batches_max = options->journal_batches_max,
        .idempotency_keys_max = options->idempotency_keys_max,
        .idempotency_ttl_ms = options->idempotency_ttl_ms,
        .uids_max = options->idempotency_keys_max,
        .uid_ttl_ms = options->history_ttl_ms,
        .confirm = options->confirm,
    };
    struct store_key_claim claims[LIMIT_BATCH_EVENTS];
    char answers[LIMIT_BATCH_EVENTS][ANSWER_BYTES];
    size_t count = 0;
    for (uint32_t i = 0; i < shipment->count; i++) {
        const struct waiter *waiter = &shipment->waiters[i];
        if (!waiter->has_idempotency && !waiter->has_uid)
            continue;
        const struct message *message = &shipment->batch->messages[i];
        char *text = answers[count];
        memcpy(text, message->id_text, ID_TEXT_LEN);
        memcpy(text + ID_TEXT_LEN, &waiter->fingerprint, 8);
        memcpy(text + ID_TEXT_LEN + 8, &waiter->deliveries, 4);
        claims[count++] = (struct store_key_claim){
            .idempotency =
                slice_of(waiter->idempotency, waiter->has_idempotency ? PUBLISH_KEY_BYTES : 0),
            .uid = slice_of(waiter->uid, waiter->has_uid ? PUBLISH_KEY_BYTES : 0),
            .answer = slice_of(text, ANSWER_BYTES),
            .first_ordinal = message->first_ordinal,
            .ordinals = message->target_count,
            .refused_bit = batch_refused_bit(shipment->batch, i),
        };
    }
    return store_publish(core->store, shipment->batch, shipment->sequence, shipment->parts,
                         shipment->part_count, claims, count, &publish, script_only, on_blob,
                         shipment->publish, on_published, shipment);
}

/* False when nothing more can be sent now. */
static bool send_shipment(struct shipment *shipment)
{
    struct publish *publish = shipment->publish;
    enum status status = ship(shipment, shipment->sent);
    if (status == ST_AGAIN || status == ST_LIMIT || (status != ST_OK && shipment->sent))
        return false;
    if (status != ST_OK) {
        shipment_refuse(shipment, PUBLISH_OVERLOADED);
        return true;
    }
    shipment->waiting = false;
    shipment->batch->sendings++;
    if (!shipment->sent) {
        shipment->sent = true;
        publish->storing_count++;
        shipment->batch->state = BATCH_STORING;
        list_remove(&shipment->node);
        list_push_back(&publish->storing, &shipment->node);
    }
    return true;
}

/* Finds out which parts have ordinals; this batch is part 0 of them from now on. When that has all,
 * or nothing has any, it is one whole. */
static enum status divide(struct shipment *shipment)
{
    struct batch *batch = shipment->batch;
    uint32_t counts[BATCH_PARTS_MAX + 1];
    if (batch->part_count == 0)
        return ST_OK;
    batch_divide(batch, counts);
    batch_hold_part(batch, 0);
    if (batch->foreign == 0)
        return ST_OK;
    shipment->parts = calloc(batch->part_count + 1u, sizeof(*shipment->parts));
    if (!shipment->parts)
        return ST_NOMEM;
    for (uint32_t i = 0; i <= batch->part_count; i++)
        if (counts[i] > 0)
            shipment->parts[shipment->part_count++] =
                (struct store_part){i, i == 0 ? store_incarnation(shipment->publish->core->store)
                                              : shipment->lanes[i - 1].owner};
    return ST_OK;
}

/* The turn's events become a batch. */
static void seal(struct publish *publish)
{
    struct shipment *shipment = publish->building;
    if (!shipment)
        return;
    publish->building = NULL;
    enum status status = batch_parse(shipment->batch);
    if (status == ST_OK)
        status = divide(shipment);
    shipment->batch->state = BATCH_SEALED;
    list_push_back(&publish->sealed, &shipment->node);
    if (status != ST_OK)
        shipment_refuse(shipment, PUBLISH_OVERLOADED);
    else if (!reactor_timer_armed(publish->deadline))
        reactor_timer_set(publish->deadline, 100);
}

/* Hook: once a turn. While two batches are on their way the next one goes on growing. */
static void on_turn(void *arg)
{
    struct publish *publish = arg;
    matching_go_on(publish->matching);
    if (publish->storing_count < STORING_MAX && list_empty(&publish->sealed))
        seal(publish);
    LIST_FOREACH(node, &publish->sealed)
    {
        if (publish->storing_count >= STORING_MAX ||
            !send_shipment(CONTAINER_OF(node, struct shipment, node)))
            break;
    }
}

void publish_store_lost(struct publish *publish)
{
    give_up_matching(publish, UINT64_MAX, PUBLISH_UNAVAILABLE);
    seal(publish);
    for (struct list *node; (node = list_pop_front(&publish->sealed));)
        shipment_refuse(CONTAINER_OF(node, struct shipment, node), PUBLISH_UNAVAILABLE);
}

void publish_store_ready(struct publish *publish)
{
    LIST_FOREACH(node, &publish->storing)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (shipment->waiting && !send_shipment(shipment))
            break;
    }
    reactor_wake(publish->core->reactor);
}

/* ---- Deadlines ------------------------------------------------------------------------------ */

static void on_deadline(void *arg)
{
    struct publish *publish = arg;
    uint64_t now_ms = clock_mono_ms();
    uint64_t timeout_ms = publish->core->options.publish_timeout_ms;
    if (now_ms >= timeout_ms)
        give_up_matching(publish, now_ms - timeout_ms, PUBLISH_OVERLOADED);
    if (publish->building && publish->building->deadline_ms <= now_ms)
        seal(publish);
    LIST_FOREACH(node, &publish->sealed)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (shipment->deadline_ms <= now_ms)
            shipment_refuse(shipment, PUBLISH_UNAVAILABLE);
    }
    LIST_FOREACH(node, &publish->storing)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (shipment->deadline_ms <= now_ms && !shipment->answered) {
            shipment->answered = true;
            answer_all(shipment, PUBLISH_UNKNOWN);
        }
        if (shipment->waiting && store_ready(publish->core->store))
            (void)send_shipment(shipment); /* refused for lack of room: the next tick */
    }
    if (publish->building || !list_empty(&publish->sealed) || !list_empty(&publish->storing) ||
        matching_waiting(publish->matching) > 0)
        reactor_timer_set(publish->deadline, 100);
}

/* ---- Taking events -------------------------------------------------------------------------- */

/* An empty batch with the lanes of the others as they are now. */
static enum status begin_batch(struct shipment *shipment)
{
    struct publish *publish = shipment->publish;
    struct lanes_part lanes[BATCH_PARTS_MAX];
    size_t count = lanes_parts(publish->core->lanes, lanes, BATCH_PARTS_MAX);
    if (count > 0) {
        shipment->lanes = malloc(count * sizeof(*lanes));
        if (!shipment->lanes)
            return ST_NOMEM;
        memcpy(shipment->lanes, lanes, count * sizeof(*lanes));
    }
    shipment->batch = batch_new(clock_wall_ms(), publish->nonce_high | publish->sequence,
                                LIMIT_BATCH_BYTES, lanes, count);
    if (!shipment->batch)
        return ST_NOMEM;
    shipment->batch->accepted_us = clock_mono_us();
    return ST_OK;
}

static struct shipment *building(struct publish *publish)
{
    if (publish->building)
        return publish->building;
    const struct core_options *options = &publish->core->options;
    size_t size = sizeof(struct shipment) + options->batch_events_max * sizeof(struct waiter);
    struct shipment *shipment = malloc(size);
    if (!shipment)
        return NULL;
    *shipment = (struct shipment){.publish = publish,
                                  .sequence = ++publish->sequence,
                                  .deadline_ms = clock_mono_ms() + options->publish_timeout_ms,
                                  .capacity = options->batch_events_max};
    list_init(&shipment->node);
    if (begin_batch(shipment) != ST_OK) {
        free(shipment->lanes);
        free(shipment);
        return NULL;
    }
    publish->building = shipment;
    if (!reactor_timer_armed(publish->deadline))
        reactor_timer_set(publish->deadline, 100);
    return shipment;
}

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

static enum status add_waiter(struct shipment *shipment, const struct publish_item *item,
                              publish_fn *fn, void *arg, uint32_t deliveries)
{
    struct waiter *waiter = &shipment->waiters[shipment->count];
    *waiter = (struct waiter){.fn = fn,
                              .arg = arg,
                              .accepted_us = clock_now_us(),
                              .deliveries = deliveries,
                              .has_idempotency = item->idempotency_key.ptr != NULL,
                              .has_uid = item->record.uid.ptr != NULL};
    struct slice application = item->record.application;
    if (waiter->has_idempotency) {
        waiter->fingerprint = hash_stable(item->raw);
        if (publish_key(application, item->idempotency_key, waiter->idempotency) != ST_OK)
            return ST_NOMEM;
    }
    if (waiter->has_uid && publish_key(application, item->record.uid, waiter->uid) != ST_OK)
        return ST_NOMEM;
    return ST_OK;
}

static enum status add_event(struct publish *publish, const struct publish_item *item,
                             struct slice targets, struct matching_waiter waiter)
{
    struct shipment *shipment = building(publish);
    if (!shipment)
        return ST_NOMEM;
    enum status status =
        add_waiter(shipment, item, waiter.fn, waiter.arg, (uint32_t)(targets.len / TARGET_BYTES));
    struct id id;
    return status == ST_OK ? batch_add(shipment->batch, &item->record, targets, &id) : status;
}

/* It is known who gets the event: it joins the batch. */
static enum status pack_event(struct publish *publish, const struct publish_item *item,
                              struct slice targets, struct matching_waiter waiter)
{
    enum status status = add_event(publish, item, targets, waiter);
    if (status == ST_LIMIT && publish->building->count > 0) {
        seal(publish); /* it has no room for this one; the next has */
        status = add_event(publish, item, targets, waiter);
    }
    if (status != ST_OK)
        return status;
    struct shipment *shipment = publish->building;
    shipment->count++;
    if (shipment->count == shipment->capacity ||
        shipment->batch->blob.len >= publish->core->options.batch_bytes_max)
        seal(publish);
    return ST_OK;
}

static enum status take_event(struct publish *publish, const struct publish_item *item,
                              struct matching_waiter waiter, enum publish_verdict *why)
{
    if (refused_now(publish, why))
        return ST_REFUSED;
    *why = PUBLISH_OVERLOADED;
    struct slice targets;
    enum status status = matching_begin(publish->matching, item, waiter, &targets);
    if (status == ST_OK)
        return pack_event(publish, item, targets, waiter);
    if (status != ST_AGAIN)
        return status;
    if (!reactor_timer_armed(publish->deadline))
        reactor_timer_set(publish->deadline, 100);
    return ST_OK;
}

static void on_matched(void *arg, enum status status, const struct publish_item *item,
                       struct slice targets, struct matching_waiter waiter)
{
    struct publish *publish = arg;
    if (status == ST_OK)
        status = pack_event(publish, item, targets, waiter);
    if (status != ST_OK)
        refuse_waiting(publish, waiter, PUBLISH_OVERLOADED);
}

enum status publish_event(struct publish *publish, const struct publish_item *item, publish_fn *fn,
                          void *arg, enum publish_verdict *why)
{
    enum status status = take_event(publish, item, (struct matching_waiter){fn, arg}, why);
    if (status != ST_OK)
        publish->core->stats.events[*why]++;
    return status;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct publish *publish_new(struct core *core)
{
    struct publish *publish = calloc(1, sizeof(*publish));
    if (!publish)
        return NULL;
    publish->core = core;
    publish->nonce_high = rng_u64() << 32;
    list_init(&publish->sealed);
    list_init(&publish->storing);
    publish->matching = matching_new(core, on_matched, publish);
    publish->deadline = reactor_timer_new(core->reactor, on_deadline, publish);
    if (!publish->matching || !publish->deadline) {
        reactor_timer_free(publish->deadline);
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
    LIST_FOREACH(node, &publish->sealed)
    shipment_refuse(CONTAINER_OF(node, struct shipment, node), PUBLISH_STOPPING);
    LIST_FOREACH(node, &publish->storing) /* those that waited for Redis to come back */
    shipment_refuse(CONTAINER_OF(node, struct shipment, node), PUBLISH_UNKNOWN);
    reactor_timer_free(publish->deadline);
    matching_free(publish->matching);
    free(publish);
}

bool publish_sends(const struct publish *publish, const char *batch_id)
{
    LIST_FOREACH(node, &publish->storing)
    {
        const struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (strcmp(shipment->batch->id_text, batch_id) == 0)
            return true;
    }
    return false;
}

size_t publish_unanswered(const struct publish *publish)
{
    size_t count = matching_waiting(publish->matching) + (publish->building ? 1 : 0);
    LIST_FOREACH(sealed, &publish->sealed)
    count++;
    LIST_FOREACH(storing, &publish->storing)
    count++;
    return count;
}
