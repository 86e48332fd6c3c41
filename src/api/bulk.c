/* bulk.c - POST /api/events/batch.
 *
 *   bulk_create: form, key, trace -> bulk_go_on, whenever more of the body is here:
 *
 *       window --event_split--> event --event_document--> publish_event
 *          ^                      | bad: a result at once      |
 *          | consumed             `--------> results <---------' bulk_stored, when Redis has it
 *
 *   the body's end, and nothing waits for Redis any more -> the answer
 *
 * An event is journalled as soon as it is there, whatever becomes of those behind it: the client's
 * end, a deadline or broken framing end the reading, and the answer (if anybody hears it) says what
 * was stored before and, as its last result, why there is no more. Only when that was before the
 * first event the request is refused as a whole. Rejected: all or nothing, which would keep 16 MiB
 * in memory until the last byte has come, and could still store a part when Redis goes away.
 *
 * Slices. A request takes at most TURN_EVENTS events or TURN_BYTES in a turn of the loop, and all
 * of them together four times that; the rest waits for the next turn in the order of arrival.
 *
 * Back-pressure. So many events may wait for Redis, of a request and of all together; then nothing
 * is parsed, the window fills, and the socket is no longer read. It goes on at half of that.
 */
#include "api/bulk.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/bulk_results.h"
#include "api/media_type.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/digits.h"
#include "base/limits.h"
#include "wire/event_split.h"
#include "wire/trace_context.h"

enum {
    TURN_EVENTS = 256,
    TURN_BYTES = 256 * 1024,
    TURN_SHARE = 4, /* requests that may take so much in one turn */
    REQUEST_EVENTS_MAX = 1024,
    REQUEST_BYTES_MAX = 1024 * 1024,
    DESK_EVENTS_MAX = 8 * REQUEST_EVENTS_MAX,
    DESK_BYTES_MAX = 16 * REQUEST_BYTES_MAX,
    KEY_BYTES_MAX = LIMIT_IDEMPOTENCY_KEY_BYTES - 16, /* and "/" and a number */
    ENVELOPE_BYTES = 64 * 1024, /* of an event, beside its data: more than all members can be */
    ANSWER_BYTES_MAX = 256 * 1024 * 1024
};

struct bulk {
    struct list waits; /* in the desk's list */
    struct api *api;
    struct http_request *request;
    const struct form *form;
    struct event_split split;
    struct bulk_results results;
    size_t unanswered, unanswered_bytes;
    int broken_status; /* of an answer that says nothing but how the reading ended */
    bool over;         /* what comes is not looked at */
    bool ended;        /* nothing comes any more */
    bool paused;
    size_t key_len; /* of the header's idempotency key; 0: none */
    char key[KEY_BYTES_MAX + 1 + DIGITS_MAX];
    char traceparent[TRACE_PARENT_BYTES];
    char tracestate[TRACE_STATE_BYTES_MAX];
    struct slice trace[2]; /* parent, state; SLICE_NULL: none */
};

void bulk_desk_init(struct bulk_desk *desk, size_t events_max, size_t body_bytes_max)
{
    *desk = (struct bulk_desk){.events_max = events_max, .body_bytes_max = body_bytes_max};
    list_init(&desk->waiting);
}

/* ---- What may be sent ------------------------------------------------------------------------ */

static const struct form {
    enum event_split_form split;
    enum event_format format;
    unsigned swell;     /* an event may be so many times as long as what is kept of its data */
    const char *broken; /* the code when no more events can be found */
} array_form = {EVENT_SPLIT_JSON, EVENT_FORMAT_JSON, 1, "invalid_json"},
  lines_form = {EVENT_SPLIT_LINES, EVENT_FORMAT_JSON, 1, "invalid_json"},
  msgpack_form = {EVENT_SPLIT_MSGPACK, EVENT_FORMAT_MSGPACK, 4, "invalid_msgpack"},
  cloud_form = {EVENT_SPLIT_JSON, EVENT_FORMAT_CLOUDEVENT, 2, "invalid_json"};

