/* event_document.c - an event as a producer sends it: its members, and their form in JSON.
 *
 * Each member has a row in the table below with the function that takes it, whatever the event was
 * written in; README.md names the members.
 *
 *   JSON         one pass of json_scan validates everything and gives the top-level members
 *   msgpack      event_msgpack.c
 *   CloudEvents  event_cloud.c: other names, which lead to the same functions
 */

#include <stdio.h>

#include "base/id.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/timefmt.h"
#include "wire/event_document_private.h"
#include "wire/event_type.h"

enum { MEMBERS_MAX = 32 };

#define DELAY_MAX_MS ((uint64_t)366 * 24 * 3600 * 1000)

enum status event_refuse(struct event_reading *reading, const char *code, const char *name,
                         const char *message)
{
    return field_refuse(reading->error, code, name, "%s", message);
}

enum status event_refuse_size(struct event_reading *reading, size_t bytes)
{
    return field_refuse(reading->error, "payload_too_large", "data",
                        "data has %zu bytes; at most %zu are taken (ingest.maxEventBytes).", bytes,
                        reading->rules->data_bytes_max);
}

/* ---- Members -------------------------------------------------------------------------------- */

enum status event_take_text(struct event_reading *reading, const char *name, const char *code,
                            size_t most, const struct event_value *value, struct slice *out)
{
    if (value->kind != VALUE_TEXT)
        return field_refuse(reading->error, code, name, "%s must be a string.", name);
    struct slice text = value->text;
    if (text.len == 0 || text.len > most || memchr(text.ptr, '\0', text.len))
        return field_refuse(reading->error, code, name,
                            "%s must have 1 to %zu bytes, none of them NUL.", name, most);
    *out = text;
    return ST_OK;
}

enum status event_take_type(struct event_reading *reading, const char *name,
                            const struct event_value *value)
{
    if (value->kind != VALUE_TEXT || !event_type_valid(value->text))
        return event_refuse(
            reading, "invalid_type", name,
            "type must be a string of segments of A-Z a-z 0-9 _ - with dots between "
            "them, such as \"order.created\", of at most 256 bytes.");
    reading->document->record.type = value->text;
    return ST_OK;
}

/* A time as text, or as the time that msgpack knows. */
static bool time_of(const struct event_value *value, uint64_t *unix_ms)
{
    if (value->kind == VALUE_TIME)
        *unix_ms = value->number;
    return value->kind == VALUE_TIME ||
           (value->kind == VALUE_TEXT && time_parse_rfc3339(value->text, unix_ms) == ST_OK);
}

enum status event_take_timestamp(struct event_reading *reading, const char *name,
                                 const struct event_value *value)
{
    if (!time_of(value, &reading->document->record.timestamp_ms))
        return field_refuse(reading->error, "invalid_timestamp", name,
                            "%s must be a time as in RFC 3339, such as "
                            "\"2026-11-22T04:23:54.123Z\".",
                            name);
    return ST_OK;
}

static enum status take_version(struct event_reading *reading, const char *name,
                                const struct event_value *value)
{
    return event_take_text(reading, name, "invalid_version", LIMIT_UID_BYTES, value,
                           &reading->document->record.version);
}

static enum status take_source(struct event_reading *reading, const char *name,
                               const struct event_value *value)
{
    return event_take_text(reading, name, "invalid_source", LIMIT_UID_BYTES, value,
                           &reading->document->record.source);
}

static enum status take_uid(struct event_reading *reading, const char *name,
                            const struct event_value *value)
{
    struct slice *uid = &reading->document->record.uid;
    struct id ours;
    enum status status = event_take_text(reading, name, "invalid_uid", LIMIT_UID_BYTES, value, uid);
    if (status == ST_OK && id_parse(*uid, "msg_", &ours) == ST_OK)
        return event_refuse(reading, "invalid_uid", name, "uid must not look like an id of ours.");
    return status;
}

enum status event_take_ordering_key(struct event_reading *reading, const char *name,
                                    const struct event_value *value)
{
    return event_take_text(reading, name, "invalid_ordering_key", LIMIT_ORDERING_KEY_BYTES, value,
                           &reading->document->record.ordering_key);
}

static enum status take_key(struct event_reading *reading, const char *name,
                            const struct event_value *value)
{
    return event_take_text(reading, name, "invalid_idempotency_key", LIMIT_IDEMPOTENCY_KEY_BYTES,
                           value, &reading->document->idempotency_key);
}

