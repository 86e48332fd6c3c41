/* events.c - POST /api/events.
 *
 *   events_create: document, headers -> publish_event -> events_stored: the answer
 *
 *   header ce-specversion        CloudEvent in binary mode, whatever its data's type is, unless
 *                                Content-Type says application/cloudevents…, which goes first
 *                                (CloudEvents, HTTP protocol binding, section 3)
 *   Content-Type, or none        the form of the body
 *
 * The request's body stays where it is until the answer; publish copies what it keeps into the
 * batch.
 */
#include "api/events.h"

#include <string.h>

#include "api/api.h"
#include "api/media_type.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/digits.h"
#include "base/id.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "wire/event_document.h"
#include "wire/trace_context.h"

enum { ACCEPTED_BYTES_MAX = ID_TEXT_MAX + DIGITS_MAX + 32 };

/* How each refusal is told; PUBLISH_REPEATED is none, and does not happen to what is posted here.
 */
static const struct events_refusal refusals[] = {
    [PUBLISH_KEY_REUSED] = {422, "idempotency_key_reused",
                            "This idempotency key came before, with a body that differed in some "
                            "byte.",
                            "idempotencyKey"},
    [PUBLISH_UID_TAKEN] = {409, "uid_taken",
                           "Another event has this uid; GET /api/events/<uid> shows it.", "uid"},
    [PUBLISH_IDEMPOTENCY_FULL] = {503, "idempotency_full",
                                  "There is no room for another idempotency key until some expire "
                                  "(idempotency.maxKeys). The event was not stored.",
                                  NULL},
    [PUBLISH_JOURNAL_FULL] = {503, "journal_full",
                              "Too many batches are unfinished (journal.maxBatches). The event was "
                              "not stored.",
                              NULL},
    [PUBLISH_UNAVAILABLE] = {503, "redis_unavailable",
                             "Redis cannot be reached. The event was not stored; try again.", NULL},
    [PUBLISH_STORE_FULL] = {503, "redis_out_of_memory",
                            "Redis is out of memory. The event was not stored; try again.", NULL},
    [PUBLISH_OVERLOADED] = {503, "overloaded",
                            "Too much is in hand. The event was not stored; try again.", NULL},
    [PUBLISH_STOPPING] = {503, "shutting_down",
                          "This server is stopping. The event was not stored; try again.", NULL},
    [PUBLISH_UNKNOWN] = {503, "outcome_unknown",
                         "Redis did not answer in time. The event may be stored or not: repeat it "
                         "with an idempotency key.",
                         NULL},
};

const char *events_refusal_code(enum publish_verdict verdict)
{
    return refusals[verdict].code;
}

const struct events_refusal *events_refusal(enum publish_verdict verdict)
{
    return &refusals[verdict];
}

void events_count_invalid(struct api *api, const char *code)
{
    size_t i = 0;
    while (i < EVENT_DOCUMENT_CODES && strcmp(event_document_codes[i], code) != 0)
        i++;
    api->events_invalid[i]++;
}

void events_refuse(struct http_request *request, enum publish_verdict verdict)
{
    reply_error(request, refusals[verdict].status, refusals[verdict].code, refusals[verdict].field,
                refusals[verdict].message);
}

/* Without printf, as every producer is answered with it. */
static struct slice write_accepted(char text[ACCEPTED_BYTES_MAX], const char *event_id,
                                   uint32_t deliveries)
{
    char number[DIGITS_MAX];
    struct slice digits = digits_u64(number, deliveries);
    char *end = stpcpy(text, "{\"id\":\"");
    end = stpcpy(end, event_id);
    end = stpcpy(end, "\",\"deliveries\":");
    end = mempcpy(end, digits.ptr, digits.len);
    *end++ = '}';
    return slice_of(text, (size_t)(end - text));
}

static void events_stored(void *arg, enum publish_verdict verdict, const char *event_id,
                          uint32_t deliveries)
{
    struct http_request *request = arg;
    if (verdict != PUBLISH_ACCEPTED && verdict != PUBLISH_DUPLICATE) {
        events_refuse(request, verdict);
        return;
    }
    char text[ACCEPTED_BYTES_MAX];
    http_reply_json(request, 202, write_accepted(text, event_id, deliveries));
}

/* ---- Headers -------------------------------------------------------------------------------- */

