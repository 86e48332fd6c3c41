/* test_handover.c - what protects an endpoint goes on elsewhere: between processes whose clocks and
 * whose ideas of Redis's clock differ, every promise holds over both owners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/limits.h"
#include "base/rng.h"
#include "handover_world.h"
#include "wire/codec.h"

enum { SECOND_US = 1000000 };

static struct side a, b;

static int setup(void **state)
{
    (void)state;
    true_us = UINT64_C(1000) * SECOND_US;
    return side_init(&a, "00000000000000aa") && side_init(&b, "00000000000000bb") ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    side_free(&a);
    side_free(&b);
    return 0;
}

/* Endpoint 1 on both sides. */
struct both {
    struct endpoint *a, *b;
};

/* side_put() that ends the program when the endpoint could not be made. */
static struct endpoint *put(struct side *side, unsigned number, const char *rate_limit)
{
    struct endpoint *endpoint = side_put(side, (uint8_t)number, rate_limit);
    if (!endpoint)
        abort();
    return endpoint;
}

static struct both put_both(const char *rate_limit)
{
    return (struct both){put(&a, 1, rate_limit), put(&b, 1, rate_limit)};
}

/* ---- Handing over --------------------------------------------------------------------------- */

static void leave(struct side *side, uint32_t lane, struct buf *state)
{
    run(side);
    buf_init(state, LIMIT_HANDOVER_BYTES);
    assert_int_equal(handover_write(side->core, lane, state), ST_OK);
    handover_leave(side->core, lane);
}

static void take(struct side *side, uint32_t lane, struct buf *state)
{
    run(side);
    assert_int_equal(handover_apply(side->core, lane, buf_slice(state)), ST_OK);
    buf_free(state);
}

static void hand_over(struct side *from, struct side *to, uint32_t lane, uint64_t after_us)
{
    struct buf state;
    leave(from, lane, &state);
    true_us += after_us;
    take(to, lane, &state);
}

/* ---- Attempts ------------------------------------------------------------------------------- */

static bool may_go(struct side *side, struct endpoint *endpoint)
{
    run(side);
    bool may = gate_opens_us(side->core->gate, endpoint, clock_now_us()) <= clock_now_us();
    return may && gate_most(endpoint) > 0;
}

static void begin(struct side *side, struct endpoint *endpoint, struct gate_pass *pass)
{
    assert_true(may_go(side, endpoint));
    gate_pass(side->core->gate, endpoint, pass);
}

static void end(struct side *side, struct endpoint *endpoint, struct gate_pass *pass, bool good)
{
    run(side);
    gate_passed(side->core->gate, endpoint, pass,
                &(struct gate_end){.outcome = good ? GATE_GOOD : GATE_BAD,
                                   .answered = true,
                                   .troubled = !good,
                                   .duration_us = 20000});
}

static void attempt(struct side *side, struct endpoint *endpoint, bool good)
{
    struct gate_pass pass;
    begin(side, endpoint, &pass);
    end(side, endpoint, &pass, good);
}

