/* test_batch.c - batches: what is packed is found again, and what is damaged is refused or whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/rng.h"
#include "core/batch.h"
#include "core/endpoint.h"
#include "record_mutate.h"

#define NOW_MS UINT64_C(1700000000120)

static const struct event_record plain = {
    .application = SLICE("default"), .type = SLICE("a"), .data = SLICE("{}"), .timestamp_ms = 1};

/* `count` endpoint ids, each with its number in it. */
static struct slice targets_of(size_t count)
{
    static char *bytes;
    static size_t most;
    if (count > most) {
        free(bytes);
        bytes = calloc(count, TARGET_BYTES);
        assert_non_null(bytes);
        most = count;
        for (size_t i = 0; i < count; i++)
            memcpy(bytes + i * TARGET_BYTES, &i, sizeof(i));
    }
    if (count == 0) {
        free(bytes);
        bytes = NULL;
        most = 0;
    }
    return slice_of(bytes, count * TARGET_BYTES);
}

static struct id add(struct batch *batch, const struct event_record *record, size_t targets)
{
    struct id id;
    assert_int_equal(batch_add(batch, record, targets_of(targets), &id), ST_OK);
    return id;
}

/* Three events with 2, 0 and 3 targets. */
static struct batch *three_events(struct id ids[3])
{
    struct event_record record = plain;
    struct batch *batch = batch_new(NOW_MS, 0x0123456789abcdef, LIMIT_BATCH_BYTES, NULL, 0);
    assert_non_null(batch);
    ids[0] = add(batch, &record, 2);
    record.type = SLICE("order.created");
    record.uid = SLICE("u-1");
    record.data = SLICE("[1, 2 ]");
    record.deliver_at_ms = NOW_MS + 5;
    ids[1] = add(batch, &record, 0);
    ids[2] = add(batch, &plain, 3);
    return batch;
}

/* What must hold of every parsed batch, wherever it came from. */
static void expect_consistent(struct batch *batch)
{
    uint32_t ordinals = 0;
    assert_in_range(batch->message_count, 1, LIMIT_BATCH_EVENTS);
    assert_true(batch->ordinal_count <= LIMIT_BATCH_DELIVERIES);
    assert_int_equal(batch->pending, batch->ordinal_count);
    assert_true(!batch->slots == (batch->ordinal_count == 0));
    const char *begin = batch->blob.ptr, *end = begin + batch->blob.len;
    for (uint32_t i = 0; i < batch->message_count; i++) {
        struct message *message = &batch->messages[i];
        char name[BATCH_ID_TEXT], text[ID_TEXT_MAX];
        assert_ptr_equal(message->batch, batch);
        assert_ptr_equal(batch_find(batch, &message->id), message);
        batch_name_of(&message->id, name);
        assert_string_equal(name, batch->id_text);
        assert_int_equal(batch_index_of(&message->id), i);
        id_format(text, "msg_", &message->id);
        assert_string_equal(message->id_text, text);
        assert_int_equal(message->first_ordinal, ordinals);
        assert_int_equal(message->targets.len, message->target_count * (size_t)TARGET_BYTES);
        ordinals += message->target_count;
        assert_true(message->raw.ptr > begin && message->raw.ptr + message->raw.len < end);
        assert_true(message->targets.ptr + message->targets.len <= end);
        assert_non_null(message->record.data.ptr);
    }
    assert_int_equal(batch->ordinal_count, ordinals);
    for (uint32_t i = 0; i < ordinals; i++)
        assert_true(batch->slots[i].state == SLOT_PENDING && !batch->slots[i].delivery);
}

static void expect_same_messages(const struct batch *a, const struct batch *b)
{
    assert_int_equal(a->message_count, b->message_count);
    assert_true(a->created_at_ms == b->created_at_ms);
    assert_string_equal(a->id_text, b->id_text);
    for (uint32_t i = 0; i < a->message_count; i++) {
        assert_true(id_eq(&a->messages[i].id, &b->messages[i].id));
        assert_true(slice_eq(a->messages[i].raw, b->messages[i].raw));
        assert_true(slice_eq(a->messages[i].targets, b->messages[i].targets));
    }
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* A message's id alone leads to its batch and its place in it; its time is the batch's. */
static void test_names_from_ids(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batch = three_events(ids);
    char name[BATCH_ID_TEXT];
    assert_string_equal(batch->id_text + 10, "0123456789abcdef");
    for (uint32_t i = 0; i < 3; i++) {
        batch_name_of(&ids[i], name);
        assert_string_equal(name, batch->id_text);
        assert_int_equal(batch_index_of(&ids[i]), i);
        assert_true(id_time_ms(&ids[i]) == NOW_MS);
        assert_int_equal(ids[i].bytes[5] << 8 | ids[i].bytes[6], 0); /* the shard */
    }
    assert_false(id_eq(&ids[0], &ids[1]));
    batch_free(batch);

    struct id id = {{0xff, 0xee, 0xdd, 0xcc, 0xbb, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 0xab, 0xcd}};
    batch_name_of(&id, name);
    assert_string_equal(name, "ffeeddccbb0001020304050607");
    assert_int_equal(batch_index_of(&id), 0xabcd);
}

/* Two events of one place in one batch cannot be guessed from each other: three bytes are random.
 */
static void test_ids_have_a_random_end(void **state)
{
    (void)state;
    struct id ids[2][3];
    batch_free(three_events(ids[0]));
    batch_free(three_events(ids[1]));
    int same = 0;
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(ids[0][i].bytes, ids[1][i].bytes, 17);
        same += id_eq(&ids[0][i], &ids[1][i]);
    }
    assert_true(same < 3); /* by chance once in 2^72 */
}

