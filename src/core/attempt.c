/* attempt.c - one HTTP request of one delivery.
 *
 * An attempt's memory is kept in a free list and used again, so that a delivery allocates nothing
 * once the process is warm. Its body is its own until it ends; header lines are written in one
 * place for all, since outbound copies them.
 *
 * Trace context (W3C): the event's trace is continued with a parent id of its own for each attempt;
 * an event without one starts a trace from its id, so all its attempts belong together.
 *
 * An attempt may wait long for its connection, and this process for its own continuation (SIGSTOP).
 * So the right to send is looked at once more when the connection stands (may_send): a lease that
 * has ended, or a lane that was lost meanwhile, cuts it. Nothing went out, no attempt is counted,
 * and the delivery goes back to the schedule for whoever owns its lane.
 */
#include "core/attempt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/dispatch.h"
#include "core/gate.h"
#include "core/schedule.h"
#include "core/settle.h"
#include "wire/encoding.h"
#include "wire/event_data.h"

enum {
    LINES_MAX = LIMIT_HEADER_LIST + LIMIT_HTTP_HEADERS + 16,
    BODY_BYTES_MAX = 7 * LIMIT_BATCH_BYTES, /* a character of text may take six in JSON */
    FREE_MAX = 512,                         /* attempts that are kept ... */
    KEEP_BYTES = 16 * 1024                  /* ... with a body of at most so many */
};

struct attempt {
    struct list node; /* in attempts->free */
    struct attempts *attempts;
    struct delivery *delivery; /* NULL: a probe */
    struct endpoint_config *config;
    struct message *probe_message;
    attempt_probe_fn *probe_fn;
    void *probe_arg;
    struct outbound_request *request;
    uint64_t started_at_ms; /* unix */
    struct buf body;
};

struct attempts {
    struct core *core;
    struct list sending; /* deliveries, oldest attempt first */
    struct list probing; /* attempts */
    struct list free;
    size_t free_count;
    size_t in_flight;
    size_t reserved;
    /* Of the request that is being built. */
    struct buf lines; /* "Name: value\0" ... */
    struct buf data;  /* received data as JSON, if it is none */
    const char *line[LINES_MAX];
};

/* ---- Memory --------------------------------------------------------------------------------- */

static struct attempt *attempt_take(struct attempts *attempts)
{
    struct list *node = list_pop_front(&attempts->free);
    if (node) {
        attempts->free_count--;
        return CONTAINER_OF(node, struct attempt, node);
    }
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (!attempt)
        return NULL;
    list_init(&attempt->node);
    attempt->attempts = attempts;
    buf_init(&attempt->body, BODY_BYTES_MAX);
    return attempt;
}

static void attempt_destroy(struct attempt *attempt)
{
    buf_free(&attempt->body);
    free(attempt);
}

static void attempt_give_back(struct attempt *attempt)
{
    struct attempts *attempts = attempt->attempts;
    endpoint_config_put(attempt->config);
    attempt->config = NULL;
    attempt->delivery = NULL;
    attempt->request = NULL;
    if (attempts->free_count >= FREE_MAX) {
        attempt_destroy(attempt);
        return;
    }
    if (attempt->body.cap > KEEP_BYTES)
        buf_free(&attempt->body);
    list_push_front(&attempts->free, &attempt->node);
    attempts->free_count++;
}

/* ---- Building ------------------------------------------------------------------------------- */

static void add_line(struct buf *lines, size_t *count, const char *name, struct slice value)
{
    buf_add_str(lines, name);
    buf_add_str(lines, ": ");
    buf_add_slice(lines, value);
    buf_add_char(lines, '\0');
    (*count)++;
}

