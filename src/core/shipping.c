/* shipping.c - sealed batches on their way to Redis.
 *
 *   sealed --at most 2 at a time--> storing --> stored: dispatch has the batch
 *     |                               |   `---> refused: nothing is stored
 *   deadline: 503                     |   `---> outdated --version known here--> published anew
 *                                  deadline: "unknown"
 *
 * The script's verdict, which with replicas(n) counts when n of Redis's replicas have it
 * (store_confirm.h), answers a shipment's waiters and decides what becomes of the batch.
 *
 * When a batch is sealed the parts that have ordinals are known; the script enters each in its
 * owner's journal, or in mine. Its reply names those that are in mine: part 0 goes on as this very
 * batch, any other is read back like one that another replica sent (mailbox.h).
 *
 * Outdated: another replica has changed the endpoints, and the events of this batch were matched by
 * what was known here before. The script has thrown it away. It waits until this process knows the
 * version that the script named, which takes a round trip or two, and is then published anew.
 *
 * Batches reach Redis in the order in which their events were accepted, whatever happens to one of
 * them: ordered endpoints get events in the order in which Redis stored them, and a producer may
 * send many without waiting (a feed, a bulk request). So the batches that are on their way at once
 * were matched by one version, all of them outdated or none, and those that are published anew go
 * before what was accepted since.
 *
 * A received event whose key is taken, and which is to be forwarded all the same, was refused by
 * the script like any duplicate. It goes back to publish.c, which puts it into another batch
 * without the key and with the id of the first. So each event is what its record says, and nothing
 * in Redis or of a recovery needs to know of duplicates that are delivered. Rejected: to let the
 * script mark its ordinals, because the mark would have to go wherever a delivery does (the
 * schedule, dead letters, another replica).
 */
#include "core/shipping.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/gate.h"
#include "core/history.h"
#include "core/journal.h"
#include "core/mailbox.h"
#include "core/schedule.h"

enum { STORING_MAX = 2 };

struct shipping {
    struct core *core;
    shipping_outdated_fn *outdated_fn;
    shipping_duplicate_fn *duplicate_fn;
    void *arg;                             /* of both */
    struct list sealed, storing, outdated; /* struct shipment */
    struct list behind;                    /* sealed, and behind what was outdated */
    uint32_t storing_count;
    enum publish_verdict blob_refused; /* by the last SET; PUBLISH_ACCEPTED: it was not */
    uint64_t refusal_logged_ms;        /* monotonic */
    uint32_t refusals;                 /* since then */
    uint64_t nonce_high;               /* this process's half of a batch's nonce */
    uint32_t sequence;
    size_t blob_bytes; /* what the next batch will probably have */
};

struct shipment *shipping_begin(struct shipping *shipping, uint32_t capacity, uint64_t accepted_us)
{
    uint64_t sequence = ++shipping->sequence;
    struct shipment *shipment =
        shipment_new(shipping->core, shipping->nonce_high | sequence, capacity, accepted_us);
    if (!shipment)
        return NULL;
    shipment->shipping = shipping;
    shipment->sequence = sequence;
    buf_expect(&shipment->batch->blob, shipping->blob_bytes);
    return shipment;
}

/* It leaves, and its batch goes on without it or was put by the caller. */
static void shipment_end(struct shipment *shipment)
{
    if (shipment->sent)
        shipment->shipping->storing_count--;
    shipment_free(shipment);
}

static void shipment_refuse(struct shipment *shipment, enum publish_verdict verdict)
{
    shipment_answer_all(shipment, verdict);
    batch_put(shipment->batch);
    shipment_end(shipment);
}

static void refuse_list(struct list *shipments, enum publish_verdict verdict)
{
    for (struct list *node; (node = list_pop_front(shipments));)
        shipment_refuse(CONTAINER_OF(node, struct shipment, node), verdict);
}

/* ---- What the script says ------------------------------------------------------------------- */

