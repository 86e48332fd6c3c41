/* feed_event.c - from the fields of an entry to an event.
 *
 * Whoever can write to the stream is trusted as much as a holder of an API key, and errs as much:
 * everything is checked as it is in api/events.c.
 */
#include "core/feed_event.h"

#include "base/limits.h"

struct fields {
    struct slice event, application, key; /* SLICE_NULL: not given */
};

static struct slice *field_of(struct fields *fields, struct slice name)
{
    if (slice_eq(name, SLICE("e")))
        return &fields->event;
    if (slice_eq(name, SLICE("app")))
        return &fields->application;
    return slice_eq(name, SLICE("k")) ? &fields->key : NULL;
}

/* What an error names must be text: an entry's names are any bytes. */
static void printable(struct slice name, char out[48])
{
    size_t len = 0;
    for (; len < name.len && len < 47; len++)
        out[len] = name.ptr[len] > ' ' && name.ptr[len] < 0x7f ? name.ptr[len] : '?';
    out[len] = '\0';
}

static enum status collect(const struct redis_value *values, struct fields *fields,
                           struct field_error *error)
{
    char name[48];
    *fields = (struct fields){{NULL, 0}, {NULL, 0}, {NULL, 0}};
    for (size_t i = 0; i + 1 < redis_value_count(values); i += 2) {
        struct slice given = redis_value_text(redis_value_at(values, i));
        struct slice *field = field_of(fields, given);
        printable(given, name);
        if (!field)
            return field_refuse(error, "unknown_field", name, "An entry has e, app and k.");
        if (field->ptr)
            return field_refuse(error, "duplicate_field", name, "The field %s is there twice.",
                                name);
        *field = redis_value_text(redis_value_at(values, i + 1));
    }
    if (!fields->event.ptr)
        return field_refuse(error, "missing_field", "e", "The field e with the event is required.");
    return ST_OK;
}

static enum status check_application(struct slice given, const char *expected,
                                     struct field_error *error)
{
    char name[48];
    printable(given, name);
    if (given.ptr && !slice_eq(given, SLICE("default")))
        return field_refuse(error, "unknown_application", "app", "There is no application \"%s\".",
                            name);
    if (expected[0] && strcmp(expected, "default") != 0)
        return field_refuse(error, "unknown_application", "app",
                            "This stream is for the application \"%s\", which does not exist.",
                            expected);
    return ST_OK;
}

static enum event_format format_of(struct slice event)
{
    bool json = event.len == 0 || memchr("{ \t\r\n", event.ptr[0], 5);
    return json ? EVENT_FORMAT_JSON : EVENT_FORMAT_MSGPACK;
}

enum status feed_event_read(struct event_document *document, const struct redis_value *values,
                            const struct feed_event_rules *rules, struct field_error *error)
{
    struct fields fields;
    *document = (struct event_document){.delay_ms = 0};
    enum status status = collect(values, &fields, error);
    if (status == ST_OK)
        status = check_application(fields.application, rules->application, error);
    if (status != ST_OK)
        return status;
    if (fields.event.len > rules->document.data_bytes_max + LIMIT_FEED_BLANKS_BYTES)
        return field_refuse(error, "payload_too_large", "e",
                            "e has %zu bytes; at most %zu are taken (ingest.maxEventBytes).",
                            fields.event.len,
                            rules->document.data_bytes_max + LIMIT_FEED_BLANKS_BYTES);
    status = event_document_read(document, format_of(fields.event), fields.event, &rules->document,
                                 error);
    if (status == ST_OK && fields.key.ptr)
        status = event_document_set_key(document, fields.key, "k", error);
    return status;
}
