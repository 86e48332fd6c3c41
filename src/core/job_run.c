/* job_run.c - one job under way.
 *
 *   take ──▶ count ──▶ read a page ──▶ write it ──▶ rest, as the rate demands
 *                          ▲              │ │                │
 *                          └──────────────│─┴────────────────┘
 *                                         └──▶ done, failed; or dropped: cancelled, another's
 *
 * A page is read by one of the walks, and then written in steps: a step is one script, which does
 * something to the deliveries of one endpoint and records in the job how far it is. So whatever
 * dies, the record is what was done, and a step whose answer was lost can be repeated: it has a
 * number, and does nothing when that number is recorded. A job that was cancelled, or taken over by
 * another process, is noticed by the same script, which then does nothing.
 *
 * Redis away: reads fail and are tried again after a while; writes wait in the store.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/history.h"
#include "core/job.h"
#include "core/schedule.h"

enum {
    AGAIN_MS = 500, /* what failed */
    WAIT_MS = 200   /* for what is not there yet */
};

static void job_go(struct job *job);
static void write_next(struct job *job);

/* ---- One job in memory ---------------------------------------------------------------------- */

static void on_timer(void *arg)
{
    job_go(arg);
}

struct job *job_new(struct jobs *jobs, struct core *core, const char *id)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->jobs = jobs;
    job->core = core;
    list_init(&job->node);
    snprintf(job->id, sizeof(job->id), "%s", id);
    job->timer = reactor_timer_new(core->reactor, on_timer, job);
    if (!job->timer) {
        free(job);
        return NULL;
    }
    for (size_t i = 0; i < JOB_PAGE; i++)
        buf_init(&job->items[i].state, 512 + LIMIT_EVENT_LOG_BYTES);
    reactor_timer_set(job->timer, 0);
    return job;
}

static void page_clear(struct job *job)
{
    batch_free(job->batch);
    message_put(job->message);
    job->batch = NULL;
    job->message = NULL;
    job->count = job->written = 0;
    job->skipped = 0;
    job->failure = ST_OK;
    job->end = job->wait = false;
    job->next = job->record.cursor;
}

void job_free(struct job *job)
{
    page_clear(job);
    for (size_t i = 0; i < JOB_PAGE; i++)
        buf_free(&job->items[i].state);
    reactor_timer_free(job->timer);
    list_remove(&job->node);
    if (job->taken)
        job_record_free(&job->record);
    free(job);
}

static void again(struct job *job, enum status status)
{
    if (status != ST_STOPPED)
        reactor_timer_set(job->timer, AGAIN_MS);
}

/* ---- The end -------------------------------------------------------------------------------- */

static void on_ended(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    (void)reply;
    if (status != ST_STOPPED)
        jobs_dropped(job->jobs, job);
}

static void end(struct job *job, const char *status, const char *error)
{
    log_info("job.finished", "job=%s status=%s done=%llu skipped=%llu%s%s", job->id, status,
             (unsigned long long)job->record.done, (unsigned long long)job->record.skipped,
             error[0] ? " error=" : "", error);
    if (store_job_end(job->core->store, job->id, status, error, job->core->options.history_ttl_ms,
                      on_ended, job) != ST_OK)
        again(job, ST_NOMEM); /* it reads its last page once more */
}

void job_fail(struct job *job, const char *error)
{
    end(job, "failed", error);
}

/* ---- Writing a page ------------------------------------------------------------------------- */

/* How long the rate lets the job rest after what it has done. */
static uint64_t rest_ms(struct job *job, uint64_t taken)
{
    uint64_t now_us = clock_mono_us();
    if (job->record.spec.rate == 0)
        return 0;
    if (job->next_us < now_us)
        job->next_us = now_us;
    job->next_us += taken * 1000000 / job->record.spec.rate;
    return (job->next_us - now_us) / 1000;
}

static void page_written(struct job *job)
{
    uint64_t ms = rest_ms(job, job->written);
    bool wait = job->wait, at_end = job->end;
    job->record.cursor = job->next;
    page_clear(job);
    if (at_end)
        end(job, "done", "");
    else
        reactor_timer_set(job->timer, wait && ms < WAIT_MS ? WAIT_MS : ms);
}

