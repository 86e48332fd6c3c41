/* event_document.h - the JSON of an event as a producer sends it: checked and taken apart. Pure.
 *
 * The payload is neither parsed into a tree nor changed: `data` is the producer's bytes.
 */
#ifndef TROTLINE_API_EVENT_DOCUMENT_H
#define TROTLINE_API_EVENT_DOCUMENT_H

#include "base/buf.h"
#include "core/field_error.h"
#include "wire/event_record.h"

struct event_document {
    struct event_record record;   /* slices into the body or into `storage` */
    struct slice idempotency_key; /* SLICE_NULL: none */
    uint64_t delay_ms;
    bool has_delay, has_deliver_at;
    struct buf storage; /* strings that were written with escapes */
};

struct event_document_rules {
    size_t data_bytes_max;
    uint64_t now_ms; /* unix; the timestamp of an event that brings none */
};

/* Every code of a refusal. */
enum { EVENT_DOCUMENT_CODES = 13 };
extern const char *const event_document_codes[EVENT_DOCUMENT_CODES];

/* ST_OK; ST_RANGE with *error filled (code `payload_too_large` is for 413); ST_NOMEM. Must be freed
 * in any case. */
MUST_CHECK enum status event_document_read(struct event_document *document, struct slice body,
                                           const struct event_document_rules *rules,
                                           struct field_error *error);
void event_document_free(struct event_document *document);

#endif
