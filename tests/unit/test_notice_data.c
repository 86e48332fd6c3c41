/* test_notice_data.c - what operational events say, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/notice_data.h"

static struct notice_data sample(enum notice_type type)
{
    return (struct notice_data){
        .type = type,
        .webhook_id = "ep_1",
        .url = "https://a.example/\"x\"",
        .reason = "because",
        .attempt = {.event_id = "msg_1",
                    .event_type = "order.paid",
                    .attempts = 4,
                    .status_code = 503,
                    .error = "http_status"},
        .failing_since_ms = 1760000000123,
        .next_attempt_at_ms = 1760000001000,
        .consecutive_failures = 9,
        .suppressed = 2,
        .waiting = 20000,
        .threshold = 10000,
    };
}

static void expect(const struct notice_data *data, const char *text)
{
    struct buf buf;
    buf_init(&buf, 4096);
    notice_data_write(&buf, data);
    assert_int_equal(buf_status(&buf), ST_OK);
    buf_add_char(&buf, '\0');
    assert_string_equal(buf.ptr, text);
    buf_free(&buf);
}

#define HEAD   "{\"webhookId\":\"ep_1\",\"url\":\"https://a.example/\\\"x\\\"\""
#define REASON ",\"reason\":\"because\""
#define ATTEMPT                                                                                    \
    ",\"eventId\":\"msg_1\",\"eventType\":\"order.paid\",\"attempts\":4,\"statusCode\":503,"       \
    "\"error\":\"http_status\""
#define FAILING ",\"failingSince\":\"2025-10-09T08:53:20.123Z\",\"consecutiveFailures\":9"
#define NEXT    ",\"nextAttemptAt\":\"2025-10-09T08:53:21.000Z\""

/* Each type has its members, as the README says, in this order. */
static void test_members(void **state)
{
    (void)state;
    static const struct {
        enum notice_type type;
        const char *name, *json;
    } table[] = {
        {NOTICE_ENDPOINT_DISABLED, "endpoint.disabled", HEAD REASON ATTEMPT FAILING "}"},
        {NOTICE_BREAKER_OPENED, "endpoint.breaker_opened", HEAD REASON FAILING NEXT "}"},
        {NOTICE_BREAKER_CLOSED, "endpoint.breaker_closed", HEAD REASON "}"},
        {NOTICE_BACKLOG, "endpoint.backlog",
         HEAD ",\"waiting\":20000,\"threshold\":10000" FAILING "}"},
        {NOTICE_DELIVERY_FAILING, "delivery.failing",
         HEAD ATTEMPT FAILING NEXT ",\"suppressed\":2}"},
        {NOTICE_DELIVERY_EXHAUSTED, "delivery.exhausted",
         HEAD REASON ATTEMPT FAILING ",\"suppressed\":2}"},
        {NOTICE_DELIVERY_RECOVERED, "delivery.recovered", HEAD ATTEMPT ",\"suppressed\":2}"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct notice_data data = sample(table[i].type);
        assert_string_equal(notice_type_name(table[i].type), table[i].name);
        expect(&data, table[i].json);
    }
    assert_int_equal(sizeof(table) / sizeof(table[0]), NOTICE_TYPES);
}

/* What is not known is null, and no member is left out. */
static void test_nothing_known(void **state)
{
    (void)state;
    struct notice_data data = {.type = NOTICE_ENDPOINT_DISABLED, .webhook_id = "ep", .url = "u"};
    expect(&data, "{\"webhookId\":\"ep\",\"url\":\"u\",\"reason\":null,\"eventId\":null,"
                  "\"eventType\":null,\"attempts\":0,\"statusCode\":null,\"error\":null,"
                  "\"failingSince\":null,\"consecutiveFailures\":0}");
    data.type = NOTICE_BREAKER_OPENED;
    data.reason = "";
    expect(&data, "{\"webhookId\":\"ep\",\"url\":\"u\",\"reason\":null,\"failingSince\":null,"
                  "\"consecutiveFailures\":0,\"nextAttemptAt\":null}");
}

/* Ours are told from others by source and type together. */
static void test_named(void **state)
{
    (void)state;
    static const struct {
        const char *source, *type;
        bool named;
    } table[] = {
        {"trotline", "endpoint.disabled", true}, {"trotline", "delivery.recovered", true},
        {"trotline", "endpoint.backlog", true},  {"trotline", "order.paid", false},
        {"trotline", "endpoint.disable", false}, {"trotline", "endpoint.disabled2", false},
        {"shop", "endpoint.disabled", false},    {"", "endpoint.disabled", false},
        {NULL, "endpoint.disabled", false},      {"trotline", "", false},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(notice_named(slice_str(table[i].source), slice_str(table[i].type)),
                         table[i].named);
}

/* A burst at once, then one a second; whoever comes through tells how many did not. */
static void test_rate(void **state)
{
    (void)state;
    struct notice_rate rate = {0};
    uint32_t suppressed = 99;
    uint64_t now_ms = 5000;
    for (int i = 0; i < NOTICE_BURST; i++) {
        assert_true(notice_rate_take(&rate, now_ms, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    for (int i = 0; i < 1000; i++)
        assert_false(notice_rate_take(&rate, now_ms, &suppressed));
    assert_false(notice_rate_take(&rate, now_ms + NOTICE_EVERY_MS - 1, &suppressed));
    assert_true(notice_rate_take(&rate, now_ms + NOTICE_EVERY_MS, &suppressed));
    assert_int_equal(suppressed, 1001);
    assert_false(notice_rate_take(&rate, now_ms + NOTICE_EVERY_MS, &suppressed));

    /* After a quiet time there is a whole burst again, and no more than that. */
    now_ms += 1000 * NOTICE_EVERY_MS;
    int sent = 0;
    for (int i = 0; i < 100; i++)
        sent += notice_rate_take(&rate, now_ms, &suppressed);
    assert_int_equal(sent, NOTICE_BURST);
}

/* However often it is asked, in an hour it lets a burst and one a second through. */
static void test_rate_in_the_long_run(void **state)
{
    (void)state;
    struct notice_rate rate = {0};
    uint64_t sent = 0, left_out = 0;
    uint32_t suppressed;
    for (uint64_t now_ms = 0; now_ms < 3600 * 1000; now_ms += 7)
        if (notice_rate_take(&rate, now_ms, &suppressed)) {
            sent++;
            left_out += suppressed;
        }
    assert_in_range(sent, 3600, 3600 + NOTICE_BURST);
    assert_int_equal(sent + left_out + rate.suppressed, (3600 * 1000 + 6) / 7);
}

/* Once per crossing, and again only from below half. */
static void test_backlog(void **state)
{
    (void)state;
    static const struct {
        uint64_t waiting;
        bool begins;
    } steps[] = {
        {0, false},   {99, false}, {100, true}, {101, false}, {100, false}, {50, false},
        {200, false}, {49, false}, {99, false}, {150, true},  {0, false},   {100, true},
    };
    struct notice_memory memory = {.backlog = false};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        assert_int_equal(notice_backlog_begins(&memory, steps[i].waiting, 100), steps[i].begins);
    assert_false(notice_backlog_begins(&(struct notice_memory){0}, UINT64_MAX, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_in_the_long_run),
        cmocka_unit_test(test_backlog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
