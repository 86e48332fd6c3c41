/* test_outcome.c - what became of a delivery, in its three forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/rng.h"
#include "core/outcome.h"
#include "record_mutate.h"
#include "wire/codec.h"

enum { STATE_MEMBERS = 12, ATTEMPT_MEMBERS = 10 };

static const struct delivery_state full_state = {
    .ordinal = 70000,
    .attempts = 5,
    .replayed_at = 3,
    .dead = true,
    .status_code = 503,
    .error = SLICE("http_status"),
    .last_at_ms = 1700000000123,
    .accepted_at_ms = 1699999999999,
    .log = SLICE("\x96\0log"),
    .order = SLICE("0123456789abcde\0"),
    .group = SLICE("\0group"),
};

static const struct attempt_record full_attempt = {
    .id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0}},
    .event_id = {{0xff, 0, 0xfe, 0xc0, 0xc1}},
    .number = 2,
    .success = false,
    .status_code = 404,
    .duration_ms = 1234,
    .at_ms = 1700000000123,
    .error = SLICE("http_status"),
    .body = SLICE("not\0found \xff"),
};

static struct buf buf;

static int setup(void **state)
{
    (void)state;
    buf_init(&buf, 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&buf);
    return 0;
}

/* ---- Final outcome --------------------------------------------------------------------------- */

/* The bytes are in Redis: their places never change. */
static void test_outcome_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[OUTCOME_BYTES] = {1,    7,    0x01, 0xf4, 0x01, 0x86,
                                                    0xa0, 0x65, 0x53, 0xf1, 0x00, 0xf9};
    struct outcome outcome = {.status = OUTCOME_SENT,
                              .attempts = 7,
                              .status_code = 500,
                              .duration_ms = 100000,
                              .at_ms = 1700000000999};
    uint8_t bytes[OUTCOME_BYTES];
    outcome_write(bytes, &outcome);
    assert_memory_equal(bytes, expected, sizeof(bytes));
    struct outcome read = outcome_read(bytes);
    assert_true(read.status == OUTCOME_SENT && read.attempts == 7 && read.status_code == 500);
    assert_true(read.duration_ms == 100000 && read.at_ms == 1700000000996);
}

/* Whatever is written is read, at the ends of each range too; the time in units of 4 ms, a duration
 * beyond four hours as that. */
static void test_outcome_round_trip(void **state)
{
    (void)state;
    static const uint64_t times_ms[] = {0, 999, 1000, 1700000000123, UINT32_MAX * UINT64_C(1000)};
    for (int status = OUTCOME_NONE; status <= OUTCOME_DUPLICATE; status++) {
        for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++) {
            struct outcome outcome = {.status = (enum outcome_status)status,
                                      .attempts = i % 2 ? 255 : 0,
                                      .status_code = i % 2 ? 0 : UINT16_MAX,
                                      .duration_ms = i % 3 ? i % 2 ? 0xffffff : UINT32_MAX : 0,
                                      .at_ms = times_ms[i]};
            uint8_t bytes[OUTCOME_BYTES];
            outcome_write(bytes, &outcome);
            struct outcome read = outcome_read(bytes);
            assert_int_equal(read.status, outcome.status);
            assert_int_equal(read.attempts, outcome.attempts);
            assert_int_equal(read.status_code, outcome.status_code);
            assert_true(read.duration_ms == (i % 3 ? 0xffffffu : 0));
            assert_true(read.at_ms == times_ms[i] / 4 * 4);
        }
    }
}

/* Redis pads a string with zero bytes: those are no outcome. Nor is a status of the future. */
static void test_outcome_none(void **state)
{
    (void)state;
    uint8_t bytes[OUTCOME_BYTES] = {0};
    assert_int_equal(outcome_read(bytes).status, OUTCOME_NONE);
    for (int status = OUTCOME_DUPLICATE + 1; status < 256; status++) {
        bytes[0] = (uint8_t)status;
        assert_int_equal(outcome_read(bytes).status, OUTCOME_NONE);
    }
}

