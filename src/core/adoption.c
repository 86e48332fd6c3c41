/* adoption.c - batches that dead incarnations left.
 *
 *   dead incarnation --> page of its journal --each--> adopt.lua --> read blob and progress
 *                              |                                            |
 *                          empty: bury.lua                           dispatch_open()
 *
 * One dead incarnation at a time, one batch at a time, and none while memory is full: adoption is
 * not urgent enough to push out what is in hand.
 */
#include "core/adoption.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "core/dispatch.h"
#include "core/journal.h"
#include "core/store_batch.h"

enum { PAGE = 64, AGAIN_MS = 200 };

struct adoption {
    struct core *core;
    struct reactor_timer *again;
    char dead[64]; /* incarnation whose journal is being adopted; "": none */
    char page[PAGE][BATCH_ID_TEXT];
    size_t page_count, page_at;
    size_t adopted; /* of this journal */
};

static void read_journal(struct adoption *adoption);
static void adopt_next(struct adoption *adoption);

static void adoption_end(struct adoption *adoption)
{
    if (adoption->adopted > 0)
        log_info("replica.adopted", "incarnation=%s batches=%zu", adoption->dead,
                 adoption->adopted);
    adoption->dead[0] = '\0';
    adoption->adopted = 0;
}

/* What failed is tried again, from the same batch on. */
static void again(struct adoption *adoption, enum status status)
{
    if (status == ST_STOPPED)
        return;
    log_warn("replica.adoption_waits", "incarnation=%s reason=%s", adoption->dead,
             status_name(status));
    reactor_timer_set(adoption->again, AGAIN_MS);
}

static void skip_done(struct batch *batch, struct slice bitmap)
{
    for (uint32_t i = 0; i < batch->ordinal_count && i / 8 < bitmap.len; i++)
        if ((unsigned char)bitmap.ptr[i / 8] & (0x80u >> (i % 8)))
            journal_skip_done(batch, i);
}

static void on_batch(void *arg, enum status status, const struct redis_value *reply)
{
    struct adoption *adoption = arg;
    const char *name = adoption->page[adoption->page_at];
    struct batch *batch;
    if (status != ST_OK) {
        again(adoption, status); /* it is in my journal already; adopt.lua says "ok" once more */
        return;
    }
    struct slice blob = reply_text(reply, 0);
    enum status parsed = blob.ptr ? batch_load(name, blob, &batch) : ST_NOTFOUND;
    if (parsed == ST_NOMEM) {
        again(adoption, parsed);
        return;
    }
    if (parsed == ST_OK) {
        skip_done(batch, reply_text(reply, 1));
        adoption->adopted++;
        adoption->core->stats.batches_adopted++;
        dispatch_open(adoption->core->dispatch, batch);
    } else {
        log_error("replica.bad_batch", "batch=%s reason=%s", name, status_name(parsed));
        if (store_close_unread(adoption->core->store, name, blob.len,
                               adoption->core->options.history_ttl_ms) != ST_OK)
            log_error("replica.bad_batch", "batch=%s reason=nomem", name);
    }
    adoption->page_at++;
    adopt_next(adoption);
}

static void on_adopted(void *arg, enum status status, const struct redis_value *reply)
{
    struct adoption *adoption = arg;
    if (status != ST_OK) {
        again(adoption, status);
        return;
    }
    struct slice answer = redis_value_text(reply);
    if (slice_eq(answer, SLICE("ok"))) {
        if (store_batch_read(adoption->core->store, adoption->page[adoption->page_at], on_batch,
                             adoption) != ST_OK)
            again(adoption, ST_NOMEM);
    } else if (slice_eq(answer, SLICE("alive"))) {
        adoption_end(adoption);
    } else {
        adoption->page_at++;
        adopt_next(adoption);
    }
}

static void adopt_next(struct adoption *adoption)
{
    struct core *core = adoption->core;
    if (core->stopping) {
        adoption_end(adoption);
    } else if (adoption->page_at >= adoption->page_count) {
        read_journal(adoption);
    } else if (dispatch_deliveries(core->dispatch) > core->options.deliveries_max / 2 ||
               journal_bytes(core->journal) > core->options.bytes_max / 2) {
        reactor_timer_set(adoption->again, AGAIN_MS);
    } else if (store_adopt(core->store, adoption->dead, adoption->page[adoption->page_at],
                           on_adopted, adoption) != ST_OK) {
        adoption_end(adoption);
    }
}

static void on_again(void *arg)
{
    struct adoption *adoption = arg;
    if (store_ready(adoption->core->store))
        adopt_next(adoption);
    else
        reactor_timer_set(adoption->again, AGAIN_MS);
}

static void on_buried(void *arg, enum status status, const struct redis_value *reply)
{
    struct adoption *adoption = arg;
    if (status == ST_OK && slice_eq(redis_value_text(reply), SLICE("ok")))
        log_info("replica.buried", "incarnation=%s", adoption->dead);
    adoption_end(adoption);
}

static void on_journal(void *arg, enum status status, const struct redis_value *reply)
{
    struct adoption *adoption = arg;
    if (status != ST_OK) {
        adoption_end(adoption);
        return;
    }
    adoption->page_count = adoption->page_at = 0;
    for (size_t i = 0; i < redis_value_count(reply) && i < PAGE; i++) {
        struct slice name = reply_text(reply, i);
        if (name.len == BATCH_ID_TEXT - 1)
            memcpy(adoption->page[adoption->page_count++], name.ptr, name.len);
    }
    if (adoption->page_count > 0)
        adopt_next(adoption);
    else if (store_bury(adoption->core->store, adoption->dead, false, on_buried, adoption) != ST_OK)
        adoption_end(adoption);
}

static void read_journal(struct adoption *adoption)
{
    if (store_journal_list(adoption->core->store, adoption->dead, PAGE, on_journal, adoption) !=
        ST_OK)
        adoption_end(adoption);
}

void adoption_begin(struct adoption *adoption, struct slice incarnation)
{
    if (adoption->dead[0] || adoption->core->stopping || incarnation.len == 0 ||
        incarnation.len >= sizeof(adoption->dead))
        return;
    snprintf(adoption->dead, sizeof(adoption->dead), "%.*s", SLICE_ARGS(incarnation));
    read_journal(adoption);
}

bool adoption_busy(const struct adoption *adoption)
{
    return adoption->dead[0] != '\0';
}

struct adoption *adoption_new(struct core *core)
{
    struct adoption *adoption = calloc(1, sizeof(*adoption));
    if (!adoption)
        return NULL;
    adoption->core = core;
    adoption->again = reactor_timer_new(core->reactor, on_again, adoption);
    if (!adoption->again) {
        free(adoption);
        return NULL;
    }
    return adoption;
}

void adoption_free(struct adoption *adoption)
{
    if (!adoption)
        return;
    reactor_timer_free(adoption->again);
    free(adoption);
}