static void test_state_names(void **state)
{
    (void)state;
    static const char *const names[] = {"building", "sealed",  "storing",
                                        "open",     "closing", "closed"};
    for (int i = BATCH_BUILDING; i <= BATCH_CLOSED; i++)
        assert_string_equal(batch_state_name((enum batch_state)i), names[i]);
}

/* ---- Building, parsing, loading ------------------------------------------------------------- */

static void test_build_and_parse(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batch = three_events(ids);
    assert_int_equal(batch->state, BATCH_BUILDING);
    assert_int_equal(batch->message_count, 3);
    assert_int_equal(batch->ordinal_count, 5);
    assert_int_equal(batch_parse(batch), ST_OK);
    expect_consistent(batch);
    assert_true(batch->created_at_ms == NOW_MS);
    static const uint32_t firsts[] = {0, 2, 2}, counts[] = {2, 0, 3};
    for (uint32_t i = 0; i < 3; i++) {
        struct message *message = &batch->messages[i];
        assert_true(id_eq(&message->id, &ids[i]));
        assert_int_equal(message->first_ordinal, firsts[i]);
        assert_int_equal(message->target_count, counts[i]);
        assert_true(slice_eq(message->targets, targets_of(counts[i] ? counts[i] : 3)) ||
                    counts[i] == 0);
    }
    const struct event_record *record = &batch->messages[1].record;
    assert_true(slice_eq(record->type, SLICE("order.created")));
    assert_true(slice_eq(record->uid, SLICE("u-1")));
    assert_true(slice_eq(record->data, SLICE("[1, 2 ]")));
    assert_true(record->deliver_at_ms == NOW_MS + 5 && !record->version.ptr);

    /* A record by itself is what the schedule keeps of the event. */
    struct message *alone;
    assert_int_equal(message_load(&ids[1], batch->messages[1].raw, &alone), ST_OK);
    assert_true(slice_eq(alone->record.data, record->data));
    assert_string_equal(alone->id_text, batch->messages[1].id_text);
    assert_null(alone->batch);
    message_put(alone);
    batch_put(batch);
}

/* A stored batch is what it was; the caller's copy of the blob is not needed any more. */
static void test_load(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batch = three_events(ids), *loaded;
    assert_int_equal(batch_parse(batch), ST_OK);
    struct slice blob = buf_slice(&batch->blob);
    char *copy = malloc(blob.len);
    assert_non_null(copy);
    memcpy(copy, blob.ptr, blob.len);
    assert_int_equal(batch_load(batch->id_text, slice_of(copy, blob.len), &loaded), ST_OK);
    memset(copy, 0, blob.len);
    free(copy);
    expect_consistent(loaded);
    expect_same_messages(batch, loaded);
    assert_true(batch_bytes(loaded) >= sizeof(*loaded) + blob.len + 3 * sizeof(*loaded->messages) +
                                           5 * sizeof(*loaded->slots));
    batch_put(loaded);
    batch_put(batch);
}

/* An id of another batch, of another place, or with another end is found nowhere. */
static void test_find(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batch = three_events(ids);
    assert_int_equal(batch_parse(batch), ST_OK);
    for (size_t byte = 0; byte < sizeof(ids[1].bytes); byte++) {
        struct id other = ids[1];
        other.bytes[byte] ^= 0x80;
        assert_null(batch_find(batch, &other));
    }
    struct id behind = ids[2];
    behind.bytes[16] = 3;
    assert_null(batch_find(batch, &behind));
    assert_ptr_equal(batch_find(batch, &ids[2]), &batch->messages[2]);
    batch_free(batch);
}

/* A batch of one event for nobody is a batch; one without events is none. */
static void test_smallest(void **state)
{
    (void)state;
    struct batch *batch = batch_new(NOW_MS, 1, LIMIT_BATCH_BYTES, NULL, 0), *loaded;
    assert_non_null(batch);
    assert_int_equal(batch_load(batch->id_text, buf_slice(&batch->blob), &loaded), ST_SYNTAX);
    assert_int_equal(batch_parse(batch), ST_SYNTAX);
    batch_free(batch);

    batch = batch_new(NOW_MS, 1, LIMIT_BATCH_BYTES, NULL, 0);
    add(batch, &plain, 0);
    assert_int_equal(batch_load(batch->id_text, buf_slice(&batch->blob), &loaded), ST_OK);
    expect_consistent(loaded);
    assert_int_equal(loaded->ordinal_count, 0);
    batch_free(loaded);
    batch_free(batch);
    batch_free(NULL);
}

