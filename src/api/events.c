/* events.c - POST /api/events.
 *
 *   events_create: document, headers -> publish_event -> events_stored: the answer
 *
 * The request's body stays where it is until the answer; publish copies what it keeps into the
 * batch.
 */
#include "api/events.h"

#include <string.h>

#include "api/api.h"
#include "api/event_document.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/digits.h"
#include "base/id.h"
#include "base/json_out.h"
#include "base/limits.h"

enum { TRACESTATE_BYTES_MAX = 512, ACCEPTED_BYTES_MAX = ID_TEXT_MAX + DIGITS_MAX + 32 };

/* How each refusal is told; PUBLISH_REPEATED is none, and does not happen to what is posted here.
 */
static const struct {
    int status;
    const char *code;
    const char *message;
    const char *field; /* NULL: none is at fault */
} refusals[] = {
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

static void count_invalid(struct api *api, const char *code)
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
    if (count > 1 || key.len == 0 || key.len > LIMIT_IDEMPOTENCY_KEY_BYTES ||
        (document->idempotency_key.ptr && !slice_eq(document->idempotency_key, key))) {
        count_invalid(api, "invalid_idempotency_key");
        reply_error(request, 400, "invalid_idempotency_key", "Idempotency-Key",
                    "Give one Idempotency-Key of 1 to 256 bytes, the same as idempotencyKey when "
                    "both are given.");
        return false;
    }
    document->idempotency_key = key;
    return true;
}

static bool lower_hex(struct slice text, bool may_be_zero)
{
    bool zero = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
    }
    return may_be_zero || !zero;
}

/* W3C trace context: an invalid traceparent is passed over, and tracestate with it. */
static void take_trace(struct http_request *request, struct event_record *record)
{
    struct slice parent = http_request_header(request, SLICE("traceparent"));
    if (parent.len != 55 || http_request_header_count(request, SLICE("traceparent")) != 1 ||
        !slice_starts(parent, SLICE("00-")) || parent.ptr[35] != '-' || parent.ptr[52] != '-' ||
        !lower_hex(slice_of(parent.ptr + 3, 32), false) ||
        !lower_hex(slice_of(parent.ptr + 36, 16), false) ||
        !lower_hex(slice_of(parent.ptr + 53, 2), true))
        return;
    record->traceparent = parent;
    struct slice state = http_request_header(request, SLICE("tracestate"));
    if (state.len > 0 && state.len <= TRACESTATE_BYTES_MAX)
        record->tracestate = state;
}

/* ---- POST ----------------------------------------------------------------------------------- */

void events_create(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct core *core = api->core;
    struct event_document document;
    struct field_error error;
    struct event_document_rules rules = {.data_bytes_max = api->event_bytes_max,
                                         .now_ms = clock_wall_ms()};
    enum publish_verdict why;
    struct slice body = http_request_body(request);
    enum status status = event_document_read(&document, body, &rules, &error);
    if (status == ST_NOMEM) {
        core->stats.events[PUBLISH_OVERLOADED]++;
        events_refuse(request, PUBLISH_OVERLOADED);
    } else if (status != ST_OK) {
        count_invalid(api, error.code);
        reply_refused(request, &error);
    } else if (take_key_header(api, request, &document)) {
        take_trace(request, &document.record);
        if (document.has_delay)
            document.record.deliver_at_ms = store_redis_ms(core->store) + document.delay_ms;
        struct publish_item item = {
            .record = document.record, .idempotency_key = document.idempotency_key, .raw = body};
        if (publish_event(core->publish, &item, events_stored, request, &why) != ST_OK)
            events_refuse(request, why);
    }
    event_document_free(&document);
}
