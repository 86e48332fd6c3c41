/* gate.c - may an endpoint send now, and if not, when?
 *
 *        free ◀──── time has come, or an attempt ended ──── asleep
 *          │                                                  ▲
 *          └── limited until its slot, breaker open, ─────────┘
 *              probe under way, host full
 *
 * An endpoint that is asleep is in `sleepers`, by the time at which it wakes. One whose probe is
 * under way sleeps for ever, and is woken by its end. One whose host is full is in the host's list
 * too; each attempt there that ends wakes the first of them that has something to send. It may find
 * that another was faster, so all look for themselves after HOST_WAIT_US; and what they hold in
 * memory goes to the schedule then, for it keeps batches open. Waking is only a call of
 * dispatch_endpoint_ready(): whoever is woken asks anew.
 */
#include "core/gate.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/core.h"
#include "core/dispatch.h"
#include "core/health_store.h"
#include "core/notice.h"

enum { HOST_WAIT_US = 1000 * 1000 };

/* A destination: the host and port of a URL. */
struct gate_host {
    struct map_node by_name;
    size_t in_flight;
    size_t users; /* endpoints that send to it, and attempts under way */
    struct list waiting;
    size_t name_len;
    char name[];
};

struct gate {
    struct core *core;
    struct heap sleepers;
    struct reactor_timer *timer;
    struct map hosts;
};

static struct endpoint *endpoint_of(struct heap_node *node)
{
    return CONTAINER_OF(node, struct endpoint, gate.sleep);
}

static const struct gcra_limit *limit_of(const struct endpoint *endpoint)
{
    return &endpoint->config->rate;
}

/* ---- Sleep ---------------------------------------------------------------------------------- */

static void arm(struct gate *gate)
{
    const struct heap_node *first = heap_first(&gate->sleepers);
    if (!first || first->key == UINT64_MAX) {
        reactor_timer_cancel(gate->timer);
        return;
    }
    uint64_t now_us = clock_now_us();
    reactor_timer_set(gate->timer, first->key > now_us ? (first->key - now_us + 999) / 1000 : 0);
}

void gate_wake(struct gate *gate, struct endpoint *endpoint)
{
    struct gate_entry *entry = &endpoint->gate;
    gate->core->stats.endpoints_limited -= entry->limited;
    entry->limited = false;
    heap_remove(&gate->sleepers, &entry->sleep);
    list_remove(&entry->host_waiter);
}

static void on_timer(void *arg)
{
    struct gate *gate = arg;
    uint64_t now_us = clock_now_us();
    struct heap_node *first;
    while ((first = heap_first(&gate->sleepers)) && first->key <= now_us) {
        struct endpoint *endpoint = endpoint_of(first);
        bool host_slow = gate_waits_for_host(endpoint);
        gate_wake(gate, endpoint);
        if (host_slow)
            dispatch_release_batches(gate->core->dispatch, endpoint);
        dispatch_endpoint_ready(gate->core->dispatch, endpoint);
    }
    arm(gate);
}

void gate_sleep(struct gate *gate, struct endpoint *endpoint, uint64_t until_us)
{
    struct gate_entry *entry = &endpoint->gate;
    bool limited = !gate_waits_for_host(endpoint) && !gate_closed(endpoint);
    gate->core->stats.endpoints_limited += limited - (uint64_t)entry->limited;
    entry->limited = limited;
    heap_remove(&gate->sleepers, &entry->sleep);
    heap_insert(&gate->sleepers, &entry->sleep, until_us);
    if (heap_first(&gate->sleepers) == &entry->sleep)
        arm(gate);
}

bool gate_waits_for_host(const struct endpoint *endpoint)
{
    return list_linked(&endpoint->gate.host_waiter);
}

bool gate_asleep(const struct endpoint *endpoint)
{
    return heap_linked(&endpoint->gate.sleep);
}

/* ---- Hosts ---------------------------------------------------------------------------------- */

/* "host:port" of a URL that url_check() accepted; without a port when it has none. */
static struct slice authority(const char *url)
{
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    return slice_of(begin, strcspn(begin, "/?"));
}

static struct gate_host *host_find(const struct gate *gate, struct slice name, uint64_t hash)
{
    struct map_node *node = map_first(&gate->hosts, hash);
    for (; node; node = map_next_same(node)) {
        struct gate_host *host = CONTAINER_OF(node, struct gate_host, by_name);
        if (slice_eq(slice_of(host->name, host->name_len), name))
            return host;
    }
    return NULL;
}

