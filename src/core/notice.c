/* notice.c - operational events.
 *
 * No recursion, and why: a notice is caused by an attempt's end, by a change of an endpoint, or by
 * a backlog. Deliveries of notices end without a notice about them (watch.c asks notice_named()).
 * The endpoints that get notices may be switched off, open their breakers and pile up, which is
 * told to others; but each of these is told once until its contrary has happened: a success,
 * somebody's "enable", a backlog that was worked off. So two endpoints that take each other's
 * notices and both fail are at rest after one notice each.
 */
#include "core/notice.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/publish.h"

enum { DATA_BYTES_MAX = 32 * 1024, LOG_EVERY_MS = 1000 };

struct notice {
    struct core *core;
    uint64_t logged_at_ms; /* monotonic */
    uint32_t dropped;      /* since then */
};

/* ---- Publishing ----------------------------------------------------------------------------- */

/* While Redis is away every notice is dropped: one line a second tells it. */
static void dropped(struct notice *notice, const char *reason)
{
    uint64_t now_ms = clock_mono_ms();
    notice->core->stats.notices_dropped++;
    notice->dropped++;
    if (now_ms - notice->logged_at_ms < LOG_EVERY_MS)
        return;
    log_warn("notice.dropped", "count=%u reason=%s", notice->dropped, reason);
    notice->logged_at_ms = now_ms;
    notice->dropped = 0;
}

static void on_published(void *arg, enum publish_verdict verdict, const char *event_id,
                         uint32_t deliveries)
{
    struct notice *notice = arg;
    (void)event_id;
    (void)deliveries;
    if (verdict == PUBLISH_ACCEPTED)
        notice->core->stats.notices_published++;
    else
        dropped(notice, publish_verdict_name(verdict));
}

struct search {
    const struct endpoint *about;
    bool found;
};

static void on_taker(void *arg, struct endpoint *endpoint)
{
    struct search *search = arg;
    search->found = search->found || endpoint != search->about;
}

/* Is there anybody to tell it to? What nobody takes is not even stored. */
static bool wanted(struct core *core, enum notice_type type, const struct endpoint *about)
{
    struct search search = {.about = about};
    registry_match_named(core->registry, slice_str(notice_type_name(type)), on_taker, &search);
    return search.found;
}

static void publish(struct core *core, const struct endpoint *about, const struct notice_data *data)
{
    struct buf json;
    buf_init(&json, DATA_BYTES_MAX);
    notice_data_write(&json, data);
    struct publish_item item = {
        .record = {.application = SLICE("default"),
                   .type = slice_str(notice_type_name(data->type)),
                   .source = NOTICE_SOURCE,
                   .data = buf_slice(&json),
                   .timestamp_ms = clock_wall_ms()},
        .raw = buf_slice(&json),
        .about = &about->id,
    };
    enum publish_verdict why = PUBLISH_OVERLOADED;
    if (buf_status(&json) == ST_OK &&
        publish_event(core->publish, &item, on_published, core->notice, &why) == ST_OK)
        reactor_wake(core->reactor); /* publish's hook may have been called in this turn */
    else
        dropped(core->notice, publish_verdict_name(why));
    buf_free(&json);
}

static struct notice_data data_of(enum notice_type type, const struct endpoint *endpoint)
{
    return (struct notice_data){
        .type = type,
        .webhook_id = endpoint->id_text,
        .url = endpoint->config->url,
        .failing_since_ms = endpoint->health.kept.failing_since_ms,
        .consecutive_failures = endpoint->health.consecutive_failures,
    };
}

/* ---- Endpoints ------------------------------------------------------------------------------ */

void notice_disabled(struct core *core, struct endpoint *endpoint,
                     const struct notice_attempt *last)
{
    if (!wanted(core, NOTICE_ENDPOINT_DISABLED, endpoint))
        return;
    struct notice_data data = data_of(NOTICE_ENDPOINT_DISABLED, endpoint);
    data.reason = endpoint->config->disabled_reason;
    data.attempt = *last;
    publish(core, endpoint, &data);
}

void notice_breaker(struct core *core, struct endpoint *endpoint, bool opened, const char *reason,
                    uint64_t probe_at_ms)
{
    enum notice_type type = opened ? NOTICE_BREAKER_OPENED : NOTICE_BREAKER_CLOSED;
    if (endpoint->deleted || endpoint->told.breaker_open == opened)
        return;
    endpoint->told.breaker_open = opened;
    if (!wanted(core, type, endpoint))
        return;
    struct notice_data data = data_of(type, endpoint);
    data.reason = reason;
    data.next_attempt_at_ms = probe_at_ms;
    publish(core, endpoint, &data);
}

void notice_backlog(struct core *core, struct endpoint *endpoint, uint64_t waiting)
{
    uint64_t threshold = core->options.backlog_threshold;
    if (endpoint->deleted || !notice_backlog_begins(&endpoint->told, waiting, threshold))
        return;
    log_warn("endpoint.backlog", "endpoint=%s waiting=%llu", endpoint->id_text,
             (unsigned long long)waiting);
    if (!wanted(core, NOTICE_BACKLOG, endpoint))
        return;
    struct notice_data data = data_of(NOTICE_BACKLOG, endpoint);
    data.waiting = waiting;
    data.threshold = threshold;
    publish(core, endpoint, &data);
}

/* ---- Deliveries ----------------------------------------------------------------------------- */

void notice_delivery(struct core *core, struct endpoint *endpoint, enum notice_type type,
                     const char *reason, const struct notice_attempt *attempt,
                     uint64_t next_attempt_at_ms)
{
    uint32_t suppressed;
    if (!wanted(core, type, endpoint))
        return;
    struct notice_rate *rate = &endpoint->told.rates[type - NOTICE_DELIVERY_FAILING];
    if (!notice_rate_take(rate, clock_mono_ms(), &suppressed)) {
        core->stats.notices_suppressed++;
        return;
    }
    struct notice_data data = data_of(type, endpoint);
    data.reason = reason;
    data.attempt = *attempt;
    data.next_attempt_at_ms = next_attempt_at_ms;
    data.suppressed = suppressed;
    publish(core, endpoint, &data);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct notice *notice_new(struct core *core)
{
    struct notice *notice = calloc(1, sizeof(*notice));
    if (notice)
        notice->core = core;
    return notice;
}

void notice_free(struct notice *notice)
{
    free(notice);
}
