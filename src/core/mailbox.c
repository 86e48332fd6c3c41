/* mailbox.c - parts of batches that came into my journal by other hands than mine.
 *
 *   announced --+--> waiting --READS_MOST at once--> reading: MGET blob, progress; ZSCORE journal
 *   found ------+       ^                               |                 |
 *     ^                 +--------- Redis went away -----+          still mine, not in hand:
 *     |                                                               dispatch_open()
 *     +-- the journal is read: count differs twice, Redis was away, more names than fit
 *
 * Opened once: a name is in the table until it was read, and a part that is in hand is not opened
 * again, unless it was seen to have been taken away (journal_lost). Both are looked at when the
 * answer to ZSCORE has come, and that is enough: all calls that put a member into my journal or
 * take it out (adopt, close) go over this connection, and their answers come in the order in which
 * Redis executed them. A publish goes over the other one: as long as it is unanswered the parts of
 * its batch are passed over, because its reply names those that this process has to open; and if
 * one of them came into my journal behind that, by adoption, it is found later.
 *
 * MGET and ZSCORE are two commands, one after the other. The progress map is read first, and nobody
 * but me writes bits of a part that is in my journal, so what was read is true when ZSCORE says
 * that it is still there. As one script it would cost Redis 2-4 us an event, because the blob would
 * pass through Lua.
 *
 * Where a part can be lost from sight, and why it is not:
 *   - its publisher dies behind the script: the journal has it, and the notice was sent by the
 *     script;
 *   - the notice is lost, or I am stopping or not loaded yet when it comes: the comparison;
 *   - I die before I have read it: adoption (adoption.h), because it is in my journal;
 *   - it is adopted away while it is being read: ZSCORE says so; or right behind it: then my calls
 *     for it are refused, and what I send meanwhile is what a lease's end allows;
 *   - it comes back while my old copy is in hand: that one has all its deliveries, or has lost one
 *     and is known as taken away, and then it is opened anew;
 *   - a notice comes late, and the part is closed: ZSCORE says so.
 */
#include "core/mailbox.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "core/dispatch.h"
#include "core/journal.h"
#include "core/publish.h"
#include "core/store_batch.h"

enum {
    READS_MOST = 8,    /* blobs read at once */
    NAMES_MOST = 1024, /* kept */
    PAGE = 256,        /* names of the journal read at once */
    AGAIN_MS = 100
};

/* One part that is to be opened. */
struct letter {
    struct list node; /* in mailbox->waiting or mailbox->reading */
    struct map_node by_member;
    struct mailbox *mailbox;
    struct batch *batch; /* once it is read */
    enum status parsed;  /* why not */
    size_t blob_bytes;
    uint32_t part;
    char id_text[BATCH_ID_TEXT];
    char member[BATCH_MEMBER_TEXT];
};

struct mailbox {
    struct core *core;
    struct reactor_timer *again;
    struct list waiting, reading;
    struct map names; /* letters by member */
    size_t reading_count;
    bool differed;     /* at the last comparison */
    bool looking;      /* the journal is being read */
    bool look_again;   /* there may be more than is known: it is to be read (once more) */
    size_t looking_at; /* rank of the page's first member */
};

static void go_on(struct mailbox *mailbox);

/* ---- Names ---------------------------------------------------------------------------------- */

static uint64_t member_hash(const char *member)
{
    return hash_bytes(slice_str(member));
}

static struct letter *find(const struct mailbox *mailbox, const char *member)
{
    struct map_node *node = map_first(&mailbox->names, member_hash(member));
    for (; node; node = map_next_same(node)) {
        struct letter *letter = CONTAINER_OF(node, struct letter, by_member);
        if (strcmp(letter->member, member) == 0)
            return letter;
    }
    return NULL;
}

static void letter_free(struct letter *letter)
{
    list_remove(&letter->node);
    map_remove(&letter->mailbox->names, &letter->by_member);
    batch_free(letter->batch);
    free(letter);
}

