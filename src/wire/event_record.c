/* event_record.c - one event as it is kept in Redis.
 *
 * An array, not a map: it is written and read by this file alone, millions of times. The first
 * member is the format's number; members are only ever added at the end, and a reader skips what it
 * does not know.
 */
#include "wire/event_record.h"

enum { FORMAT = 1, MEMBERS = 11 };

static void write_optional(struct buf *buf, struct slice text)
{
    if (text.ptr)
        mp_write_str(buf, text);
    else
        mp_write_nil(buf);
}

void event_record_write(struct buf *buf, const struct event_record *record)
{
    mp_write_array(buf, MEMBERS);
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
}

void event_record_read(struct mp_reader *reader, struct event_record *record)
{
    uint32_t members = mp_read_array(reader);
    uint64_t format = mp_read_u64(reader);
    if (reader->error == ST_OK && (members < MEMBERS || format != FORMAT))
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
    for (uint32_t i = MEMBERS; i < members && reader->error == ST_OK; i++)
        mp_skip(reader);
}
