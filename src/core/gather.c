/* gather.c - brings together what goes to an endpoint in one request.
 *
 *   gather_add() --> waits --full, complete, or its time has come--> dispatch_endpoint_ready()
 *                    |   ^
 *      after HOLD_US,|   | dispatch_parked()
 *      or half of a  v   |
 *      lease      PARKING: settle_park(), under_way_renew()
 *
 * One timer for all: each endpoint at which something waits for a time is in `sleepers`, by the
 * time of the next thing to be done for it.
 *
 * A delivery whose move or renewal is on its way is PARKING, and in no list: so nothing is decided
 * about it before Redis has said who holds it, and by which fence. That takes a moment; then it
 * comes back to its place.
 *
 * Rejected: waiting in the schedule. What is there can only be claimed by time, and a request that
 * is full before its time would have to claim what is not due yet: which may as well be a retry, or
 * an event that is to be delivered later.
 */
#include "core/gather.h"

#include <stdlib.h>

#include "base/clock.h"
#include "core/attempt.h"
#include "core/dispatch.h"
#include "core/schedule.h"
#include "core/settle.h"
#include "core/under_way.h"
#include "wire/event_list.h"

enum {
    HOLD_US = 1000 * 1000,        /* what its batch alone has waits no longer than this */
    AGAIN_US = 250 * 1000,        /* looking at what could not be done */
    MISSING_US = 3 * 1000 * 1000, /* members of a group are waited for: less than half a lease */
    BODIES_WAIT_US = 50 * 1000,   /* until there may be memory for a body again */
    LEASE_AT_FIRST = 64           /* as long as it is not known how large events are */
};

struct gather {
    struct core *core;
    struct heap sleepers; /* gatherings */
    struct reactor_timer *timer;
    size_t bytes;
};

static struct gathering *gathering_of(struct heap_node *node)
{
    return CONTAINER_OF(node, struct gathering, wake);
}

/* No more go together than are held here. */
static struct group_rule rule_of(const struct gather *gather, const struct endpoint *endpoint)
{
    struct group_rule rule = endpoint->config->batch;
    if (rule.max_events > gather->core->options.queued_per_endpoint_max)
        rule.max_events = (uint32_t)gather->core->options.queued_per_endpoint_max;
    return rule;
}

static enum gathering_stand stand_of(const struct gather *gather, const struct gathering *gathering,
                                     uint64_t now_us, uint64_t *opens_us)
{
    struct group_rule rule = rule_of(gather, gathering->endpoint);
    return gathering_stand(gathering, &rule, now_us, opens_us);
}

/* ---- Time ----------------------------------------------------------------------------------- */

static void arm(struct gather *gather)
{
    const struct heap_node *first = heap_first(&gather->sleepers);
    if (!first) {
        reactor_timer_cancel(gather->timer);
        return;
    }
    uint64_t now_us = clock_now_us();
    reactor_timer_set(gather->timer, first->key > now_us ? (first->key - now_us + 999) / 1000 : 0);
}

static void sleep_until(struct gather *gather, struct gathering *gathering, uint64_t until_us)
{
    bool linked = heap_linked(&gathering->wake);
    if (linked && gathering->wake.key == until_us)
        return;
    bool was_first = linked && heap_first(&gather->sleepers) == &gathering->wake;
    heap_remove(&gather->sleepers, &gathering->wake);
    if (until_us != UINT64_MAX)
        heap_insert(&gather->sleepers, &gathering->wake, until_us);
    if (was_first || heap_first(&gather->sleepers) == &gathering->wake)
        arm(gather);
}

/* When half of the lease has gone, on our clock. */
static uint64_t lapses_us(const struct gather *gather, uint64_t lease_ms, uint64_t now_us)
{
    uint64_t now_ms = store_redis_ms(gather->core->store) + SCHEDULE_LEASE_MS / 2;
    return lease_ms > now_ms ? now_us + (lease_ms - now_ms) * 1000 : now_us;
}

/* Sleeps until there is something to be done. What may be sent now dispatch knows of; what cannot
 * be, because all slots are taken, is looked after by the rules for any endpoint. */
