/* event_view.c - all that is known of one event and its deliveries, collected for an answer.
 *
 *   event_view_read -> (by uid ->) read_hash -> read_batch -> read_ttl -> complete -> fn
 *                                      ^                                     |
 *                                      +-- something seems missing ----------+
 *
 * Redis goes on between these readings. A delivery that was moved, or settled, or whose batch was
 * dropped in between looks like one that left no trace, and so all is read again before that is
 * believed.
 */
#include "api/event_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/reply.h"
#include "core/delivery.h"
#include "core/journal.h"
#include "core/key_claims.h"
#include "core/publish_key.h"
#include "core/schedule.h"
#include "core/store_read.h"
#include "core/store_schedule.h"

enum { VALUES_BYTES_MAX = 64 * 1024 * 1024, READINGS_MOST = 3 };

static void read_hash(struct event_view *view);

static void forget(struct event_view *view)
{
    message_put(view->alone);
    batch_free(view->batch);
    free(view->fields);
    view->alone = NULL;
    view->batch = NULL;
    view->fields = NULL;
    view->field_count = view->alone_count = 0;
    buf_clear(&view->values);
    buf_clear(&view->outcomes);
}

void event_view_free(struct event_view *view)
{
    if (!view)
        return;
    forget(view);
    buf_free(&view->values);
    buf_free(&view->outcomes);
    free(view);
}

static void fail(struct event_view *view, enum status status)
{
    if (status == ST_NOTFOUND)
        reply_error(view->request, 404, "not_found", NULL,
                    "There is no event with this id, or its history has ended.");
    else
        reply_failed(view->request, status == ST_LOST ? ST_AGAIN : status); /* only a read */
    event_view_free(view);
}

/* ---- Deliveries ----------------------------------------------------------------------------- */

static const struct event_view_field *find_field(const struct event_view *view,
                                                 const struct id *endpoint)
{
    const struct event_view_field *found = NULL;
    for (size_t i = 0; i < view->field_count; i++)
        if (id_eq(&view->fields[i].endpoint, endpoint) && (!found || found->final))
            found = &view->fields[i]; /* one that waits again is not final any more */
    return found;
}

static void error_of(char *out, size_t size, struct slice error, unsigned status_code)
{
    if (slice_eq(error, SLICE("http_status")))
        snprintf(out, size, "HTTP %u", status_code);
    else
        snprintf(out, size, "%.*s", SLICE_ARGS(error));
}

static void stand_of_outcome(struct event_view_delivery *delivery, struct outcome outcome,
                             bool closed)
{
    delivery->attempts = outcome.attempts;
    if (outcome.status == OUTCOME_SENT) {
        delivery->status = "sent";
    } else if (outcome.status == OUTCOME_CANCELLED) {
        delivery->status = "cancelled";
    } else {
        delivery->status = closed ? "sent" : "pending";
        delivery->attempts = closed;
        delivery->assumed = closed;
    }
}

static void stand_of_field(struct event_view_delivery *delivery)
{
    const struct delivery_state *state = &delivery->field->state;
    if (delivery->field->final) {
        stand_of_outcome(delivery, delivery->field->outcome, true);
        return;
    }
    delivery->attempts = state->attempts;
    delivery->status = state->dead ? "dead_letter" : state->attempts > 0 ? "failed" : "pending";
    error_of(delivery->error, sizeof(delivery->error), state->error, state->status_code);
}

static struct outcome outcome_at(const struct event_view *view, uint32_t ordinal)
{
    size_t at = (size_t)ordinal * OUTCOME_BYTES;
    if (at + OUTCOME_BYTES > view->outcomes.len)
        return (struct outcome){.status = OUTCOME_NONE};
    return outcome_read((const uint8_t *)view->outcomes.ptr + at);
}

static void stand_of_ordinal(const struct event_view *view, struct event_view_delivery *delivery,
                             uint32_t ordinal)
{
    const struct batch_slot *slot = journal_slot(view->api->core->journal, view->batch_id, ordinal);
    if (slot && slot->delivery && slot->delivery->lease == 0) {
        bool sending = slot->delivery->phase == DELIVERY_SENDING;
        delivery->status = sending ? "sending" : "pending";
        delivery->attempts = slot->delivery->attempts;
    } else if (delivery->field) {
        stand_of_field(delivery);
    } else {
        bool finished = slot && slot->state == SLOT_FINISHED;
        delivery->outcome = finished ? outcome_read(slot->outcome) : outcome_at(view, ordinal);
        stand_of_outcome(delivery, delivery->outcome, view->closed && !finished);
    }
}

