/* serve_options.c - from the configuration to what each module takes. */
#include "app/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PROBE_SLOTS = 32,                      /* test sends beside the deliveries */
    ATTEMPT_MAX_MS = 60 * 1000,            /* unless the configured default is longer */
    CONNECTION_AGE_MAX_MS = 5 * 60 * 1000, /* so that changes of DNS and policy come through */
    IDLE_AGE_MAX_MS = 50 * 1000,           /* below the 60 s of common load balancers */
    ENDPOINTS_MAX = 1000 * 1000
};

bool serve_redis_is_embedded(const struct config *config)
{
    return strcmp(config->redis, "embedded") == 0;
}

/* What has no option (growth and jitter) stays as breaker_rules_default() has it. */
static void serve_breaker_rules(const struct config *config, struct breaker_rules *rules)
{
    breaker_rules_default(rules);
    rules->enabled = config->breaker.enabled;
    rules->consecutive = (uint32_t)config->breaker.consecutive_failures;
    rules->ratio = config->breaker.failure_ratio;
    rules->minimum = (uint32_t)config->breaker.minimum_attempts;
    rules->window_ms = config->breaker.window_ms;
    rules->open_ms = config->breaker.open_for_ms;
    rules->open_max_ms = config->breaker.open_for_max_ms;
}

/* How long WAIT may take: up to three are on their way at once, of two batches and of held calls,
 * each of which waits for those before it, and all must be answered before a producer, or the
 * connection, is given up. */
static uint64_t serve_confirm_timeout_ms(const struct config *config)
{
    uint64_t most = config->redis_options.command_timeout_ms;
    if (config->ingest.timeout_ms < most)
        most = config->ingest.timeout_ms;
    return most >= 4 ? most / 4 : 1; /* 0 would be for ever */
}

/* Each is "NAME" or "NAME=APPLICATION": config_valid_feed() has seen to it. */
static void serve_feed_options(const struct config *config, struct core_feed *feed)
{
    feed->entries_max = (uint32_t)config->feed.max_entries;
    feed->rejected_max = config->feed.max_rejected;
    feed->event_bytes_max = config->ingest.max_event_bytes;
    for (size_t i = 0; config->feed.enabled && i < config->feed.streams.count; i++) {
        const char *given = config->feed.streams.items[i];
        const char *end = strchrnul(given, '=');
        snprintf(feed->streams[i].name, sizeof(feed->streams[i].name), "%.*s", (int)(end - given),
                 given);
        snprintf(feed->streams[i].application, sizeof(feed->streams[i].application), "%s",
                 *end ? end + 1 : "");
        feed->stream_count++;
    }
}

void serve_core_options(const struct config *config, struct core_options *options)
{
    *options = (struct core_options){
        .batch_events_max = (uint32_t)config->ingest.batch_events,
        .batch_bytes_max = config->ingest.batch_bytes,
        .publish_timeout_ms = config->ingest.timeout_ms,
        .confirm = {.replicas = config_durability_replicas(config->durability),
                    .timeout_ms = serve_confirm_timeout_ms(config)},
        .journal_batches_max = config->journal.max_batches,
        .idempotency_ttl_ms = config->idempotency.ttl_ms,
        .idempotency_keys_max = config->idempotency.max_keys,
        .history_ttl_ms = config->history.ttl_ms,
        .history_bytes_max = config->history.max_bytes,
        .attempts_kept = (uint32_t)config->history.attempts_per_endpoint,
        .deliveries_max = config->memory.max_deliveries,
        .bytes_max = config->memory.max_bytes,
        .queued_per_endpoint_max = config->memory.max_queued_per_endpoint,
        .in_flight_max = config->outbound.max_in_flight,
        .in_flight_per_host_max = (uint32_t)config->outbound.max_in_flight_per_host,
        .adaptive = config->outbound.adaptive_concurrency,
        .connect_timeout_ms = config->outbound.connect_timeout_ms,
        .response_bytes_max = config->outbound.max_response_bytes,
        .retry_after_max_ms = config->retry.max_retry_after_ms,
        .allow_http = config->dev,
        .lease_ms = config->replica.lease_ms,
        .heartbeat_ms = config->replica.heartbeat_ms,
        .sole_owner = serve_redis_is_embedded(config),
        .others_dead = serve_redis_is_embedded(config),
        .endpoints_max = ENDPOINTS_MAX,
        .disable_after_ms = config->disable.after_ms,
        .disable_on_exhausted = config->disable.on_exhausted,
        .backlog_threshold = config->backlog.threshold,
        .job_rate = config->jobs.rate,
    };
    serve_breaker_rules(config, &options->breaker);
    serve_feed_options(config, &options->feed);
}

