/* entries.c - writes into the schedule what becomes of deliveries, many in one call.
 *
 *   entries_move()   --> gathered --+-- the turn ends --------------------------> move.lua
 *   entries_settle() --> gathered --+-- the turn ends, none is on its way ------> settle.lua
 *                                   +-- STORE_AT_ONCE, or BYTES_AT_ONCE, are together --> either
 *
 * A call costs Redis some microseconds before it does anything, and much of what it does for a
 * delivery it can do for all of an endpoint at once. So settlements wait for the answer to those
 * before them: the more there is to do, the more go together, and when nothing is on its way none
 * waits. Nobody waits for a settlement, but for a move its batch does, and an attempt's result may;
 * and with replicas(n) the answer to a move comes late. So moves wait for nothing. Neither do
 * deliveries that went together: written in one turn, the process does not die between them.
 *
 * A full call goes at once, so that what is gathered is bounded; what is on its way is bounded by
 * the deliveries in hand.
 */
#include "core/entries.h"

#include <stdlib.h>

#include "core/group.h"
#include "core/history.h"

enum { BYTES_AT_ONCE = 256 * 1024 };

struct entry {
    struct delivery *delivery;
    entries_fn *fn;
    unsigned kind; /* enum store_move_kind or enum store_settle_kind */
    uint64_t value;
    bool leaves_queue;
    struct slice state, attempt, outcome;
    struct archive_end end;
    char bytes[]; /* of these slices */
};

struct gather;

/* What goes together, and is answered together. */
struct together {
    struct gather *gather;
    size_t count, bytes;
    struct entry *entry[STORE_AT_ONCE];
};

struct gather {
    struct core *core;
    enum status (*send)(struct core *core, struct together *together);
    store_reply_fn *on_reply;
    struct together *open; /* being gathered; NULL: nothing is */
    size_t on_its_way;     /* calls */
    size_t most;           /* of these, beyond which only full ones go */
    bool hurry;            /* what is gathered goes when the turn ends */
};

struct entries {
    struct gather moves, settles;
};

/* ---- Answers -------------------------------------------------------------------------------- */

static void answer(struct core *core, struct entry *entry, enum status status, int64_t result)
{
    entry->fn(core, entry->delivery, status, result, &entry->end);
    free(entry);
}

static void on_moved(void *arg, enum status status, const struct redis_value *reply)
{
    struct together *together = arg;
    struct core *core = together->gather->core;
    together->gather->on_its_way--;
    if (status == ST_OK)
        store_saw_time(core->store, reply_integer(reply, 0));
    for (size_t i = 0; i < together->count; i++)
        answer(core, together->entry[i], status, status == ST_OK ? store_moved(reply, i) : 0);
    free(together);
}

