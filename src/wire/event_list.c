/* event_list.c - several events as one body.
 *
 * Events are written straight into the request's body, and the one that turns out to be too much is
 * cut off again: so nobody needs to know beforehand how long an event is in JSON.
 */
#include "wire/event_list.h"

#include "wire/event_json.h"

/* {"id":"msg_…","type":"","timestamp":"2026-01-02T03:04:05.678Z","data":,"version":null,
 * "source":null} and a comma; "duplicateOf":"" and a comma. */
enum { FRAME_BYTES = 31 + 98, MEMBER_BYTES = 17 };

const char *event_list_form_name(enum event_list_form form)
{
    return form == EVENT_LIST_JSON ? "json" : "ndjson";
}

const char *event_list_content_type(enum event_list_form form)
{
    return form == EVENT_LIST_JSON ? "application/json" : "application/x-ndjson";
}

void event_list_begin(struct event_list *list, enum event_list_form form, struct buf *buf)
{
    *list = (struct event_list){.buf = buf, .form = form, .from = buf->len};
    if (form == EVENT_LIST_JSON)
        buf_add_char(buf, '[');
}

/* A raw line break in JSON stands between values, where a blank is as good. */
static void put_in_one_line(struct buf *buf, size_t from)
{
    if (buf_status(buf) != ST_OK)
        return;
    for (size_t at = from; at < buf->len; at++)
        if (buf->ptr[at] == '\n' || buf->ptr[at] == '\r')
            buf->ptr[at] = ' ';
}

void event_list_add(struct event_list *list, struct slice id, const struct event_record *record)
{
    struct buf *buf = list->buf;
    bool lines = list->form == EVENT_LIST_NDJSON;
    if (list->count++ > 0 && !lines)
        buf_add_char(buf, ',');
    size_t from = buf->len;
    event_json_write(buf, id, record);
    if (!lines)
        return;
    put_in_one_line(buf, from);
    buf_add_char(buf, '\n');
}

size_t event_list_mark(const struct event_list *list)
{
    return list->buf->len;
}

void event_list_undo(struct event_list *list, size_t mark)
{
    list->buf->len = mark;
    list->count--;
}

size_t event_list_bytes(const struct event_list *list)
{
    return list->buf->len - list->from + (list->form == EVENT_LIST_JSON);
}

struct slice event_list_end(struct event_list *list)
{
    if (list->form == EVENT_LIST_JSON)
        buf_add_char(list->buf, ']');
    return slice_from(buf_slice(list->buf), list->from);
}

static size_t member_estimate(struct slice text)
{
    return text.ptr ? MEMBER_BYTES + text.len : 0;
}

size_t event_list_estimate(const struct event_record *record)
{
    return FRAME_BYTES + record->type.len + record->data.len + record->version.len +
           record->source.len + member_estimate(record->ordering_key) +
           member_estimate(record->duplicate_of);
}