static void answer_verdict(struct shipment *shipment, uint32_t index, struct slice verdict,
                           struct batch *batch)
{
    struct core_stats *stats = &shipment->shipping->core->stats;
    struct publish_waiter *waiter = &shipment->waiters[index];
    struct message *message = &batch->messages[index];
    if (waiter->taken) {
        journal_skip(message);
        publish_waiter_answer(waiter, stats, PUBLISH_TAKEN, "", 0);
        return;
    }
    if (verdict.len == 0) {
        publish_waiter_answer(waiter, stats, waiter->repeats ? PUBLISH_REPEATED : PUBLISH_ACCEPTED,
                              message->id_text, waiter->deliveries);
        return;
    }
    journal_skip(message);
    char letter = verdict.ptr[0];
    enum key_kind kind = letter == 's' ? KEY_DEDUP : letter == 'u' ? KEY_UID : KEY_IDEMPOTENCY;
    struct key_answer first;
    if (letter == 'f' || key_answer_read(slice_from(verdict, 1), kind, &first) != ST_OK) {
        publish_waiter_answer(waiter, stats, PUBLISH_IDEMPOTENCY_FULL, "", 0);
        return;
    }
    char event_id[ID_TEXT_MAX];
    id_format(event_id, "msg_", &first.event);
    if (kind == KEY_DEDUP && waiter->forwards && waiter->fn) {
        shipment->shipping->duplicate_fn(shipment->shipping->arg, &message->record, waiter,
                                         event_id);
        return;
    }
    enum publish_verdict what = PUBLISH_DUPLICATE;
    if (kind == KEY_UID)
        what = PUBLISH_UID_TAKEN;
    else if (kind == KEY_IDEMPOTENCY && first.fingerprint != waiter->fingerprint)
        what = PUBLISH_KEY_REUSED;
    publish_waiter_answer(waiter, stats, what, event_id, first.deliveries);
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
            mailbox_announced(shipment->shipping->core->mailbox, slice_str(member));
        at = end + 1;
    }
    return own;
}

/* Ordered deliveries are in the schedule, and some may be due. A lease that is on its way goes over
 * another connection: it may have been answered before that, and its reply, which says that nothing
 * is left, may come only now. What it would undo is asked for by a peek, whose reply comes behind.
 */
static void tell_ordered(const struct shipment *shipment)
{
    struct core *core = shipment->shipping->core;
    int64_t now_ms = (int64_t)store_redis_ms(core->store);
    for (size_t i = 0; i < shipment->ordered.endpoint_count; i++) {
        struct endpoint *endpoint = shipment->ordered.endpoints[i];
        if (endpoint->claiming > 0 || gate_closed(endpoint))
            schedule_note(core->schedule, endpoint->lane, now_ms);
        else
            schedule_note_due(core->schedule, endpoint, now_ms);
    }
}

/* Behind the verdicts there may be a list of those whose entries had gone from their streams. */
static void mark_taken(struct shipment *shipment, const struct redis_value *reply)
{
    size_t count = redis_value_count(reply);
    const struct redis_value *taken = redis_value_at(reply, count > 0 ? count - 1 : 0);
    for (size_t i = 0; i < redis_value_count(taken); i++) {
        int64_t bit = reply_integer(taken, i) - (int64_t)batch_refused_bit(shipment->batch, 0);
        if (bit >= 0 && bit < (int64_t)shipment->count)
            shipment->waiters[bit].taken = true;
    }
}

/* Stored. Parts that are not in my journal are others', who deliver them: theirs from the start, or
 * adopted. */
static void on_accepted(struct shipment *shipment, const struct redis_value *reply)
{
    enum { REPLY_PARTS = 2, REPLY_VERDICTS = 3 };
    struct shipping *shipping = shipment->shipping;
    struct batch *batch = shipment->batch;
    size_t verdict_at = REPLY_VERDICTS;
    list_remove(&shipment->node);
    mark_taken(shipment, reply);
    for (uint32_t i = 0; i < shipment->count; i++) {
        const struct publish_waiter *waiter = &shipment->waiters[i];
        bool judged = publish_waiter_has_key(waiter);
        answer_verdict(shipment, i, judged ? reply_text(reply, verdict_at) : SLICE_NULL, batch);
        verdict_at += judged;
    }
    struct core_stats *stats = &shipping->core->stats;
    stats->batches_stored++;
    hist_record(&stats->batch_events, shipment->count);
    hist_record(&stats->batch_bytes, batch->blob.len);
    bool own = parts_are_mine(shipment, reply_text(reply, REPLY_PARTS));
    ordered_list_moved(&shipment->ordered, batch);
    tell_ordered(shipment);
    shipment_end(shipment);
    if (own)
        dispatch_open(shipping->core->dispatch, batch); /* last: it takes the batch over */
    else
        batch_put(batch);
}

/* While Redis refuses it does so for every batch: one line a second tells it. */
static void log_refusal(struct shipping *shipping, struct slice error)
{
    uint64_t now_ms = clock_mono_ms();
    shipping->refusals++;
    if (now_ms - shipping->refusal_logged_ms < 1000)
        return;
    log_warn("publish.refused", "batches=%u error=%s", shipping->refusals, log_quote(error));
    shipping->refusal_logged_ms = now_ms;
    shipping->refusals = 0;
}