static void on_settled(void *arg, enum status status, const struct redis_value *reply)
{
    struct together *together = arg;
    struct core *core = together->gather->core;
    together->gather->on_its_way--;
    if (status == ST_OK) {
        store_saw_time(core->store, reply_integer(reply, 0));
        history_saw_closed(core->history, reply_integer(reply, 1));
    }
    for (size_t i = 0; i < together->count; i++)
        answer(core, together->entry[i], status, status == ST_OK ? store_settled(reply, i) : 0);
    free(together);
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static struct store_keeping keeping(const struct core *core)
{
    return (struct store_keeping){core->options.attempts_kept, core->options.history_ttl_ms};
}

static enum status send_moves(struct core *core, struct together *together)
{
    struct store_move moves[STORE_AT_ONCE];
    for (size_t i = 0; i < together->count; i++) {
        const struct entry *entry = together->entry[i];
        const struct delivery *delivery = entry->delivery;
        moves[i] = (struct store_move){
            .message = delivery->message,
            .endpoint = delivery->endpoint,
            .ordinal = delivery->ordinal,
            .kind = (enum store_move_kind)entry->kind,
            .value = entry->value,
            .state = entry->state,
            .attempt = entry->attempt,
        };
    }
    struct store_keeping kept = keeping(core);
    return store_move(core->store, moves, together->count, &kept, on_moved, together);
}

static enum status send_settles(struct core *core, struct together *together)
{
    struct store_settle settles[STORE_AT_ONCE];
    for (size_t i = 0; i < together->count; i++) {
        const struct entry *entry = together->entry[i];
        const struct delivery *delivery = entry->delivery;
        settles[i] = (struct store_settle){
            .event = &delivery->message->id,
            .event_id = delivery->message->id_text,
            .endpoint = delivery->endpoint,
            .lease = delivery->lease,
            .kind = (enum store_settle_kind)entry->kind,
            .state = entry->state,
            .attempt = entry->attempt,
            .delay_ms = entry->value,
            .ordinal = delivery->ordinal,
            .outcome = entry->outcome,
            .record_bytes = delivery->message->raw.len,
            .order = slice_of(delivery->order, entry->leaves_queue ? sizeof(delivery->order) : 0),
        };
    }
    struct store_keeping kept = keeping(core);
    return store_settle(core->store, settles, together->count, &kept, on_settled, together);
}

/* ST_NOMEM: it is as before. */
static enum status send(struct gather *gather)
{
    struct together *together = gather->open;
    enum status status = gather->send(gather->core, together);
    if (status != ST_OK)
        return status;
    gather->open = NULL;
    gather->hurry = false;
    gather->on_its_way++;
    return ST_OK;
}

/* ---- Gathering ------------------------------------------------------------------------------ */

static struct slice keep_text(char **place, struct slice text)
{
    char *at = *place;
    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    *place += text.len;
    return slice_of(at, text.len);
}

static struct entry *entry_new(struct delivery *delivery, unsigned kind,
                               const struct entry_change *change, entries_fn *fn)
{
    size_t bytes = change->state.len + change->attempt.len + change->outcome.len;
    struct entry *entry = malloc(sizeof(*entry) + bytes);
    if (!entry)
        return NULL;
    char *place = entry->bytes;
    entry->delivery = delivery;
    entry->fn = fn;
    entry->kind = kind;
    entry->value = change->value;
    entry->leaves_queue = change->leaves_queue;
    entry->end = change->end;
    entry->state = keep_text(&place, change->state);
    entry->attempt = keep_text(&place, change->attempt);
    entry->outcome = keep_text(&place, change->outcome);
    return entry;
}

static bool full(const struct together *together)
{
    return together->count == STORE_AT_ONCE || together->bytes >= BYTES_AT_ONCE;
}

/* Makes room for one more. */
static enum status open_up(struct gather *gather)
{
    if (gather->open && full(gather->open)) {
        enum status status = send(gather);
        if (status != ST_OK)
            return status;
    }
    if (!gather->open) {
        struct together *together = malloc(sizeof(*together));
        if (!together)
            return ST_NOMEM;
        together->gather = gather;
        together->count = together->bytes = 0;
        gather->open = together;
    }
    return ST_OK;
}

static enum status add(struct gather *gather, struct delivery *delivery, unsigned kind,
                       const struct entry_change *change, entries_fn *fn)
{
    enum status status = open_up(gather);
    struct entry *entry = status == ST_OK ? entry_new(delivery, kind, change, fn) : NULL;
    if (!entry)
        return ST_NOMEM;
    struct together *together = gather->open;
    together->entry[together->count++] = entry;
    together->bytes += change->state.len + change->attempt.len;
    return ST_OK;
}

enum status entries_move(struct entries *entries, struct delivery *delivery,
                         enum store_move_kind kind, const struct entry_change *change,
                         entries_fn *fn)
{
    struct gather *gather = &entries->moves;
    enum status status = add(gather, delivery, kind, change, fn);
    if (status != ST_OK)
        return status;
    struct together *together = gather->open;
    const struct message *message = delivery->message;
    /* An event's deliveries come one after the other, and its record goes once. */
    if (together->count < 2 || together->entry[together->count - 2]->delivery->message != message)
        together->bytes += message->raw.len;
    return ST_OK;
}

enum status entries_settle(struct entries *entries, struct delivery *delivery,
                           enum store_settle_kind kind, const struct entry_change *change,
                           entries_fn *fn)
{
    entries->settles.hurry |= delivery->group && delivery->group->size > 1;
    return add(&entries->settles, delivery, kind, change, fn);
}

/* ---- The end of a turn ---------------------------------------------------------------------- */

static void abandon(struct gather *gather, enum status status)
{
    struct together *together = gather->open;
    gather->open = NULL;
    if (!together)
        return;
    gather->on_its_way++; /* which its answer takes back */
    gather->on_reply(together, status, NULL);
}

static void flush(struct gather *gather)
{
    struct together *open = gather->open;
    bool waits = gather->on_its_way >= gather->most && !gather->hurry;
    if (!open || open->count == 0 || (waits && !full(open)))
        return;
    if (send(gather) != ST_OK)
        abandon(gather, ST_NOMEM);
}

/* Hook: once a turn. */
static void on_turn(void *arg)
{
    struct entries *entries = arg;
    flush(&entries->moves);
    flush(&entries->settles);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct entries *entries_new(struct core *core)
{
    struct entries *entries = calloc(1, sizeof(*entries));
    if (!entries)
        return NULL;
    entries->moves =
        (struct gather){.core = core, .send = send_moves, .on_reply = on_moved, .most = SIZE_MAX};
    entries->settles =
        (struct gather){.core = core, .send = send_settles, .on_reply = on_settled, .most = 1};
    reactor_add_hook(core->reactor, "entries", on_turn, entries);
    return entries;
}

void entries_free(struct entries *entries)
{
    if (!entries)
        return;
    abandon(&entries->moves, ST_STOPPED);
    abandon(&entries->settles, ST_STOPPED);
    free(entries);
}
