/* attempt_log.h - the last attempts of one delivery, as they are kept with its event. Pure.
 *
 * A log is bytes: msgpack records one behind the other, the oldest first, at most
 * LIMIT_EVENT_ATTEMPTS. It is a member of the delivery's state while it waits and stands behind its
 * outcome when it is finished, so it needs no key and no call of its own, and ends with the event.
 * What the place tells is not repeated: the event, the endpoint, and the attempt's id, which
 * follows from these, the number and the time.
 */
#ifndef TROTLINE_CORE_ATTEMPT_LOG_H
#define TROTLINE_CORE_ATTEMPT_LOG_H

#include "core/outcome.h"
#include "wire/codec.h"

/* The id of an attempt that began at `at_ms` (unix). The same for all who know these four, so that
 * an attempt has one id wherever it is listed. */
void attempt_id(struct id *id, const struct id *event, const struct id *endpoint, uint32_t number,
                uint64_t at_ms);

/* Appends to `out` the log with one more attempt, without the oldest that are too many. Of `record`
 * ids and the body beyond LIMIT_EVENT_ATTEMPT_BODY_BYTES are left out. A log that cannot be read
 * counts as empty. */
void attempt_log_add(struct buf *out, struct slice log, const struct attempt_record *record);

/* The next attempt of a log; false at its end, or where it cannot be read. Ids are not filled in;
 * `error` and `body` point into the log. Begin with mp_reader_init(). */
bool attempt_log_next(struct mp_reader *reader, struct attempt_record *record);

#endif
