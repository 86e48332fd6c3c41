/* job.h - one job under way: between those who start it (jobs.c), its runner (job_run.c) and the
 * walks over what it selects (job_dead.c, job_history.c). For these four files. */
#ifndef TROTLINE_CORE_JOB_H
#define TROTLINE_CORE_JOB_H

#include "core/batch.h"
#include "core/core.h"
#include "core/store_jobs.h"

struct jobs;

enum { JOB_PAGE = 100 };

/* A delivery that the page may have to do something to. */
struct job_item {
    struct job *job;
    char endpoint[ID_TEXT_MAX];
    struct id event;
    char event_id[ID_TEXT_MAX];
    bool wanted;         /* else it is passed over */
    uint32_t ordinal;    /* of its delivery in its batch */
    uint32_t attempts;   /* made so far */
    struct buf state;    /* packed, as it will stand in the schedule */
    struct slice record; /* of an event; empty: it is a dead letter. In `batch` or `message` */
};

struct job {
    struct list node; /* in the list of those that run */
    struct jobs *jobs;
    struct core *core;
    char id[ID_TEXT_MAX];
    bool taken;               /* the record is ours, and read */
    struct job_record record; /* as Redis has it */
    struct reactor_timer *timer;
    uint64_t next_us; /* monotonic: the rate allows nothing earlier */
    bool none_open;   /* of its time: what has been closed is in the history by now */

    /* The page that is being read or written. */
    size_t most; /* items it may have */
    struct job_item items[JOB_PAGE];
    size_t count;
    size_t written;         /* of them */
    size_t waiting;         /* answers still to come */
    enum status failure;    /* of one of them */
    struct job_cursor next; /* the place behind it */
    uint64_t skipped;       /* looked at and left */
    bool end;               /* nothing is behind it */
    bool wait;              /* nothing is there yet: look again later */
    struct batch *batch;    /* which the items' records are in */
    struct message *message;
};

/* ---- The runner ----------------------------------------------------------------------------- */

/* Starts in the next turn, by taking the job from whoever had it. NULL: out of memory. */
struct job *job_new(struct jobs *jobs, struct core *core, const char *id);
/* Only when nothing of it is on its way to Redis. */
void job_free(struct job *job);

/* In jobs.c: the job is finished, or another's; frees it. */
void jobs_dropped(struct jobs *jobs, struct job *job);
/* And: its owner lives; perhaps not for long. */
void jobs_look_later(struct jobs *jobs);

/* ---- The walks: read the page behind `next`, with `most` items, and call job_page_read()
 * --------- */

void job_dead_read(struct job *job);
void job_history_read(struct job *job);

/* Counts what the walk will come by, where that is cheap, and calls job_counted(). */
void job_dead_count(struct job *job);

/* ---- What walks call ------------------------------------------------------------------------ */

/* The page is there, with those of its items that are `wanted`; the others count as skipped.
 * Another status than ST_OK: it could not be read, and will be read again. */
void job_page_read(struct job *job, enum status status);
/* The job cannot go on; `error` is shown. */
void job_fail(struct job *job, const char *error);
void job_counted(struct job *job, enum status status, bool known, uint64_t total);

/* A new item, or NULL when the event's id is not one. */
struct job_item *job_item_add(struct job *job, struct slice event_id);
/* Packs the state in which the delivery goes back into the schedule. */
void job_item_state(struct job_item *item, const struct delivery_state *state);

/* The endpoint with this id, if the job may do something to its deliveries; else NULL. */
struct endpoint *job_endpoint(const struct job *job, const char *id_text);

/* The last moment that is the job's business, of what is ordered by Redis's clock. */
uint64_t job_until_ms(const struct job *job);

#endif
