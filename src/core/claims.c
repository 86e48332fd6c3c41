/* claims.c - claims due deliveries of the schedule, and brings them into memory.
 *
 *   claims_ask() --the turn ends--> lease.lua for all that asked --> each event is read -->
 * dispatch
 *
 * A slot is reserved from the moment of asking until its delivery is in an endpoint's queue, or it
 * is known that there is none for it; for deliveries that go in one request, until the last one is.
 * Events are read by plain commands: through a script their records would cost Redis more than a
 * command each.
 *
 * A lease that was claimed and whose reply was lost simply ends.
 */
#include "core/claims.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "core/attempt.h"
#include "core/dispatch.h"
#include "core/gather.h"
#include "core/notice.h"
#include "core/replica.h"
#include "core/schedule.h"
#include "core/store_schedule.h"
#include "core/store_settle.h"

/* What one endpoint asks for. */
struct wish {
    struct endpoint *endpoint; /* one reference */
    size_t count;
    size_t slots; /* reserved */
    uint64_t not_before_ms;
};

/* Those of one call. */
struct wishes {
    struct claims *claims;
    size_t count;
    struct wish wish[STORE_LEASES_AT_ONCE];
};

struct claims {
    struct core *core;
    struct wishes *open; /* to be sent when the turn ends; NULL: none */
};

/* One claimed delivery on its way into memory. */
struct claim {
    struct reading *reading;
    struct id event;
};

/* Those of one endpoint. */
struct reading {
    struct core *core;
    struct endpoint *endpoint; /* one reference, and a reserved slot for each that is left */
    uint64_t lease;
    size_t left;
    size_t slots; /* that all of them have in common; 0: each has one */
    struct claim claim[];
};

static void give_slots(struct core *core, struct endpoint *endpoint, size_t slots)
{
    attempts_unreserve(core->attempts, slots);
    endpoint->claiming -= slots;
    dispatch_endpoint_ready(core->dispatch, endpoint);
    reactor_wake(core->reactor); /* others may have waited for these slots */
}

/* ---- Events --------------------------------------------------------------------------------- */

