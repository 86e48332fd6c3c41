/* event_document.h - an event as a producer sends it: checked and taken apart. Pure.
 *
 *   JSON        an object with the members that README.md names. `data` is neither parsed into a
 *               tree nor changed: it is the producer's bytes.
 *   msgpack     a map with the same names. `timestamp` and `deliverAt` may also be timestamps
 *               (extension -1), and `data` is any value; it becomes JSON (msgpack_json.h).
 *   CloudEvent  version 1.0 in the JSON event format, or in HTTP's binary mode
 *               (event_document_read_binary()). event_cloud.c says what becomes of its attributes.
 *
 * A batch of CloudEvents (application/cloudevents-batch+json) is a JSON array of the former.
 */
#ifndef TROTLINE_WIRE_EVENT_DOCUMENT_H
#define TROTLINE_WIRE_EVENT_DOCUMENT_H

#include "base/buf.h"
#include "base/field_error.h"
#include "wire/event_record.h"
#include "wire/received.h"

enum event_format { EVENT_FORMAT_JSON, EVENT_FORMAT_MSGPACK, EVENT_FORMAT_CLOUDEVENT };

struct event_document {
    struct event_record record; /* slices into the body, the headers, or `storage` */
    struct slice
        idempotency_key; /* SLICE_NULL: none. May be longer than LIMIT_IDEMPOTENCY_KEY_BYTES
                            and hold NULs when it is made of a CloudEvent's id */
    struct slice raw;    /* for publish_item.raw: whether what comes with a used key is the
                            same event */
    uint64_t delay_ms;
    bool has_delay, has_deliver_at;

    /* Private. */
    bool key_derived;   /* of a CloudEvent's id: a given key replaces it */
    struct slice whole; /* all bytes of the event */
    struct buf storage; /* what does not stand in the body as it is needed */
};

struct event_document_rules {
    size_t data_bytes_max; /* of `data`, as the JSON that is kept */
    uint64_t now_ms;       /* unix; the timestamp of an event that brings none */
};

/* Every code of a refusal. */
enum { EVENT_DOCUMENT_CODES = 17 };
extern const char *const event_document_codes[EVENT_DOCUMENT_CODES];

/* ST_OK; ST_RANGE with *error filled (code `payload_too_large` is for 413); ST_NOMEM. Must be freed
 * in any case. The body stays as long as the document is used. */
MUST_CHECK enum status event_document_read(struct event_document *document,
                                           enum event_format format, struct slice body,
                                           const struct event_document_rules *rules,
                                           struct field_error *error);

/* The same for a CloudEvent in HTTP's binary mode: its attributes are in headers that begin with
 * "ce-", its data is the body, of the type that Content-Type says. Other headers are passed over.
 */
MUST_CHECK enum status event_document_read_binary(struct event_document *document,
                                                  const struct received_header *headers,
                                                  size_t header_count, struct slice body,
                                                  const struct event_document_rules *rules,
                                                  struct field_error *error);

/* The idempotency key that came beside a document which was read: in a header, or a field of an
 * entry, called `name` in a refusal (ST_RANGE). It must have 1 to LIMIT_IDEMPOTENCY_KEY_BYTES
 * bytes, none of them NUL, and be the same as `idempotencyKey` when both are given. The key that a
 * CloudEvent brings by its id it replaces. Must stay as long as the document is used. */
MUST_CHECK enum status event_document_set_key(struct event_document *document, struct slice key,
                                              const char *name, struct field_error *error);

void event_document_free(struct event_document *document);

#endif