static void plan(struct gather *gather, struct gathering *gathering)
{
    uint64_t now_us = clock_now_us(), wake_us;
    if (stand_of(gather, gathering, now_us, &wake_us) != GATHERING_WAITS) {
        sleep_until(gather, gathering, UINT64_MAX);
        return;
    }
    uint64_t care_us = UINT64_MAX;
    if (gathering->in_memory_us != UINT64_MAX)
        care_us = gathering->in_memory_us + HOLD_US;
    if (gathering->lease_ms != 0) {
        uint64_t lapse_us = lapses_us(gather, gathering->lease_ms, now_us);
        care_us = lapse_us < care_us ? lapse_us : care_us;
    }
    if (care_us <= now_us)
        care_us = now_us + AGAIN_US;
    sleep_until(gather, gathering, care_us < wake_us ? care_us : wake_us);
}

/* Since when the delivery has waited to be sent, on our clock. One of the schedule knows only Unix
 * times. */
static uint64_t waits_since_us(const struct core *core, const struct delivery *delivery)
{
    uint64_t begin_ms = delivery->accepted_at_ms, now_ms = store_redis_ms(core->store);
    uint64_t deliver_at_ms = delivery->message->record.deliver_at_ms, now_us = clock_now_us();
    if (delivery->accepted_us && deliver_at_ms == 0)
        return delivery->accepted_us;
    if (deliver_at_ms > begin_ms)
        begin_ms = deliver_at_ms;
    uint64_t waited_us = now_ms > begin_ms ? (now_ms - begin_ms) * 1000 : 0;
    return waited_us < now_us ? now_us - waited_us : 0;
}

/* ---- What waits ----------------------------------------------------------------------------- */

static size_t own_bytes(const struct delivery *delivery)
{
    return delivery->message->batch ? 0 : delivery->message->raw.len;
}

enum status gather_add(struct gather *gather, struct delivery *delivery)
{
    struct endpoint *endpoint = delivery->endpoint;
    if (!endpoint->gathering) {
        endpoint->gathering = malloc(sizeof(*endpoint->gathering));
        if (!endpoint->gathering)
            return ST_NOMEM;
        gathering_init(endpoint->gathering, endpoint);
    }
    struct gathering *gathering = endpoint->gathering;
    if (delivery->waits_since_us == 0)
        delivery->waits_since_us = waits_since_us(gather->core, delivery);
    gathering_add(gathering, delivery, clock_now_us() + MISSING_US);
    if (delivery->lease > 0 && (gathering->lease_ms == 0 || delivery->lease < gathering->lease_ms))
        gathering->lease_ms = delivery->lease;
    gather->bytes += own_bytes(delivery);
    endpoint->queued++;
    plan(gather, gathering);
    return ST_OK;
}

static void remove_one(struct gather *gather, struct delivery *delivery)
{
    gathering_remove(delivery->endpoint->gathering, delivery);
    gather->bytes -= own_bytes(delivery);
    delivery->endpoint->queued--;
}

struct group *gather_group(struct endpoint *endpoint, const struct id *id, uint32_t size)
{
    struct group *group = endpoint->gathering ? gathering_find(endpoint->gathering, id) : NULL;
    return group ? group_get(group) : group_new(id, size);
}

