/* attempt.h - one HTTP request of one delivery: builds it, signs it, sends it.
 *
 * Body and headers are made anew for each attempt (the signature covers the attempt's time), in a
 * request whose memory is used again. The payload is not copied when the scheme's body is the
 * payload.
 */
#ifndef TROTLINE_CORE_ATTEMPT_H
#define TROTLINE_CORE_ATTEMPT_H

#include "core/core.h"
#include "core/delivery.h"

struct attempts;
struct attempt;

struct attempts *attempts_new(struct core *core);
void attempts_free(struct attempts *attempts);

/* Sends; the delivery is SENDING afterwards and comes back through settle_attempt(); one that can
 * never be sent (its scheme refuses its values) goes to the dead letters. On failure (ST_LIMIT: no
 * free slot; ST_AGAIN: this process's lease has lapsed; ST_NOMEM) it stays the caller's, as it was.
 */
MUST_CHECK enum status attempt_start(struct attempts *attempts, struct delivery *delivery);

/* Is there a free slot for another attempt, over all endpoints? Slots promised to leases count. */
size_t attempts_free_slots(const struct attempts *attempts);
void attempts_reserve(struct attempts *attempts, size_t slots);
void attempts_unreserve(struct attempts *attempts, size_t slots);

size_t attempts_in_flight(const struct attempts *attempts);

/* The deliveries being sent, oldest attempt first. */
struct list *attempts_sending(struct attempts *attempts);

/* Cuts all attempts; they come back as cancelled. */
void attempts_cancel_all(struct attempts *attempts);

/* Sends a message to an endpoint outside the data path (test sends): nothing is recorded. fn is
 * called once, later. The message and the configuration are referenced until then. */
typedef void attempt_probe_fn(void *arg, const struct outbound_result *result);
MUST_CHECK enum status attempt_probe(struct attempts *attempts, struct endpoint_config *config,
                                     struct message *message, attempt_probe_fn *fn, void *arg);

#endif
