/* clear.c - empties the schedule of an endpoint that takes nothing any more.
 *
 *   `ord` is emptied, a page at a time, into `due` (order_free.lua)
 *        |
 *   page of `due` --each--> read its state --> settle.lua without a lease
 *        ^                                          |
 *        +------------- all answered ---------------+
 *        |
 *   `due` is empty --(deleted)--> page of `dead` --each--> dead_replay.lua "discard" --> document
 *
 * What joins a queue behind the first step, because it was published with the endpoints as they
 * were before, leaves it with its settlement, as always: then the one behind it is in a later page.
 *
 * What is in hand at the time is settled by its own attempt and skipped here by coming back later:
 * here by the table of what this process has in hand, so that it costs nothing, and by the script
 * for all that is leased. Whoever had the lane before may have it on the wire.
 */
#include "core/clear.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "core/archive.h"
#include "core/history.h"
#include "core/outcome.h"
#include "core/schedule.h"
#include "core/store_jobs.h"
#include "core/store_schedule.h"
#include "core/store_settle.h"
#include "net/redis_script.h"

enum { PAGE = 64, FREE_PAGE = 1000, AGAIN_MS = 1000 };

enum clear_step { CLEAR_ORDERED, CLEAR_DUE, CLEAR_DEAD };

struct job {
    struct list node;
    struct clear *clear;
    struct endpoint *endpoint; /* one reference */
    enum clear_step step;
    size_t waiting;  /* answers of the present page */
    size_t progress; /* entries done in the present page */
    struct reactor_timer *again;
};

struct item {
    struct job *job;
    struct id event;
    char event_id[ID_TEXT_MAX];
    struct archive_record record; /* ARCHIVE_NOT for a dead letter: its end was another */
    char type[LIMIT_TYPE_BYTES];  /* of which the record speaks */
};

struct clear {
    struct core *core;
    struct list jobs;
};

static void read_page(struct job *job);

static void job_end(struct job *job)
{
    list_remove(&job->node);
    job->endpoint->clearing = false;
    endpoint_put(job->endpoint);
    reactor_timer_free(job->again);
    free(job);
}

static void on_again(void *arg)
{
    read_page(arg);
}

static bool wanted(const struct job *job)
{
    return lanes_mine(job->clear->core->lanes, job->endpoint->lane) &&
           (job->endpoint->deleted || !job->endpoint->config->active);
}

/* ---- The end of a deleted endpoint ---------------------------------------------------------- */

static void on_deleted(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    if (status == ST_STOPPED) {
        job_end(job);
    } else if (status == ST_OK && redis_value_type(reply) == REDIS_STRING &&
               slice_eq(redis_value_text(reply), SLICE("ok"))) {
        log_info("endpoint.cleared", "endpoint=%s", job->endpoint->id_text);
        job_end(job);
    } else {
        job->step = CLEAR_ORDERED; /* something was still in hand */
        reactor_timer_set(job->again, AGAIN_MS);
    }
}

static void delete_document(struct job *job)
{
    struct store *store = job->clear->core->store;
    const char *endpoint = job->endpoint->id_text;
    struct store_key text[9];
    struct slice keys[] = {
        store_key(store, &text[0], "config", "endpoints"),
        store_key(store, &text[1], "due", endpoint),
        store_key(store, &text[2], "dead", endpoint),
        store_key_lane(store, &text[3], job->endpoint->lane),
        store_key(store, &text[4], "attempts", endpoint),
        store_key(store, &text[5], "dead", NULL),
        store_key(store, &text[6], "health", NULL),
        store_key(store, &text[7], "config", "deleted"),
        store_key(store, &text[8], "ord", endpoint),
    };
    struct slice args[] = {slice_str(endpoint)};
    if (store_call(store, store_script(store, "endpoint_delete"), keys, 9, args, 1, on_deleted,
                   job) != ST_OK)
        reactor_timer_set(job->again, AGAIN_MS);
}

/* ---- Pages ---------------------------------------------------------------------------------- */

static void page_answered(struct job *job, bool stopped)
{
    if (--job->waiting > 0)
        return;
    if (stopped)
        job_end(job);
    else if (job->progress > 0)
        read_page(job);
    else
        reactor_timer_set(job->again, AGAIN_MS); /* only what is in hand is left */
}