static void add_trace(struct buf *lines, size_t *count, const struct message *message)
{
    struct slice parent = message->record.traceparent;
    uint8_t span[8];
    rng_bytes(span, sizeof(span));
    buf_add_str(lines, "traceparent: 00-");
    if (parent.ptr) {
        buf_add(lines, parent.ptr + 3, 32); /* its trace id; checked when the event was accepted */
        buf_add_char(lines, '-');
        hex_encode(lines, slice_of(span, sizeof(span)));
        buf_add(lines, parent.ptr + 52, 3); /* "-" and the flags */
    } else {
        hex_encode(lines, slice_of(message->id.bytes + 4, 16));
        buf_add_char(lines, '-');
        hex_encode(lines, slice_of(span, sizeof(span)));
        buf_add_str(lines, "-00");
    }
    buf_add_char(lines, '\0');
    (*count)++;
    if (parent.ptr && message->record.tracestate.ptr)
        add_line(lines, count, "tracestate", message->record.tracestate);
}

static size_t valid_keys(const struct endpoint_config *config, uint64_t now_ms,
                         struct signer_key *keys[LIMIT_SECRETS])
{
    size_t count = 0;
    for (size_t i = 0; i < config->secret_count; i++) {
        const struct endpoint_secret *secret = &config->secrets[i];
        if (secret->expires_at_ms == 0 || secret->expires_at_ms > now_ms)
            keys[count++] = secret->key;
    }
    return count;
}

/* A delivery whose lane went to another owner while it was leased is this process's to finish, as
 * long as the lease lasts. */
static bool may_send(void *arg)
{
    const struct attempt *attempt = arg;
    const struct core *core = attempt->attempts->core;
    const struct delivery *delivery = attempt->delivery;
    if (!lanes_may_send(core->lanes, clock_boot_ms()))
        return false;
    if (lanes_state(core->lanes, delivery->endpoint->lane) >= LANE_MINE)
        return true;
    return delivery->lease > 0 && !schedule_lapses(core->schedule, delivery);
}

/* Has the endpoint a header of its own by that name? */
static bool is_custom(void *arg, struct slice name)
{
    const struct endpoint_config *config = arg;
    for (size_t i = 0; i < config->header_count; i++) {
        struct slice line = slice_str(config->header_lines[i]);
        if (line.len > name.len && line.ptr[name.len] == ':' &&
            slice_eq_nocase(slice_of(line.ptr, name.len), name))
            return true;
    }
    return false;
}

/* What came from a third party need not be JSON. Then it is made such, for bodies to be put in. */
static struct slice data_as_json(struct attempts *attempts, const struct event_record *record)
{
    if (record->data_kind == EVENT_DATA_JSON)
        return record->data;
    buf_clear(&attempts->data);
    return event_data_json(record, &attempts->data);
}

/* The body was made of it, or is it; the memory that it took is not kept if it is much. */
static enum status data_was_used(struct attempt *attempt, struct slice *body)
{
    struct buf *data = &attempt->attempts->data;
    enum status status = buf_status(data);
    if (body->ptr == data->ptr) {
        buf_add_slice(&attempt->body, *body);
        *body = buf_slice(&attempt->body);
    }
    if (data->cap > KEEP_BYTES)
        buf_free(data);
    return status;
}

/* Body and headers as the endpoint's scheme has them. */
static enum status add_signed(struct attempt *attempt, const struct message *message,
                              struct slice *body, size_t *count)
{
    struct attempts *attempts = attempt->attempts;
    const struct endpoint_config *config = attempt->config;
    const struct event_record *record = &message->record;
    struct scheme_event event = {
        .id = slice_str(message->id_text),
        .type = record->type,
        .timestamp_ms = record->timestamp_ms,
        .data = data_as_json(attempts, record),
        .version = record->version,
        .source = record->source,
    };
    struct signer_key *keys[LIMIT_SECRETS];
    size_t key_count = valid_keys(config, attempt->started_at_ms, keys);
    *body = scheme_body(config->scheme, &event, &attempt->body);
    enum status status = ST_OK;
    if (record->data_kind != EVENT_DATA_JSON)
        status = data_was_used(attempt, body);
    if (status == ST_OK)
        status = scheme_headers(config->scheme, &event, *body, attempt->started_at_ms, keys,
                                key_count, &attempts->lines, count);
    add_line(&attempts->lines, count, "Content-Type", SLICE("application/json"));
    return status;
}