/* NULL: out of memory; the host is then not limited. */
static struct gate_host *host_get(struct gate *gate, struct slice name)
{
    uint64_t hash = hash_bytes(name);
    struct gate_host *host = host_find(gate, name, hash);
    if (!host) {
        host = calloc(1, sizeof(*host) + name.len);
        if (!host)
            return NULL;
        list_init(&host->waiting);
        host->name_len = name.len;
        memcpy(host->name, name.ptr, name.len);
        if (map_insert(&gate->hosts, &host->by_name, hash) != ST_OK) {
            free(host);
            return NULL;
        }
    }
    host->users++;
    return host;
}

static void host_put(struct gate *gate, struct gate_host *host)
{
    if (!host || --host->users > 0)
        return;
    map_remove(&gate->hosts, &host->by_name);
    free(host);
}

static bool host_full(const struct gate *gate, const struct gate_host *host)
{
    return host && host->in_flight >= gate->core->options.in_flight_per_host_max;
}

static void host_leave(struct gate *gate, struct gate_pass *pass)
{
    struct gate_host *host = pass->host;
    pass->host = NULL;
    if (!host)
        return;
    host->in_flight--;
    for (struct list *node; (node = list_pop_front(&host->waiting));) {
        struct endpoint *waiter = CONTAINER_OF(node, struct endpoint, gate.host_waiter);
        gate_wake(gate, waiter);
        dispatch_endpoint_ready(gate->core->dispatch, waiter);
        if (list_linked(&waiter->ready))
            break; /* else it has nothing to send any more */
    }
    host_put(gate, host);
}

/* ---- The breaker ---------------------------------------------------------------------------- */

/* Counts how many breakers are open, for the metrics. */
static void count_state(struct gate *gate, enum breaker_state before, enum breaker_state after)
{
    struct core_stats *stats = &gate->core->stats;
    if (before == after)
        return;
    stats->breakers_open += (after == BREAKER_OPEN) - (uint64_t)(before == BREAKER_OPEN);
    stats->breakers_half_open +=
        (after == BREAKER_HALF_OPEN) - (uint64_t)(before == BREAKER_HALF_OPEN);
}

/* Times inside are of our own clock; kept and shown are Redis's. */
static uint64_t kept_time(const struct gate *gate, uint64_t mono_ms)
{
    uint64_t now_ms = clock_mono_ms(), redis_ms = store_redis_ms(gate->core->store);
    return mono_ms > now_ms ? redis_ms + (mono_ms - now_ms) : redis_ms - (now_ms - mono_ms);
}

static uint64_t mono_time(const struct gate *gate, uint64_t kept_ms)
{
    uint64_t now_ms = clock_mono_ms(), redis_ms = store_redis_ms(gate->core->store);
    if (kept_ms > redis_ms)
        return now_ms + (kept_ms - redis_ms);
    return redis_ms - kept_ms < now_ms ? now_ms - (redis_ms - kept_ms) : 0;
}

/* Puts the breaker's state into what outlives the process. */
static void record(const struct gate *gate, struct endpoint *endpoint)
{
    const struct breaker *breaker = &endpoint->gate.breaker;
    struct health_record *kept = &endpoint->health.kept;
    bool closed = breaker->state == BREAKER_CLOSED;
    snprintf(kept->breaker, sizeof(kept->breaker), "%s",
             closed ? "" : breaker_state_name(breaker->state));
    snprintf(kept->reason, sizeof(kept->reason), "%s", breaker_reason_name(breaker->reason));
    kept->opened = breaker->opened;
    kept->opened_at_ms = closed ? 0 : kept_time(gate, breaker->opened_at_ms);
    kept->probe_at_ms = closed ? 0 : kept_time(gate, breaker->probe_at_ms);
}

static void keep(struct gate *gate, struct endpoint *endpoint)
{
    record(gate, endpoint);
    health_store_note(gate->core->health, endpoint);
}