/* ---- State ----------------------------------------------------------------------------------- */

static void state_round_trip(const struct delivery_state *state)
{
    struct delivery_state read;
    buf_clear(&buf);
    delivery_state_write(&buf, state);
    assert_int_equal(buf_status(&buf), ST_OK);
    assert_int_equal(delivery_state_read(buf_slice(&buf), &read), ST_OK);
    assert_true(read.ordinal == state->ordinal && read.attempts == state->attempts);
    assert_true(read.replayed_at == state->replayed_at && read.dead == state->dead);
    assert_int_equal(read.status_code, state->status_code);
    assert_true(slice_eq(read.error, state->error));
    assert_true(read.last_at_ms == state->last_at_ms);
    assert_true(read.accepted_at_ms == state->accepted_at_ms);
    assert_true(slice_eq(read.log, state->log));
    assert_true(slice_eq(read.order, state->order) && slice_eq(read.group, state->group));
}

static void test_state_round_trip(void **state)
{
    (void)state;
    struct delivery_state most = {.ordinal = UINT32_MAX,
                                  .attempts = UINT32_MAX,
                                  .replayed_at = UINT32_MAX,
                                  .dead = true,
                                  .status_code = UINT16_MAX,
                                  .error = SLICE("a\0\xff"),
                                  .last_at_ms = UINT64_MAX,
                                  .accepted_at_ms = UINT64_MAX};
    state_round_trip(&full_state);
    state_round_trip(&most);
    state_round_trip(&(struct delivery_state){.ordinal = 0});
    state_round_trip(&(struct delivery_state){.order = SLICE("0123456789abcdef")});
    state_round_trip(&(struct delivery_state){.group = SLICE("g")});
}

/* One that is in no queue is what it was before there were any, to the byte. */
static void test_state_without_order(void **state)
{
    (void)state;
    struct delivery_state plain = full_state, in_order = full_state;
    plain.order = plain.group = in_order.group = SLICE("");
    state_round_trip(&plain);
    assert_int_equal((unsigned char)buf.ptr[0], 0x9a); /* ten members */
    struct slice without = buf_slice(&buf);
    struct buf ordered;
    buf_init(&ordered, 1000);
    delivery_state_write(&ordered, &in_order);
    assert_int_equal(ordered.len, without.len + 2 + full_state.order.len);
    assert_memory_equal(ordered.ptr + 1, without.ptr + 1, without.len - 1);
    buf_free(&ordered);
}

/* A queue's hash has 16 bytes; an empty one is none. */
static void test_state_with_a_wrong_order(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 32; len++) {
        static const char bytes[32];
        struct delivery_state read, wrong = full_state;
        wrong.order = wrong.group = SLICE("");
        buf_clear(&buf);
        delivery_state_write(&buf, &wrong);
        buf.ptr[0] = (char)0x9b;
        mp_write_bin(&buf, slice_of(bytes, len));
        enum status status = delivery_state_read(buf_slice(&buf), &read);
        assert_int_equal(status, len == 0 || len == 16 ? ST_OK : ST_SYNTAX);
    }
}

/* ---- Attempts -------------------------------------------------------------------------------- */

static void attempt_round_trip(const struct attempt_record *record)
{
    struct attempt_record read;
    buf_clear(&buf);
    attempt_record_write(&buf, record);
    assert_int_equal(buf_status(&buf), ST_OK);
    assert_int_equal(attempt_record_read(buf_slice(&buf), &read), ST_OK);
    assert_true(id_eq(&read.id, &record->id) && id_eq(&read.event_id, &record->event_id));
    assert_true(read.number == record->number && read.success == record->success);
    assert_int_equal(read.status_code, record->status_code);
    assert_true(read.duration_ms == record->duration_ms && read.at_ms == record->at_ms);
    assert_true(slice_eq(read.error, record->error) && slice_eq(read.body, record->body));
}