static void on_dropped(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

/* An entry without its event: takes it out, or it would come up for ever. */
static void drop_entry(const struct claim *claim)
{
    const struct reading *reading = claim->reading;
    struct core *core = reading->core;
    char event_id[ID_TEXT_MAX];
    id_format(event_id, "msg_", &claim->event);
    log_error("schedule.no_event", "event=%s endpoint=%s", event_id, reading->endpoint->id_text);
    struct store_settle args = {.event = &claim->event,
                                .event_id = event_id,
                                .endpoint = reading->endpoint,
                                .lease = reading->lease,
                                .kind = STORE_SETTLE_DONE,
                                .state = SLICE(""),
                                .attempt = SLICE(""),
                                .outcome = SLICE(""),
                                .order = STORE_ORDER_UNKNOWN};
    struct store_keeping keeping = {core->options.attempts_kept, core->options.history_ttl_ms};
    if (store_settle(core->store, &args, 1, &keeping, on_dropped, NULL) != ST_OK)
        log_error("schedule.drop_failed", "reason=nomem");
}

/* Whom it went with before, or, if it went alone, nobody else from now on: those that go together
 * have been tried as often. Without memory for that it is as if it had not gone. */
static void join_group(struct delivery *delivery, const struct delivery_state *state)
{
    struct endpoint *endpoint = delivery->endpoint;
    struct id id;
    uint32_t size = 1, place = 0;
    struct group *group = NULL;
    if (endpoint->deleted || !gathers(endpoint))
        return;
    if (group_read(state->group, &id, &size, &place) == ST_OK)
        group = gather_group(endpoint, &id, size);
    else if (state->attempts > state->replayed_at &&
             group_id(&id, &endpoint->id, &delivery->message, 1) == ST_OK)
        group = group_new(&id, 1);
    if (group)
        group_join(group, delivery, place);
    group_put(group);
}

static struct delivery *delivery_of_claim(const struct claim *claim,
                                          const struct redis_value *reply)
{
    const struct reading *reading = claim->reading;
    struct slice record = reply_text(reply, 0), state_bytes = reply_text(reply, 1);
    struct delivery_state state;
    struct message *message;
    enum status status = record.ptr && state_bytes.ptr ? ST_OK : ST_NOTFOUND;
    if (status == ST_OK)
        status = delivery_state_read(state_bytes, &state);
    if (status == ST_OK)
        status = message_load(&claim->event, record, &message);
    if (status == ST_NOTFOUND) {
        drop_entry(claim);
        return NULL;
    }
    if (status != ST_OK) {
        /* No memory, or written by a version that knows more: its lease ends, nothing is thrown
         * away. */
        char event_id[ID_TEXT_MAX];
        id_format(event_id, "msg_", &claim->event);
        log_error("schedule.unread", "event=%s endpoint=%s reason=%s", event_id,
                  reading->endpoint->id_text, status_name(status));
        return NULL;
    }
    struct delivery *delivery = delivery_new(reading->endpoint, message, state.ordinal);
    message_put(message);
    if (!delivery)
        return NULL; /* its lease ends */
    delivery->attempts = state.attempts;
    delivery->replayed_at = state.replayed_at;
    delivery->accepted_at_ms = state.accepted_at_ms;
    delivery->lease = reading->lease;
    delivery->ordered = state.order.len > 0;
    if (delivery->ordered)
        memcpy(delivery->order, state.order.ptr, sizeof(delivery->order));
    join_group(delivery, &state);
    delivery->log = state.log.len > 0 ? malloc(state.log.len) : NULL;
    if (delivery->log) { /* without memory for it they are forgotten */
        memcpy(delivery->log, state.log.ptr, state.log.len);
        delivery->log_len = state.log.len;
    }
    return delivery;
}

static void on_event(void *arg, enum status status, const struct redis_value *reply)
{
    const struct claim *claim = arg;
    struct reading *reading = claim->reading;
    struct core *core = reading->core;
    struct delivery *delivery = status == ST_OK ? delivery_of_claim(claim, reply) : NULL;
    bool last = --reading->left == 0;
    if (reading->slots == 0 || last)
        give_slots(core, reading->endpoint, reading->slots ? reading->slots : 1);
    if (last) {
        endpoint_put(reading->endpoint);
        free(reading);
    }
    if (!delivery)
        return;
    schedule_hold(core->schedule, delivery);
    dispatch_leased(core->dispatch, delivery);
}

/* Reads one claimed event. False when it takes no slot. */
static bool read_event(struct reading *reading, struct slice event_id)
{
    struct core *core = reading->core;
    struct claim *claim = &reading->claim[reading->left];
    claim->reading = reading;
    char text[ID_TEXT_MAX];
    if (id_parse(event_id, "msg_", &claim->event) != ST_OK ||
        schedule_claimed_again(core->schedule, &claim->event, &reading->endpoint->id,
                               reading->lease))
        return false;
    id_format(text, "msg_", &claim->event);
    if (store_event_read(core->store, text, reading->endpoint->id_text, on_event, claim) != ST_OK)
        return false;
    reading->left++;
    return true;
}

/* Reads `count` events, whose ids begin there. Returns how many slots they take. */
static size_t read_events(struct core *core, const struct wish *wish, uint64_t lease,
                          const struct redis_value *reply, size_t at, size_t count)
{
    struct endpoint *endpoint = wish->endpoint;
    struct reading *reading = malloc(sizeof(*reading) + count * sizeof(reading->claim[0]));
    if (!reading)
        return 0; /* their leases end */
    reading->core = core;
    reading->endpoint = endpoint_get(endpoint);
    reading->lease = lease;
    reading->left = 0;
    reading->slots = wish->slots < wish->count ? wish->slots : 0;
    size_t taken = 0;
    for (size_t i = 0; i < count; i++)
        taken += read_event(reading, reply_text(reply, at + i));
    if (taken == 0) {
        endpoint_put(endpoint);
        free(reading);
        return 0;
    }
    return reading->slots ? reading->slots : taken;
}

/* ---- Leases --------------------------------------------------------------------------------- */

/* What the reply says of one wish, from there on; returns where the next one's part begins. */
static size_t granted(struct core *core, const struct wish *wish, const struct redis_value *reply,
                      size_t at)
{
    enum { NOT_MINE = -1 };
    struct endpoint *endpoint = wish->endpoint;
    int64_t now_ms = reply_integer(reply, 0), claimed = reply_integer(reply, at);
    int64_t left_ms = reply_integer(reply, at + 1), left = reply_integer(reply, at + 2);
    uint64_t lease = (uint64_t)reply_integer(reply, 1);
    size_t count = claimed > 0 ? (size_t)claimed : 0, taken = 0;
    at += 3;
    endpoint->backlog = claimed != NOT_MINE && left_ms >= 0 && left_ms <= now_ms;
    if (left_ms > now_ms)
        schedule_note(core->schedule, endpoint->lane, left_ms);
    if (count > 0)
        taken = read_events(core, wish, lease, reply, at, count);
    core->stats.claims += count;
    if (claimed == NOT_MINE)
        replica_beat_soon(core->replica);
    else
        notice_backlog(core, endpoint, (uint64_t)left + endpoint->queued);
    assert(taken <= wish->slots);
    give_slots(core, endpoint, wish->slots - taken);
    return at + count;
}

static void refused(struct core *core, const struct wish *wish)
{
    schedule_note(core->schedule, wish->endpoint->lane,
                  (int64_t)store_redis_ms(core->store) + 1000);
    wish->endpoint->backlog = false;
    give_slots(core, wish->endpoint, wish->slots);
}

static void on_leased(void *arg, enum status status, const struct redis_value *reply)
{
    struct wishes *wishes = arg;
    struct core *core = wishes->claims->core;
    size_t at = 2; /* behind the times */
    if (status == ST_OK)
        store_saw_time(core->store, reply_integer(reply, 0));
    for (size_t i = 0; i < wishes->count; i++) {
        if (status == ST_OK)
            at = granted(core, &wishes->wish[i], reply, at);
        else
            refused(core, &wishes->wish[i]);
        endpoint_put(wishes->wish[i].endpoint);
    }
    free(wishes);
}

/* ---- Asking --------------------------------------------------------------------------------- */

static void send(struct claims *claims)
{
    struct wishes *wishes = claims->open;
    struct store_lease leases[STORE_LEASES_AT_ONCE];
    claims->open = NULL;
    for (size_t i = 0; i < wishes->count; i++) {
        const struct wish *wish = &wishes->wish[i];
        leases[i] = (struct store_lease){wish->endpoint, wish->count, wish->not_before_ms};
    }
    if (store_lease(claims->core->store, leases, wishes->count, SCHEDULE_LEASE_MS, on_leased,
                    wishes) != ST_OK)
        on_leased(wishes, ST_NOMEM, NULL);
}

void claims_ask(struct claims *claims, struct endpoint *endpoint, size_t count, size_t slots,
                uint64_t not_before_ms)
{
    if (!claims->open) {
        claims->open = malloc(sizeof(*claims->open));
        if (!claims->open)
            return;
        claims->open->claims = claims;
        claims->open->count = 0;
    }
    struct wishes *wishes = claims->open;
    wishes->wish[wishes->count++] =
        (struct wish){endpoint_get(endpoint), count, slots, not_before_ms};
    attempts_reserve(claims->core->attempts, slots);
    endpoint->claiming += slots;
    if (wishes->count == STORE_LEASES_AT_ONCE)
        send(claims);
}

/* Hook: once a turn. */
static void on_turn(void *arg)
{
    struct claims *claims = arg;
    if (claims->open)
        send(claims);
}

struct claims *claims_new(struct core *core)
{
    struct claims *claims = calloc(1, sizeof(*claims));
    if (!claims)
        return NULL;
    claims->core = core;
    reactor_add_hook(core->reactor, "claims", on_turn, claims);
    return claims;
}

void claims_free(struct claims *claims)
{
    if (!claims)
        return;
    for (size_t i = 0; claims->open && i < claims->open->count; i++)
        endpoint_put(claims->open->wish[i].endpoint);
    free(claims->open);
    free(claims);
}
