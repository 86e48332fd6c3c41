/* config.h - what the operator chose: defaults, then the YAML file, then the command line.
 *
 * struct config is plain data that only config_load() writes. Every option is one row of the table
 * in config_options.c, which also feeds the YAML schema, --help, check-config and the sample file.
 * Layers below app do not know this struct: serve.c hands each of them what it needs.
 *
 * An option that was not given has its default, so no field is ever "unset"; strings are never
 * NULL.
 */
#ifndef TROTLINE_APP_CONFIG_H
#define TROTLINE_APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/address.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/outbound.h"

/* In the order of the option's choices; behind the last one come replicas(2) to replicas(8). */
enum config_durability {
    DURABILITY_ALWAYS,
    DURABILITY_EVERYSEC,
    DURABILITY_MEMORY,
    DURABILITY_REPLICAS_1
};

/* The n of replicas(n); 0 for the others. */
static inline unsigned config_durability_replicas(enum config_durability durability)
{
    return durability < DURABILITY_REPLICAS_1 ? 0
                                              : (unsigned)durability - DURABILITY_REPLICAS_1 + 1;
}

struct config_strings {
    char **items;
    size_t count;
};

struct config_durations {
    uint64_t ms[LIMIT_RETRY_STEPS];
    size_t count;
};

struct config {
    struct address listen;
    uint64_t workers;
    char *worker_listen; /* "": nowhere; else an address */
    char *redis;         /* "embedded", "redis://…", "sentinel://…" or "unix:PATH" */
    char *data;
    bool dev;
    char *key_prefix;
    enum config_durability durability;
    struct config_strings api_keys;
    char *schemes; /* "": only the built-in ones */
    uint64_t shutdown_timeout_ms;
    uint64_t drain_delay_ms;
    struct {
        enum log_format format;
        enum log_level level;
        struct config_strings levels; /* "delivery=debug", each checked */
    } log;
    struct {
        char *file; /* "": none */
        uint64_t max_bytes;
        uint64_t files;
    } archive;
    struct {
        uint64_t max_connections;
        uint64_t max_body_bytes;
        uint64_t max_buffered_bytes;
        uint64_t header_timeout_ms;
        uint64_t body_timeout_ms;
        uint64_t idle_timeout_ms;
        uint64_t write_timeout_ms;
    } http;
    struct {
        uint64_t max_event_bytes;
        uint64_t batch_events;
        uint64_t batch_bytes;
        uint64_t timeout_ms;
    } ingest;
    struct {
        bool enabled;
        struct config_strings streams; /* "NAME" or "NAME=APPLICATION", each checked */
        uint64_t max_entries;
        uint64_t max_rejected; /* 0: no limit */
    } feed;
    struct {
        uint64_t max_events;
        uint64_t max_bytes;
    } bulk;
    struct {
        char *dir;                             /* "": none */
        struct config_strings trusted_proxies; /* CIDRs, each checked */
    } sources;
    struct {
        uint64_t ttl_ms;
        uint64_t max_keys;
    } idempotency;
    struct {
        uint64_t ttl_ms;
        uint64_t max_bytes;
        uint64_t attempts_per_endpoint;
    } history;
    struct {
        uint64_t max_deliveries;
        uint64_t max_bytes;
        uint64_t max_queued_per_endpoint;
    } memory;
    struct {
        uint64_t max_batches;
    } journal;
    struct {
        uint64_t max_in_flight;
        uint64_t max_in_flight_per_endpoint;
        uint64_t max_in_flight_per_host; /* 0: no limit */
        bool adaptive_concurrency;
        uint64_t connect_timeout_ms;
        uint64_t timeout_ms;
        uint64_t max_response_bytes;
        struct config_strings allow; /* CIDRs, each checked */
        char *user_agent;
        char *ca_file; /* "": the system's */
        char *proxy;   /* "": none */
        uint64_t idle_connections;
        enum outbound_choice route;
        enum outbound_tls direct_tls;
    } outbound;
    struct {
        struct config_durations schedule;
        double jitter;
        uint64_t max_retry_after_ms;
    } retry;
    struct {
        uint64_t after_ms; /* 0: never */
        bool on_exhausted;
    } disable;
    struct {
        uint64_t threshold; /* 0: none */
    } backlog;
    struct {
        bool enabled;
        uint64_t consecutive_failures;
        double failure_ratio;
        uint64_t minimum_attempts;
        uint64_t window_ms;
        uint64_t open_for_ms;
        uint64_t open_for_max_ms;
    } breaker;
    struct {
        uint64_t rate; /* deliveries a second; 0: no limit */
    } jobs;
    struct {
        uint64_t connect_timeout_ms;
        uint64_t command_timeout_ms;
        uint64_t max_memory_bytes; /* 0: none */
        bool pack_hashes;
        char *sentinel_user;     /* "": the default user */
        char *sentinel_password; /* "": no AUTH */
    } redis_options;
    struct {
        uint64_t lease_ms;
        uint64_t heartbeat_ms;
    } replica;

    /* What each option was set to, as text, and by whom; in the order of the table. */
    struct config_given *given;
};

/* Reads the defaults, then the file named by --config (none: no file), then the other options of
 * the command line, the last of which wins. argv[0] is the subcommand and is skipped; nothing is
 * kept of argv.
 *
 * Everything that is wrong is appended to `errors`, one line each. ST_SYNTAX: the command line
 * cannot be understood. ST_RANGE: a value, or the file, is not acceptable. ST_IO: the file cannot
 * be read. ST_NOMEM. After a failure `config` is empty and need not be freed, but may be. */
MUST_CHECK enum status config_load(struct config *config, int argc, char **argv,
                                   struct buf *errors);

/* The same for a file's content in memory, without a command line. `name` stands in errors. */
MUST_CHECK enum status config_load_text(struct config *config, const char *name, struct slice text,
                                        struct buf *errors);

/* Frees what the options hold and clears secrets from memory. Does nothing on a struct of zeros. */
void config_free(struct config *config);

/* ---- Texts made of the table ----------------------------------------------------------------- */

/* The options of the command line (--config, --listen …), for --help. */
void config_print_arguments(struct buf *out);

/* Every option with default, unit and range, for --help. */
void config_print_options(struct buf *out);

/* The sample file: conf/trotline.yaml is exactly this. */
void config_print_sample(struct buf *out);

/* Each option's value and where it came from. Secrets are not shown. */
void config_print_values(const struct config *config, struct buf *out);
void config_print_values_json(const struct config *config, struct buf *out);

#endif
