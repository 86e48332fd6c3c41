/* watch.c - what an attempt's end means for its endpoint.
 *
 *     attempt ──▶ health ──▶ "failing since" changed? ──▶ health_store_note()
 *        │           └─────▶ to be switched off? ───────▶ endpoint_store_disable() ─▶ the notice
 *        └──▶ the delivery's 4th failure, its last one, its recovery ──────────────▶ the notice
 *
 * Deliveries of operational events count for their endpoint's health like any others, or an
 * endpoint that takes nothing else would be tried for ever; but nothing is told about them.
 */
#include "core/watch.h"

#include <stdio.h>

#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/gate.h"
#include "core/health_store.h"
#include "core/notice.h"

enum { FAILING_AT = 4 }; /* failures of a delivery */

static void copy(char *out, size_t size, struct slice text)
{
    snprintf(out, size, "%.*s", SLICE_ARGS(text));
}

static struct notice_attempt attempt_of(const struct delivery *delivery,
                                        const struct attempt_record *record)
{
    const struct message *message = delivery->message;
    struct notice_attempt attempt = {.attempts = record->number,
                                     .status_code = record->status_code};
    copy(attempt.event_id, sizeof(attempt.event_id), slice_str(message->id_text));
    copy(attempt.event_type, sizeof(attempt.event_type), message->record.type);
    copy(attempt.error, sizeof(attempt.error), record->error);
    return attempt;
}

static bool final(enum retry_verdict verdict)
{
    return verdict == RETRY_EXHAUSTED || verdict == RETRY_EXCLUDED;
}

/* "": it stays as it is. */
static const char *reason_to_disable(const struct core *core, const struct endpoint *endpoint,
                                     enum retry_verdict verdict, uint64_t now_ms)
{
    const struct core_options *options = &core->options;
    if (verdict == RETRY_GONE)
        return "gone";
    if (final(verdict) && options->disable_on_exhausted)
        return "exhausted";
    return health_overdue(&endpoint->health, now_ms, options->disable_after_ms) ? "failing" : "";
}

static void tell(struct core *core, const struct delivery *delivery, enum retry_verdict verdict,
                 const struct attempt_record *record, uint64_t next_at_ms)
{
    struct endpoint *endpoint = delivery->endpoint;
    bool recovered = record->success && record->number > FAILING_AT;
    bool failing = !record->success && record->number == FAILING_AT;
    if ((!recovered && !failing && !final(verdict)) ||
        notice_named(delivery->message->record.source, delivery->message->record.type))
        return;
    struct notice_attempt attempt = attempt_of(delivery, record);
    if (recovered)
        notice_delivery(core, endpoint, NOTICE_DELIVERY_RECOVERED, NULL, &attempt, 0);
    if (failing)
        notice_delivery(core, endpoint, NOTICE_DELIVERY_FAILING, NULL, &attempt, next_at_ms);
    if (final(verdict))
        notice_delivery(core, endpoint, NOTICE_DELIVERY_EXHAUSTED, retry_verdict_name(verdict),
                        &attempt, 0);
}

void watch_attempt(struct core *core, const struct delivery *delivery, enum retry_verdict verdict,
                   const struct attempt_record *record, uint64_t delay_ms)
{
    struct endpoint *endpoint = delivery->endpoint;
    if (endpoint->deleted)
        return;
    uint64_t now_ms = store_redis_ms(core->store);
    bool judged = lanes_judged(core->lanes, endpoint->lane); /* else its owner does */
    bool changed = judged && (record->success ? health_succeeded(&endpoint->health)
                                              : health_failed(&endpoint->health, now_ms));
    if (changed)
        health_store_note(core->health, endpoint);
    tell(core, delivery, verdict, record, verdict == RETRY_LATER ? now_ms + delay_ms : 0);
    if (!judged || record->success || !endpoint->config->active)
        return;
    const char *reason = reason_to_disable(core, endpoint, verdict, now_ms);
    if (reason[0]) {
        struct notice_attempt attempt = attempt_of(delivery, record);
        endpoint_store_disable(core->endpoints, endpoint, reason, &attempt);
    }
}

void watch_reset(struct core *core, struct endpoint *endpoint)
{
    if (health_succeeded(&endpoint->health))
        health_store_note(core->health, endpoint);
    gate_reset(core->gate, endpoint);
    dispatch_endpoint_ready(core->dispatch, endpoint);
}
