/* event_cloud.c - an event that is a CloudEvent (version 1.0: CloudEvents core specification, JSON
 * event format, HTTP protocol binding).
 *
 *   event_cloud_json.c   structured: members of a JSON object   \
 *                                                                 >  a list of attributes: here
 *   event_cloud_http.c   binary: headers that begin with "ce-"  /
 *
 *   attribute         becomes
 *   type              the type, and must be one of ours (event_type.h)
 *   source            the source
 *   time              the timestamp
 *   id                with source the idempotency key: the specification says that events with the
 *                     same source and id are the same event, whatever else differs. A producer that
 *                     repeats a request (with another time of sending in it, say) is answered with
 *                     the first one's id. A key that is given with the request replaces this one
 *   datacontenttype   the content type; in binary mode it is the request's
 *   partitionkey      the ordering key
 *   traceparent, tracestate   the trace, unless the request has one
 *
 * Besides, all attributes are kept as they came, extensions too, so that nothing is lost:
 * record.cloud_event.
 *
 * Data is JSON when its type says so (…/json, …+json), or when in structured mode it has no type;
 * in binary mode without a type when it looks so (event_data.h). Data of other types is text if it
 * is UTF-8, else bytes. An event without data has null.
 *
 * All texts that are made go to the storage, in which enough room is taken at the beginning
 * (cloud_take_room): what stands there does not move.
 */
#include <stdio.h>

#include "base/ascii.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "wire/event_cloud_private.h"
#include "wire/event_data.h"
#include "wire/trace_context.h"

/* ---- Refusals ------------------------------------------------------------------------------- */

enum status cloud_refuse(struct cloud *cloud, struct slice name, const char *message)
{
    char field[sizeof(cloud->reading->error->field)];
    snprintf(field, sizeof(field), "%.*s", SLICE_ARGS(name));
    return event_refuse(cloud->reading, "invalid_cloudevent", field, message);
}

static enum status refuse_missing(struct cloud *cloud, const char *name)
{
    return field_refuse(cloud->reading->error, "missing_field", name,
                        "A CloudEvent needs %s (specversion, id, source and type are required).",
                        name);
}

/* ---- One attribute -------------------------------------------------------------------------- */

bool cloud_take_room(struct cloud *cloud, size_t bytes)
{
    cloud->storage->max = bytes;
    return buf_reserve(cloud->storage, bytes) != NULL;
}

/* Core specification, "Naming conventions". */
static bool name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!(name.ptr[i] >= 'a' && name.ptr[i] <= 'z') && !ascii_is_digit(name.ptr[i]))
            return false;
    return name.len > 0 && !slice_eq(name, SLICE("data"));
}

/* Core specification, "Type system": no control characters, which are U+0000 to U+001F and U+007F
 * to U+009F. The text is UTF-8. */
static bool text_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)text.ptr[i + 1] < 0xa0))
            return false;
    }
    return true;
}

enum status cloud_add(struct cloud *cloud, const struct attribute *attribute)
{
    if (!name_valid(attribute->name))
        return cloud_refuse(
            cloud, attribute->name,
            "A CloudEvent's attribute has a name of a-z and 0-9 (and \"data\" is none).");
    if (attribute->value.kind == VALUE_TEXT && !text_valid(attribute->value.text))
        return cloud_refuse(cloud, attribute->name,
                            "A CloudEvent's attribute must not have control characters.");
    if (cloud->count == LIMIT_CLOUDEVENT_ATTRIBUTES)
        return cloud_refuse(cloud, attribute->name, "A CloudEvent has at most 64 attributes.");
    cloud->attributes[cloud->count++] = *attribute;
    return ST_OK;
}

/* ---- What attributes mean ------------------------------------------------------------------- */

static enum status take_text(struct cloud *cloud, const char *name, const char *code,
                             const struct event_value *value, struct slice *out)
{
    return event_take_text(cloud->reading, name, code, LIMIT_URL_BYTES, value, out);
}

static enum status take_specversion(struct cloud *cloud, const struct event_value *value)
{
    if (value->kind != VALUE_TEXT || !slice_eq(value->text, SLICE("1.0")))
        return cloud_refuse(cloud, SLICE("specversion"),
                            "CloudEvents of specversion \"1.0\" are taken, and no others.");
    cloud->specversion = value->text;
    return ST_OK;
}

static enum status take_id(struct cloud *cloud, const struct event_value *value)
{
    return take_text(cloud, "id", "invalid_cloudevent", value, &cloud->id);
}

static enum status take_source(struct cloud *cloud, const struct event_value *value)
{
    return take_text(cloud, "source", "invalid_source", value,
                     &cloud->reading->document->record.source);
}

static enum status take_type(struct cloud *cloud, const struct event_value *value)
{
    return event_take_type(cloud->reading, "type", value);
}

static enum status take_time(struct cloud *cloud, const struct event_value *value)
{
    return event_take_timestamp(cloud->reading, "time", value);
}

/* The value of a header one day. */
static enum status take_content_type(struct cloud *cloud, const struct event_value *value)
{
    struct slice *type = &cloud->reading->document->record.content_type;
    enum status status = take_text(cloud, "datacontenttype", "invalid_cloudevent", value, type);
    for (size_t i = 0; status == ST_OK && i < type->len; i++)
        if ((unsigned char)type->ptr[i] >= 0x80)
            status = cloud_refuse(cloud, SLICE("datacontenttype"), "A media type is ASCII.");
    return status;
}

static enum status take_subject(struct cloud *cloud, const struct event_value *value)
{
    struct slice unused;
    return take_text(cloud, "subject", "invalid_cloudevent", value, &unused);
}