static void close_breaker(struct gate *gate, struct endpoint *endpoint)
{
    struct breaker *breaker = &endpoint->gate.breaker;
    bool closed = breaker->state == BREAKER_CLOSED;
    count_state(gate, breaker->state, BREAKER_CLOSED);
    breaker_close(breaker);
    if (closed || endpoint->deleted)
        return;
    keep(gate, endpoint);
    endpoint->backlog = true; /* perhaps: the schedule does not name it before its probe's time */
    if (endpoint->config->active)
        notice_breaker(gate->core, endpoint, false, "", 0);
    endpoint->told.breaker_open = false; /* of one that is disabled something else is told */
}

/* An attempt's end as the breaker sees it. */
static void judge(struct gate *gate, struct endpoint *endpoint, const struct gate_pass *pass,
                  enum gate_outcome outcome)
{
    struct core *core = gate->core;
    struct breaker *breaker = &endpoint->gate.breaker;
    enum breaker_state before = breaker->state;
    uint64_t now_ms = clock_mono_ms();
    enum breaker_change change = BREAKER_SAME;
    bool another = false; /* probe may go, in place of one that came to nothing */
    if (outcome == GATE_UNKNOWN)
        another = breaker_lost(breaker, pass->generation);
    else
        change = breaker_result(breaker, &core->options.breaker, pass->generation,
                                outcome == GATE_GOOD, now_ms, &core->rng);
    count_state(gate, before, breaker->state);
    if (change == BREAKER_SAME && !another)
        return;
    if (change == BREAKER_CLOSED_AGAIN) {
        log_info("breaker.closed", "endpoint=%s", endpoint->id_text);
        notice_breaker(core, endpoint, false, "", 0);
    } else if (change != BREAKER_SAME) {
        log_info("breaker.opened", "endpoint=%s reason=%s times=%u probe_in_ms=%llu",
                 endpoint->id_text, breaker_reason_name(breaker->reason), breaker->opened,
                 (unsigned long long)(breaker->probe_at_ms - now_ms));
        notice_breaker(core, endpoint, true, breaker_reason_name(breaker->reason),
                       kept_time(gate, breaker->probe_at_ms));
    }
    if (change != BREAKER_SAME)
        keep(gate, endpoint);
    dispatch_breaker_changed(core->dispatch, endpoint);
}

/* A stream is in the Redis that all hangs on: there is no slow one among fast ones to protect the
 * others from, and when that Redis pauses, its streams must not be the last to recover. */
static void begin_allowance(const struct gate *gate, struct endpoint *endpoint)
{
    bool adaptive = gate->core->options.adaptive && endpoint->config->kind == ENDPOINT_HTTP;
    allowance_init(&endpoint->gate.allowance, adaptive, ALLOWANCE_INITIAL, ALLOWANCE_MINIMUM);
}

/* ---- Another owner -------------------------------------------------------------------------- */

/* A time of our monotonic clock as Redis's clock shows it, or later. */
static uint64_t told_us(const struct gate *gate, uint64_t mono_us)
{
    return mono_us + (store_redis_latest_ms(gate->core->store) - clock_mono_ms()) * 1000;
}

/* The reverse, or later: our estimate of Redis's clock may be ahead by a millisecond. */
static uint64_t heard_us(const struct gate *gate, uint64_t redis_us)
{
    uint64_t now_us = clock_mono_ms() * 1000;
    uint64_t redis_now_us = (store_redis_ms(gate->core->store) - 1) * 1000;
    if (redis_us > redis_now_us)
        return now_us + (redis_us - redis_now_us);
    return redis_now_us - redis_us < now_us ? now_us - (redis_now_us - redis_us) : 1;
}

bool gate_export(const struct gate *gate, const struct endpoint *endpoint, struct gate_state *out)
{
    const struct gate_entry *entry = &endpoint->gate;
    uint64_t next_us = gcra_export(&entry->rate, limit_of(endpoint), clock_now_us());
    *out = (struct gate_state){.next_us = next_us ? told_us(gate, next_us) : 0};
    out->has_breaker = breaker_export(&entry->breaker, &gate->core->options.breaker,
                                      clock_mono_ms(), &out->breaker);
    if (out->has_breaker && out->breaker.open) {
        out->breaker.opened_at_ms = endpoint->health.kept.opened_at_ms;
        out->breaker.probe_at_ms = told_us(gate, out->breaker.probe_at_ms * 1000) / 1000;
    }
    out->has_allowance = allowance_export(&entry->allowance, ALLOWANCE_INITIAL, &out->allowance);
    return out->next_us > 0 || out->has_breaker || out->has_allowance;
}

