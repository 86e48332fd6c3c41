/* job_spec.h - what a job is to do, and how far it is. Pure.
 *
 *   spec    the selection and the rate: fixed when the job is made; msgpack in its hash
 *   cursor  the place behind the last step: text in its hash
 */
#ifndef TROTLINE_CORE_JOB_SPEC_H
#define TROTLINE_CORE_JOB_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "core/outcome.h"

enum { JOB_ERROR_TEXT = 32, JOB_MEMBER_TEXT = 64, JOB_CURSOR_TEXT = 256 };

/* ---- What to do ----------------------------------------------------------------------------- */

enum job_kind { JOB_REPLAY, JOB_DISCARD };
enum job_what { JOB_DEAD_LETTERS, JOB_EVENTS };

struct job_spec {
    enum job_kind kind;
    enum job_what what;              /* events are only replayed, and to one endpoint */
    char endpoint[ID_TEXT_MAX];      /* "": all */
    uint64_t since_ms;               /* unix, inclusive: of deadAt, or of an event's acceptance */
    uint64_t until_ms;               /* JOB_NO_END: none was given */
    char type[LIMIT_TYPE_BYTES + 1]; /* "": any */
    char error[JOB_ERROR_TEXT];      /* class of the last error; "": any */
    uint64_t rate;                   /* deliveries a second; 0: no limit */
    char **events;                   /* events' ids, or the callers' own uids; NULL: any */
    size_t event_count;
};

#define JOB_NO_END (UINT64_MAX / 4) /* as a score it stays a whole number */

const char *job_kind_name(enum job_kind kind);
const char *job_what_name(enum job_what what);

/* Everything, without a limit. Allocates nothing. */
void job_spec_init(struct job_spec *spec, enum job_kind kind);
/* Frees what it holds. */
void job_spec_free(struct job_spec *spec);

/* Makes room for `count` events (all NULL), and sets one. ST_NOMEM. */
MUST_CHECK enum status job_spec_events(struct job_spec *spec, size_t count);
MUST_CHECK enum status job_spec_event(struct job_spec *spec, size_t index, struct slice text);

void job_spec_write(struct buf *buf, const struct job_spec *spec);
/* *spec is to be freed after ST_OK only. ST_SYNTAX, ST_RANGE: not a spec, or of a version that we
 * do not know; ST_NOMEM. */
MUST_CHECK enum status job_spec_read(struct slice bytes, struct job_spec *spec);

/* The selection as the API shows it: an object with the members that narrow. */
void job_spec_render(const struct job_spec *spec, struct json_out *out);

/* Does a dead letter's type, or its last error, pass? */
bool job_spec_takes_type(const struct job_spec *spec, struct slice type);
bool job_spec_takes_error(const struct job_spec *spec, struct slice error);

/* Is this a class of errors that a dead letter can have: those of retryOn, "http_status" and
 * "endpoint_disabled"? */
bool job_error_valid(struct slice error);

/* ---- How far it is -------------------------------------------------------------------------- */

/* Dead letters by endpoint: `endpoint`, and in its set behind `member` with `score`.
 * Dead letters by event: `index` in the list of events, behind `endpoint`.
 * Events: in the set of the history behind `member` with `score`, or, when `index` is not 0, in it
 * at that place; at last, when `endpoint` is there, in the set of its dead letters. */
struct job_cursor {
    char endpoint[ID_TEXT_MAX];
    char score[24]; /* as Redis wrote it */
    char member[JOB_MEMBER_TEXT];
    uint32_t index;
};

/* Returns the text, in `out`. */
struct slice job_cursor_write(const struct job_cursor *cursor, char out[JOB_CURSOR_TEXT]);
/* "" is the start. ST_SYNTAX: not a cursor. */
MUST_CHECK enum status job_cursor_read(struct slice text, struct job_cursor *cursor);
/* Sets the place in a set. False when it does not fit: then it is not ours. */
bool job_cursor_set(struct job_cursor *cursor, struct slice score, struct slice member);

#endif
