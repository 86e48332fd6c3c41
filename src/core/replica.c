/* replica.c - this process among others that share the Redis.
 *
 *   heartbeat --names a dead incarnation--> page of its journal --each--> adopt.lua
 *       ^                                        |                            |
 *       |                                    empty: bury.lua        read blob and progress
 *       +-------- every heartbeat_ms                                          |
 *                                                                       dispatch_open()
 *
 * One dead incarnation at a time, one batch at a time, and none while memory is full: adoption is
 * not urgent enough to push out what is in hand.
 */
#include "core/replica.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "core/dispatch.h"
#include "core/journal.h"
#include "core/store_batch.h"
#include "net/redis_script.h"

enum { PAGE = 64, AGAIN_MS = 200 };

struct replica {
    struct core *core;
    struct reactor_timer *heartbeat;
    struct reactor_timer *again;
    bool beating;    /* a heartbeat is on its way */
    bool first_beat; /* the next one is the first */
    bool adopting;
    size_t turn;   /* which of the dead is looked at */
    char dead[64]; /* incarnation whose journal is being adopted */
    char page[PAGE][BATCH_ID_TEXT];
    size_t page_count, page_at;
    size_t adopted; /* of this journal */
    void (*left)(void *arg);
    void *left_arg;
};

static void read_journal(struct replica *replica);
static void adopt_next(struct replica *replica);

/* ---- Adoption ------------------------------------------------------------------------------- */

static void adoption_end(struct replica *replica)
{
    if (replica->adopted > 0)
        log_info("replica.adopted", "incarnation=%s batches=%zu", replica->dead, replica->adopted);
    replica->adopting = false;
    replica->adopted = 0;
}

/* What failed is tried again, from the same batch on. */
static void again(struct replica *replica, enum status status)
{
    if (status == ST_STOPPED)
        return;
    log_warn("replica.adoption_waits", "incarnation=%s reason=%s", replica->dead,
             status_name(status));
    reactor_timer_set(replica->again, AGAIN_MS);
}

static void skip_done(struct batch *batch, struct slice bitmap)
{
    for (uint32_t i = 0; i < batch->ordinal_count && i / 8 < bitmap.len; i++)
        if ((unsigned char)bitmap.ptr[i / 8] & (0x80u >> (i % 8)))
            journal_skip_done(batch, i);
}

static void on_batch(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    const char *name = replica->page[replica->page_at];
    struct batch *batch;
    if (status != ST_OK) {
        again(replica, status); /* it is in my journal already; adopt.lua says "ok" once more */
        return;
    }
    struct slice blob = reply_text(reply, 0);
    enum status parsed = blob.ptr ? batch_load(name, blob, &batch) : ST_NOTFOUND;
    if (parsed == ST_NOMEM) {
        again(replica, parsed);
        return;
    }
    if (parsed == ST_OK) {
        skip_done(batch, reply_text(reply, 1));
        replica->adopted++;
        replica->core->stats.batches_adopted++;
        dispatch_open(replica->core->dispatch, batch);
    } else {
        log_error("replica.bad_batch", "batch=%s reason=%s", name, status_name(parsed));
        if (store_close_unread(replica->core->store, name, blob.len,
                               replica->core->options.history_ttl_ms) != ST_OK)
            log_error("replica.bad_batch", "batch=%s reason=nomem", name);
    }
    replica->page_at++;
    adopt_next(replica);
}

static void on_adopted(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    if (status != ST_OK) {
        again(replica, status);
        return;
    }
    struct slice answer = redis_value_text(reply);
    if (slice_eq(answer, SLICE("ok"))) {
        if (store_batch_read(replica->core->store, replica->page[replica->page_at], on_batch,
                             replica) != ST_OK)
            again(replica, ST_NOMEM);
    } else if (slice_eq(answer, SLICE("alive"))) {
        adoption_end(replica);
    } else {
        replica->page_at++;
        adopt_next(replica);
    }
}

static void adopt_next(struct replica *replica)
{
    struct core *core = replica->core;
    if (core->stopping) {
        adoption_end(replica);
    } else if (replica->page_at >= replica->page_count) {
        read_journal(replica);
    } else if (dispatch_deliveries(core->dispatch) > core->options.deliveries_max / 2 ||
               journal_bytes(core->journal) > core->options.bytes_max / 2) {
        reactor_timer_set(replica->again, AGAIN_MS);
    } else if (store_adopt(core->store, replica->dead, replica->page[replica->page_at], on_adopted,
                           replica) != ST_OK) {
        adoption_end(replica);
    }
}

