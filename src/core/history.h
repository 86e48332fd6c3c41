/* history.h - what is kept to look at later: listed attempts of first-try successes, and the
 * trimming of closed batches and single events to their bounds in time and bytes. */
#ifndef TROTLINE_CORE_HISTORY_H
#define TROTLINE_CORE_HISTORY_H

#include "core/core.h"
#include "core/outcome.h"

struct history;

struct history *history_new(struct core *core);
void history_free(struct history *history);

/* Lists an attempt that succeeded at the first try, whose id need not be set. Kept in memory and
 * written once a second; at most the newest `attempts_kept` of an endpoint, so a kill may lose that
 * second of listing, never an outcome. */
void history_note_success(struct history *history, struct endpoint *endpoint,
                          const struct attempt_record *record);

/* Bytes of all that is kept, as a script's reply says (negative: it says nothing): too many are
 * trimmed, oldest first. */
void history_saw_closed(struct history *history, int64_t bytes);

/* Redis has no memory for a new event: some of the oldest history goes, whatever its bounds. */
void history_make_room(struct history *history);

/* Writes what is pending: before a stop, and before attempts are read. False when there was
 * nothing. */
bool history_flush(struct history *history);

#endif
