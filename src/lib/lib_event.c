/* lib_event.c - events for callers of the library: their members, set one by one or read.
 *
 * An event holds a copy of each member. Reading is the server's own reader with its result copied;
 * writing (lib_event_write.c) ends with the same reader. So there is one judge of what an event is.
 */
#include <stdlib.h>

#include "lib/event_private.h"

/* ---- Texts ----------------------------------------------------------------------------------- */

static void put(struct trotline_event *event, enum event_text which, struct slice text)
{
    struct buf *buf = &event->texts[which];
    buf_clear(buf);
    event->has[which] = text.ptr != NULL;
    if (!text.ptr)
        return;
    buf_add_slice(buf, text);
    buf_add_char(buf, '\0');
}

static void set(struct trotline_event *event, enum event_text which, const char *text)
{
    if (event)
        put(event, which, slice_str(text));
}

struct slice event_text(const struct trotline_event *event, enum event_text which)
{
    const struct buf *buf = &event->texts[which];
    if (!event->has[which] || buf_status(buf) != ST_OK)
        return SLICE_NULL;
    return slice_of(buf->ptr, buf->len - 1);
}

static struct trotline_slice get(const struct trotline_event *event, enum event_text which)
{
    return slice_out(event ? event_text(event, which) : SLICE_NULL);
}

/* ---- The event ------------------------------------------------------------------------------- */

struct trotline_event *trotline_event_new(void)
{
    struct trotline_event *event = calloc(1, sizeof(*event));
    if (!event)
        return NULL;
    for (size_t i = 0; i < EVENT_TEXTS; i++)
        buf_init(&event->texts[i], SIZE_MAX);
    buf_init(&event->written, SIZE_MAX);
    return event;
}

void trotline_event_free(struct trotline_event *event)
{
    if (!event)
        return;
    for (size_t i = 0; i < EVENT_TEXTS; i++)
        buf_free(&event->texts[i]);
    buf_free(&event->written);
    free(event);
}

void trotline_event_clear(struct trotline_event *event)
{
    if (!event)
        return;
    for (size_t i = 0; i < EVENT_TEXTS; i++)
        put(event, (enum event_text)i, SLICE_NULL);
    event->timestamp_ms = event->deliver_at_ms = event->delay_ms = 0;
}

void trotline_event_set_type(struct trotline_event *event, const char *type)
{
    set(event, EVENT_TYPE, type);
}

void trotline_event_set_version(struct trotline_event *event, const char *version)
{
    set(event, EVENT_VERSION, version);
}

void trotline_event_set_source(struct trotline_event *event, const char *source)
{
    set(event, EVENT_SOURCE, source);
}

void trotline_event_set_uid(struct trotline_event *event, const char *uid)
{
    set(event, EVENT_UID, uid);
}

void trotline_event_set_idempotency_key(struct trotline_event *event, const char *key)
{
    set(event, EVENT_IDEMPOTENCY_KEY, key);
}

void trotline_event_set_ordering_key(struct trotline_event *event, const char *key)
{
    set(event, EVENT_ORDERING_KEY, key);
}

void trotline_event_set_data(struct trotline_event *event, struct trotline_slice json)
{
    if (event)
        put(event, EVENT_DATA, slice_in(json));
}

void trotline_event_set_timestamp_ms(struct trotline_event *event, uint64_t at_ms)
{
    if (event)
        event->timestamp_ms = at_ms;
}

void trotline_event_set_deliver_at_ms(struct trotline_event *event, uint64_t at_ms)
{
    if (event)
        event->deliver_at_ms = at_ms;
}

void trotline_event_set_delay_ms(struct trotline_event *event, uint64_t delay_ms)
{
    if (event)
        event->delay_ms = delay_ms;
}

struct trotline_slice trotline_event_type(const struct trotline_event *event)
{
    return get(event, EVENT_TYPE);
}

struct trotline_slice trotline_event_version(const struct trotline_event *event)
{
    return get(event, EVENT_VERSION);
}

struct trotline_slice trotline_event_source(const struct trotline_event *event)
{
    return get(event, EVENT_SOURCE);
}

