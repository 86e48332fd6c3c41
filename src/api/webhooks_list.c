/* webhooks_list.c - GET /api/webhooks: a page of endpoints in the order of their ids.
 *
 * The cursor is the id of the last endpoint looked at, so a page neither repeats nor skips anything
 * that stays, whatever is made or deleted between two pages. A page ends at the limit, after
 * PAGE_SCAN_MAX endpoints that were looked at, or after PAGE_BYTES: whatever is asked for, the loop
 * is held up for some milliseconds at most.
 */
#include "api/api.h"
#include "api/query.h"
#include "api/reply.h"
#include "api/webhooks.h"
#include "base/json_out.h"
#include "base/parse.h"
#include "core/endpoint_store.h"

enum {
    PAGE_DEFAULT = 50,
    PAGE_MAX = 500,
    PAGE_SCAN_MAX = 5000,
    PAGE_BYTES = 1024 * 1024,
    PAGE_BYTES_MAX = PAGE_BYTES + 6 * LIMIT_ENDPOINT_BYTES /* one more, with all its escapes */
};

struct list_query {
    struct slice event_type; /* SLICE_NULL: any */
    bool by_active, active;
    uint64_t limit;
    bool by_cursor;
    struct id cursor;
};

enum { PARAM_EVENT_TYPE, PARAM_ACTIVE, PARAM_LIMIT, PARAM_CURSOR, PARAMS };

static struct slice value_of(const struct query_param *param)
{
    return param->given ? slice_of(param->value, param->len) : SLICE_NULL;
}

/* `params` must live as long as *out. */
static enum status list_query_read(struct slice query, struct query_param params[PARAMS],
                                   struct list_query *out, struct field_error *error)
{
    enum status status = query_read(query, params, PARAMS, error);
    if (status)
        return status;
    *out = (struct list_query){.event_type = value_of(&params[PARAM_EVENT_TYPE]),
                               .by_active = params[PARAM_ACTIVE].given,
                               .active = slice_eq(value_of(&params[PARAM_ACTIVE]), SLICE("true")),
                               .limit = PAGE_DEFAULT,
                               .by_cursor = params[PARAM_CURSOR].given};

    if (out->event_type.ptr && !event_type_valid(out->event_type))
        return field_refuse(error, "invalid_events", "eventType",
                            "Give one event type, such as order.created.");
    if (out->by_active && !out->active &&
        !slice_eq(value_of(&params[PARAM_ACTIVE]), SLICE("false")))
        return field_refuse(error, "invalid_active", "active", "Give true or false.");
    if (params[PARAM_LIMIT].given && (parse_u64(value_of(&params[PARAM_LIMIT]), &out->limit) ||
                                      out->limit < 1 || out->limit > PAGE_MAX))
        return field_refuse(error, "invalid_limit", "limit", "Give a number from 1 to %d.",
                            PAGE_MAX);
    if (out->by_cursor && id_parse(value_of(&params[PARAM_CURSOR]), "ep_", &out->cursor))
        return field_refuse(error, "invalid_cursor", "cursor",
                            "Give the cursor of the page before, as it was.");
    return ST_OK;
}

static bool is_wanted(const struct list_query *query, const struct endpoint_config *config)
{
    if (query->by_active && config->active != query->active)
        return false;
    return !query->event_type.ptr || endpoint_config_takes(config, query->event_type);
}

/* Writes the page's endpoints. Returns the last one looked at when there may be more, else NULL. */
static const struct endpoint *write_page(struct registry *registry, const struct list_query *query,
                                         struct json_out *out, uint64_t *count)
{
    const struct endpoint *last = NULL;
    const struct id *after = query->by_cursor ? &query->cursor : NULL;
    size_t scanned = 0;

    *count = 0;
    for (;;) {
        const struct endpoint *endpoint = registry_next(registry, after);
        if (!endpoint)
            return NULL;
        bool wanted = is_wanted(query, endpoint->config);
        if (scanned == PAGE_SCAN_MAX ||
            (wanted && (*count == query->limit || out->buf->len > PAGE_BYTES)))
            return last;
        if (wanted) {
            json_value_raw(out, SLICE("")); /* the comma; the value is written behind it */
            endpoint_config_render(endpoint->config, endpoint->id_text, false, out->buf);
            (*count)++;
        }
        scanned++;
        last = endpoint;
        after = &endpoint->id;
    }
}

void webhooks_list(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct query_param params[PARAMS] = {[PARAM_EVENT_TYPE] = {.name = "eventType"},
                                         [PARAM_ACTIVE] = {.name = "active"},
                                         [PARAM_LIMIT] = {.name = "limit"},
                                         [PARAM_CURSOR] = {.name = "cursor"}};
    struct list_query query;
    struct field_error error;
    if (list_query_read(http_request_query(request), params, &query, &error)) {
        reply_refused(request, &error);
        return;
    }

    struct buf body;
    buf_init(&body, PAGE_BYTES_MAX);
    struct json_out out;
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_key(&out, "webhooks");
    json_array_open(&out);
    uint64_t count;
    const struct endpoint *more =
        write_page(endpoint_store_registry(api->endpoints), &query, &out, &count);
    json_array_close(&out);
    json_member_u64(&out, "count", count);
    json_member_str_or_null(&out, "cursor", more ? slice_str(more->id_text) : SLICE_NULL);
    json_object_close(&out);
    reply_json(request, 200, &body, NULL);
}
