/* journal.c - the batches of this process's journal, as they are in memory.
 *
 * A batch is OPEN while an ordinal is pending. `pending` falls by journal_finished(),
 * journal_moved() and journal_lost() alone, once for each ordinal; at zero the batch is closed,
 * together with others: what is paid for a call of close.lua is paid once for all of them. One that
 * was taken away is only forgotten.
 *
 * A call for 32 batches keeps Redis for a millisecond, in which nobody is answered; and a call that
 * comes by itself wakes Redis up, and with `always` has it sync its file once more. So CLOSE_ALONG
 * of them go at once when Redis has nothing else to do for us, else with the next batch that is
 * stored, in one write. Fewer go after CLOSE_AFTER_MS.
 */
#include "core/journal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/history.h"
#include "core/publish.h"
#include "core/store_batch.h"

enum {
    MARK_AFTER_MS = 100,   /* a batch open for longer gets progress marks */
    CLOSE_AFTER_MS = 20,   /* a batch that has ended waits for others */
    CLOSE_ALONG = 4,       /* so many are worth a call */
    CLOSE_MOST = 32,       /* batches closed at once */
    CLOSE_ORDINALS = 16384 /* of together so many deliveries */
};

struct journal {
    struct core *core;
    struct map batches; /* by name */
    struct list open;   /* taken apart, oldest first; the others are in dispatch's list */
    size_t bytes;
    struct reactor_timer *mark;
    struct closing *closing; /* ended, not yet closed; NULL: none */
    struct reactor_timer *close;
};

/* Batches that are closed by one call. They stay in the list they are in. */
struct closing {
    struct journal *journal;
    size_t count, ordinals;
    struct batch *batches[CLOSE_MOST];
};

/* ---- Batches -------------------------------------------------------------------------------- */

static uint64_t batch_hash(const char *id_text)
{
    return hash_bytes(slice_str(id_text));
}

/* Parts of one batch have one hash, so there may be several; and of one part, if it went to another
 * replica and came back while this one still had it. */
const struct batch_slot *journal_slot(const struct journal *journal, const char *batch_id,
                                      uint32_t ordinal)
{
    struct map_node *node = map_first(&journal->batches, batch_hash(batch_id));
    for (; node; node = map_next_same(node)) {
        const struct batch *batch = CONTAINER_OF(node, struct batch, by_id);
        if (strcmp(batch->id_text, batch_id) == 0 && ordinal < batch->ordinal_count &&
            batch->slots[ordinal].state != SLOT_FOREIGN)
            return &batch->slots[ordinal];
    }
    return NULL;
}

bool journal_holds(const struct journal *journal, const char *member)
{
    char batch_id[BATCH_ID_TEXT];
    snprintf(batch_id, sizeof(batch_id), "%.*s", BATCH_ID_TEXT - 1, member);
    struct map_node *node = map_first(&journal->batches, batch_hash(batch_id));
    for (; node; node = map_next_same(node)) {
        const struct batch *batch = CONTAINER_OF(node, struct batch, by_id);
        if (strcmp(batch->member, member) == 0 && !batch->taken_away)
            return true;
    }
    return false;
}

static void on_batch_free(void *arg, struct batch *batch)
{
    struct journal *journal = arg;
    journal->bytes -= batch_bytes(batch);
}

static void forget(struct journal *journal, struct batch *batch)
{
    batch->state = BATCH_CLOSED;
    map_remove(&journal->batches, &batch->by_id);
    list_remove(&batch->node);
    batch_put(batch);
}

static void on_closed(void *arg, enum status status, const struct redis_value *reply)
{
    struct closing *closing = arg;
    struct journal *journal = closing->journal;
    struct core *core = journal->core;
    if (status == ST_OK) {
        store_saw_time(core->store, reply_integer(reply, 0));
        history_saw_closed(core->history, reply_integer(reply, 1));
        core->stats.batches_closed += (uint64_t)reply_integer(reply, 2);
    }
    for (size_t i = 0; i < closing->count; i++)
        forget(journal, closing->batches[i]);
    free(closing);
}

