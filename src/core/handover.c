/* handover.c - what protects a lane's endpoints goes with the lane to its next owner.
 *
 * The state is msgpack:
 *
 *     [version, when (Redis's ms), [endpoint …]]
 *     endpoint   [id, failures, next, breaker, allowance]
 *     failures   [failing since (ms, 0: it is not), in a row, told of a backlog]
 *     next       the rate limit's state (Redis's us, 0: a full bucket)
 *     breaker    nil (closed, and an empty window)
 *                [true, reason, times opened, opened at (ms), probe at (ms)]
 *                [false, failures in a row, ms of a bucket, [outcomes, failures of each bucket]]
 *     allowance  nil (fresh) or [limit, threshold, usual us, in trouble]
 *
 * A list may be longer than this: a later program of the same version knows more, and what is
 * behind is passed over. A change that an old program must not misread takes another version; then
 * lanes change hands as after a death, which is safe.
 *
 * Reading comes first and is complete: only a state that is right from end to end changes anything.
 *
 * Failures are in it although Redis has `failingSince` in its own hash: that is written a moment
 * later, and what the old owner had not written yet it will not write any more (health_store.c).
 */
#include "core/handover.h"

#include <stdlib.h>

#include "base/limits.h"
#include "core/gate.h"
#include "core/health_store.h"
#include "wire/codec.h"

enum {
    VERSION = 1,
    ENDPOINT_MEMBERS = 5,
    FAILURES_MEMBERS = 3,
    OPEN_MEMBERS = 5,
    CLOSED_MEMBERS = 4,
    ALLOWANCE_MEMBERS = 4,
    ENDPOINT_BYTES_MIN = 24, /* its id alone takes 22 */
};

/* The end of the year 9999: no time is later. */
#define MS_MOST UINT64_C(253402300799999)

/* ---- Writing -------------------------------------------------------------------------------- */

static void write_breaker(struct buf *out, const struct breaker_memory *breaker)
{
    mp_write_array(out, breaker->open ? OPEN_MEMBERS : CLOSED_MEMBERS);
    mp_write_bool(out, breaker->open);
    if (breaker->open) {
        mp_write_u64(out, breaker->reason);
        mp_write_u64(out, breaker->opened);
        mp_write_u64(out, breaker->opened_at_ms);
        mp_write_u64(out, breaker->probe_at_ms);
        return;
    }
    mp_write_u64(out, breaker->in_a_row);
    mp_write_u64(out, breaker->bucket_ms);
    mp_write_array(out, 2 * BREAKER_BUCKETS);
    for (size_t i = 0; i < BREAKER_BUCKETS; i++) {
        mp_write_u64(out, breaker->counts[i]);
        mp_write_u64(out, breaker->failures[i]);
    }
}

static void write_allowance(struct buf *out, const struct allowance_memory *allowance)
{
    mp_write_array(out, ALLOWANCE_MEMBERS);
    mp_write_double(out, (double)allowance->limit);
    mp_write_double(out, (double)allowance->threshold);
    mp_write_double(out, (double)allowance->usual_us);
    mp_write_bool(out, allowance->in_trouble);
}

/* False: it is at rest, and nothing was written. */
static bool write_endpoint(struct buf *out, const struct core *core,
                           const struct endpoint *endpoint)
{
    const struct endpoint_health *health = &endpoint->health;
    struct gate_state gate;
    bool failing = health->kept.failing_since_ms > 0 || health->consecutive_failures > 0;
    if (!gate_export(core->gate, endpoint, &gate) && !failing && !endpoint->told.backlog)
        return false;
    mp_write_array(out, ENDPOINT_MEMBERS);
    mp_write_bin(out, slice_of(endpoint->id.bytes, sizeof(endpoint->id.bytes)));
    mp_write_array(out, FAILURES_MEMBERS);
    mp_write_u64(out, health->kept.failing_since_ms);
    mp_write_u64(out, health->consecutive_failures);
    mp_write_bool(out, endpoint->told.backlog);
    mp_write_u64(out, gate.next_us);
    if (gate.has_breaker)
        write_breaker(out, &gate.breaker);
    else
        mp_write_nil(out);
    if (gate.has_allowance)
        write_allowance(out, &gate.allowance);
    else
        mp_write_nil(out);
    return true;
}