static void test_attempt_round_trip(void **state)
{
    (void)state;
    static char body[70000];
    struct attempt_record most = {.number = UINT32_MAX,
                                  .success = true,
                                  .status_code = UINT16_MAX,
                                  .duration_ms = UINT32_MAX,
                                  .at_ms = UINT64_MAX,
                                  .body = slice_of(body, sizeof(body))};
    memset(most.id.bytes, 0xff, sizeof(most.id.bytes));
    attempt_round_trip(&full_attempt);
    attempt_round_trip(&most);
    attempt_round_trip(&(struct attempt_record){.number = 0});
}

/* ---- Records that are not ours, or not ours any more ---------------------------------------- */

/* What both readers say of the bytes in `buf`. */
static enum status read_state(void)
{
    struct delivery_state read;
    return delivery_state_read(buf_slice(&buf), &read);
}

static enum status read_attempt(void)
{
    struct attempt_record read;
    return attempt_record_read(buf_slice(&buf), &read);
}

/* The full state, or attempt, with another head and `extra` values behind. */
static void write_future(bool attempt, uint64_t format, uint32_t members, int extra)
{
    struct buf known;
    buf_init(&known, 10000);
    buf_clear(&buf);
    if (attempt)
        attempt_record_write(&known, &full_attempt);
    else
        delivery_state_write(&known, &full_state);
    mp_write_array(&buf, members);
    mp_write_u64(&buf, format);
    buf_add(&buf, known.ptr + 2, known.len - 2);
    for (int i = 0; i < extra; i++) {
        mp_write_map(&buf, 1);
        mp_write_str(&buf, SLICE("k"));
        mp_write_nil(&buf);
    }
    buf_free(&known);
}

/* Members are added at the end: a newer writer's are read, an older one's, or another format, not;
 * except that a state had no log once, has an order only in a queue, and a group only in one. */
static void test_formats(void **state)
{
    (void)state;
    static const struct {
        uint64_t format;
        int more; /* members than ours */
        int extra;
        enum status status;
    } table[] = {
        {1, 0, 0, ST_OK},      {1, 1, 1, ST_OK},      {1, 3, 3, ST_OK},
        {0, 0, 0, ST_SYNTAX},  {2, 0, 0, ST_SYNTAX},  {UINT64_MAX, 0, 0, ST_SYNTAX},
        {1, -1, 0, ST_SYNTAX}, {1, -2, 0, ST_SYNTAX}, {1, -3, 0, ST_SYNTAX},
        {1, -4, 0, ST_SYNTAX}, {2, 1, 1, ST_SYNTAX},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        write_future(false, table[i].format, (uint32_t)(STATE_MEMBERS + table[i].more),
                     table[i].extra);
        bool older = table[i].format == 1 && table[i].more < 0 && table[i].more >= -3;
        assert_int_equal(read_state(), older ? ST_OK : table[i].status);
        write_future(true, table[i].format, (uint32_t)(ATTEMPT_MEMBERS + table[i].more),
                     table[i].extra);
        assert_int_equal(read_attempt(), table[i].status);
    }
}

/* Members that are not what they should be. */
static void write_numbers(bool attempt, size_t wrong_place, uint64_t wrong)
{
    buf_clear(&buf);
    mp_write_array(&buf, attempt ? ATTEMPT_MEMBERS : STATE_MEMBERS);
    for (size_t i = 0; i < (attempt ? ATTEMPT_MEMBERS : STATE_MEMBERS); i++) {
        bool is_bool = i == 4, is_text = attempt ? i == 8 : i == 6;
        bool is_bin = i >= 9 || (attempt && (i == 1 || i == 2)), is_order = !attempt && i == 10;
        if (i == wrong_place)
            mp_write_u64(&buf, wrong);
        else if (is_bool)
            mp_write_bool(&buf, true);
        else if (is_text)
            mp_write_str(&buf, SLICE("e"));
        else if (is_order)
            mp_write_bin(&buf, slice_of("0123456789abcdef", 16));
        else if (is_bin)
            mp_write_bin(&buf, slice_of("01234567890123456789", 20));
        else
            mp_write_u64(&buf, 1);
    }
}

