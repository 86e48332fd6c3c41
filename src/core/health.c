/* health.c - since when an endpoint has done nothing but fail.
 *
 *               first failure
 *     well ───────────────────────▶ failing since t ──┐ any failure: t stays
 *      ▲                                  │     ▲     │
 *      └──────────── a success ───────────┘     └─────┘
 *
 * One time and no window: N hours are over when a failure comes and t is N hours ago. So an
 * endpoint that nobody sends to is never switched off, and one success is enough to start anew.
 * Rejected: a count of failures beside the time, because retries come so rarely towards the end of
 * a schedule that any useful number would keep a dead endpoint for weeks.
 *
 * The record is JSON of two hundred bytes at most, {"failingSince":…,"breaker":"open","probeAt":…,
 * "opened":…,"openedAt":…,"reason":…}; what has its normal value is left out, so a healthy endpoint
 * has none.
 */
#include "core/health.h"

#include <string.h>

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/parse.h"

enum { MEMBERS_MAX = 32 };

void health_init(struct endpoint_health *health)
{
    *health = (struct endpoint_health){.consecutive_failures = 0};
    list_init(&health->unsaved);
}

bool health_failed(struct endpoint_health *health, uint64_t now_ms)
{
    if (health->consecutive_failures < UINT32_MAX)
        health->consecutive_failures++;
    if (health->kept.failing_since_ms != 0)
        return false;
    health->kept.failing_since_ms = now_ms;
    return true;
}

bool health_succeeded(struct endpoint_health *health)
{
    bool changed = health->kept.failing_since_ms != 0;
    health->consecutive_failures = 0;
    health->kept.failing_since_ms = 0;
    return changed;
}

bool health_overdue(const struct endpoint_health *health, uint64_t now_ms, uint64_t after_ms)
{
    uint64_t since_ms = health->kept.failing_since_ms;
    return after_ms != 0 && since_ms != 0 && now_ms >= since_ms && now_ms - since_ms >= after_ms;
}

/* ---- The record ----------------------------------------------------------------------------- */

bool health_record_same(const struct health_record *a, const struct health_record *b)
{
    return a->failing_since_ms == b->failing_since_ms && a->probe_at_ms == b->probe_at_ms &&
           a->opened == b->opened && a->opened_at_ms == b->opened_at_ms &&
           strcmp(a->breaker, b->breaker) == 0 && strcmp(a->reason, b->reason) == 0;
}

void health_record_write(struct buf *buf, const struct health_record *record)
{
    bool well = record->failing_since_ms == 0 && record->breaker[0] == '\0' &&
                record->probe_at_ms == 0 && record->opened == 0 && record->opened_at_ms == 0 &&
                record->reason[0] == '\0';
    if (well)
        return;
    struct json_out out;
    json_out_begin(&out, buf);
    json_object_open(&out);
    if (record->failing_since_ms)
        json_member_u64(&out, "failingSince", record->failing_since_ms);
    if (record->breaker[0])
        json_member_cstr(&out, "breaker", record->breaker);
    if (record->probe_at_ms)
        json_member_u64(&out, "probeAt", record->probe_at_ms);
    if (record->opened)
        json_member_u64(&out, "opened", record->opened);
    if (record->opened_at_ms)
        json_member_u64(&out, "openedAt", record->opened_at_ms);
    if (record->reason[0])
        json_member_cstr(&out, "reason", record->reason);
    json_object_close(&out);
}

static uint64_t number_of(const struct json_member *members, size_t count, struct slice name,
                          uint64_t most)
{
    const struct json_member *member = json_find(members, count, name);
    uint64_t value;
    return member && parse_u64(member->value, &value) == ST_OK && value <= most ? value : 0;
}

/* `out` is all zero. */
static void take_name(const struct json_member *member, char *out, size_t size)
{
    if (!member || member->type != JSON_STRING || !json_string_is_plain(member->value) ||
        member->value.len - 2 >= size)
        return;
    memcpy(out, member->value.ptr + 1, member->value.len - 2);
}

enum status health_record_read(struct slice json, struct health_record *record)
{
    struct json_member members[MEMBERS_MAX];
    size_t count;
    *record = (struct health_record){.failing_since_ms = 0};
    if (json_members(json, members, MEMBERS_MAX, &count, NULL) != ST_OK)
        return ST_SYNTAX;
    record->failing_since_ms = number_of(members, count, SLICE("failingSince"), UINT64_MAX);
    record->probe_at_ms = number_of(members, count, SLICE("probeAt"), UINT64_MAX);
    record->opened = (uint32_t)number_of(members, count, SLICE("opened"), UINT32_MAX);
    record->opened_at_ms = number_of(members, count, SLICE("openedAt"), UINT64_MAX);
    take_name(json_find(members, count, SLICE("breaker")), record->breaker,
              sizeof(record->breaker));
    take_name(json_find(members, count, SLICE("reason")), record->reason, sizeof(record->reason));
    return ST_OK;
}
