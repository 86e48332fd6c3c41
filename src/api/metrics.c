/* metrics.c - /metrics: one table of rows, read at each scrape, without asking Redis.
 *
 * A row is a family with its first series, or (ALSO) one more series of the family above. It says
 * where its number lies: in a struct of counters that some module keeps (`source` and `offset`), or
 * in `now`, which a scrape fills in first. Families whose series come out of a list of names have a
 * function instead. To count something new, add a member where it is decided and a row here.
 *
 * Rules: names as Prometheus asks (base units, _total for counters); numbers are whole numbers of
 * our own units, which exposition.c turns into seconds. A label's values are fixed when the program
 * is built: never an endpoint, a type, a URL, an address. (The exception are sources, which the
 * operator names: the first hundred have series of their own, all others one together.) So the
 * number of series is the same from the first scrape to the last, and every counter is there as 0
 * before it moves, without which rate() misses the first event.
 */
#include <stddef.h>

#include "api/api.h"
#include "api/events.h"
#include "api/exposition.h"
#include "api/health.h"
#include "api/reply.h"
#include "base/log.h"
#include "core/archive.h"
#include "core/attempt.h"
#include "core/dispatch.h"
#include "core/endpoint_store.h"
#include "core/feed.h"
#include "core/jobs.h"
#include "core/journal.h"
#include "core/lanes.h"
#include "core/schedule.h"
#include "core/source_store.h"
#include "core/sources.h"
#include "net/outbound.h"
#include "net/process_stats.h"

enum { METRICS_BYTES_MAX = 1024 * 1024 };

/* What is not counted but looked at. */
struct now {
    uint64_t one;
    uint64_t started_at_ms;
    uint64_t attempts, attempts_max;
    uint64_t deliveries, deliveries_max;
    uint64_t bytes, bytes_max;
    uint64_t batches;
    uint64_t schedule_lag_ms;
    uint64_t endpoints_active, endpoints_disabled;
    uint64_t sources, sources_unknown;
    uint64_t redis_up, redis_calls, redis_bytes;
    uint64_t jobs;
    uint64_t lanes[LANE_STATES];
    uint64_t config_version;
    uint64_t log_dropped, archive_dropped;
    uint64_t http_connections, http_bytes;
};

enum place { CORE, LOOP, OUTBOUND, WORK, BATCHES, HTTP, PROCESS, NOW, SOURCES };

/* A list of series, each with a label of its own. */
typedef void series_fn(struct buf *out, const char *name, const struct api *api);

struct row {
    const char *name; /* NULL: another series of the family above */
    enum exposition_type type;
    const char *help;
    enum place source;
    size_t offset; /* of a uint64_t, in a histogram's row of a struct hist */
    struct exposition_label label;
    enum exposition_unit unit;
    const struct exposition_buckets *buckets;
    series_fn *series;
};

/* ---- Series out of lists of names ----------------------------------------------------------- */

static void series(struct buf *out, const char *name, const char *label, const char *value,
                   uint64_t count)
{
    exposition_sample(out, name, (struct exposition_label){label, value}, count, EXPOSITION_PLAIN);
}

/* What the document was refused for, then what became of those that were not. */
static void write_rejections(struct buf *out, const char *name, const struct api *api)
{
    for (size_t i = 0; i <= EVENT_DOCUMENT_CODES; i++)
        series(out, name, "reason", i < EVENT_DOCUMENT_CODES ? event_document_codes[i] : "other",
               api->events_invalid[i]);
    for (int verdict = PUBLISH_ACCEPTED; verdict <= PUBLISH_UNKNOWN; verdict++) {
        const char *code = events_refusal_code((enum publish_verdict)verdict);
        if (code)
            series(out, name, "reason", code, api->core->stats.events[verdict]);
    }
}

static void write_attempts(struct buf *out, const char *name, const struct api *api)
{
    static const char *const statuses[] = {"http_other", "http_1xx", "success",
                                           "http_3xx",   "http_4xx", "http_5xx"};
    const struct core_stats *stats = &api->core->stats;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        series(out, name, "class", statuses[i], stats->attempts_status[i]);
    for (int error = OUTBOUND_OK + 1; error < OUTBOUND_CANCELLED; error++)
        series(out, name, "class", outbound_error_name((enum outbound_error)error),
               stats->attempts_error[error]);
}