/* ST_LIMIT, ST_NOMEM: it is to be found later. */
static enum status add(struct mailbox *mailbox, const char *member, uint32_t part)
{
    if (mailbox->names.count >= NAMES_MOST)
        return ST_LIMIT;
    struct letter *letter = calloc(1, sizeof(*letter));
    if (!letter)
        return ST_NOMEM;
    letter->mailbox = mailbox;
    letter->part = part;
    snprintf(letter->member, sizeof(letter->member), "%s", member);
    snprintf(letter->id_text, sizeof(letter->id_text), "%.*s", BATCH_ID_TEXT - 1, member);
    list_init(&letter->node);
    if (map_insert(&mailbox->names, &letter->by_member, member_hash(member)) != ST_OK) {
        free(letter);
        return ST_NOMEM;
    }
    list_push_back(&mailbox->waiting, &letter->node);
    return ST_OK;
}

/* Will publish tell of it? */
static bool on_its_way(const struct mailbox *mailbox, const char *member)
{
    char batch_id[BATCH_ID_TEXT];
    snprintf(batch_id, sizeof(batch_id), "%.*s", BATCH_ID_TEXT - 1, member);
    return publish_sends(mailbox->core->publish, batch_id);
}

/* False: it could not be kept. */
static bool note(struct mailbox *mailbox, struct slice name)
{
    uint32_t part;
    char member[BATCH_MEMBER_TEXT];
    if (batch_member_part(name, &part) != ST_OK) {
        log_error("mailbox.bad_name", "member=%s", log_quote(name));
        return true;
    }
    snprintf(member, sizeof(member), "%.*s", SLICE_ARGS(name));
    if (find(mailbox, member) || on_its_way(mailbox, member) ||
        journal_holds(mailbox->core->journal, member))
        return true;
    return add(mailbox, member, part) == ST_OK;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* It waits again, first of all. */
static void put_back(struct letter *letter, enum status status)
{
    struct mailbox *mailbox = letter->mailbox;
    mailbox->reading_count--;
    batch_free(letter->batch);
    letter->batch = NULL;
    list_remove(&letter->node);
    list_push_front(&mailbox->waiting, &letter->node);
    if (status != ST_STOPPED)
        reactor_timer_set(mailbox->again, AGAIN_MS);
}

static void open_batch(struct letter *letter)
{
    struct core *core = letter->mailbox->core;
    struct batch *batch = letter->batch;
    letter->batch = NULL;
    core->stats.parts_received++;
    dispatch_open(core->dispatch, batch);
}

static void give_up_unread(const struct letter *letter)
{
    struct core *core = letter->mailbox->core;
    log_error("mailbox.bad_batch", "batch=%s reason=%s", letter->member,
              status_name(letter->parsed));
    if (store_close_unread(core->store, letter->member, letter->blob_bytes,
                           core->options.history_ttl_ms) != ST_OK)
        log_error("mailbox.bad_batch", "batch=%s reason=nomem", letter->member);
}

static void on_held(void *arg, enum status status, const struct redis_value *reply)
{
    struct letter *letter = arg;
    struct mailbox *mailbox = letter->mailbox;
    struct core *core = mailbox->core;
    if (status != ST_OK) {
        put_back(letter, status);
        return;
    }
    bool held = redis_value_type(reply) == REDIS_STRING;
    mailbox->reading_count--;
    if (held && !core->stopping && !journal_holds(core->journal, letter->member)) {
        if (letter->batch)
            open_batch(letter);
        else
            give_up_unread(letter);
    }
    letter_free(letter);
    go_on(mailbox);
}

/* The part as it is to be opened. */
static enum status load(struct letter *letter, struct slice blob, struct slice progress)
{
    uint32_t counts[BATCH_PARTS_MAX + 1];
    struct batch *batch;
    enum status status = blob.ptr ? batch_load(letter->id_text, blob, &batch) : ST_NOTFOUND;
    if (status != ST_OK)
        return status;
    if (letter->part > batch->part_count) {
        batch_free(batch);
        return ST_SYNTAX;
    }
    batch_divide(batch, counts);
    batch_hold_part(batch, letter->part);
    journal_skip_done(batch, progress);
    letter->batch = batch;
    return ST_OK;
}

static void on_read(void *arg, enum status status, const struct redis_value *reply)
{
    struct letter *letter = arg;
    struct slice blob = reply_text(reply, 0);
    letter->blob_bytes = blob.len;
    if (status == ST_OK) {
        letter->parsed = load(letter, blob, reply_text(reply, 1));
        if (letter->parsed == ST_NOMEM ||
            store_journal_has(letter->mailbox->core->store, letter->member, on_held, letter) !=
                ST_OK)
            status = ST_NOMEM;
    }
    if (status != ST_OK)
        put_back(letter, status);
}

static bool memory_full(const struct core *core)
{
    return dispatch_deliveries(core->dispatch) > core->options.deliveries_max ||
           journal_bytes(core->journal) > core->options.bytes_max;
}

/* False: nothing more can be read now. */
static bool read_next(struct mailbox *mailbox)
{
    struct core *core = mailbox->core;
    if (core->stopping || !core->loaded || !store_ready(core->store) ||
        list_empty(&mailbox->waiting) || mailbox->reading_count >= READS_MOST)
        return false;
    struct letter *letter = CONTAINER_OF(mailbox->waiting.next, struct letter, node);
    if (memory_full(core) ||
        store_batch_read(core->store, letter->id_text, on_read, letter) != ST_OK) {
        reactor_timer_set(mailbox->again, AGAIN_MS);
        return false;
    }
    mailbox->reading_count++;
    list_remove(&letter->node);
    list_push_back(&mailbox->reading, &letter->node);
    return true;
}

/* ---- Comparison ----------------------------------------------------------------------------- */

static void look(struct mailbox *mailbox);

static void on_page(void *arg, enum status status, const struct redis_value *reply)
{
    struct mailbox *mailbox = arg;
    mailbox->looking = false;
    if (status != ST_OK)
        return; /* mailbox_store_ready() looks anew */
    size_t count = redis_value_count(reply), at = 0;
    while (at < count && note(mailbox, reply_text(reply, at)))
        at++;
    if (at < count) {
        mailbox->look_again = true; /* when there is room for more names */
    } else if (count == PAGE) {
        mailbox->looking_at += PAGE;
        look(mailbox);
    }
    go_on(mailbox);
}

static void look(struct mailbox *mailbox)
{
    struct core *core = mailbox->core;
    mailbox->looking = store_journal_list(core->store, store_incarnation(core->store),
                                          mailbox->looking_at, PAGE, on_page, mailbox) == ST_OK;
}

static void look_from_start(struct mailbox *mailbox)
{
    mailbox->look_again = mailbox->looking; /* this reading may have passed it */
    if (mailbox->looking)
        return;
    mailbox->looking_at = 0;
    look(mailbox);
}

/* Reads what can be read, and looks for more when nothing that is known waits. */
static void go_on(struct mailbox *mailbox)
{
    while (read_next(mailbox))
        ;
    if (mailbox->look_again && !mailbox->looking && list_empty(&mailbox->waiting))
        look_from_start(mailbox);
}

static void on_again(void *arg)
{
    go_on(arg);
}

void mailbox_compare(struct mailbox *mailbox, uint64_t count_in_redis)
{
    bool differs = count_in_redis != journal_count(mailbox->core->journal) + mailbox->names.count;
    if (differs && mailbox->differed && !mailbox->core->stopping) {
        mailbox->differed = false;
        look_from_start(mailbox);
    } else {
        mailbox->differed = differs;
    }
}

void mailbox_store_ready(void *arg)
{
    struct mailbox *mailbox = arg;
    look_from_start(mailbox);
    go_on(mailbox);
}

void mailbox_announced(void *arg, struct slice member)
{
    struct mailbox *mailbox = arg;
    if (!note(mailbox, member))
        mailbox->look_again = true;
    go_on(mailbox);
}

size_t mailbox_waiting(const struct mailbox *mailbox)
{
    return mailbox->names.count;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct mailbox *mailbox_new(struct core *core)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    if (!mailbox)
        return NULL;
    mailbox->core = core;
    list_init(&mailbox->waiting);
    list_init(&mailbox->reading);
    map_init(&mailbox->names);
    mailbox->again = reactor_timer_new(core->reactor, on_again, mailbox);
    if (!mailbox->again) {
        mailbox_free(mailbox);
        return NULL;
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return;
    MAP_FOREACH(node, &mailbox->names)
    letter_free(CONTAINER_OF(node, struct letter, by_member));
    map_free(&mailbox->names);
    reactor_timer_free(mailbox->again);
    free(mailbox);
}
