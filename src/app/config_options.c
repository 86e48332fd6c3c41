/* config_options.c - the table of options.
 *
 * One row an option: name, type, field, default, range, unit, help. From it come the YAML schema
 * (config_file.c), the checks (config_value.c), --help and the sample file (config_print.c). Rows
 * of one group stand together, because the sample file prints them under one heading.
 *
 * Ranges are wide: they refuse what cannot work or is surely a slip (a timeout of 0, a body limit
 * of 1 PiB), not what is merely unusual.
 */
#include "app/config_option.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log_levels.h"
#include "net/netguard.h"

#define MS      UINT64_C(1)
#define SECONDS (1000 * MS)
#define MINUTES (60 * SECONDS)
#define HOURS   (60 * MINUTES)
#define DAYS    (24 * HOURS)
#define KIB     UINT64_C(1024)
#define MIB     (1024 * KIB)
#define GIB     (1024 * MIB)
#define TIB     (1024 * GIB)

static const char *const durability_names[] = {
    "always",      "everysec",    "memory",      "replicas(1)", "replicas(2)", "replicas(3)",
    "replicas(4)", "replicas(5)", "replicas(6)", "replicas(7)", "replicas(8)", NULL};
static const char *const outbound_route_names[] = {"auto", "plain", NULL};
static const char *const outbound_tls_names[] = {"openssl", "libcurl", NULL};
static const char *const log_format_names[] = {"logfmt", "json", NULL};
static const char *const log_level_names[] = {"error", "warn", "info", "debug", NULL};

static bool valid_not_empty(const char *text)
{
    return text[0] != '\0';
}

static bool valid_worker_listen(const char *text)
{
    struct address address;
    return text[0] == '\0' || address_parse(text, &address) == ST_OK;
}

static bool valid_redis(const char *text)
{
    return strcmp(text, "embedded") == 0 ||
           (strncasecmp(text, "redis://", 8) == 0 && text[8] != '\0') ||
           (strncasecmp(text, "sentinel://", 11) == 0 && text[11] != '\0') ||
           (strncmp(text, "unix:", 5) == 0 && text[5] != '\0');
}

/* A Redis hash tag is added behind it, so braces of its own would move all keys to one slot. */
static bool valid_key_prefix(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("_-.", text[i]))
            return false;
    }
    return len >= 1 && len <= 32;
}

/* It travels in an Authorization header (RFC 6750 section 2.1: b64token), and a short one can be
 * guessed. */
static bool valid_api_key(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("-._~+/=", text[i]))
            return false;
    }
    return len >= 16 && len <= 512;
}

/* What the guard will take when the server starts. */
static bool valid_cidr(const char *text)
{
    struct netguard guard = {.allow_count = 0};
    return strchr(text, '/') && netguard_add_cidr(&guard, slice_str(text)) == ST_OK;
}

static bool valid_log_level(const char *text)
{
    struct log_levels levels = {.count = 0};
    return log_levels_add(&levels, slice_str(text)) == ST_OK;
}

/* A header's value without the characters that could end it. RFC 9110 section 5.5. */
static bool valid_header_value(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e)
            return false;
    }
    return len <= 256 && (len == 0 || (text[0] != ' ' && text[len - 1] != ' '));
}

static bool valid_proxy(const char *text)
{
    static const char *const schemes[] = {"http://",    "https://",  "socks4://",
                                          "socks4a://", "socks5://", "socks5h://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], len) == 0)
            return text[len] != '\0';
    }
    return text[0] == '\0';
}

#define FIELD(member) .offset = offsetof(struct config, member)

