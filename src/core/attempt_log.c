/* attempt_log.c - the last attempts of one delivery, as they are kept with its event.
 *
 * Rejected: a list of attempts for each event. It is a key more, some 100 bytes for a waiting event
 * of which 1,700 are allowed, and two commands more for each failure.
 */
#include "core/attempt_log.h"

#include <string.h>

#include "base/hash.h"
#include "base/limits.h"

enum { MEMBERS = 6, TIME_BYTES = 5 };

void attempt_id(struct id *id, const struct id *event, const struct id *endpoint, uint32_t number,
                uint64_t at_ms)
{
    uint8_t text[2 * sizeof(event->bytes) + 5];
    uint64_t low, high;
    memcpy(text, event->bytes, sizeof(event->bytes));
    memcpy(text + sizeof(event->bytes), endpoint->bytes, sizeof(endpoint->bytes));
    uint8_t *behind = text + 2 * sizeof(event->bytes);
    for (int i = 0; i < 4; i++)
        behind[i] = (uint8_t)(number >> (8 * i));
    behind[4] = 0;
    low = hash_stable(slice_of(text, sizeof(text)));
    behind[4] = 1;
    high = hash_stable(slice_of(text, sizeof(text)));
    id_set_time(id, at_ms);
    memcpy(id->bytes + TIME_BYTES, &low, 8);
    memcpy(id->bytes + TIME_BYTES + 8, &high, sizeof(id->bytes) - TIME_BYTES - 8);
}

bool attempt_log_next(struct mp_reader *reader, struct attempt_record *record)
{
    *record = (struct attempt_record){.number = 0};
    if (reader->at == reader->end)
        return false;
    uint32_t members = mp_read_array(reader);
    uint64_t number = mp_read_u64(reader);
    record->at_ms = mp_read_u64(reader);
    uint64_t status_code = mp_read_u64(reader);
    uint64_t duration_ms = mp_read_u64(reader);
    record->error = mp_read_str(reader);
    record->body = mp_read_bin(reader);
    for (uint32_t i = MEMBERS; i < members && reader->error == ST_OK; i++)
        mp_skip(reader);
    if (reader->error == ST_OK && (members < MEMBERS || number > UINT32_MAX ||
                                   status_code > UINT16_MAX || duration_ms > UINT32_MAX))
        reader->error = ST_SYNTAX;
    record->number = (uint32_t)number;
    record->status_code = (uint16_t)status_code;
    record->duration_ms = (uint32_t)duration_ms;
    record->success = record->error.len == 0;
    return reader->error == ST_OK;
}

/* What stays of the log when one more comes; empty when it cannot be read. */
static struct slice newest(struct slice log)
{
    struct mp_reader reader;
    struct attempt_record record;
    const uint8_t *starts[LIMIT_EVENT_ATTEMPTS];
    size_t count = 0;
    mp_reader_init(&reader, log);
    const uint8_t *start = reader.at;
    while (attempt_log_next(&reader, &record)) {
        starts[count++ % LIMIT_EVENT_ATTEMPTS] = start;
        start = reader.at;
    }
    if (!mp_at_end(&reader))
        return SLICE_NULL;
    if (count < LIMIT_EVENT_ATTEMPTS)
        return log;
    const char *from = (const char *)starts[(count + 1) % LIMIT_EVENT_ATTEMPTS];
    return slice_of(from, (size_t)(log.ptr + log.len - from));
}

void attempt_log_add(struct buf *out, struct slice log, const struct attempt_record *record)
{
    struct slice body = record->body;
    if (body.len > LIMIT_EVENT_ATTEMPT_BODY_BYTES)
        body.len = LIMIT_EVENT_ATTEMPT_BODY_BYTES;
    buf_add_slice(out, newest(log));
    mp_write_array(out, MEMBERS);
    mp_write_u64(out, record->number);
    mp_write_u64(out, record->at_ms);
    mp_write_u64(out, record->status_code);
    mp_write_u64(out, record->duration_ms);
    mp_write_str(out, record->error);
    mp_write_bin(out, body);
}
