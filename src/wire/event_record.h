/* event_record.h - one event as it is kept in Redis, in msgpack.
 *
 * The record is what batches hold and what a scheduled event carries alone. The payload is a `bin`
 * that holds the sender's bytes untouched: JSON from a producer; from a third party (a received
 * request) or in a CloudEvent whatever it sent, with what else is known of that. A plain event has
 * nothing of the latter, and it costs it nothing.
 */
#ifndef TROTLINE_WIRE_EVENT_RECORD_H
#define TROTLINE_WIRE_EVENT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/codec.h"

/* What `data` is; event_data.h finds out, once, when a request is received. */
enum event_data {
    EVENT_DATA_JSON,
    EVENT_DATA_TEXT, /* UTF-8 */
    EVENT_DATA_BYTES /* anything else */
};

struct event_record {
    struct slice application;
    struct slice type;
    struct slice version;     /* SLICE_NULL: the event has none */
    struct slice source;      /* the same; of a received request the name of the receiving source */
    struct slice uid;         /* the producer's own id, or SLICE_NULL */
    struct slice traceparent; /* W3C trace context of the producer's request, or SLICE_NULL */
    struct slice tracestate;
    struct slice data; /* as it came */
    uint64_t timestamp_ms;
    uint64_t deliver_at_ms;    /* Redis's clock; 0: at once */
    struct slice ordering_key; /* the producer's, or SLICE_NULL */
    struct slice cloud_event;  /* a JSON object: the attributes of the CloudEvent it came as, with
                                  their names and spelling; SLICE_NULL: it did not */
    enum event_data data_kind; /* of a published event JSON, unless it came as a CloudEvent */
    struct slice content_type; /* of data, as its sender calls it, or SLICE_NULL */

    /* All zeros unless it was received. */
    uint64_t received_ms;      /* unix; 0: it was not received, but published */
    struct slice headers;      /* event_headers.h; SLICE_NULL: none are kept */
    struct slice duplicate_of; /* text of the id of the event it repeats, or SLICE_NULL */
    bool verified;             /* its source's signature was checked, and right */
};

/* Appends the record; whether that went well is buf_status(). */
void event_record_write(struct buf *buf, const struct event_record *record);

/* Reads one record; slices point into the reader's input. A failure is the reader's sticky error.
 */
void event_record_read(struct mp_reader *reader, struct event_record *record);

#endif