const struct config_option config_options[] = {
    {.name = "listen",
     .type = CONFIG_TYPE_ADDRESS,
     FIELD(listen),
     .fallback = "127.0.0.1:8080",
     .form = ADDRESS_FORM,
     .help = "Where the HTTP server listens. Port 0 takes a free port, which the line \"ready on\" "
             "tells."},
    {.name = "workers",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(workers),
     .fallback = "1",
     .min = 1,
     .max = 64,
     .unit = "processes",
     .help = "So many gateways on one port, for so many cores. They share the Redis and the work."},
    {.name = "workerListen",
     .type = CONFIG_TYPE_STRING,
     FIELD(worker_listen),
     .fallback = "",
     .valid = valid_worker_listen,
     .form = "empty, or " ADDRESS_FORM,
     .help = "With several workers: where each of them listens besides, for itself, so that "
             "Prometheus reaches every one: worker 1 on this port, worker 2 on the next, and so on "
             "(with port 0 on free ones). Empty: nowhere."},
    {.name = "redis",
     .type = CONFIG_TYPE_STRING,
     FIELD(redis),
     .fallback = "embedded",
     .valid = valid_redis,
     .form = "embedded, redis://[USER:PASSWORD@]HOST[:PORT][/DB], unix:PATH or "
             "sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/MASTER-NAME[/DB]",
     .help = "Where events are stored: \"embedded\" starts a private redis-server that keeps its "
             "files in the data directory. With sentinel:// the hosts are up to 8 Sentinels, of "
             "which one after the other is asked who the master is; user and password are those of "
             "Redis itself."},
    {.name = "data",
     .type = CONFIG_TYPE_STRING,
     FIELD(data),
     .fallback = "./data",
     .valid = valid_not_empty,
     .form = "a directory",
     .help = "Directory of what must survive a restart: the first API key and the embedded Redis. "
             "It is created when missing."},
    {.name = "dev",
     .type = CONFIG_TYPE_BOOL,
     FIELD(dev),
     .fallback = "false",
     .help = "Development: endpoints may have http URLs and private or loopback addresses. Never "
             "where strangers can register endpoints."},
    {.name = "keyPrefix",
     .type = CONFIG_TYPE_STRING,
     FIELD(key_prefix),
     .fallback = "tl",
     .valid = valid_key_prefix,
     .form = "1 to 32 letters, digits, \"_\", \"-\" or \".\"",
     .help = "First part of every Redis key, so that several gateways can share one Redis."},
    {.name = "durability",
     .type = CONFIG_TYPE_ENUM,
     FIELD(durability),
     .fallback = "always",
     .choices = durability_names,
     .form = "always, everysec, memory or replicas(N) with N from 1 to 8",
     .help = "What the embedded Redis keeps: everything that was accepted, also in a power cut "
             "(always); the same but for about the last second before a power cut (everysec); "
             "nothing beyond this run, not even the endpoints (memory). With another Redis its own "
             "settings decide, and with replicas(N) an event is accepted when N of its replicas "
             "have it too, so that it survives a failover; when they do not confirm it within a "
             "quarter of ingest.timeout (or of redisOptions.commandTimeout, if that is shorter) "
             "the producer is answered with 503 outcome_unknown."},
    {.name = "apiKeys",
     .type = CONFIG_TYPE_STRING_LIST,
     FIELD(api_keys),
     .fallback = "",
     .max = 256,
     .valid = valid_api_key,
     .form = "16 to 512 letters, digits or \"-._~+/=\"",
     .help = "API keys that are taken besides the one in the data directory's file api-key. "
             "Better taken from the environment: [\"${TROTLINE_KEY}\"].",
     .secret = true},
    {.name = "schemes",
     .type = CONFIG_TYPE_STRING,
     FIELD(schemes),
     .fallback = "",
     .help =
         "Directory of your own wire schemes (*.yaml), besides the built-in ones. Empty: none."},
    {.name = "shutdownTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(shutdown_timeout_ms),
     .fallback = "30s",
     .max = 1 * HOURS,
     .help = "How long a stopping server waits for requests and deliveries on the wire. What is "
             "not done by then stays stored and is delivered after the next start."},
    {.name = "drainDelay",
     .type = CONFIG_TYPE_DURATION,
     FIELD(drain_delay_ms),
     .fallback = "0s",
     .max = 1 * HOURS,
     .help = "How long a stopping server still accepts requests while /readyz already says no, so "
             "that a load balancer can notice."},

    {.name = "log.format",
     .type = CONFIG_TYPE_ENUM,
     FIELD(log.format),
     .fallback = "logfmt",
     .choices = log_format_names,
     .help = "One line for each event, \"time level event name=value\" (logfmt) or a JSON object."},
    {.name = "log.level",
     .type = CONFIG_TYPE_ENUM,
     FIELD(log.level),
     .fallback = "info",
     .choices = log_level_names,
     .help = "Lines below this level are not written. \"info\" has a line for every failed "
             "attempt and every change of a state, \"debug\" for successful attempts too."},
    {.name = "log.levels",
     .type = CONFIG_TYPE_STRING_LIST,
     FIELD(log.levels),
     .fallback = "",
     .max = LOG_COMPONENTS_MAX,
     .valid = valid_log_level,
     .form = "COMPONENT=LEVEL such as delivery=debug; the components are in GET /api/log",
     .help = "Levels of single components, which is what the first part of an event's name says. "
             "PUT /api/log changes them while the server runs."},

    {.name = "archive.file",
     .type = CONFIG_TYPE_STRING,
     FIELD(archive.file),
     .fallback = "",
     .help = "JSON Lines file with one line for each finished delivery; a relative path starts in "
             "the data directory. Empty: none."},
    {.name = "archive.maxBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(archive.max_bytes),
     .fallback = "256MiB",
     .min = 64 * KIB,
     .max = 1 * TIB,
     .help = "A file of this size is renamed to FILE.1, FILE.1 to FILE.2 and so on."},
    {.name = "archive.files",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(archive.files),
     .fallback = "4",
     .min = 1,
     .max = 1000,
     .unit = "files",
     .help = "Renamed files that are kept besides the one that is written."},

    {.name = "http.maxConnections",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(http.max_connections),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .unit = "connections",
     .help = "Open at once; further ones are answered with 503 and closed."},
    {.name = "http.maxBodyBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(http.max_body_bytes),
     .fallback = "1MiB",
     .min = 1 * KIB,
     .max = 1 * GIB,
     .help = "Body of one request; a longer one is answered with 413."},
    {.name = "http.maxBufferedBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(http.max_buffered_bytes),
     .fallback = "256MiB",
     .min = 1 * MIB,
     .max = 1 * TIB,
     .help = "Bodies of all requests together; beyond it new requests are answered with 503."},
    {.name = "http.headerTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(http.header_timeout_ms),
     .fallback = "10s",
     .min = 100 * MS,
     .max = 1 * HOURS,
     .help = "From the first byte of a request to the end of its headers; then 408."},
    {.name = "http.bodyTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(http.body_timeout_ms),
     .fallback = "30s",
     .min = 100 * MS,
     .max = 1 * HOURS,
     .help = "From the end of the headers to the end of the body; then 408."},
    {.name = "http.idleTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(http.idle_timeout_ms),
     .fallback = "75s",
     .min = 100 * MS,
     .max = 24 * HOURS,
     .help = "A connection without a request is closed after this long."},
    {.name = "http.writeTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(http.write_timeout_ms),
     .fallback = "30s",
     .min = 100 * MS,
     .max = 1 * HOURS,
     .help = "A client that takes nothing of its answer for this long is disconnected."},

    {.name = "ingest.maxEventBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(ingest.max_event_bytes),
     .fallback = "256KiB",
     .min = 1 * KIB,
     .max = LIMIT_BATCH_BYTES / 2,
     .help = "The data of one event; more is answered with 413."},
    {.name = "ingest.batchEvents",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(ingest.batch_events),
     .fallback = "256",
     .min = 1,
     .max = LIMIT_BATCH_EVENTS,
     .unit = "events",
     .help = "Most events that are stored together."},
    {.name = "ingest.batchBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(ingest.batch_bytes),
     .fallback = "256KiB",
     .min = 4 * KIB,
     .max = LIMIT_BATCH_BYTES / 2,
     .help = "A batch of this size is stored at once, without waiting for more events."},
    {.name = "ingest.timeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(ingest.timeout_ms),
     .fallback = "10s",
     .min = 100 * MS,
     .max = 10 * MINUTES,
     .help = "When Redis has not confirmed an event after this long, its producer is answered with "
             "503 outcome_unknown."},

    {.name = "idempotency.ttl",
     .type = CONFIG_TYPE_DURATION,
     FIELD(idempotency.ttl_ms),
     .fallback = "24h",
     .min = 1 * SECONDS,
     .max = 90 * DAYS,
     .help = "How long an idempotency key is remembered."},
    {.name = "idempotency.maxKeys",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(idempotency.max_keys),
     .fallback = "1000000",
     .min = 1,
     .max = 1000000000,
     .unit = "keys",
     .help = "Remembered for one application; when all are unexpired, a new one is answered with "
             "503 idempotency_full."},

    {.name = "history.ttl",
     .type = CONFIG_TYPE_DURATION,
     FIELD(history.ttl_ms),
     .fallback = "72h",
     .min = 1 * SECONDS,
     .max = 365 * DAYS,
     .help = "How long a finished event can still be read."},
    {.name = "history.maxBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(history.max_bytes),
     .fallback = "256MiB",
     .min = 1 * MIB,
     .max = 1 * TIB,
     .help = "Of finished events; beyond it the oldest go before their time."},
    {.name = "history.attemptsPerEndpoint",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(history.attempts_per_endpoint),
     .fallback = "100",
     .max = 1000,
     .unit = "attempts",
     .help = "The last attempts of each endpoint that are kept."},

    {.name = "memory.maxDeliveries",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(memory.max_deliveries),
     .fallback = "100000",
     .min = 1,
     .max = 100000000,
     .unit = "deliveries",
     .help = "Held in this process at once; further ones wait in Redis."},
    {.name = "memory.maxBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(memory.max_bytes),
     .fallback = "256MiB",
     .min = 1 * MIB,
     .max = 1 * TIB,
     .help = "Of events held in this process; deliveries beyond it wait in Redis."},
    {.name = "memory.maxQueuedPerEndpoint",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(memory.max_queued_per_endpoint),
     .fallback = "1000",
     .min = 1,
     .max = 1000000,
     .unit = "deliveries",
     .help = "Of one endpoint held in this process, so that a slow one cannot take all the room; "
             "further ones wait in Redis."},

    {.name = "journal.maxBatches",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(journal.max_batches),
     .fallback = "100000",
     .min = 1,
     .max = 10000000,
     .unit = "batches",
     .help = "Stored and not yet settled; beyond it producers are answered with 503 journal_full."},

    {.name = "outbound.maxInFlight",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(outbound.max_in_flight),
     .fallback = "1000",
     .min = 1,
     .max = 100000,
     .unit = "requests",
     .help = "On the wire at once, to all endpoints."},
    {.name = "outbound.maxInFlightPerEndpoint",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(outbound.max_in_flight_per_endpoint),
     .fallback = "100",
     .min = 1,
     .max = 100000,
     .unit = "requests",
     .help = "On the wire at once to one endpoint, unless it has a maxInFlight of its own."},
    {.name = "outbound.maxInFlightPerHost",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(outbound.max_in_flight_per_host),
     .fallback = "0",
     .max = 100000,
     .unit = "requests",
     .help = "On the wire at once to one host and port, over all of its endpoints. 0: no limit."},
    {.name = "outbound.adaptiveConcurrency",
     .type = CONFIG_TYPE_BOOL,
     FIELD(outbound.adaptive_concurrency),
     .fallback = "true",
     .help = "Begins with a few requests at once to each endpoint, sends more while it answers "
             "fast, and fewer when it slows, fails or hangs; never more than its maximum."},
    {.name = "outbound.connectTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(outbound.connect_timeout_ms),
     .fallback = "5s",
     .min = 10 * MS,
     .max = 10 * MINUTES,
     .help = "For looking up the name, connecting and the TLS handshake."},
    {.name = "outbound.timeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(outbound.timeout_ms),
     .fallback = "15s",
     .min = 10 * MS,
     .max = 1 * HOURS,
     .help = "For a whole attempt, unless the endpoint has a timeout of its own."},
    {.name = "outbound.maxResponseBytes",
     .type = CONFIG_TYPE_SIZE,
     FIELD(outbound.max_response_bytes),
     .fallback = "64KiB",
     .min = 1 * KIB,
     .max = 64 * MIB,
     .help = "Of an endpoint's answer; what is longer is not read to the end. The status line "
             "decides all the same."},
    {.name = "outbound.allow",
     .type = CONFIG_TYPE_STRING_LIST,
     FIELD(outbound.allow),
     .fallback = "",
     .max = NETGUARD_NETS_MAX,
     .valid = valid_cidr,
     .form = "a network such as 10.1.0.0/16 or fd00::/8",
     .help = "Private networks that endpoints may be in although \"dev\" is off."},
    {.name = "outbound.userAgent",
     .type = CONFIG_TYPE_STRING,
     FIELD(outbound.user_agent),
     .fallback = "Trotline/" TROTLINE_VERSION,
     .valid = valid_header_value,
     .form = "at most 256 printable ASCII characters",
     .help = "The header User-Agent of every delivery."},
    {.name = "outbound.caFile",
     .type = CONFIG_TYPE_STRING,
     FIELD(outbound.ca_file),
     .fallback = "",
     .help = "PEM file of the certificate authorities to trust. Empty: the system's."},
    {.name = "outbound.proxy",
     .type = CONFIG_TYPE_STRING,
     FIELD(outbound.proxy),
     .fallback = "",
     .valid = valid_proxy,
     .form = "a URL that starts with http://, https://, socks4://, socks4a://, socks5:// or "
             "socks5h://",
     .help = "Proxy of all deliveries. Empty: none; the environment's http_proxy is not used."},
    {.name = "outbound.idleConnections",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(outbound.idle_connections),
     .fallback = "2000",
     .max = 100000,
     .unit = "connections",
     .help = "Kept open to be used again, to all endpoints."},
    {.name = "outbound.route",
     .type = CONFIG_TYPE_ENUM,
     FIELD(outbound.route),
     .fallback = "auto",
     .choices = outbound_route_names,
     .help = "Who speaks HTTP to endpoints. \"auto\": we, on connections that libcurl makes, "
             "except through proxies that want more than a tunnel. \"plain\": libcurl, which takes "
             "three times the CPU time."},
    {.name = "outbound.directTls",
     .type = CONFIG_TYPE_ENUM,
     FIELD(outbound.direct_tls),
     .fallback = "openssl",
     .choices = outbound_tls_names,
     .help = "How TLS connections are read and written when route is \"auto\": by OpenSSL itself, "
             "or through libcurl, which costs a little more."},

    {.name = "retry.schedule",
     .type = CONFIG_TYPE_DURATION_LIST,
     FIELD(retry.schedule),
     .fallback = "5s, 5m, 30m, 2h, 5h, 10h, 10h",
     .max = 30 * DAYS,
     .help =
         "How long to wait before each further attempt. After the last one the delivery is a dead "
         "letter; an empty list means one attempt only."},
    {.name = "retry.jitter",
     .type = CONFIG_TYPE_FRACTION,
     FIELD(retry.jitter),
     .fallback = "0.2",
     .help = "Each wait is changed at random by up to this fraction of it, up or down, so that "
             "retries do not come in waves."},
    {.name = "retry.maxRetryAfter",
     .type = CONFIG_TYPE_DURATION,
     FIELD(retry.max_retry_after_ms),
     .fallback = "24h",
     .max = 30 * DAYS,
     .help = "The longest Retry-After of an endpoint that is obeyed; a longer one is cut to this."},

    {.name = "disable.after",
     .type = CONFIG_TYPE_DURATION,
     FIELD(disable.after_ms),
     .fallback = "120h",
     .max = 365 * DAYS,
     .help = "An endpoint that has done nothing but fail for this long is disabled at its next "
             "failure. 0s: never."},
    {.name = "disable.onExhausted",
     .type = CONFIG_TYPE_BOOL,
     FIELD(disable.on_exhausted),
     .fallback = "false",
     .help = "An endpoint is disabled as soon as one of its deliveries has used up its attempts, "
             "or failed in a way that is not retried."},

    {.name = "backlog.threshold",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(backlog.threshold),
     .fallback = "10000",
     .max = 1000000000,
     .unit = "deliveries",
     .help = "When so many wait for one endpoint, the event endpoint.backlog tells it. 0: never."},

    {.name = "breaker.enabled",
     .type = CONFIG_TYPE_BOOL,
     FIELD(breaker.enabled),
     .fallback = "true",
     .help = "Stops sending to an endpoint that fails again and again, and asks it with a single "
             "delivery after a while. What waits is not lost, and uses up no attempts."},
    {.name = "breaker.consecutiveFailures",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(breaker.consecutive_failures),
     .fallback = "50",
     .max = 1000000,
     .unit = "attempts",
     .help = "Opens the breaker after so many failed attempts in a row. 0: never for that."},
    {.name = "breaker.failureRatio",
     .type = CONFIG_TYPE_FRACTION,
     FIELD(breaker.failure_ratio),
     .fallback = "0.5",
     .help = "Opens the breaker when this share of the attempts within breaker.window failed. 0: "
             "never for that."},
    {.name = "breaker.minimumAttempts",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(breaker.minimum_attempts),
     .fallback = "100",
     .min = 1,
     .max = 10000,
     .unit = "attempts",
     .help = "With fewer within breaker.window the share of failures says nothing."},
    {.name = "breaker.window",
     .type = CONFIG_TYPE_DURATION,
     FIELD(breaker.window_ms),
     .fallback = "1m",
     .min = 1 * SECONDS,
     .max = 24 * HOURS,
     .help = "How far back breaker.failureRatio looks."},
    {.name = "breaker.openFor",
     .type = CONFIG_TYPE_DURATION,
     FIELD(breaker.open_for_ms),
     .fallback = "2s",
     .min = 10 * MS,
     .max = 1 * HOURS,
     .help = "From opening to the first delivery that is tried; twice as long each time that fails "
             "(each time +-20 % at random)."},
    {.name = "breaker.openForMax",
     .type = CONFIG_TYPE_DURATION,
     FIELD(breaker.open_for_max_ms),
     .fallback = "5m",
     .min = 10 * MS,
     .max = 24 * HOURS,
     .help = "The longest that it grows to: no less than breaker.openFor."},

    {.name = "jobs.rate",
     .type = CONFIG_TYPE_NUMBER,
     FIELD(jobs.rate),
     .fallback = "1000",
     .max = 1000000,
     .unit = "deliveries a second",
     .help = "Put back into the schedule by a replay that names no rate of its own. 0: no limit."},

    {.name = "redisOptions.connectTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(redis_options.connect_timeout_ms),
     .fallback = "5s",
     .min = 10 * MS,
     .max = 10 * MINUTES,
     .help = "For connecting to Redis."},
    {.name = "redisOptions.commandTimeout",
     .type = CONFIG_TYPE_DURATION,
     FIELD(redis_options.command_timeout_ms),
     .fallback = "10s",
     .min = 10 * MS,
     .max = 10 * MINUTES,
     .help = "A connection whose oldest command has no answer after this long is given up."},
    {.name = "redisOptions.maxMemory",
     .type = CONFIG_TYPE_SIZE,
     FIELD(redis_options.max_memory_bytes),
     .fallback = "0",
     .max = 1024 * TIB,
     .help =
         "Memory of the embedded Redis; when it is full, producers are answered with 503. 0: no "
         "limit."},
    {.name = "redisOptions.packHashes",
     .type = CONFIG_TYPE_BOOL,
     FIELD(redis_options.pack_hashes),
     .fallback = "true",
     .help = "Sets hash-max-listpack-value of a Redis of your own to 4096 when it is less, so that "
             "waiting events of up to 4 KiB are packed: one of 1 KiB takes 1.5 KiB instead of 1.9. "
             "It holds for all that is in that Redis."},
    {.name = "redisOptions.sentinelUser",
     .type = CONFIG_TYPE_STRING,
     FIELD(redis_options.sentinel_user),
     .fallback = "",
     .help =
         "User at the Sentinels themselves, which may differ from Redis's, that are in the URL. "
         "Empty: the default user."},
    {.name = "redisOptions.sentinelPassword",
     .type = CONFIG_TYPE_STRING,
     FIELD(redis_options.sentinel_password),
     .fallback = "",
     .help = "Password at the Sentinels themselves. Empty: they ask for none.",
     .secret = true},

    {.name = "replica.lease",
     .type = CONFIG_TYPE_DURATION,
     FIELD(replica.lease_ms),
     .fallback = "5s",
     .min = 500 * MS,
     .max = 10 * MINUTES,
     .help =
         "A replica that has not been heard of for this long is taken for dead, and others take "
         "over its work."},
    {.name = "replica.heartbeat",
     .type = CONFIG_TYPE_DURATION,
     FIELD(replica.heartbeat_ms),
     .fallback = "1s",
     .min = 50 * MS,
     .max = 5 * MINUTES,
     .help = "How often a replica says that it lives: at most a third of replica.lease."},
};

const size_t config_options_count = sizeof(config_options) / sizeof(config_options[0]);

const struct config_option *config_option_find(const char *name)
{
    for (size_t i = 0; i < config_options_count; i++) {
        if (strcmp(config_options[i].name, name) == 0)
            return &config_options[i];
    }
    return NULL;
}