/* How many deliveries the batch knows. */
static size_t targets_of(const struct event_view *view)
{
    return view->message->batch ? view->message->target_count : 0;
}

size_t event_view_count(const struct event_view *view)
{
    return targets_of(view) + view->alone_count;
}

struct event_view_delivery event_view_at(const struct event_view *view, size_t index)
{
    const struct message *message = view->message;
    struct event_view_delivery delivery = {.status = ""};
    size_t targets = targets_of(view);
    if (index < targets)
        memcpy(delivery.endpoint.bytes, message->targets.ptr + index * TARGET_BYTES, TARGET_BYTES);
    else
        delivery.endpoint = view->fields[index - targets].endpoint;
    delivery.field = find_field(view, &delivery.endpoint);
    const struct delivery *leased =
        schedule_in_hand(view->api->core->schedule, &view->id, &delivery.endpoint);
    if (leased && leased->phase == DELIVERY_SENDING) {
        if (delivery.field && !delivery.field->final)
            stand_of_field(&delivery);
        delivery.status = "sending";
        delivery.attempts = leased->attempts;
    } else if (index < targets) {
        stand_of_ordinal(view, &delivery, message->first_ordinal + (uint32_t)index);
    } else {
        stand_of_field(&delivery);
    }
    return delivery;
}

/* ---- Complete ------------------------------------------------------------------------------- */

static bool assumes(const struct event_view *view)
{
    for (size_t i = 0; i < event_view_count(view); i++)
        if (event_view_at(view, i).assumed)
            return true;
    return false;
}

/* Is there no target of the batch, and no other field, that speaks of its delivery? */
static bool stands_alone(const struct event_view *view, const struct event_view_field *field)
{
    const char *targets = view->message->targets.ptr;
    for (size_t i = 0; i < targets_of(view); i++)
        if (memcmp(targets + i * TARGET_BYTES, field->endpoint.bytes, TARGET_BYTES) == 0)
            return false;
    return find_field(view, &field->endpoint) == field;
}

static void choose_fields(struct event_view *view)
{
    view->alone_count = 0;
    for (size_t i = 0; i < view->field_count; i++) {
        if (!stands_alone(view, &view->fields[i]))
            continue;
        struct event_view_field field = view->fields[i];
        view->fields[i] = view->fields[view->alone_count];
        view->fields[view->alone_count++] = field;
    }
}

static void complete(struct event_view *view)
{
    view->message = view->batch ? batch_find(view->batch, &view->id) : NULL;
    if (!view->message)
        view->message = view->alone;
    if (view->message)
        choose_fields(view);
    if ((!view->message || assumes(view)) && ++view->readings < READINGS_MOST) {
        forget(view);
        read_hash(view);
        return;
    }
    if (view->message)
        view->fn(view);
    else
        fail(view, ST_NOTFOUND);
}

/* ---- The batch ------------------------------------------------------------------------------ */

static void on_ttl(void *arg, enum status status, const struct redis_value *reply)
{
    struct event_view *view = arg;
    if (status != ST_OK) {
        fail(view, status);
        return;
    }
    view->closed = redis_value_type(reply) == REDIS_INTEGER && redis_value_integer(reply) > 0;
    complete(view);
}

static void on_batch(void *arg, enum status status, const struct redis_value *reply)
{
    struct event_view *view = arg;
    if (status != ST_OK) {
        fail(view, status);
        return;
    }
    struct slice blob = reply_text(reply, 0);
    if (blob.ptr && batch_load(view->batch_id, blob, &view->batch) == ST_NOMEM) {
        fail(view, ST_NOMEM);
        return;
    }
    buf_add_slice(&view->outcomes, reply_text(reply, 1));
    if (store_batch_ttl(view->api->core->store, view->batch_id, on_ttl, view) != ST_OK)
        fail(view, ST_NOMEM);
}

/* ---- The event's hash ----------------------------------------------------------------------- */

