/* event_cloud_private.h - a CloudEvent while it is read, for the files that read its two modes. */
#ifndef TROTLINE_WIRE_EVENT_CLOUD_PRIVATE_H
#define TROTLINE_WIRE_EVENT_CLOUD_PRIVATE_H

#include "base/limits.h"
#include "wire/event_document_private.h"

/* So many bytes of storage are enough for each byte of attributes: its name, its text, the text as
 * JSON (a quote or backslash takes two), and once more for the key. */
enum { ROOM_EACH = 4, ROOM_ATTRIBUTE = 8, ROOM_MORE = 64 };

struct attribute {
    struct slice name;
    struct slice json; /* the value as it came in JSON; SLICE_NULL: it came in a header */
    struct event_value value;
};

struct cloud {
    struct event_reading *reading;
    struct buf *storage;
    struct slice specversion, id, traceparent, tracestate;
    struct attribute attributes[LIMIT_CLOUDEVENT_ATTRIBUTES];
    size_t count;
};

/* Room in the storage for all that will be put there. False: out of memory. */
MUST_CHECK bool cloud_take_room(struct cloud *cloud, size_t bytes);

/* A copy; its slices have to stay where they are. */
MUST_CHECK enum status cloud_add(struct cloud *cloud, const struct attribute *attribute);

/* Once all are there, and before the data: looks at them, and keeps them in the record as what the
 * storage ends with. */
MUST_CHECK enum status cloud_take_attributes(struct cloud *cloud);

MUST_CHECK enum status cloud_set_data(struct cloud *cloud, struct slice data, enum event_data kind);
MUST_CHECK enum status cloud_set_no_data(struct cloud *cloud);

/* Data that came as bytes, which is what its content type says. */
MUST_CHECK enum status cloud_set_bytes(struct cloud *cloud, struct slice data);

enum status cloud_refuse(struct cloud *cloud, struct slice name, const char *message);

#endif
