/* jobs.c - all jobs: made, queued, started, looked at and cancelled.
 *
 *   create ──▶ queued ──▶ running (job_run.c) ──▶ finished: kept as long as the history
 *                ▲
 *   another process's, which died
 *
 * The queue holds ids only. Which jobs there are is looked up when Redis becomes reachable, and
 * when there are fewer replicas than before: so a job whose making was not answered, or whose
 * process died, is found again; and once more after a while as long as the owner of one seems to
 * live.
 */
#include "core/jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "core/job.h"

enum {
    RUNNING_MOST = 4,
    KEPT_MOST = 1000,
    AGAIN_MS = 500, /* what failed */
    LOOK_MS = 2000, /* at jobs whose owner lives */
    SPEC_BYTES_MAX = 1024 * 1024
};

struct jobs {
    struct core *core;
    struct list running; /* struct job */
    size_t running_count;
    struct list queue; /* struct queued */
    bool looking;
    struct reactor_timer *look;
};

struct queued {
    struct list node;
    char id[ID_TEXT_MAX];
};

/* ---- Queue and start ------------------------------------------------------------------------ */

static void start_queued(struct jobs *jobs)
{
    while (jobs->running_count < RUNNING_MOST && !list_empty(&jobs->queue) &&
           !jobs->core->stopping) {
        struct queued *queued = CONTAINER_OF(jobs->queue.next, struct queued, node);
        struct job *job = job_new(jobs, jobs->core, queued->id);
        if (!job) {
            reactor_timer_set(jobs->look, AGAIN_MS);
            return;
        }
        list_push_back(&jobs->running, &job->node);
        jobs->running_count++;
        list_remove(&queued->node);
        free(queued);
    }
}

void jobs_dropped(struct jobs *jobs, struct job *job)
{
    jobs->running_count--;
    job_free(job);
    start_queued(jobs);
}

void jobs_look_later(struct jobs *jobs)
{
    reactor_timer_set(jobs->look, LOOK_MS);
}

static bool known(const struct jobs *jobs, const char *id)
{
    LIST_FOREACH(node, &jobs->running)
    if (strcmp(CONTAINER_OF(node, struct job, node)->id, id) == 0)
        return true;
    LIST_FOREACH(node, &jobs->queue)
    if (strcmp(CONTAINER_OF(node, struct queued, node)->id, id) == 0)
        return true;
    return false;
}

/* Puts it into the queue, which is in the order of ids: of time. False: out of memory. */
static bool enqueue(struct jobs *jobs, struct slice id_text)
{
    struct id id;
    struct queued *queued = malloc(sizeof(*queued));
    if (!queued)
        return false;
    if (id_parse(id_text, "job_", &id) != ST_OK) {
        free(queued);
        return true;
    }
    id_format(queued->id, "job_", &id);
    if (known(jobs, queued->id)) {
        free(queued);
        return true;
    }
    struct list *place = &jobs->queue;
    while (place->prev != &jobs->queue &&
           strcmp(CONTAINER_OF(place->prev, struct queued, node)->id, queued->id) > 0)
        place = place->prev;
    list_insert_before(place, &queued->node);
    return true;
}

static void on_jobs(void *arg, enum status status, const struct redis_value *reply)
{
    struct jobs *jobs = arg;
    bool all = status == ST_OK;
    jobs->looking = false;
    if (status == ST_STOPPED)
        return;
    for (size_t i = 0; status == ST_OK && i + 1 < redis_value_count(reply); i += 2)
        if (reply_is(reply, i + 1, "inf") && !enqueue(jobs, reply_text(reply, i)))
            all = false;
    if (!all)
        reactor_timer_set(jobs->look, AGAIN_MS);
    start_queued(jobs);
}

static void on_look(void *arg)
{
    struct jobs *jobs = arg;
    if (jobs->looking || jobs->core->stopping || !store_ready(jobs->core->store))
        return; /* readiness looks again */
    jobs->looking = store_jobs_list(jobs->core->store, on_jobs, jobs) == ST_OK;
    if (!jobs->looking)
        reactor_timer_set(jobs->look, AGAIN_MS);
}

void jobs_look(struct jobs *jobs)
{
    on_look(jobs);
}

size_t jobs_running(const struct jobs *jobs)
{
    return jobs->running_count;
}

/* ---- Making one ----------------------------------------------------------------------------- */

struct creation {
    struct jobs *jobs;
    char id[ID_TEXT_MAX];
    struct job_record record;
    struct buf spec;
    jobs_fn *fn;
    void *arg;
};

static void creation_end(struct creation *creation, enum status status)
{
    creation->fn(creation->arg, status, creation->id, &creation->record);
    if (status == ST_OK)
        job_record_free(&creation->record);
    buf_free(&creation->spec);
    free(creation);
}