static bool is_lines(struct slice content_type)
{
    struct slice essence = media_type_essence(content_type);
    return slice_eq_nocase(essence, SLICE("application/x-ndjson")) ||
           slice_eq_nocase(essence, SLICE("application/ndjson")) ||
           slice_eq_nocase(essence, SLICE("application/jsonl"));
}

/* NULL: none. */
static const struct form *form_of(const struct http_request *request)
{
    struct slice name = SLICE("Content-Type");
    struct slice type = http_request_header(request, name);
    if (http_request_header_count(request, name) > 1)
        return NULL;
    switch (media_type_of(type)) {
    case MEDIA_JSON:
        return &array_form;
    case MEDIA_MSGPACK:
        return &msgpack_form;
    case MEDIA_CLOUDEVENT_BATCH:
        return &cloud_form;
    case MEDIA_CLOUDEVENT:
    case MEDIA_OTHER:
        break;
    }
    return is_lines(type) ? &lines_form : NULL;
}

/* The header's key is of the whole batch, and each event's is that and its place. */
static bool take_key(struct bulk *bulk)
{
    struct slice name = SLICE("Idempotency-Key");
    size_t count = http_request_header_count(bulk->request, name);
    struct slice key = http_request_header(bulk->request, name);
    if (count == 0)
        return true;
    if (key.len >= 2 && key.ptr[0] == '"' && key.ptr[key.len - 1] == '"')
        key = slice_of(key.ptr + 1, key.len - 2);
    if (count > 1 || key.len == 0 || key.len > KEY_BYTES_MAX)
        return false;
    memcpy(bulk->key, key.ptr, key.len);
    bulk->key[key.len] = '/';
    bulk->key_len = key.len;
    return true;
}

static void take_trace(struct bulk *bulk)
{
    struct event_record record = {.traceparent = SLICE_NULL};
    events_take_trace(bulk->request, &record);
    if (record.traceparent.ptr) {
        memcpy(bulk->traceparent, record.traceparent.ptr, record.traceparent.len);
        bulk->trace[0] = slice_of(bulk->traceparent, record.traceparent.len);
    }
    if (record.tracestate.ptr) {
        memcpy(bulk->tracestate, record.tracestate.ptr, record.tracestate.len);
        bulk->trace[1] = slice_of(bulk->tracestate, record.tracestate.len);
    }
}

/* ---- The answer ------------------------------------------------------------------------------ */

static void bulk_free(struct bulk *bulk)
{
    list_remove(&bulk->waits);
    bulk->api->bulk.result_bytes -= bulk->results.bytes;
    bulk_results_free(&bulk->results);
    free(bulk);
}

static void reply(struct bulk *bulk)
{
    const struct bulk_results *results = &bulk->results;
    if (results->count == 0 && results->is_broken) {
        reply_error(bulk->request, bulk->broken_status, results->broken.code, NULL,
                    results->broken.message);
        return;
    }
    struct buf body;
    buf_init(&body, ANSWER_BYTES_MAX);
    bulk_results_write(results, &body);
    char retry_after[DIGITS_MAX];
    struct slice seconds = digits_u64(retry_after, REPLY_RETRY_AFTER_S);
    const struct http_header headers[] = {{SLICE("Content-Type"), SLICE("application/json")},
                                          {SLICE("Retry-After"), seconds}};
    bool unavailable = bulk_results_unavailable(results);
    if (buf_status(&body) != ST_OK)
        reply_error(bulk->request, 503, "out_of_memory", NULL,
                    "There is no memory for the answer: events of this request may be stored or "
                    "not. Repeat it with idempotency keys.");
    else
        http_reply(bulk->request, unavailable ? 503 : 202, headers, unavailable ? 2 : 1,
                   buf_slice(&body));
    buf_free(&body);
}

/* Answers when there is nothing left to wait for; the request is gone then. */
static bool finish(struct bulk *bulk)
{
    if (!bulk->ended || bulk->unanswered > 0)
        return false;
    reply(bulk);
    bulk_free(bulk);
    return true;
}

