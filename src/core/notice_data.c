/* notice_data.c - what operational events say, and how often.
 *
 * A table says which members each type has; a member that has no value at the moment is null, so
 * that every event of a type has the same members. The rate is GCRA with one number: the time at
 * which all notices let through so far would be due if they came evenly; a burst is how far that
 * time may lie ahead.
 */
#include "core/notice_data.h"

#include "base/json_out.h"

enum { REASON = 1, ATTEMPT = 2, FAILING = 4, NEXT = 8, BACKLOG = 16, SUPPRESSED = 32 };

static const struct {
    const char *name;
    unsigned members;
} types[NOTICE_TYPES] = {
    [NOTICE_ENDPOINT_DISABLED] = {"endpoint.disabled", REASON | ATTEMPT | FAILING},
    [NOTICE_BREAKER_OPENED] = {"endpoint.breaker_opened", REASON | FAILING | NEXT},
    [NOTICE_BREAKER_CLOSED] = {"endpoint.breaker_closed", REASON},
    [NOTICE_BACKLOG] = {"endpoint.backlog", BACKLOG | FAILING},
    [NOTICE_DELIVERY_FAILING] = {"delivery.failing", ATTEMPT | FAILING | NEXT | SUPPRESSED},
    [NOTICE_DELIVERY_EXHAUSTED] = {"delivery.exhausted", REASON | ATTEMPT | FAILING | SUPPRESSED},
    [NOTICE_DELIVERY_RECOVERED] = {"delivery.recovered", ATTEMPT | SUPPRESSED},
};

const char *notice_type_name(enum notice_type type)
{
    return types[type].name;
}

bool notice_named(struct slice source, struct slice type)
{
    if (!slice_eq(source, NOTICE_SOURCE))
        return false;
    for (int i = 0; i < NOTICE_TYPES; i++)
        if (slice_eq(type, slice_str(types[i].name)))
            return true;
    return false;
}

/* ---- Content -------------------------------------------------------------------------------- */

static void member_text(struct json_out *out, const char *name, const char *text)
{
    json_member_str_or_null(out, name, text && text[0] ? slice_str(text) : SLICE_NULL);
}

static void member_time(struct json_out *out, const char *name, uint64_t unix_ms)
{
    if (unix_ms)
        json_member_time_ms(out, name, unix_ms);
    else
        json_member_null(out, name);
}

static void write_attempt(struct json_out *out, const struct notice_attempt *attempt)
{
    member_text(out, "eventId", attempt->event_id);
    member_text(out, "eventType", attempt->event_type);
    json_member_u64(out, "attempts", attempt->attempts);
    if (attempt->status_code)
        json_member_i64(out, "statusCode", attempt->status_code);
    else
        json_member_null(out, "statusCode");
    member_text(out, "error", attempt->error);
}

void notice_data_write(struct buf *buf, const struct notice_data *data)
{
    unsigned members = types[data->type].members;
    struct json_out out;
    json_out_begin(&out, buf);
    json_object_open(&out);
    json_member_cstr(&out, "webhookId", data->webhook_id);
    member_text(&out, "url", data->url);
    if (members & REASON)
        member_text(&out, "reason", data->reason);
    if (members & ATTEMPT)
        write_attempt(&out, &data->attempt);
    if (members & BACKLOG) {
        json_member_u64(&out, "waiting", data->waiting);
        json_member_u64(&out, "threshold", data->threshold);
    }
    if (members & FAILING) {
        member_time(&out, "failingSince", data->failing_since_ms);
        json_member_u64(&out, "consecutiveFailures", data->consecutive_failures);
    }
    if (members & NEXT)
        member_time(&out, "nextAttemptAt", data->next_attempt_at_ms);
    if (members & SUPPRESSED)
        json_member_u64(&out, "suppressed", data->suppressed);
    json_object_close(&out);
}

/* ---- How often ------------------------------------------------------------------------------ */

bool notice_rate_take(struct notice_rate *rate, uint64_t now_ms, uint32_t *suppressed)
{
    if (rate->due_at_ms > now_ms + (NOTICE_BURST - 1) * NOTICE_EVERY_MS) {
        if (rate->suppressed < UINT32_MAX)
            rate->suppressed++;
        return false;
    }
    uint64_t from_ms = rate->due_at_ms > now_ms ? rate->due_at_ms : now_ms;
    rate->due_at_ms = from_ms + NOTICE_EVERY_MS;
    *suppressed = rate->suppressed;
    rate->suppressed = 0;
    return true;
}

bool notice_backlog_begins(struct notice_memory *memory, uint64_t waiting, uint64_t threshold)
{
    bool above = threshold != 0 && waiting >= threshold;
    bool begins = above && !memory->backlog;
    memory->backlog = above || (memory->backlog && waiting >= threshold / 2);
    return begins;
}