/* At rest; also without what attempts under way would say. */
static void rest(struct gate *gate, struct endpoint *endpoint)
{
    struct gate_entry *entry = &endpoint->gate;
    gate_wake(gate, endpoint);
    count_state(gate, entry->breaker.state, BREAKER_CLOSED);
    breaker_close(&entry->breaker);
    begin_allowance(gate, endpoint);
    gcra_import(&entry->rate, limit_of(endpoint), 0, clock_now_us());
    endpoint->told.breaker_open = false;
}

/* A closed breaker that is now as it was elsewhere; `memory` has Redis's times. False: not quite,
 * the configuration is another one here. */
static bool import_breaker(struct gate *gate, struct endpoint *endpoint,
                           const struct breaker_memory *memory, uint64_t age_ms)
{
    struct breaker *breaker = &endpoint->gate.breaker;
    struct breaker_memory mine = *memory;
    if (memory->open) {
        mine.opened_at_ms = mono_time(gate, memory->opened_at_ms);
        mine.probe_at_ms = (heard_us(gate, memory->probe_at_ms * 1000) + 999) / 1000;
    }
    breaker_import(breaker, &gate->core->options.breaker, &mine, age_ms, clock_mono_ms());
    count_state(gate, BREAKER_CLOSED, breaker->state);
    endpoint->told.breaker_open = breaker->state == BREAKER_OPEN;
    if (!memory->open)
        return true;
    endpoint->backlog = true; /* perhaps: the schedule does not name it before its probe's time */
    return breaker->state == BREAKER_OPEN && breaker->probe_at_ms == mine.probe_at_ms;
}

void gate_import(struct gate *gate, struct endpoint *endpoint, const struct gate_state *state,
                 uint64_t age_ms)
{
    struct gate_entry *entry = &endpoint->gate;
    rest(gate, endpoint);
    if (state) {
        uint64_t next_us = state->next_us > 0 ? heard_us(gate, state->next_us) : 0;
        gcra_import(&entry->rate, limit_of(endpoint), next_us, clock_now_us());
        if (state->has_allowance)
            allowance_import(&entry->allowance, &state->allowance, clock_mono_ms());
        if (state->has_breaker)
            (void)import_breaker(gate, endpoint, &state->breaker, age_ms);
    }
    record(gate, endpoint);
    dispatch_endpoint_ready(gate->core->dispatch, endpoint);
}

void gate_restore(struct gate *gate, struct endpoint *endpoint)
{
    const struct health_record *kept = &endpoint->health.kept;
    rest(gate, endpoint);
    gcra_reset_empty(&endpoint->gate.rate, limit_of(endpoint), clock_now_us());
    if (!kept->breaker[0])
        return;
    enum breaker_reason reason = BREAKER_CONSECUTIVE_FAILURES;
    while (reason < BREAKER_PROBE_FAILED && strcmp(breaker_reason_name(reason), kept->reason) != 0)
        reason++;
    uint32_t opened = kept->opened < UINT16_MAX ? kept->opened : UINT16_MAX;
    struct breaker_memory memory = {.open = true,
                                    .reason = reason,
                                    .opened = opened > 0 ? (uint16_t)opened : 1,
                                    .opened_at_ms = kept->opened_at_ms,
                                    .probe_at_ms = kept->probe_at_ms};
    if (!import_breaker(gate, endpoint, &memory, 0))
        keep(gate, endpoint);
    dispatch_endpoint_ready(gate->core->dispatch, endpoint);
}

void gate_leave(struct gate *gate, struct endpoint *endpoint)
{
    rest(gate, endpoint);
}

/* ---- What an endpoint may ------------------------------------------------------------------- */

void gate_reset(struct gate *gate, struct endpoint *endpoint)
{
    gate_wake(gate, endpoint);
    close_breaker(gate, endpoint);
    begin_allowance(gate, endpoint);
}