enum status handover_write(struct core *core, uint32_t lane, struct buf *out)
{
    struct buf endpoints;
    buf_init(&endpoints, LIMIT_HANDOVER_BYTES);
    uint32_t count = 0;
    struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(core->registry, lane, endpoint)))
        count += write_endpoint(&endpoints, core, endpoint);
    mp_write_array(out, 3);
    mp_write_u64(out, VERSION);
    mp_write_u64(out, store_redis_ms(core->store));
    mp_write_array(out, count);
    buf_add_slice(out, buf_slice(&endpoints));
    enum status status = buf_status(&endpoints);
    buf_free(&endpoints);
    return status ? status : buf_status(out);
}

/* ---- Reading -------------------------------------------------------------------------------- */

struct entry {
    struct id id;
    uint64_t failing_since_ms;
    uint32_t consecutive_failures;
    bool told_backlog;
    struct gate_state gate;
};

/* Reads a list's beginning; returns how many members it has beyond the known ones. */
static uint32_t begin_list(struct mp_reader *reader, uint32_t known)
{
    uint32_t count = mp_read_array(reader);
    if (count < known && reader->error == ST_OK)
        reader->error = ST_SYNTAX;
    return count > known ? count - known : 0;
}

static void end_list(struct mp_reader *reader, uint32_t unknown)
{
    for (; unknown > 0 && reader->error == ST_OK; unknown--)
        mp_skip(reader);
}

/* A number from `least` to `most`; `least` after an error. */
static uint64_t read_number(struct mp_reader *reader, uint64_t least, uint64_t most)
{
    uint64_t value = mp_read_u64(reader);
    if (reader->error == ST_OK && (value < least || value > most))
        reader->error = ST_RANGE;
    return reader->error == ST_OK ? value : least;
}

static void read_window(struct mp_reader *reader, struct breaker_memory *out)
{
    uint32_t unknown = begin_list(reader, 2 * BREAKER_BUCKETS);
    for (size_t i = 0; i < BREAKER_BUCKETS; i++) {
        out->counts[i] = (uint16_t)read_number(reader, 0, UINT16_MAX);
        out->failures[i] = (uint16_t)read_number(reader, 0, out->counts[i]);
    }
    end_list(reader, unknown);
}

static void read_breaker(struct mp_reader *reader, struct breaker_memory *out)
{
    uint32_t count = mp_read_array(reader);
    *out = (struct breaker_memory){.open = mp_read_bool(reader)};
    uint32_t known = out->open ? OPEN_MEMBERS : CLOSED_MEMBERS;
    if (count < known && reader->error == ST_OK)
        reader->error = ST_SYNTAX;
    if (out->open) {
        out->reason = (enum breaker_reason)read_number(reader, BREAKER_CONSECUTIVE_FAILURES,
                                                       BREAKER_PROBE_FAILED);
        out->opened = (uint16_t)read_number(reader, 1, UINT16_MAX);
        out->opened_at_ms = read_number(reader, 0, MS_MOST);
        out->probe_at_ms = read_number(reader, 0, MS_MOST);
    } else {
        out->in_a_row = (uint32_t)read_number(reader, 0, UINT32_MAX);
        out->bucket_ms = read_number(reader, 1, MS_MOST);
        read_window(reader, out);
    }
    end_list(reader, reader->error == ST_OK ? count - known : 0);
}

static void read_allowance(struct mp_reader *reader, struct allowance_memory *out)
{
    uint32_t unknown = begin_list(reader, ALLOWANCE_MEMBERS);
    out->limit = (float)mp_read_double(reader);
    out->threshold = (float)mp_read_double(reader);
    out->usual_us = (float)mp_read_double(reader);
    out->in_trouble = mp_read_bool(reader);
    end_list(reader, unknown);
}

static void read_failures(struct mp_reader *reader, struct entry *out)
{
    uint32_t unknown = begin_list(reader, FAILURES_MEMBERS);
    out->failing_since_ms = read_number(reader, 0, MS_MOST);
    out->consecutive_failures = (uint32_t)read_number(reader, 0, UINT32_MAX);
    out->told_backlog = mp_read_bool(reader);
    end_list(reader, unknown);
}