struct trotline_slice trotline_event_uid(const struct trotline_event *event)
{
    return get(event, EVENT_UID);
}

struct trotline_slice trotline_event_idempotency_key(const struct trotline_event *event)
{
    return get(event, EVENT_IDEMPOTENCY_KEY);
}

struct trotline_slice trotline_event_ordering_key(const struct trotline_event *event)
{
    return get(event, EVENT_ORDERING_KEY);
}

struct trotline_slice trotline_event_data(const struct trotline_event *event)
{
    return get(event, EVENT_DATA);
}

uint64_t trotline_event_timestamp_ms(const struct trotline_event *event)
{
    return event ? event->timestamp_ms : 0;
}

uint64_t trotline_event_deliver_at_ms(const struct trotline_event *event)
{
    return event ? event->deliver_at_ms : 0;
}

uint64_t trotline_event_delay_ms(const struct trotline_event *event)
{
    return event ? event->delay_ms : 0;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A blank cannot begin a map of msgpack, and none of its maps begins with '{'. */
static enum event_format format_of(enum trotline_format format, struct slice bytes)
{
    if (format == TROTLINE_FORMAT_JSON)
        return EVENT_FORMAT_JSON;
    if (format == TROTLINE_FORMAT_MSGPACK)
        return EVENT_FORMAT_MSGPACK;
    bool json = bytes.len == 0 || memchr("{ \t\r\n", bytes.ptr[0], 5);
    return json ? EVENT_FORMAT_JSON : EVENT_FORMAT_MSGPACK;
}

enum trotline_status event_judge(struct event_document *document, enum event_format format,
                                 struct slice bytes, uint64_t now_ms, struct trotline_error *error)
{
    const struct event_document_rules rules = {.data_bytes_max = SIZE_MAX, .now_ms = now_ms};
    struct field_error wrong = {.code = ""};
    enum status status = event_document_read(document, format, bytes, &rules, &wrong);
    if (status == ST_RANGE)
        return lib_fail(error, TROTLINE_INVALID_EVENT, wrong.code, wrong.field, wrong.message);
    return status == ST_OK ? TROTLINE_OK : TROTLINE_NO_MEMORY;
}

static struct trotline_event *copy_of(const struct event_document *document)
{
    const struct event_record *record = &document->record;
    struct trotline_event *event = trotline_event_new();
    if (!event)
        return NULL;
    put(event, EVENT_TYPE, record->type);
    put(event, EVENT_VERSION, record->version);
    put(event, EVENT_SOURCE, record->source);
    put(event, EVENT_UID, record->uid);
    put(event, EVENT_IDEMPOTENCY_KEY, document->idempotency_key);
    put(event, EVENT_ORDERING_KEY, record->ordering_key);
    put(event, EVENT_DATA, record->data);
    event->timestamp_ms = record->timestamp_ms;
    event->deliver_at_ms = record->deliver_at_ms;
    event->delay_ms = document->delay_ms;
    for (size_t i = 0; i < EVENT_TEXTS; i++) {
        if (buf_status(&event->texts[i]) == ST_OK)
            continue;
        trotline_event_free(event);
        return NULL;
    }
    return event;
}

enum trotline_status trotline_event_read(const void *bytes, size_t byte_count,
                                         enum trotline_format format, uint64_t now_ms,
                                         struct trotline_event **event,
                                         struct trotline_error *error)
{
    struct event_document document;
    if (!event)
        return TROTLINE_INVALID_ARGUMENT;
    *event = NULL;
    if ((!bytes && byte_count > 0) || (unsigned)format > TROTLINE_FORMAT_MSGPACK)
        return TROTLINE_INVALID_ARGUMENT;
    struct slice body = byte_count > 0 ? slice_of(bytes, byte_count) : SLICE("");
    enum trotline_status status =
        event_judge(&document, format_of(format, body), body, lib_now_ms(now_ms), error);
    if (status == TROTLINE_OK) {
        *event = copy_of(&document);
        status = *event ? TROTLINE_OK : TROTLINE_NO_MEMORY;
    }
    event_document_free(&document);
    return status;
}