static enum status refuse_deliver_at(struct event_reading *reading)
{
    return event_refuse(reading, "invalid_deliver_at", "deliverAt",
                        "deliverAt must be a time as in RFC 3339, at most 366 days ahead.");
}

static enum status take_deliver_at(struct event_reading *reading, const char *name,
                                   const struct event_value *value)
{
    (void)name;
    if (!time_of(value, &reading->document->record.deliver_at_ms))
        return refuse_deliver_at(reading);
    reading->document->has_deliver_at = true;
    return ST_OK;
}

static enum status take_delay(struct event_reading *reading, const char *name,
                              const struct event_value *value)
{
    uint64_t *delay_ms = &reading->document->delay_ms;
    bool good = value->kind == VALUE_INTEGER;
    if (good)
        *delay_ms = value->number;
    else if (value->kind == VALUE_TEXT)
        good = parse_duration_ms(value->text, delay_ms) == ST_OK;
    if (!good || *delay_ms > DELAY_MAX_MS)
        return event_refuse(reading, "invalid_delay", name,
                            "delay must be a duration with a unit, such as \"90s\" or \"2h\", or "
                            "whole milliseconds, of at most 366 days.");
    reading->document->has_delay = true;
    return ST_OK;
}

const struct event_member event_members[EVENT_MEMBERS] = {
    {{"type", 4}, event_take_type},
    {{"data", 4}, NULL},
    {{"timestamp", 9}, event_take_timestamp},
    {{"version", 7}, take_version},
    {{"source", 6}, take_source},
    {{"uid", 3}, take_uid},
    {{"idempotencyKey", 14}, take_key},
    {{"orderingKey", 11}, event_take_ordering_key},
    {{"deliverAt", 9}, take_deliver_at},
    {{"delay", 5}, take_delay},
};

enum status event_refuse_name(struct event_reading *reading, struct slice name)
{
    char text[96];
    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(name));
    return event_refuse(reading, "unknown_field", text,
                        "An event has type, data, timestamp, version, source, uid, "
                        "idempotencyKey, orderingKey, deliverAt and delay.");
}

const char *const event_document_codes[EVENT_DOCUMENT_CODES] = {
    "invalid_json",         "invalid_msgpack", "invalid_cloudevent", "json_too_deep",
    "unsupported_value",    "unknown_field",   "missing_field",      "payload_too_large",
    "invalid_type",         "invalid_version", "invalid_timestamp",  "invalid_idempotency_key",
    "invalid_ordering_key", "invalid_source",  "invalid_delay",      "invalid_deliver_at",
    "invalid_uid",
};

/* ---- JSON ----------------------------------------------------------------------------------- */

/* A string's text: in place when it has no escapes, else unescaped into the storage. */
static enum status text_of(struct event_document *document, struct slice quoted, struct slice *text)
{
    if (json_string_is_plain(quoted)) {
        *text = slice_of(quoted.ptr + 1, quoted.len - 2);
        return ST_OK;
    }
    struct buf *storage = &document->storage;
    size_t from = storage->len;
    /* Texts stay where they are: the storage takes room for all of them at once, which is never
     * more than the body has, and does not move. */
    if (from == 0 && !buf_reserve(storage, storage->max))
        return ST_NOMEM;
    if (json_unescape(quoted, storage) != ST_OK)
        return ST_NOMEM; /* the scanner has found it well-formed */
    *text = slice_of(storage->ptr + from, storage->len - from);
    return ST_OK;
}

static enum status value_of(struct event_document *document, const struct json_member *member,
                            struct event_value *value)
{
    value->kind = VALUE_OTHER;
    if (member->type == JSON_STRING) {
        value->kind = VALUE_TEXT;
        return text_of(document, member->value, &value->text);
    }
    if (member->type == JSON_NUMBER && parse_u64(member->value, &value->number) == ST_OK)
        value->kind = VALUE_INTEGER;
    return ST_OK;
}

static enum status take(struct event_reading *reading, const struct json_member *member)
{
    size_t i = 0;
    while (i < EVENT_MEMBERS && !json_find(member, 1, event_members[i].name))
        i++;
    if (i == EVENT_MEMBERS)
        return event_refuse_name(reading, member->name);
    if (!event_members[i].take) {
        reading->document->record.data = member->value;
        return member->value.len > reading->rules->data_bytes_max
                   ? event_refuse_size(reading, member->value.len)
                   : ST_OK;
    }
    struct event_value value;
    enum status status = value_of(reading->document, member, &value);
    return status == ST_OK ? event_members[i].take(reading, event_members[i].name.ptr, &value)
                           : status;
}