/* Stored, but a failover may lose it: fewer replicas than `durability` wants have it. It is
 * delivered, and nobody is told so. */
static void on_unconfirmed(struct shipment *shipment)
{
    log_refusal(shipment->shipping, SLICE("too few replicas confirmed it (durability)"));
    shipment->answered = true;
    shipment_answer_all(shipment, PUBLISH_UNKNOWN);
}

/* What an error reply means for the producers. */
static enum publish_verdict refusal_of(struct shipping *shipping, struct slice error)
{
    log_refusal(shipping, error);
    if (!slice_starts(error, SLICE("OOM")))
        return PUBLISH_UNAVAILABLE;
    history_make_room(shipping->core->history);
    return PUBLISH_STORE_FULL;
}

/* The answer to a SET comes right before its script's; it matters when it is a refusal, because the
 * script then only finds that there is no blob. It is kept here and not with the shipment, which
 * may have ended meanwhile. */
static void on_blob(void *arg, enum status status, const struct redis_value *reply)
{
    struct shipping *shipping = arg;
    shipping->blob_refused = PUBLISH_ACCEPTED;
    if (status == ST_OK && redis_value_type(reply) == REDIS_ERROR)
        shipping->blob_refused = refusal_of(shipping, redis_value_text(reply));
}

/* It is not in Redis: as if it had never been sent. */
static void take_back(struct shipment *shipment, struct list *before)
{
    shipment->sent = shipment->unsure = false;
    shipment->shipping->storing_count--;
    list_remove(&shipment->node);
    list_insert_before(before, &shipment->node);
}

/* The first of the sealed ones that was made later; the list's head: none was. */
static struct list *first_behind(struct shipping *shipping, const struct shipment *shipment)
{
    struct list *node = shipping->sealed.next;
    while (node != &shipping->sealed &&
           CONTAINER_OF(node, struct shipment, node)->sequence < shipment->sequence)
        node = node->next;
    return node;
}

static void on_stale(struct shipment *shipment, uint64_t version)
{
    struct core *core = shipment->shipping->core;
    core->stats.batches_outdated++;
    shipment->needs = version;
    take_back(shipment, &shipment->shipping->outdated); /* at the end: they come in order */
    endpoint_store_heard(core->endpoints, version);
}

static void on_published(void *arg, enum status status, const struct redis_value *reply)
{
    struct shipment *shipment = arg;
    struct shipping *shipping = shipment->shipping;
    reactor_wake(shipping->core->reactor); /* the next batch may go */
    if (status == ST_STOPPED) {
        shipment_refuse(shipment, PUBLISH_UNKNOWN);
        return;
    }
    if (status != ST_OK && status != ST_TIMEOUT) {
        shipment->waiting = shipment->unsure = true; /* until shipping_store_ready() */
        return;
    }
    store_saw_time(shipping->core->store, reply_integer(reply, 1));
    if (redis_value_type(reply) == REDIS_ERROR && shipment->unsure) {
        /* Only an answer of the script tells: the deadline's timer asks again. */
        shipment->waiting = true;
    } else if (redis_value_type(reply) == REDIS_ERROR) {
        shipment_refuse(shipment, refusal_of(shipping, redis_value_text(reply)));
    } else if (reply_is(reply, 0, "ok")) {
        if (status == ST_TIMEOUT)
            on_unconfirmed(shipment);
        on_accepted(shipment, reply);
    } else if (reply_is(reply, 0, "journal_full")) {
        shipment_refuse(shipment, PUBLISH_JOURNAL_FULL);
    } else if (shipment->answered) { /* stale or noblob, and nobody waits: it was not stored */
        shipment_refuse(shipment, PUBLISH_UNKNOWN);
    } else if (reply_is(reply, 0, "stale")) {
        on_stale(shipment, (uint64_t)reply_integer(reply, 2));
    } else if (shipping->blob_refused != PUBLISH_ACCEPTED) {
        shipment_refuse(shipment, shipping->blob_refused);
    } else { /* noblob: the SET was lost on the way */
        take_back(shipment, first_behind(shipping, shipment));
    }
}

/* ---- Sending -------------------------------------------------------------------------------- */

