/* test_serve_options.c - each module gets the option that is meant for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/serve.h"

/* A configuration in which no two numbers are equal, so that a mix-up shows. */
static struct config config;

static int setup(void **state)
{
    (void)state;
    config = (struct config){
        .listen = {.host = "127.0.0.7", .port = 8081},
        .redis = (char *)(uintptr_t) "redis://r",
        .http = {101, 102, 103, 104, 105, 106, 107},
        .ingest = {201, 202, 203, 204},
        .idempotency = {301, 302},
        .history = {401, 402, 403},
        .memory = {501, 502, 503},
        .journal = {601},
        .outbound = {.max_in_flight = 720,
                     .max_in_flight_per_endpoint = 702,
                     .max_in_flight_per_host = 707,
                     .adaptive_concurrency = true,
                     .connect_timeout_ms = 703,
                     .timeout_ms = 704,
                     .max_response_bytes = 705,
                     .user_agent = (char *)(uintptr_t) "agent",
                     .ca_file = (char *)(uintptr_t) "/ca.pem",
                     .proxy = (char *)(uintptr_t) "http://proxy",
                     .idle_connections = 706},
        .retry = {.schedule = {{11, 22, 33}, 3}, .jitter = 0.25, .max_retry_after_ms = 801},
        .disable = {851, true},
        .backlog = {852},
        .breaker = {true, 1001, 0.75, 1002, 1003, 1004, 1005},
        .replica = {901, 902},
    };
    return 0;
}

static void test_core(void **state)
{
    (void)state;
    struct core_options options;
    memset(&options, 0xff, sizeof(options));
    serve_core_options(&config, &options);
    assert_int_equal(options.batch_events_max, config.ingest.batch_events);
    assert_int_equal(options.batch_bytes_max, config.ingest.batch_bytes);
    assert_int_equal(options.publish_timeout_ms, config.ingest.timeout_ms);
    assert_int_equal(options.journal_batches_max, config.journal.max_batches);
    assert_int_equal(options.idempotency_ttl_ms, config.idempotency.ttl_ms);
    assert_int_equal(options.idempotency_keys_max, config.idempotency.max_keys);
    assert_int_equal(options.history_ttl_ms, config.history.ttl_ms);
    assert_int_equal(options.history_bytes_max, config.history.max_bytes);
    assert_int_equal(options.attempts_kept, config.history.attempts_per_endpoint);
    assert_int_equal(options.deliveries_max, config.memory.max_deliveries);
    assert_int_equal(options.bytes_max, config.memory.max_bytes);
    assert_int_equal(options.queued_per_endpoint_max, config.memory.max_queued_per_endpoint);
    assert_int_equal(options.in_flight_max, config.outbound.max_in_flight);
    assert_int_equal(options.in_flight_per_host_max, config.outbound.max_in_flight_per_host);
    assert_true(options.adaptive);
    assert_true(options.breaker.enabled);
    assert_int_equal(options.breaker.consecutive, config.breaker.consecutive_failures);
    assert_true(options.breaker.ratio == config.breaker.failure_ratio);
    assert_int_equal(options.breaker.minimum, config.breaker.minimum_attempts);
    assert_int_equal(options.breaker.window_ms, config.breaker.window_ms);
    assert_int_equal(options.breaker.open_ms, config.breaker.open_for_ms);
    assert_int_equal(options.breaker.open_max_ms, config.breaker.open_for_max_ms);
    assert_true(options.breaker.multiplier == 2);
    assert_true(options.breaker.jitter == 0.2);
    assert_int_equal(options.connect_timeout_ms, config.outbound.connect_timeout_ms);
    assert_int_equal(options.response_bytes_max, config.outbound.max_response_bytes);
    assert_int_equal(options.retry_after_max_ms, config.retry.max_retry_after_ms);
    assert_int_equal(options.disable_after_ms, config.disable.after_ms);
    assert_true(options.disable_on_exhausted);
    assert_int_equal(options.backlog_threshold, config.backlog.threshold);
    assert_int_equal(options.lease_ms, config.replica.lease_ms);
    assert_int_equal(options.heartbeat_ms, config.replica.heartbeat_ms);
    assert_in_range(options.endpoints_max, 1, 10000000);
    assert_false(options.allow_http);
    assert_false(options.sole_owner);
}