enum status event_json_members(struct event_reading *reading, struct slice body,
                               struct json_member *members, size_t max, size_t *count)
{
    struct json_error json;
    *count = 0;
    enum status status = json_members(body, members, max, count, &json);
    if (status == ST_OK || status == ST_NOMEM)
        return status;
    if (status == ST_LIMIT && *count < max)
        return field_refuse(reading->error, "json_too_deep", "", "The body is %s.", json.reason);
    return field_refuse(reading->error, "invalid_json", "",
                        "The body must be a JSON object: %s at byte %zu.", json.reason,
                        json.offset);
}

static enum status read_json(struct event_reading *reading, struct slice body)
{
    struct json_member members[MEMBERS_MAX];
    size_t count;
    enum status status = event_json_members(reading, body, members, MEMBERS_MAX, &count);
    buf_init(&reading->document->storage, body.len);
    for (size_t i = 0; i < count && status == ST_OK; i++)
        status = take(reading, &members[i]);
    return status;
}

/* ---- The whole ------------------------------------------------------------------------------ */

static enum status check_whole(struct event_reading *reading)
{
    const struct event_document *document = reading->document;
    if (!document->record.type.ptr)
        return event_refuse(reading, "missing_field", "type", "type is required.");
    if (!document->record.data.ptr)
        return event_refuse(reading, "missing_field", "data", "data is required; it may be null.");
    if (document->has_delay && document->has_deliver_at)
        return event_refuse(reading, "invalid_delay", "delay",
                            "Give delay or deliverAt, not both.");
    if (document->record.deliver_at_ms > reading->rules->now_ms + DELAY_MAX_MS)
        return refuse_deliver_at(reading);
    return ST_OK;
}

static void document_begin(struct event_document *document,
                           const struct event_document_rules *rules, struct slice body)
{
    *document = (struct event_document){
        .record = {.application = SLICE("default"), .timestamp_ms = rules->now_ms},
        .raw = body,
        .whole = body};
    buf_init(&document->storage, 0);
}

static enum status document_end(struct event_reading *reading, enum status status)
{
    if (reading->document->storage.error == ST_NOMEM)
        return ST_NOMEM; /* whatever was said of the member whose text found no room */
    return status == ST_OK ? check_whole(reading) : status;
}

enum status event_document_read(struct event_document *document, enum event_format format,
                                struct slice body, const struct event_document_rules *rules,
                                struct field_error *error)
{
    struct event_reading reading = {document, rules, error};
    enum status status = ST_OK;
    document_begin(document, rules, body);
    switch (format) {
    case EVENT_FORMAT_JSON:
        status = read_json(&reading, body);
        break;
    case EVENT_FORMAT_MSGPACK:
        status = event_read_msgpack(&reading, body);
        break;
    case EVENT_FORMAT_CLOUDEVENT:
        status = event_read_cloud(&reading, body);
        break;
    }
    return document_end(&reading, status);
}

enum status event_document_read_binary(struct event_document *document,
                                       const struct received_header *headers, size_t header_count,
                                       struct slice body, const struct event_document_rules *rules,
                                       struct field_error *error)
{
    struct event_reading reading = {document, rules, error};
    document_begin(document, rules, body);
    return document_end(&reading, event_read_binary(&reading, headers, header_count, body));
}

enum status event_document_set_key(struct event_document *document, struct slice key,
                                   const char *name, struct field_error *error)
{
    bool given = document->idempotency_key.ptr && !document->key_derived;
    if (key.len == 0 || key.len > LIMIT_IDEMPOTENCY_KEY_BYTES || memchr(key.ptr, '\0', key.len))
        return field_refuse(error, "invalid_idempotency_key", name,
                            "%s must have 1 to %d bytes, none of them NUL.", name,
                            LIMIT_IDEMPOTENCY_KEY_BYTES);
    if (given && !slice_eq(document->idempotency_key, key))
        return field_refuse(error, "invalid_idempotency_key", name,
                            "%s must be the same as idempotencyKey when both are given.", name);
    document->idempotency_key = key;
    document->key_derived = false;
    document->raw = document->whole;
    return ST_OK;
}

void event_document_free(struct event_document *document)
{
    buf_free(&document->storage);
}