static void on_item_done(void *arg, enum status status, const struct redis_value *reply)
{
    struct item *item = arg;
    struct job *job = item->job;
    bool due = job->step == CLEAR_DUE;
    if (status == ST_OK && (due ? store_settled(reply, 0) >= 0 : reply_is(reply, 0, "ok"))) {
        struct core *core = job->clear->core;
        job->progress++;
        core->stats.deliveries_cancelled += item->record.end.status == ARCHIVE_CANCELLED;
        core->stats.deliveries_dead += item->record.end.status == ARCHIVE_DEAD;
        history_saw_closed(core->history, reply_integer(reply, due ? 1 : 5));
        archive_write(core->archive, &item->record);
    }
    free(item);
    page_answered(job, status == ST_STOPPED);
}

/* What the archive will say when it has been done. */
static void note_end(struct item *item, const struct delivery_state *state, struct slice event)
{
    bool deleted = item->job->endpoint->deleted;
    struct mp_reader reader;
    struct event_record record;
    mp_reader_init(&reader, event);
    event_record_read(&reader, &record);
    size_t len = mp_at_end(&reader) ? record.type.len : 0;
    if (len > sizeof(item->type))
        len = sizeof(item->type);
    memcpy(item->type, len > 0 ? record.type.ptr : "", len);
    item->record = (struct archive_record){
        .end = {.status = deleted ? ARCHIVE_CANCELLED : ARCHIVE_DEAD,
                .status_code = state->status_code,
                .error = deleted ? "" : "endpoint_disabled"},
        .event_id = slice_str(item->event_id),
        .type = slice_of(item->type, len),
        .endpoint_id = slice_str(item->job->endpoint->id_text),
        .attempts = state->attempts,
        .accepted_at_ms = state->accepted_at_ms,
    };
}

static enum status cancel_due(struct item *item, const struct delivery_state *state,
                              size_t record_bytes)
{
    struct core *core = item->job->clear->core;
    bool deleted = item->job->endpoint->deleted;
    uint8_t outcome[OUTCOME_BYTES];
    outcome_write(outcome, &(struct outcome){.status = OUTCOME_CANCELLED,
                                             .attempts = outcome_attempts(state->attempts),
                                             .at_ms = store_redis_ms(core->store)});
    struct delivery_state dead = *state;
    dead.dead = true;
    dead.group = SLICE("");
    dead.error = SLICE("endpoint_disabled");
    dead.order = SLICE("");
    struct buf bytes;
    buf_init(&bytes, 512 + LIMIT_EVENT_LOG_BYTES);
    delivery_state_write(&bytes, &dead);
    struct store_settle args = {
        .event = &item->event,
        .event_id = item->event_id,
        .endpoint = item->job->endpoint,
        .kind = deleted ? STORE_SETTLE_DONE : STORE_SETTLE_DEAD,
        .state = deleted ? state->log : buf_slice(&bytes),
        .attempt = SLICE(""),
        .ordinal = state->ordinal,
        .outcome = slice_of(outcome, sizeof(outcome)),
        .record_bytes = record_bytes,
        .order = state->order,
    };
    struct store_keeping keeping = {core->options.attempts_kept, core->options.history_ttl_ms};
    enum status status = store_settle(core->store, &args, 1, &keeping, on_item_done, item);
    buf_free(&bytes);
    return status;
}

static enum status discard_dead(struct item *item, const struct delivery_state *state)
{
    struct core *core = item->job->clear->core;
    uint8_t outcome[OUTCOME_BYTES];
    outcome_write(outcome, &(struct outcome){.status = OUTCOME_CANCELLED,
                                             .attempts = outcome_attempts(state->attempts),
                                             .at_ms = store_redis_ms(core->store)});
    struct store_step_event dead = {.event = &item->event,
                                    .event_id = item->event_id,
                                    .ordinal = state->ordinal,
                                    .outcome = slice_of(outcome, sizeof(outcome)),
                                    .log = state->log,
                                    .order = state->order};
    const struct endpoint *endpoint = item->job->endpoint;
    return store_dead_replay(core->store, endpoint->id_text, endpoint->lane, true, &dead, 1,
                             core->options.history_ttl_ms, NULL, on_item_done, item);
}

static void on_item_read(void *arg, enum status status, const struct redis_value *reply)
{
    struct item *item = arg;
    struct job *job = item->job;
    struct delivery_state state = {.ordinal = 0};
    struct slice bytes = reply_text(reply, 1);
    bool due = job->step == CLEAR_DUE;
    if (status == ST_OK && !wanted(job))
        status = ST_AGAIN; /* enabled meanwhile: the page's end sees that too */
    if (status == ST_OK && (!bytes.ptr || delivery_state_read(bytes, &state) != ST_OK))
        state = (struct delivery_state){.order = due ? STORE_ORDER_UNKNOWN : SLICE("")};
    if (status == ST_OK && due)
        note_end(item, &state, reply_text(reply, 0));
    if (status == ST_OK)
        status =
            due ? cancel_due(item, &state, reply_text(reply, 0).len) : discard_dead(item, &state);
    if (status != ST_OK) {
        free(item);
        page_answered(job, status == ST_STOPPED);
    }
}