/* Only the Redis that the server starts itself is nobody else's. */
static void test_sole_owner(void **state)
{
    (void)state;
    static const struct {
        const char *redis;
        bool sole;
    } table[] = {{"embedded", true},
                 {"redis://embedded", false},
                 {"unix:/run/redis.sock", false},
                 {"embedded2", false}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct core_options options;
        config.redis = (char *)(uintptr_t)table[i].redis;
        serve_core_options(&config, &options);
        assert_int_equal(options.sole_owner, table[i].sole);
        assert_int_equal(options.others_dead, table[i].sole);
    }
}

static void test_http(void **state)
{
    (void)state;
    struct http_server_options options;
    memset(&options, 0xff, sizeof(options));
    serve_http_options(&config, &options);
    assert_int_equal(options.connections_max, config.http.max_connections);
    assert_int_equal(options.body_bytes_max, config.http.max_body_bytes);
    assert_int_equal(options.buffered_bytes_max, config.http.max_buffered_bytes);
    assert_int_equal(options.header_timeout_ms, config.http.header_timeout_ms);
    assert_int_equal(options.body_timeout_ms, config.http.body_timeout_ms);
    assert_int_equal(options.idle_timeout_ms, config.http.idle_timeout_ms);
    assert_int_equal(options.write_timeout_ms, config.http.write_timeout_ms);
}

/* There is room for test sends beside the deliveries; no file of certificates means the system's.
 */
static void test_outbound(void **state)
{
    (void)state;
    struct netguard guard = {.allow_count = 0};
    struct outbound_options options;
    memset(&options, 0xff, sizeof(options));
    serve_outbound_options(&config, &guard, &options);
    assert_true(options.in_flight_max > config.outbound.max_in_flight);
    assert_int_equal(options.idle_connections_max, config.outbound.idle_connections);
    assert_string_equal(options.user_agent, "agent");
    assert_string_equal(options.ca_file, "/ca.pem");
    assert_string_equal(options.proxy, "http://proxy");
    assert_ptr_equal(options.guard, &guard);
    assert_true(options.idle_age_max_ms > 0 && options.idle_age_max_ms < 60 * 1000);
    assert_true(options.connection_age_max_ms > options.idle_age_max_ms);
    config.outbound.ca_file = (char *)(uintptr_t) "";
    serve_outbound_options(&config, &guard, &options);
    assert_null(options.ca_file);
}

/* ---- The guard ------------------------------------------------------------------------------- */

static bool allows(const struct netguard *guard, const char *address)
{
    return netguard_allows_text(guard, address, NULL);
}

static void test_guard(void **state)
{
    (void)state;
    char *nets[] = {(char *)(uintptr_t) "10.1.0.0/16", (char *)(uintptr_t) "fd00:1::/32"};
    struct netguard guard;
    struct buf error;
    buf_init(&error, 1000);
    memset(&guard, 0xff, sizeof(guard));
    assert_int_equal(serve_guard(&config, &guard, &error), ST_OK);
    assert_true(allows(&guard, "1.1.1.1"));
    assert_false(allows(&guard, "127.0.0.1") || allows(&guard, "10.1.2.3"));

    config.outbound.allow = (struct config_strings){nets, 2};
    assert_int_equal(serve_guard(&config, &guard, &error), ST_OK);
    assert_true(allows(&guard, "10.1.2.3") && allows(&guard, "fd00:1::5"));
    assert_false(allows(&guard, "10.2.0.1") || allows(&guard, "127.0.0.1"));

    config.outbound.allow.count = 0;
    config.dev = true;
    assert_int_equal(serve_guard(&config, &guard, &error), ST_OK);
    assert_true(allows(&guard, "10.2.0.1") && allows(&guard, "127.0.0.1"));
    assert_false(allows(&guard, "169.254.169.254"));
    assert_int_equal(error.len, 0);
}

/* What cannot be opened is named; also one network more than there is room for. */
static void test_guard_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "10.0.0.1/8", "10.0.0.0/33", "example.com", "10.0.0.0/"};
    struct netguard guard;
    struct buf error;
    char *nets[NETGUARD_NETS_MAX + 1];
    buf_init(&error, 1000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        nets[0] = (char *)(uintptr_t) "10.1.0.0/16";
        nets[1] = (char *)(uintptr_t)bad[i];
        config.outbound.allow = (struct config_strings){nets, 2};
        buf_clear(&error);
        assert_int_equal(serve_guard(&config, &guard, &error), ST_RANGE);
        char expected[100];
        int len = snprintf(expected, sizeof(expected), "outbound.allow: \"%s\" ", bad[i]);
        assert_true(slice_starts(buf_slice(&error), slice_of(expected, (size_t)len)));
    }
    for (size_t i = 0; i <= NETGUARD_NETS_MAX; i++)
        nets[i] = (char *)(uintptr_t) "10.1.0.0/16";
    buf_clear(&error);
    config.outbound.allow = (struct config_strings){nets, NETGUARD_NETS_MAX};
    assert_int_equal(serve_guard(&config, &guard, &error), ST_OK);
    config.outbound.allow.count++;
    assert_int_equal(serve_guard(&config, &guard, &error), ST_RANGE);
    assert_true(error.len > 0);
    buf_free(&error);
}

