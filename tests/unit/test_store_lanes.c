/* test_store_lanes.c - a heartbeat's reply is read, and one that makes no sense is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "core/store_lanes.h"
#include "net/redis_reply.h"

#define ME    "00000000000000aa"
#define OTHER "00000000000000bb"

/* Reads `count` elements in RESP, which must outlive the beat: so the reader is left to the caller.
 */
static struct redis_reader *read_beat(const struct buf *elements, int count, enum status *status,
                                      struct store_beat *beat)
{
    struct redis_reader *reader = redis_reader_new();
    char head[32];
    const struct redis_value *value = NULL;
    int len = snprintf(head, sizeof(head), "*%d\r\n", count);
    assert_non_null(reader);
    assert_int_equal(redis_reader_feed(reader, head, (size_t)len), ST_OK);
    assert_int_equal(redis_reader_feed(reader, elements->ptr, elements->len), ST_OK);
    assert_int_equal(redis_reader_next(reader, &value), ST_OK);
    *status = store_beat_read(value, beat);
    return reader;
}

static void add_text(struct buf *buf, const char *text)
{
    buf_addf(buf, "$%zu\r\n%s\r\n", strlen(text), text);
}

static void add_number(struct buf *buf, long long number)
{
    buf_addf(buf, ":%lld\r\n", number);
}

/* What every beat begins with: status, and 1000 to 1005. */
static void add_fixed(struct buf *buf, const char *status, int dead)
{
    add_text(buf, status);
    for (int i = 0; i < 6; i++)
        add_number(buf, 1000 + i);
    add_number(buf, dead);
}

static void add_map(struct buf *buf, size_t lanes)
{
    add_number(buf, 2);
    add_text(buf, ME);
    add_text(buf, OTHER);
    buf_addf(buf, "$%zu\r\n", lanes);
    for (size_t lane = 0; lane < lanes; lane++)
        buf_add_char(buf, (char)(lane % 3));
    buf_add_str(buf, "\r\n");
}

static void test_everything(void **state)
{
    (void)state;
    struct buf buf;
    struct store_beat beat;
    enum status status;
    buf_init(&buf, 4096);
    add_fixed(&buf, "joined", 2);
    add_text(&buf, "dead1");
    add_text(&buf, "dead2");
    add_map(&buf, LANES);
    struct redis_reader *reader = read_beat(&buf, 14, &status, &beat);
    assert_int_equal(status, ST_OK);
    assert_int_equal(beat.status, BEAT_JOINED);
    assert_int_equal(beat.now_ms, 1000);
    assert_int_equal(beat.config_version, 1001);
    assert_int_equal(beat.journal_batches, 1002);
    assert_int_equal(beat.version, 1003);
    assert_int_equal(beat.surplus, 1004);
    assert_int_equal(beat.members, 1005);
    assert_int_equal(beat.dead_count, 2);
    assert_int_equal(beat.dead_first, 8);
    assert_int_equal(beat.owner_count, 2);
    assert_true(slice_eq(beat.owners[0], SLICE(ME)) && slice_eq(beat.owners[1], SLICE(OTHER)));
    assert_int_equal(beat.map.len, LANES);
    assert_int_equal(beat.map.ptr[5], 2);
    redis_reader_free(reader);
    buf_free(&buf);
}

static void test_the_map_is_known(void **state)
{
    (void)state;
    struct buf buf;
    struct store_beat beat;
    enum status status;
    buf_init(&buf, 4096);
    add_fixed(&buf, "renewed", 0);
    struct redis_reader *reader = read_beat(&buf, 8, &status, &beat);
    assert_int_equal(status, ST_OK);
    assert_int_equal(beat.status, BEAT_RENEWED);
    assert_int_equal(beat.dead_count, 0);
    assert_null(beat.map.ptr);
    redis_reader_free(reader);
    buf_free(&buf);
}

static void test_refused(void **state)
{
    (void)state;
    struct buf buf;
    struct store_beat beat;
    enum status status;
    buf_init(&buf, 4096);
    add_text(&buf, "lanes");
    add_number(&buf, 5);
    add_number(&buf, 128);
    struct redis_reader *reader = read_beat(&buf, 3, &status, &beat);
    assert_int_equal(status, ST_OK);
    assert_int_equal(beat.status, BEAT_OTHER_LANES);
    assert_int_equal(beat.lanes, 128);
    redis_reader_free(reader);
    buf_free(&buf);
}

/* Elements that are missing, of another type, too many or too few. */
static void test_senseless(void **state)
{
    (void)state;
    for (int kind = 0; kind < 7; kind++) {
        struct buf buf;
        struct store_beat beat;
        enum status status;
        int count = 8;
        buf_init(&buf, 4096);
        if (kind == 0) {
            add_fixed(&buf, "hello", 0);
        } else if (kind == 1) { /* more dead than elements */
            add_fixed(&buf, "renewed", 3);
            add_text(&buf, "dead1");
            count = 9;
        } else if (kind == 2) {
            add_fixed(&buf, "renewed", -1);
        } else if (kind == 3) { /* no time */
            add_text(&buf, "renewed");
            add_text(&buf, "now");
            count = 2;
        } else if (kind == 4) { /* a map that is too short */
            add_fixed(&buf, "renewed", 0);
            add_map(&buf, LANES - 1);
            count = 12;
        } else if (kind == 5) { /* owners without a map */
            add_fixed(&buf, "renewed", 0);
            add_number(&buf, 1);
            add_text(&buf, ME);
            count = 10;
        } else { /* more owners than a byte can name */
            add_fixed(&buf, "renewed", 0);
            add_number(&buf, 256);
            count = 9;
        }
        struct redis_reader *reader = read_beat(&buf, count, &status, &beat);
        assert_int_equal(status, ST_SYNTAX);
        redis_reader_free(reader);
        buf_free(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_the_map_is_known),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_senseless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
