/* dead_walk.h - goes through dead letters, endpoint by endpoint, oldest first, a page at a time.
 *
 * The walker that listing, replaying and discarding share. It holds no more than a page in memory.
 * A letter that the visitor takes away must be told apart from one it leaves, because positions in
 * the set move up behind those taken.
 */
#ifndef TROTLINE_API_DEAD_WALK_H
#define TROTLINE_API_DEAD_WALK_H

#include "core/core.h"
#include "core/outcome.h"
#include "wire/event_record.h"

struct dead_walk;

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

enum dead_visit {
    DEAD_LEFT,  /* stays where it is */
    DEAD_TAKEN, /* will be gone: the visitor calls dead_walk_taken() when it is */
    DEAD_ENOUGH /* stays, and the walk ends before it */
};
typedef enum dead_visit dead_visit_fn(void *arg, const struct dead_letter *letter);

/* The end: ST_OK; or why it could not go on. next_endpoint "" when nothing is left, else where a
 * walk that goes on starts. */
typedef void dead_walk_done_fn(void *arg, enum status status, const char *next_endpoint,
                               uint64_t next_position);

/* Calls visit for each letter and done at the end, later, never before it returns. ST_NOMEM:
 * nothing will be called. */
MUST_CHECK enum status dead_walk_start(struct core *core, const struct dead_walk_options *options,
                                       dead_visit_fn *visit, dead_walk_done_fn *done, void *arg,
                                       struct dead_walk **walk);

/* One letter that was DEAD_TAKEN has been dealt with. */
void dead_walk_taken(struct dead_walk *walk, enum status status);

#endif