/* Takes one field over; `value` lives as long as the view. What cannot be read is passed over. */
static void take_field(struct event_view *view, struct slice name, struct slice value)
{
    struct event_view_field *field = &view->fields[view->field_count];
    *field = (struct event_view_field){.view = view, .final = slice_starts(name, SLICE("="))};
    if (field->final)
        name = slice_of(name.ptr + 1, name.len - 1);
    if (id_parse(name, "ep_", &field->endpoint) != ST_OK)
        return;
    id_format(field->endpoint_id, "ep_", &field->endpoint);
    if (field->final && value.len >= OUTCOME_BYTES) {
        field->outcome = outcome_read((const uint8_t *)value.ptr);
        field->log = slice_of(value.ptr + OUTCOME_BYTES, value.len - OUTCOME_BYTES);
        view->field_count++;
    } else if (!field->final && delivery_state_read(value, &field->state) == ST_OK) {
        field->log = field->state.log;
        view->field_count++;
    }
}

static size_t bytes_of(const struct redis_value *reply, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 1; i < count; i += 2)
        bytes += reply_text(reply, i).len;
    return bytes;
}

static enum status take_hash(struct event_view *view, const struct redis_value *reply, size_t count)
{
    size_t bytes = bytes_of(reply, count);
    view->fields = calloc(count / 2 + 1, sizeof(*view->fields));
    /* Reserved whole: it does not move. */
    if (!view->fields || (bytes > 0 && !buf_reserve(&view->values, bytes)))
        return ST_NOMEM;
    for (size_t i = 0; i + 1 < count; i += 2) {
        struct slice name = reply_text(reply, i), value = reply_text(reply, i + 1);
        if (slice_eq(name, SLICE("e"))) {
            if (message_load(&view->id, value, &view->alone) != ST_OK)
                view->alone = NULL;
            continue;
        }
        size_t at = view->values.len;
        buf_add_slice(&view->values, value);
        take_field(view, name, slice_of(view->values.ptr + at, value.len));
    }
    return ST_OK;
}

static void on_hash(void *arg, enum status status, const struct redis_value *reply)
{
    struct event_view *view = arg;
    size_t count = status == ST_OK ? redis_value_count(reply) : 0;
    if (status == ST_OK && count > 0)
        status = take_hash(view, reply, count);
    if (status == ST_OK)
        status = store_event_batch(view->api->core->store, view->batch_id, on_batch, view);
    if (status != ST_OK)
        fail(view, status);
}

static void read_hash(struct event_view *view)
{
    id_format(view->id_text, "msg_", &view->id);
    batch_name_of(&view->id, view->batch_id);
    if (store_event_read_all(view->api->core->store, view->id_text, on_hash, view) != ST_OK)
        fail(view, ST_NOMEM);
}

/* ---- By uid --------------------------------------------------------------------------------- */

static void on_uid(void *arg, enum status status, const struct redis_value *reply)
{
    struct event_view *view = arg;
    struct key_answer answer;
    if (status == ST_OK && (redis_value_type(reply) != REDIS_STRING ||
                            key_answer_read(redis_value_text(reply), KEY_UID, &answer) != ST_OK))
        status = ST_NOTFOUND;
    if (status != ST_OK) {
        fail(view, status);
        return;
    }
    view->id = answer.event;
    read_hash(view);
}

void event_view_read(struct api *api, struct http_request *request, struct slice id, uint64_t limit,
                     void (*fn)(struct event_view *view))
{
    struct event_view *view = calloc(1, sizeof(*view));
    if (!view) {
        reply_failed(request, ST_NOMEM);
        return;
    }
    view->api = api;
    view->request = request;
    view->limit = limit;
    view->fn = fn;
    buf_init(&view->values, VALUES_BYTES_MAX);
    buf_init(&view->outcomes, VALUES_BYTES_MAX);
    if (id_parse(id, "msg_", &view->id) == ST_OK) {
        read_hash(view);
        return;
    }
    uint8_t member[PUBLISH_KEY_BYTES];
    enum status status = publish_key(SLICE("default"), id, member);
    if (status == ST_OK)
        status = store_uid_read(api->core->store, slice_of(member, sizeof(member)), on_uid, view);
    if (status != ST_OK)
        fail(view, status);
}
