/* dead_walk.c - goes through dead letters.
 *
 *   next_endpoint --> next_page --> read each letter --> visit, in order
 *        ^    ^            |                               |
 *        |    +-- empty ---+                               |
 *        |                 ^                               |
 *        |                 +-------------- all ------------+
 */
#include "api/dead_walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "core/store_schedule.h"

enum { PAGE = 100 };

struct entry {
    struct dead_walk *walk;
    struct id event;
    char event_id[ID_TEXT_MAX];
    uint64_t dead_at_ms;
    struct buf record, state; /* copies; empty when the letter has gone meanwhile */
};

struct dead_walk {
    struct core *core;
    struct dead_walk_options options;
    dead_visit_fn *visit;
    dead_walk_done_fn *done;
    void *arg;
    char endpoint[ID_TEXT_MAX];
    uint64_t position; /* letters of this endpoint that were passed */
    size_t count;      /* of this page */
    size_t waiting;    /* answers still to come */
    enum status failure;
    struct entry entries[PAGE];
};

static void next_page(struct dead_walk *walk);

static void walk_end(struct dead_walk *walk, enum status status, bool more)
{
    for (size_t i = 0; i < PAGE; i++) {
        buf_free(&walk->entries[i].record);
        buf_free(&walk->entries[i].state);
    }
    walk->done(walk->arg, status, more ? walk->endpoint : "", walk->position);
    free(walk);
}

/* ---- Endpoints ------------------------------------------------------------------------------ */

static void on_endpoint(void *arg, enum status status, const struct redis_value *reply)
{
    struct dead_walk *walk = arg;
    struct slice name = reply_text(reply, 0);
    if (status != ST_OK || !name.ptr || name.len >= sizeof(walk->endpoint)) {
        walk_end(walk, status, false);
        return;
    }
    snprintf(walk->endpoint, sizeof(walk->endpoint), "%.*s", SLICE_ARGS(name));
    walk->position = 0;
    next_page(walk);
}

static void next_endpoint(struct dead_walk *walk)
{
    if (walk->options.only_endpoint[0])
        walk_end(walk, ST_OK, false);
    else if (store_dead_endpoints(walk->core->store, walk->endpoint, 1, on_endpoint, walk) != ST_OK)
        walk_end(walk, ST_NOMEM, false);
}

/* ---- Letters -------------------------------------------------------------------------------- */

/* Visits a page in order; position counts those that were passed. */
static void visit_page(struct dead_walk *walk)
{
    for (size_t i = 0; i < walk->count; i++, walk->position++) {
        struct entry *entry = &walk->entries[i];
        struct mp_reader reader;
        struct dead_letter letter = {.event = entry->event,
                                     .event_id = entry->event_id,
                                     .endpoint_id = walk->endpoint,
                                     .dead_at_ms = entry->dead_at_ms};
        mp_reader_init(&reader, buf_slice(&entry->record));
        event_record_read(&reader, &letter.record);
        if (reader.error != ST_OK ||
            delivery_state_read(buf_slice(&entry->state), &letter.state) != ST_OK)
            continue; /* gone since the page was read, or unreadable */
        if (!walk->visit(walk->arg, &letter)) {
            walk_end(walk, ST_OK, true);
            return;
        }
    }
    next_page(walk);
}

static void on_letter(void *arg, enum status status, const struct redis_value *reply)
{
    struct entry *entry = arg;
    struct dead_walk *walk = entry->walk;
    if (status == ST_OK) {
        buf_add_slice(&entry->record, reply_text(reply, 0));
        buf_add_slice(&entry->state, reply_text(reply, 1));
        if (buf_status(&entry->record) != ST_OK || buf_status(&entry->state) != ST_OK)
            status = ST_NOMEM;
    }
    if (status != ST_OK)
        walk->failure = status;
    if (--walk->waiting > 0)
        return;
    if (walk->failure != ST_OK)
        walk_end(walk, walk->failure, true);
    else
        visit_page(walk);
}

static void on_page(void *arg, enum status status, const struct redis_value *reply)
{
    struct dead_walk *walk = arg;
    if (status != ST_OK) {
        walk_end(walk, status, true);
        return;
    }
    size_t count = redis_value_count(reply) / 2;
    if (count == 0) {
        next_endpoint(walk);
        return;
    }
    walk->count = 0;
    walk->waiting = 1; /* this function's own */
    for (size_t i = 0; i < count && i < PAGE; i++) {
        struct entry *entry = &walk->entries[walk->count];
        buf_clear(&entry->record);
        buf_clear(&entry->state);
        if (id_parse(reply_text(reply, 2 * i), "msg_", &entry->event) != ST_OK)
            continue;
        id_format(entry->event_id, "msg_", &entry->event);
        entry->dead_at_ms = reply_score(reply_text(reply, 2 * i + 1));
        if (store_event_read(walk->core->store, entry->event_id, walk->endpoint, on_letter,
                             entry) != ST_OK) {
            walk->failure = ST_NOMEM;
            break;
        }
        walk->waiting++;
        walk->count++;
    }
    if (--walk->waiting > 0)
        return;
    walk_end(walk, walk->failure ? walk->failure : ST_REFUSED, true);
}

static void next_page(struct dead_walk *walk)
{
    if (store_dead_range(walk->core->store, walk->endpoint, walk->options.since_ms,
                         walk->options.until_ms, walk->position, PAGE, on_page, walk) != ST_OK)
        walk_end(walk, ST_NOMEM, true);
}

enum status dead_walk_start(struct core *core, const struct dead_walk_options *options,
                            dead_visit_fn *visit, dead_walk_done_fn *done, void *arg)
{
    struct dead_walk *walk = calloc(1, sizeof(*walk));
    if (!walk)
        return ST_NOMEM;
    walk->core = core;
    walk->options = *options;
    walk->visit = visit;
    walk->done = done;
    walk->arg = arg;
    for (size_t i = 0; i < PAGE; i++) {
        walk->entries[i].walk = walk;
        buf_init(&walk->entries[i].record, 64 * 1024 * 1024);
        buf_init(&walk->entries[i].state, 4096 + LIMIT_EVENT_LOG_BYTES);
    }
    enum status status;
    const char *first =
        options->only_endpoint[0] ? options->only_endpoint : options->start_endpoint;
    if (first[0]) {
        snprintf(walk->endpoint, sizeof(walk->endpoint), "%s", first);
        walk->position = strcmp(first, options->start_endpoint) == 0 ? options->start_position : 0;
        status = store_dead_range(core->store, walk->endpoint, options->since_ms, options->until_ms,
                                  walk->position, PAGE, on_page, walk);
    } else {
        status = store_dead_endpoints(core->store, "", 1, on_endpoint, walk);
    }
    if (status != ST_OK)
        free(walk);
    return status;
}
