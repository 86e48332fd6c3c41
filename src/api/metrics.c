/* metrics.c - /metrics: one table of rows that is read at each scrape, without asking Redis. */
#include "api/health.h"

#include <stdio.h>

#include "api/api.h"
#include "api/reply.h"
#include "base/log.h"
#include "core/archive.h"
#include "core/attempt.h"
#include "core/dispatch.h"
#include "core/publish.h"
#include "core/schedule.h"
#include "core/settle.h"
#include "net/outbound.h"
#include "net/redis_conn.h"

enum { METRICS_BYTES_MAX = 256 * 1024 };

typedef uint64_t gauge_fn(const struct api *api);

#define COUNTER(member)                                                                            \
    static uint64_t get_##member(const struct api *api)                                            \
    {                                                                                              \
        return api->core->stats.member;                                                            \
    }
COUNTER(events_accepted)
COUNTER(events_duplicate)
COUNTER(events_refused)
COUNTER(batches_stored)
COUNTER(batches_closed)
COUNTER(batches_adopted)
COUNTER(attempts_ok)
COUNTER(deliveries_sent)
COUNTER(deliveries_retried)
COUNTER(deliveries_dead)
COUNTER(deliveries_cancelled)
COUNTER(deliveries_moved)
COUNTER(claims)
COUNTER(leases_lost)

static uint64_t get_in_flight(const struct api *api)
{
    return attempts_in_flight(api->core->attempts);
}

static uint64_t get_in_hand(const struct api *api)
{
    return dispatch_deliveries(api->core->dispatch);
}

static uint64_t get_bytes(const struct api *api)
{
    return dispatch_bytes(api->core->dispatch);
}

static uint64_t get_open_batches(const struct api *api)
{
    return dispatch_open_batches(api->core->dispatch);
}

static uint64_t get_store_pending(const struct api *api)
{
    return store_pending(api->core->store);
}

static uint64_t get_store_up(const struct api *api)
{
    return store_ready(api->core->store);
}

static uint64_t get_lag_ms(const struct api *api)
{
    return schedule_lag_ms(api->core->schedule);
}

static uint64_t get_endpoints(const struct api *api)
{
    return registry_count(api->core->registry);
}

static uint64_t get_opened(const struct api *api)
{
    return outbound_stats(api->core->outbound)->connections_opened;
}

static uint64_t get_reused(const struct api *api)
{
    return outbound_stats(api->core->outbound)->connections_reused;
}

static uint64_t get_denied(const struct api *api)
{
    return outbound_stats(api->core->outbound)->addresses_denied;
}

static uint64_t get_connections(const struct api *api)
{
    return http_server_connections(api->server);
}

static uint64_t get_turns(const struct api *api)
{
    return reactor_stats(api->core->reactor)->turns;
}

static uint64_t get_slow_turns(const struct api *api)
{
    return reactor_stats(api->core->reactor)->slow_turns;
}

