/* job_request.h - from the body of a request to what a job is to do. Pure. */
#ifndef TROTLINE_API_JOB_REQUEST_H
#define TROTLINE_API_JOB_REQUEST_H

#include "base/field_error.h"
#include "core/job_spec.h"

enum job_request_form {
    JOB_REQUEST_REPLAY,  /* POST /api/dead-letters/replay: an empty body selects everything */
    JOB_REQUEST_DISCARD, /* DELETE /api/dead-letters: something must be selected, or "all" said */
    JOB_REQUEST_WEBHOOK  /* POST /api/webhooks/{id}/replay: dead letters, or events */
};

/* `default_rate` is of a replay that names none. *spec is to be freed after ST_OK only. ST_RANGE
 * with *error filled; ST_NOMEM. */
MUST_CHECK enum status job_request_read(struct slice body, enum job_request_form form,
                                        uint64_t default_rate, struct job_spec *spec,
                                        struct field_error *error);

#endif
