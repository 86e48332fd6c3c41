/* test_event_record.c - the event as it is kept: what is written is read, what is damaged is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/limits.h"
#include "record_mutate.h"
#include "wire/event_record.h"

enum { MEMBERS = 11, MEMBERS_RECEIVED = 17, MEMBERS_ALL = 19 };

static const struct event_record full = {
    .application = SLICE("default"),
    .type = SLICE("order.created"),
    .version = SLICE("2026-01"),
    .source = SLICE("shop \"north\""),
    .uid = SLICE("order-5"),
    .traceparent = SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    .tracestate = SLICE("a=1"),
    .data = SLICE("{\"a\": [1, 2.50, \"\\u00e9\"]}"),
    .timestamp_ms = 1700000000123,
    .deliver_at_ms = 1700000060000,
};

/* The same, as if it had been received. */
static struct event_record received(void)
{
    struct event_record record = full;
    record.received_ms = 1700000000456;
    record.content_type = SLICE("text/xml; charset=utf-8");
    record.headers = SLICE("X-Signature: 1\0x-b: \0");
    record.duplicate_of = SLICE("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W");
    record.data_kind = EVENT_DATA_BYTES;
    record.verified = true;
    return record;
}

/* A received one that has whatever a published one may have, too. */
static struct event_record whole(void)
{
    struct event_record record = received();
    record.ordering_key = SLICE("customer-5");
    record.cloud_event = SLICE("{\"specversion\":\"1.0\",\"id\":\"1\"}");
    return record;
}

static struct buf buf;

static int setup(void **state)
{
    (void)state;
    buf_init(&buf, 64 * 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&buf);
    return 0;
}

/* The same bytes, and absent exactly when the other is. */
static bool same(struct slice a, struct slice b)
{
    return slice_eq(a, b) && !a.ptr == !b.ptr;
}

static void expect_same(const struct event_record *a, const struct event_record *b)
{
    assert_true(slice_eq(a->application, b->application));
    assert_true(slice_eq(a->type, b->type));
    assert_true(same(a->version, b->version));
    assert_true(same(a->source, b->source));
    assert_true(same(a->uid, b->uid));
    assert_true(same(a->traceparent, b->traceparent));
    assert_true(same(a->tracestate, b->tracestate));
    assert_true(slice_eq(a->data, b->data));
    assert_true(a->timestamp_ms == b->timestamp_ms);
    assert_true(a->deliver_at_ms == b->deliver_at_ms);
    assert_true(a->received_ms == b->received_ms);
    assert_true(same(a->content_type, b->content_type));
    assert_true(same(a->headers, b->headers));
    assert_true(same(a->duplicate_of, b->duplicate_of));
    assert_true(same(a->ordering_key, b->ordering_key));
    assert_true(same(a->cloud_event, b->cloud_event));
    assert_int_equal(a->data_kind, b->data_kind);
    assert_int_equal(a->verified, b->verified);
}

static void write_and_read(const struct event_record *record)
{
    struct event_record read;
    struct mp_reader reader;
    buf_clear(&buf);
    event_record_write(&buf, record);
    assert_int_equal(buf_status(&buf), ST_OK);
    mp_reader_init(&reader, buf_slice(&buf));
    event_record_read(&reader, &read);
    assert_true(mp_at_end(&reader));
    expect_same(record, &read);
}

/* Every combination of optional members, absent, empty and given. */
static void test_round_trip(void **state)
{
    (void)state;
    write_and_read(&full);
    for (int mix = 0; mix < 3 * 3 * 3 * 3 * 3; mix++) {
        struct event_record record = full;
        struct slice *optional[] = {&record.version, &record.source, &record.uid,
                                    &record.traceparent, &record.tracestate};
        int rest = mix;
        for (size_t i = 0; i < 5; i++, rest /= 3)
            if (rest % 3 != 2)
                *optional[i] = rest % 3 ? SLICE_NULL : SLICE("");
        write_and_read(&record);
    }
}

/* What only received events have, in every combination. */
static void test_received(void **state)
{
    (void)state;
    struct event_record record = received();
    write_and_read(&record);
    for (int mix = 0; mix < 3 * 3 * 3 * 3 * 2; mix++) {
        record = received();
        struct slice *optional[] = {&record.content_type, &record.headers, &record.duplicate_of};
        int rest = mix;
        for (size_t i = 0; i < 3; i++, rest /= 3)
            if (rest % 3 != 2)
                *optional[i] = rest % 3 ? SLICE_NULL : SLICE("");
        record.data_kind = (enum event_data)(rest % 3);
        record.verified = rest / 3;
        write_and_read(&record);
    }
}

