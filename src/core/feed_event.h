/* feed_event.h - from the fields of a stream's entry to an event. Pure.
 *
 *     e     the event: JSON when its first byte is '{' or blank, else msgpack
 *     app   its application
 *     k     its idempotency key
 */
#ifndef TROTLINE_CORE_FEED_EVENT_H
#define TROTLINE_CORE_FEED_EVENT_H

#include "net/redis_reply.h"
#include "wire/event_document.h"

struct feed_event_rules {
    struct event_document_rules document;
    const char *application; /* that the entries of this stream are for; "": they say it */
};

/* `fields`: names and values in turn, which stay as long as the document is used. ST_OK; ST_RANGE
 * with *error filled; ST_NOMEM. The document must be freed in any case. */
MUST_CHECK enum status feed_event_read(struct event_document *document,
                                       const struct redis_value *fields,
                                       const struct feed_event_rules *rules,
                                       struct field_error *error);

#endif
