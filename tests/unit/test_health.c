/* test_health.c - since when an endpoint fails, and the record that outlives the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/rng.h"
#include "core/health.h"

/* Only the first failure after a success, and the first success after a failure, change what is
 * kept; the time is that of the first failure. */
static void test_failing_since(void **state)
{
    (void)state;
    static const struct {
        uint64_t fails_at_ms; /* 0: a success */
        bool changed;
        uint64_t since_ms;
        uint32_t failures;
    } steps[] = {
        {0, false, 0, 0}, {100, true, 100, 1}, {200, false, 100, 2}, {50, false, 100, 3},
        {0, true, 0, 0},  {0, false, 0, 0},    {300, true, 300, 1},  {400, false, 300, 2},
    };
    struct endpoint_health health;
    memset(&health, 0xff, sizeof(health));
    health_init(&health);
    assert_false(list_linked(&health.unsaved));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        bool changed = steps[i].fails_at_ms ? health_failed(&health, steps[i].fails_at_ms)
                                            : health_succeeded(&health);
        assert_int_equal(changed, steps[i].changed);
        assert_int_equal(health.kept.failing_since_ms, steps[i].since_ms);
        assert_int_equal(health.consecutive_failures, steps[i].failures);
    }
}

/* A success leaves the breaker's part to its owner. */
static void test_breaker_is_left_alone(void **state)
{
    (void)state;
    struct endpoint_health health;
    health_init(&health);
    health.kept = (struct health_record){
        .failing_since_ms = 1, .breaker = "open", .probe_at_ms = 7, .opened = 2};
    assert_true(health_succeeded(&health));
    assert_string_equal(health.kept.breaker, "open");
    assert_int_equal(health.kept.probe_at_ms, 7);
    assert_int_equal(health.kept.opened, 2);
}

/* A count does not come round to zero. */
static void test_many_failures(void **state)
{
    (void)state;
    struct endpoint_health health;
    health_init(&health);
    health.consecutive_failures = UINT32_MAX;
    health_failed(&health, 1);
    assert_int_equal(health.consecutive_failures, UINT32_MAX);
}

static void test_overdue(void **state)
{
    (void)state;
    static const struct {
        uint64_t since_ms, now_ms, after_ms;
        bool overdue;
    } table[] = {
        {0, 1000, 10, false},    /* it is not failing */
        {1000, 1000, 10, false}, /* its first failure */
        {1000, 1009, 10, false},
        {1000, 1010, 10, true},
        {1000, 5000, 10, true},
        {1000, 5000, 0, false}, /* never */
        {1000, 999, 10, false}, /* the clock was set back */
        {1, UINT64_MAX, UINT64_MAX - 1, true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct endpoint_health health;
        health_init(&health);
        health.kept.failing_since_ms = table[i].since_ms;
        assert_int_equal(health_overdue(&health, table[i].now_ms, table[i].after_ms),
                         table[i].overdue);
    }
}

/* ---- The record ----------------------------------------------------------------------------- */

static void expect_equal(const struct health_record *a, const struct health_record *b)
{
    assert_int_equal(a->failing_since_ms, b->failing_since_ms);
    assert_string_equal(a->breaker, b->breaker);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->opened_at_ms, b->opened_at_ms);
    assert_int_equal(a->probe_at_ms, b->probe_at_ms);
    assert_int_equal(a->opened, b->opened);
}

static void expect_text(const struct health_record *record, const char *text)
{
    struct buf buf;
    buf_init(&buf, 1024);
    health_record_write(&buf, record);
    assert_int_equal(buf_status(&buf), ST_OK);
    assert_int_equal(buf.len, strlen(text));
    if (buf.len)
        assert_memory_equal(buf.ptr, text, buf.len);
    buf_free(&buf);
}

/* What is normal is left out; nothing is written of an endpoint that is well. */
static void test_write(void **state)
{
    (void)state;
    expect_text(&(struct health_record){.opened = 0}, "");
    expect_text(&(struct health_record){.failing_since_ms = 1760000000000},
                "{\"failingSince\":1760000000000}");
    expect_text(&(struct health_record){.breaker = "half_open", .opened = 3},
                "{\"breaker\":\"half_open\",\"opened\":3}");
    expect_text(
        &(struct health_record){5, "open", 6, 7, 8, "why"},
        "{\"failingSince\":5,\"breaker\":\"open\",\"probeAt\":6,\"opened\":7,\"openedAt\":8,"
        "\"reason\":\"why\"}");
}

/* What this version does not know, or cannot use, is passed over, and never half taken. */
static void test_read(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum status status;
        struct health_record record;
    } table[] = {
        {"{}", ST_OK, {0}},
        {"{\"failingSince\":17}", ST_OK, {.failing_since_ms = 17}},
        {" {\"x\":{\"failingSince\":1},\"opened\":2} ", ST_OK, {.opened = 2}},
        {"{\"failingSince\":-1,\"probeAt\":\"5\",\"opened\":4294967296}", ST_OK, {0}},
        {"{\"failingSince\":1e3,\"probeAt\":18446744073709551616}", ST_OK, {0}},
        {"{\"breaker\":\"elevenchars\"}", ST_OK, {.breaker = "elevenchars"}},
        {"{\"breaker\":\"twelve chars\"}", ST_OK, {0}},
        {"{\"breaker\":\"op\\u0065n\"}", ST_OK, {0}},
        {"{\"breaker\":5}", ST_OK, {0}},
        {"{\"breaker\":\"\"}", ST_OK, {0}},
        {"", ST_SYNTAX, {0}},
        {"x", ST_SYNTAX, {0}},
        {"[1]", ST_SYNTAX, {0}},
        {"{\"failingSince\":17", ST_SYNTAX, {0}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct health_record record;
        memset(&record, 0xff, sizeof(record));
        assert_int_equal(health_record_read(slice_str(table[i].json), &record), table[i].status);
        expect_equal(&record, &table[i].record);
    }
}

/* Whatever is written is read back. */
static void test_round(void **state)
{
    (void)state;
    static const char *const names[] = {"", "open", "half_open"};
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 2000; i++) {
        struct health_record record = {.opened = (uint32_t)rng_next(&rng)}, read;
        record.failing_since_ms = rng_next(&rng) >> (rng_next(&rng) % 64);
        record.probe_at_ms = rng_next(&rng) >> (rng_next(&rng) % 64);
        record.opened_at_ms = rng_next(&rng) >> (rng_next(&rng) % 64);
        strcpy(record.breaker, names[rng_next(&rng) % 3]);
        strcpy(record.reason, names[rng_next(&rng) % 3]);
        struct buf buf;
        buf_init(&buf, 1024);
        health_record_write(&buf, &record);
        assert_int_equal(health_record_read(buf_slice(&buf), &read), ST_OK);
        expect_equal(&read, &record);
        buf_free(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_since), cmocka_unit_test(test_breaker_is_left_alone),
        cmocka_unit_test(test_many_failures), cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_write),         cmocka_unit_test(test_read),
        cmocka_unit_test(test_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
