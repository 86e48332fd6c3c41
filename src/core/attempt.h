/* attempt.h - one try of one delivery, or of several that go together: an HTTP request that is
 * built, signed and sent; or an entry for the stream of an endpoint of kind `redis-stream`
 * (stream_send.h).
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

/* The same for deliveries of an endpoint that takes several in one request, in this order: of a
 * group that was sent before all of them; else the first ones, as many as may go together, which
 * are a group from then on. *taken says how many were; the others, and on a failure all, stay the
 * caller's. They are in no list. 1 to LIMIT_GROUP_EVENTS. */
MUST_CHECK enum status attempt_start_group(struct attempts *attempts,
                                           struct delivery *const *members, size_t count,
                                           size_t *taken);

/* Of one that is SENDING: those that go together, itself among them. Valid while they do. */
struct delivery *const *attempt_members(const struct delivery *delivery, size_t *count);
/* Is it the first of them? So there is one for each attempt. */
bool attempt_is_led_by(const struct delivery *delivery);

/* Bytes of the bodies under way that were made of several events. */
size_t attempts_group_bytes(const struct attempts *attempts);

/* Should an endpoint of this kind that has attempts under way begin no more for the moment? */
bool attempts_hold(const struct attempts *attempts, enum endpoint_kind kind);

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