/* ---- Back-pressure --------------------------------------------------------------------------- */

static bool desk_full(const struct bulk_desk *desk, size_t share)
{
    return desk->unanswered >= DESK_EVENTS_MAX / share ||
           desk->unanswered_bytes >= DESK_BYTES_MAX / share;
}

static bool must_wait(const struct bulk *bulk)
{
    return bulk->unanswered >= REQUEST_EVENTS_MAX || bulk->unanswered_bytes >= REQUEST_BYTES_MAX ||
           desk_full(&bulk->api->bulk, 1);
}

static void resume(struct bulk *bulk)
{
    bulk->paused = false;
    list_remove(&bulk->waits);
    http_request_resume(bulk->request);
}

/* One of its events was answered. */
static void let_go_on(struct bulk *bulk)
{
    struct bulk_desk *desk = &bulk->api->bulk;
    bool low = bulk->unanswered <= REQUEST_EVENTS_MAX / 2 &&
               bulk->unanswered_bytes <= REQUEST_BYTES_MAX / 2;
    if (bulk->paused && low && !desk_full(desk, 1))
        resume(bulk);
    else if (bulk->paused && low && !list_linked(&bulk->waits))
        list_push_back(&desk->waiting, &bulk->waits);
    while (!list_empty(&desk->waiting) && !desk_full(desk, 2))
        resume(CONTAINER_OF(desk->waiting.next, struct bulk, waits));
}

/* ---- An event -------------------------------------------------------------------------------- */

static void bulk_stored(void *arg, enum publish_verdict verdict, const char *event_id,
                        uint32_t deliveries)
{
    struct bulk_result *result = arg;
    struct bulk_results *results = bulk_result_owner(result);
    struct bulk *bulk = results->owner;
    bulk->unanswered--;
    bulk->unanswered_bytes -= result->bytes;
    bulk->api->bulk.unanswered--;
    bulk->api->bulk.unanswered_bytes -= result->bytes;
    if (verdict == PUBLISH_ACCEPTED || verdict == PUBLISH_DUPLICATE)
        bulk_result_stored(results, result, event_id, deliveries);
    else
        bulk_result_refused(results, result, verdict);
    let_go_on(bulk);
    (void)finish(bulk); /* last: it is gone then */
}

static void publish(struct bulk *bulk, struct bulk_result *result,
                    const struct event_document *document, size_t bytes)
{
    struct core *core = bulk->api->core;
    enum publish_verdict why;
    struct publish_item item = {.record = document->record,
                                .idempotency_key = document->idempotency_key,
                                .raw = document->raw};
    if (!item.record.traceparent.ptr) { /* a CloudEvent may bring its own */
        item.record.traceparent = bulk->trace[0];
        item.record.tracestate = bulk->trace[1];
    }
    if (document->has_delay)
        item.record.deliver_at_ms = store_redis_ms(core->store) + document->delay_ms;
    if (!item.idempotency_key.ptr && bulk->key_len > 0) {
        char digits[DIGITS_MAX];
        struct slice place = digits_u64(digits, bulk->results.count - 1);
        memcpy(bulk->key + bulk->key_len + 1, place.ptr, place.len);
        item.idempotency_key = slice_of(bulk->key, bulk->key_len + 1 + place.len);
    }
    if (publish_event(core->publish, &item, bulk_stored, result, &why) != ST_OK) {
        bulk_result_refused(&bulk->results, result, why);
        return;
    }
    result->bytes = (uint32_t)bytes;
    bulk->unanswered++;
    bulk->unanswered_bytes += bytes;
    bulk->api->bulk.unanswered++;
    bulk->api->bulk.unanswered_bytes += bytes;
}

/* Nothing more is taken, for a reason that becomes the last result. */
static void break_off(struct bulk *bulk, int status, const char *code, const char *message)
{
    bulk->over = true;
    bulk->broken_status = status;
    bulk->results.is_broken = true;
    (void)field_refuse(&bulk->results.broken, code, "", "%s", message);
}