static void on_again(void *arg)
{
    struct replica *replica = arg;
    if (store_ready(replica->core->store))
        adopt_next(replica);
    else
        reactor_timer_set(replica->again, AGAIN_MS);
}

static void on_buried(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    if (status == ST_OK && slice_eq(redis_value_text(reply), SLICE("ok")))
        log_info("replica.buried", "incarnation=%s", replica->dead);
    adoption_end(replica);
}

static enum status bury(struct replica *replica, const char *incarnation, const char *mode,
                        store_reply_fn *fn)
{
    struct store *store = replica->core->store;
    struct store_key text[3];
    struct slice keys[] = {store_key(store, &text[0], "replicas", NULL),
                           store_key(store, &text[1], "journals", NULL),
                           store_key(store, &text[2], "journal", incarnation)};
    struct slice args[] = {slice_str(incarnation), slice_str(mode)};
    return store_call(store, store_script(store, "bury"), keys, 3, args, 2, fn, replica);
}

static void on_journal(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    if (status != ST_OK) {
        adoption_end(replica);
        return;
    }
    replica->page_count = replica->page_at = 0;
    for (size_t i = 0; i < redis_value_count(reply) && i < PAGE; i++) {
        struct slice name = reply_text(reply, i);
        if (name.len == BATCH_ID_TEXT - 1)
            memcpy(replica->page[replica->page_count++], name.ptr, name.len);
    }
    if (replica->page_count > 0)
        adopt_next(replica);
    else if (bury(replica, replica->dead, "", on_buried) != ST_OK)
        adoption_end(replica);
}

static void read_journal(struct replica *replica)
{
    if (store_journal_list(replica->core->store, replica->dead, PAGE, on_journal, replica) != ST_OK)
        adoption_end(replica);
}

/* ---- Heartbeat ------------------------------------------------------------------------------ */

static void on_beat(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    struct core *core = replica->core;
    replica->beating = false;
    if (status != ST_OK)
        return;
    replica->first_beat = false;
    store_saw_time(core->store, reply_integer(reply, 0));
    /* Another one each time, so that one that cannot be buried does not keep the others waiting. */
    size_t count = redis_value_count(reply);
    struct slice dead =
        count > 2 ? reply_text(reply, 2 + replica->turn++ % (count - 2)) : SLICE_NULL;
    if (replica->adopting || core->stopping || !dead.ptr || dead.len >= sizeof(replica->dead))
        return;
    replica->adopting = true;
    snprintf(replica->dead, sizeof(replica->dead), "%.*s", SLICE_ARGS(dead));
    read_journal(replica);
}

static void beat(struct replica *replica)
{
    struct core *core = replica->core;
    struct store *store = core->store;
    if (replica->beating || !store_ready(store))
        return;
    struct store_key text[3];
    struct slice keys[] = {store_key(store, &text[0], "replicas", NULL),
                           store_key(store, &text[1], "journals", NULL),
                           store_key(store, &text[2], "config", NULL)};
    struct store_number lease;
    bool sole = core->options.sole_owner && replica->first_beat;
    struct slice args[] = {slice_str(store_incarnation(store)),
                           store_u64(&lease, core->options.lease_ms),
                           sole ? SLICE("others") : SLICE("")};
    replica->beating = store_query_script(store, store_script(store, "heartbeat"), keys, 3, args, 3,
                                          on_beat, replica) == ST_OK;
}

static void on_heartbeat(void *arg)
{
    struct replica *replica = arg;
    reactor_timer_set(replica->heartbeat, replica->core->options.heartbeat_ms);
    beat(replica);
}

void replica_store_ready(struct replica *replica)
{
    reactor_timer_set(replica->heartbeat, replica->core->options.heartbeat_ms);
    beat(replica);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

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
    reactor_timer_cancel(replica->heartbeat);
    if (bury(replica, store_incarnation(replica->core->store), "leave", on_left) != ST_OK)
        done(arg);
}

bool replica_adopting(const struct replica *replica)
{
    return replica->adopting;
}

struct replica *replica_new(struct core *core)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    if (!replica)
        return NULL;
    replica->core = core;
    replica->first_beat = true;
    replica->heartbeat = reactor_timer_new(core->reactor, on_heartbeat, replica);
    replica->again = reactor_timer_new(core->reactor, on_again, replica);
    if (!replica->heartbeat || !replica->again) {
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
    reactor_timer_free(replica->again);
    free(replica);
}