/* The answer to a step. */
static void on_step(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    if (status != ST_OK)
        return; /* we stop */
    if (!reply_is(reply, 0, "ok")) {
        jobs_dropped(job->jobs, job);
        return;
    }
    int64_t now_ms = reply_integer(reply, 1), taken = reply_integer(reply, 2);
    store_saw_time(job->core->store, now_ms);
    job->record.step++;
    job->record.done = (uint64_t)reply_integer(reply, 3);
    job->record.skipped = (uint64_t)reply_integer(reply, 4);
    if (job->written > 0) {
        struct endpoint *endpoint = job_endpoint(job, job->items[job->written - 1].endpoint);
        if (job->record.spec.kind == JOB_REPLAY)
            job->core->stats.jobs_deliveries += (uint64_t)taken;
        if (endpoint)
            schedule_note(job->core->schedule, endpoint->lane, now_ms + 1);
    }
    if (job->written < job->count)
        write_next(job);
    else
        page_written(job);
}

static void on_dead_step(void *arg, enum status status, const struct redis_value *reply)
{
    const struct job *job = arg;
    if (status == ST_OK)
        history_saw_closed(job->core->history, reply_integer(reply, 5));
    on_step(arg, status, reply);
}

/* Of a delivery that ends: its state as job_item_state() packed it. */
static struct delivery_state state_of(const struct job_item *item)
{
    struct delivery_state state;
    if (delivery_state_read(buf_slice(&item->state), &state) != ST_OK)
        state = (struct delivery_state){.log = SLICE("")};
    return state;
}

static enum status write_items(struct job *job, struct endpoint *endpoint, size_t first,
                               size_t count, const struct store_step *step)
{
    struct core *core = job->core;
    bool discard = job->record.spec.kind == JOB_DISCARD;
    struct store_step_event events[JOB_PAGE];
    uint8_t outcomes[JOB_PAGE][OUTCOME_BYTES];
    for (size_t i = 0; i < count; i++) {
        const struct job_item *item = &job->items[first + i];
        outcome_write(outcomes[i], &(struct outcome){.status = OUTCOME_CANCELLED,
                                                     .attempts = outcome_attempts(item->attempts),
                                                     .at_ms = store_redis_ms(core->store)});
        struct delivery_state state = state_of(item);
        events[i] = (struct store_step_event){.event = &item->event,
                                              .event_id = item->event_id,
                                              .state = buf_slice(&item->state),
                                              .record = item->record,
                                              .ordinal = item->ordinal,
                                              .outcome = slice_of(outcomes[i], OUTCOME_BYTES),
                                              .log = discard ? state.log : SLICE(""),
                                              .order = discard ? state.order : SLICE("")};
    }
    if (job->record.spec.what == JOB_EVENTS)
        return store_event_replay(core->store, endpoint, events, count, step, on_step, job);
    return store_dead_replay(core->store, endpoint->id_text, endpoint->lane, discard, events, count,
                             core->options.history_ttl_ms, step, on_dead_step, job);
}

/* One step: the next items that are of one endpoint, or that there are none. */
static void write_next(struct job *job)
{
    size_t first = job->written, count = 0;
    const char *name = first < job->count ? job->items[first].endpoint : "";
    while (first + count < job->count && strcmp(job->items[first + count].endpoint, name) == 0)
        count++;
    job->written += count;
    bool last = job->written == job->count;
    struct job_cursor cursor = last ? job->next : job->record.cursor;
    if (!last)
        snprintf(cursor.endpoint, sizeof(cursor.endpoint), "%s", name);

    struct endpoint *endpoint = count > 0 ? job_endpoint(job, name) : NULL;
    char text[JOB_CURSOR_TEXT];
    struct store_step step = {.job = job->id,
                              .number = job->record.step + 1,
                              .cursor = job_cursor_write(&cursor, text),
                              .skipped = last ? job->skipped : 0};
    if (!endpoint)
        step.skipped += count; /* it has been deleted, or disabled, since the page was read */
    enum status status = endpoint ? write_items(job, endpoint, first, count, &step)
                                  : store_job_step(job->core->store, &step, NULL, on_step, job);
    if (status != ST_OK)
        again(job, status);
}

/* Those that are wanted, in their order. */
static void keep_wanted(struct job *job)
{
    size_t kept = 0;
    for (size_t i = 0; i < job->count; i++) {
        if (!job->items[i].wanted)
            continue;
        struct job_item item = job->items[i];
        job->items[i] = job->items[kept];
        job->items[kept++] = item;
    }
    job->skipped += job->count - kept;
    job->count = kept;
}