void serve_http_options(const struct config *config, struct http_server_options *options)
{
    *options = (struct http_server_options){
        .connections_max = config->http.max_connections,
        .body_bytes_max = config->http.max_body_bytes,
        .buffered_bytes_max = config->http.max_buffered_bytes,
        .header_timeout_ms = config->http.header_timeout_ms,
        .body_timeout_ms = config->http.body_timeout_ms,
        .idle_timeout_ms = config->http.idle_timeout_ms,
        .write_timeout_ms = config->http.write_timeout_ms,
    };
}

bool serve_own_address(const struct config *config, const struct worker *worker,
                       struct address *address)
{
    if (worker->number == 0 || address_parse(config->worker_listen, address) != ST_OK)
        return false;
    if (address->port == 0)
        return true;
    address->port =
        (uint16_t)(address->port + worker->number - 1); /* config_load(): there is one */
    return true;
}

/* Two processes cannot append to one file that both of them rename (line_file.h). */
void serve_archive_path(const struct config *config, const struct worker *worker, struct buf *path)
{
    const char *file = config->archive.file;
    const char *slash = strrchr(file, '/');
    const char *dot = strrchr(file, '.');
    size_t stem = dot && dot > (slash ? slash + 1 : file) ? (size_t)(dot - file) : strlen(file);
    if (file[0] != '/')
        buf_addf(path, "%s/", config->data);
    buf_add(path, file, stem);
    if (worker->number > 0)
        buf_addf(path, "-%u", worker->number);
    buf_add_str(path, file + stem);
    buf_add_char(path, '\0');
}

void serve_outbound_options(const struct config *config, const struct netguard *guard,
                            struct outbound_options *options)
{
    *options = (struct outbound_options){
        .in_flight_max = config->outbound.max_in_flight + PROBE_SLOTS,
        .idle_connections_max = config->outbound.idle_connections,
        .user_agent = config->outbound.user_agent,
        .ca_file = config->outbound.ca_file[0] ? config->outbound.ca_file : NULL,
        .proxy = config->outbound.proxy,
        .route = config->outbound.route,
        .direct_tls = config->outbound.direct_tls,
        .guard = guard,
        .connection_age_max_ms = CONNECTION_AGE_MAX_MS,
        .idle_age_max_ms = IDLE_AGE_MAX_MS,
    };
}

enum status serve_guard(const struct config *config, struct netguard *guard, struct buf *error)
{
    *guard = (struct netguard){.allow_private = config->dev};
    for (size_t i = 0; i < config->outbound.allow.count; i++) {
        const char *cidr = config->outbound.allow.items[i];
        enum status status = netguard_add_cidr(guard, slice_str(cidr));
        if (status != ST_OK) {
            buf_addf(error, "outbound.allow: \"%s\" cannot be used: %s", cidr, status_text(status));
            return ST_RANGE;
        }
    }
    return ST_OK;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What an endpoint has by default it may also ask for: a client that stores what it was shown is
 * not refused. */
void serve_rules(const struct config *config, const struct scheme_set *schemes,
                 const struct netguard *guard, struct endpoint_rules *rules)
{
    *rules = (struct endpoint_rules){
        .schemes = schemes,
        .guard = guard,
        .key_prefix = config->key_prefix,
        .allow_http = config->dev,
        .default_retry = {.step_count = (uint32_t)config->retry.schedule.count,
                          .jitter = config->retry.jitter},
        .default_timeout_ms = config->outbound.timeout_ms,
        .timeout_max_ms = larger(ATTEMPT_MAX_MS, config->outbound.timeout_ms),
        .default_max_in_flight = (uint32_t)smaller(config->outbound.max_in_flight_per_endpoint,
                                                   config->outbound.max_in_flight),
        .max_in_flight_max = (uint32_t)config->outbound.max_in_flight,
    };
    for (size_t i = 0; i < config->retry.schedule.count; i++)
        rules->default_retry.steps_ms[i] = config->retry.schedule.ms[i];
}

/* What cannot become an event need not be received. */
enum status serve_source_rules(const struct config *config, const struct scheme_set *schemes,
                               struct source_rules *rules, struct buf *error)
{
    const struct config_strings *given = &config->sources.trusted_proxies;
    *rules = (struct source_rules){
        .schemes = schemes,
        .body_bytes_max = smaller(config->ingest.max_event_bytes, config->http.max_body_bytes)};
    if (given->count == 0)
        return ST_OK;
    struct network *networks = calloc(given->count, sizeof(*networks));
    if (!networks) {
        buf_add_str(error, "out of memory");
        return ST_NOMEM;
    }
    rules->trusted_proxies.items = networks;
    for (size_t i = 0; i < given->count; i++) {
        if (network_parse(slice_str(given->items[i]), &networks[i]) != ST_OK) {
            buf_addf(error, "sources.trustedProxies: \"%s\" is no network", given->items[i]);
            return ST_RANGE;
        }
        rules->trusted_proxies.count++;
    }
    return ST_OK;
}