/* ---- Compression ----------------------------------------------------------------------------- */

enum { LARGE_EVENTS = 100, LARGE_DATA_BYTES = 1000 };

/* A batch of events whose data are words, or, with `noise`, cannot be made shorter. */
static struct batch *large_batch(bool noise)
{
    static char data[LARGE_DATA_BYTES];
    struct rng rng;
    struct event_record record = plain;
    struct batch *batch = batch_new(NOW_MS, 1, LIMIT_BATCH_BYTES, NULL, 0);
    assert_non_null(batch);
    rng_seed(&rng, 1);
    for (int i = 0; i < LARGE_EVENTS; i++) {
        for (size_t j = 0; j < sizeof(data); j++)
            data[j] = (char)(noise ? rng_next(&rng) : (uint64_t)("order paid "[j % 11]));
        data[0] = (char)i;
        record.data = slice_of(data, sizeof(data));
        add(batch, &record, 2);
    }
    return batch;
}

/* A small blob is stored as it is, and so is a large one that does not become shorter. */
static void test_stored_as_it_is(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batches[] = {three_events(ids), large_batch(true)};
    for (int i = 0; i < 2; i++) {
        struct buf compressed;
        buf_init(&compressed, SIZE_MAX);
        struct slice stored = batch_stored(batches[i], &compressed);
        assert_ptr_equal(stored.ptr, batches[i]->blob.ptr);
        assert_int_equal(stored.len, batches[i]->blob.len);
        assert_int_equal(batches[i]->stored_bytes, stored.len);
        buf_free(&compressed);
        batch_free(batches[i]);
    }
}

/* A large blob is stored in fewer bytes, which are those that count, and reads as it was. */
static void test_stored_compressed(void **state)
{
    (void)state;
    struct batch *batch = large_batch(false), *loaded;
    struct buf compressed;
    buf_init(&compressed, SIZE_MAX);
    struct slice stored = batch_stored(batch, &compressed);
    assert_true(stored.len < batch->blob.len / 4);
    assert_int_equal(batch->stored_bytes, stored.len);
    assert_int_equal(batch_parse(batch), ST_OK);
    assert_int_equal(batch_load(batch->id_text, stored, &loaded), ST_OK);
    expect_consistent(loaded);
    expect_same_messages(batch, loaded);
    assert_true(slice_eq(buf_slice(&loaded->blob), buf_slice(&batch->blob)));
    assert_int_equal(loaded->stored_bytes, stored.len);
    batch_free(loaded);
    batch_free(batch);
    buf_free(&compressed);
}

/* Without memory for the shorter form the blob goes as it is. */
static void test_stored_without_memory(void **state)
{
    (void)state;
    struct batch *batch = large_batch(false);
    struct buf compressed;
    buf_init(&compressed, 1000);
    struct slice stored = batch_stored(batch, &compressed);
    assert_ptr_equal(stored.ptr, batch->blob.ptr);
    assert_int_equal(batch->stored_bytes, batch->blob.len);
    buf_free(&compressed);
    batch_free(batch);
}

/* A head that says [members, format, bytes] before the block of a batch. */
static enum status load_block(const char *id_text, uint64_t members, uint64_t bytes,
                              struct slice block)
{
    struct batch *batch;
    struct buf blob;
    buf_init(&blob, SIZE_MAX);
    mp_write_array(&blob, (uint32_t)members);
    mp_write_u64(&blob, 2);
    mp_write_u64(&blob, bytes);
    buf_add_slice(&blob, block);
    enum status status = batch_load(id_text, buf_slice(&blob), &batch);
    if (status == ST_OK)
        batch_free(batch);
    buf_free(&blob);
    return status;
}

/* A block that is cut off, longer, damaged or not as long as it is said is refused, and a length
 * that no block can have costs no memory. */
static void test_damaged_block(void **state)
{
    (void)state;
    struct batch *batch = large_batch(false);
    const char *name = batch->id_text;
    struct buf compressed;
    buf_init(&compressed, SIZE_MAX);
    struct slice block = batch_stored(batch, &compressed);
    uint64_t bytes = batch->blob.len;
    block.ptr += 1 + 1 + 5; /* array, format, 32 bits */
    block.len -= 1 + 1 + 5;
    assert_int_equal(load_block(name, 2, bytes, block), ST_OK);
    assert_int_equal(load_block(name, 3, bytes, block), ST_SYNTAX);
    assert_int_equal(load_block(name, 2, bytes - 1, block), ST_SYNTAX);
    assert_int_equal(load_block(name, 2, bytes + 1, block), ST_SYNTAX);
    assert_int_equal(load_block(name, 2, 0, block), ST_SYNTAX);
    assert_int_equal(load_block(name, 2, block.len * 257, block), ST_SYNTAX);
    assert_int_equal(load_block(name, 2, UINT64_MAX, block), ST_SYNTAX);
    assert_int_equal(load_block(name, 2, bytes, SLICE("")), ST_SYNTAX);
    for (size_t len = 0; len < block.len; len += 7)
        assert_int_equal(load_block(name, 2, bytes, slice_of(block.ptr, len)), ST_SYNTAX);
    buf_free(&compressed);
    batch_free(batch);
}

