/* event_read.c - GET /api/events/{id}: the event and what became of its deliveries.
 *
 *   events_read -> (by_uid ->) read_states -> read_batch -> read_ttl -> read_due_times -> render
 *
 * Where a delivery stands is found in this order:
 *   1. in this process: sending, or queued            memory
 *   2. waiting in the schedule, or a dead letter      the event's hash
 *   3. final                                          the batch's outcomes, or its slot in memory
 *   4. nowhere, and the batch is closed: it was sent just before its process died, the outcome is
 * lost
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/events.h"
#include "api/reply.h"
#include "base/json_out.h"
#include "core/delivery.h"
#include "core/journal.h"
#include "core/publish_key.h"
#include "core/schedule.h"
#include "core/store_read.h"
#include "core/store_schedule.h"

enum { VIEW_BYTES_MAX = 64 * 1024 * 1024, READINGS_MOST = 3 };

/* One delivery in the schedule or among the dead letters. */
struct waiting {
    struct view *view;
    struct id endpoint;
    char endpoint_id[ID_TEXT_MAX];
    char error[64];
    struct delivery_state state;
    uint64_t due_at_ms;
};

/* Everything one answer needs, collected step by step. */
struct view {
    struct api *api;
    struct http_request *request;
    struct id id;
    char id_text[ID_TEXT_MAX];
    char batch_id[BATCH_ID_TEXT];
    struct waiting *waiting;
    size_t waiting_count;
    struct message *alone; /* from the event's hash; NULL: it has none */
    struct batch *batch;   /* a copy of our own; NULL: its history is gone */
    struct buf outcomes;
    bool closed;
    size_t answers; /* still to come, in the last step */
    int readings;   /* how often all of it was read */
};

static void read_states(struct view *view);

static void view_free(struct view *view)
{
    message_put(view->alone);
    batch_free(view->batch);
    buf_free(&view->outcomes);
    free(view->waiting);
    free(view);
}

static void view_fail(struct view *view, enum status status)
{
    if (status == ST_NOTFOUND)
        reply_error(view->request, 404, "not_found", NULL,
                    "There is no event with this id, or its history has ended.");
    else
        reply_failed(view->request, status == ST_LOST ? ST_AGAIN : status); /* only a read */
    view_free(view);
}

/* ---- Rendering ------------------------------------------------------------------------------ */

struct line {
    const char *status;
    uint32_t attempts;
    uint64_t next_at_ms; /* 0: none */
    const char *error;   /* NULL: none */
    bool assumed;        /* "sent", because nothing says otherwise */
};

static struct line line_of_waiting(const struct waiting *waiting)
{
    const struct delivery_state *state = &waiting->state;
    struct line line = {.attempts = state->attempts,
                        .error = waiting->error[0] ? waiting->error : NULL};
    if (state->dead)
        line.status = "dead_letter";
    else
        line.status = state->attempts > 0 ? "failed" : "pending";
    if (!state->dead)
        line.next_at_ms = waiting->due_at_ms;
    return line;
}

static struct line line_of_outcome(struct outcome outcome, bool closed)
{
    if (outcome.status == OUTCOME_SENT)
        return (struct line){.status = "sent", .attempts = outcome.attempts};
    if (outcome.status == OUTCOME_CANCELLED)
        return (struct line){.status = "cancelled", .attempts = outcome.attempts};
    return (struct line){
        .status = closed ? "sent" : "pending", .attempts = closed, .assumed = closed};
}

static const struct waiting *find_waiting(const struct view *view, const struct id *endpoint)
{
    for (size_t i = 0; i < view->waiting_count; i++)
        if (id_eq(&view->waiting[i].endpoint, endpoint))
            return &view->waiting[i];
    return NULL;
}

static struct line line_of(const struct view *view, uint32_t ordinal, const struct id *endpoint)
{
    struct core *core = view->api->core;
    const struct waiting *waiting = find_waiting(view, endpoint);
    const struct delivery *leased = schedule_in_hand(core->schedule, &view->id, endpoint);
    if (leased && leased->phase == DELIVERY_SENDING)
        return (struct line){.status = "sending",
                             .attempts = leased->attempts,
                             .error = waiting && waiting->error[0] ? waiting->error : NULL};
    struct batch *open = journal_find(core->journal, view->batch_id);
    const struct batch_slot *slot = open ? &open->slots[ordinal] : NULL;
    if (slot && slot->delivery && slot->delivery->lease == 0)
        return (struct line){.status =
                                 slot->delivery->phase == DELIVERY_SENDING ? "sending" : "pending",
                             .attempts = slot->delivery->attempts};
    if (waiting)
        return line_of_waiting(waiting);
    if (slot && slot->state == SLOT_FINISHED)
        return line_of_outcome(outcome_read(slot->outcome), false);
    struct outcome outcome = {.status = OUTCOME_NONE};
    if ((size_t)(ordinal + 1) * OUTCOME_BYTES <= view->outcomes.len)
        outcome =
            outcome_read((const uint8_t *)view->outcomes.ptr + (size_t)ordinal * OUTCOME_BYTES);
    return line_of_outcome(outcome, view->closed);
}