void gate_changed(struct gate *gate, struct endpoint *endpoint)
{
    const struct core_options *options = &gate->core->options;
    struct gate_entry *entry = &endpoint->gate;
    gate_wake(gate, endpoint);
    host_put(gate, entry->host);
    entry->host = NULL;
    if (endpoint->deleted) {
        close_breaker(gate, endpoint);
        return;
    }
    if (entry->sends_to) /* else it is new, and its bucket full */
        gcra_change(&entry->rate, limit_of(endpoint), clock_now_us());
    uint64_t sends_to = hash_bytes(slice_str(endpoint_config_target(endpoint->config))) | 1;
    if (entry->sends_to != sends_to || !endpoint->config->active) {
        entry->sends_to = sends_to;
        gate_reset(gate, endpoint);
    }
    if (options->in_flight_per_host_max > 0 && endpoint->config->kind == ENDPOINT_HTTP)
        entry->host = host_get(gate, authority(endpoint->config->url));
}

size_t gate_most(const struct endpoint *endpoint)
{
    uint32_t most = endpoint->config->max_in_flight;
    uint32_t allowed = allowance_limit(&endpoint->gate.allowance);
    return allowed < most ? allowed : most;
}

bool gate_closed(const struct endpoint *endpoint)
{
    return breaker_may_send(&endpoint->gate.breaker, clock_mono_ms()) == BREAKER_NO;
}

uint64_t gate_opens_us(struct gate *gate, struct endpoint *endpoint, uint64_t now_us)
{
    struct gate_entry *entry = &endpoint->gate;
    if (gate_closed(endpoint)) {
        uint64_t next_ms = breaker_next_ms(&entry->breaker);
        return next_ms == UINT64_MAX ? UINT64_MAX : next_ms * 1000;
    }
    uint64_t slot_us = gcra_slot_us(&entry->rate, limit_of(endpoint), now_us);
    if (slot_us > now_us)
        return slot_us; /* in its host's list it would be given a slot that it may not use */
    if (host_full(gate, entry->host)) {
        if (!list_linked(&entry->host_waiter))
            list_push_back(&entry->host->waiting, &entry->host_waiter);
        return now_us + HOST_WAIT_US;
    }
    return now_us;
}

size_t gate_room(const struct endpoint *endpoint, uint64_t within_us)
{
    if (endpoint->gate.breaker.state != BREAKER_CLOSED)
        return 1; /* the probe */
    if (limit_of(endpoint)->limit == 0)
        return SIZE_MAX;
    uint64_t now_us = clock_now_us();
    return gcra_room(&endpoint->gate.rate, limit_of(endpoint), now_us, now_us + within_us);
}

/* ---- Attempts ------------------------------------------------------------------------------- */

void gate_pass(struct gate *gate, struct endpoint *endpoint, struct gate_pass *pass)
{
    struct gate_entry *entry = &endpoint->gate;
    enum breaker_state before = entry->breaker.state;
    pass->generation = breaker_started(&entry->breaker);
    count_state(gate, before, entry->breaker.state);
    pass->in_flight = (uint32_t)endpoint->in_flight;
    pass->host = entry->host;
    if (pass->host) {
        pass->host->in_flight++;
        pass->host->users++;
    }
    if (limit_of(endpoint)->limit > 0)
        gcra_take(&entry->rate, limit_of(endpoint), clock_now_us());
}

void gate_passed(struct gate *gate, struct endpoint *endpoint, struct gate_pass *pass,
                 const struct gate_end *end)
{
    host_leave(gate, pass);
    if (endpoint->deleted || !lanes_judged(gate->core->lanes, endpoint->lane))
        return;
    if (end->answered)
        allowance_answered(&endpoint->gate.allowance, !end->troubled, end->duration_us,
                           pass->in_flight, clock_mono_ms());
    judge(gate, endpoint, pass, end->outcome);
}

void gate_hanging(struct endpoint *endpoint, uint64_t age_us)
{
    allowance_hanging(&endpoint->gate.allowance, age_us, clock_mono_ms());
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct gate *gate_new(struct core *core)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    gate->core = core;
    heap_init(&gate->sleepers);
    map_init(&gate->hosts);
    gate->timer = reactor_timer_new(core->reactor, on_timer, gate);
    if (!gate->timer) {
        free(gate);
        return NULL;
    }
    return gate;
}

void gate_free(struct gate *gate)
{
    if (!gate)
        return;
    struct heap_node *sleeper;
    while ((sleeper = heap_first(&gate->sleepers)))
        gate_wake(gate, endpoint_of(sleeper));
    MAP_FOREACH(node, &gate->hosts)
    free(CONTAINER_OF(node, struct gate_host, by_name));
    map_free(&gate->hosts);
    reactor_timer_free(gate->timer);
    free(gate);
}