/* ---- Parts ----------------------------------------------------------------------------------- */

/* The lane of each of the targets of three_events(): two, then three that begin with the same two.
 */
static uint32_t lane_of_target(size_t number)
{
    struct id id;
    memcpy(id.bytes, targets_of(number + 1).ptr + number * TARGET_BYTES, TARGET_BYTES);
    return endpoint_lane(&id);
}

/* Parts 1 to `count`, part k with the lane of the k-th target. */
static void parts_of(struct lanes_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct lanes_part){.mask = {0}};
        lane_add(parts[i].mask, lane_of_target(i));
    }
}

static struct batch *in_parts(size_t count)
{
    struct lanes_part parts[BATCH_PARTS_MAX];
    parts_of(parts, count);
    struct batch *batch = batch_new(NOW_MS, 9, LIMIT_BATCH_BYTES, parts, count);
    assert_non_null(batch);
    add(batch, &plain, 2);
    add(batch, &plain, 0);
    add(batch, &plain, 3);
    assert_int_equal(batch_parse(batch), ST_OK);
    return batch;
}

/* Each ordinal is of the part whose mask has its lane, here and after loading; a part takes what is
 * not its own for not there. */
static void test_parts(void **state)
{
    (void)state;
    assert_int_not_equal(lane_of_target(0),
                         lane_of_target(1)); /* the targets are always the same */
    assert_int_not_equal(lane_of_target(0), lane_of_target(2));
    assert_int_not_equal(lane_of_target(1), lane_of_target(2));
    static const uint8_t part_of[] = {1, 2, 1, 2, 0};
    for (uint32_t part = 0; part <= 2; part++) {
        struct batch *batch = in_parts(2), *loaded;
        uint32_t counts[BATCH_PARTS_MAX + 1], mine = 0;
        assert_int_equal(batch_load(batch->id_text, buf_slice(&batch->blob), &loaded), ST_OK);
        expect_consistent(loaded);
        expect_same_messages(batch, loaded);
        assert_int_equal(loaded->part_count, 2);
        batch_divide(loaded, counts);
        assert_true(counts[0] == 1 && counts[1] == 2 && counts[2] == 2 && counts[3] == 0);
        batch_hold_part(loaded, part);
        for (uint32_t i = 0; i < 5; i++) {
            assert_int_equal(loaded->slots[i].state,
                             part_of[i] == part ? SLOT_PENDING : SLOT_FOREIGN);
            mine += part_of[i] == part;
        }
        assert_int_equal(loaded->pending, mine);
        assert_int_equal(loaded->foreign, 5 - mine);
        char member[BATCH_MEMBER_TEXT];
        snprintf(member, sizeof(member), part ? "%s.%u" : "%s", batch->id_text, part);
        assert_string_equal(loaded->member, member);
        batch_free(loaded);
        batch_free(batch);
    }
}

/* Without masks there is one part, and the blob is what it was before there were any. */
static void test_one_part(void **state)
{
    (void)state;
    struct batch *batch = in_parts(0);
    uint32_t counts[BATCH_PARTS_MAX + 1];
    assert_memory_equal(batch->blob.ptr, "\x92\x01", 2);
    batch_divide(batch, counts);
    batch_hold_part(batch, 0);
    assert_int_equal(counts[0], 5);
    assert_int_equal(counts[1], 0);
    assert_int_equal(batch->pending, 5);
    assert_int_equal(batch->foreign, 0);
    assert_string_equal(batch->member, batch->id_text);
    assert_int_equal(batch_refused_bit(batch, 2), 7);
    batch_free(batch);
}

/* As many masks as there may be; a lane that two of them name is of the first. */
static void test_most_parts(void **state)
{
    (void)state;
    struct lanes_part parts[BATCH_PARTS_MAX];
    for (size_t i = 0; i < BATCH_PARTS_MAX; i++)
        memset(&parts[i], 0xff, sizeof(parts[i]));
    parts[0] = (struct lanes_part){.mask = {0}};
    struct batch *batch = batch_new(NOW_MS, 9, LIMIT_BATCH_BYTES, parts, BATCH_PARTS_MAX), *loaded;
    uint32_t counts[BATCH_PARTS_MAX + 1];
    add(batch, &plain, 40);
    assert_int_equal(batch_load(batch->id_text, buf_slice(&batch->blob), &loaded), ST_OK);
    batch_divide(loaded, counts);
    assert_int_equal(counts[2], 40);
    batch_hold_part(loaded, BATCH_PARTS_MAX);
    assert_int_equal(loaded->pending, 0);
    assert_string_equal(loaded->member + BATCH_ID_TEXT - 1, ".63");
    batch_free(loaded);
    batch_free(batch);
}

