/* test_send.c - sending a test event now.
 *
 * It is signed and sent like any delivery, but outside the data path: nothing is stored, retried or
 * counted against the endpoint, and an inactive endpoint is tested too.
 *
 * The payload is taken out of the body as bytes (json_scan), so that the receiver gets what was
 * given.
 */
#include "api/test_send.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "core/attempt.h"
#include "core/endpoint_store.h"
#include "core/json_field.h"

enum { MEMBERS_MAX = 16, CONFIG_BYTES_MAX = 64 * 1024 };

static const char *const default_payload = "{\"message\":\"This is a test event from Trotline.\"}";

static void probe_done(void *arg, const struct outbound_result *result)
{
    struct http_request *request = arg;
    bool entry = result->error == OUTBOUND_OK && result->status_code == OUTBOUND_TAKEN;
    bool success = result->error == OUTBOUND_OK && (result->status_code / 100 == 2 || entry);
    char message[256];
    if (entry)
        snprintf(message, sizeof(message), "The stream has it as its entry %.*s.",
                 SLICE_ARGS(result->body_head));
    else if (result->error == OUTBOUND_OK)
        snprintf(message, sizeof(message), "The endpoint answered %d.", result->status_code);
    else
        snprintf(message, sizeof(message), "%s: %s", outbound_error_name(result->error),
                 result->detail);
    struct buf body;
    struct json_out out;
    buf_init(&body, 16 * 1024);
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_member_bool(&out, "success", success);
    if (result->status_code > 0)
        json_member_i64(&out, "statusCode", result->status_code);
    else
        json_member_null(&out, "statusCode");
    json_member_cstr(&out, "message", message);
    json_member_u64(&out, "durationMs", result->duration_us / 1000);
    json_member_str(&out, "responseBody", result->body_head);
    json_object_close(&out);
    reply_json(request, 200, &body, NULL);
}

static void send_now(struct api *api, struct http_request *request, struct endpoint_config *config,
                     struct slice type, struct slice payload)
{
    struct event_record record = {.application = SLICE("default"),
                                  .type = type,
                                  .timestamp_ms = clock_wall_ms(),
                                  .data = payload};
    struct buf bytes;
    struct id id;
    struct message *message = NULL;
    buf_init(&bytes, 16 * 1024 * 1024);
    event_record_write(&bytes, &record);
    id_new(&id, record.timestamp_ms);
    enum status status = buf_status(&bytes);
    if (status == ST_OK)
        status = message_load(&id, buf_slice(&bytes), &message);
    if (status == ST_OK)
        status = attempt_probe(api->core->attempts, config, message, probe_done, request);
    if (status != ST_OK)
        reply_error(request, 503, "overloaded", NULL, "Too much is in flight; try again.");
    message_put(message);
    buf_free(&bytes);
}

/* ---- What was asked for --------------------------------------------------------------------- */

struct asked {
    struct slice type;
    struct slice payload;
    struct slice url, secret, scheme; /* JSON strings with their quotes, or SLICE_NULL */
};

static enum status read_type(const struct json_member *member, struct asked *asked,
                             struct field_error *error)
{
    asked->type = slice_of(member->value.ptr + 1, member->value.len - 2);
    if (member->type != JSON_STRING || !event_type_valid(asked->type))
        return field_refuse(error, "invalid_event", "event", "event must be an event type.");
    return ST_OK;
}

static enum status read_string(const struct json_member *member, const char *code, const char *name,
                               struct slice *out, struct field_error *error)
{
    if (member->type != JSON_STRING)
        return field_refuse(error, code, name, "%s must be a string.", name);
    *out = member->value;
    return ST_OK;
}

