/* matching.c - the registry's answer, filters asked within a turn's time, and a line of events.
 *
 *     matching_begin() ── time left ──▶ targets
 *           └── none left: copied ──▶ line ── matching_go_on(), turn by turn ──▶ fn(targets)
 *
 * A turn has FILTERS_US for new events and as much for those that wait, so that neither keeps the
 * other out for long. The clock is read before each filter, which is what cannot be interrupted.
 *
 * What an event still has to ask are references to endpoints and not to their filters: the list is
 * made when the event comes, so that an endpoint is asked once, whatever happens to the registry
 * meanwhile.
 *
 * Rejected: a limit to what the filters of an event may cost together, because then an endpoint
 * could make a producer's events be refused, or not get what it asked for; and counting steps
 * instead of time, which the walk over each payload would pay for.
 */
#include "core/matching.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "core/filter.h"

enum { FILTERS_US = 5000 };

struct candidates {
    struct endpoint **at; /* a reference of each from `next` on */
    size_t count, next;
};

/* An event in line, with its own copy of everything. */
struct pending {
    struct list node;
    struct publish_item item;
    struct publish_waiter waiter;
    size_t bytes;
    struct candidates left;
    struct buf targets;
    char copy[]; /* what `item` points to */
};

struct matching {
    struct core *core;
    matching_fn *fn;
    void *arg;
    struct list line;
    size_t waiting, bytes;
    uint64_t until_us;  /* monotonic: when this turn's time is used up; 0: no filter was asked */
    struct buf targets; /* of the event that came last */
    struct buf unasked; /* struct endpoint *: its candidates that there was no time for */
};

/* ---- Asking --------------------------------------------------------------------------------- */

static bool time_left(struct matching *matching)
{
    uint64_t now_us = clock_now_us();
    if (matching->until_us == 0)
        matching->until_us = now_us + FILTERS_US;
    return now_us < matching->until_us;
}

static void add_target(struct buf *targets, const struct endpoint *endpoint)
{
    buf_add(targets, endpoint->id.bytes, sizeof(endpoint->id.bytes));
}

static void ask(const struct endpoint *endpoint, const struct event_record *record,
                struct buf *targets)
{
    if (filter_takes(endpoint->config->filter, record))
        add_target(targets, endpoint);
}

/* ---- New events ----------------------------------------------------------------------------- */

struct search {
    struct matching *matching;
    const struct publish_item *item;
    bool ordered;
};

static void on_candidate(void *arg, struct endpoint *endpoint)
{
    struct search *search = arg;
    struct matching *matching = search->matching;
    const struct id *about = search->item->about;
    if (about && memcmp(&endpoint->id, about, sizeof(*about)) == 0)
        return;
    search->ordered = search->ordered || endpoint->config->ordering != ORDERING_NONE;
    if (!endpoint->config->filter)
        add_target(&matching->targets, endpoint);
    else if (matching->unasked.len == 0 && time_left(matching))
        ask(endpoint, &search->item->record, &matching->targets);
    else
        buf_add(&matching->unasked, &endpoint, sizeof(endpoint));
}

/* True when one of them has an order. */
static bool search_candidates(struct matching *matching, const struct publish_item *item)
{
    struct registry *registry = matching->core->registry;
    struct search search = {matching, item, false};
    buf_clear(&matching->targets);
    buf_clear(&matching->unasked);
    if (item->about)
        registry_match_named(registry, item->record.type, on_candidate, &search);
    else
        registry_match(registry, item->record.type, on_candidate, &search);
    return search.ordered;
}

/* ---- The line ------------------------------------------------------------------------------- */

enum { SLICES = 15 };

static void list_slices(struct publish_item *item, struct slice *slices[SLICES])
{
    struct event_record *r = &item->record;
    struct slice *all[SLICES] = {&r->application,  &r->type,
                                 &r->version,      &r->source,
                                 &r->uid,          &r->traceparent,
                                 &r->tracestate,   &r->data,
                                 &item->raw,       &item->idempotency_key,
                                 &r->headers,      &r->content_type,
                                 &r->duplicate_of, &r->ordering_key,
                                 &r->cloud_event};
    memcpy(slices, all, sizeof(all));
}

/* Makes `item` point to a copy of what it points to, at `to`; with NULL only measures it. */
static size_t copy_slices(struct publish_item *item, char *to)
{
    struct slice *slices[SLICES];
    size_t bytes = 0;
    list_slices(item, slices);
    for (size_t i = 0; i < SLICES; i++) {
        if (to && slices[i]->ptr) {
            memcpy(to + bytes, slices[i]->ptr, slices[i]->len);
            slices[i]->ptr = to + bytes;
        }
        bytes += slices[i]->len;
    }
    return bytes;
}