static void refuse_event(struct bulk *bulk, struct bulk_result *result,
                         const struct field_error *error)
{
    events_count_invalid(bulk->api, error->code);
    bulk_result_invalid(&bulk->results, result, error);
}

/* `item`: SLICE_NULL when it was too long to be kept. */
static void take_event(struct bulk *bulk, struct slice item)
{
    struct api *api = bulk->api;
    struct field_error error;
    char text[160];
    if (bulk->results.count == api->bulk.events_max) {
        snprintf(text, sizeof(text),
                 "At most %zu events are taken in one request (bulk.maxEvents); those from "
                 "here on were not read.",
                 api->bulk.events_max);
        break_off(bulk, 400, "too_many_events", text);
        return;
    }
    struct bulk_result *result = bulk_results_add(&bulk->results);
    if (!result) {
        break_off(bulk, 503, "out_of_memory", "The events from here on were not read.");
        return;
    }
    if (!item.ptr) {
        (void)field_refuse(&error, "payload_too_large", "",
                           "The event has more than %zu bytes (ingest.maxEventBytes).",
                           bulk->split.item_bytes_max);
        refuse_event(bulk, result, &error);
        return;
    }
    struct event_document document;
    struct event_document_rules rules = {.data_bytes_max = api->event_bytes_max,
                                         .now_ms = clock_wall_ms()};
    enum status status = event_document_read(&document, bulk->form->format, item, &rules, &error);
    if (status == ST_NOMEM) {
        api->core->stats.events[PUBLISH_OVERLOADED]++;
        bulk_result_refused(&bulk->results, result, PUBLISH_OVERLOADED);
    } else if (status != ST_OK) {
        refuse_event(bulk, result, &error);
    } else {
        publish(bulk, result, &document, item.len);
    }
    event_document_free(&document);
}

/* The same, with an eye on the memory of the results. */
static void take_counted(struct bulk *bulk, struct slice item)
{
    struct bulk_desk *desk = &bulk->api->bulk;
    desk->result_bytes -= bulk->results.bytes;
    take_event(bulk, item);
    desk->result_bytes += bulk->results.bytes;
    if (desk->result_bytes > LIMIT_BULK_RESULT_BYTES && !bulk->over)
        break_off(bulk, 503, "overloaded",
                  "Too many results wait to be told. The events from here on were not read.");
}

/* ---- The body -------------------------------------------------------------------------------- */

/* May a request take another event in this turn, of which it has taken so much? */
static bool turn_left(struct bulk_desk *desk, size_t events, size_t bytes)
{
    uint64_t now_us = clock_mono_us(); /* the same in all of a turn */
    if (desk->turn_us != now_us) {
        desk->turn_us = now_us;
        desk->turn_events = desk->turn_bytes = 0;
    }
    return events < TURN_EVENTS && bytes < TURN_BYTES &&
           desk->turn_events < TURN_SHARE * TURN_EVENTS &&
           desk->turn_bytes < TURN_SHARE * TURN_BYTES;
}

static void break_split(struct bulk *bulk)
{
    char text[160];
    snprintf(text, sizeof(text), "The body is no list of events: %s at byte %llu.",
             bulk->split.reason, (unsigned long long)bulk->split.broken_at);
    break_off(bulk, 400, bulk->form->broken, text);
}

/* No more comes of the body, although it is not complete. */
static void break_body(struct bulk *bulk)
{
    const struct http_fault_info *fault = http_request_body_fault(bulk->request);
    break_off(bulk, fault->status, fault->code, fault->message);
}

