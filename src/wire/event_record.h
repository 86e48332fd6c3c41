/* event_record.h - one event as it is kept in Redis, in msgpack.
 *
 * The record is what batches hold and what a scheduled event carries alone. The payload is a `bin`
 * that holds the producer's bytes untouched.
 */
#ifndef TROTLINE_WIRE_EVENT_RECORD_H
#define TROTLINE_WIRE_EVENT_RECORD_H

#include <stdint.h>

#include "base/buf.h"
#include "wire/codec.h"

struct event_record {
    struct slice application;
    struct slice type;
    struct slice version;     /* SLICE_NULL: the event has none */
    struct slice source;      /* the same */
    struct slice uid;         /* the producer's own id, or SLICE_NULL */
    struct slice traceparent; /* W3C trace context of the producer's request, or SLICE_NULL */
    struct slice tracestate;
    struct slice data; /* JSON text as it came */
    uint64_t timestamp_ms;
    uint64_t deliver_at_ms; /* Redis's clock; 0: at once */
};

/* Appends the record; whether that went well is buf_status(). */
void event_record_write(struct buf *buf, const struct event_record *record);

/* Reads one record; slices point into the reader's input. A failure is the reader's sticky error.
 */
void event_record_read(struct mp_reader *reader, struct event_record *record);

#endif