/* A journal's members, from outside: nothing else is taken for one. */
static void test_members(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int part; /* -1: it is none */
    } rows[] = {
        {"00112233445566778899aabbcc", 0},      {"00112233445566778899aabbcc.1", 1},
        {"00112233445566778899aabbcc.63", 63},  {"00112233445566778899aabbcc.64", -1},
        {"00112233445566778899aabbcc.0", -1},   {"00112233445566778899aabbcc.01", -1},
        {"00112233445566778899aabbcc.", -1},    {"00112233445566778899aabbcc1", -1},
        {"00112233445566778899aabbcc:1", -1},   {"00112233445566778899aabbcc.1x", -1},
        {"00112233445566778899aabbcc.999", -1}, {"00112233445566778899aabbcc.1111", -1},
        {"00112233445566778899aabbc", -1},      {"00112233445566778899aabbcC", -1},
        {"00112233445566778899aabbc.1", -1},    {"", -1},
        {"00112233445566778899aabbcc.-1", -1},  {"00112233445566778899aabbcc. 1", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t part = 77;
        enum status status = batch_member_part(slice_str(rows[i].text), &part);
        assert_int_equal(status, rows[i].part < 0 ? ST_SYNTAX : ST_OK);
        if (status == ST_OK)
            assert_int_equal(part, rows[i].part);
    }
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* Exactly the limit of events, which all come back; not one more. */
static void test_most_events(void **state)
{
    (void)state;
    struct batch *batch = batch_new(NOW_MS, 7, LIMIT_BATCH_BYTES, NULL, 0), *loaded;
    struct event_record record = plain;
    struct id id;
    char data[16];
    for (uint32_t i = 0; i < LIMIT_BATCH_EVENTS; i++) {
        record.data = slice_of(data, (size_t)snprintf(data, sizeof(data), "%u", i));
        id = add(batch, &record, i % 5);
        assert_int_equal(batch_index_of(&id), i);
    }
    size_t bytes = batch->blob.len;
    assert_int_equal(batch_add(batch, &record, SLICE_NULL, &id), ST_LIMIT);
    assert_int_equal(batch->blob.len, bytes);
    assert_int_equal(batch_load(batch->id_text, buf_slice(&batch->blob), &loaded), ST_OK);
    expect_consistent(loaded);
    assert_int_equal(loaded->message_count, LIMIT_BATCH_EVENTS);
    for (uint32_t i = 0; i < LIMIT_BATCH_EVENTS; i++) {
        snprintf(data, sizeof(data), "%u", i);
        assert_true(slice_eq(loaded->messages[i].record.data, slice_str(data)));
    }
    batch_free(loaded);
    batch_free(batch);
}

/* One event for 100,000 endpoints, and one event's worth of deliveries more than a batch may have:
 * refused, and the batch goes on as it was. */
static void test_large_fan_out(void **state)
{
    (void)state;
    enum { MANY = 100 * 1000 };
    struct batch *batch = batch_new(NOW_MS, 7, (size_t)LIMIT_BATCH_BYTES * 2, NULL, 0), *loaded;
    struct id id;
    uint32_t ordinals = 0;
    while (LIMIT_BATCH_DELIVERIES - ordinals >= MANY) {
        add(batch, &plain, MANY);
        ordinals += MANY;
    }
    uint32_t left = LIMIT_BATCH_DELIVERIES - ordinals;
    size_t bytes = batch->blob.len;
    assert_int_equal(batch_add(batch, &plain, targets_of(left + 1), &id), ST_LIMIT);
    assert_int_equal(batch->blob.len, bytes);
    assert_int_equal(batch->ordinal_count, ordinals);
    add(batch, &plain, left);
    add(batch, &plain, 0);
    assert_int_equal(batch_add(batch, &plain, targets_of(1), &id), ST_LIMIT);
    assert_int_equal(batch_load(batch->id_text, buf_slice(&batch->blob), &loaded), ST_OK);
    expect_consistent(loaded);
    assert_int_equal(loaded->ordinal_count, LIMIT_BATCH_DELIVERIES);
    size_t last = MANY - 1;
    assert_memory_equal(loaded->messages[3].targets.ptr + last * TARGET_BYTES, &last, sizeof(last));
    batch_free(loaded);
    batch_free(batch);
    targets_of(0);
}

/* An event that does not fit the bytes leaves nothing behind: what fits can still be added. */
static void test_most_bytes(void **state)
{
    (void)state;
    static char text[1000];
    memset(text, '1', sizeof(text));
    struct batch *batch = batch_new(NOW_MS, 7, 1500, NULL, 0), *loaded;
    struct event_record large = plain;
    struct id id, first = add(batch, &plain, 1);
    large.data = slice_of(text, sizeof(text));
    add(batch, &large, 2);
    size_t bytes = batch->blob.len;
    for (size_t targets = 0; targets < 100; targets += 25) {
        assert_int_equal(batch_add(batch, &large, targets_of(targets), &id), ST_LIMIT);
        assert_int_equal(batch_add(batch, &plain, targets_of(25 + targets), &id), ST_LIMIT);
        assert_int_equal(batch->blob.len, bytes);
        assert_int_equal(batch->message_count, 2);
        assert_int_equal(batch->ordinal_count, 3);
    }
    id = add(batch, &plain, 1);
    assert_int_equal(batch_index_of(&id), 2);
    assert_int_equal(batch_load(batch->id_text, buf_slice(&batch->blob), &loaded), ST_OK);
    expect_consistent(loaded);
    assert_ptr_equal(batch_find(loaded, &first), &loaded->messages[0]);
    assert_ptr_equal(batch_find(loaded, &id), &loaded->messages[2]);
    batch_free(loaded);
    batch_free(batch);
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

static int freed;

static void on_free(void *arg, struct batch *batch)
{
    assert_ptr_equal(arg, &freed);
    assert_non_null(batch->messages); /* all is still there */
    freed++;
}

/* It lives as long as its messages are referred to, and tells its owner exactly once. */
static void test_references(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batch = three_events(ids);
    assert_int_equal(batch_parse(batch), ST_OK);
    batch->on_free = on_free;
    batch->free_arg = &freed;
    freed = 0;
    struct message *first = message_get(&batch->messages[0]);
    struct message *again = message_get(first), *last = message_get(&batch->messages[2]);
    batch_get(batch);
    batch_put(batch); /* of batch_get */
    batch_put(batch); /* of being unfinished */
    assert_true(slice_eq(first->record.data, SLICE("{}")));
    message_put(first);
    message_put(last);
    assert_int_equal(freed, 0);
    assert_true(slice_eq(again->record.data, SLICE("{}")));
    message_put(again);
    assert_int_equal(freed, 1);
    message_put(NULL);
}

static void test_references_of_one_alone(void **state)
{
    (void)state;
    struct buf record;
    struct message *message;
    struct id id = {{1, 2, 3}};
    buf_init(&record, 1000);
    event_record_write(&record, &plain);
    assert_int_equal(message_load(&id, buf_slice(&record), &message), ST_OK);
    buf_free(&record);
    assert_ptr_equal(message_get(message), message);
    message_put(message);
    assert_true(slice_eq(message->record.data, SLICE("{}")));
    assert_true(id_eq(&message->id, &id));
    assert_int_equal(message->target_count, 0);
    message_put(message);
}

/* ---- What is not ours ------------------------------------------------------------------------ */

/* The name must be a batch's, and the blob of that very batch. */
static void test_wrong_names(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batch = three_events(ids), *loaded;
    struct slice blob = buf_slice(&batch->blob);
    static const char *const names[] = {"",
                                        "0",
                                        "00",
                                        "xx",
                                        "ffffffffff0123456789abcde",
                                        "ffffffffff0123456789abcdeg",
                                        "ffffffffff0123456789abcdef00"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(batch_load(names[i], blob, &loaded), ST_SYNTAX);
    for (size_t i = 0; i + 1 < BATCH_ID_TEXT; i++) {
        char name[BATCH_ID_TEXT];
        memcpy(name, batch->id_text, sizeof(name));
        name[i] = name[i] == '5' ? '6' : '5';
        assert_int_equal(batch_load(name, blob, &loaded), ST_SYNTAX);
    }
    batch_free(batch);
}

enum { HEAD_FORMAT = 1 };

/* A blob with one event whose parts can be wrong. */
static enum status load_made(uint64_t format, size_t id_bytes, size_t target_bytes, uint32_t index,
                             int values)
{
    static char zeros[3 * TARGET_BYTES];
    struct buf blob;
    struct batch *batch;
    struct id id = {{0}};
    buf_init(&blob, 10000);
    id.bytes[15] = (uint8_t)(index >> 8);
    id.bytes[16] = (uint8_t)index;
    mp_write_array(&blob, 2);
    mp_write_u64(&blob, format);
    mp_write_u64(&blob, NOW_MS);
    if (values > 0)
        mp_write_bin(&blob, slice_of(id.bytes, id_bytes));
    if (values > 1)
        event_record_write(&blob, &plain);
    if (values > 2)
        mp_write_bin(&blob, slice_of(zeros, target_bytes));
    if (values > 3)
        mp_write_nil(&blob);
    enum status status = batch_load("00000000000000000000000000", buf_slice(&blob), &batch);
    if (status == ST_OK) {
        expect_consistent(batch);
        batch_free(batch);
    }
    buf_free(&blob);
    return status;
}

/* A header whose third member is `masks`, before one event. */
static enum status load_masked(uint32_t members, struct slice masks, bool text)
{
    struct buf blob;
    struct batch *batch;
    struct id id = {{0}};
    buf_init(&blob, 10000);
    mp_write_array(&blob, members);
    mp_write_u64(&blob, HEAD_FORMAT);
    mp_write_u64(&blob, NOW_MS);
    if (text)
        mp_write_str(&blob, masks);
    else
        mp_write_bin(&blob, masks);
    for (uint32_t i = 3; i < members; i++)
        mp_write_nil(&blob);
    mp_write_bin(&blob, slice_of(id.bytes, sizeof(id.bytes)));
    event_record_write(&blob, &plain);
    mp_write_bin(&blob, targets_of(2));
    enum status status = batch_load("00000000000000000000000000", buf_slice(&blob), &batch);
    if (status == ST_OK) {
        expect_consistent(batch);
        batch_free(batch);
    }
    buf_free(&blob);
    return status;
}

static void test_wrong_masks(void **state)
{
    (void)state;
    static const char bytes[(BATCH_PARTS_MAX + 1) * LANE_MASK_BYTES];
    size_t most = (size_t)BATCH_PARTS_MAX * LANE_MASK_BYTES;
    assert_int_equal(load_masked(3, slice_of(bytes, LANE_MASK_BYTES), false), ST_OK);
    assert_int_equal(load_masked(3, slice_of(bytes, most), false), ST_OK);
    assert_int_equal(load_masked(3, slice_of(bytes, most + LANE_MASK_BYTES), false), ST_SYNTAX);
    assert_int_equal(load_masked(3, slice_of(bytes, 0), false), ST_SYNTAX);
    assert_int_equal(load_masked(3, slice_of(bytes, LANE_MASK_BYTES - 1), false), ST_SYNTAX);
    assert_int_equal(load_masked(3, slice_of(bytes, LANE_MASK_BYTES + 1), false), ST_SYNTAX);
    assert_int_equal(load_masked(3, slice_of(bytes, LANE_MASK_BYTES), true), ST_SYNTAX);
    assert_int_equal(load_masked(4, slice_of(bytes, LANE_MASK_BYTES), false), ST_SYNTAX);
}

static void test_wrong_blobs(void **state)
{
    (void)state;
    assert_int_equal(load_made(HEAD_FORMAT, 20, 0, 0, 3), ST_OK);
    assert_int_equal(load_made(HEAD_FORMAT, 20, 2 * TARGET_BYTES, 0, 3), ST_OK);
    assert_int_equal(load_made(0, 20, 0, 0, 3), ST_SYNTAX);
    assert_int_equal(load_made(2, 20, 0, 0, 3), ST_SYNTAX);
    assert_int_equal(load_made(HEAD_FORMAT, 19, 0, 0, 3), ST_SYNTAX);
    assert_int_equal(load_made(HEAD_FORMAT, 0, 0, 0, 3), ST_SYNTAX);
    assert_int_equal(load_made(HEAD_FORMAT, 20, TARGET_BYTES - 1, 0, 3), ST_SYNTAX);
    assert_int_equal(load_made(HEAD_FORMAT, 20, TARGET_BYTES + 1, 0, 3), ST_SYNTAX);
    assert_int_equal(load_made(HEAD_FORMAT, 20, 0, 1, 3), ST_SYNTAX);
    assert_int_equal(load_made(HEAD_FORMAT, 20, 0, 256, 3), ST_SYNTAX);
    for (int values = 0; values <= 4; values++)
        assert_int_equal(load_made(HEAD_FORMAT, 20, 0, 0, values), values == 3 ? ST_OK : ST_SYNTAX);

    struct batch *batch;
    static const char name[] = "00000000000000000000000000";
    assert_int_equal(batch_load(name, SLICE_NULL, &batch), ST_SYNTAX);
    assert_int_equal(batch_load(name, SLICE(""), &batch), ST_SYNTAX);
    char *huge = calloc(1, (size_t)LIMIT_BATCH_BYTES * 2 + 1);
    assert_non_null(huge);
    assert_int_equal(batch_load(name, slice_of(huge, (size_t)LIMIT_BATCH_BYTES * 2 + 1), &batch),
                     ST_SYNTAX);
    free(huge);
}

/* One event more than a batch may have, and a delivery more, as no batch_add() would write them. */
static void test_beyond_the_limits(void **state)
{
    (void)state;
    struct buf blob;
    struct batch *batch;
    struct id id = {{0}};
    size_t before = 0;
    buf_init(&blob, (size_t)LIMIT_BATCH_BYTES * 2);
    mp_write_array(&blob, 2);
    mp_write_u64(&blob, HEAD_FORMAT);
    mp_write_u64(&blob, NOW_MS);
    for (uint32_t i = 0; i <= LIMIT_BATCH_EVENTS; i++) {
        before = blob.len;
        id.bytes[15] = (uint8_t)(i >> 8);
        id.bytes[16] = (uint8_t)i;
        mp_write_bin(&blob, slice_of(id.bytes, sizeof(id.bytes)));
        event_record_write(&blob, &plain);
        mp_write_bin(&blob, SLICE(""));
    }
    static const char name[] = "00000000000000000000000000";
    assert_int_equal(batch_load(name, buf_slice(&blob), &batch), ST_SYNTAX);
    assert_int_equal(batch_load(name, slice_of(blob.ptr, before), &batch), ST_OK);
    batch_free(batch);

    for (int more = 0; more < 2; more++) {
        buf_clear(&blob);
        id = (struct id){{0}};
        mp_write_array(&blob, 2);
        mp_write_u64(&blob, HEAD_FORMAT);
        mp_write_u64(&blob, NOW_MS);
        mp_write_bin(&blob, slice_of(id.bytes, sizeof(id.bytes)));
        event_record_write(&blob, &plain);
        mp_write_bin(&blob, targets_of((size_t)LIMIT_BATCH_DELIVERIES + (size_t)more));
        assert_int_equal(batch_load(name, buf_slice(&blob), &batch), more ? ST_SYNTAX : ST_OK);
        if (!more)
            batch_free(batch);
    }
    buf_free(&blob);
    targets_of(0);
}

static const char *damaged_name;
static uint64_t accepted;

static void load_damaged(struct slice bytes)
{
    struct batch *batch;
    enum status status = batch_load(damaged_name, bytes, &batch);
    if (status != ST_OK) {
        assert_int_equal(status, ST_SYNTAX);
        return;
    }
    expect_consistent(batch);
    batch_free(batch);
    accepted++;
}

/* Every byte of a blob set to every value, every prefix, and random damage: ST_SYNTAX, or a batch
 * of which everything holds that holds of every batch. Cut behind an event it is one of fewer. */
static void test_damaged(void **state)
{
    (void)state;
    struct id ids[3];
    struct batch *batch = three_events(ids);
    struct slice blob = buf_slice(&batch->blob);
    damaged_name = batch->id_text;
    accepted = 0;
    mutate_truncate(blob, load_damaged);
    assert_int_equal(accepted, 2); /* behind the first and the second event */
    accepted = 0;
    mutate_every_byte(blob, load_damaged);
    /* Texts, times, targets and the random ends of ids may be anything, nothing else may. */
    assert_in_range(accepted, blob.len * 256 / 4, blob.len * 256 * 3 / 4);
    mutate_randomly(blob, 11, 30000, load_damaged);
    batch_free(batch);
}

static void load_damaged_message(struct slice bytes)
{
    struct id id = {{1}};
    struct message *message;
    enum status status = message_load(&id, bytes, &message);
    if (status != ST_OK) {
        assert_int_equal(status, ST_SYNTAX);
        return;
    }
    assert_true(slice_eq(message->raw, bytes));
    assert_true(message->record.data.ptr > message->raw.ptr);
    message_put(message);
}

/* The same for a record out of the schedule; also an empty one, and one with something behind it.
 */
static void test_damaged_message(void **state)
{
    (void)state;
    struct buf record;
    struct message *message;
    struct id id = {{1}};
    buf_init(&record, 1000);
    event_record_write(&record, &plain);
    mutate_truncate(buf_slice(&record), load_damaged_message);
    mutate_every_byte(buf_slice(&record), load_damaged_message);
    mutate_randomly(buf_slice(&record), 12, 20000, load_damaged_message);
    assert_int_equal(message_load(&id, SLICE_NULL, &message), ST_SYNTAX);
    assert_int_equal(message_load(&id, SLICE(""), &message), ST_SYNTAX);
    mp_write_nil(&record);
    assert_int_equal(message_load(&id, buf_slice(&record), &message), ST_SYNTAX);
    buf_free(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_from_ids),
        cmocka_unit_test(test_ids_have_a_random_end),
        cmocka_unit_test(test_state_names),
        cmocka_unit_test(test_build_and_parse),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_stored_as_it_is),
        cmocka_unit_test(test_stored_compressed),
        cmocka_unit_test(test_stored_without_memory),
        cmocka_unit_test(test_damaged_block),
        cmocka_unit_test(test_smallest),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_one_part),
        cmocka_unit_test(test_most_parts),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_most_events),
        cmocka_unit_test(test_large_fan_out),
        cmocka_unit_test(test_most_bytes),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_references_of_one_alone),
        cmocka_unit_test(test_wrong_names),
        cmocka_unit_test(test_wrong_masks),
        cmocka_unit_test(test_wrong_blobs),
        cmocka_unit_test(test_beyond_the_limits),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_damaged_message),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    targets_of(0);
    return failed;
}
