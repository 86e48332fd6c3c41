/* stream_send.c - an attempt at an endpoint of kind `redis-stream`.
 *
 * The entry is written in one place for all, since the store copies it. There is nothing to cancel:
 * an answer comes within the time that the connection gives a command, or the connection ends; and
 * while Redis does not answer, what became of a delivery could not be written either.
 *
 * An error reply tells what is wrong with this stream, and is a failed attempt; but for those that
 * tell what is wrong with Redis as a whole. While it is away, starts, fails over or cannot write to
 * its disk, no attempts are burnt: deliveries wait as they do for their results to be written. Its
 * memory is the exception (OOM): that may stay so for long, and whoever looks at the webhook should
 * see why nothing arrives.
 */
#include "core/stream_send.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/timefmt.h"
#include "core/store_stream.h"
#include "wire/event_json.h"

enum {
    EVENT_BYTES_MAX = 7 * LIMIT_BATCH_BYTES, /* a character of text may take six in JSON */
    KEEP_BYTES = 64 * 1024,
    DETAIL_BYTES = 200,
    TIMESTAMP_BYTES = 32
};

struct stream_sender {
    struct core *core;
    struct buf event, timestamp; /* of the entry that is being built */
    size_t bytes;                /* of events on their way */
};

/* ---- What came of it ------------------------------------------------------------------------ */

/* Redis says these to everybody who writes. */
static bool means_not_now(const struct redis_value *reply)
{
    static const char *const codes[] = {"READONLY",  "LOADING", "MASTERDOWN",  "NOREPLICAS",
                                        "MISCONF",   "BUSY",    "CLUSTERDOWN", "TRYAGAIN",
                                        "UNBLOCKED", "NOSCRIPT"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (redis_value_is_error(reply, codes[i]))
            return true;
    return false;
}

static enum outbound_error class_of(const struct redis_value *error)
{
    if (redis_value_is_error(error, "OOM"))
        return OUTBOUND_STREAM_MEMORY;
    return means_not_now(error) ? OUTBOUND_INTERNAL : OUTBOUND_STREAM_REFUSED;
}

static void on_reply(void *arg, enum status status, const struct redis_value *reply)
{
    const struct stream_send *send = arg;
    send->sender->bytes -= send->bytes;
    char detail[DETAIL_BYTES] = "";
    struct outbound_result result = {.error = OUTBOUND_OK,
                                     .detail = detail,
                                     .duration_us = clock_now_us() - send->since_us,
                                     .retry_after_ms = -1};
    if (status == ST_OK && redis_value_type(reply) == REDIS_STRING) {
        result.status_code = OUTBOUND_TAKEN;
        result.body_head = redis_value_text(reply);
        result.body_bytes = result.body_head.len;
    } else if (status == ST_OK) {
        result.error = OUTBOUND_STREAM_FULL;
        snprintf(detail, sizeof(detail), "the stream has as many entries as it may have");
    } else if (status == ST_REFUSED) {
        result.error = class_of(reply);
        snprintf(detail, sizeof(detail), "%.*s", SLICE_ARGS(redis_value_text(reply)));
    } else {
        result.error = OUTBOUND_INTERNAL;
        snprintf(detail, sizeof(detail), "Redis did not answer: %s", status_name(status));
    }
    send->done(send->arg, &result);
}

/* ---- Sending -------------------------------------------------------------------------------- */

enum status stream_send(struct stream_sender *sender, struct stream_send *send,
                        const struct endpoint_stream *stream, const struct message *message,
                        outbound_done_fn *done, void *arg)
{
    const struct event_record *record = &message->record;
    buf_clear(&sender->event);
    buf_clear(&sender->timestamp);
    event_json_write(&sender->event, slice_str(message->id_text), record);
    time_format_rfc3339(&sender->timestamp, record->timestamp_ms);
    if (buf_status(&sender->event) != ST_OK || buf_status(&sender->timestamp) != ST_OK)
        return ST_NOMEM;
    struct store_stream_entry entry = {.key = slice_str(stream->key),
                                       .length_max = stream->length_max,
                                       .waits = stream->waits,
                                       .id = slice_str(message->id_text),
                                       .type = record->type,
                                       .timestamp = buf_slice(&sender->timestamp),
                                       .event = buf_slice(&sender->event),
                                       .duplicate_of = record->duplicate_of};
    *send = (struct stream_send){sender, entry.event.len, done, arg, clock_now_us()};
    enum status status = store_stream_add(sender->core->store, &entry, on_reply, send);
    if (status == ST_OK)
        sender->bytes += send->bytes;
    if (sender->event.cap > KEEP_BYTES)
        buf_free(&sender->event);
    return status;
}

bool stream_sender_has_room(const struct stream_sender *sender)
{
    return sender->bytes < LIMIT_STREAM_IN_FLIGHT_BYTES;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct stream_sender *stream_sender_new(struct core *core)
{
    struct stream_sender *sender = calloc(1, sizeof(*sender));
    if (!sender)
        return NULL;
    sender->core = core;
    buf_init(&sender->event, EVENT_BYTES_MAX);
    buf_init(&sender->timestamp, TIMESTAMP_BYTES);
    return sender;
}

void stream_sender_free(struct stream_sender *sender)
{
    if (!sender)
        return;
    buf_free(&sender->event);
    buf_free(&sender->timestamp);
    free(sender);
}
