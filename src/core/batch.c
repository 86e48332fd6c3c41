/* batch.c - the unit of durability.
 *
 * While a batch is built only its blob grows; nothing points into it, so it may move. batch_parse()
 * then reads the blob as recovery would, which costs 0.3 us an event and saves a second way of
 * doing it.
 */
#include "core/batch.h"

#include <assert.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/rng.h"
#include "core/endpoint.h"
#include "wire/encoding.h"

enum { FORMAT = 1, FORMAT_COMPRESSED = 2, SHARD = 0 };
enum { BLOB_BYTES_MAX = 2 * LIMIT_BATCH_BYTES };
enum {
    COMPRESS_BYTES_MIN = 16 * 1024,
    ACCELERATION = 4,       /* of LZ4, which is slowest and best with 1 */
    LZ4_RATIO_MAX = 255 + 1 /* no block becomes more times as long */
};

const char *batch_state_name(enum batch_state state)
{
    static const char *const names[] = {"building", "sealed",  "storing",
                                        "open",     "closing", "closed"};
    return names[state];
}

/* ---- Names ---------------------------------------------------------------------------------- */

static void put_be(uint8_t *out, size_t bytes, uint64_t value)
{
    while (bytes > 0) {
        out[--bytes] = (uint8_t)value;
        value >>= 8;
    }
}

static void name_text(const uint8_t name[BATCH_ID_BYTES], char out[BATCH_ID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < BATCH_ID_BYTES; i++) {
        out[2 * i] = digits[name[i] >> 4];
        out[2 * i + 1] = digits[name[i] & 15];
    }
    out[BATCH_ID_TEXT - 1] = '\0';
}

static void name_batch(struct batch *batch)
{
    name_text(batch->id, batch->id_text);
    memcpy(batch->member, batch->id_text, sizeof(batch->id_text));
}

static void message_id(const struct batch *batch, uint32_t index, struct id *id)
{
    memcpy(id->bytes, batch->id, 5);
    put_be(id->bytes + 5, 2, SHARD);
    memcpy(id->bytes + 7, batch->id + 5, 8);
    put_be(id->bytes + 15, 2, index);
    rng_bytes(id->bytes + 17, 3);
}

void batch_name_of(const struct id *message, char out[BATCH_ID_TEXT])
{
    uint8_t name[BATCH_ID_BYTES];
    memcpy(name, message->bytes, 5);
    memcpy(name + 5, message->bytes + 7, 8);
    name_text(name, out);
}

uint32_t batch_index_of(const struct id *message)
{
    return (uint32_t)message->bytes[15] << 8 | message->bytes[16];
}

enum status batch_member_part(struct slice member, uint32_t *part)
{
    static const char hex[] = "0123456789abcdef";
    size_t dot = BATCH_ID_TEXT - 1;
    if (member.len < dot || member.len >= BATCH_MEMBER_TEXT)
        return ST_SYNTAX;
    for (size_t i = 0; i < dot; i++)
        if (!memchr(hex, member.ptr[i], sizeof(hex) - 1))
            return ST_SYNTAX;
    *part = 0;
    if (member.len == dot)
        return ST_OK;
    for (size_t i = dot + 1; i < member.len; i++) {
        if (member.ptr[i] < '0' || member.ptr[i] > '9')
            return ST_SYNTAX;
        *part = *part * 10 + (uint32_t)(member.ptr[i] - '0');
    }
    bool valid = member.ptr[dot] == '.' && member.len > dot + 1 && member.ptr[dot + 1] != '0' &&
                 *part <= BATCH_PARTS_MAX;
    return valid ? ST_OK : ST_SYNTAX;
}

/* ---- Building ------------------------------------------------------------------------------- */

static struct batch *batch_alloc(size_t bytes_max)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    list_init(&batch->node);
    buf_init(&batch->blob, bytes_max);
    batch->refs = 1;
    return batch;
}

/* Those who read are told of masks by the header's length. */
static void write_header(struct batch *batch, const struct lanes_part *parts, size_t part_count)
{
    uint8_t masks[BATCH_PARTS_MAX * LANE_MASK_BYTES];
    mp_write_array(&batch->blob, part_count > 0 ? 3 : 2);
    mp_write_u64(&batch->blob, FORMAT);
    mp_write_u64(&batch->blob, batch->created_at_ms);
    for (size_t i = 0; i < part_count; i++)
        memcpy(masks + i * LANE_MASK_BYTES, parts[i].mask, LANE_MASK_BYTES);
    if (part_count > 0)
        mp_write_bin(&batch->blob, slice_of(masks, part_count * LANE_MASK_BYTES));
}