static void read_endpoint(struct mp_reader *reader, struct entry *out)
{
    *out = (struct entry){.consecutive_failures = 0};
    uint32_t unknown = begin_list(reader, ENDPOINT_MEMBERS);
    struct slice id = mp_read_bin(reader);
    if (id.len == sizeof(out->id.bytes))
        memcpy(out->id.bytes, id.ptr, id.len);
    else if (reader->error == ST_OK)
        reader->error = ST_SYNTAX;
    read_failures(reader, out);
    out->gate.next_us = read_number(reader, 0, MS_MOST * 1000);
    out->gate.has_breaker = mp_peek(reader) != MP_NIL;
    if (out->gate.has_breaker)
        read_breaker(reader, &out->gate.breaker);
    else
        mp_read_nil(reader);
    out->gate.has_allowance = mp_peek(reader) != MP_NIL;
    if (out->gate.has_allowance)
        read_allowance(reader, &out->gate.allowance);
    else
        mp_read_nil(reader);
    end_list(reader, unknown);
}

static int by_id(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    return memcmp(left->id.bytes, right->id.bytes, sizeof(left->id.bytes));
}

/* A whole state: its endpoints in the order of their ids. */
struct handover {
    uint64_t written_at_ms;
    struct entry *entries; /* NULL when there are none */
    size_t count;
};

static enum status handover_read(struct slice state, struct handover *out)
{
    struct mp_reader reader;
    mp_reader_init(&reader, state);
    *out = (struct handover){.entries = NULL};
    uint32_t unknown = begin_list(&reader, 3);
    if (mp_read_u64(&reader) != VERSION)
        return ST_SYNTAX;
    out->written_at_ms = read_number(&reader, 0, MS_MOST);
    uint32_t count = mp_read_array(&reader);
    if (reader.error != ST_OK || count > state.len / ENDPOINT_BYTES_MIN)
        return ST_SYNTAX;
    if (count > 0 && !(out->entries = malloc(count * sizeof(out->entries[0]))))
        return ST_NOMEM;
    for (uint32_t i = 0; i < count && reader.error == ST_OK; i++)
        read_endpoint(&reader, &out->entries[i]);
    end_list(&reader, unknown);
    if (!mp_at_end(&reader)) {
        free(out->entries);
        out->entries = NULL;
        return ST_SYNTAX;
    }
    out->count = count;
    if (count > 0)
        qsort(out->entries, count, sizeof(out->entries[0]), by_id);
    return ST_OK;
}

/* ---- Taking over ---------------------------------------------------------------------------- */

/* `entry` NULL: it is at rest. What Redis keeps is written again when it says something else. */
static void apply(struct core *core, struct endpoint *endpoint, const struct entry *entry,
                  uint64_t age_ms)
{
    struct endpoint_health *health = &endpoint->health;
    struct health_record before = health->kept;
    health->kept.failing_since_ms = entry ? entry->failing_since_ms : 0;
    health->consecutive_failures = entry ? entry->consecutive_failures : 0;
    endpoint->told.backlog = entry && entry->told_backlog;
    gate_import(core->gate, endpoint, entry ? &entry->gate : NULL, age_ms);
    if (!health_record_same(&before, &health->kept))
        health_store_note(core->health, endpoint);
}

enum status handover_apply(struct core *core, uint32_t lane, struct slice state)
{
    struct handover handover;
    enum status status = handover_read(state, &handover);
    if (status != ST_OK)
        return status;
    uint64_t now_ms = store_redis_ms(core->store);
    uint64_t age_ms = now_ms > handover.written_at_ms ? now_ms - handover.written_at_ms : 0;
    struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(core->registry, lane, endpoint))) {
        struct entry key = {.id = endpoint->id};
        const struct entry *entry = NULL;
        if (handover.count > 0)
            entry = bsearch(&key, handover.entries, handover.count, sizeof(key), by_id);
        apply(core, endpoint, entry, age_ms);
    }
    free(handover.entries);
    return ST_OK;
}

void handover_absent(struct core *core, uint32_t lane)
{
    struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(core->registry, lane, endpoint))) {
        endpoint->health.consecutive_failures = 0;
        endpoint->told.backlog = false;
        gate_restore(core->gate, endpoint);
    }
}

void handover_leave(struct core *core, uint32_t lane)
{
    struct endpoint *endpoint = NULL;
    while ((endpoint = registry_next_in_lane(core->registry, lane, endpoint))) {
        endpoint->health.kept = (struct health_record){.failing_since_ms = 0};
        endpoint->health.consecutive_failures = 0;
        endpoint->told.backlog = false;
        gate_leave(core->gate, endpoint);
    }
}
