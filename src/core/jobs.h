/* jobs.h - replays and discards that go on by themselves: as slowly as they are told, over
 * restarts, and until somebody cancels them.
 *
 * A job is a record in Redis; whoever runs it holds one page of it. At most 4 run at a time, in the
 * order of their ids; others wait. What came after a job was made is not its business, so that a
 * delivery that fails again is not replayed again by the same job.
 */
#ifndef TROTLINE_CORE_JOBS_H
#define TROTLINE_CORE_JOBS_H

#include "core/core.h"
#include "core/store_jobs.h"

struct jobs;

struct jobs *jobs_new(struct core *core);
void jobs_free(struct jobs *jobs);

/* Redis is (again) reachable, or a replica has gone: jobs that nobody runs are taken up. */
void jobs_look(struct jobs *jobs);

/* Jobs that are under way in this process. */
size_t jobs_running(const struct jobs *jobs);

/* Each calls back once, later. ST_OK with the job, valid during the call; ST_NOTFOUND; ST_LIMIT (as
 * many jobs as are kept are unfinished); ST_LOST, ST_AGAIN, ST_REFUSED, ST_STOPPED: Redis did not
 * answer. ST_NOMEM: nothing will be called. */
typedef void jobs_fn(void *arg, enum status status, const char *id,
                     const struct job_record *record);

/* Makes a job; `spec` is read during the call only. */
MUST_CHECK enum status jobs_create(struct jobs *jobs, const struct job_spec *spec, jobs_fn *fn,
                                   void *arg);
MUST_CHECK enum status jobs_read(struct jobs *jobs, const char *id, jobs_fn *fn, void *arg);
/* What it has done stays done; one that is finished stays as it is. */
MUST_CHECK enum status jobs_cancel(struct jobs *jobs, const char *id, jobs_fn *fn, void *arg);

#endif