bool gather_ready(const struct gather *gather, const struct endpoint *endpoint)
{
    uint64_t now_us = clock_now_us(), opens_us;
    if (!endpoint->gathering)
        return false;
    enum gathering_stand stand = stand_of(gather, endpoint->gathering, now_us, &opens_us);
    return stand == GATHERING_FULL || (stand == GATHERING_TIME && endpoint->claiming == 0);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static size_t take(struct gather *gather, struct endpoint *endpoint,
                   struct delivery *members[LIMIT_GROUP_EVENTS])
{
    struct group_rule rule = rule_of(gather, endpoint);
    size_t taken = gathering_take(endpoint->gathering, &rule, clock_now_us(), members);
    for (size_t i = 0; i < taken; i++)
        gather->bytes -= own_bytes(members[i]);
    endpoint->queued -= taken;
    plan(gather, endpoint->gathering);
    return taken;
}

/* Those whose leases have lapsed, or all of a group of which one has, go back to the schedule.
 * Returns how many are left. */
static size_t drop_lapsed(const struct core *core, struct delivery **members, size_t count)
{
    size_t left = 0;
    bool all = false;
    for (size_t i = 0; i < count && members[i]->group; i++)
        all |= schedule_lapses(core->schedule, members[i]);
    for (size_t i = 0; i < count; i++) {
        if (all || schedule_lapses(core->schedule, members[i]))
            settle_postpone(core->settle, members[i], 0);
        else
            members[left++] = members[i];
    }
    return left;
}

/* What did not go waits on, as the first ones. */
static void put_back(struct gather *gather, struct delivery *const *members, size_t count)
{
    while (count-- > 0)
        if (gather_add(gather, members[count]) != ST_OK)
            settle_postpone(gather->core->settle, members[count], 0);
}

enum status gather_send(struct gather *gather, struct endpoint *endpoint)
{
    const struct core *core = gather->core;
    struct delivery *members[LIMIT_GROUP_EVENTS];
    size_t taken = 0;
    if (!gather_ready(gather, endpoint))
        return ST_NOTFOUND;
    if (attempts_group_bytes(core->attempts) > core->options.bytes_max) {
        endpoint->gathering->not_before_us = clock_now_us() + BODIES_WAIT_US;
        plan(gather, endpoint->gathering);
        return ST_NOTFOUND;
    }
    size_t count = drop_lapsed(core, members, take(gather, endpoint, members));
    if (count == 0)
        return ST_OK;
    enum status status = attempt_start_group(core->attempts, members, count, &taken);
    put_back(gather, members + taken, count - taken);
    return status;
}

/* ---- What else dispatch asks for ------------------------------------------------------------- */

size_t gather_wants(const struct endpoint *endpoint, size_t requests, size_t room)
{
    const struct group_rule *rule = &endpoint->config->batch;
    const struct gathering *gathering = endpoint->gathering;
    if (requests == 0)
        return 0;
    size_t missing = gathering ? gathering->missing : 0, most = rule->max_events, wanted = 0;
    if (!gathering || gathering->mean_bytes == 0)
        most = LEASE_AT_FIRST;
    else if (2 * rule->max_bytes / gathering->mean_bytes < most)
        most = 1 + 2 * rule->max_bytes / gathering->mean_bytes;
    if (room > requests * rule->max_events)
        room = requests * rule->max_events;
    if (room > endpoint->queued)
        wanted = room - endpoint->queued;
    if (wanted > most)
        wanted = most;
    if (wanted < missing)
        wanted = missing;
    return wanted < LIMIT_GROUP_EVENTS ? wanted : LIMIT_GROUP_EVENTS;
}

void gather_take_all(struct gather *gather, struct endpoint *endpoint, struct list *list)
{
    struct gathering *gathering = endpoint->gathering;
    if (!gathering)
        return;
    endpoint->queued -= gathering->count;
    struct list taken;
    list_init(&taken);
    gathering_take_all(gathering, &taken);
    for (struct list *node; (node = list_pop_front(&taken));) {
        gather->bytes -= own_bytes(CONTAINER_OF(node, struct delivery, node));
        list_push_back(list, node);
    }
    sleep_until(gather, gathering, UINT64_MAX);
}

void gather_take_unmoved(struct gather *gather, struct endpoint *endpoint, struct list *list)
{
    struct gathering *gathering = endpoint->gathering;
    if (!gathering)
        return;
    LIST_FOREACH(node, &gathering->loose)
    {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        if (delivery->lease > 0)
            continue;
        remove_one(gather, delivery);
        list_push_back(list, &delivery->node);
    }
    plan(gather, gathering);
}

void gather_changed(struct gather *gather, struct endpoint *endpoint)
{
    if (endpoint->gathering && gathers(endpoint))
        plan(gather, endpoint->gathering);
}

size_t gather_bytes(const struct gather *gather)
{
    return gather->bytes;
}

/* ---- Parking -------------------------------------------------------------------------------- */

/* What only its batch has goes to the schedule as leased. */
static void park(struct gather *gather, struct endpoint *endpoint)
{
    struct list unmoved;
    list_init(&unmoved);
    gather_take_unmoved(gather, endpoint, &unmoved);
    for (struct list *node; (node = list_pop_front(&unmoved));)
        settle_park(gather->core->settle, CONTAINER_OF(node, struct delivery, node),
                    SCHEDULE_LEASE_MS);
}

/* Adds those of the list whose leases lapse; tells the earliest end of the others. */
static size_t find_lapsing(const struct gather *gather, const struct list *list, size_t count,
                           struct delivery *lapsing[LIMIT_GROUP_EVENTS], uint64_t *lease_ms)
{
    for (struct list *node = list->next; node != list; node = node->next) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        if (delivery->lease == 0)
            continue;
        if (count < LIMIT_GROUP_EVENTS && schedule_lapses(gather->core->schedule, delivery))
            lapsing[count++] = delivery;
        else if (*lease_ms == 0 || delivery->lease < *lease_ms)
            *lease_ms = delivery->lease;
    }
    return count;
}

