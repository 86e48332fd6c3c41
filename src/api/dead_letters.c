/* dead_letters.c - listing, replaying and discarding dead letters.
 *
 * A replay answers when everything that matched is back in the schedule: 202 with the number,
 * because the deliveries themselves are made afterwards. A replayed delivery gets its whole retry
 * policy again.
 */
#include "api/dead_letters.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "api/api.h"
#include "api/dead_walk.h"
#include "api/query.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/timefmt.h"
#include "core/endpoint_store.h"
#include "core/json_field.h"
#include "core/schedule.h"
#include "core/store_schedule.h"

enum {
    LIMIT_DEFAULT = 50,
    LIMIT_MOST = 500,
    ANSWER_BYTES_MAX = 8 * 1024 * 1024,
    EVENT_IDS_MOST = 1000
};

/* ---- Listing -------------------------------------------------------------------------------- */

struct listing {
    struct http_request *request;
    struct buf body;
    struct json_out out;
    uint64_t left;
};

static enum dead_visit list_one(void *arg, const struct dead_letter *letter)
{
    struct listing *listing = arg;
    struct json_out *out = &listing->out;
    char http_status[16];
    struct slice error = letter->state.error;
    if (listing->left == 0)
        return DEAD_ENOUGH;
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
    json_object_close(out);
    return DEAD_LEFT;
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

static bool read_cursor(const struct query_param *cursor, struct dead_walk_options *options)
{
    const char *dot = strchr(cursor->value, '.');
    size_t len = dot ? (size_t)(dot - cursor->value) : 0;
    if (len == 0 || len >= sizeof(options->start_endpoint))
        return false;
    memcpy(options->start_endpoint, cursor->value, len);
    struct id id;
    return id_parse(slice_str(options->start_endpoint), "ep_", &id) == ST_OK &&
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
    struct dead_walk *walk;
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
    if (dead_walk_start(api->core, &options, list_one, list_done, listing, &walk) != ST_OK)
        list_done(listing, ST_NOMEM, "", 0);
}

/* ---- What to take --------------------------------------------------------------------------- */

struct selection {
    struct dead_walk_options options;
    char type[LIMIT_TYPE_BYTES + 1]; /* "": any */
    struct id *events;               /* NULL: any */
    size_t event_count;
};

static enum status take_time(json_t *body, const char *name, uint64_t *ms,
                             struct field_error *error)
{
    json_t *value = json_object_get(body, name);
    if (value &&
        (!json_is_string(value) || time_parse_rfc3339(json_field_text(value), ms) != ST_OK))
        return field_refuse(error, "invalid_time", name, "%s must be a time as in RFC 3339.", name);
    return ST_OK;
}

static enum status take_events(json_t *body, struct selection *selection, struct field_error *error)
{
    json_t *list = json_object_get(body, "eventIds");
    size_t count = json_array_size(list);
    if (!list)
        return ST_OK;
    if (!json_is_array(list) || count == 0 || count > EVENT_IDS_MOST)
        return field_refuse(error, "invalid_event_ids", "eventIds",
                            "eventIds must be a list of 1 to %d events' ids.", EVENT_IDS_MOST);
    selection->events = calloc(count, sizeof(*selection->events));
    if (!selection->events)
        return ST_NOMEM;
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_array_get(list, i);
        if (!json_is_string(item) ||
            id_parse(json_field_text(item), "msg_", &selection->events[i]) != ST_OK)
            return field_refuse(error, "invalid_event_ids", "eventIds",
                                "eventIds[%zu] is not an event's id.", i);
    }
    selection->event_count = count;
    return ST_OK;
}

static enum status take_webhook(json_t *body, struct selection *selection,
                                struct field_error *error)
{
    json_t *value = json_object_get(body, "webhookId");
    if (!value)
        return ST_OK;
    if (!json_is_string(value) || !take_endpoint(&selection->options, json_string_value(value)))
        return field_refuse(error, "invalid_webhook_id", "webhookId",
                            "webhookId must be a webhook's id.");
    return ST_OK;
}

static enum status take_type(json_t *body, struct selection *selection, struct field_error *error)
{
    json_t *value = json_object_get(body, "type");
    if (!value)
        return ST_OK;
    if (!json_is_string(value) || !event_type_valid(json_field_text(value)))
        return field_refuse(error, "invalid_type", "type", "type must be an event type.");
    snprintf(selection->type, sizeof(selection->type), "%s", json_string_value(value));
    return ST_OK;
}

static enum status take_members(json_t *body, struct selection *selection,
                                struct field_error *error)
{
    static const char *const names[] = {"webhookId", "eventIds", "type", "since", "until"};
    enum status status = json_field_known(body, "", names, 5, error);
    if (status == ST_OK)
        status = take_webhook(body, selection, error);
    if (status == ST_OK)
        status = take_events(body, selection, error);
    if (status == ST_OK)
        status = take_type(body, selection, error);
    if (status == ST_OK)
        status = take_time(body, "since", &selection->options.since_ms, error);
    if (status == ST_OK)
        status = take_time(body, "until", &selection->options.until_ms, error);
    return status;
}

