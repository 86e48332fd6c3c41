/* delivery_request.h - the HTTP request that an endpoint gets for an event, or for several that go
 * together: body, headers, signatures, made anew for each attempt, since a signature covers the
 * attempt's time.
 */
#ifndef TROTLINE_CORE_DELIVERY_REQUEST_H
#define TROTLINE_CORE_DELIVERY_REQUEST_H

#include "core/batch.h"
#include "core/core.h"

/* Where header lines are written, one request after the other: outbound copies them. */
struct delivery_request;

/* NULL: out of memory. Free accepts NULL. */
struct delivery_request *delivery_request_new(void);
void delivery_request_free(struct delivery_request *request);

/* What a body takes at most, for who initialises its buffer. */
enum { DELIVERY_BODY_MAX = 7 * LIMIT_BATCH_BYTES }; /* a character of text may take six in JSON */

/* Fills in the call that sends the message as the endpoint's scheme has it; `may_send` stays NULL.
 * The body is written into `storage`, whose contents it replaces, or is the message's own data:
 * both must stay as they are while it is sent. The lines are valid until the next call. `now_ms`:
 * unix, the attempt's time. ST_RANGE: never to be sent (the scheme refuses a value, or there are
 * too many headers); ST_NOMEM. */
MUST_CHECK enum status delivery_request_build(struct delivery_request *request,
                                              const struct core_options *options,
                                              struct endpoint_config *config,
                                              const struct message *message, uint64_t now_ms,
                                              struct buf *storage, struct outbound_call *call);

/* The same for several events: their list (event_list.h), signed as a whole, by the name of `id`,
 * with the type "batch". With `known`, of a group that was sent before, all go under that id; else
 * the first ones, as many as fit into the endpoint's `maxBytes` (one at least), under the id that
 * is theirs. *taken says how many go, *id under which id. */
struct delivery_group {
    const struct id *endpoint;
    struct message *const *messages;
    size_t count;
    const struct id *known; /* or NULL */
};
MUST_CHECK enum status
delivery_request_build_group(struct delivery_request *request, const struct core_options *options,
                             struct endpoint_config *config, const struct delivery_group *group,
                             uint64_t now_ms, struct buf *storage, struct outbound_call *call,
                             size_t *taken, struct id *id);

#endif
