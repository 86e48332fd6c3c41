/* dead_letters.c - GET /api/dead-letters: a page of them, by endpoint and age. */
#include "api/dead_letters.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/dead_walk.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "base/parse.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MOST = 500, ANSWER_BYTES_MAX = 8 * 1024 * 1024 };

struct listing {
    struct http_request *request;
    struct buf body;
    struct json_out out;
    uint64_t left;
};

static bool list_one(void *arg, const struct dead_letter *letter)
{
    struct listing *listing = arg;
    struct json_out *out = &listing->out;
    char http_status[16];
    struct slice error = letter->state.error;
    if (listing->left == 0)
        return false;
    listing->left--;
    if (slice_eq(error, SLICE("http_status"))) {
        snprintf(http_status, sizeof(http_status), "HTTP %u", letter->state.status_code);
        error = slice_str(http_status);
    }
    json_object_open(out);
    json_member_cstr(out, "webhookId", letter->endpoint_id);
    json_member_cstr(out, "eventId", letter->event_id);
    json_member_str(out, "type", letter->record.type);
    json_member_u64(out, "attempts", letter->state.attempts);
    json_member_str(out, "lastError", error);
    json_member_time_ms(out, "deadAt", letter->dead_at_ms);
    if (letter->state.order.len > 0)
        json_member_bool(out, "blocksOrder", true);
    json_object_close(out);
    return true;
}

static void list_done(void *arg, enum status status, const char *next_endpoint,
                      uint64_t next_position)
{
    struct listing *listing = arg;
    struct json_out *out = &listing->out;
    struct http_request *request = listing->request;
    if (status != ST_OK) {
        buf_free(&listing->body);
        reply_failed(request, status == ST_LOST ? ST_AGAIN : status); /* only a read */
    } else {
        char cursor[64];
        snprintf(cursor, sizeof(cursor), "%s.%llu", next_endpoint,
                 (unsigned long long)next_position);
        json_array_close(out);
        json_member_str_or_null(out, "cursor", next_endpoint[0] ? slice_str(cursor) : SLICE_NULL);
        json_object_close(out);
        reply_json(request, 200, &listing->body, NULL);
    }
    free(listing);
}

static bool take_endpoint(struct dead_walk_options *options, const char *text)
{
    struct id id;
    if (id_parse(slice_str(text), "ep_", &id) != ST_OK)
        return false;
    id_format(options->only_endpoint, "ep_", &id);
    return true;
}

/* A cursor of all dead letters, or of another webhook, is none for one webhook's. */
static bool read_cursor(const struct query_param *cursor, struct dead_walk_options *options)
{
    const char *dot = strchr(cursor->value, '.');
    size_t len = dot ? (size_t)(dot - cursor->value) : 0;
    if (len == 0 || len >= sizeof(options->start_endpoint))
        return false;
    memcpy(options->start_endpoint, cursor->value, len);
    struct id id;
    bool other =
        options->only_endpoint[0] && strcmp(options->only_endpoint, options->start_endpoint) != 0;
    return !other && id_parse(slice_str(options->start_endpoint), "ep_", &id) == ST_OK &&
           parse_u64(slice_str(dot + 1), &options->start_position) == ST_OK;
}

void dead_letters_list(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct query_param params[] = {{.name = "webhookId"}, {.name = "limit"}, {.name = "cursor"}};
    struct dead_walk_options options = {.until_ms = UINT64_MAX / 2};
    struct field_error error;
    uint64_t most = LIMIT_DEFAULT;
    if (query_read(http_request_query(request), params, 3, &error) != ST_OK) {
        reply_refused(request, &error);
        return;
    }
    if (params[0].given && !take_endpoint(&options, params[0].value)) {
        reply_error(request, 400, "invalid_webhook_id", "webhookId", "This is not a webhook's id.");
        return;
    }
    if (params[1].given &&
        (parse_u64(slice_str(params[1].value), &most) != ST_OK || most < 1 || most > LIMIT_MOST)) {
        reply_error(request, 400, "invalid_limit", "limit", "limit must be 1 to 500.");
        return;
    }
    if (params[2].given && !read_cursor(&params[2], &options)) {
        reply_error(request, 400, "invalid_cursor", "cursor",
                    "cursor must be what an earlier answer gave.");
        return;
    }
    struct listing *listing = calloc(1, sizeof(*listing));
    if (!listing) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    listing->request = request;
    listing->left = most;
    buf_init(&listing->body, ANSWER_BYTES_MAX);
    json_out_begin(&listing->out, &listing->body);
    json_object_open(&listing->out);
    json_key(&listing->out, "deadLetters");
    json_array_open(&listing->out);
    if (dead_walk_start(api->core, &options, list_one, list_done, listing) != ST_OK)
        list_done(listing, ST_NOMEM, "", 0);
}