static void on_put(void *arg, enum status status, const struct redis_value *reply)
{
    struct creation *creation = arg;
    struct jobs *jobs = creation->jobs;
    if (status == ST_OK && !reply_is(reply, 0, "ok"))
        status = ST_LIMIT;
    if (status == ST_OK)
        status = job_spec_read(buf_slice(&creation->spec), &creation->record.spec);
    if (status == ST_OK) {
        creation->record.created_ms = creation->record.updated_ms =
            (uint64_t)reply_integer(reply, 1);
        if (!enqueue(jobs, slice_str(creation->id)))
            reactor_timer_set(jobs->look, AGAIN_MS);
    }
    creation_end(creation, status);
    start_queued(jobs);
}

static void on_first(void *arg, enum status status, const struct redis_value *reply)
{
    struct creation *creation = arg;
    struct jobs *jobs = creation->jobs;
    char drop[ID_TEXT_MAX] = "";
    struct id id;
    bool finished = status == ST_OK && redis_value_count(reply) > 1 && !reply_is(reply, 1, "inf");
    if (finished && id_parse(reply_text(reply, 0), "job_", &id) == ST_OK)
        id_format(drop, "job_", &id);
    bool at_once = jobs->running_count < RUNNING_MOST && list_empty(&jobs->queue);
    snprintf(creation->record.status, sizeof(creation->record.status), "%s",
             at_once ? "running" : "queued");
    if (status == ST_OK)
        status = store_job_put(jobs->core->store, creation->id, creation->record.status,
                               buf_slice(&creation->spec), KEPT_MOST, drop, on_put, creation);
    if (status != ST_OK) /* nothing was written */
        creation_end(creation, status == ST_LOST ? ST_AGAIN : status);
}

enum status jobs_create(struct jobs *jobs, const struct job_spec *spec, jobs_fn *fn, void *arg)
{
    struct id id;
    struct creation *creation = calloc(1, sizeof(*creation));
    if (!creation)
        return ST_NOMEM;
    *creation = (struct creation){.jobs = jobs, .fn = fn, .arg = arg};
    id_new(&id, clock_wall_ms());
    id_format(creation->id, "job_", &id);
    buf_init(&creation->spec, SPEC_BYTES_MAX);
    job_spec_write(&creation->spec, spec);
    enum status status = buf_status(&creation->spec);
    if (status == ST_OK)
        status = store_jobs_first(jobs->core->store, on_first, creation);
    if (status != ST_OK) {
        buf_free(&creation->spec);
        free(creation);
    }
    return status;
}

/* ---- Reading and cancelling one ------------------------------------------------------------- */

struct reading {
    char id[ID_TEXT_MAX];
    size_t first; /* of the fields in the reply */
    jobs_fn *fn;
    void *arg;
};

static void on_record(void *arg, enum status status, const struct redis_value *reply)
{
    struct reading *reading = arg;
    struct job_record record = {.counted = false};
    if (status == ST_OK)
        status = job_record_read(reply, reading->first, &record);
    reading->fn(reading->arg, status, reading->id, &record);
    if (status == ST_OK)
        job_record_free(&record);
    free(reading);
}

static struct reading *reading_new(const char *id, size_t first, jobs_fn *fn, void *arg)
{
    struct reading *reading = malloc(sizeof(*reading));
    if (!reading)
        return NULL;
    *reading = (struct reading){.first = first, .fn = fn, .arg = arg};
    snprintf(reading->id, sizeof(reading->id), "%s", id);
    return reading;
}

enum status jobs_read(struct jobs *jobs, const char *id, jobs_fn *fn, void *arg)
{
    struct reading *reading = reading_new(id, 0, fn, arg);
    if (!reading)
        return ST_NOMEM;
    enum status status = store_job_read(jobs->core->store, id, on_record, reading);
    if (status != ST_OK)
        free(reading);
    return status;
}

enum status jobs_cancel(struct jobs *jobs, const char *id, jobs_fn *fn, void *arg)
{
    struct reading *reading = reading_new(id, 2, fn, arg);
    if (!reading)
        return ST_NOMEM;
    enum status status = store_job_cancel(jobs->core->store, id, jobs->core->options.history_ttl_ms,
                                          on_record, reading);
    if (status != ST_OK)
        free(reading);
    return status;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct jobs *jobs_new(struct core *core)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return NULL;
    jobs->core = core;
    list_init(&jobs->running);
    list_init(&jobs->queue);
    jobs->look = reactor_timer_new(core->reactor, on_look, jobs);
    if (!jobs->look) {
        free(jobs);
        return NULL;
    }
    return jobs;
}

void jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    LIST_FOREACH(node, &jobs->running)
    job_free(CONTAINER_OF(node, struct job, node));
    for (struct list *node; (node = list_pop_front(&jobs->queue));)
        free(CONTAINER_OF(node, struct queued, node));
    reactor_timer_free(jobs->look);
    free(jobs);
}