static enum status read_member(const struct json_member *member, bool any_url, struct asked *asked,
                               struct field_error *error)
{
    if (json_find(member, 1, SLICE("event")))
        return read_type(member, asked, error);
    if (json_find(member, 1, SLICE("payload"))) {
        asked->payload = member->value;
        return ST_OK;
    }
    if (any_url && json_find(member, 1, SLICE("url")))
        return read_string(member, "invalid_url", "url", &asked->url, error);
    if (any_url && json_find(member, 1, SLICE("secret")))
        return read_string(member, "invalid_secret", "secret", &asked->secret, error);
    if (any_url && json_find(member, 1, SLICE("scheme")))
        return read_string(member, "invalid_scheme", "scheme", &asked->scheme, error);
    char name[96];
    snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(member->name));
    return field_refuse(error, "unknown_field", name, "A test takes event and payload%s.",
                        any_url ? ", url, secret and scheme" : "");
}

static enum status read_asked(struct slice body, bool any_url, struct asked *asked,
                              struct field_error *error)
{
    struct json_member members[MEMBERS_MAX];
    struct json_error json;
    size_t count = 0;
    *asked = (struct asked){.type = SLICE("webhook.test"), .payload = slice_str(default_payload)};
    if (body.len == 0 && !any_url)
        return ST_OK;
    if (json_members(body, members, MEMBERS_MAX, &count, &json) != ST_OK)
        return field_refuse(error, json_field_fault(body), "",
                            "The body must be a JSON object: %s at byte %zu.", json.reason,
                            json.offset);
    for (size_t i = 0; i < count; i++) {
        enum status status = read_member(&members[i], any_url, asked, error);
        if (status != ST_OK)
            return status;
    }
    if (any_url && !asked->url.ptr)
        return field_refuse(error, "missing_field", "url", "url is required.");
    return ST_OK;
}

/* ---- Handlers ------------------------------------------------------------------------------- */

void test_send_endpoint(struct api *api, struct http_request *request, struct slice id_text)
{
    struct id id;
    struct endpoint *endpoint = NULL;
    struct asked asked;
    struct field_error error;
    if (id_parse(id_text, "ep_", &id) == ST_OK)
        endpoint = registry_find(endpoint_store_registry(api->endpoints), &id);
    if (!endpoint)
        reply_error(request, 404, "not_found", NULL, "There is no webhook with this id.");
    else if (read_asked(http_request_body(request), false, &asked, &error) != ST_OK)
        reply_refused(request, &error);
    else
        send_now(api, request, endpoint->config, asked.type, asked.payload);
}

/* An endpoint that is never stored, checked as one that is. */
static enum status temporary_config(struct api *api, const struct asked *asked,
                                    struct endpoint_config **config, struct field_error *error)
{
    struct buf document;
    struct json_out out;
    buf_init(&document, CONFIG_BYTES_MAX);
    json_out_begin(&out, &document);
    json_object_open(&out);
    json_member_raw(&out, "url", asked->url);
    json_member_raw(&out, "events", SLICE("[\"*\"]"));
    if (asked->secret.ptr)
        json_member_raw(&out, "secret", asked->secret);
    if (asked->scheme.ptr)
        json_member_raw(&out, "scheme", asked->scheme);
    json_object_close(&out);
    enum status status = buf_status(&document);
    if (status == ST_OK)
        status = endpoint_config_create(registry_rules(endpoint_store_registry(api->endpoints)),
                                        buf_slice(&document), clock_wall_ms(), config, error);
    buf_free(&document);
    return status;
}

void test_send_url(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct asked asked;
    struct field_error error;
    struct endpoint_config *config;
    enum status status = read_asked(http_request_body(request), true, &asked, &error);
    if (status == ST_OK)
        status = temporary_config(api, &asked, &config, &error);
    if (status == ST_NOMEM || status == ST_LIMIT) {
        reply_failed(request, ST_NOMEM);
    } else if (status != ST_OK) {
        reply_refused(request, &error);
    } else {
        send_now(api, request, config, asked.type, asked.payload);
        endpoint_config_put(config);
    }
}