struct batch *batch_new(uint64_t wall_ms, uint64_t nonce, size_t bytes_max,
                        const struct lanes_part *parts, size_t part_count)
{
    assert(part_count <= BATCH_PARTS_MAX);
    struct batch *batch = batch_alloc(bytes_max);
    if (!batch)
        return NULL;
    struct id id;
    id_set_time(&id, wall_ms);
    memcpy(batch->id, id.bytes, 5);
    put_be(batch->id + 5, 8, nonce);
    name_batch(batch);
    batch->created_at_ms = wall_ms;
    batch->part_count = (uint8_t)part_count;
    write_header(batch, parts, part_count);
    if (buf_status(&batch->blob) != ST_OK) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

enum status batch_add(struct batch *batch, const struct event_record *record, struct slice targets,
                      struct id *id)
{
    assert(batch->state == BATCH_BUILDING && targets.len % TARGET_BYTES == 0);
    size_t count = targets.len / TARGET_BYTES;
    if (batch->message_count >= LIMIT_BATCH_EVENTS ||
        count > LIMIT_BATCH_DELIVERIES - batch->ordinal_count)
        return ST_LIMIT;
    size_t before = batch->blob.len;
    message_id(batch, batch->message_count, id);
    mp_write_bin(&batch->blob, slice_of(id->bytes, sizeof(id->bytes)));
    event_record_write(&batch->blob, record);
    mp_write_bin(&batch->blob, targets);
    enum status status = buf_status(&batch->blob);
    if (status != ST_OK) {
        batch->blob.len = before;
        batch->blob.error = ST_OK;
        return status;
    }
    batch->message_count++;
    batch->ordinal_count += (uint32_t)count;
    return ST_OK;
}

/* ---- Compression ---------------------------------------------------------------------------- */

struct slice batch_stored(struct batch *batch, struct buf *compressed)
{
    struct slice blob = buf_slice(&batch->blob);
    batch->stored_bytes = blob.len;
    if (blob.len < COMPRESS_BYTES_MIN)
        return blob;
    mp_write_array(compressed, 2);
    mp_write_u64(compressed, FORMAT_COMPRESSED);
    mp_write_u64(compressed, blob.len);
    int most = (int)(blob.len - blob.len / 8); /* more is not worth while */
    char *room = buf_reserve(compressed, (size_t)most);
    int len = room ? LZ4_compress_fast(blob.ptr, room, (int)blob.len, most, ACCELERATION) : 0;
    if (len <= 0)
        return blob;
    compressed->len += (size_t)len;
    batch->stored_bytes = compressed->len;
    return buf_slice(compressed);
}

/* Appends the blob to `out`, as it was. */
static enum status decompress(struct slice stored, struct buf *out)
{
    struct mp_reader reader;
    mp_reader_init(&reader, stored);
    uint32_t members = mp_read_array(&reader);
    if (mp_read_u64(&reader) != FORMAT_COMPRESSED || reader.error != ST_OK) {
        buf_add_slice(out, stored);
        return buf_status(out);
    }
    uint64_t bytes = mp_read_u64(&reader);
    size_t len = (size_t)(stored.ptr + stored.len - (const char *)reader.at);
    if (reader.error != ST_OK || members != 2 || len > BLOB_BYTES_MAX || bytes > BLOB_BYTES_MAX ||
        bytes > len * LZ4_RATIO_MAX)
        return ST_SYNTAX;
    char *room = buf_reserve(out, bytes);
    if (!room)
        return buf_status(out);
    if (LZ4_decompress_safe((const char *)reader.at, room, (int)len, (int)bytes) != (int)bytes)
        return ST_SYNTAX;
    out->len += bytes;
    return ST_OK;
}

/* ---- Parsing -------------------------------------------------------------------------------- */

/* A message is found again by its id alone, so the id must name this batch and this place in it. */
static bool id_is_ours(const struct batch *batch, uint32_t index, const struct id *id)
{
    return memcmp(id->bytes, batch->id, 5) == 0 && memcmp(id->bytes + 7, batch->id + 5, 8) == 0 &&
           batch_index_of(id) == index;
}

static void read_message(struct mp_reader *reader, struct batch *batch, uint32_t index)
{
    struct message *message = &batch->messages[index];
    struct slice id = mp_read_bin(reader);
    const char *start = (const char *)reader->at;
    event_record_read(reader, &message->record);
    message->raw = slice_of(start, (size_t)((const char *)reader->at - start));
    message->targets = mp_read_bin(reader);
    if (reader->error != ST_OK)
        return;
    if (id.len != sizeof(message->id.bytes) || message->targets.len % TARGET_BYTES != 0) {
        reader->error = ST_SYNTAX;
        return;
    }
    memcpy(message->id.bytes, id.ptr, id.len);
    if (!id_is_ours(batch, index, &message->id)) {
        reader->error = ST_SYNTAX;
        return;
    }
    id_format(message->id_text, "msg_", &message->id);
    message->batch = batch;
    message->target_count = (uint32_t)(message->targets.len / TARGET_BYTES);
    message->first_ordinal = batch->ordinal_count;
    batch->ordinal_count += message->target_count;
}

/* Messages in the blob, or 0 when it is malformed. */
static uint32_t count_messages(struct slice blob)
{
    struct mp_reader reader;
    mp_reader_init(&reader, blob);
    mp_skip(&reader);
    uint32_t values = 0;
    while (reader.error == ST_OK && !mp_at_end(&reader)) {
        mp_skip(&reader);
        values++;
    }
    return reader.error == ST_OK && values % 3 == 0 ? values / 3 : 0;
}

static void read_header(struct mp_reader *reader, struct batch *batch)
{
    uint32_t members = mp_read_array(reader);
    uint64_t format = mp_read_u64(reader);
    batch->created_at_ms = mp_read_u64(reader);
    batch->masks = members == 3 ? mp_read_bin(reader) : SLICE_NULL;
    size_t parts = batch->masks.len / LANE_MASK_BYTES;
    if (reader->error != ST_OK)
        return;
    if (members < 2 || members > 3 || format != FORMAT || (members == 3) != (parts > 0) ||
        batch->masks.len % LANE_MASK_BYTES != 0 || parts > BATCH_PARTS_MAX)
        reader->error = ST_SYNTAX;
    else
        batch->part_count = (uint8_t)parts;
}

enum status batch_parse(struct batch *batch)
{
    struct slice blob = buf_slice(&batch->blob);
    uint32_t count = batch->message_count ? batch->message_count : count_messages(blob);
    if (count == 0 || count > LIMIT_BATCH_EVENTS)
        return ST_SYNTAX;
    struct message *messages = calloc(count, sizeof(*messages));
    if (!messages)
        return ST_NOMEM;
    batch->messages = messages;
    batch->message_count = count;
    batch->ordinal_count = 0;

    struct mp_reader reader;
    mp_reader_init(&reader, blob);
    read_header(&reader, batch);
    for (uint32_t i = 0; i < count && reader.error == ST_OK; i++)
        read_message(&reader, batch, i);
    if (reader.error != ST_OK || !mp_at_end(&reader) ||
        batch->ordinal_count > LIMIT_BATCH_DELIVERIES)
        return ST_SYNTAX;
    batch->pending = batch->ordinal_count;
    if (batch->ordinal_count > 0) {
        batch->slots = calloc(batch->ordinal_count, sizeof(*batch->slots));
        if (!batch->slots)
            return ST_NOMEM;
    }
    return ST_OK;
}

enum status batch_load(const char *id_text, struct slice blob, struct batch **out)
{
    struct batch *batch = batch_alloc(BLOB_BYTES_MAX);
    if (!batch)
        return ST_NOMEM;
    size_t len;
    enum status status = hex_decode(slice_str(id_text), batch->id, sizeof(batch->id), &len);
    if (status == ST_OK && len != sizeof(batch->id))
        status = ST_SYNTAX;
    if (status == ST_OK) {
        name_batch(batch);
        batch->stored_bytes = blob.len;
        status = decompress(blob, &batch->blob);
    }
    if (status == ST_OK)
        status = batch_parse(batch);
    if (status != ST_OK) {
        batch_free(batch);
        return status == ST_NOMEM ? ST_NOMEM : ST_SYNTAX; /* too long is malformed, too */
    }
    *out = batch;
    return ST_OK;
}

/* ---- Parts ---------------------------------------------------------------------------------- */

/* The part of each lane. A lane that two masks name, as none of ours do, is of the first. */
static void parts_of_lanes(const struct batch *batch, uint8_t part_of[LANES])
{
    memset(part_of, 0, LANES);
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (unsigned part = 1; part <= batch->part_count && part_of[lane] == 0; part++)
            if (lane_in((const uint8_t *)batch->masks.ptr + (part - 1) * LANE_MASK_BYTES, lane))
                part_of[lane] = (uint8_t)part;
}

void batch_divide(struct batch *batch, uint32_t counts[BATCH_PARTS_MAX + 1])
{
    uint8_t part_of[LANES];
    memset(counts, 0, (BATCH_PARTS_MAX + 1) * sizeof(*counts));
    counts[0] = batch->ordinal_count;
    if (batch->part_count == 0)
        return;
    parts_of_lanes(batch, part_of);
    counts[0] = 0;
    for (uint32_t i = 0; i < batch->message_count; i++) {
        const struct message *message = &batch->messages[i];
        for (uint32_t target = 0; target < message->target_count; target++) {
            struct id id;
            memcpy(id.bytes, message->targets.ptr + (size_t)target * TARGET_BYTES, TARGET_BYTES);
            uint32_t lane = endpoint_lane(&id);
            batch->slots[message->first_ordinal + target].part = part_of[lane];
            counts[part_of[lane]]++;
        }
    }
}

void batch_hold_part(struct batch *batch, uint32_t part)
{
    assert(part <= batch->part_count && batch->foreign == 0);
    batch->part = (uint8_t)part;
    if (part > 0)
        snprintf(batch->member, sizeof(batch->member), "%s.%u", batch->id_text, part);
    for (uint32_t i = 0; i < batch->ordinal_count; i++) {
        struct batch_slot *slot = &batch->slots[i];
        if (slot->part == part)
            continue;
        assert(slot->state == SLOT_PENDING);
        slot->state = SLOT_FOREIGN;
        batch->foreign++;
        batch->pending--;
    }
}

struct message *batch_find(struct batch *batch, const struct id *id)
{
    uint32_t index = batch_index_of(id);
    if (index >= batch->message_count || !id_eq(&batch->messages[index].id, id))
        return NULL;
    return &batch->messages[index];
}

size_t batch_bytes(const struct batch *batch)
{
    return sizeof(*batch) + batch->blob.cap + batch->message_count * sizeof(*batch->messages) +
           batch->ordinal_count * sizeof(*batch->slots);
}

/* ---- Lifetime ------------------------------------------------------------------------------- */

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    if (batch->on_free)
        batch->on_free(batch->free_arg, batch);
    buf_free(&batch->blob);
    free(batch->messages);
    free(batch->slots);
    free(batch);
}

void batch_get(struct batch *batch)
{
    batch->refs++;
}

void batch_put(struct batch *batch)
{
    assert(batch->refs > 0);
    if (--batch->refs == 0)
        batch_free(batch);
}

struct message *message_get(struct message *message)
{
    if (message->batch)
        batch_get(message->batch);
    else
        message->refs++;
    return message;
}

void message_put(struct message *message)
{
    if (!message)
        return;
    if (message->batch)
        batch_put(message->batch);
    else if (--message->refs == 0)
        free(message);
}

enum status message_load(const struct id *id, struct slice record, struct message **out)
{
    struct message *message = calloc(1, sizeof(*message) + record.len);
    if (!message)
        return ST_NOMEM;
    char *bytes = (char *)(message + 1);
    if (record.len > 0)
        memcpy(bytes, record.ptr, record.len);
    message->refs = 1;
    message->id = *id;
    id_format(message->id_text, "msg_", id);
    message->raw = slice_of(bytes, record.len);
    struct mp_reader reader;
    mp_reader_init(&reader, message->raw);
    event_record_read(&reader, &message->record);
    if (!mp_at_end(&reader)) {
        free(message);
        return ST_SYNTAX;
    }
    *out = message;
    return ST_OK;
}
