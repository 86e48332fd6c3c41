/* stream_send.h - an attempt at an endpoint of kind `redis-stream`: adds an entry to its stream.
 *
 * An entry has the fields `id` (msg_…), `type`, `timestamp` (RFC 3339), `duplicateOf` when the
 * event is a received one that repeats another, and `e` (all of the event as JSON,
 * wire/event_json.h).
 *
 * What came of it is told in the words of HTTP attempts, so that all that follows is the same:
 *
 *     OUTBOUND_OK, OUTBOUND_TAKEN  it is in the stream; body_head is the entry's id
 *     OUTBOUND_STREAM_FULL         as many entries as there may be, and nothing is to be trimmed
 *     OUTBOUND_STREAM_REFUSED      an error of Redis about this stream: another type, no right
 *     OUTBOUND_STREAM_MEMORY       OOM: no memory for it
 *     OUTBOUND_INTERNAL            Redis is away, or takes no writes from anybody: no attempt
 *
 * A lost reply is OUTBOUND_INTERNAL, too: the entry may be there, and then comes twice.
 */
#ifndef TROTLINE_CORE_STREAM_SEND_H
#define TROTLINE_CORE_STREAM_SEND_H

#include "core/batch.h"
#include "core/core.h"

struct stream_sender;

/* NULL: out of memory. Free accepts NULL; by then the store has answered all. */
struct stream_sender *stream_sender_new(struct core *core);
void stream_sender_free(struct stream_sender *sender);

/* False: so many bytes are on their way that no more should follow before some are answered. */
bool stream_sender_has_room(const struct stream_sender *sender);

/* One on its way: a member of what the caller keeps for it; private. */
struct stream_send {
    struct stream_sender *sender;
    size_t bytes;
    outbound_done_fn *done;
    void *arg;
    uint64_t since_us; /* monotonic */
};

/* Adds the event as an entry. ST_NOMEM: done is never called. Else it is called exactly once,
 * later, never before this returns: from the store's callback, or when the store is freed. `send`
 * must live until then. The entries of a turn go out in one write. */
MUST_CHECK enum status stream_send(struct stream_sender *sender, struct stream_send *send,
                                   const struct endpoint_stream *stream,
                                   const struct message *message, outbound_done_fn *done,
                                   void *arg);

#endif