static void close_now(struct journal *journal)
{
    struct closing *closing = journal->closing;
    struct core *core = journal->core;
    if (!closing)
        return;
    journal->closing = NULL;
    if (store_close(core->store, closing->batches, closing->count, core->options.history_ttl_ms,
                    on_closed, closing) == ST_OK)
        return;
    log_error("journal.close_failed", "batches=%zu reason=nomem", closing->count);
    for (size_t i = 0; i < closing->count; i++)
        closing->batches[i]->state = BATCH_OPEN; /* the marker tries again */
    free(closing);
}

static void on_close(void *arg)
{
    close_now(arg);
}

void journal_close_along(struct journal *journal)
{
    if (journal->closing && journal->closing->count >= CLOSE_ALONG)
        close_now(journal);
}

static void close_if_done(struct journal *journal, struct batch *batch)
{
    if (batch->pending > 0 || batch->state != BATCH_OPEN)
        return;
    if (batch->taken_away) {
        forget(journal, batch);
        return;
    }
    struct core *core = journal->core;
    struct closing *closing = journal->closing;
    if (!closing) {
        closing = malloc(sizeof(*closing));
        if (!closing)
            return; /* the marker tries again */
        closing->journal = journal;
        closing->count = closing->ordinals = 0;
        journal->closing = closing;
        reactor_timer_set(journal->close, core->stopping ? 0 : CLOSE_AFTER_MS);
    }
    batch->state = BATCH_CLOSING;
    closing->batches[closing->count++] = batch;
    closing->ordinals += batch->ordinal_count;
    bool idle = !core->stopping && publish_unanswered(core->publish) == 0;
    if (closing->count == CLOSE_MOST || closing->ordinals >= CLOSE_ORDINALS ||
        (idle && closing->count >= CLOSE_ALONG))
        close_now(journal);
}

static void settle_slot(struct journal *journal, struct batch *batch, uint32_t ordinal,
                        enum slot_state state)
{
    struct batch_slot *slot = &batch->slots[ordinal];
    if (slot->state != SLOT_PENDING)
        return;
    slot->state = (uint8_t)state;
    batch->pending--;
    close_if_done(journal, batch);
}

void journal_finished(struct journal *journal, struct batch *batch, uint32_t ordinal,
                      const struct outcome *outcome)
{
    outcome_write(batch->slots[ordinal].outcome, outcome);
    batch->unmarked++;
    settle_slot(journal, batch, ordinal, SLOT_FINISHED);
}

void journal_moved(struct journal *journal, struct batch *batch, uint32_t ordinal)
{
    batch->slots[ordinal].marked = true;
    settle_slot(journal, batch, ordinal, SLOT_MOVED);
}

void journal_lost(struct journal *journal, struct batch *batch, uint32_t ordinal)
{
    batch->taken_away = true;
    settle_slot(journal, batch, ordinal, SLOT_MOVED);
}

void journal_skip(struct message *message)
{
    struct batch *batch = message->batch;
    for (uint32_t i = 0; i < message->target_count; i++) {
        struct batch_slot *slot = &batch->slots[message->first_ordinal + i];
        if (slot->state != SLOT_PENDING)
            continue;
        outcome_write(slot->outcome, &(struct outcome){.status = OUTCOME_DUPLICATE});
        slot->state = SLOT_FINISHED;
        slot->marked = true; /* by the publish script */
        batch->pending--;
    }
}

static bool bit(struct slice bitmap, uint32_t at)
{
    return at / 8 < bitmap.len && (unsigned char)bitmap.ptr[at / 8] & (0x80u >> (at % 8));
}

/* What is neither refused nor pending was moved, or sent and its outcome died with its process:
 * nothing to write when the batch closes. */