static void pending_free(struct matching *matching, struct pending *pending)
{
    list_remove(&pending->node);
    matching->waiting--;
    matching->bytes -= pending->bytes;
    for (struct candidates *left = &pending->left; left->next < left->count; left->next++)
        endpoint_put(left->at[left->next]);
    free(pending->left.at);
    buf_free(&pending->targets);
    free(pending);
}

/* The line is in the order in which events were accepted: one that is matched anew, because the
 * endpoints were changed, has waited before. */
static struct list *place_of(struct matching *matching, const struct publish_waiter *waiter)
{
    struct list *place = &matching->line;
    while (place->prev != &matching->line &&
           CONTAINER_OF(place->prev, struct pending, node)->waiter.accepted_us >
               waiter->accepted_us)
        place = place->prev;
    return place;
}

/* The event and what was found out so far go into the line. */
static enum status wait_in_line(struct matching *matching, const struct publish_item *item,
                                const struct publish_waiter *waiter)
{
    struct publish_item own = *item;
    size_t copied = copy_slices(&own, NULL);
    size_t bytes = sizeof(struct pending) + copied + matching->unasked.len + matching->targets.len;
    if (matching->bytes + bytes > LIMIT_MATCHING_BYTES)
        return ST_LIMIT;
    struct pending *pending = calloc(1, sizeof(*pending) + copied);
    if (!pending)
        return ST_NOMEM;
    copy_slices(&own, pending->copy);
    own.about = NULL; /* it is among no one's candidates */
    pending->item = own;
    pending->waiter = *waiter;
    pending->bytes = bytes;
    pending->left.at = (struct endpoint **)(void *)matching->unasked.ptr;
    pending->left.count = matching->unasked.len / sizeof(struct endpoint *);
    pending->targets = matching->targets;
    buf_init(&matching->unasked, matching->unasked.max);
    buf_init(&matching->targets, matching->targets.max);
    for (size_t i = 0; i < pending->left.count; i++)
        endpoint_get(pending->left.at[i]);
    list_insert_before(place_of(matching, waiter), &pending->node);
    matching->waiting++;
    matching->bytes += bytes;
    return ST_AGAIN;
}

enum status matching_begin(struct matching *matching, const struct publish_item *item,
                           struct publish_waiter *waiter, struct slice *targets)
{
    waiter->ordered = search_candidates(matching, item);
    bool behind = waiter->ordered && !list_empty(&matching->line);
    enum status status = buf_status(&matching->targets);
    if (!status)
        status = buf_status(&matching->unasked);
    if (!status && (matching->unasked.len > 0 || behind))
        status = wait_in_line(matching, item, waiter);
    *targets = buf_slice(&matching->targets);
    return status;
}

/* False when the turn's time is used up. */
static bool ask_rest(struct matching *matching, struct pending *pending)
{
    struct candidates *left = &pending->left;
    while (left->next < left->count) {
        if (!time_left(matching))
            return false;
        struct endpoint *endpoint = left->at[left->next++];
        if (!endpoint->deleted && endpoint->config->active)
            ask(endpoint, &pending->item.record, &pending->targets);
        endpoint_put(endpoint);
    }
    return true;
}

void matching_go_on(struct matching *matching)
{
    matching->until_us = 0;
    while (!list_empty(&matching->line)) {
        struct pending *pending = CONTAINER_OF(matching->line.next, struct pending, node);
        if (!ask_rest(matching, pending)) {
            reactor_wake(matching->core->reactor);
            break;
        }
        matching->fn(matching->arg, buf_status(&pending->targets), &pending->item,
                     buf_slice(&pending->targets), &pending->waiter);
        pending_free(matching, pending);
    }
    matching->until_us = 0; /* what comes in the next turn has time of its own */
}

bool matching_give_up(struct matching *matching, uint64_t since_ms, struct publish_waiter *waiter)
{
    if (list_empty(&matching->line))
        return false;
    struct pending *first = CONTAINER_OF(matching->line.next, struct pending, node);
    if (first->waiter.accepted_us / 1000 > since_ms)
        return false;
    *waiter = first->waiter;
    pending_free(matching, first);
    return true;
}

size_t matching_waiting(const struct matching *matching)
{
    return matching->waiting;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct matching *matching_new(struct core *core, matching_fn *fn, void *arg)
{
    struct matching *matching = calloc(1, sizeof(*matching));
    if (!matching)
        return NULL;
    matching->core = core;
    matching->fn = fn;
    matching->arg = arg;
    list_init(&matching->line);
    buf_init(&matching->targets, (size_t)LIMIT_BATCH_DELIVERIES * TARGET_BYTES);
    buf_init(&matching->unasked, (size_t)LIMIT_BATCH_DELIVERIES * sizeof(struct endpoint *));
    return matching;
}

void matching_free(struct matching *matching)
{
    if (!matching)
        return;
    assert(list_empty(&matching->line));
    buf_free(&matching->targets);
    buf_free(&matching->unasked);
    free(matching);
}
