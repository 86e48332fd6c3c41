/* outcome.c - what became of a delivery, in the three forms in which it is kept. */
#include "core/outcome.h"

#include <string.h>

#include "core/ordering.h"
#include "wire/codec.h"

enum { FORMAT = 1, ATTEMPT_MEMBERS = 10 };
/* Of a state: at first, with its log, of one in an order, and of one that goes with others. */
enum {
    STATE_MEMBERS_ONCE = 9,
    STATE_MEMBERS = 10,
    STATE_MEMBERS_ORDERED = 11,
    STATE_MEMBERS_GROUPED = 12
};

static uint32_t state_members(const struct delivery_state *state)
{
    if (state->group.len > 0)
        return STATE_MEMBERS_GROUPED;
    return state->order.len > 0 ? STATE_MEMBERS_ORDERED : STATE_MEMBERS;
}

#define DURATION_MOST 0xffffffu /* four hours */

static void put_be(uint8_t *out, size_t bytes, uint64_t value)
{
    while (bytes > 0) {
        out[--bytes] = (uint8_t)value;
        value >>= 8;
    }
}

static uint64_t get_be(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

void outcome_write(uint8_t out[OUTCOME_BYTES], const struct outcome *outcome)
{
    out[0] = (uint8_t)outcome->status;
    out[1] = outcome->attempts;
    put_be(out + 2, 2, outcome->status_code);
    put_be(out + 4, 3, outcome->duration_ms < DURATION_MOST ? outcome->duration_ms : DURATION_MOST);
    put_be(out + 7, 4, outcome->at_ms / 1000);
    out[11] = (uint8_t)(outcome->at_ms % 1000 / 4);
}

struct outcome outcome_read(const uint8_t in[OUTCOME_BYTES])
{
    return (struct outcome){
        .status = in[0] <= OUTCOME_DUPLICATE ? (enum outcome_status)in[0] : OUTCOME_NONE,
        .attempts = in[1],
        .status_code = (uint16_t)get_be(in + 2, 2),
        .duration_ms = (uint32_t)get_be(in + 4, 3),
        .at_ms = get_be(in + 7, 4) * 1000 + (in[11] < 250 ? in[11] * UINT64_C(4) : 0),
    };
}

/* Both records are arrays whose first member is the format; members are only ever added at the end.
 */
static uint32_t begin(struct mp_reader *reader, struct slice bytes, uint32_t members)
{
    mp_reader_init(reader, bytes);
    uint32_t count = mp_read_array(reader);
    uint64_t format = mp_read_u64(reader);
    if (reader->error == ST_OK && (count < members || format != FORMAT))
        reader->error = ST_SYNTAX;
    return count;
}

/* A number that must fit the member it is for: what was cut off would be another number. */
static uint64_t read_up_to(struct mp_reader *reader, uint64_t most)
{
    uint64_t value = mp_read_u64(reader);
    if (value <= most)
        return value;
    reader->error = ST_RANGE;
    return 0;
}

void delivery_state_write(struct buf *buf, const struct delivery_state *state)
{
    uint32_t members = state_members(state);
    mp_write_array(buf, members);
    mp_write_u64(buf, FORMAT);
    mp_write_u64(buf, state->ordinal);
    mp_write_u64(buf, state->attempts);
    mp_write_u64(buf, state->replayed_at);
    mp_write_bool(buf, state->dead);
    mp_write_u64(buf, state->status_code);
    mp_write_str(buf, state->error);
    mp_write_u64(buf, state->last_at_ms);
    mp_write_u64(buf, state->accepted_at_ms);
    mp_write_bin(buf, state->log);
    if (members >= STATE_MEMBERS_ORDERED)
        mp_write_bin(buf, state->order);
    if (members >= STATE_MEMBERS_GROUPED)
        mp_write_bin(buf, state->group);
}

enum status delivery_state_read(struct slice bytes, struct delivery_state *state)
{
    struct mp_reader reader;
    uint32_t members = begin(&reader, bytes, STATE_MEMBERS_ONCE);
    *state = (struct delivery_state){.ordinal = (uint32_t)read_up_to(&reader, UINT32_MAX)};
    state->attempts = (uint32_t)read_up_to(&reader, UINT32_MAX);
    state->replayed_at = (uint32_t)read_up_to(&reader, UINT32_MAX);
    state->dead = mp_read_bool(&reader);
    state->status_code = (uint16_t)read_up_to(&reader, UINT16_MAX);
    state->error = mp_read_str(&reader);
    state->last_at_ms = mp_read_u64(&reader);
    state->accepted_at_ms = mp_read_u64(&reader);
    if (members >= STATE_MEMBERS)
        state->log = mp_read_bin(&reader);
    if (members >= STATE_MEMBERS_ORDERED)
        state->order = mp_read_bin(&reader);
    if (members >= STATE_MEMBERS_GROUPED)
        state->group = mp_read_bin(&reader);
    bool wrong = state->order.len > 0 && state->order.len != ORDER_HASH_BYTES;
    return reader.error == ST_OK && wrong ? ST_SYNTAX : reader.error;
}

static struct slice id_bytes(const struct id *id)
{
    return slice_of(id->bytes, sizeof(id->bytes));
}

static void read_id(struct mp_reader *reader, struct id *id)
{
    struct slice bytes = mp_read_bin(reader);
    if (bytes.len == sizeof(id->bytes))
        memcpy(id->bytes, bytes.ptr, bytes.len);
    else if (reader->error == ST_OK)
        reader->error = ST_SYNTAX;
}

void attempt_record_write(struct buf *buf, const struct attempt_record *record)
{
    mp_write_array(buf, ATTEMPT_MEMBERS);
    mp_write_u64(buf, FORMAT);
    mp_write_bin(buf, id_bytes(&record->id));
    mp_write_bin(buf, id_bytes(&record->event_id));
    mp_write_u64(buf, record->number);
    mp_write_bool(buf, record->success);
    mp_write_u64(buf, record->status_code);
    mp_write_u64(buf, record->duration_ms);
    mp_write_u64(buf, record->at_ms);
    mp_write_str(buf, record->error);
    mp_write_bin(buf, record->body);
}

enum status attempt_record_read(struct slice bytes, struct attempt_record *record)
{
    struct mp_reader reader;
    begin(&reader, bytes, ATTEMPT_MEMBERS);
    *record = (struct attempt_record){.number = 0};
    read_id(&reader, &record->id);
    read_id(&reader, &record->event_id);
    record->number = (uint32_t)read_up_to(&reader, UINT32_MAX);
    record->success = mp_read_bool(&reader);
    record->status_code = (uint16_t)read_up_to(&reader, UINT16_MAX);
    record->duration_ms = (uint32_t)read_up_to(&reader, UINT32_MAX);
    record->at_ms = mp_read_u64(&reader);
    record->error = mp_read_str(&reader);
    record->body = mp_read_bin(&reader);
    return reader.error;
}