void journal_skip_done(struct batch *batch, struct slice bitmap)
{
    for (uint32_t i = 0; i < batch->message_count; i++)
        if (bit(bitmap, batch_refused_bit(batch, i)))
            journal_skip(&batch->messages[i]);
    for (uint32_t i = 0; i < batch->ordinal_count && i / 8 < bitmap.len; i++) {
        struct batch_slot *slot = &batch->slots[i];
        if (!bit(bitmap, i) || slot->state != SLOT_PENDING)
            continue;
        slot->state = SLOT_MOVED;
        slot->marked = true;
        batch->recovered = true;
        batch->pending--;
    }
}

bool journal_add(struct journal *journal, struct batch *batch)
{
    batch->state = BATCH_OPEN;
    batch->opened_at_ms = clock_mono_ms();
    batch->on_free = on_batch_free;
    batch->free_arg = journal;
    journal->bytes += batch_bytes(batch);
    if (map_insert(&journal->batches, &batch->by_id, batch_hash(batch->id_text)) != ST_OK) {
        log_error("journal.add_failed", "batch=%s reason=nomem", batch->member);
        batch_put(batch);
        return false;
    }
    list_remove(&batch->node);
    list_push_back(&journal->open, &batch->node);
    close_if_done(journal, batch);
    return true;
}

void journal_expanded(struct journal *journal, struct batch *batch)
{
    if (batch->state == BATCH_CLOSED)
        return;
    list_remove(&batch->node);
    list_push_back(&journal->open, &batch->node);
    if (!reactor_timer_armed(journal->mark))
        reactor_timer_set(journal->mark, MARK_AFTER_MS);
}

/* ---- Progress marks ------------------------------------------------------------------------- */

static void on_marked(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

static void mark_batch(struct journal *journal, struct batch *batch)
{
    uint32_t *ordinals = malloc(batch->unmarked * sizeof(*ordinals));
    if (!ordinals)
        return; /* the next time */
    size_t count = 0;
    for (uint32_t i = 0; i < batch->ordinal_count && count < batch->unmarked; i++)
        if (batch->slots[i].state == SLOT_FINISHED && !batch->slots[i].marked)
            ordinals[count++] = i;
    if (store_progress(journal->core->store, batch, ordinals, count, on_marked, NULL) == ST_OK) {
        for (size_t i = 0; i < count; i++)
            batch->slots[ordinals[i]].marked = true;
        batch->unmarked = 0;
    }
    free(ordinals);
}

static void on_mark(void *arg)
{
    struct journal *journal = arg;
    uint64_t now_ms = clock_mono_ms();
    LIST_FOREACH(node, &journal->open)
    {
        struct batch *batch = CONTAINER_OF(node, struct batch, node);
        if (now_ms - batch->opened_at_ms < MARK_AFTER_MS)
            break;
        if (batch->state == BATCH_OPEN && batch->unmarked > 0 && batch->pending > 0)
            mark_batch(journal, batch);
        close_if_done(journal, batch); /* one that could not be closed for lack of memory */
    }
    if (!list_empty(&journal->open))
        reactor_timer_set(journal->mark, MARK_AFTER_MS);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

size_t journal_count(const struct journal *journal)
{
    return journal->batches.count;
}

size_t journal_bytes(const struct journal *journal)
{
    return journal->bytes;
}

struct journal *journal_new(struct core *core)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return NULL;
    journal->core = core;
    map_init(&journal->batches);
    list_init(&journal->open);
    journal->mark = reactor_timer_new(core->reactor, on_mark, journal);
    journal->close = reactor_timer_new(core->reactor, on_close, journal);
    if (!journal->mark || !journal->close) {
        journal_free(journal);
        return NULL;
    }
    return journal;
}

void journal_drop(struct list *batches)
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

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    journal_drop(&journal->open);
    map_free(&journal->batches);
    reactor_timer_free(journal->mark);
    reactor_timer_free(journal->close);
    free(journal->closing);
    free(journal);
}