static enum status take_dataschema(struct cloud *cloud, const struct event_value *value)
{
    struct slice unused;
    return take_text(cloud, "dataschema", "invalid_cloudevent", value, &unused);
}

static enum status take_partitionkey(struct cloud *cloud, const struct event_value *value)
{
    return event_take_ordering_key(cloud->reading, "partitionkey", value);
}

/* A trace that is none is passed over, as in headers. */
static enum status take_traceparent(struct cloud *cloud, const struct event_value *value)
{
    if (value->kind == VALUE_TEXT)
        cloud->traceparent = value->text;
    return ST_OK;
}

static enum status take_tracestate(struct cloud *cloud, const struct event_value *value)
{
    if (value->kind == VALUE_TEXT)
        cloud->tracestate = value->text;
    return ST_OK;
}

static const struct {
    struct slice name;
    enum status (*take)(struct cloud *cloud, const struct event_value *value);
} known[] = {
    {{"specversion", 11}, take_specversion},
    {{"id", 2}, take_id},
    {{"source", 6}, take_source},
    {{"type", 4}, take_type},
    {{"time", 4}, take_time},
    {{"datacontenttype", 15}, take_content_type},
    {{"subject", 7}, take_subject},
    {{"dataschema", 10}, take_dataschema},
    {{"partitionkey", 12}, take_partitionkey},
    {{"traceparent", 11}, take_traceparent},
    {{"tracestate", 10}, take_tracestate},
};

static enum status take_known(struct cloud *cloud, const struct attribute *attribute)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (slice_eq(known[i].name, attribute->name))
            return known[i].take(cloud, &attribute->value);
    return ST_OK; /* an extension */
}

/* All attributes as one JSON object. */
static enum status keep(struct cloud *cloud)
{
    size_t from = cloud->storage->len;
    struct json_out out;
    json_out_begin(&out, cloud->storage);
    json_object_open(&out);
    for (size_t i = 0; i < cloud->count; i++) {
        const struct attribute *attribute = &cloud->attributes[i];
        json_key_slice(&out, attribute->name);
        if (attribute->json.ptr)
            json_value_raw(&out, attribute->json);
        else
            json_value_slice(&out, attribute->value.text);
    }
    json_object_close(&out);
    struct slice kept = slice_from(buf_slice(cloud->storage), from);
    if (kept.len > LIMIT_CLOUDEVENT_BYTES)
        return cloud_refuse(cloud, SLICE(""),
                            "A CloudEvent's attributes have at most 16384 bytes.");
    cloud->reading->document->record.cloud_event = kept;
    return ST_OK;
}

/* Keys that are given have no NUL, so none of them is one of these. */
static void derive_key(struct cloud *cloud)
{
    struct event_document *document = cloud->reading->document;
    size_t from = cloud->storage->len;
    buf_add(cloud->storage, "ce", sizeof("ce"));
    buf_add_slice(cloud->storage, document->record.source);
    buf_add_char(cloud->storage, '\0');
    buf_add_slice(cloud->storage, cloud->id);
    document->idempotency_key = slice_from(buf_slice(cloud->storage), from);
    document->key_derived = true;
    document->raw = SLICE("CloudEvent"); /* who has the id has the event */
}

enum status cloud_take_attributes(struct cloud *cloud)
{
    struct event_record *record = &cloud->reading->document->record;
    enum status status = ST_OK;
    for (size_t i = 0; i < cloud->count && status == ST_OK; i++)
        status = take_known(cloud, &cloud->attributes[i]);
    if (status != ST_OK)
        return status;
    if (!cloud->specversion.ptr)
        return refuse_missing(cloud, "specversion");
    if (!cloud->id.ptr)
        return refuse_missing(cloud, "id");
    if (!record->source.ptr)
        return refuse_missing(cloud, "source");
    if (!record->type.ptr)
        return refuse_missing(cloud, "type");
    trace_context_take(record, cloud->traceparent, cloud->tracestate);
    derive_key(cloud);
    return keep(cloud);
}

/* ---- Data ----------------------------------------------------------------------------------- */

enum status cloud_set_data(struct cloud *cloud, struct slice data, enum event_data kind)
{
    struct event_record *record = &cloud->reading->document->record;
    record->data = data;
    record->data_kind = kind;
    return data.len > cloud->reading->rules->data_bytes_max
               ? event_refuse_size(cloud->reading, data.len)
               : ST_OK;
}

enum status cloud_set_no_data(struct cloud *cloud)
{
    return cloud_set_data(cloud, SLICE("null"), EVENT_DATA_JSON);
}

static enum status set_json(struct cloud *cloud, struct slice data)
{
    struct json_error json;
    enum status status = json_check(data, &json);
    if (status == ST_OK)
        return cloud_set_data(cloud, data, EVENT_DATA_JSON);
    return field_refuse(cloud->reading->error,
                        status == ST_LIMIT ? "json_too_deep" : "invalid_json", "data",
                        "The type of the data is JSON, but the data is not: %s at byte %zu.",
                        json.reason, json.offset);
}

/* Data that came as bytes, which is what its type says. */
enum status cloud_set_bytes(struct cloud *cloud, struct slice data)
{
    struct slice type = cloud->reading->document->record.content_type;
    bool json = event_data_type_is_json(type);
    if (data.len == 0 && (json || !type.ptr))
        return cloud_set_no_data(cloud);
    if (json)
        return set_json(cloud, data);
    if (!type.ptr)
        return cloud_set_data(cloud, data, event_data_kind(data, type));
    return cloud_set_data(cloud, data, utf8_valid(data) ? EVENT_DATA_TEXT : EVENT_DATA_BYTES);
}