static const struct {
    const char *name;
    const char *type;
    const char *help;
    gauge_fn *get;
} rows[] = {
    {"trotline_events_accepted_total", "counter", "Events stored and answered with 202.",
     get_events_accepted},
    {"trotline_events_duplicate_total", "counter",
     "Events answered as duplicates of an idempotency key.", get_events_duplicate},
    {"trotline_events_refused_total", "counter", "Events answered with an error.",
     get_events_refused},
    {"trotline_batches_stored_total", "counter", "Batches written to Redis.", get_batches_stored},
    {"trotline_batches_closed_total", "counter",
     "Batches whose deliveries are all finished or moved.", get_batches_closed},
    {"trotline_batches_adopted_total", "counter", "Batches taken over from dead processes.",
     get_batches_adopted},
    {"trotline_attempts_successful_total", "counter", "Attempts answered with 2xx.",
     get_attempts_ok},
    {"trotline_deliveries_sent_total", "counter", "Deliveries that ended as sent.",
     get_deliveries_sent},
    {"trotline_deliveries_retried_total", "counter", "Failed attempts that will be retried.",
     get_deliveries_retried},
    {"trotline_deliveries_dead_total", "counter", "Deliveries that went to the dead letters.",
     get_deliveries_dead},
    {"trotline_deliveries_cancelled_total", "counter",
     "Deliveries cancelled because their endpoint is gone.", get_deliveries_cancelled},
    {"trotline_deliveries_moved_total", "counter", "Deliveries moved from memory to the schedule.",
     get_deliveries_moved},
    {"trotline_claims_total", "counter", "Deliveries leased from the schedule.", get_claims},
    {"trotline_leases_lost_total", "counter", "Results that came after their lease had ended.",
     get_leases_lost},
    {"trotline_attempts_in_flight", "gauge", "Attempts under way.", get_in_flight},
    {"trotline_deliveries_in_hand", "gauge", "Deliveries in memory.", get_in_hand},
    {"trotline_batch_bytes", "gauge", "Memory held by open batches.", get_bytes},
    {"trotline_batches_open", "gauge", "Batches in the journal of this process.", get_open_batches},
    {"trotline_redis_up", "gauge", "1 when Redis is reachable.", get_store_up},
    {"trotline_redis_calls_pending", "gauge", "Calls that wait for Redis.", get_store_pending},
    {"trotline_schedule_lag_milliseconds", "gauge", "How late the earliest due delivery is.",
     get_lag_ms},
    {"trotline_endpoints", "gauge", "Endpoints registered.", get_endpoints},
    {"trotline_outbound_connections_opened_total", "counter", "Connections made to targets.",
     get_opened},
    {"trotline_outbound_connections_reused_total", "counter",
     "Attempts that found a connection open.", get_reused},
    {"trotline_outbound_addresses_denied_total", "counter",
     "Connections refused by the address policy.", get_denied},
    {"trotline_http_connections", "gauge", "Open connections of producers.", get_connections},
    {"trotline_loop_turns_total", "counter", "Turns of the event loop.", get_turns},
    {"trotline_loop_slow_turns_total", "counter", "Turns whose hooks took longer than 20 ms.",
     get_slow_turns},
};

static void write_failures(const struct api *api, struct buf *out)
{
    const char *name = "trotline_attempts_failed_total";
    buf_addf(out, "# HELP %s Failed attempts by error class.\n# TYPE %s counter\n", name, name);
    for (int error = OUTBOUND_OK; error < OUTBOUND_CANCELLED; error++) {
        const char *class = error ? outbound_error_name((enum outbound_error)error) : "http_status";
        buf_addf(out, "%s{class=\"%s\"} %llu\n", name, class,
                 (unsigned long long)api->core->stats.failures[error]);
    }
}

static void write_log_drops(const struct api *api, struct buf *out)
{
    const char *name = "trotline_log_dropped_total";
    buf_addf(out,
             "# HELP %s Lines of the log and of the archive that were lost.\n# TYPE %s counter\n"
             "%s{stream=\"log\"} %llu\n%s{stream=\"archive\"} %llu\n",
             name, name, name, (unsigned long long)log_dropped(), name,
             (unsigned long long)archive_dropped(api->core->archive));
}

static void write_hist(struct buf *out, const char *name, const char *help, const struct hist *hist)
{
    static const uint64_t bounds_us[] = {500,     1000,     2500,     5000,    10000,   25000,
                                         50000,   100000,   250000,   500000,  1000000, 2500000,
                                         5000000, 10000000, 30000000, 60000000};
    buf_addf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (size_t i = 0; i < sizeof(bounds_us) / sizeof(bounds_us[0]); i++)
        buf_addf(out, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_us[i] / 1e6,
                 (unsigned long long)hist_count_below(hist, bounds_us[i] + 1));
    buf_addf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %g\n%s_count %llu\n", name,
             (unsigned long long)hist_count(hist), name, (double)hist_sum(hist) / 1e6, name,
             (unsigned long long)hist_count(hist));
}

void health_metrics(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct buf out;
    buf_init(&out, METRICS_BYTES_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        buf_addf(&out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", rows[i].name, rows[i].help,
                 rows[i].name, rows[i].type, rows[i].name, (unsigned long long)rows[i].get(api));
    write_failures(api, &out);
    write_log_drops(api, &out);
    const struct core_stats *stats = &api->core->stats;
    write_hist(&out, "trotline_publish_seconds", "From a producer's request to its answer.",
               &stats->publish_us);
    write_hist(&out, "trotline_attempt_seconds", "Length of attempts.", &stats->attempt_us);
    write_hist(&out, "trotline_delivery_seconds",
               "From stored to delivered, for deliveries that never waited in the schedule.",
               &stats->delivery_us);
    if (buf_status(&out) == ST_OK) {
        struct http_header type = {SLICE("Content-Type"), SLICE("text/plain; version=0.0.4")};
        http_reply(request, 200, &type, 1, buf_slice(&out));
    } else {
        reply_failed(request, ST_NOMEM);
    }
    buf_free(&out);
}
