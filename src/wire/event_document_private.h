/* event_document_private.h - what the readers of the forms of an event share. */
#ifndef TROTLINE_WIRE_EVENT_DOCUMENT_PRIVATE_H
#define TROTLINE_WIRE_EVENT_DOCUMENT_PRIVATE_H

#include "base/json_scan.h"
#include "wire/event_document.h"

struct event_reading {
    struct event_document *document;
    const struct event_document_rules *rules;
    struct field_error *error;
};

/* The value of a member, whatever it was written in. */
enum event_value_kind {
    VALUE_OTHER,
    VALUE_TEXT,    /* UTF-8; `text` */
    VALUE_INTEGER, /* not negative; `number` */
    VALUE_TIME     /* `number` is Unix time in milliseconds */
};

struct event_value {
    enum event_value_kind kind;
    struct slice text;
    uint64_t number;
};

typedef enum status event_member_fn(struct event_reading *reading, const char *name,
                                    const struct event_value *value);

/* A member that an event may have; `take` is NULL for `data`, which each form takes by itself. */
struct event_member {
    struct slice name;
    event_member_fn *take;
};

enum { EVENT_MEMBERS = 10 };
extern const struct event_member event_members[EVENT_MEMBERS];

/* Refuses a member that is none of these. */
enum status event_refuse_name(struct event_reading *reading, struct slice name);

/* Takes a text of 1 to `most` bytes without NUL. */
MUST_CHECK enum status event_take_text(struct event_reading *reading, const char *name,
                                       const char *code, size_t most,
                                       const struct event_value *value, struct slice *out);

/* What CloudEvents call otherwise. */
event_member_fn event_take_type, event_take_timestamp, event_take_ordering_key;

enum status event_refuse(struct event_reading *reading, const char *code, const char *name,
                         const char *message);
enum status event_refuse_size(struct event_reading *reading, size_t bytes);

/* As json_members(), with the refusal filled in. The body is all that there is of the event. */
MUST_CHECK enum status event_json_members(struct event_reading *reading, struct slice body,
                                          struct json_member *members, size_t max, size_t *count);

/* The forms but JSON. The document is empty but for defaults. */
MUST_CHECK enum status event_read_msgpack(struct event_reading *reading, struct slice body);
MUST_CHECK enum status event_read_cloud(struct event_reading *reading, struct slice body);
MUST_CHECK enum status event_read_binary(struct event_reading *reading,
                                         const struct received_header *headers, size_t header_count,
                                         struct slice body);

#endif
