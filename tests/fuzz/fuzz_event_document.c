/* fuzz_event_document.c - bodies of POST /api/events: what is refused is told why; what is accepted
 * is within its limits, and written out as JSON it is the same event again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "core/endpoint_config.h"
#include "wire/event_document.h"

static const struct event_document_rules rules = {.data_bytes_max = 2000, .now_ms = 1700000000000};

static void check(bool truth)
{
    if (!truth)
        abort();
}

static void check_text(struct slice text, size_t most)
{
    check(!text.ptr || (text.len > 0 && text.len <= most && !memchr(text.ptr, '\0', text.len)));
}

static void check_accepted(const struct event_document *document, struct slice body)
{
    const struct event_record *record = &document->record;
    check(event_type_valid(record->type));
    check(record->data.ptr >= body.ptr && record->data.len <= rules.data_bytes_max);
    check(record->data.ptr + record->data.len <= body.ptr + body.len);
    check(json_check(record->data, NULL) == ST_OK);
    check_text(record->version, LIMIT_UID_BYTES);
    check_text(record->source, LIMIT_UID_BYTES);
    check_text(record->uid, LIMIT_UID_BYTES);
    check_text(document->idempotency_key, LIMIT_IDEMPOTENCY_KEY_BYTES);
    check(!record->traceparent.ptr && !record->tracestate.ptr);
    check(!document->has_delay || !document->has_deliver_at);
}

static void write_text(struct json_out *out, const char *name, struct slice text)
{
    if (text.ptr)
        json_member_str(out, name, text);
}

/* The event in its plainest form. */
static void write_document(const struct event_document *document, struct buf *buf)
{
    const struct event_record *record = &document->record;
    struct json_out out;
    json_out_begin(&out, buf);
    json_object_open(&out);
    write_text(&out, "type", record->type);
    json_member_time_ms(&out, "timestamp", record->timestamp_ms);
    write_text(&out, "version", record->version);
    write_text(&out, "source", record->source);
    write_text(&out, "uid", record->uid);
    write_text(&out, "idempotencyKey", document->idempotency_key);
    if (document->has_delay)
        json_member_u64(&out, "delay", document->delay_ms);
    if (document->has_deliver_at)
        json_member_time_ms(&out, "deliverAt", record->deliver_at_ms);
    json_member_raw(&out, "data", record->data);
    json_object_close(&out);
    check(buf_status(buf) == ST_OK);
}

static bool same(struct slice a, struct slice b)
{
    return slice_eq(a, b) && !a.ptr == !b.ptr;
}

static void check_same(const struct event_document *a, const struct event_document *b)
{
    check(same(a->record.type, b->record.type) && same(a->record.data, b->record.data));
    check(same(a->record.version, b->record.version) && same(a->record.source, b->record.source));
    check(same(a->record.uid, b->record.uid) && same(a->idempotency_key, b->idempotency_key));
    check(a->record.timestamp_ms == b->record.timestamp_ms);
    check(a->record.deliver_at_ms == b->record.deliver_at_ms);
    check(a->has_delay == b->has_delay && a->delay_ms == b->delay_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of(data, size);
    struct event_document document, again;
    struct field_error error = {.code = NULL};
    enum status status = event_document_read(&document, EVENT_FORMAT_JSON, body, &rules, &error);
    if (status != ST_OK) {
        check(status == ST_RANGE && error.code && error.message[0] != '\0');
        check(memchr(error.field, '\0', sizeof(error.field)) != NULL);
        event_document_free(&document);
        return 0;
    }
    check_accepted(&document, body);
    struct buf plain;
    buf_init(&plain, 64 * 1024);
    write_document(&document, &plain);
    check(event_document_read(&again, EVENT_FORMAT_JSON, buf_slice(&plain), &rules, &error) ==
          ST_OK);
    check_same(&document, &again);
    event_document_free(&again);
    event_document_free(&document);
    buf_free(&plain);
    return 0;
}
