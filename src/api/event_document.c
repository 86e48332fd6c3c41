/* event_document.c - the JSON of an event as a producer sends it.
 *
 * One pass of json_scan validates everything and gives the top-level members; each known member has
 * a row in the table below with the function that takes it. README.md names the members.
 */
#include "api/event_document.h"

#include <stdio.h>

#include "base/id.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/timefmt.h"
#include "core/endpoint_config.h"

enum { MEMBERS_MAX = 32 };

#define DELAY_MAX_MS ((uint64_t)366 * 24 * 3600 * 1000)

struct reading {
    struct event_document *document;
    const struct event_document_rules *rules;
    struct field_error *error;
};

typedef enum status member_fn(struct reading *reading, const char *name,
                              const struct json_member *member);

static enum status refuse(struct reading *reading, const char *code, const char *name,
                          const char *message)
{
    return field_refuse(reading->error, code, name, "%s", message);
}

/* A string's text: in place when it has no escapes, else unescaped into the storage. */
static enum status text_of(struct reading *reading, const struct json_member *member,
                           struct slice *text)
{
    if (json_string_is_plain(member->value)) {
        *text = slice_of(member->value.ptr + 1, member->value.len - 2);
        return ST_OK;
    }
    struct buf *storage = &reading->document->storage;
    size_t from = storage->len;
    /* Texts stay where they are: the storage takes room for all of them at once, which is never
     * more than the body has, and does not move. */
    if (from == 0 && !buf_reserve(storage, storage->max))
        return ST_NOMEM;
    if (json_unescape(member->value, storage) != ST_OK)
        return ST_NOMEM; /* the scanner has found it well-formed */
    *text = slice_of(storage->ptr + from, storage->len - from);
    return ST_OK;
}

/* A string of 1 to `most` bytes without NUL. */
static enum status take_text(struct reading *reading, const char *name, const char *code,
                             size_t most, const struct json_member *member, struct slice *out)
{
    struct slice text;
    if (member->type != JSON_STRING)
        return field_refuse(reading->error, code, name, "%s must be a string.", name);
    enum status status = text_of(reading, member, &text);
    if (status != ST_OK)
        return status;
    if (text.len == 0 || text.len > most || memchr(text.ptr, '\0', text.len))
        return field_refuse(reading->error, code, name,
                            "%s must have 1 to %zu bytes, none of them NUL.", name, most);
    *out = text;
    return ST_OK;
}

/* ---- Members -------------------------------------------------------------------------------- */

static enum status take_type(struct reading *reading, const char *name,
                             const struct json_member *member)
{
    struct slice *type = &reading->document->record.type;
    if (member->type != JSON_STRING || text_of(reading, member, type) != ST_OK ||
        !event_type_valid(*type))
        return refuse(reading, "invalid_type", name,
                      "type must be a string of segments of A-Z a-z 0-9 _ - with dots between "
                      "them, such as \"order.created\", of at most 256 bytes.");
    return ST_OK;
}

static enum status take_data(struct reading *reading, const char *name,
                             const struct json_member *member)
{
    if (member->value.len > reading->rules->data_bytes_max)
        return field_refuse(reading->error, "payload_too_large", name,
                            "data has %zu bytes; at most %zu are taken (ingest.maxEventBytes).",
                            member->value.len, reading->rules->data_bytes_max);
    reading->document->record.data = member->value;
    return ST_OK;
}

static enum status take_timestamp(struct reading *reading, const char *name,
                                  const struct json_member *member)
{
    struct slice text;
    if (member->type != JSON_STRING || text_of(reading, member, &text) != ST_OK ||
        time_parse_rfc3339(text, &reading->document->record.timestamp_ms) != ST_OK)
        return refuse(reading, "invalid_timestamp", name,
                      "timestamp must be a time as in RFC 3339, such as "
                      "\"2026-11-22T04:23:54.123Z\".");
    return ST_OK;
}

static enum status take_version(struct reading *reading, const char *name,
                                const struct json_member *member)
{
    return take_text(reading, name, "invalid_version", LIMIT_UID_BYTES, member,
                     &reading->document->record.version);
}

static enum status take_source(struct reading *reading, const char *name,
                               const struct json_member *member)
{
    return take_text(reading, name, "invalid_source", LIMIT_UID_BYTES, member,
                     &reading->document->record.source);
}

static enum status take_uid(struct reading *reading, const char *name,
                            const struct json_member *member)
{
    struct slice *uid = &reading->document->record.uid;
    struct id ours;
    enum status status = take_text(reading, name, "invalid_uid", LIMIT_UID_BYTES, member, uid);
    if (status == ST_OK && id_parse(*uid, "msg_", &ours) == ST_OK)
        return refuse(reading, "invalid_uid", name, "uid must not look like an id of ours.");
    return status;
}