static void renew(struct gather *gather, struct gathering *gathering)
{
    struct delivery *lapsing[LIMIT_GROUP_EVENTS];
    uint64_t lease_ms = 0;
    size_t count = find_lapsing(gather, &gathering->loose, 0, lapsing, &lease_ms);
    for (struct list *node = gathering->groups.next; node != &gathering->groups; node = node->next)
        count = find_lapsing(gather, &CONTAINER_OF(node, struct group, node)->members, count,
                             lapsing, &lease_ms);
    gathering->lease_ms = lease_ms;
    for (size_t i = 0; i < count; i++) {
        remove_one(gather, lapsing[i]);
        lapsing[i]->phase = DELIVERY_PARKING;
    }
    under_way_renew(gather->core, lapsing, count);
}

static bool has_lapsing(const struct gather *gather, const struct gathering *gathering)
{
    uint64_t now_us = clock_now_us();
    return gathering->lease_ms != 0 && lapses_us(gather, gathering->lease_ms, now_us) <= now_us;
}

static void look_at(struct gather *gather, struct gathering *gathering)
{
    struct core *core = gather->core;
    struct endpoint *endpoint = gathering->endpoint;
    uint64_t now_us = clock_now_us(), opens_us;
    enum gathering_stand stand = stand_of(gather, gathering, now_us, &opens_us);
    bool in_memory = gathering->in_memory_us != UINT64_MAX;
    bool held = in_memory && gathering->in_memory_us + HOLD_US <= now_us;
    if (stand == GATHERING_WAITS && (held || has_lapsing(gather, gathering))) {
        if (!store_ready(core->store)) {
            sleep_until(gather, gathering, now_us + AGAIN_US);
            return;
        }
        if (held)
            park(gather, endpoint);
        renew(gather, gathering);
    }
    plan(gather, gathering);
    dispatch_endpoint_ready(core->dispatch, endpoint);
}

static void on_timer(void *arg)
{
    struct gather *gather = arg;
    uint64_t now_us = clock_now_us();
    struct heap_node *first;
    while ((first = heap_first(&gather->sleepers)) && first->key <= now_us) {
        struct gathering *gathering = gathering_of(first);
        heap_remove(&gather->sleepers, first);
        look_at(gather, gathering);
    }
    arm(gather);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct gather *gather_new(struct core *core)
{
    struct gather *gather = calloc(1, sizeof(*gather));
    if (!gather)
        return NULL;
    gather->core = core;
    heap_init(&gather->sleepers);
    gather->timer = reactor_timer_new(core->reactor, on_timer, gather);
    if (!gather->timer) {
        free(gather);
        return NULL;
    }
    return gather;
}

void gather_free(struct gather *gather)
{
    if (!gather)
        return;
    for (struct heap_node *first; (first = heap_first(&gather->sleepers));)
        heap_remove(&gather->sleepers, first);
    reactor_timer_free(gather->timer);
    free(gather);
}