/* ---- Rules of endpoints ---------------------------------------------------------------------- */

static void test_rules(void **state)
{
    (void)state;
    static const struct netguard guard;
    struct endpoint_rules rules;
    struct scheme_set *schemes = scheme_set_new();
    memset(&rules, 0xff, sizeof(rules));
    serve_rules(&config, schemes, &guard, &rules);
    assert_ptr_equal(rules.schemes, schemes);
    assert_ptr_equal(rules.guard, &guard);
    assert_ptr_equal(rules.key_prefix, config.key_prefix);
    assert_false(rules.allow_http);
    assert_int_equal(rules.default_retry.step_count, 3);
    assert_int_equal(rules.default_retry.steps_ms[0], 11);
    assert_int_equal(rules.default_retry.steps_ms[2], 33);
    assert_true(rules.default_retry.jitter > 0.24 && rules.default_retry.jitter < 0.26);
    assert_false(rules.default_retry.on.given);
    assert_int_equal(rules.default_timeout_ms, 704);
    assert_int_equal(rules.timeout_max_ms, 60 * 1000);
    assert_int_equal(rules.default_max_in_flight, 702);
    assert_int_equal(rules.max_in_flight_max, 720);
    scheme_set_free(schemes);
}

/* --dev opens http, for sending and for registering. */
static void test_dev_allows_http(void **state)
{
    (void)state;
    static const struct netguard guard;
    struct endpoint_rules rules;
    struct core_options options;
    config.dev = true;
    serve_rules(&config, NULL, &guard, &rules);
    serve_core_options(&config, &options);
    assert_true(rules.allow_http && options.allow_http);
}

/* An endpoint whose document says what GET showed of an endpoint with defaults is taken, however
 * the defaults and the maxima were configured. */
static void test_defaults_are_acceptable(void **state)
{
    (void)state;
    static const uint64_t timeouts_ms[] = {100, 15000, 60000, 60001, 3600000};
    static const uint64_t in_flight[] = {1, 50, 100000};
    static const struct netguard guard;
    struct scheme_set *schemes = scheme_set_new();
    assert_non_null(schemes);
    for (size_t i = 0; i < 5 * 3 * 3; i++) {
        struct endpoint_rules rules;
        struct endpoint_config *made, *put;
        struct field_error why;
        char body[300];
        config.outbound.timeout_ms = timeouts_ms[i % 5];
        config.outbound.max_in_flight_per_endpoint = in_flight[i / 5 % 3];
        config.outbound.max_in_flight = in_flight[i / 15];
        serve_rules(&config, schemes, &guard, &rules);
        struct slice least = SLICE("{\"url\":\"https://e.com/\",\"events\":[\"*\"]}");
        assert_int_equal(endpoint_config_create(&rules, least, 1, &made, &why), ST_OK);
        int len = snprintf(body, sizeof(body),
                           "{\"url\":\"https://e.com/\",\"events\":[\"*\"],\"timeout\":%llu,"
                           "\"maxInFlight\":%u}",
                           (unsigned long long)made->timeout_ms, made->max_in_flight);
        struct slice shown = slice_of(body, (size_t)len);
        assert_int_equal(endpoint_config_change(&rules, made, ENDPOINT_PUT, shown, 2, &put, &why),
                         ST_OK);
        assert_int_equal(put->timeout_ms, config.outbound.timeout_ms);
        assert_true(put->max_in_flight <= config.outbound.max_in_flight);
        endpoint_config_put(put);
        endpoint_config_put(made);
    }
    scheme_set_free(schemes);
}

