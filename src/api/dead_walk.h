/* dead_walk.h - goes through dead letters, endpoint by endpoint, oldest first, a page at a time.
 *
 * It holds no more than a page in memory.
 */
#ifndef TROTLINE_API_DEAD_WALK_H
#define TROTLINE_API_DEAD_WALK_H

#include "core/core.h"
#include "core/outcome.h"
#include "wire/event_record.h"

struct dead_letter {
    struct id event;
    const char *event_id;
    const char *endpoint_id;
    struct delivery_state state;
    struct event_record record;
    uint64_t dead_at_ms;
};

struct dead_walk_options {
    char only_endpoint[ID_TEXT_MAX];  /* "": all */
    char start_endpoint[ID_TEXT_MAX]; /* "": from the first. A cursor's endpoint and position */
    uint64_t start_position;
    uint64_t since_ms, until_ms; /* by deadAt; until_ms UINT64_MAX: no bound */
};

/* False: the walk ends before this one. */
typedef bool dead_visit_fn(void *arg, const struct dead_letter *letter);

/* The end: ST_OK; or why it could not go on. next_endpoint "" when nothing is left, else where a
 * walk that goes on starts. */
typedef void dead_walk_done_fn(void *arg, enum status status, const char *next_endpoint,
                               uint64_t next_position);

/* Calls visit for each letter and done at the end, later, never before it returns. ST_NOMEM:
 * nothing will be called. */
MUST_CHECK enum status dead_walk_start(struct core *core, const struct dead_walk_options *options,
                                       dead_visit_fn *visit, dead_walk_done_fn *done, void *arg);

#endif
