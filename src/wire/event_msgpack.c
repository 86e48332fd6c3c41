/* event_msgpack.c - an event in msgpack.
 *
 * One pass from the first byte to the last. Texts stay where they are; `data` becomes JSON in the
 * document's storage, which holds nothing else and may not become larger than data may be. So what
 * a small document says of large ones (a length, a depth, a count) is never taken for granted.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "wire/codec.h"
#include "wire/event_document_private.h"
#include "wire/msgpack_json.h"

static enum status refuse_msgpack(struct event_reading *reading, const struct mp_reader *reader,
                                  struct slice body)
{
    return field_refuse(reading->error, "invalid_msgpack", "",
                        "The msgpack ends too early or is none, at byte %zu.",
                        (size_t)((const char *)reader->at - body.ptr));
}

static enum status take_data(struct event_reading *reading, struct mp_reader *reader)
{
    enum { DEPTH_MAX = LIMIT_JSON_DEPTH - 1 }; /* as in JSON, where the event is around it */
    struct buf *storage = &reading->document->storage;
    size_t bytes = (size_t)(reader->end - reader->at);
    storage->max = reading->rules->data_bytes_max;
    buf_expect(storage, bytes + bytes / 4);
    enum status status = msgpack_json(reader, "data", DEPTH_MAX, storage, reading->error);
    if (status == ST_LIMIT)
        return field_refuse(reading->error, "payload_too_large", "data",
                            "As JSON, data has more than the %zu bytes that are taken "
                            "(ingest.maxEventBytes).",
                            storage->max);
    reading->document->record.data = buf_slice(storage);
    return status;
}

/* A time that the member can have: as in RFC 3339 texts, from 1970 to 9999, without what is below a
 * millisecond. */
static bool time_of(const struct mp_value *value, uint64_t *unix_ms)
{
    int64_t seconds;
    uint32_t nanoseconds;
    if (!mp_value_time(value, &seconds, &nanoseconds) || seconds < 0 || seconds > 253402300799)
        return false;
    *unix_ms = (uint64_t)seconds * 1000 + nanoseconds / 1000000;
    return true;
}

/* A container is passed no further than its head: no member but data has one, so it is refused. */
static enum status take_value(struct event_reading *reading, struct mp_reader *reader,
                              struct slice body, const struct event_member *member)
{
    struct mp_value found;
    struct event_value value = {.kind = VALUE_OTHER};
    enum mp_type type = mp_next(reader, &found);
    if (type == MP_NONE)
        return refuse_msgpack(reading, reader, body);
    if (type == MP_STR && !utf8_valid(found.bytes))
        return event_refuse(reading, "unsupported_value", member->name.ptr,
                            "This text is not UTF-8.");
    if (type == MP_STR) {
        value.kind = VALUE_TEXT;
        value.text = found.bytes;
    } else if (type == MP_UINT) {
        value.kind = VALUE_INTEGER;
        value.number = found.number;
    } else if (time_of(&found, &value.number)) {
        value.kind = VALUE_TIME;
    }
    return member->take(reading, member->name.ptr, &value);
}

static enum status take_member(struct event_reading *reading, struct mp_reader *reader,
                               struct slice body, unsigned *seen)
{
    struct mp_value name;
    enum mp_type type = mp_next(reader, &name);
    if (type == MP_NONE)
        return refuse_msgpack(reading, reader, body);
    if (type != MP_STR)
        return event_refuse(reading, "invalid_msgpack", "",
                            "The keys of an event must be strings.");
    unsigned i = 0;
    while (i < EVENT_MEMBERS && !slice_eq(event_members[i].name, name.bytes))
        i++;
    if (i == EVENT_MEMBERS)
        return event_refuse_name(reading, name.bytes);
    const struct event_member *member = &event_members[i];
    if ((*seen & 1U << i) != 0)
        return event_refuse(reading, "invalid_msgpack", member->name.ptr,
                            "This key is there twice.");
    *seen |= 1U << i;
    return member->take ? take_value(reading, reader, body, member) : take_data(reading, reader);
}

enum status event_read_msgpack(struct event_reading *reading, struct slice body)
{
    struct mp_reader reader;
    mp_reader_init(&reader, body);
    if (mp_peek(&reader) != MP_MAP)
        return event_refuse(reading, "invalid_msgpack", "", "The body must be a map in msgpack.");
    uint32_t count = mp_read_map(&reader);
    if (reader.error != ST_OK)
        return refuse_msgpack(reading, &reader, body);
    unsigned seen = 0;
    enum status status = ST_OK;
    for (uint32_t i = 0; i < count && status == ST_OK; i++)
        status = take_member(reading, &reader, body, &seen);
    if (status == ST_OK && !mp_at_end(&reader))
        return field_refuse(reading->error, "invalid_msgpack", "",
                            "%zu bytes follow behind the event.", (size_t)(reader.end - reader.at));
    return status;
}
