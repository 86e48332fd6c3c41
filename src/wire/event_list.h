/* event_list.h - several events as one body: a JSON array, or a line of JSON for each (NDJSON).
 *
 * An event in it has all its members (event_json.h), whatever the form is that a scheme gives to a
 * single one: whoever takes many at once wants to tell them apart. Pure.
 */
#ifndef TROTLINE_WIRE_EVENT_LIST_H
#define TROTLINE_WIRE_EVENT_LIST_H

#include "base/buf.h"
#include "wire/event_record.h"

enum event_list_form { EVENT_LIST_JSON, EVENT_LIST_NDJSON };

/* As the configuration writes it: "json", "ndjson". */
const char *event_list_form_name(enum event_list_form form);
const char *event_list_content_type(enum event_list_form form);

struct event_list {
    struct buf *buf;
    enum event_list_form form;
    size_t count;
    size_t from; /* where it begins in `buf` */
};

/* Appends to `buf`, whose status the caller checks at the end. It must not shrink meanwhile. */
void event_list_begin(struct event_list *list, enum event_list_form form, struct buf *buf);

/* One more event. Line breaks between the values of its data become blanks in NDJSON. */
void event_list_add(struct event_list *list, struct slice id, const struct event_record *record);

/* Takes the last event out again: `mark` is what event_list_mark() said before it was added. */
size_t event_list_mark(const struct event_list *list);
void event_list_undo(struct event_list *list, size_t mark);

/* How long the body is that event_list_end() would leave. */
size_t event_list_bytes(const struct event_list *list);
struct slice event_list_end(struct event_list *list);

/* About how much an event takes in a list, at the least of it: text that must be escaped takes
 * more. */
size_t event_list_estimate(const struct event_record *record);

#endif
