/* adoption.c - batches that dead incarnations left.
 *
 *   dead incarnation --> page of its journal --each member--> adopt.lua --> mailbox: opens it
 *                              |
 *                          empty: bury.lua
 *
 * One dead incarnation at a time, one member at a time, and none while memory is half full or the
 * mailbox has enough to do: adoption is not urgent enough to push out what is in hand.
 *
 * When I die behind adopt.lua the part is in my journal, and adopted from there. Others may adopt
 * from the same journal at the same time; each member goes to one of us. One that was mine, and was
 * adopted from me while I slept, may come back: mailbox.c says what is done with the copy in hand.
 */
#include "core/adoption.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "core/dispatch.h"
#include "core/journal.h"
#include "core/mailbox.h"
#include "core/store_batch.h"

enum { PAGE = 64, MAILBOX_MOST = 64, AGAIN_MS = 200 };

struct adoption {
    struct core *core;
    struct reactor_timer *again;
    char dead[64]; /* incarnation whose journal is being adopted; "": none */
    char page[PAGE][BATCH_MEMBER_TEXT];
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

static void on_adopted(void *arg, enum status status, const struct redis_value *reply)
{
    struct adoption *adoption = arg;
    if (status != ST_OK)
        return; /* the store is being freed */
    struct slice answer = redis_value_text(reply);
    if (slice_eq(answer, SLICE("alive"))) {
        adoption_end(adoption);
        return;
    }
    if (slice_eq(answer, SLICE("ok"))) {
        adoption->adopted++;
        adoption->core->stats.batches_adopted++;
        mailbox_announced(adoption->core->mailbox, slice_str(adoption->page[adoption->page_at]));
    }
    adoption->page_at++;
    adopt_next(adoption);
}

static bool enough_to_do(const struct core *core)
{
    return mailbox_waiting(core->mailbox) >= MAILBOX_MOST ||
           dispatch_deliveries(core->dispatch) > core->options.deliveries_max / 2 ||
           journal_bytes(core->journal) > core->options.bytes_max / 2;
}

static void adopt_next(struct adoption *adoption)
{
    struct core *core = adoption->core;
    if (core->stopping) {
        adoption_end(adoption);
    } else if (adoption->page_at >= adoption->page_count) {
        read_journal(adoption);
    } else if (enough_to_do(core)) {
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
        if (name.len > 0 && name.len < sizeof(adoption->page[0]))
            snprintf(adoption->page[adoption->page_count++], sizeof(adoption->page[0]), "%.*s",
                     SLICE_ARGS(name));
    }
    if (adoption->page_count > 0)
        adopt_next(adoption);
    else if (store_bury(adoption->core->store, adoption->dead, false, on_buried, adoption) != ST_OK)
        adoption_end(adoption);
}

static void read_journal(struct adoption *adoption)
{
    if (store_journal_list(adoption->core->store, adoption->dead, 0, PAGE, on_journal, adoption) !=
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