static void open_breaker(struct side *side, struct endpoint *endpoint)
{
    for (int i = 0; i < 50; i++)
        attempt(side, endpoint, false);
    assert_int_equal(endpoint->gate.breaker.state, BREAKER_OPEN);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* An endpoint at rest is not named, and becomes one at rest: whatever the new owner knew of it. */
static void test_at_rest(void **state)
{
    (void)state;
    struct both both = put_both("{\"limit\":1,\"period\":\"1h\"}");
    open_breaker(&b, put(&b, 1, "null"));
    (void)put(&b, 1, "{\"limit\":1,\"period\":\"1h\"}");
    both.b->health.consecutive_failures = 9;
    both.b->health.kept.failing_since_ms = 5;
    both.b->told.backlog = true;
    assert_int_equal(b.core->stats.breakers_open, 1);
    struct buf bytes;
    leave(&a, both.a->lane, &bytes);
    assert_in_range(bytes.len, 1, 16);
    take(&b, both.b->lane, &bytes);
    assert_int_equal(both.b->gate.breaker.state, BREAKER_CLOSED);
    assert_int_equal(both.b->health.consecutive_failures, 0);
    assert_int_equal(both.b->health.kept.failing_since_ms, 0);
    assert_string_equal(both.b->health.kept.breaker, "");
    assert_false(both.b->told.breaker_open || both.b->told.backlog);
    assert_true(list_linked(&both.b->health.unsaved)); /* Redis is told */
    assert_int_equal(b.core->stats.breakers_open, 0);
    attempt(&b, both.b, true); /* the bucket is full */
    assert_false(may_go(&b, both.b));
}

enum { TAKES_MAX = 20000 };

/* Two owners in turn, each sending as fast as it may, whose clocks differ and whose estimates of
 * Redis's clock are off by up to half a second each way: no window over both has too many. */
static void test_rate_limit(void **state)
{
    (void)state;
    static uint64_t at_us[TAKES_MAX];
    struct rng rng;
    struct both both = put_both("{\"limit\":20,\"period\":\"1s\",\"burst\":5}");
    rng_seed(&rng, 1);
    for (int round = 0; round < 100; round++) {
        size_t count = 0;
        bool with_a = true;
        run(&a);
        handover_leave(a.core, both.a->lane);
        true_us += 3600 * (uint64_t)SECOND_US + rng_below(&rng, SECOND_US);
        uint64_t error_ms = rng_below(&rng, 2) ? 500 : 2;
        for (int i = 0; i < 400; i++) {
            struct side *side = with_a ? &a : &b, *other = with_a ? &b : &a;
            struct endpoint *endpoint = with_a ? both.a : both.b;
            true_us += rng_below(&rng, rng_below(&rng, 10) == 0 ? 300000 : 20000);
            for (int k = 0; k < 6 && may_go(side, endpoint); k++) {
                struct gate_pass pass;
                gate_pass(side->core->gate, endpoint, &pass);
                end(side, endpoint, &pass, true);
                at_us[count++] = true_us;
            }
            if (rng_below(&rng, 15) > 0)
                continue;
            other->ahead_us = 1000000 + rng_below(&rng, 3600 * (uint64_t)SECOND_US);
            for (int k = 0; k < 2; k++) {
                struct side *one = k ? side : other;
                one->slow_ms = rng_below(&rng, error_ms);
                one->early_ms = rng_below(&rng, error_ms);
            }
            hand_over(side, other, both.a->lane, rng_below(&rng, 20000));
            with_a = !with_a;
        }
        if (!with_a)
            hand_over(&b, &a, both.a->lane, 0);
        assert_true(count > 50);
        for (size_t first = 0, last = 0; last < count; last++) {
            while (at_us[last] - at_us[first] > SECOND_US)
                first++;
            assert_in_range(last - first + 1, 1, 20 + 5);
        }
    }
}

/* With estimates as good as they can be nothing of the rate is lost but four milliseconds. */
static void test_rate_goes_on(void **state)
{
    (void)state;
    struct both both = put_both("{\"limit\":10,\"period\":\"1s\",\"burst\":1}");
    attempt(&a, both.a, true);
    uint64_t sent_us = true_us;
    true_us += 30000;
    hand_over(&a, &b, both.a->lane, 20000);
    assert_false(may_go(&b, both.b));
    true_us = sent_us + 99999;
    assert_false(may_go(&b, both.b));
    true_us = sent_us + 104000;
    assert_true(may_go(&b, both.b));
}

/* An open breaker stays open until its probe is due, and the probe's success closes it; the counts
 * of open breakers, what Redis keeps and what was told of it go with it. */
static void test_open_breaker(void **state)
{
    (void)state;
    struct both both = put_both("null");
    open_breaker(&a, both.a);
    uint64_t wait_us = both.a->gate.breaker.probe_at_ms * 1000 - clock_now_us();
    struct health_record kept = both.a->health.kept;
    b.ahead_us = 77 * (uint64_t)SECOND_US;
    hand_over(&a, &b, both.a->lane, 500000);
    assert_int_equal(a.core->stats.breakers_open, 0);
    assert_int_equal(b.core->stats.breakers_open, 1);
    assert_string_equal(both.a->health.kept.breaker, "");
    assert_string_equal(both.b->health.kept.breaker, "open");
    assert_string_equal(both.b->health.kept.reason, kept.reason);
    assert_int_equal(both.b->health.kept.opened, 1);
    assert_in_range(both.b->health.kept.probe_at_ms, kept.probe_at_ms, kept.probe_at_ms + 5);
    assert_true(both.b->told.breaker_open && list_linked(&both.b->health.unsaved));
    assert_true(both.b->backlog); /* what waits is looked for when it closes */
    true_us += wait_us - 500000 - 1000;
    assert_false(may_go(&b, both.b));
    true_us += 6000;
    attempt(&b, both.b, true);
    assert_int_equal(both.b->gate.breaker.state, BREAKER_CLOSED);
    assert_int_equal(b.core->stats.breakers_open, 0);
}

/* A probe is under way when the lane goes: the new owner sends one probe; what comes of the first
 * one changes nothing at the old owner, in no count and in nothing that Redis is told. */
static void test_probe_under_way(void **state)
{
    (void)state;
    static const bool ends[] = {true, false};
    struct both both = put_both("null");
    for (size_t i = 0; i < 2; i++) {
        struct gate_pass first, second;
        open_breaker(&a, both.a);
        true_us += 10 * SECOND_US;
        begin(&a, both.a, &first);
        assert_int_equal(a.core->stats.breakers_half_open, 1);
        hand_over(&a, &b, both.a->lane, 1000);
        assert_int_equal(a.core->stats.breakers_half_open, 0);
        assert_int_equal(b.core->stats.breakers_open, 1);
        begin(&b, both.b, &second);
        assert_false(may_go(&b, both.b));
        end(&a, both.a, &first, ends[i]);
        assert_int_equal(both.a->gate.breaker.state, BREAKER_CLOSED);
        assert_string_equal(both.a->health.kept.breaker, "");
        assert_int_equal(a.core->stats.breakers_open, 0);
        end(&b, both.b, &second, true);
        assert_int_equal(both.b->gate.breaker.state, BREAKER_CLOSED);
        hand_over(&b, &a, both.a->lane, 0);
    }
}

/* A closed breaker keeps its failures in a row, an endpoint what was learnt of it and since when it
 * has been failing. */
static void test_failures_and_allowance(void **state)
{
    (void)state;
    struct both both = put_both("null");
    for (int i = 0; i < 49; i++)
        attempt(&a, both.a, false);
    both.a->gate.allowance.limit = 31.5F;
    both.a->gate.allowance.usual_us = 70000;
    both.a->health.kept.failing_since_ms = 1760000000123;
    both.a->health.consecutive_failures = 49;
    both.a->told.backlog = true;
    hand_over(&a, &b, both.a->lane, 3000);
    assert_int_equal(allowance_limit(&both.b->gate.allowance), 31);
    assert_true(both.b->gate.allowance.usual_us == 70000);
    assert_int_equal(both.b->health.kept.failing_since_ms, 1760000000123);
    assert_int_equal(both.b->health.consecutive_failures, 49);
    assert_true(both.b->told.backlog);
    assert_true(list_linked(&both.b->health.unsaved));
    attempt(&b, both.b, false);
    assert_int_equal(both.b->gate.breaker.state, BREAKER_OPEN);
    assert_int_equal(both.a->health.consecutive_failures, 0);
}

/* Each endpoint of the lane gets its own, those that were at rest stay so, and one that this
 * process does not know (yet) is passed over; other lanes are not touched. */
static void test_several(void **state)
{
    (void)state;
    enum { COUNT = 255 };
    static struct endpoint *at_a[COUNT], *at_b[COUNT];
    uint32_t lane = 0;
    size_t in_lane = 0, named = 0;
    for (size_t i = 0; i < COUNT; i++)
        at_a[i] = put(&a, i, "null");
    for (uint32_t i = 0; i < LANES && in_lane < 4; i++) { /* the first one with several */
        const struct endpoint *endpoint = NULL;
        for (in_lane = 0, lane = i; (endpoint = registry_next_in_lane(a.registry, i, endpoint));)
            in_lane++;
    }
    assert_true(in_lane >= 4);
    for (size_t i = 0; i < COUNT; i++) {
        bool unknown = at_a[i]->lane == lane && named == 1;
        at_b[i] = unknown ? NULL : put(&b, i, "null");
        if (at_b[i])
            at_b[i]->health.consecutive_failures = 1000;
        if (at_a[i]->lane != lane || named++ != 2) /* the third is at rest */
            at_a[i]->health.consecutive_failures = (uint32_t)i + 1;
    }
    hand_over(&a, &b, lane, 0);
    for (size_t i = 0, nth = 0; i < COUNT; i++) {
        if (at_a[i]->lane == lane && nth++ == 1)
            continue;
        uint32_t want = at_a[i]->lane != lane ? 1000 : nth == 3 ? 0 : (uint32_t)i + 1;
        assert_int_equal(at_b[i]->health.consecutive_failures, want);
        bool left = at_a[i]->lane == lane;
        assert_int_equal(at_a[i]->health.consecutive_failures, left ? 0 : i + 1);
    }
}

/* Without a state the bucket is empty and the breaker as Redis has it; what the process knew of the
 * endpoint from when it had it before is forgotten. */
static void test_absent(void **state)
{
    (void)state;
    struct both both = put_both("{\"limit\":10,\"period\":\"1s\",\"burst\":3}");
    open_breaker(&b, put(&b, 1, "null"));
    (void)put(&b, 1, "{\"limit\":10,\"period\":\"1s\",\"burst\":3}");
    both.b->health.kept = (struct health_record){.failing_since_ms = 7};
    run(&b);
    handover_absent(b.core, both.b->lane);
    assert_int_equal(both.b->gate.breaker.state, BREAKER_CLOSED);
    assert_int_equal(b.core->stats.breakers_open, 0);
    assert_false(both.b->told.breaker_open);
    assert_int_equal(both.b->health.kept.failing_since_ms, 7);
    assert_false(may_go(&b, both.b));
    true_us += 100000;
    attempt(&b, both.b, true);
    assert_false(may_go(&b, both.b));

    both.b->health.kept = (struct health_record){.breaker = "open",
                                                 .reason = "failure_ratio",
                                                 .opened = 2,
                                                 .opened_at_ms = store_redis_ms(b.store) - 9000,
                                                 .probe_at_ms = store_redis_ms(b.store) + 4000};
    struct health_record kept = both.b->health.kept;
    handover_absent(b.core, both.b->lane);
    assert_int_equal(b.core->stats.breakers_open, 1);
    assert_true(both.b->told.breaker_open);
    assert_true(health_record_same(&kept, &both.b->health.kept)); /* and nothing is written */
    true_us += 3999000;
    assert_false(may_go(&b, both.b));
    true_us += 3000;
    assert_true(may_go(&b, both.b));
}

/* An owner that keeps the lane after all goes on with what it wrote. */
static void test_own_state(void **state)
{
    (void)state;
    struct both both = put_both("{\"limit\":10,\"period\":\"1s\",\"burst\":1}");
    attempt(&a, both.a, true);
    hand_over(&a, &a, both.a->lane, 0);
    assert_false(may_go(&a, both.a));
    true_us += 104000;
    assert_true(may_go(&a, both.a));
}

/* A configuration that has another limit at the new owner: nothing is waited for that it allows. */
static void test_other_limit_there(void **state)
{
    (void)state;
    struct both both = put_both("{\"limit\":1,\"period\":\"24h\"}");
    attempt(&a, both.a, true);
    (void)put(&b, 1, "{\"limit\":10,\"period\":\"1s\",\"burst\":2}");
    hand_over(&a, &b, both.a->lane, 1000);
    true_us += 100000;
    attempt(&b, both.b, true);
}

/* ---- Bytes ---------------------------------------------------------------------------------- */

/* A state in which every member is there, and the endpoint's own as it is before. */
static struct buf full_state(struct both *both)
{
    *both = put_both("{\"limit\":10,\"period\":\"1s\",\"burst\":3}");
    struct endpoint *endpoint = both->a;
    endpoint->health.kept.failing_since_ms = 1760000000123;
    endpoint->gate.allowance.limit = 30;
    attempt(&a, endpoint, false);
    struct buf bytes;
    leave(&a, endpoint->lane, &bytes);
    return bytes;
}

static void expect_untouched(const struct both *both)
{
    assert_int_equal(both->b->health.kept.failing_since_ms, 5);
    assert_int_equal(allowance_limit(&both->b->gate.allowance), ALLOWANCE_INITIAL);
    assert_false(list_linked(&both->b->health.unsaved));
}

/* Bytes that end too early, go on too long or are of another version change nothing at all. */
static void test_damaged(void **state)
{
    (void)state;
    struct both both;
    struct buf bytes = full_state(&both);
    run(&b);
    both.b->health.kept.failing_since_ms = 5;
    for (size_t len = 0; len < bytes.len; len++) {
        char *copy = malloc(len + 1); /* its end is the end of what may be read */
        assert_non_null(copy);
        memcpy(copy, bytes.ptr, len);
        assert_int_equal(handover_apply(b.core, both.b->lane, slice_of(copy, len)), ST_SYNTAX);
        free(copy);
    }
    buf_add_char(&bytes, '\0');
    assert_int_equal(handover_apply(b.core, both.b->lane, buf_slice(&bytes)), ST_SYNTAX);
    bytes.len--;
    bytes.ptr[1] = 2; /* the version */
    assert_int_equal(handover_apply(b.core, both.b->lane, buf_slice(&bytes)), ST_SYNTAX);
    bytes.ptr[1] = 1;
    expect_untouched(&both);
    take(&b, both.b->lane, &bytes);
    assert_int_equal(allowance_limit(&both.b->gate.allowance), 30);
}

/* Numbers out of their range, and lists that promise more than there is. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
#define ROW(text) {text, sizeof(text) - 1}
        ROW("\x93\x01\x00\xdd\xff\xff\xff\xff"), /* four thousand million endpoints */
        ROW("\x93\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x90"), /* a time beyond all years */
        ROW("\x92\x01\x00"),
        ROW("\x93\x01\x00\xc0"),
        ROW("\xc0"),
        ROW("x"),
#define ID                                                                                         \
    "\xc4\x14"                                                                                     \
    "12345678901234567890"
        ROW("\x93\x01\x00\x91\x95" ID
            "\x93\x00\x00\xc2\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xc0\xc0"),
        ROW("\x93\x01\x00\x91\x95" ID
            "\x93\x00\x00\xc2\x00\x95\xc3\x00\x01\x00\x00\xc0"), /* reason 0 */
        ROW("\x93\x01\x00\x91\x95" ID "\x93\x00\x00\xc2\x00\x95\xc3\x04\x01\x00\x00\xc0"), /* … 4 */
        ROW("\x93\x01\x00\x91\x95" ID
            "\x93\x00\x00\xc2\x00\x95\xc3\x01\x00\x00\x00\xc0"), /* opened 0 */
        ROW("\x93\x01\x00\x91\x95" ID "\x93\x00\x00\xc2\x00\x94\xc3\x01\x01\x00\xc0"),
        ROW("\x93\x01\x00\x91\x95" ID
            "\x93\x00\x00\xc2\x00\x94\xc2\x00\x01\x90\xc0"), /* no window */
        ROW("\x93\x01\x00\x91\x95" ID
            "\x93\x00\x00\xc2\x00\x94\xc2\x00\x01\xdc\x00\x14" /* 1 of 0 */
            "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc0"),
        ROW("\x93\x01\x00\x91\x95\xc4\x01x\x93\x00\x00\xc2\x00\xc0\xc0\x00\x00\x00\x00\x00"),
        ROW("\x93\x01\x00\x91\x95" ID
            "\x93\x00\x00\xc2\x00\xc0\x94\x01\x01\x01\xc2"), /* no doubles */
    };
    struct both both = put_both("null");
    both.b->health.kept.failing_since_ms = 5;
    run(&b);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum status got =
            handover_apply(b.core, both.b->lane, slice_of(cases[i].bytes, cases[i].len));
        if (got != ST_SYNTAX)
            fail_msg("case %zu: %s", i, status_name(got));
    }
    expect_untouched(&both);
    /* The same as most of these, and right. */
    static const char right[] = "\x93\x01\x00\x91\x95" ID "\x93\x00\x00\xc2\x00\xc0\xc0";
    assert_int_equal(handover_apply(b.core, both.b->lane, slice_of(right, sizeof(right) - 1)),
                     ST_OK);
}