/* An empty body selects everything. */
static enum status selection_read(struct selection *selection, struct slice text,
                                  struct field_error *error)
{
    json_error_t json;
    *selection = (struct selection){.options = {.until_ms = UINT64_MAX / 2}};
    if (text.len == 0)
        return ST_OK;
    json_t *body = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &json);
    if (!body || !json_is_object(body)) {
        json_decref(body);
        return field_refuse(error, "invalid_json", "", "The body must be a JSON object.");
    }
    enum status status = take_members(body, selection, error);
    json_decref(body);
    return status;
}

static bool selected(const struct selection *selection, const struct dead_letter *letter)
{
    if (selection->type[0] && !slice_eq(letter->record.type, slice_str(selection->type)))
        return false;
    for (size_t i = 0; i < selection->event_count; i++)
        if (id_eq(&selection->events[i], &letter->event))
            return true;
    return selection->events == NULL;
}

/* ---- Replaying and discarding --------------------------------------------------------------- */

struct taking {
    struct api *api;
    struct http_request *request;
    struct selection selection;
    struct dead_walk *walk;
    bool discard;
    uint64_t taken;
};

struct taken {
    struct taking *taking;
    uint32_t lane;
};

static void on_taken(void *arg, enum status status, const struct redis_value *reply)
{
    struct taken *taken = arg;
    struct taking *taking = taken->taking;
    if (status == ST_OK && reply_is(reply, 0, "ok")) {
        taking->taken++;
        if (!taking->discard)
            schedule_note(taking->api->core->schedule, taken->lane, reply_integer(reply, 1));
    }
    free(taken);
    dead_walk_taken(taking->walk, status);
}

static enum status take_away(struct taking *taking, const struct dead_letter *letter,
                             const struct endpoint *endpoint)
{
    struct core *core = taking->api->core;
    struct taken *taken = malloc(sizeof(*taken));
    if (!taken)
        return ST_NOMEM;
    *taken = (struct taken){taking, endpoint->lane};
    struct delivery_state state = letter->state;
    state.dead = false;
    state.replayed_at = state.attempts;
    struct buf bytes;
    buf_init(&bytes, 512 + LIMIT_EVENT_LOG_BYTES);
    delivery_state_write(&bytes, &state);
    uint8_t outcome[OUTCOME_BYTES];
    outcome_write(outcome, &(struct outcome){.status = OUTCOME_CANCELLED,
                                             .attempts = outcome_attempts(state.attempts),
                                             .at_ms = store_redis_ms(core->store)});
    struct store_dead args = {
        .event = &letter->event,
        .event_id = letter->event_id,
        .endpoint_id = letter->endpoint_id,
        .lane = endpoint->lane,
        .discard = taking->discard,
        .state = buf_slice(&bytes),
        .ordinal = state.ordinal,
        .outcome = slice_of(outcome, sizeof(outcome)),
        .log = state.log,
        .history_ttl_ms = core->options.history_ttl_ms,
    };
    enum status status = store_dead_replay(core->store, &args, on_taken, taken);
    buf_free(&bytes);
    if (status != ST_OK)
        free(taken);
    return status;
}

static enum dead_visit take_one(void *arg, const struct dead_letter *letter)
{
    struct taking *taking = arg;
    struct id id;
    struct endpoint *endpoint = NULL;
    if (!selected(&taking->selection, letter))
        return DEAD_LEFT;
    if (id_parse(slice_str(letter->endpoint_id), "ep_", &id) == ST_OK)
        endpoint = registry_find(endpoint_store_registry(taking->api->endpoints), &id);
    /* A disabled endpoint would send a replayed delivery straight back. */
    if (!endpoint || (!taking->discard && !endpoint->config->active))
        return DEAD_LEFT;
    return take_away(taking, letter, endpoint) == ST_OK ? DEAD_TAKEN : DEAD_ENOUGH;
}

static void take_done(void *arg, enum status status, const char *next_endpoint,
                      uint64_t next_position)
{
    (void)next_endpoint;
    (void)next_position;
    struct taking *taking = arg;
    struct http_request *request = taking->request;
    if (status != ST_OK) {
        reply_failed(request, status);
    } else {
        char text[64];
        int len =
            snprintf(text, sizeof(text), "{\"%s\":%llu}",
                     taking->discard ? "discarded" : "replayed", (unsigned long long)taking->taken);
        http_reply_json(request, taking->discard ? 200 : 202, slice_of(text, (size_t)len));
    }
    free(taking->selection.events);
    free(taking);
}

static void take(struct api *api, struct http_request *request, bool discard)
{
    struct field_error error;
    struct taking *taking = calloc(1, sizeof(*taking));
    if (!taking) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    *taking = (struct taking){.api = api, .request = request, .discard = discard};
    enum status status = selection_read(&taking->selection, http_request_body(request), &error);
    /* What dies again while the walk goes on is not taken again. */
    uint64_t now_ms = store_redis_ms(api->core->store);
    if (taking->selection.options.until_ms > now_ms)
        taking->selection.options.until_ms = now_ms;
    if (status == ST_RANGE)
        reply_refused(request, &error);
    else if (status != ST_OK || dead_walk_start(api->core, &taking->selection.options, take_one,
                                                take_done, taking, &taking->walk) != ST_OK)
        reply_failed(request, ST_NOMEM);
    else
        return;
    free(taking->selection.events);
    free(taking);
}

void dead_letters_replay(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    take(api, request, false);
}

void dead_letters_discard(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    take(api, request, true);
}