/* The longest schedule there can be. */
static void test_longest_schedule(void **state)
{
    (void)state;
    static const struct netguard guard;
    struct endpoint_rules rules;
    config.retry.schedule.count = LIMIT_RETRY_STEPS;
    for (uint64_t i = 0; i < LIMIT_RETRY_STEPS; i++)
        config.retry.schedule.ms[i] = i * i;
    serve_rules(&config, NULL, &guard, &rules);
    assert_int_equal(rules.default_retry.step_count, LIMIT_RETRY_STEPS);
    for (uint64_t i = 0; i < LIMIT_RETRY_STEPS; i++)
        assert_int_equal(rules.default_retry.steps_ms[i], i * i);
}

/* Worker n has the port n - 1 behind the one that is given; a gateway by itself has none. */
static void test_own_address(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        unsigned number;
        bool there;
        unsigned port;
    } table[] = {{"", 1, false, 0},
                 {"127.0.0.3:9100", 0, false, 0},
                 {"127.0.0.3:9100", 1, true, 9100},
                 {"127.0.0.3:9100", 64, true, 9163},
                 {"127.0.0.3:0", 5, true, 0},
                 {"127.0.0.3:65530", 6, true, 65535}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct address address;
        struct worker worker = {.number = table[i].number};
        config.worker_listen = (char *)(uintptr_t)table[i].given;
        assert_int_equal(serve_own_address(&config, &worker, &address), table[i].there);
        if (table[i].there) {
            assert_string_equal(address.host, "127.0.0.3");
            assert_int_equal(address.port, table[i].port);
        }
    }
}

/* Each worker has an archive of its own, and finds it again after a restart. */
static void test_archive_path(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        unsigned number;
        const char *path;
    } table[] = {{"a.jsonl", 0, "/data/a.jsonl"},
                 {"a.jsonl", 2, "/data/a-2.jsonl"},
                 {"/var/log/a.b.jsonl", 12, "/var/log/a.b-12.jsonl"},
                 {"log.d/archive", 1, "/data/log.d/archive-1"},
                 {".hidden", 3, "/data/.hidden-3"}};
    config.data = (char *)(uintptr_t) "/data";
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct buf path;
        struct worker worker = {.number = table[i].number};
        buf_init(&path, 256);
        config.archive.file = (char *)(uintptr_t)table[i].file;
        serve_archive_path(&config, &worker, &path);
        assert_int_equal(buf_status(&path), ST_OK);
        assert_string_equal(path.ptr, table[i].path);
        buf_free(&path);
    }
}

/* What is received must fit into a request and into an event. */
static void test_source_rules(void **state)
{
    (void)state;
    char *networks[] = {(char *)(uintptr_t) "10.0.0.0/8", (char *)(uintptr_t) "fd00::/8"};
    struct scheme_set *schemes = scheme_set_new();
    struct source_rules rules;
    struct buf error;
    buf_init(&error, 256);
    assert_int_equal(serve_source_rules(&config, schemes, &rules, &error), ST_OK);
    assert_ptr_equal(rules.schemes, schemes);
    assert_int_equal(rules.body_bytes_max, config.http.max_body_bytes);
    assert_int_equal(rules.trusted_proxies.count, 0);
    config.http.max_body_bytes = 1000;
    config.sources.trusted_proxies = (struct config_strings){networks, 2};
    assert_int_equal(serve_source_rules(&config, schemes, &rules, &error), ST_OK);
    assert_int_equal(rules.body_bytes_max, config.ingest.max_event_bytes);
    assert_int_equal(rules.trusted_proxies.count, 2);
    assert_true(rules.trusted_proxies.items[1].v6);
    free(rules.trusted_proxies.items);
    networks[1] = (char *)(uintptr_t) "nothing";
    assert_int_equal(serve_source_rules(&config, schemes, &rules, &error), ST_RANGE);
    assert_int_equal(rules.trusted_proxies.count, 1);
    free(rules.trusted_proxies.items);
    buf_free(&error);
    scheme_set_free(schemes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_core, setup),
        cmocka_unit_test_setup(test_sole_owner, setup),
        cmocka_unit_test_setup(test_http, setup),
        cmocka_unit_test_setup(test_outbound, setup),
        cmocka_unit_test_setup(test_guard, setup),
        cmocka_unit_test_setup(test_guard_refuses, setup),
        cmocka_unit_test_setup(test_rules, setup),
        cmocka_unit_test_setup(test_dev_allows_http, setup),
        cmocka_unit_test_setup(test_defaults_are_acceptable, setup),
        cmocka_unit_test_setup(test_longest_schedule, setup),
        cmocka_unit_test_setup(test_own_address, setup),
        cmocka_unit_test_setup(test_archive_path, setup),
        cmocka_unit_test_setup(test_source_rules, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