/* Fills in lines and body, and gives the call that sends them. */
static enum status build(struct attempt *attempt, const struct message *message,
                         struct outbound_call *call)
{
    struct attempts *attempts = attempt->attempts;
    struct buf *lines = &attempts->lines;
    struct endpoint_config *config = attempt->config;
    const struct core_options *options = &attempts->core->options;
    const struct event_record *record = &message->record;
    struct slice body = record->data;
    enum status status = ST_OK;
    size_t count = 0;
    buf_clear(lines);
    buf_clear(&attempt->body);
    if (scheme_passes_through(config->scheme))
        scheme_original_headers(slice_str(message->id_text), record, is_custom, config, lines,
                                &count);
    else
        status = add_signed(attempt, message, &body, &count);
    if (status != ST_OK)
        return status;
    add_trace(lines, &count, message);
    if (record->duplicate_of.ptr)
        add_line(lines, &count, "Trotline-Duplicate-Of", record->duplicate_of);
    if (buf_status(lines) != ST_OK || buf_status(&attempt->body) != ST_OK)
        return ST_NOMEM;
    if (count + config->header_count > LINES_MAX)
        return ST_RANGE;
    const char *at = lines->ptr;
    for (size_t i = 0; i < count; i++) {
        attempts->line[i] = at;
        at += strlen(at) + 1;
    }
    for (size_t i = 0; i < config->header_count; i++)
        attempts->line[count++] = config->header_lines[i];
    *call = (struct outbound_call){
        .url = config->url,
        .header_lines = attempts->line,
        .header_count = count,
        .body = body,
        .connect_timeout_ms = options->connect_timeout_ms,
        .total_timeout_ms = config->timeout_ms,
        .response_bytes_max = options->response_bytes_max,
        .insecure_http_allowed = options->allow_http,
        .may_send = attempt->delivery ? may_send : NULL, /* a probe is nobody's lane */
    };
    return ST_OK;
}

/* ---- Sending -------------------------------------------------------------------------------- */

_Static_assert(sizeof(((struct core_stats *)NULL)->attempts_error) / sizeof(uint64_t) >
                   OUTBOUND_CANCELLED,
               "core_stats counts every class of error");

static void count_result(struct core_stats *stats, const struct outbound_result *result)
{
    int digit = result->status_code / 100;
    if (result->error == OUTBOUND_CANCELLED)
        return;
    hist_record(&stats->attempt_us, result->duration_us);
    if (result->error != OUTBOUND_OK)
        stats->attempts_error[result->error]++;
    else
        stats->attempts_status[digit >= 1 && digit <= 5 ? digit : 0]++;
}

static void on_done(void *arg, const struct outbound_result *result)
{
    struct attempt *attempt = arg;
    struct attempts *attempts = attempt->attempts;
    struct core *core = attempts->core;
    struct delivery *delivery = attempt->delivery;
    struct endpoint *endpoint = endpoint_get(delivery->endpoint);
    attempts->in_flight--;
    endpoint->in_flight--;
    delivery->attempt = NULL;
    list_remove(&delivery->node);
    count_result(&core->stats, result);
    settle_attempt(core->settle, delivery, result, attempt->started_at_ms);
    attempt_give_back(attempt);
    dispatch_endpoint_ready(core->dispatch, endpoint);
    endpoint_put(endpoint);
}

enum status attempt_start(struct attempts *attempts, struct delivery *delivery)
{
    struct core *core = attempts->core;
    if (!lanes_may_send(core->lanes, clock_boot_ms()))
        return ST_AGAIN;
    struct attempt *attempt = attempt_take(attempts);
    if (!attempt)
        return ST_NOMEM;
    attempt->config = endpoint_config_get(delivery->endpoint->config);
    attempt->delivery = delivery;
    attempt->started_at_ms = clock_wall_ms();
    struct outbound_call call;
    enum status status = build(attempt, delivery->message, &call);
    if (status == ST_OK)
        status = outbound_send(core->outbound, &call, on_done, attempt, &attempt->request);
    if (status != ST_OK) {
        attempt_give_back(attempt);
        if (status == ST_NOMEM || status == ST_LIMIT)
            return status;
        log_error("delivery.unsendable", "endpoint=%s event=%s reason=%s",
                  delivery->endpoint->id_text, delivery->message->id_text, status_name(status));
        settle_dead(core->settle, delivery, "unsendable");
        return ST_OK;
    }
    delivery->phase = DELIVERY_SENDING;
    delivery->attempt = attempt;
    delivery->sending_since_ms = clock_mono_ms();
    list_push_back(&attempts->sending, &delivery->node);
    delivery->endpoint->in_flight++;
    attempts->in_flight++;
    gate_pass(core->gate, delivery->endpoint, &delivery->pass);
    return ST_OK;
}

