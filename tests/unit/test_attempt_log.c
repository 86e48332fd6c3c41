/* test_attempt_log.c - the last attempts of one delivery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/limits.h"
#include "core/attempt_log.h"
#include "record_mutate.h"

static struct attempt_record numbered(uint32_t number)
{
    return (struct attempt_record){.number = number,
                                   .success = number % 5 == 0,
                                   .status_code = (uint16_t)(number % 5 ? 500 + number : 200),
                                   .duration_ms = 100 * number,
                                   .at_ms = 1700000000123 + number,
                                   .error = number % 5 ? SLICE("http_status") : SLICE(""),
                                   .body = SLICE("no\0 \xff")};
}

static void expect_same(const struct attempt_record *a, const struct attempt_record *b)
{
    assert_true(a->number == b->number && a->success == b->success);
    assert_true(a->status_code == b->status_code && a->duration_ms == b->duration_ms);
    assert_true(a->at_ms == b->at_ms);
    assert_true(slice_eq(a->error, b->error) && slice_eq(a->body, b->body));
}

/* However many there were, the newest are in it, oldest first, and they are as they were written.
 */
static void test_the_newest_are_kept(void **state)
{
    (void)state;
    struct buf logs[2];
    buf_init(&logs[0], LIMIT_EVENT_LOG_BYTES);
    buf_init(&logs[1], LIMIT_EVENT_LOG_BYTES);
    for (uint32_t made = 1; made <= 3 * LIMIT_EVENT_ATTEMPTS; made++) {
        struct buf *old = &logs[made % 2], *new = &logs[(made + 1) % 2];
        struct attempt_record record = numbered(made), read;
        struct mp_reader reader;
        buf_clear(new);
        attempt_log_add(new, buf_slice(old), &record);
        assert_int_equal(buf_status(new), ST_OK);
        mp_reader_init(&reader, buf_slice(new));
        uint32_t first = made > LIMIT_EVENT_ATTEMPTS ? made - LIMIT_EVENT_ATTEMPTS + 1 : 1;
        for (uint32_t number = first; number <= made; number++) {
            record = numbered(number);
            assert_true(attempt_log_next(&reader, &read));
            expect_same(&read, &record);
        }
        assert_false(attempt_log_next(&reader, &read));
        assert_true(mp_at_end(&reader));
    }
    buf_free(&logs[0]);
    buf_free(&logs[1]);
}

/* The longest log there can be fits where it is kept. */
static void test_the_longest_fits(void **state)
{
    (void)state;
    static char body[LIMIT_ATTEMPT_BODY_BYTES];
    struct buf logs[2];
    struct attempt_record record = {.number = UINT32_MAX,
                                    .status_code = UINT16_MAX,
                                    .duration_ms = UINT32_MAX,
                                    .at_ms = UINT64_MAX,
                                    .error = SLICE("response_too_large"),
                                    .body = slice_of(body, sizeof(body))};
    buf_init(&logs[0], LIMIT_EVENT_LOG_BYTES);
    buf_init(&logs[1], LIMIT_EVENT_LOG_BYTES);
    for (int i = 0; i < 2 * LIMIT_EVENT_ATTEMPTS; i++) {
        buf_clear(&logs[i % 2]);
        attempt_log_add(&logs[i % 2], buf_slice(&logs[(i + 1) % 2]), &record);
        assert_int_equal(buf_status(&logs[i % 2]), ST_OK);
    }
    struct attempt_record read;
    struct mp_reader reader;
    mp_reader_init(&reader, buf_slice(&logs[0]));
    assert_true(attempt_log_next(&reader, &read));
    assert_int_equal(read.body.len, LIMIT_EVENT_ATTEMPT_BODY_BYTES);
    buf_free(&logs[0]);
    buf_free(&logs[1]);
}

static void read_all(struct slice bytes)
{
    struct attempt_record read;
    struct mp_reader reader;
    mp_reader_init(&reader, bytes);
    while (attempt_log_next(&reader, &read)) {
        assert_true(read.error.len <= bytes.len && read.body.len <= bytes.len);
        if (read.body.len > 0)
            assert_true(read.body.ptr >= bytes.ptr &&
                        read.body.ptr + read.body.len <= bytes.ptr + bytes.len);
    }
}

/* A log that is damaged is read as far as it goes, and the next attempt begins a new one. */
static void test_damaged(void **state)
{
    (void)state;
    struct buf log, next;
    struct attempt_record record = numbered(1), read;
    struct mp_reader reader;
    buf_init(&log, LIMIT_EVENT_LOG_BYTES);
    buf_init(&next, LIMIT_EVENT_LOG_BYTES);
    attempt_log_add(&log, SLICE(""), &record);
    attempt_log_add(&next, slice_of(log.ptr, log.len - 1), &record);
    assert_true(slice_eq(buf_slice(&next), buf_slice(&log)));
    mp_reader_init(&reader, slice_of(log.ptr, log.len - 1));
    assert_false(attempt_log_next(&reader, &read));
    buf_clear(&next);
    mp_write_array(&next, 5); /* a member is missing; what follows is another attempt's */
    buf_add(&next, log.ptr + 1, log.len - 1);
    mp_reader_init(&reader, buf_slice(&next));
    assert_false(attempt_log_next(&reader, &read));
    assert_false(mp_at_end(&reader));
    mutate_truncate(buf_slice(&log), read_all);
    mutate_every_byte(buf_slice(&log), read_all);
    mutate_randomly(buf_slice(&log), 3, 20000, read_all);
    buf_free(&log);
    buf_free(&next);
}

/* The same attempt has the same id wherever it is named, another one has another, and ids sort by
 * time. */
static void test_ids(void **state)
{
    (void)state;
    struct id event = {{1}}, endpoint = {{2}}, ids[5];
    attempt_id(&ids[0], &event, &endpoint, 1, 1700000000123);
    attempt_id(&ids[1], &event, &endpoint, 1, 1700000000120);
    assert_true(id_eq(&ids[0], &ids[1]));
    assert_true(id_time_ms(&ids[0]) == 1700000000120);
    attempt_id(&ids[1], &event, &endpoint, 2, 1700000000123);
    attempt_id(&ids[2], &endpoint, &event, 1, 1700000000123);
    attempt_id(&ids[3], &event, &endpoint, 256, 1700000000123);
    attempt_id(&ids[4], &event, &endpoint, 1, 1700000000124);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_false(id_eq(&ids[i], &ids[j]));
    assert_true(memcmp(ids[4].bytes, ids[0].bytes, sizeof(ids[0].bytes)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_are_kept),
        cmocka_unit_test(test_the_longest_fits),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
