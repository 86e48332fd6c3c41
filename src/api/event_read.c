/* event_read.c - GET /api/events/{id}: the event and what became of its deliveries.
 *
 *   event_view_read -> read_due_times -> render
 */
#include "api/api.h"
#include "api/event_view.h"
#include "api/events.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "core/store_schedule.h"
#include "wire/event_data.h"
#include "wire/event_headers.h"

enum { ANSWER_BYTES_MAX = 64 * 1024 * 1024 };

static void render_delivery(struct json_out *out, const struct event_view_delivery *delivery)
{
    const struct event_view_field *field = delivery->field;
    char endpoint_id[ID_TEXT_MAX];
    id_format(endpoint_id, "ep_", &delivery->endpoint);
    json_object_open(out);
    json_member_cstr(out, "webhookId", endpoint_id);
    json_member_cstr(out, "status", delivery->status);
    json_member_u64(out, "attempts", delivery->attempts);
    bool waits =
        strcmp(delivery->status, "failed") == 0 || strcmp(delivery->status, "pending") == 0;
    if (waits && field && !field->final && field->due_at_ms)
        json_member_time_ms(out, "nextAttemptAt", field->due_at_ms);
    else
        json_member_null(out, "nextAttemptAt");
    json_member_str_or_null(out, "lastError",
                            delivery->error[0] ? slice_str(delivery->error) : SLICE_NULL);
    json_object_close(out);
}

static void render_headers(struct json_out *out, struct slice headers)
{
    struct slice name, value;
    json_key(out, "headers");
    json_array_open(out);
    while (event_headers_next(&headers, &name, &value)) {
        json_object_open(out);
        json_member_str(out, "name", name);
        json_member_str(out, "value", event_header_secret(name) ? SLICE("(hidden)") : value);
        json_object_close(out);
    }
    json_array_close(out);
}

/* What the data is, of an event for which that is known. */
static void render_kind(struct json_out *out, const struct event_record *record)
{
    static const char *const kinds[] = {
        [EVENT_DATA_JSON] = "json", [EVENT_DATA_TEXT] = "text", [EVENT_DATA_BYTES] = "bytes"};
    json_member_cstr(out, "dataKind", kinds[record->data_kind]);
    json_member_str_or_null(out, "contentType", record->content_type);
}

/* What is known of the request that it came with. */
static void render_received(struct json_out *out, const struct event_record *record)
{
    json_member_time_ms(out, "receivedAt", record->received_ms);
    json_member_bool(out, "verified", record->verified);
    json_member_str_or_null(out, "duplicateOf", record->duplicate_of);
    render_headers(out, record->headers);
}

static void render(struct event_view *view)
{
    const struct event_record *record = &view->message->record;
    struct buf body, data;
    struct json_out out;
    buf_init(&body, ANSWER_BYTES_MAX);
    buf_init(&data, ANSWER_BYTES_MAX);
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_member_cstr(&out, "id", view->id_text);
    json_member_str(&out, "type", record->type);
    json_member_time_ms(&out, "timestamp", record->timestamp_ms);
    json_member_raw(&out, "data", event_data_json(record, &data));
    json_member_str_or_null(&out, "version", record->version);
    json_member_str_or_null(&out, "source", record->source);
    json_member_str_or_null(&out, "uid", record->uid);
    json_member_str_or_null(&out, "orderingKey", record->ordering_key);
    if (record->cloud_event.ptr)
        json_member_raw(&out, "cloudEvent", record->cloud_event);
    json_member_time_ms(&out, "createdAt", id_time_ms(&view->id));
    if (record->received_ms > 0 || record->cloud_event.ptr)
        render_kind(&out, record);
    if (record->received_ms > 0)
        render_received(&out, record);
    json_key(&out, "deliveries");
    json_array_open(&out);
    for (size_t i = 0; i < event_view_count(view); i++) {
        struct event_view_delivery delivery = event_view_at(view, i);
        render_delivery(&out, &delivery);
    }
    json_array_close(&out);
    json_object_close(&out);
    struct http_request *request = view->request;
    enum status status = buf_status(&data);
    buf_free(&data);
    event_view_free(view);
    if (status == ST_OK) {
        reply_json(request, 200, &body, NULL);
        return;
    }
    buf_free(&body);
    reply_failed(request, status);
}

/* ---- When waiting deliveries are due -------------------------------------------------------- */

static void answer_came(struct event_view *view)
{
    if (--view->answers == 0)
        render(view);
}

static void on_due_time(void *arg, enum status status, const struct redis_value *reply)
{
    struct event_view_field *field = arg;
    if (status == ST_OK && redis_value_type(reply) == REDIS_STRING)
        field->due_at_ms = reply_score(redis_value_text(reply));
    answer_came(field->view);
}

static void read_due_times(struct event_view *view)
{
    view->answers = 1; /* this function's own */
    for (size_t i = 0; i < view->field_count; i++) {
        struct event_view_field *field = &view->fields[i];
        if (!field->final && !field->state.dead &&
            store_set_score(view->api->core->store, STORE_DUE, field->endpoint_id, view->id_text,
                            on_due_time, field) == ST_OK)
            view->answers++;
    }
    answer_came(view);
}

void events_read(struct api *api, struct http_request *request, struct slice id)
{
    event_view_read(api, request, id, 0, read_due_times);
}
