/* event_record.c - one event as it is kept in Redis.
 *
 * An array, not a map: it is written and read by this file alone, millions of times. The first
 * member is the format's number; members are only ever added at the end, and a reader skips what it
 * does not know.
 *
 *   11 members of every event | 6 more of one that was received | 2 more of one with an ordering
 *                                                                 key, or that was a CloudEvent
 *
 * Whoever has the last ones has the six, too: an event that was not received with 0 as the time.
 * So a plain event has the same bytes as before there was anything else.
 */
#include "wire/event_record.h"

enum {
    FORMAT = 1,
    MEMBERS = 11,
    MEMBERS_RECEIVED = MEMBERS + 6,
    MEMBERS_ALL = MEMBERS_RECEIVED + 2
};

static void write_optional(struct buf *buf, struct slice text)
{
    if (text.ptr)
        mp_write_str(buf, text);
    else
        mp_write_nil(buf);
}

static void write_received(struct buf *buf, const struct event_record *record)
{
    mp_write_u64(buf, record->received_ms);
    mp_write_u64(buf, record->data_kind);
    mp_write_bool(buf, record->verified);
    write_optional(buf, record->content_type);
    write_optional(buf, record->headers);
    write_optional(buf, record->duplicate_of);
}

void event_record_write(struct buf *buf, const struct event_record *record)
{
    bool all = record->ordering_key.ptr || record->cloud_event.ptr;
    bool received = all || record->received_ms > 0;
    mp_write_array(buf, all ? MEMBERS_ALL : received ? MEMBERS_RECEIVED : MEMBERS);
    mp_write_u64(buf, FORMAT);
    mp_write_str(buf, record->application);
    mp_write_str(buf, record->type);
    mp_write_u64(buf, record->timestamp_ms);
    mp_write_u64(buf, record->deliver_at_ms);
    write_optional(buf, record->version);
    write_optional(buf, record->source);
    write_optional(buf, record->uid);
    write_optional(buf, record->traceparent);
    write_optional(buf, record->tracestate);
    mp_write_bin(buf, record->data);
    if (received)
        write_received(buf, record);
    if (all) {
        write_optional(buf, record->ordering_key);
        write_optional(buf, record->cloud_event);
    }
}

/* All but the members of every event, for one that was published. */
static void clear_received(struct event_record *record)
{
    record->received_ms = 0;
    record->content_type = record->headers = record->duplicate_of = SLICE_NULL;
    record->data_kind = EVENT_DATA_JSON;
    record->verified = false;
}

static void read_received(struct mp_reader *reader, struct event_record *record, bool all)
{
    record->received_ms = mp_read_u64(reader);
    uint64_t kind = mp_read_u64(reader);
    record->verified = mp_read_bool(reader);
    record->content_type = mp_read_str_or_nil(reader);
    record->headers = mp_read_str_or_nil(reader);
    record->duplicate_of = mp_read_str_or_nil(reader);
    if (reader->error == ST_OK && (kind > EVENT_DATA_BYTES || (record->received_ms == 0 && !all)))
        reader->error = ST_SYNTAX;
    record->data_kind = (enum event_data)kind;
}

void event_record_read(struct mp_reader *reader, struct event_record *record)
{
    uint32_t members = mp_read_array(reader);
    uint64_t format = mp_read_u64(reader);
    bool all = members >= MEMBERS_ALL;
    bool received = members >= MEMBERS_RECEIVED;
    uint32_t known = all ? MEMBERS_ALL : received ? MEMBERS_RECEIVED : MEMBERS;
    if (reader->error == ST_OK && (members < known || format != FORMAT))
        reader->error = ST_SYNTAX;
    record->application = mp_read_str(reader);
    record->type = mp_read_str(reader);
    record->timestamp_ms = mp_read_u64(reader);
    record->deliver_at_ms = mp_read_u64(reader);
    record->version = mp_read_str_or_nil(reader);
    record->source = mp_read_str_or_nil(reader);
    record->uid = mp_read_str_or_nil(reader);
    record->traceparent = mp_read_str_or_nil(reader);
    record->tracestate = mp_read_str_or_nil(reader);
    record->data = mp_read_bin(reader);
    if (received)
        read_received(reader, record, all);
    else
        clear_received(record);
    record->ordering_key = all ? mp_read_str_or_nil(reader) : SLICE_NULL;
    record->cloud_event = all ? mp_read_str_or_nil(reader) : SLICE_NULL;
    for (uint32_t i = known; i < members && reader->error == ST_OK; i++)
        mp_skip(reader);
}