static enum status claim_keys(const struct shipment *shipment, struct key_claims *claims)
{
    size_t count = 0;
    *claims = (struct key_claims){0};
    for (uint32_t i = 0; i < shipment->count; i++)
        count += publish_waiter_has_key(&shipment->waiters[i]);
    if (count == 0)
        return ST_OK;
    if (key_claims_init(claims, count) != ST_OK)
        return ST_NOMEM;
    for (uint32_t i = 0; i < shipment->count; i++) {
        const struct publish_waiter *waiter = &shipment->waiters[i];
        const struct message *message = &shipment->batch->messages[i];
        struct key_claim claim = {
            .members = {[KEY_IDEMPOTENCY] = waiter->has_idempotency ? waiter->idempotency : NULL,
                        [KEY_UID] = waiter->has_uid ? waiter->uid : NULL,
                        [KEY_DEDUP] = waiter->has_dedup ? waiter->dedup : NULL},
            .answer = {message->id, waiter->fingerprint, waiter->dedup_ttl_ms, waiter->deliveries},
            .first_ordinal = message->first_ordinal,
            .ordinals = message->target_count,
            .refused_bit = batch_refused_bit(shipment->batch, i),
        };
        if (publish_waiter_has_key(waiter))
            key_claims_add(claims, &claim);
    }
    return ST_OK;
}

static enum status claim_entries(const struct shipment *shipment, struct feed_claims *feeds)
{
    feeds->count = 0;
    for (uint32_t i = 0; i < shipment->count; i++) {
        const struct message *message = &shipment->batch->messages[i];
        if (shipment->waiters[i].feed.feed)
            feed_claims_add(feeds, &shipment->waiters[i].feed, message->first_ordinal,
                            message->target_count, batch_refused_bit(shipment->batch, i));
    }
    return feed_claims_end(feeds);
}

static enum status ship(struct shipment *shipment, bool script_only)
{
    struct core *core = shipment->shipping->core;
    const struct core_options *options = &core->options;
    struct store_publish_options publish = {
        .config_version = shipment->version,
        .journal_batches_max = options->journal_batches_max,
        .idempotency_keys_max = options->idempotency_keys_max,
        .idempotency_ttl_ms = options->idempotency_ttl_ms,
        .uids_max = options->idempotency_keys_max,
        .uid_ttl_ms = options->history_ttl_ms,
        .dedup_keys_max = options->idempotency_keys_max,
        .confirm = options->confirm,
    };
    struct key_claims claims;
    struct feed_claims feeds;
    struct store_publication what = {.batch = shipment->batch,
                                     .sequence = shipment->sequence,
                                     .parts = shipment->parts,
                                     .part_count = shipment->part_count,
                                     .claims = &claims,
                                     .feeds = &feeds,
                                     .ordered = &shipment->ordered};
    enum status status = claim_keys(shipment, &claims);
    enum status claimed = claim_entries(shipment, &feeds);
    if (status == ST_OK)
        status = claimed;
    if (status == ST_OK)
        status = store_publish(core->store, &what, &publish, script_only, on_blob,
                               shipment->shipping, on_published, shipment);
    feed_claims_free(&feeds);
    key_claims_free(&claims);
    return status;
}

/* False when nothing more can be sent now. */
static bool send_shipment(struct shipment *shipment)
{
    struct shipping *shipping = shipment->shipping;
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
        shipping->storing_count++;
        shipment->batch->state = BATCH_STORING;
        list_remove(&shipment->node);
        list_push_back(&shipping->storing, &shipment->node);
    }
    journal_close_along(shipping->core->journal);
    return true;
}

/* A batch is given room at once for what the largest of the last ones had, and some more. To let
 * each grow by doubling cost 2 % of the server's CPU, most of it for memory that came fresh from
 * the system every time. */
static void learn_size(struct shipping *shipping, size_t blob_bytes)
{
    size_t less = shipping->blob_bytes - shipping->blob_bytes / 16;
    size_t more = blob_bytes + blob_bytes / 8;
    shipping->blob_bytes = more > less ? more : less;
}

void shipping_seal(struct shipping *shipping, struct shipment *shipment)
{
    learn_size(shipping, shipment->batch->blob.len);
    enum status status = shipment_seal(shipment);
    list_push_back(&shipping->sealed, &shipment->node);
    if (status != ST_OK)
        shipment_refuse(shipment, PUBLISH_OVERLOADED);
}

/* While some are outdated any other would be, too. */
static bool may_send(const struct shipping *shipping)
{
    return shipping->storing_count < STORING_MAX && list_empty(&shipping->outdated);
}