static enum status take_key(struct reading *reading, const char *name,
                            const struct json_member *member)
{
    return take_text(reading, name, "invalid_idempotency_key", LIMIT_IDEMPOTENCY_KEY_BYTES, member,
                     &reading->document->idempotency_key);
}

static enum status refuse_deliver_at(struct reading *reading)
{
    return refuse(reading, "invalid_deliver_at", "deliverAt",
                  "deliverAt must be a time as in RFC 3339, at most 366 days ahead.");
}

static enum status take_deliver_at(struct reading *reading, const char *name,
                                   const struct json_member *member)
{
    (void)name;
    struct slice text;
    if (member->type != JSON_STRING || text_of(reading, member, &text) != ST_OK ||
        time_parse_rfc3339(text, &reading->document->record.deliver_at_ms) != ST_OK)
        return refuse_deliver_at(reading);
    reading->document->has_deliver_at = true;
    return ST_OK;
}

static enum status take_delay(struct reading *reading, const char *name,
                              const struct json_member *member)
{
    struct slice text = member->value;
    enum status status = ST_SYNTAX;
    uint64_t *delay_ms = &reading->document->delay_ms;
    if (member->type == JSON_NUMBER)
        status = parse_u64(text, delay_ms);
    else if (member->type == JSON_STRING && text_of(reading, member, &text) == ST_OK)
        status = parse_duration_ms(text, delay_ms);
    if (status != ST_OK || *delay_ms > DELAY_MAX_MS)
        return refuse(reading, "invalid_delay", name,
                      "delay must be a duration with a unit, such as \"90s\" or \"2h\", or whole "
                      "milliseconds, of at most 366 days.");
    reading->document->has_delay = true;
    return ST_OK;
}

static const struct {
    struct slice name;
    member_fn *take;
} known[] = {
    {{"type", 4}, take_type},           {{"data", 4}, take_data},
    {{"timestamp", 9}, take_timestamp}, {{"version", 7}, take_version},
    {{"source", 6}, take_source},       {{"uid", 3}, take_uid},
    {{"idempotencyKey", 14}, take_key}, {{"deliverAt", 9}, take_deliver_at},
    {{"delay", 5}, take_delay},
};

static enum status take(struct reading *reading, const struct json_member *member)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (json_find(member, 1, known[i].name))
            return known[i].take(reading, known[i].name.ptr, member);
    char name[96];
    snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(member->name));
    return refuse(reading, "unknown_field", name,
                  "An event has type, data, timestamp, version, source, uid, idempotencyKey, "
                  "deliverAt and delay.");
}

const char *const event_document_codes[EVENT_DOCUMENT_CODES] = {
    "invalid_json",    "json_too_deep",     "unknown_field",
    "missing_field",   "payload_too_large", "invalid_type",
    "invalid_version", "invalid_timestamp", "invalid_idempotency_key",
    "invalid_source",  "invalid_delay",     "invalid_deliver_at",
    "invalid_uid",
};

/* ---- The whole ------------------------------------------------------------------------------ */

static enum status check_whole(struct reading *reading)
{
    const struct event_document *document = reading->document;
    if (!document->record.type.ptr)
        return refuse(reading, "missing_field", "type", "type is required.");
    if (!document->record.data.ptr)
        return refuse(reading, "missing_field", "data", "data is required; it may be null.");
    if (document->has_delay && document->has_deliver_at)
        return refuse(reading, "invalid_delay", "delay", "Give delay or deliverAt, not both.");
    if (document->record.deliver_at_ms > reading->rules->now_ms + DELAY_MAX_MS)
        return refuse_deliver_at(reading);
    return ST_OK;
}

enum status event_document_read(struct event_document *document, struct slice body,
                                const struct event_document_rules *rules, struct field_error *error)
{
    struct reading reading = {document, rules, error};
    struct json_member members[MEMBERS_MAX];
    struct json_error json;
    size_t count = 0;
    *document = (struct event_document){
        .record = {.application = SLICE("default"), .timestamp_ms = rules->now_ms}};
    buf_init(&document->storage, body.len);
    enum status status = json_members(body, members, MEMBERS_MAX, &count, &json);
    if (status == ST_NOMEM)
        return status;
    if (status == ST_LIMIT && count < MEMBERS_MAX)
        return field_refuse(error, "json_too_deep", "", "The body is %s.", json.reason);
    if (status != ST_OK)
        return field_refuse(error, "invalid_json", "",
                            "The body must be a JSON object: %s at byte %zu.", json.reason,
                            json.offset);
    for (size_t i = 0; i < count && status == ST_OK; i++)
        status = take(&reading, &members[i]);
    if (buf_status(&document->storage) != ST_OK)
        return ST_NOMEM; /* whatever was said of the member whose text found no room */
    return status == ST_OK ? check_whole(&reading) : status;
}

void event_document_free(struct event_document *document)
{
    buf_free(&document->storage);
}