/* Lists may be longer than we know: a later program wrote them. */
static void test_longer_lists(void **state)
{
    (void)state;
    struct both both = put_both("null");
    struct buf bytes;
    buf_init(&bytes, 1000);
    mp_write_array(&bytes, 4);
    mp_write_u64(&bytes, 1);
    mp_write_u64(&bytes, 1760000000000);
    mp_write_array(&bytes, 1);
    mp_write_array(&bytes, 6);
    mp_write_bin(&bytes, slice_of(both.b->id.bytes, sizeof(both.b->id.bytes)));
    mp_write_array(&bytes, 4);
    mp_write_u64(&bytes, 9);
    mp_write_u64(&bytes, 8);
    mp_write_bool(&bytes, true);
    mp_write_str(&bytes, SLICE("new"));
    mp_write_u64(&bytes, 0);
    mp_write_array(&bytes, 6);
    mp_write_bool(&bytes, true);
    mp_write_u64(&bytes, BREAKER_FAILURE_RATIO);
    mp_write_u64(&bytes, 7);
    mp_write_u64(&bytes, 1760000000000);
    mp_write_u64(&bytes, 1760000001000);
    mp_write_nil(&bytes);
    mp_write_array(&bytes, 5);
    mp_write_double(&bytes, 17);
    mp_write_double(&bytes, 20);
    mp_write_double(&bytes, 0);
    mp_write_bool(&bytes, false);
    mp_write_map(&bytes, 0);
    mp_write_nil(&bytes);
    mp_write_str(&bytes, SLICE("new"));
    take(&b, both.b->lane, &bytes);
    assert_int_equal(both.b->health.kept.failing_since_ms, 9);
    assert_int_equal(both.b->gate.breaker.opened, 7);
    assert_int_equal(allowance_limit(&both.b->gate.allowance), 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rate_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rate_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_breaker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_and_allowance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_limit_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_longer_lists, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