/* One step into the window: an event at most. True when there may be another. */
static bool step(struct bulk *bulk, struct slice window, enum http_stream_end end, size_t *used)
{
    struct slice item = SLICE_NULL;
    bool last = end == HTTP_STREAM_COMPLETE;
    switch (event_split_next(&bulk->split, window, last, &item, used)) {
    case EVENT_SPLIT_MORE:
        if (end == HTTP_STREAM_BROKEN)
            break_body(bulk);
        return false;
    case EVENT_SPLIT_ITEM:
        take_counted(bulk, item);
        return true;
    case EVENT_SPLIT_LONG:
        take_counted(bulk, SLICE_NULL);
        return true;
    case EVENT_SPLIT_END:
        bulk->over = true;
        return true;
    case EVENT_SPLIT_BROKEN:
        break_split(bulk);
        return true;
    }
    return false;
}

/* Takes what a turn may take; *consumed becomes the number of bytes that are done with. */
static enum http_stream_next take_window(struct bulk *bulk, size_t *consumed)
{
    struct bulk_desk *desk = &bulk->api->bulk;
    struct slice window = http_request_body(bulk->request);
    enum http_stream_end end = http_request_body_end(bulk->request);
    *consumed = 0;
    for (size_t events = 0; !bulk->over; events++) {
        size_t used;
        if (must_wait(bulk))
            return HTTP_STREAM_PAUSE;
        if (!turn_left(desk, events, *consumed))
            return HTTP_STREAM_TURN;
        bool more = step(bulk, slice_from(window, *consumed), end, &used);
        *consumed += used;
        desk->turn_events++;
        desk->turn_bytes += used;
        if (!more)
            return HTTP_STREAM_MORE;
    }
    *consumed = window.len; /* whatever comes behind the end of the events */
    return HTTP_STREAM_MORE;
}

static enum http_stream_next bulk_go_on(void *user, struct http_request *request)
{
    struct bulk *bulk = user;
    size_t consumed;
    enum http_stream_next next = take_window(bulk, &consumed);
    http_request_consume(request, consumed);
    if (next == HTTP_STREAM_PAUSE) {
        bulk->paused = true;
        if (desk_full(&bulk->api->bulk, 1))
            list_push_back(&bulk->api->bulk.waiting, &bulk->waits);
    } else if (next == HTTP_STREAM_MORE && http_request_body_end(request) != HTTP_STREAM_COMING) {
        bulk->ended = true;
        (void)finish(bulk); /* last: it is gone then */
    }
    return next;
}

/* What was journalled stays; what was not read is nobody's any more. */
static void bulk_gone(void *user, struct http_request *request)
{
    struct bulk *bulk = user;
    (void)request;
    list_remove(&bulk->waits);
    bulk->ended = true;
    (void)finish(bulk);
}

/* ---- POST ------------------------------------------------------------------------------------ */

void bulk_create(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    const struct form *form = form_of(request);
    struct bulk *bulk = form ? calloc(1, sizeof(*bulk)) : NULL;
    if (!bulk) {
        if (form)
            reply_failed(request, ST_NOMEM);
        else
            reply_error(request, 415, "unsupported_media_type", NULL,
                        "Send a JSON array (application/json), a line for each event "
                        "(application/x-ndjson), a msgpack array (application/msgpack) or "
                        "application/cloudevents-batch+json.");
        return;
    }
    size_t item_bytes_max = form->swell * api->event_bytes_max + ENVELOPE_BYTES;
    *bulk = (struct bulk){.api = api, .request = request, .form = form};
    list_init(&bulk->waits);
    bulk_results_init(&bulk->results, bulk);
    event_split_init(&bulk->split, form->split, item_bytes_max);
    take_trace(bulk);
    if (!take_key(bulk)) {
        events_count_invalid(api, "invalid_idempotency_key");
        reply_error(request, 400, "invalid_idempotency_key", "Idempotency-Key",
                    "Give one Idempotency-Key of at most 240 bytes; each event's is that and "
                    "its place in the batch.");
        bulk_free(bulk);
        return;
    }
    http_request_set_user(request, bulk, bulk_gone);
    if (!http_request_take_body(request, api->bulk.body_bytes_max, item_bytes_max + TURN_BYTES / 4,
                                bulk_go_on))
        bulk_free(bulk);
}