/* Names of sources have no '_' at their beginning, so "_others" is none. */
static void write_sources(struct buf *out, const char *name, const struct api *api)
{
    const struct sources *sources = source_store_sources(api->core->sources);
    for (int i = 0; i < SOURCE_OUTCOMES; i++) {
        struct exposition_label outcome = {"outcome", source_outcome_name((enum source_outcome)i)};
        const struct source *source = sources_next(sources, SLICE_NULL);
        for (; source; source = sources_next(sources, slice_str(source->name)))
            if (source->counts->labelled)
                exposition_sample_pair(out, name, (struct exposition_label){"source", source->name},
                                       outcome, source->counts->by_outcome[i]);
        exposition_sample_pair(out, name, (struct exposition_label){"source", "_others"}, outcome,
                               sources_others(sources, (enum source_outcome)i));
    }
}

static void write_feed_entries(struct buf *out, const char *name, const struct api *api)
{
    struct feed_status status;
    for (size_t i = 0; i < feed_count(api->core->feed); i++) {
        feed_status(api->core->feed, i, &status);
        for (int result = 0; result < FEED_RESULTS; result++)
            exposition_sample_pair(
                out, name, (struct exposition_label){"feed", status.name},
                (struct exposition_label){"result", feed_result_name((enum feed_result)result)},
                status.results[result]);
    }
}

/* One number of each feed. */
static void write_feeds(struct buf *out, const char *name, const struct api *api, size_t offset)
{
    struct feed_status status;
    for (size_t i = 0; i < feed_count(api->core->feed); i++) {
        feed_status(api->core->feed, i, &status);
        if (status.lag == UINT64_MAX)
            status.lag = status.length;
        series(out, name, "feed", status.name, *(const uint64_t *)((const char *)&status + offset));
    }
}

static void write_feed_lengths(struct buf *out, const char *name, const struct api *api)
{
    write_feeds(out, name, api, offsetof(struct feed_status, length));
}

static void write_feed_lags(struct buf *out, const char *name, const struct api *api)
{
    write_feeds(out, name, api, offsetof(struct feed_status, lag));
}

static void write_feed_rejected(struct buf *out, const char *name, const struct api *api)
{
    write_feeds(out, name, api, offsetof(struct feed_status, rejected));
}

/* ---- Buckets -------------------------------------------------------------------------------- */

