/* matching.h - which endpoints get an event: those that take its type and whose filters take its
 * payload.
 *
 * A filter costs up to a pass over the payload and more (filter_match.c), and an event may have
 * thousands of them. Only so many are asked in one turn of the loop; an event that has more waits
 * in line, and later turns go on with it. Others, which need less, pass it by; but for those that
 * an endpoint gets in order (ordering.h): these stay behind whatever waits.
 */
#ifndef TROTLINE_CORE_MATCHING_H
#define TROTLINE_CORE_MATCHING_H

#include "core/publish_waiter.h"

struct matching;

/* An event that waited. ST_OK: `targets` are the ids of its endpoints, one behind the other
 * (batch.h); else (ST_NOMEM, ST_LIMIT) they could not be collected. All is valid during the call
 * only. */
typedef void matching_fn(void *arg, enum status status, const struct publish_item *item,
                         struct slice targets, struct publish_waiter *waiter);

/* `fn` is called by matching_go_on() and nowhere else. NULL: out of memory. */
struct matching *matching_new(struct core *core, matching_fn *fn, void *arg);
/* Nothing may wait. Accepts NULL. */
void matching_free(struct matching *matching);

/* Sets waiter->ordered. ST_OK: *targets is complete, and valid until the next call. ST_AGAIN: the
 * event and its waiter were copied and wait. ST_LIMIT: too much waits already
 * (LIMIT_MATCHING_BYTES); ST_NOMEM. */
MUST_CHECK enum status matching_begin(struct matching *matching, const struct publish_item *item,
                                      struct publish_waiter *waiter, struct slice *targets);

/* Once a turn: goes on with those that wait, in their order, for as long as a turn may take. An
 * endpoint that was deleted or disabled meanwhile gets nothing; one that was changed is asked as it
 * is now. */
void matching_go_on(struct matching *matching);

/* Takes an event off the line that was accepted at `since_ms` (clock_mono_ms()) or before and hands
 * its waiter to the caller. False: there is none. */
bool matching_give_up(struct matching *matching, uint64_t since_ms, struct publish_waiter *waiter);

size_t matching_waiting(const struct matching *matching);

#endif
