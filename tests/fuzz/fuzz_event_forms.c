/* fuzz_event_forms.c - events that are not in our JSON: what is refused is told why; what is
 * accepted is within its limits; an event in msgpack is the same event when it is written as JSON,
 * and a CloudEvent's attributes are JSON that is read as the same CloudEvent.
 *
 * The first byte chooses: an opening brace is structured mode, "c" binary mode with a header a
 * line and the body behind an empty one, anything else msgpack. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "wire/event_document.h"
#include "wire/event_type.h"

enum { HEADERS_MAX = 100 };

static const struct event_document_rules rules = {.data_bytes_max = 2000, .now_ms = 1700000000000};

static void check(bool truth)
{
    if (!truth)
        abort();
}

static bool same(struct slice a, struct slice b)
{
    return slice_eq(a, b) && !a.ptr == !b.ptr;
}

static void check_text(struct slice text, size_t most)
{
    check(!text.ptr || (text.len > 0 && text.len <= most && !memchr(text.ptr, '\0', text.len)));
    check(utf8_valid(text));
}

static void check_accepted(const struct event_document *document)
{
    const struct event_record *record = &document->record;
    check(event_type_valid(record->type));
    check(record->data.ptr && record->data.len <= rules.data_bytes_max);
    check(record->data_kind != EVENT_DATA_JSON || json_check(record->data, NULL) == ST_OK);
    check(record->data_kind != EVENT_DATA_TEXT || utf8_valid(record->data));
    check_text(record->version, LIMIT_UID_BYTES);
    check_text(record->source, LIMIT_URL_BYTES);
    check_text(record->uid, LIMIT_UID_BYTES);
    check_text(record->ordering_key, LIMIT_ORDERING_KEY_BYTES);
    check_text(record->content_type, LIMIT_URL_BYTES);
    check(record->received_ms == 0 && document->raw.ptr);
    check(!document->has_delay || !document->has_deliver_at);
}

static void check_refused(enum status status, const struct field_error *error)
{
    check(status == ST_RANGE && error->code && error->message[0] != '\0');
    check(memchr(error->field, '\0', sizeof(error->field)) != NULL);
    size_t i = 0;
    while (i < EVENT_DOCUMENT_CODES && strcmp(event_document_codes[i], error->code) != 0)
        i++;
    check(i < EVENT_DOCUMENT_CODES); /* it is counted under its name */
}

static void write_text(struct json_out *out, const char *name, struct slice text)
{
    if (text.ptr)
        json_member_str(out, name, text);
}

static void check_as_json(const struct event_document *document)
{
    const struct event_record *record = &document->record;
    struct event_document again;
    struct field_error error;
    struct json_out out;
    struct buf buf;
    buf_init(&buf, 64 * 1024);
    json_out_begin(&out, &buf);
    json_object_open(&out);
    write_text(&out, "type", record->type);
    json_member_time_ms(&out, "timestamp", record->timestamp_ms);
    write_text(&out, "version", record->version);
    write_text(&out, "source", record->source);
    write_text(&out, "uid", record->uid);
    write_text(&out, "idempotencyKey", document->idempotency_key);
    write_text(&out, "orderingKey", record->ordering_key);
    if (document->has_delay)
        json_member_u64(&out, "delay", document->delay_ms);
    if (document->has_deliver_at)
        json_member_time_ms(&out, "deliverAt", record->deliver_at_ms);
    json_member_raw(&out, "data", record->data);
    json_object_close(&out);
    check(event_document_read(&again, EVENT_FORMAT_JSON, buf_slice(&buf), &rules, &error) == ST_OK);
    check(same(record->type, again.record.type) && same(record->data, again.record.data));
    check(same(record->uid, again.record.uid) && same(record->source, again.record.source));
    check(same(record->ordering_key, again.record.ordering_key));
    check(same(document->idempotency_key, again.idempotency_key));
    check(record->timestamp_ms == again.record.timestamp_ms);
    check(record->deliver_at_ms == again.record.deliver_at_ms);
    check(document->delay_ms == again.delay_ms);
    event_document_free(&again);
    buf_free(&buf);
}

static void check_cloud(const struct event_document *document)
{
    const struct event_record *record = &document->record;
    struct event_document again;
    struct field_error error;
    check(record->cloud_event.len <= LIMIT_CLOUDEVENT_BYTES);
    check(event_document_read(&again, EVENT_FORMAT_CLOUDEVENT, record->cloud_event, &rules,
                              &error) == ST_OK);
    check(same(record->type, again.record.type) && same(record->source, again.record.source));
    check(same(record->ordering_key, again.record.ordering_key));
    check(same(record->traceparent, again.record.traceparent));
    check(same(record->content_type, again.record.content_type));
    check(same(record->cloud_event, again.record.cloud_event));
    check(same(document->idempotency_key, again.idempotency_key));
    event_document_free(&again);
}

/* "name: value" lines. */
static struct slice split(struct slice input, struct received_header headers[HEADERS_MAX],
                          size_t *count)
{
    *count = 0;
    while (input.len > 0) {
        const char *end = memchr(input.ptr, '\n', input.len);
        struct slice line = slice_of(input.ptr, end ? (size_t)(end - input.ptr) : input.len);
        input = slice_from(input, line.len + 1);
        const char *colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
        if (line.len == 0)
            break;
        if (!colon || *count == HEADERS_MAX)
            continue;
        size_t name = (size_t)(colon - line.ptr);
        headers[(*count)++] =
            (struct received_header){slice_of(line.ptr, name), slice_from(line, name + 1)};
    }
    return input;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct event_document document;
    struct field_error error = {.code = NULL};
    struct received_header headers[HEADERS_MAX];
    enum status status;
    size_t count;
    bool cloud = size > 0 && (data[0] == '{' || data[0] == 'c');
    if (cloud && data[0] == 'c') {
        struct slice body = split(input, headers, &count);
        status = event_document_read_binary(&document, headers, count, body, &rules, &error);
    } else {
        status =
            event_document_read(&document, cloud ? EVENT_FORMAT_CLOUDEVENT : EVENT_FORMAT_MSGPACK,
                                input, &rules, &error);
    }
    if (status != ST_OK) {
        check_refused(status, &error);
    } else {
        check_accepted(&document);
        if (cloud)
            check_cloud(&document);
        else
            check_as_json(&document);
    }
    event_document_free(&document);
    return 0;
}