/* ---- Probes --------------------------------------------------------------------------------- */

static void on_probe_done(void *arg, const struct outbound_result *result)
{
    struct attempt *attempt = arg;
    attempt->attempts->in_flight--;
    list_remove(&attempt->node);
    attempt->probe_fn(attempt->probe_arg, result);
    message_put(attempt->probe_message);
    attempt->probe_message = NULL;
    attempt_give_back(attempt);
}

enum status attempt_probe(struct attempts *attempts, struct endpoint_config *config,
                          struct message *message, attempt_probe_fn *fn, void *arg)
{
    struct attempt *attempt = attempt_take(attempts);
    if (!attempt)
        return ST_NOMEM;
    attempt->config = endpoint_config_get(config);
    attempt->started_at_ms = clock_wall_ms();
    attempt->probe_fn = fn;
    attempt->probe_arg = arg;
    struct outbound_call call;
    enum status status = build(attempt, message, &call);
    if (status == ST_OK)
        status = outbound_send(attempts->core->outbound, &call, on_probe_done, attempt,
                               &attempt->request);
    if (status != ST_OK) {
        attempt_give_back(attempt);
        return status;
    }
    attempt->probe_message = message_get(message);
    list_push_back(&attempts->probing, &attempt->node);
    attempts->in_flight++;
    return ST_OK;
}

/* ---- Slots ---------------------------------------------------------------------------------- */

size_t attempts_free_slots(const struct attempts *attempts)
{
    size_t used = attempts->in_flight + attempts->reserved;
    size_t most = attempts->core->options.in_flight_max;
    return used < most ? most - used : 0;
}

void attempts_reserve(struct attempts *attempts, size_t slots)
{
    attempts->reserved += slots;
}

void attempts_unreserve(struct attempts *attempts, size_t slots)
{
    assert(attempts->reserved >= slots);
    attempts->reserved -= slots;
}

size_t attempts_in_flight(const struct attempts *attempts)
{
    return attempts->in_flight;
}

struct list *attempts_sending(struct attempts *attempts)
{
    return &attempts->sending;
}

void attempts_cancel_all(struct attempts *attempts)
{
    LIST_FOREACH(node, &attempts->sending)
    {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        outbound_cancel(delivery->attempt->request);
    }
    LIST_FOREACH(probe, &attempts->probing)
    outbound_cancel(CONTAINER_OF(probe, struct attempt, node)->request);
}

struct attempts *attempts_new(struct core *core)
{
    struct attempts *attempts = calloc(1, sizeof(*attempts));
    if (!attempts)
        return NULL;
    attempts->core = core;
    list_init(&attempts->sending);
    list_init(&attempts->probing);
    list_init(&attempts->free);
    buf_init(&attempts->lines, 256 * 1024);
    buf_init(&attempts->data, BODY_BYTES_MAX);
    return attempts;
}

void attempts_free(struct attempts *attempts)
{
    if (!attempts)
        return;
    LIST_FOREACH(node, &attempts->sending)
    {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        struct attempt *attempt = delivery->attempt;
        delivery->attempt = NULL;
        list_remove(node);
        attempt_give_back(attempt);
        dispatch_release(attempts->core->dispatch, delivery);
    }
    LIST_FOREACH(node, &attempts->free)
    {
        list_remove(node);
        attempt_destroy(CONTAINER_OF(node, struct attempt, node));
    }
    buf_free(&attempts->lines);
    buf_free(&attempts->data);
    free(attempts);
}