/* An ordering key, and what a CloudEvent has, of events that were received and of others. */
static void test_later_members(void **state)
{
    (void)state;
    for (int mix = 0; mix < 3 * 3 * 2 * 3; mix++) {
        struct event_record record = whole();
        int rest = mix;
        struct slice *optional[] = {&record.ordering_key, &record.cloud_event};
        for (size_t i = 0; i < 2; i++, rest /= 3)
            if (rest % 3 != 2)
                *optional[i] = rest % 3 ? SLICE_NULL : SLICE("");
        bool all = record.ordering_key.ptr || record.cloud_event.ptr;
        if (rest % 2 && all) {
            record.received_ms = 0;
            record.verified = false;
            record.headers = record.duplicate_of = SLICE_NULL;
        }
        record.data_kind = (enum event_data)(rest / 2);
        write_and_read(&record);
    }
}

/* A published event has the bytes it had before anything could be received, and those of before
 * are read as such. */
static void test_published_is_as_before(void **state)
{
    (void)state;
    struct buf old;
    struct mp_reader reader;
    struct event_record read;
    buf_init(&old, 1000);
    mp_write_array(&old, MEMBERS);
    mp_write_u64(&old, 1);
    mp_write_str(&old, full.application);
    mp_write_str(&old, full.type);
    mp_write_u64(&old, full.timestamp_ms);
    mp_write_u64(&old, full.deliver_at_ms);
    const struct slice texts[] = {full.version, full.source, full.uid, full.traceparent,
                                  full.tracestate};
    for (size_t i = 0; i < 5; i++)
        mp_write_str(&old, texts[i]);
    mp_write_bin(&old, full.data);
    event_record_write(&buf, &full);
    assert_true(slice_eq(buf_slice(&buf), buf_slice(&old)));
    memset(&read, 0xff, sizeof(read)); /* as a caller may hand it in */
    mp_reader_init(&reader, buf_slice(&old));
    event_record_read(&reader, &read);
    expect_same(&full, &read);
    buf_free(&old);
}

/* Times of any size, and texts around the borders of msgpack's forms. */
static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 1 << 20};
    static char text[1 << 20];
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct event_record record = full;
        record.data = record.type = record.uid = slice_of(text, sizes[i]);
        record.timestamp_ms = i % 2 ? UINT64_MAX : 0;
        record.deliver_at_ms = i % 2 ? 0 : UINT64_MAX;
        write_and_read(&record);
    }
}

/* The data is any bytes at all: nothing looks into it. */
static void test_data_is_bytes(void **state)
{
    (void)state;
    char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    struct event_record record = full;
    record.data = slice_of(bytes, sizeof(bytes));
    write_and_read(&record);
}

/* What is kept points into the input; several records stand one behind the other. */
static void test_reads_in_place(void **state)
{
    (void)state;
    struct event_record first, second;
    struct mp_reader reader;
    event_record_write(&buf, &full);
    size_t first_len = buf.len;
    event_record_write(&buf, &full);
    mp_reader_init(&reader, buf_slice(&buf));
    event_record_read(&reader, &first);
    assert_ptr_equal(reader.at, buf.ptr + first_len);
    event_record_read(&reader, &second);
    assert_true(mp_at_end(&reader));
    assert_true(first.data.ptr > buf.ptr && first.data.ptr < buf.ptr + first_len);
    assert_true(second.data.ptr > buf.ptr + first_len && second.data.ptr < buf.ptr + buf.len);
}

/* A record as a successor may write it: `members` with those we know first. */
static void write_future(const struct event_record *record, uint64_t format, uint32_t members)
{
    struct buf known;
    struct mp_reader reader;
    buf_init(&known, 10000);
    event_record_write(&known, record);
    mp_reader_init(&reader, buf_slice(&known));
    (void)mp_read_array(&reader);
    (void)mp_read_u64(&reader);
    assert_int_equal(reader.error, ST_OK);
    mp_write_array(&buf, members);
    mp_write_u64(&buf, format);
    buf_add(&buf, reader.at, (size_t)(reader.end - reader.at));
    buf_free(&known);
}

/* Members added behind ours are passed over, whatever they are. */
static void test_more_members(void **state)
{
    (void)state;
    struct event_record read;
    struct mp_reader reader;
    struct event_record record = whole();
    write_future(&record, 1, MEMBERS_ALL + 4);
    mp_write_str(&buf, SLICE("new"));
    mp_write_map(&buf, 1);
    mp_write_u64(&buf, 1);
    mp_write_array(&buf, 0);
    mp_write_nil(&buf);
    mp_write_double(&buf, 1.5);
    mp_write_str(&buf, SLICE("behind"));
    mp_reader_init(&reader, buf_slice(&buf));
    event_record_read(&reader, &read);
    expect_same(&record, &read);
    assert_true(slice_eq(mp_read_str(&reader), SLICE("behind")));
    assert_true(mp_at_end(&reader));
}

