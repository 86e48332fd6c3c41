/* attempts.c - listing attempts, and the newest of an endpoint. */
#include "api/attempts.h"

#include <stdlib.h>

#include "api/api.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/parse.h"
#include "core/endpoint_store.h"
#include "core/history.h"
#include "core/outcome.h"
#include "core/store_schedule.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MOST = 100, ANSWER_BYTES_MAX = 4 * 1024 * 1024 };

void attempts_begin(struct json_out *out, struct buf *body)
{
    json_out_begin(out, body);
    json_object_open(out);
    json_key(out, "attempts");
    json_array_open(out);
}

void attempts_add(struct json_out *out, const struct attempt_record *record,
                  const struct id *endpoint)
{
    char id[ID_TEXT_MAX], event_id[ID_TEXT_MAX], endpoint_id[ID_TEXT_MAX];
    id_format(id, "atmpt_", &record->id);
    id_format(event_id, "msg_", &record->event_id);
    json_object_open(out);
    json_member_cstr(out, "id", id);
    json_member_cstr(out, "eventId", event_id);
    if (endpoint) {
        id_format(endpoint_id, "ep_", endpoint);
        json_member_cstr(out, "webhookId", endpoint_id);
    }
    json_member_u64(out, "attempt", record->number);
    json_member_cstr(out, "status", record->success ? "sent" : "failed");
    if (record->status_code)
        json_member_u64(out, "statusCode", record->status_code);
    else
        json_member_null(out, "statusCode");
    json_member_str(out, "responseBody", record->body);
    json_member_u64(out, "durationMs", record->duration_ms);
    json_member_str_or_null(out, "error", record->error.len ? record->error : SLICE_NULL);
    json_member_time_ms(out, "timestamp", record->at_ms);
    json_object_close(out);
}

void attempts_end(struct json_out *out, size_t count)
{
    json_array_close(out);
    json_member_u64(out, "count", count);
    json_object_close(out);
}

bool attempts_limit(struct http_request *request, uint64_t *most)
{
    struct query_param limit = {.name = "limit"};
    struct field_error error;
    *most = LIMIT_DEFAULT;
    if (query_read(http_request_query(request), &limit, 1, &error) != ST_OK) {
        reply_refused(request, &error);
        return false;
    }
    if (limit.given && (parse_u64(slice_of(limit.value, limit.len), most) != ST_OK || *most < 1 ||
                        *most > LIMIT_MOST)) {
        reply_error(request, 400, "invalid_limit", "limit", "limit must be 1 to 100.");
        return false;
    }
    return true;
}

/* ---- The newest of an endpoint -------------------------------------------------------------- */

struct listing {
    struct http_request *request;
    uint64_t since_ms; /* older ones are history no more */
};

static void on_read(void *arg, enum status status, const struct redis_value *reply)
{
    struct listing *listing = arg;
    struct http_request *request = listing->request;
    uint64_t since_ms = listing->since_ms;
    free(listing);
    if (status != ST_OK) {
        reply_failed(request, status == ST_LOST ? ST_AGAIN : status); /* only a read */
        return;
    }
    struct buf body;
    struct json_out out;
    size_t count = 0;
    buf_init(&body, ANSWER_BYTES_MAX);
    attempts_begin(&out, &body);
    for (size_t i = 0; i < redis_value_count(reply); i++) {
        struct attempt_record record;
        if (attempt_record_read(reply_text(reply, i), &record) != ST_OK || record.at_ms < since_ms)
            continue;
        attempts_add(&out, &record, NULL);
        count++;
    }
    attempts_end(&out, count);
    reply_json(request, 200, &body, NULL);
}

void attempts_list(struct api *api, struct http_request *request, struct slice id)
{
    struct id endpoint;
    uint64_t most;
    if (!attempts_limit(request, &most))
        return;
    struct endpoint *found = NULL;
    if (id_parse(id, "ep_", &endpoint) == ST_OK)
        found = registry_find(endpoint_store_registry(api->endpoints), &endpoint);
    if (!found) {
        reply_error(request, 404, "not_found", NULL, "There is no webhook with this id.");
        return;
    }
    struct listing *listing = malloc(sizeof(*listing));
    if (!listing) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    uint64_t now_ms = clock_wall_ms(), kept_ms = api->core->options.history_ttl_ms;
    *listing = (struct listing){request, now_ms > kept_ms ? now_ms - kept_ms : 0};
    history_flush(api->core->history); /* what is listed now is read in the same order */
    if (store_attempts_read(api->core->store, found->id_text, most, on_read, listing) != ST_OK) {
        free(listing);
        reply_failed(request, ST_NOMEM);
    }
}