void job_page_read(struct job *job, enum status status)
{
    if (status != ST_OK) {
        again(job, status);
        return;
    }
    if (job->core->stopping)
        return; /* the record says where to go on */
    keep_wanted(job);
    for (size_t i = 0; i < job->count; i++)
        if (buf_status(&job->items[i].state) != ST_OK) {
            again(job, ST_NOMEM);
            return;
        }
    if (job->count == 0 && job->skipped == 0 && job->end)
        end(job, "done", "");
    else
        write_next(job);
}

struct job_item *job_item_add(struct job *job, struct slice event_id)
{
    struct job_item *item = &job->items[job->count];
    if (id_parse(event_id, "msg_", &item->event) != ST_OK)
        return NULL;
    id_format(item->event_id, "msg_", &item->event);
    item->job = job;
    item->wanted = false;
    item->ordinal = ORDINAL_NONE;
    item->attempts = 0;
    item->record = SLICE("");
    buf_clear(&item->state);
    job->count++;
    return item;
}

void job_item_state(struct job_item *item, const struct delivery_state *state)
{
    struct delivery_state fresh = *state;
    fresh.dead = false;
    fresh.replayed_at = state->attempts;
    fresh.group = SLICE("");
    item->ordinal = state->ordinal;
    item->attempts = state->attempts;
    buf_clear(&item->state);
    delivery_state_write(&item->state, &fresh);
}

struct endpoint *job_endpoint(const struct job *job, const char *id_text)
{
    struct id id;
    struct endpoint *endpoint = NULL;
    if (id_parse(slice_str(id_text), "ep_", &id) == ST_OK)
        endpoint = registry_find(job->core->registry, &id);
    /* A disabled endpoint would send a replayed delivery straight back. */
    bool able = endpoint && (job->record.spec.kind == JOB_DISCARD || endpoint->config->active);
    return able ? endpoint : NULL;
}

uint64_t job_until_ms(const struct job *job)
{
    uint64_t until_ms = job->record.spec.until_ms;
    return until_ms < job->record.created_ms ? until_ms : job->record.created_ms;
}

/* ---- Its start, and each page --------------------------------------------------------------- */

void job_counted(struct job *job, enum status status, bool known, uint64_t total)
{
    if (status != ST_OK) {
        again(job, status);
        return;
    }
    char text[JOB_CURSOR_TEXT];
    struct store_step step = {.job = job->id,
                              .number = job->record.step + 1,
                              .cursor = job_cursor_write(&job->record.cursor, text)};
    job->record.counted = known;
    job->record.total = total;
    if (store_job_step(job->core->store, &step, known ? &total : NULL, on_step, job) != ST_OK)
        again(job, ST_NOMEM);
}

static void on_taken(void *arg, enum status status, const struct redis_value *reply)
{
    struct job *job = arg;
    if (status != ST_OK) {
        again(job, status);
        return;
    }
    store_saw_time(job->core->store, reply_integer(reply, 1));
    if (!reply_is(reply, 0, "ok")) {
        if (reply_is(reply, 0, "alive"))
            jobs_look_later(job->jobs);
        jobs_dropped(job->jobs, job);
        return;
    }
    enum status read = job_record_read(reply, 2, &job->record);
    job->taken = read == ST_OK;
    if (read == ST_NOMEM) {
        again(job, read);
    } else if (read != ST_OK) {
        job_fail(job, "unreadable");
    } else {
        log_info("job.started", "job=%s kind=%s step=%llu", job->id,
                 job_kind_name(job->record.spec.kind), (unsigned long long)job->record.step);
        job_go(job);
    }
}

/* Pages of a slow job are small, so that its deliveries come evenly. */
static size_t page_size(const struct job *job)
{
    uint64_t rate = job->record.spec.rate, tenth = rate / 10;
    if (rate == 0 || tenth >= JOB_PAGE)
        return JOB_PAGE;
    return tenth > 0 ? (size_t)tenth : 1;
}

static void job_go(struct job *job)
{
    struct core *core = job->core;
    if (core->stopping)
        return;
    if (!store_ready(core->store)) {
        reactor_timer_set(job->timer, AGAIN_MS);
    } else if (!job->taken) {
        if (store_job_take(core->store, job->id, on_taken, job) != ST_OK)
            again(job, ST_NOMEM);
    } else {
        page_clear(job);
        job->most = page_size(job);
        if (job->record.step == 0 && job->record.spec.what == JOB_DEAD_LETTERS)
            job_dead_count(job);
        else if (job->record.spec.what == JOB_DEAD_LETTERS)
            job_dead_read(job);
        else
            job_history_read(job);
    }
}