/* The key may be a structured-field string (quoted, as the IETF draft says) or plain. */
static bool take_key_header(struct api *api, struct http_request *request,
                            struct event_document *document)
{
    struct slice name = SLICE("Idempotency-Key");
    size_t count = http_request_header_count(request, name);
    if (count == 0)
        return true;
    struct slice key = http_request_header(request, name);
    if (key.len >= 2 && key.ptr[0] == '"' && key.ptr[key.len - 1] == '"')
        key = slice_of(key.ptr + 1, key.len - 2);
    struct field_error error;
    enum status status = count > 1
                             ? field_refuse(&error, "invalid_idempotency_key", "Idempotency-Key",
                                            "Give one Idempotency-Key.")
                             : event_document_set_key(document, key, "Idempotency-Key", &error);
    if (status == ST_OK)
        return true;
    events_count_invalid(api, error.code);
    reply_refused(request, &error);
    return false;
}

void events_take_trace(const struct http_request *request, struct event_record *record)
{
    struct slice name = SLICE("traceparent");
    if (http_request_header_count(request, name) == 1)
        trace_context_take(record, http_request_header(request, name),
                           http_request_header(request, SLICE("tracestate")));
}

/* ---- POST ----------------------------------------------------------------------------------- */

static bool is_binary_cloudevent(const struct http_request *request, struct slice type)
{
    struct slice structured = SLICE("application/cloudevents");
    return http_request_header(request, SLICE("ce-specversion")).ptr &&
           !(type.len >= structured.len &&
             slice_eq_nocase(slice_of(type.ptr, structured.len), structured));
}

static enum status read_binary(struct http_request *request, struct event_document *document,
                               const struct event_document_rules *rules, struct field_error *error)
{
    struct received_header own[LIMIT_HTTP_HEADERS];
    size_t count;
    const struct http_header *headers = http_request_headers(request, &count);
    for (size_t i = 0; i < count; i++)
        own[i] = (struct received_header){headers[i].name, headers[i].value};
    return event_document_read_binary(document, own, count, http_request_body(request), rules,
                                      error);
}

/* ST_UNSUPPORTED: none of the types that are taken; the document is then as it was. */
static enum status read_document(struct http_request *request, struct event_document *document,
                                 const struct event_document_rules *rules,
                                 struct field_error *error)
{
    struct slice name = SLICE("Content-Type");
    struct slice type = http_request_header(request, name);
    struct slice body = http_request_body(request);
    if (http_request_header_count(request, name) > 1)
        return ST_UNSUPPORTED;
    if (is_binary_cloudevent(request, type))
        return read_binary(request, document, rules, error);
    switch (media_type_of(type)) {
    case MEDIA_JSON:
        return event_document_read(document, EVENT_FORMAT_JSON, body, rules, error);
    case MEDIA_MSGPACK:
        return event_document_read(document, EVENT_FORMAT_MSGPACK, body, rules, error);
    case MEDIA_CLOUDEVENT:
        return event_document_read(document, EVENT_FORMAT_CLOUDEVENT, body, rules, error);
    case MEDIA_CLOUDEVENT_BATCH:
    case MEDIA_OTHER:
        break;
    }
    return ST_UNSUPPORTED;
}

static void refuse_type(struct http_request *request)
{
    reply_error(request, 415, "unsupported_media_type", NULL,
                "Send application/json (curl: -H 'Content-Type: application/json'), "
                "application/msgpack, application/cloudevents+json, or a CloudEvent in binary mode "
                "(with ce-specversion).");
}

void events_create(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct core *core = api->core;
    struct event_document document = {.has_delay = false};
    struct field_error error;
    struct event_document_rules rules = {.data_bytes_max = api->event_bytes_max,
                                         .now_ms = clock_wall_ms()};
    enum publish_verdict why;
    enum status status = read_document(request, &document, &rules, &error);
    if (status == ST_UNSUPPORTED) {
        refuse_type(request);
    } else if (status == ST_NOMEM) {
        core->stats.events[PUBLISH_OVERLOADED]++;
        events_refuse(request, PUBLISH_OVERLOADED);
    } else if (status != ST_OK) {
        events_count_invalid(api, error.code);
        reply_refused(request, &error);
    } else if (take_key_header(api, request, &document)) {
        events_take_trace(request, &document.record);
        if (document.has_delay)
            document.record.deliver_at_ms = store_redis_ms(core->store) + document.delay_ms;
        struct publish_item item = {.record = document.record,
                                    .idempotency_key = document.idempotency_key,
                                    .raw = document.raw};
        if (publish_event(core->publish, &item, events_stored, request, &why) != ST_OK)
            events_refuse(request, why);
    }
    event_document_free(&document);
}
