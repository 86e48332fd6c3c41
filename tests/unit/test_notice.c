/* test_notice.c - who is told what, with a publish that only writes down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/notice.h"
#include "core/publish.h"
#include "endpoint_rules.h"

/* ---- A publish that writes down ------------------------------------------------------------- */

struct published {
    int count;
    char type[64];
    char data[2048];
    const struct id *about;
    publish_fn *fn;
    void *arg;
};

static struct published published;
static enum status publish_answer;

enum status publish_event(struct publish *publish, const struct publish_item *item, publish_fn *fn,
                          void *arg, enum publish_verdict *why)
{
    (void)publish;
    if (publish_answer != ST_OK) {
        *why = PUBLISH_UNAVAILABLE;
        return publish_answer;
    }
    published.count++;
    published.about = item->about;
    published.fn = fn;
    published.arg = arg;
    assert_true(slice_eq(item->record.source, SLICE("trotline")));
    assert_true(slice_eq(item->record.application, SLICE("default")));
    snprintf(published.type, sizeof(published.type), "%.*s", SLICE_ARGS(item->record.type));
    snprintf(published.data, sizeof(published.data), "%.*s", SLICE_ARGS(item->record.data));
    return ST_OK;
}

/* ---- Fixture -------------------------------------------------------------------------------- */

static struct endpoint_rules rules;
static struct core core;
static struct endpoint *target;

static struct endpoint *put(uint8_t number, const char *events)
{
    char body[512];
    int len =
        snprintf(body, sizeof(body), "{\"url\":\"https://example.com/\",\"events\":%s}", events);
    struct id id = {.bytes = {[19] = number}};
    struct endpoint_config *config;
    struct endpoint *endpoint;
    struct field_error error;
    assert_int_equal(
        endpoint_config_create(&rules, slice_of(body, (size_t)len), 1, &config, &error), ST_OK);
    assert_int_equal(registry_put(core.registry, &id, config, &endpoint), ST_OK);
    return endpoint;
}

static int setup(void **state)
{
    (void)state;
    rules = test_rules_new();
    core = (struct core){.reactor = reactor_new(), .registry = registry_new(&rules)};
    core.options.backlog_threshold = 100;
    core.notice = notice_new(&core);
    published = (struct published){0};
    publish_answer = ST_OK;
    target = put(1, "[\"order.*\"]");
    return core.reactor && core.registry && core.notice ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    notice_free(core.notice);
    registry_free(core.registry);
    reactor_free(core.reactor);
    test_rules_free(&rules);
    return 0;
}

static void expect(int count, const char *type)
{
    assert_int_equal(published.count, count);
    assert_string_equal(published.type, type);
    assert_ptr_equal(published.about, &target->id);
}

static const struct notice_attempt attempt = {"msg_1", "order.paid", 4, 500, "http_status"};

/* ---- Tests ---------------------------------------------------------------------------------- */

/* Nothing is published when nobody else asked for it by name. */
static void test_nobody(void **state)
{
    (void)state;
    static const struct notice_attempt none = {.attempts = 0};
    put(1, "[\"order.*\",\"endpoint.*\",\"delivery.*\"]"); /* the target itself */
    put(2, "[\"*\"]");
    notice_disabled(&core, target, &none);
    notice_breaker(&core, target, true, "failures", 5);
    notice_backlog(&core, target, 1000);
    notice_delivery(&core, target, NOTICE_DELIVERY_FAILING, NULL, &attempt, 0);
    assert_int_equal(published.count, 0);
    assert_int_equal(core.stats.notices_suppressed, 0);
}

/* The breaker is told of on a change only; the closing that follows an untold opening too. */
static void test_breaker(void **state)
{
    (void)state;
    put(2, "[\"endpoint.*\"]");
    notice_breaker(&core, target, false, "probe", 0); /* it was closed all along */
    assert_int_equal(published.count, 0);
    target->health.kept.failing_since_ms = 1760000000123;
    target->health.consecutive_failures = 9;
    notice_breaker(&core, target, true, "failures", 1760000001000);
    expect(1, "endpoint.breaker_opened");
    assert_string_equal(published.data,
                        "{\"webhookId\":\"ep_000000000000000000000000001\","
                        "\"url\":\"https://example.com/\",\"reason\":\"failures\","
                        "\"failingSince\":\"2025-10-09T08:53:20.123Z\",\"consecutiveFailures\":9,"
                        "\"nextAttemptAt\":\"2025-10-09T08:53:21.000Z\"}");
    notice_breaker(&core, target, true, "probe", 1760000002000); /* a probe failed */
    assert_int_equal(published.count, 1);
    notice_breaker(&core, target, false, "probe", 0);
    expect(2, "endpoint.breaker_closed");
    notice_breaker(&core, target, false, "probe", 0);
    assert_int_equal(published.count, 2);
    notice_breaker(&core, target, true, "ratio", 7);
    expect(3, "endpoint.breaker_opened");
}

static void test_backlog(void **state)
{
    (void)state;
    put(2, "[\"endpoint.backlog\"]");
    static const uint64_t waiting[] = {99, 100, 150, 60, 49, 101};
    for (size_t i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++)
        notice_backlog(&core, target, waiting[i]);
    expect(2, "endpoint.backlog");
    assert_non_null(strstr(published.data, "\"waiting\":101,\"threshold\":100"));
    core.options.backlog_threshold = 0;
    notice_backlog(&core, target, UINT64_MAX);
    assert_int_equal(published.count, 2);
}

/* Each type about each endpoint has a rate of its own; what is left out is counted. */
static void test_deliveries(void **state)
{
    (void)state;
    put(2, "[\"delivery.*\"]");
    for (int i = 0; i < 3 * NOTICE_BURST; i++)
        notice_delivery(&core, target, NOTICE_DELIVERY_FAILING, NULL, &attempt, 1760000001000);
    expect(NOTICE_BURST, "delivery.failing");
    assert_int_equal(core.stats.notices_suppressed, 2 * NOTICE_BURST);
    notice_delivery(&core, target, NOTICE_DELIVERY_EXHAUSTED, "excluded", &attempt, 0);
    expect(NOTICE_BURST + 1, "delivery.exhausted");
    assert_non_null(strstr(published.data, "\"reason\":\"excluded\",\"eventId\":\"msg_1\""));
    target = put(3, "[\"a\"]");
    notice_delivery(&core, target, NOTICE_DELIVERY_FAILING, NULL, &attempt, 1760000001000);
    expect(NOTICE_BURST + 2, "delivery.failing");
    assert_non_null(strstr(published.data, "\"suppressed\":0"));
}

/* Refused at once or later: counted, and nobody waits. */
static void test_dropped(void **state)
{
    (void)state;
    put(2, "[\"delivery.*\"]");
    notice_delivery(&core, target, NOTICE_DELIVERY_FAILING, NULL, &attempt, 0);
    published.fn(published.arg, PUBLISH_ACCEPTED, "msg_2", 1);
    assert_int_equal(core.stats.notices_published, 1);
    assert_int_equal(core.stats.notices_dropped, 0);
    notice_delivery(&core, target, NOTICE_DELIVERY_FAILING, NULL, &attempt, 0);
    published.fn(published.arg, PUBLISH_UNKNOWN, "", 0);
    assert_int_equal(core.stats.notices_dropped, 1);
    publish_answer = ST_REFUSED;
    notice_delivery(&core, target, NOTICE_DELIVERY_FAILING, NULL, &attempt, 0);
    assert_int_equal(core.stats.notices_dropped, 2);
    assert_int_equal(core.stats.notices_published, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_breaker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deliveries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