static void target_of(const struct message *message, uint32_t index, struct id *endpoint)
{
    memcpy(endpoint->bytes, message->targets.ptr + (size_t)index * TARGET_BYTES, TARGET_BYTES);
}

static void render_delivery(struct json_out *out, const char *endpoint_id, struct line line)
{
    json_object_open(out);
    json_member_cstr(out, "webhookId", endpoint_id);
    json_member_cstr(out, "status", line.status);
    json_member_u64(out, "attempts", line.attempts);
    if (line.next_at_ms)
        json_member_time_ms(out, "nextAttemptAt", line.next_at_ms);
    else
        json_member_null(out, "nextAttemptAt");
    json_member_str_or_null(out, "lastError", slice_str(line.error));
    json_object_close(out);
}

static void render_deliveries(struct json_out *out, const struct view *view,
                              const struct message *message)
{
    json_key(out, "deliveries");
    json_array_open(out);
    if (message->batch) {
        for (uint32_t i = 0; i < message->target_count; i++) {
            struct id endpoint;
            char endpoint_id[ID_TEXT_MAX];
            target_of(message, i, &endpoint);
            id_format(endpoint_id, "ep_", &endpoint);
            render_delivery(out, endpoint_id, line_of(view, message->first_ordinal + i, &endpoint));
        }
        for (size_t i = 0; i < view->waiting_count; i++) /* replayed to one that came later */
            if (view->waiting[i].state.ordinal == ORDINAL_NONE)
                render_delivery(out, view->waiting[i].endpoint_id,
                                line_of_waiting(&view->waiting[i]));
    } else {
        for (size_t i = 0; i < view->waiting_count; i++)
            render_delivery(out, view->waiting[i].endpoint_id, line_of_waiting(&view->waiting[i]));
    }
    json_array_close(out);
}

/* A delivery that was moved, or settled, between our readings looks like one that left no trace. */
static bool assumes(const struct view *view, const struct message *message)
{
    for (uint32_t i = 0; i < message->target_count; i++) {
        struct id endpoint;
        target_of(message, i, &endpoint);
        if (line_of(view, message->first_ordinal + i, &endpoint).assumed)
            return true;
    }
    return false;
}

static void read_again(struct view *view)
{
    message_put(view->alone);
    batch_free(view->batch);
    free(view->waiting);
    view->alone = NULL;
    view->batch = NULL;
    view->waiting = NULL;
    view->waiting_count = 0;
    buf_clear(&view->outcomes);
    read_states(view);
}

static void render(struct view *view)
{
    const struct message *message = view->batch ? batch_find(view->batch, &view->id) : NULL;
    if (!message)
        message = view->alone;
    if (!message) {
        view_fail(view, ST_NOTFOUND);
        return;
    }
    if (message->batch && assumes(view, message) && ++view->readings < READINGS_MOST) {
        read_again(view);
        return;
    }
    const struct event_record *record = &message->record;
    struct buf body;
    struct json_out out;
    buf_init(&body, VIEW_BYTES_MAX);
    json_out_begin(&out, &body);
    json_object_open(&out);
    json_member_cstr(&out, "id", view->id_text);
    json_member_str(&out, "type", record->type);
    json_member_time_ms(&out, "timestamp", record->timestamp_ms);
    json_member_raw(&out, "data", record->data);
    json_member_str_or_null(&out, "version", record->version);
    json_member_str_or_null(&out, "source", record->source);
    json_member_str_or_null(&out, "uid", record->uid);
    json_member_time_ms(&out, "createdAt", id_time_ms(&view->id));
    render_deliveries(&out, view, message);
    json_object_close(&out);
    struct http_request *request = view->request;
    view_free(view);
    reply_json(request, 200, &body, NULL);
}

/* ---- When waiting deliveries are due -------------------------------------------------------- */

static void answer_came(struct view *view)
{
    if (--view->answers == 0)
        render(view);
}

static void on_due_time(void *arg, enum status status, const struct redis_value *reply)
{
    struct waiting *waiting = arg;
    struct view *view = waiting->view;
    if (status == ST_OK && redis_value_type(reply) == REDIS_STRING)
        waiting->due_at_ms = reply_score(redis_value_text(reply));
    answer_came(view);
}