/* Members that are announced and missing, or nested too deep, are an error. */
static void test_bad_extra_members(void **state)
{
    (void)state;
    struct event_record read;
    struct mp_reader reader;
    struct event_record record = whole();
    write_future(&record, 1, MEMBERS_ALL + 1);
    mp_reader_init(&reader, buf_slice(&buf));
    event_record_read(&reader, &read);
    assert_int_equal(reader.error, ST_SYNTAX);

    buf_clear(&buf);
    write_future(&record, 1, MEMBERS_ALL + 1);
    for (int i = 0; i <= LIMIT_JSON_DEPTH; i++)
        mp_write_array(&buf, 1);
    mp_write_nil(&buf);
    mp_reader_init(&reader, buf_slice(&buf));
    event_record_read(&reader, &read);
    assert_int_equal(reader.error, ST_LIMIT);
}

/* Another format is refused even when all else looks the same; so is a record with too few. */
static void test_other_formats(void **state)
{
    (void)state;
    static const struct {
        uint64_t format;
        uint32_t members;
    } table[] = {{0, MEMBERS}, {2, MEMBERS}, {UINT64_MAX, MEMBERS}, {1, MEMBERS - 1}, {1, 0}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct event_record read;
        struct mp_reader reader;
        buf_clear(&buf);
        write_future(&full, table[i].format, table[i].members);
        mp_reader_init(&reader, buf_slice(&buf));
        event_record_read(&reader, &read);
        assert_int_equal(reader.error, ST_SYNTAX);
        assert_null(read.data.ptr);
    }
}

static void expect_inside(struct slice part, struct slice whole)
{
    assert_true(!part.ptr ||
                (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void read_damaged(struct slice bytes)
{
    struct event_record read;
    struct mp_reader reader;
    mp_reader_init(&reader, bytes);
    event_record_read(&reader, &read);
    const struct slice *parts = &read.application;
    assert_ptr_equal(parts + 7, &read.data);
    for (size_t i = 0; i < 8; i++)
        expect_inside(parts[i], bytes);
    expect_inside(read.content_type, bytes);
    expect_inside(read.headers, bytes);
    expect_inside(read.duplicate_of, bytes);
    expect_inside(read.ordering_key, bytes);
    expect_inside(read.cloud_event, bytes);
    assert_true(reader.error != ST_OK || read.data.ptr);
}

static void read_truncated(struct slice bytes)
{
    struct event_record read;
    struct mp_reader reader;
    mp_reader_init(&reader, bytes);
    event_record_read(&reader, &read);
    assert_int_equal(reader.error, ST_SYNTAX);
    assert_false(mp_at_end(&reader));
}

/* Cut anywhere it is an error; damaged anywhere it is an error or a record within its bytes. */
static void test_damaged(void **state)
{
    (void)state;
    event_record_write(&buf, &full);
    mutate_truncate(buf_slice(&buf), read_truncated);
    mutate_every_byte(buf_slice(&buf), read_damaged);
    mutate_randomly(buf_slice(&buf), 7, 20000, read_damaged);
}

/* The same of a received one. */
static void test_received_damaged(void **state)
{
    (void)state;
    struct event_record record = received();
    event_record_write(&buf, &record);
    mutate_truncate(buf_slice(&buf), read_truncated);
    mutate_every_byte(buf_slice(&buf), read_damaged);
    mutate_randomly(buf_slice(&buf), 8, 20000, read_damaged);
}

static void expect_no_record(void)
{
    struct event_record read;
    struct mp_reader reader;
    mp_reader_init(&reader, buf_slice(&buf));
    event_record_read(&reader, &read);
    assert_int_equal(reader.error, ST_SYNTAX);
}

/* A kind of data that nobody knows could not be shown or sent; and what was received was received
 * at some time. */
static void test_not_received(void **state)
{
    (void)state;
    struct event_record record = received();
    record.data_kind = (enum event_data)(EVENT_DATA_BYTES + 1);
    event_record_write(&buf, &record);
    expect_no_record();

    buf_clear(&buf);
    write_future(&full, 1, MEMBERS_RECEIVED);
    mp_write_u64(&buf, 0); /* the time */
    mp_write_u64(&buf, EVENT_DATA_JSON);
    mp_write_bool(&buf, false);
    for (int i = 0; i < 3; i++)
        mp_write_nil(&buf);
    expect_no_record();
}

/* A buffer without room says so; nothing else is promised of what is in it. */
static void test_no_room(void **state)
{
    (void)state;
    event_record_write(&buf, &full);
    for (size_t max = 0; max < buf.len; max++) {
        struct buf small;
        buf_init(&small, max);
        event_record_write(&small, &full);
        assert_int_equal(buf_status(&small), ST_LIMIT);
        buf_free(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_received, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_published_is_as_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data_is_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_extra_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_formats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_received_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_received, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