static bool read_item(struct job *job, struct slice event_id)
{
    struct item *item = malloc(sizeof(*item));
    if (!item)
        return false;
    *item = (struct item){.job = job};
    if (id_parse(event_id, "msg_", &item->event) == ST_OK &&
        !(job->step == CLEAR_DUE &&
          schedule_in_hand(job->clear->core->schedule, &item->event, &job->endpoint->id))) {
        id_format(item->event_id, "msg_", &item->event);
        if (store_event_read(job->clear->core->store, item->event_id, job->endpoint->id_text,
                             on_item_read, item) == ST_OK)
            return true;
    }
    free(item);
    return false;
}

static void on_page(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    if (status == ST_STOPPED || !wanted(job)) {
        job_end(job);
        return;
    }
    if (status != ST_OK) {
        reactor_timer_set(job->again, AGAIN_MS);
        return;
    }
    size_t count = redis_value_count(reply) / 2;
    if (count == 0) {
        if (!job->endpoint->deleted) {
            job_end(job);
        } else if (job->step == CLEAR_DUE) {
            job->step = CLEAR_DEAD;
            read_page(job);
        } else {
            delete_document(job);
        }
        return;
    }
    job->progress = 0;
    job->waiting = 1; /* this function's own */
    for (size_t i = 0; i < count; i++)
        job->waiting += read_item(job, reply_text(reply, 2 * i));
    page_answered(job, false);
}

static void on_freed(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    int64_t left = status == ST_OK ? redis_value_integer(reply) : 1;
    if (status == ST_STOPPED || !wanted(job) || left < 0) {
        job_end(job);
        return;
    }
    if (left == 0)
        job->step = CLEAR_DUE;
    if (status == ST_OK)
        read_page(job);
    else
        reactor_timer_set(job->again, AGAIN_MS);
}

static void read_page(struct job *job)
{
    if (job->step == CLEAR_ORDERED) {
        if (store_order_free(job->clear->core->store, job->endpoint, FREE_PAGE, on_freed, job) !=
            ST_OK)
            reactor_timer_set(job->again, AGAIN_MS);
        return;
    }
    if (store_set_read(job->clear->core->store, job->step == CLEAR_DUE ? STORE_DUE : STORE_DEAD,
                       job->endpoint->id_text, 0, PAGE, on_page, job) != ST_OK)
        reactor_timer_set(job->again, AGAIN_MS);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

/* Of one that is deleted there may be several in memory: each reading of its mark makes one. */
static bool under_way(const struct clear *clear, const struct endpoint *endpoint)
{
    if (endpoint->clearing || !endpoint->deleted)
        return endpoint->clearing;
    LIST_FOREACH(node, &clear->jobs)
    if (id_eq(&CONTAINER_OF(node, struct job, node)->endpoint->id, &endpoint->id))
        return true;
    return false;
}

void clear_endpoint(struct clear *clear, struct endpoint *endpoint)
{
    if (under_way(clear, endpoint) || !lanes_mine(clear->core->lanes, endpoint->lane))
        return;
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return; /* taken up again at the next peek, or the next start */
    job->clear = clear;
    job->again = reactor_timer_new(clear->core->reactor, on_again, job);
    if (!job->again) {
        free(job);
        return;
    }
    job->endpoint = endpoint_get(endpoint);
    endpoint->clearing = true;
    list_push_back(&clear->jobs, &job->node);
    read_page(job);
}

bool clear_under_way(const struct clear *clear, const struct id *id)
{
    LIST_FOREACH(node, &clear->jobs)
    {
        if (id_eq(&CONTAINER_OF(node, struct job, node)->endpoint->id, id))
            return true;
    }
    return false;
}

struct clear *clear_new(struct core *core)
{
    struct clear *clear = calloc(1, sizeof(*clear));
    if (!clear)
        return NULL;
    clear->core = core;
    list_init(&clear->jobs);
    return clear;
}

void clear_free(struct clear *clear)
{
    if (!clear)
        return;
    LIST_FOREACH(node, &clear->jobs)
    job_end(CONTAINER_OF(node, struct job, node));
    free(clear);
}
