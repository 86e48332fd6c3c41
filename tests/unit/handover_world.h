/* handover_world.h - for tests and fuzz targets of core/handover: several processes ("sides") with
 * the same endpoints, each with a clock of its own and an estimate of Redis's clock, as good as it
 * is. The clocks are the test's own: it defines what base/clock.c and the store would tell, and is
 * linked so that its definitions are taken. Include it in one file of a program. */
#ifndef TROTLINE_TESTS_HANDOVER_WORLD_H
#define TROTLINE_TESTS_HANDOVER_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "core/core.h"
#include "core/dispatch.h"
#include "core/gate.h"
#include "core/handover.h"
#include "endpoint_rules.h"

#define REDIS_AHEAD_US UINT64_C(1760000000123456)

struct side {
    struct endpoint_rules rules;
    struct registry *registry;
    struct reactor *reactor;
    struct store *store; /* never connected */
    struct core *core;
    uint64_t ahead_us;          /* its monotonic clock, of the true time */
    uint64_t slow_ms, early_ms; /* the quickest reply and question that it knows of */
};

static uint64_t true_us = UINT64_C(1000) * 1000 * 1000;
static const struct side *now_running;

/* ---- Clocks --------------------------------------------------------------------------------- */

void clock_expire(void) {}

uint64_t clock_now_us(void)
{
    return true_us + now_running->ahead_us;
}

uint64_t clock_mono_us(void)
{
    return clock_now_us();
}

uint64_t clock_mono_ms(void)
{
    return clock_now_us() / 1000;
}

uint64_t clock_boot_ms(void)
{
    return clock_now_us() / 1000;
}

uint64_t clock_wall_ms(void)
{
    return (true_us + REDIS_AHEAD_US) / 1000;
}

/* As core/redis_clock.c makes them: a whole number of ms added to our own. At the true time 0 Redis
 * wrote a reply, that was read slow_ms later and asked for early_ms before. */
uint64_t store_redis_ms(const struct store *store)
{
    (void)store;
    uint64_t read_ms = now_running->ahead_us / 1000 + now_running->slow_ms;
    return clock_mono_ms() + REDIS_AHEAD_US / 1000 - read_ms;
}

uint64_t store_redis_latest_ms(const struct store *store)
{
    (void)store;
    uint64_t sent_ms = now_running->ahead_us / 1000 - now_running->early_ms;
    return clock_mono_ms() + REDIS_AHEAD_US / 1000 - sent_ms + 1;
}

/* ---- Sides ---------------------------------------------------------------------------------- */

static inline void run(const struct side *side)
{
    now_running = side;
}

static inline void on_store_state(void *arg, bool ready)
{
    (void)arg;
    (void)ready;
}

/* Each side judges all lanes: who owns which is not what this is about. */
static inline bool own_all(struct lanes *lanes, const char *incarnation)
{
    uint8_t owner_of[LANES];
    struct slice me = slice_str(incarnation);
    memset(owner_of, 1, sizeof(owner_of));
    if (lanes_update(lanes, 1, &me, 1, owner_of, NULL, NULL) != ST_OK)
        return false;
    for (uint32_t lane = 0; lane < LANES; lane++)
        lanes_step(lanes, lane, LANE_MINE);
    return true;
}

/* `incarnation` must outlive it, and be one. It is the one that runs afterwards. */
static inline bool side_init(struct side *side, const char *incarnation)
{
    struct core_options options = {
        .adaptive = true, .in_flight_max = 1000, .deliveries_max = 1000, .bytes_max = 1000000};
    breaker_rules_default(&options.breaker);
    *side = (struct side){.rules = test_rules_new(), .ahead_us = 5000000};
    run(side);
    side->registry = registry_new(&side->rules);
    side->reactor = reactor_new();
    struct store_options store = {.redis = {.unix_path = "/nonexistent/redis.sock"},
                                  .key_prefix = "tl",
                                  .incarnation = incarnation};
    if (!side->registry || !side->reactor)
        return false;
    side->store = store_new(side->reactor, &store, on_store_state, NULL);
    if (side->store)
        side->core = core_new(&options, side->reactor, side->store, side->registry, NULL);
    return side->core && own_all(side->core->lanes, incarnation);
}

static inline void side_free(struct side *side)
{
    run(side);
    store_free(side->store);
    core_free(side->core);
    registry_free(side->registry);
    reactor_free(side->reactor);
    test_rules_free(&side->rules);
}

/* The endpoint of that number with a rate limit (JSON), or NULL when it could not be made. */
static inline struct endpoint *side_put(struct side *side, uint8_t number, const char *rate_limit)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"url\":\"https://example.com/\",\"events\":[\"*\"],\"rateLimit\":%s}", rate_limit);
    struct id id = {.bytes = {[19] = number}};
    struct endpoint_config *config;
    struct endpoint *endpoint = NULL;
    struct field_error error;
    run(side);
    if (endpoint_config_create(&side->rules, slice_str(body), 1, &config, &error) != ST_OK)
        return NULL;
    if (registry_put(side->registry, &id, config, &endpoint) == ST_OK)
        dispatch_endpoint_changed(side->core->dispatch, endpoint);
    return endpoint;
}

#endif
