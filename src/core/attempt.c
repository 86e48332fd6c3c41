/* attempt.c - one try of one delivery, or of several: an HTTP request, or an entry for a stream.
 *
 * An attempt's memory is kept in a free list and used again, so that a delivery allocates nothing
 * once the process is warm. Its body is its own until it ends.
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
#include "core/delivery_request.h"
#include "core/dispatch.h"
#include "core/gate.h"
#include "core/group.h"
#include "core/schedule.h"
#include "core/settle.h"
#include "core/stream_send.h"

enum {
    FREE_MAX = 512,        /* attempts that are kept ... */
    KEEP_BYTES = 16 * 1024 /* ... with a body of at most so many */
};

struct attempt {
    struct list node; /* in attempts->free */
    struct attempts *attempts;
    struct delivery *delivery; /* the first one; NULL: a probe */
    struct delivery **members; /* all of them, if they go together; else NULL. Owned */
    size_t member_count;
    struct endpoint_config *config;
    struct message *probe_message;
    attempt_probe_fn *probe_fn;
    void *probe_arg;
    struct outbound_request *request; /* NULL: to a stream */
    struct stream_send entry;
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
    size_t group_bytes;
    struct delivery_request *request; /* that is being built */
    struct stream_sender *streams;
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
    buf_init(&attempt->body, DELIVERY_BODY_MAX);
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
    if (attempt->members) {
        free(attempt->members);
        attempt->members = NULL;
    }
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

/* ---- Sending -------------------------------------------------------------------------------- */

_Static_assert(sizeof(((struct core_stats *)NULL)->attempts_error) / sizeof(uint64_t) >
                   OUTBOUND_CANCELLED,
               "core_stats counts every class of error");

static void count_result(struct core_stats *stats, const struct outbound_result *result)
{
    int digit = result->status_code == OUTBOUND_TAKEN ? 2 : result->status_code / 100;
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

static struct delivery *const *members_of(const struct attempt *attempt, size_t *count)
{
    *count = attempt->members ? attempt->member_count : 1;
    return attempt->members ? attempt->members : &attempt->delivery;
}

struct delivery *const *attempt_members(const struct delivery *delivery, size_t *count)
{
    return members_of(delivery->attempt, count);
}

bool attempt_is_led_by(const struct delivery *delivery)
{
    return delivery->attempt->delivery == delivery;
}

/* A delivery whose lane went to another owner while it was leased is this process's to finish, as
 * long as the lease lasts. */
static bool may_send(void *arg)
{
    const struct attempt *attempt = arg;
    const struct core *core = attempt->attempts->core;
    size_t count;
    struct delivery *const *members = members_of(attempt, &count);
    if (!lanes_may_send(core->lanes, clock_boot_ms()))
        return false;
    if (lanes_state(core->lanes, members[0]->endpoint->lane) >= LANE_MINE)
        return true;
    for (size_t i = 0; i < count; i++)
        if (members[i]->lease == 0 || schedule_lapses(core->schedule, members[i]))
            return false;
    return true;
}

/* A probe of an endpoint that takes several in one request. */
static enum status build_alone(struct attempt *attempt, struct message *message,
                               struct outbound_call *call)
{
    struct attempts *attempts = attempt->attempts;
    const struct id nobody = {{0}};
    const struct delivery_group group = {.endpoint = &nobody, .messages = &message, .count = 1};
    struct id id;
    size_t taken;
    return delivery_request_build_group(attempts->request, &attempts->core->options,
                                        attempt->config, &group, attempt->started_at_ms,
                                        &attempt->body, call, &taken, &id);
}

/* What an endpoint of its kind gets: here is where they differ. */
static enum status send(struct attempt *attempt, struct message *message, outbound_done_fn *done)
{
    struct attempts *attempts = attempt->attempts;
    const struct core *core = attempts->core;
    struct outbound_call call;
    enum status status;
    if (attempt->config->kind == ENDPOINT_REDIS_STREAM)
        return stream_send(attempts->streams, &attempt->entry, &attempt->config->stream, message,
                           done, attempt);
    if (attempt->config->batch.max_events > 0)
        status = build_alone(attempt, message, &call);
    else
        status = delivery_request_build(attempts->request, &core->options, attempt->config, message,
                                        attempt->started_at_ms, &attempt->body, &call);
    if (status != ST_OK)
        return status;
    call.may_send = attempt->delivery ? may_send : NULL; /* a probe is nobody's lane */
    return outbound_send(core->outbound, &call, done, attempt, &attempt->request);
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
    enum status status = send(attempt, delivery->message, on_done);
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

/* ---- Several at once ------------------------------------------------------------------------ */

static void on_group_done(void *arg, const struct outbound_result *result)
{
    struct attempt *attempt = arg;
    struct attempts *attempts = attempt->attempts;
    struct core *core = attempts->core;
    struct endpoint *endpoint = endpoint_get(attempt->delivery->endpoint);
    attempts->in_flight--;
    attempts->group_bytes -= attempt->body.len;
    endpoint->in_flight--;
    for (size_t i = 0; i < attempt->member_count; i++) {
        attempt->members[i]->attempt = NULL;
        list_remove(&attempt->members[i]->node);
    }
    count_result(&core->stats, result);
    settle_group(core->settle, attempt->members, attempt->member_count, result,
                 attempt->started_at_ms);
    attempt_give_back(attempt);
    dispatch_endpoint_ready(core->dispatch, endpoint);
    endpoint_put(endpoint);
}

/* Those that go are a group from now on, if they were none. */
static enum status join_group(struct attempt *attempt, const struct id *id)
{
    if (attempt->delivery->group)
        return ST_OK;
    struct group *group = group_new(id, (uint32_t)attempt->member_count);
    if (!group)
        return ST_NOMEM;
    for (size_t i = 0; i < attempt->member_count; i++)
        group_join(group, attempt->members[i], (uint32_t)i);
    group_put(group);
    return ST_OK;
}

static enum status send_group(struct attempt *attempt)
{
    struct attempts *attempts = attempt->attempts;
    const struct core *core = attempts->core;
    const struct delivery *first = attempt->delivery;
    struct message *messages[LIMIT_GROUP_EVENTS];
    struct outbound_call call;
    struct id id;
    for (size_t i = 0; i < attempt->member_count; i++)
        messages[i] = attempt->members[i]->message;
    const struct delivery_group group = {.endpoint = &first->endpoint->id,
                                         .messages = messages,
                                         .count = attempt->member_count,
                                         .known = first->group ? &first->group->id : NULL};
    enum status status = delivery_request_build_group(
        attempts->request, &core->options, attempt->config, &group, attempt->started_at_ms,
        &attempt->body, &call, &attempt->member_count, &id);
    if (status == ST_OK)
        status = join_group(attempt, &id);
    if (status != ST_OK)
        return status;
    call.may_send = may_send;
    return outbound_send(core->outbound, &call, on_group_done, attempt, &attempt->request);
}

static void group_is_sending(struct attempt *attempt)
{
    struct attempts *attempts = attempt->attempts;
    struct endpoint *endpoint = attempt->delivery->endpoint;
    for (size_t i = 0; i < attempt->member_count; i++) {
        struct delivery *delivery = attempt->members[i];
        delivery->phase = DELIVERY_SENDING;
        delivery->attempt = attempt;
        delivery->sending_since_ms = clock_mono_ms();
        list_push_back(&attempts->sending, &delivery->node);
    }
    endpoint->in_flight++;
    attempts->in_flight++;
    attempts->group_bytes += attempt->body.len;
    hist_record(&attempts->core->stats.group_events, attempt->member_count);
    gate_pass(attempts->core->gate, endpoint, &attempt->delivery->pass);
}

static enum status attempt_take_group(struct attempts *attempts, struct delivery *const *members,
                                      size_t count, struct attempt **out)
{
    struct attempt *attempt = attempt_take(attempts);
    if (!attempt)
        return ST_NOMEM;
    attempt->config = endpoint_config_get(members[0]->endpoint->config);
    attempt->delivery = members[0];
    attempt->started_at_ms = clock_wall_ms();
    attempt->member_count = count;
    attempt->members = malloc(count * sizeof(attempt->members[0]));
    if (!attempt->members) {
        attempt_give_back(attempt);
        return ST_NOMEM;
    }
    memcpy(attempt->members, members, count * sizeof(attempt->members[0]));
    *out = attempt;
    return ST_OK;
}

enum status attempt_start_group(struct attempts *attempts, struct delivery *const *members,
                                size_t count, size_t *taken)
{
    struct core *core = attempts->core;
    struct attempt *attempt;
    assert(count > 0 && count <= LIMIT_GROUP_EVENTS);
    *taken = 0;
    if (!lanes_may_send(core->lanes, clock_boot_ms()))
        return ST_AGAIN;
    enum status status = attempt_take_group(attempts, members, count, &attempt);
    if (status != ST_OK)
        return status;
    status = send_group(attempt);
    if (status == ST_OK) {
        *taken = attempt->member_count;
        group_is_sending(attempt);
        return ST_OK;
    }
    size_t refused = attempt->member_count;
    attempt_give_back(attempt);
    if (status == ST_NOMEM || status == ST_LIMIT)
        return status;
    log_error("delivery.unsendable", "endpoint=%s event=%s events=%zu reason=%s",
              members[0]->endpoint->id_text, members[0]->message->id_text, refused,
              status_name(status));
    for (size_t i = 0; i < refused; i++)
        settle_dead(core->settle, members[i], "unsendable");
    *taken = refused;
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
    enum status status = send(attempt, message, on_probe_done);
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

bool attempts_hold(const struct attempts *attempts, enum endpoint_kind kind)
{
    return kind == ENDPOINT_REDIS_STREAM && !stream_sender_has_room(attempts->streams);
}

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

size_t attempts_group_bytes(const struct attempts *attempts)
{
    return attempts->group_bytes;
}

size_t attempts_in_flight(const struct attempts *attempts)
{
    return attempts->in_flight;
}

struct list *attempts_sending(struct attempts *attempts)
{
    return &attempts->sending;
}

/* An entry for a stream is not cut: whether it is there, its answer tells soon, or nobody. */
static void cancel(const struct attempt *attempt)
{
    if (attempt->request)
        outbound_cancel(attempt->request);
}

void attempts_cancel_all(struct attempts *attempts)
{
    LIST_FOREACH(node, &attempts->sending)
    {
        const struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        if (attempt_is_led_by(delivery))
            cancel(delivery->attempt);
    }
    LIST_FOREACH(probe, &attempts->probing)
    cancel(CONTAINER_OF(probe, struct attempt, node));
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
    attempts->request = delivery_request_new();
    attempts->streams = stream_sender_new(core);
    if (!attempts->request || !attempts->streams) {
        attempts_free(attempts);
        return NULL;
    }
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
        size_t left = attempt->members ? --attempt->member_count : 0;
        if (left == 0) /* it was the last one that goes with it */
            attempt_give_back(attempt);
        dispatch_release(attempts->core->dispatch, delivery);
    }
    LIST_FOREACH(node, &attempts->free)
    {
        list_remove(node);
        attempt_destroy(CONTAINER_OF(node, struct attempt, node));
    }
    delivery_request_free(attempts->request);
    stream_sender_free(attempts->streams);
    free(attempts);
}