/* A number that does not fit its member is an error and not a smaller number. */
static void test_numbers_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        bool attempt;
        size_t place;
        uint64_t most;
    } table[] = {
        {false, 1, UINT32_MAX}, {false, 2, UINT32_MAX}, {false, 3, UINT32_MAX},
        {false, 5, UINT16_MAX}, {true, 3, UINT32_MAX},  {true, 5, UINT16_MAX},
        {true, 6, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        enum status (*read)(void) = table[i].attempt ? read_attempt : read_state;
        write_numbers(table[i].attempt, table[i].place, table[i].most);
        assert_int_equal(read(), ST_OK);
        write_numbers(table[i].attempt, table[i].place, table[i].most + 1);
        assert_int_equal(read(), ST_RANGE);
        write_numbers(table[i].attempt, table[i].place, UINT64_MAX);
        assert_int_equal(read(), ST_RANGE);
    }
    static const size_t others[] = {4, 6, 9, 10};
    for (size_t i = 0; i < 4; i++) {
        write_numbers(false, others[i], 0);
        assert_int_equal(read_state(), ST_SYNTAX);
    }
    static const size_t attempt_others[] = {1, 2, 4, 8, 9};
    for (size_t i = 0; i < 5; i++) {
        write_numbers(true, attempt_others[i], 0);
        assert_int_equal(read_attempt(), ST_SYNTAX);
    }
}

/* An id has twenty bytes. */
static void test_wrong_ids(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 40; len++) {
        static const char bytes[40];
        buf_clear(&buf);
        mp_write_array(&buf, ATTEMPT_MEMBERS);
        mp_write_u64(&buf, 1);
        mp_write_bin(&buf, slice_of(bytes, 20));
        mp_write_bin(&buf, slice_of(bytes, len));
        mp_write_u64(&buf, 1);
        mp_write_bool(&buf, true);
        for (int i = 0; i < 3; i++)
            mp_write_u64(&buf, 1);
        mp_write_str(&buf, SLICE(""));
        mp_write_bin(&buf, SLICE(""));
        assert_int_equal(read_attempt(), len == 20 ? ST_OK : ST_SYNTAX);
    }
}

static void expect_inside(struct slice part, struct slice whole)
{
    assert_true(part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void read_damaged(struct slice bytes)
{
    struct delivery_state state;
    struct attempt_record record;
    if (delivery_state_read(bytes, &state) == ST_OK) {
        expect_inside(state.error, bytes);
        if (state.log.len > 0)
            expect_inside(state.log, bytes);
        if (state.order.len > 0)
            expect_inside(state.order, bytes);
    }
    if (attempt_record_read(bytes, &record) == ST_OK) {
        expect_inside(record.error, bytes);
        expect_inside(record.body, bytes);
    }
}

static void read_truncated(struct slice bytes)
{
    struct delivery_state state;
    struct attempt_record record;
    assert_int_equal(delivery_state_read(bytes, &state), ST_SYNTAX);
    assert_int_equal(attempt_record_read(bytes, &record), ST_SYNTAX);
}

/* Cut anywhere, each is an error for both readers; damaged anywhere they stay within the bytes. */
static void test_damaged(void **state)
{
    (void)state;
    for (int attempt = 0; attempt < 2; attempt++) {
        buf_clear(&buf);
        if (attempt)
            attempt_record_write(&buf, &full_attempt);
        else
            delivery_state_write(&buf, &full_state);
        assert_int_equal(attempt ? read_state() : read_attempt(), ST_SYNTAX);
        mutate_truncate(buf_slice(&buf), read_truncated);
        mutate_every_byte(buf_slice(&buf), read_damaged);
        mutate_randomly(buf_slice(&buf), 3, 20000, read_damaged);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_outcome_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outcome_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outcome_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_without_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_with_a_wrong_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attempt_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_that_do_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
