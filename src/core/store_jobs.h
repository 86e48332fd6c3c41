/* store_jobs.h - jobs in Redis: their records, their steps, and the pages they walk over. */
#ifndef TROTLINE_CORE_STORE_JOBS_H
#define TROTLINE_CORE_STORE_JOBS_H

#include "core/endpoint.h"
#include "core/job_spec.h"
#include "core/store.h"

/* One job as it is kept. */
struct job_record {
    char status[16]; /* "queued", "running", "done", "failed", "cancelled" */
    struct job_spec spec;
    struct job_cursor cursor;
    uint64_t step, done, skipped, total;
    bool counted;                                 /* total is known */
    uint64_t created_ms, updated_ms, finished_ms; /* unix; 0: not finished */
    char error[JOB_ERROR_TEXT];                   /* "" */
};

/* From fields and values of a reply, from element `first` on. ST_NOTFOUND: there are none;
 * ST_SYNTAX: not a job, or of a version that we do not know; ST_NOMEM. After ST_OK *record is to be
 * freed. */
MUST_CHECK enum status job_record_read(const struct redis_value *reply, size_t first,
                                       struct job_record *record);
void job_record_free(struct job_record *record);

/* ---- Records -------------------------------------------------------------------------------- */

/* All jobs' ids with scores ("inf": not finished), those first that expire first; or only the first
 * of these. */
MUST_CHECK enum status store_jobs_list(struct store *store, store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_jobs_first(struct store *store, store_reply_fn *fn, void *arg);
/* Fields and values of one. */
MUST_CHECK enum status store_job_read(struct store *store, const char *id, store_reply_fn *fn,
                                      void *arg);

/* Replies: of job_put.lua, job_take.lua, job_end.lua. put and cancel are sent once. */
MUST_CHECK enum status store_job_put(struct store *store, const char *id, const char *status,
                                     struct slice spec, uint64_t most, const char *drop,
                                     store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_job_take(struct store *store, const char *id, store_reply_fn *fn,
                                      void *arg);
MUST_CHECK enum status store_job_end(struct store *store, const char *id, const char *status,
                                     const char *error, uint64_t keep_ms, store_reply_fn *fn,
                                     void *arg);
MUST_CHECK enum status store_job_cancel(struct store *store, const char *id, uint64_t keep_ms,
                                        store_reply_fn *fn, void *arg);

/* ---- Steps ---------------------------------------------------------------------------------- */

/* Of which job, and what is recorded of it together with what is done. */
struct store_step {
    const char *job;
    uint64_t number;
    struct slice cursor;
    uint64_t skipped;
};

/* One event of a step. */
struct store_step_event {
    const struct id *event;
    const char *event_id;
    struct slice state;   /* replay */
    struct slice record;  /* of an event; empty: it is a dead letter */
    uint32_t ordinal;     /* discard: where its outcome belongs */
    struct slice outcome; /* discard */
    struct slice log;     /* discard: its attempts */
    struct slice order;   /* discard: hash of the ordering key whose queue it leaves; or empty */
};

/* Reply: job_step.lua's. `total`: NULL, as it was. */
MUST_CHECK enum status store_job_step(struct store *store, const struct store_step *step,
                                      const uint64_t *total, store_reply_fn *fn, void *arg);

/* Dead letters of one endpoint back into the schedule, or away. Reply: dead_replay.lua's. `step`
 * NULL: it belongs to no job. */
MUST_CHECK enum status store_dead_replay(struct store *store, const char *endpoint_id,
                                         uint32_t lane, bool discard,
                                         const struct store_step_event *events, size_t count,
                                         uint64_t history_ttl_ms, const struct store_step *step,
                                         store_reply_fn *fn, void *arg);

/* Events of the history to one endpoint. Reply: event_replay.lua's. */
MUST_CHECK enum status store_event_replay(struct store *store, const struct endpoint *endpoint,
                                          const struct store_step_event *events, size_t count,
                                          const struct store_step *step, store_reply_fn *fn,
                                          void *arg);

/* ---- Pages ---------------------------------------------------------------------------------- */

/* Members with scores behind a place. Reply: page.lua's. */
MUST_CHECK enum status store_dead_page(struct store *store, const char *endpoint_id,
                                       uint64_t since_ms, const struct job_cursor *behind,
                                       size_t most, store_reply_fn *fn, void *arg);
MUST_CHECK enum status store_closed_page(struct store *store, const struct job_cursor *behind,
                                         size_t most, store_reply_fn *fn, void *arg);

/* Is a batch of that time (unix ms, inclusive) open, at any replica? Reply: open_between.lua's. */
MUST_CHECK enum status store_open_between(struct store *store, uint64_t since_ms, uint64_t until_ms,
                                          store_reply_fn *fn, void *arg);

/* How many dead letters of an endpoint died between two times: an integer. */
MUST_CHECK enum status store_dead_count(struct store *store, const char *endpoint_id,
                                        uint64_t since_ms, uint64_t until_ms, store_reply_fn *fn,
                                        void *arg);
/* [state] of a waiting or dead delivery; nil when there is none. */
MUST_CHECK enum status store_state_read(struct store *store, const char *event_id,
                                        const char *endpoint_id, store_reply_fn *fn, void *arg);
/* The blob of a batch, or nil. */
MUST_CHECK enum status store_blob_read(struct store *store, const char *batch, store_reply_fn *fn,
                                       void *arg);

#endif