/* Is it not newer than the one that was sent last, which may turn out to be outdated? */
static bool may_follow(const struct shipping *shipping, const struct shipment *shipment)
{
    if (shipping->storing_count == 0)
        return true;
    const struct shipment *last = CONTAINER_OF(shipping->storing.prev, struct shipment, node);
    return shipment->version <= last->version;
}

bool shipping_free_way(const struct shipping *shipping)
{
    return may_send(shipping) && list_empty(&shipping->sealed) && list_empty(&shipping->behind);
}

static void move_all(struct list *from, struct list *to)
{
    for (struct list *node; (node = list_pop_front(from));)
        list_push_back(to, node);
}

bool shipping_may_hand_back(const struct shipping *shipping)
{
    if (list_empty(&shipping->outdated) || shipping->storing_count > 0)
        return false;
    const struct shipment *last = CONTAINER_OF(shipping->outdated.prev, struct shipment, node);
    return last->needs <= endpoint_store_version(shipping->core->endpoints);
}

void shipping_hand_back(struct shipping *shipping)
{
    move_all(&shipping->sealed, &shipping->behind);
    LIST_FOREACH(node, &shipping->outdated)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        shipping->outdated_fn(shipping->arg, shipment);
        shipment_refuse(shipment, PUBLISH_OVERLOADED);
    }
}

void shipping_turn(struct shipping *shipping)
{
    move_all(&shipping->behind, &shipping->sealed);
    LIST_FOREACH(node, &shipping->sealed)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (!may_send(shipping) || !may_follow(shipping, shipment) || !send_shipment(shipment))
            break;
    }
}

/* ---- When it takes too long ----------------------------------------------------------------- */

static void refuse_overdue(struct list *shipments, uint64_t now_ms)
{
    LIST_FOREACH(node, shipments)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (shipment->deadline_ms <= now_ms)
            shipment_refuse(shipment, PUBLISH_UNAVAILABLE);
    }
}

void shipping_tick(struct shipping *shipping, uint64_t now_ms)
{
    refuse_overdue(&shipping->sealed, now_ms);
    refuse_overdue(&shipping->outdated, now_ms);
    LIST_FOREACH(node, &shipping->storing)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (shipment->deadline_ms <= now_ms && !shipment->answered) {
            shipment->answered = true;
            shipment_answer_all(shipment, PUBLISH_UNKNOWN);
        }
        if (shipment->waiting && store_ready(shipping->core->store))
            (void)send_shipment(shipment); /* refused for lack of room: the next tick */
    }
}

void shipping_store_lost(struct shipping *shipping)
{
    refuse_list(&shipping->sealed, PUBLISH_UNAVAILABLE);
    refuse_list(&shipping->outdated, PUBLISH_UNAVAILABLE);
}

void shipping_store_ready(struct shipping *shipping)
{
    LIST_FOREACH(node, &shipping->storing)
    {
        struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (shipment->waiting && !send_shipment(shipment))
            break;
    }
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct shipping *shipping_new(struct core *core, shipping_outdated_fn *outdated_fn,
                              shipping_duplicate_fn *duplicate_fn, void *arg)
{
    struct shipping *shipping = calloc(1, sizeof(*shipping));
    if (!shipping)
        return NULL;
    shipping->core = core;
    shipping->outdated_fn = outdated_fn;
    shipping->duplicate_fn = duplicate_fn;
    shipping->arg = arg;
    shipping->nonce_high = rng_u64() << 32;
    list_init(&shipping->sealed);
    list_init(&shipping->storing);
    list_init(&shipping->outdated);
    list_init(&shipping->behind);
    return shipping;
}

void shipping_free(struct shipping *shipping)
{
    if (!shipping)
        return;
    refuse_list(&shipping->sealed, PUBLISH_STOPPING);
    refuse_list(&shipping->outdated, PUBLISH_STOPPING);
    refuse_list(&shipping->storing, PUBLISH_UNKNOWN); /* they waited for Redis to come back */
    free(shipping);
}

bool shipping_sends(const struct shipping *shipping, const char *batch_id)
{
    LIST_FOREACH(node, &shipping->storing)
    {
        const struct shipment *shipment = CONTAINER_OF(node, struct shipment, node);
        if (strcmp(shipment->batch->id_text, batch_id) == 0)
            return true;
    }
    return false;
}

size_t shipping_count(const struct shipping *shipping)
{
    size_t count = 0;
    LIST_FOREACH(sealed, &shipping->sealed)
    count++;
    LIST_FOREACH(storing, &shipping->storing)
    count++;
    LIST_FOREACH(outdated, &shipping->outdated)
    count++;
    return count;
}