static void read_due_times(struct view *view)
{
    view->answers = 1; /* this function's own */
    for (size_t i = 0; i < view->waiting_count; i++) {
        struct waiting *waiting = &view->waiting[i];
        if (!waiting->state.dead &&
            store_set_score(view->api->core->store, STORE_DUE, waiting->endpoint_id, view->id_text,
                            on_due_time, waiting) == ST_OK)
            view->answers++;
    }
    answer_came(view);
}

/* ---- The batch ------------------------------------------------------------------------------ */

static void on_ttl(void *arg, enum status status, const struct redis_value *reply)
{
    struct view *view = arg;
    if (status != ST_OK) {
        view_fail(view, status);
        return;
    }
    view->closed = redis_value_type(reply) == REDIS_INTEGER && redis_value_integer(reply) > 0;
    read_due_times(view);
}

static void on_batch(void *arg, enum status status, const struct redis_value *reply)
{
    struct view *view = arg;
    if (status != ST_OK) {
        view_fail(view, status);
        return;
    }
    struct slice blob = reply_text(reply, 0);
    if (blob.ptr && batch_load(view->batch_id, blob, &view->batch) == ST_NOMEM) {
        view_fail(view, ST_NOMEM);
        return;
    }
    buf_add_slice(&view->outcomes, reply_text(reply, 1));
    if (store_batch_ttl(view->api->core->store, view->batch_id, on_ttl, view) != ST_OK)
        view_fail(view, ST_NOMEM);
}

/* ---- The event's hash ----------------------------------------------------------------------- */

static void take_state(struct view *view, struct slice field, struct slice value)
{
    struct waiting *waiting = &view->waiting[view->waiting_count];
    if (id_parse(field, "ep_", &waiting->endpoint) != ST_OK ||
        delivery_state_read(value, &waiting->state) != ST_OK)
        return;
    waiting->view = view;
    id_format(waiting->endpoint_id, "ep_", &waiting->endpoint);
    struct slice error = waiting->state.error;
    if (slice_eq(error, SLICE("http_status")))
        snprintf(waiting->error, sizeof(waiting->error), "HTTP %u", waiting->state.status_code);
    else
        snprintf(waiting->error, sizeof(waiting->error), "%.*s", SLICE_ARGS(error));
    view->waiting_count++;
}

static void on_states(void *arg, enum status status, const struct redis_value *reply)
{
    struct view *view = arg;
    size_t count = status == ST_OK ? redis_value_count(reply) : 0;
    if (status == ST_OK && count > 0) {
        view->waiting = calloc(count / 2, sizeof(*view->waiting));
        if (!view->waiting)
            status = ST_NOMEM;
    }
    if (status != ST_OK) {
        view_fail(view, status);
        return;
    }
    for (size_t i = 0; i + 1 < count; i += 2) {
        struct slice field = reply_text(reply, i), value = reply_text(reply, i + 1);
        if (!slice_eq(field, SLICE("e")))
            take_state(view, field, value);
        else if (message_load(&view->id, value, &view->alone) != ST_OK)
            view->alone = NULL;
    }
    if (store_event_batch(view->api->core->store, view->batch_id, on_batch, view) != ST_OK)
        view_fail(view, ST_NOMEM);
}

static void read_states(struct view *view)
{
    id_format(view->id_text, "msg_", &view->id);
    batch_name_of(&view->id, view->batch_id);
    if (store_event_read_all(view->api->core->store, view->id_text, on_states, view) != ST_OK)
        view_fail(view, ST_NOMEM);
}

/* ---- By uid --------------------------------------------------------------------------------- */

static void on_uid(void *arg, enum status status, const struct redis_value *reply)
{
    enum { ID_TEXT_LEN = 31 };
    struct view *view = arg;
    struct slice answer = SLICE_NULL;
    if (status == ST_OK && redis_value_type(reply) == REDIS_STRING)
        answer = redis_value_text(reply);
    if (status == ST_OK && (answer.len < ID_TEXT_LEN || id_parse(slice_of(answer.ptr, ID_TEXT_LEN),
                                                                 "msg_", &view->id) != ST_OK))
        status = ST_NOTFOUND;
    if (status != ST_OK)
        view_fail(view, status);
    else
        read_states(view);
}

void events_read(struct api *api, struct http_request *request, struct slice id)
{
    struct view *view = calloc(1, sizeof(*view));
    if (!view) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    view->api = api;
    view->request = request;
    buf_init(&view->outcomes, VIEW_BYTES_MAX);
    if (id_parse(id, "msg_", &view->id) == ST_OK) {
        read_states(view);
        return;
    }
    uint8_t member[PUBLISH_KEY_BYTES];
    enum status status = publish_key(SLICE("default"), id, member);
    if (status == ST_OK)
        status = store_uid_read(api->core->store, slice_of(member, sizeof(member)), on_uid, view);
    if (status != ST_OK)
        view_fail(view, status);
}