#define BUCKETS(name, unit, ...)                                                                   \
    static const uint64_t name##_bounds[] = {__VA_ARGS__};                                         \
    static const struct exposition_buckets name = {                                                \
        unit, sizeof(name##_bounds) / sizeof(name##_bounds[0]), name##_bounds}

/* Requests over a network, up to the timeouts in use. */
BUCKETS(request_times, EXPOSITION_US, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
        500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000);
/* The same, and on to retries after minutes and hours. */
BUCKETS(delivery_times, EXPOSITION_US, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
        500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000, 1800000000,
        7200000000, 43200000000, 172800000000);
/* Inside the machine. */
BUCKETS(short_times, EXPOSITION_US, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 20000, 50000,
        100000, 250000, 500000, 1000000, 5000000);
BUCKETS(event_counts, EXPOSITION_PLAIN, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024);
BUCKETS(byte_counts, EXPOSITION_PLAIN, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20,
        1 << 22, 1 << 24);

/* ---- The table ------------------------------------------------------------------------------ */

#define ALSO                   .name = NULL
#define COUNTER                EXPOSITION_COUNTER
#define GAUGE                  EXPOSITION_GAUGE
#define HISTOGRAM              EXPOSITION_HISTOGRAM
#define SECONDS_MS             .unit = EXPOSITION_MS
#define SECONDS_US             .unit = EXPOSITION_US
#define LABEL(key, text)       .label = {key, text}
#define AT(from, type, member) .source = from, .offset = offsetof(struct type, member)
#define CORE(member)           AT(CORE, core_stats, member)
#define LOOP(member)           AT(LOOP, reactor_stats, member)
#define OUT(member)            AT(OUTBOUND, outbound_stats, member)
#define WORK(member)           AT(WORK, redis_conn_stats, member), LABEL("conn", "work")
#define BATCHES(member)        AT(BATCHES, redis_conn_stats, member), LABEL("conn", "batches")
#define HTTP(member)           AT(HTTP, http_server_stats, member)
#define PROCESS(member)        AT(PROCESS, process_stats, member)
#define NOW(member)            AT(NOW, now, member)

static const struct row rows[] = {
    /* Events. */
    {"trotline_events_accepted_total", COUNTER, "Events stored and answered with 202.",
     CORE(events[PUBLISH_ACCEPTED])},
    {"trotline_events_deduplicated_total", COUNTER,
     "Events answered with an earlier event's id, because of their key.",
     CORE(events[PUBLISH_DUPLICATE])},
    {"trotline_events_repeated_total", COUNTER,
     "Duplicates that a source received and that were stored all the same, marked.",
     CORE(events[PUBLISH_REPEATED])},
    {"trotline_events_rejected_total", COUNTER, "Events refused, by the error code of the answer.",
     .series = write_rejections},
    {"trotline_publish_duration_seconds", HISTOGRAM,
     "From a producer's complete request until Redis has its event, of accepted events.",
     CORE(publish_us), .buckets = &request_times},
    {"trotline_http_responses_total", COUNTER, "Answers of the API, by class of status.",
     HTTP(replies[2]), LABEL("status", "2xx")},
    {ALSO, HTTP(replies[3]), LABEL("status", "3xx")},
    {ALSO, HTTP(replies[4]), LABEL("status", "4xx")},
    {ALSO, HTTP(replies[5]), LABEL("status", "5xx")},
    {"trotline_http_connections", GAUGE, "Open connections to the API.", NOW(http_connections)},
    {"trotline_http_buffered_bytes", GAUGE,
     "Memory held by requests that are being received or answered.", NOW(http_bytes)},

    /* Read from Redis streams. */
    {"trotline_feed_entries_total", COUNTER,
     "Entries of feeds that this process has read, by what became of them.",
     .series = write_feed_entries},
    {"trotline_feed_length", GAUGE, "Entries in a feed's stream, as this process last saw it.",
     .series = write_feed_lengths},
    {"trotline_feed_lag", GAUGE,
     "Of these: entries that no replica has read yet; all where Redis cannot tell.",
     .series = write_feed_lags},
    {"trotline_feed_rejected", GAUGE, "Entries in a feed's rejected stream.",
     .series = write_feed_rejected},

    /* Received from third parties. */
    {"trotline_sources", GAUGE, "Sources configured.", NOW(sources)},
    {"trotline_source_requests_total", COUNTER,
     "Requests to sources, by what became of them; sources beyond the first hundred are counted "
     "together, as _others.",
     .series = write_sources},
    {"trotline_source_unknown_total", COUNTER, "Requests to sources that do not exist.",
     NOW(sources_unknown)},

    /* Deliveries and attempts. */
    {"trotline_deliveries_total", COUNTER,
     "Deliveries that ended, by how; a replayed dead letter ends again.", CORE(deliveries_sent),
     LABEL("outcome", "sent")},
    {ALSO, CORE(deliveries_dead), LABEL("outcome", "dead_letter")},
    {ALSO, CORE(deliveries_cancelled), LABEL("outcome", "cancelled")},
    {"trotline_deliveries_retried_total", COUNTER,
     "Failed attempts after which the delivery is to be tried again.", CORE(deliveries_retried)},
    {"trotline_delivery_duration_seconds", HISTOGRAM,
     "From an event's acceptance (or deliverAt) to its delivery, retries included, replays not.",
     CORE(delivery_us), .buckets = &delivery_times},
    {"trotline_attempts_total", COUNTER,
     "Attempts by what became of them: success (2xx), class of status, or class of error.",
     .series = write_attempts},
    {"trotline_attempt_duration_seconds", HISTOGRAM, "Length of attempts, failed ones included.",
     CORE(attempt_us), .buckets = &request_times},
    {"trotline_attempts_in_flight", GAUGE, "Attempts under way.", NOW(attempts)},
    {"trotline_attempts_in_flight_max", GAUGE,
     "Attempts that may be under way (outbound.maxInFlight).", NOW(attempts_max)},

    /* What is held in memory. */
    {"trotline_deliveries_in_hand", GAUGE, "Deliveries in memory.", NOW(deliveries)},
    {"trotline_deliveries_in_hand_max", GAUGE,
     "Deliveries in memory beyond which new ones go to the schedule.", NOW(deliveries_max)},
    {"trotline_events_in_hand_bytes", GAUGE, "Memory held by the events of open batches.",
     NOW(bytes)},
    {"trotline_events_in_hand_max_bytes", GAUGE,
     "Memory of events beyond which new deliveries go to the schedule.", NOW(bytes_max)},
    {"trotline_batches_open", GAUGE, "Batches in the journal of this process.", NOW(batches)},
    {"trotline_batches_stored_total", COUNTER, "Batches written to Redis.", CORE(batches_stored)},
    {"trotline_batches_outdated_total", COUNTER,
     "Batches that Redis refused because the webhooks had been changed; their events were matched "
     "anew.",
     CORE(batches_outdated)},
    {"trotline_batches_closed_total", COUNTER,
     "Batches whose deliveries are all finished or moved.", CORE(batches_closed)},
    {"trotline_batches_adopted_total", COUNTER, "Batches taken over from processes that died.",
     CORE(batches_adopted)},
    {"trotline_batch_events", HISTOGRAM, "Events in a stored batch.", CORE(batch_events),
     .buckets = &event_counts},
    {"trotline_batch_bytes", HISTOGRAM, "Size of a stored batch.", CORE(batch_bytes),
     .buckets = &byte_counts},
    {"trotline_batched_request_events", HISTOGRAM,
     "Events in a request to an endpoint that takes several in one.", CORE(group_events),
     .buckets = &event_counts},

    /* The schedule, and the endpoints that are held back. */
    {"trotline_schedule_lag_seconds", GAUGE, "How late the earliest due delivery is.",
     NOW(schedule_lag_ms), SECONDS_MS},
    {"trotline_deliveries_moved_total", COUNTER, "Deliveries moved from memory to the schedule.",
     CORE(deliveries_moved)},
    {"trotline_deliveries_claimed_total", COUNTER, "Deliveries leased from the schedule.",
     CORE(claims)},
    {"trotline_leases_lost_total", COUNTER, "Results that came after their lease had ended.",
     CORE(leases_lost)},
    {"trotline_endpoints", GAUGE, "Endpoints registered.", NOW(endpoints_active),
     LABEL("state", "active")},
    {ALSO, NOW(endpoints_disabled), LABEL("state", "disabled")},
    {"trotline_breakers", GAUGE, "Endpoints whose circuit breaker is not closed.",
     CORE(breakers_open), LABEL("state", "open")},
    {ALSO, CORE(breakers_half_open), LABEL("state", "half_open")},
    {"trotline_jobs_running", GAUGE, "Replay and discard jobs under way.", NOW(jobs)},
    {"trotline_jobs_deliveries_total", COUNTER,
     "Deliveries put back into the schedule by replay jobs.", CORE(jobs_deliveries)},
    {"trotline_endpoints_disabled_total", COUNTER,
     "Endpoints disabled because of what their attempts came to.", CORE(endpoints_disabled)},
    {"trotline_notices_published_total", COUNTER, "Operational events stored.",
     CORE(notices_published)},
    {"trotline_notices_dropped_total", COUNTER,
     "Operational events that could not be stored and are gone.", CORE(notices_dropped)},
    {"trotline_notices_suppressed_total", COUNTER,
     "Operational events left out because there were too many of their kind.",
     CORE(notices_suppressed)},
    {"trotline_endpoints_rate_limited", GAUGE,
     "Endpoints that have work and wait for the next slot of their rate limit.",
     CORE(endpoints_limited)},

    /* Other replicas. */
    {"trotline_replicas", GAUGE, "Replicas alive, as this one last heard; itself included.",
     CORE(replicas)},
    {"trotline_lanes", GAUGE,
     "Lanes by their state as this replica knows it: its own (mine; arriving and leaving while "
     "they "
     "change hands), another's, or nobody's.",
     NOW(lanes[LANE_MINE]), LABEL("state", "mine")},
    {ALSO, NOW(lanes[LANE_ARRIVING]), LABEL("state", "arriving")},
    {ALSO, NOW(lanes[LANE_LEAVING]), LABEL("state", "leaving")},
    {ALSO, NOW(lanes[LANE_OTHER]), LABEL("state", "other")},
    {ALSO, NOW(lanes[LANE_FREE]), LABEL("state", "free")},
    {"trotline_lanes_moved_total", COUNTER,
     "Lanes that this replica took over, handed back, or found taken from it.", CORE(lanes_gained),
     LABEL("way", "gained")},
    {ALSO, CORE(lanes_released), LABEL("way", "released")},
    {ALSO, CORE(lanes_lost), LABEL("way", "lost")},
    {"trotline_lease_lapses_total", COUNTER,
     "Times that this replica sent nothing because Redis had not confirmed its lease in time.",
     CORE(lease_lapses)},
    {"trotline_batches_received_total", COUNTER,
     "Batches with work for this one that were read from Redis: stored by other replicas, or "
     "taken over from processes that died.",
     CORE(parts_received)},
    {"trotline_config_version", GAUGE, "Version of the configuration of endpoints in use.",
     NOW(config_version)},

    /* Connections to targets. */
    {"trotline_outbound_requests_total", COUNTER, "Requests to targets, test sends included.",
     OUT(sent)},
    {"trotline_outbound_connections", GAUGE, "Connections to targets that are open.",
     OUT(connections_open)},
    {"trotline_outbound_connections_opened_total", COUNTER, "Connections made to targets.",
     OUT(connections_opened)},
    {"trotline_outbound_connections_reused_total", COUNTER,
     "Requests that found a connection standing.", OUT(connections_reused)},
    {"trotline_outbound_addresses_denied_total", COUNTER,
     "Connections refused by the address policy.", OUT(addresses_denied)},

    /* Redis. */
    {"trotline_redis_up", GAUGE, "1 when Redis is reachable.", NOW(redis_up)},
    {"trotline_redis_round_trip_seconds", HISTOGRAM,
     "From asking Redis until its reply is read, by connection.", WORK(round_trip_us),
     .buckets = &short_times},
    {ALSO, BATCHES(round_trip_us), .buckets = &short_times},
    {"trotline_redis_calls_pending", GAUGE, "Calls that wait for Redis.", NOW(redis_calls)},
    {"trotline_redis_pending_bytes", GAUGE, "Memory held by calls that wait for Redis.",
     NOW(redis_bytes)},
    {"trotline_redis_sent_bytes_total", COUNTER, "Written to Redis.", WORK(bytes_out)},
    {ALSO, BATCHES(bytes_out)},
    {"trotline_redis_received_bytes_total", COUNTER, "Read from Redis.", WORK(bytes_in)},
    {ALSO, BATCHES(bytes_in)},
    {"trotline_redis_connects_total", COUNTER, "Times that a connection to Redis became ready.",
     WORK(connects)},
    {ALSO, BATCHES(connects)},
    {"trotline_redis_failures_total", COUNTER,
     "Connections to Redis that were lost, and attempts to connect that failed.", WORK(failures)},
    {ALSO, BATCHES(failures)},

    /* The loop. */
    {"trotline_loop_lag_seconds", HISTOGRAM,
     "How late timers fire: how long anything that is due waits for the loop.", LOOP(lag_us),
     .buckets = &short_times},
    {"trotline_loop_turns_total", COUNTER, "Turns of the event loop.", LOOP(turns)},
    {"trotline_loop_slow_turns_total", COUNTER, "Turns whose hooks took longer than 20 ms.",
     LOOP(slow_turns)},
    {"trotline_loop_hooks_seconds_total", COUNTER, "Time spent in the hooks of turns.",
     LOOP(busy_us), SECONDS_US},

    {"trotline_log_dropped_total", COUNTER, "Lines of the log and of the archive that were lost.",
     NOW(log_dropped), LABEL("stream", "log")},
    {ALSO, NOW(archive_dropped), LABEL("stream", "archive")},

    /* The process: names that all Prometheus clients share. */
    {"trotline_build_info", GAUGE, "1; the label tells the version.", NOW(one),
     LABEL("version", TROTLINE_VERSION)},
    {"process_start_time_seconds", GAUGE, "When the process began, Unix time.", NOW(started_at_ms),
     SECONDS_MS},
    {"process_cpu_seconds_total", COUNTER, "User and system time.", PROCESS(cpu_us), SECONDS_US},
    {"process_resident_memory_bytes", GAUGE, "Resident memory.", PROCESS(resident_bytes)},
    {"process_virtual_memory_bytes", GAUGE, "Virtual memory.", PROCESS(virtual_bytes)},
    {"process_open_fds", GAUGE, "Open file descriptors.", PROCESS(open_fds)},
    {"process_max_fds", GAUGE, "File descriptors that may be open.", PROCESS(max_fds)},
};

/* ---- A scrape ------------------------------------------------------------------------------- */

static struct now look(const struct api *api)
{
    const struct core *core = api->core;
    size_t endpoints = registry_count(core->registry);
    size_t active = registry_count_active(core->registry);
    return (struct now){
        .one = 1,
        .started_at_ms = api->started_at_ms,
        .attempts = attempts_in_flight(core->attempts),
        .attempts_max = core->options.in_flight_max,
        .deliveries = dispatch_deliveries(core->dispatch),
        .deliveries_max = core->options.deliveries_max,
        .bytes = journal_bytes(core->journal),
        .bytes_max = core->options.bytes_max,
        .batches = journal_count(core->journal),
        .jobs = jobs_running(core->jobs),
        .config_version = endpoint_store_version(core->endpoints),
        .lanes = {[LANE_FREE] = lanes_count(core->lanes, LANE_FREE),
                  [LANE_OTHER] = lanes_count(core->lanes, LANE_OTHER),
                  [LANE_ARRIVING] = lanes_count(core->lanes, LANE_ARRIVING),
                  [LANE_MINE] = lanes_count(core->lanes, LANE_MINE),
                  [LANE_LEAVING] = lanes_count(core->lanes, LANE_LEAVING)},
        .log_dropped = log_dropped(),
        .archive_dropped = archive_dropped(core->archive),
        .schedule_lag_ms = schedule_lag_ms(core->schedule),
        .endpoints_active = active,
        .endpoints_disabled = endpoints - active,
        .sources = sources_count(source_store_sources(core->sources)),
        .sources_unknown = sources_unknown(source_store_sources(core->sources)),
        .redis_up = store_ready(core->store),
        .redis_calls = store_pending(core->store),
        .redis_bytes = store_pending_bytes(core->store),
        .http_connections = http_server_connections(api->server),
        .http_bytes = http_server_stats(api->server)->buffered_bytes,
    };
}

static void write_all(struct buf *out, const struct api *api)
{
    struct process_stats process;
    process_stats_read(&process);
    struct now now = look(api);
    const void *const sources[SOURCES] = {
        [CORE] = &api->core->stats,
        [LOOP] = reactor_stats(api->core->reactor),
        [OUTBOUND] = outbound_stats(api->core->outbound),
        [WORK] = store_work_stats(api->core->store),
        [BATCHES] = store_batch_stats(api->core->store),
        [HTTP] = http_server_stats(api->server),
        [PROCESS] = &process,
        [NOW] = &now,
    };
    const struct row *family = rows;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        if (row->name) {
            family = row;
            exposition_family(out, row->name, row->type, row->help);
        }
        const void *value = (const char *)sources[row->source] + row->offset;
        if (row->series)
            row->series(out, family->name, api);
        else if (family->type == HISTOGRAM)
            exposition_histogram(out, family->name, row->label, value, row->buckets);
        else
            exposition_sample(out, family->name, row->label, *(const uint64_t *)value, row->unit);
    }
}

void health_metrics(struct api *api, struct http_request *request, struct slice id)
{
    (void)id;
    struct buf out;
    buf_init(&out, METRICS_BYTES_MAX);
    write_all(&out, api);
    if (buf_status(&out) == ST_OK) {
        struct http_header type = {SLICE("Content-Type"), SLICE("text/plain; version=0.0.4")};
        http_reply(request, 200, &type, 1, buf_slice(&out));
    } else {
        reply_failed(request, ST_NOMEM);
    }
    buf_free(&out);
}
