/* Tests of the configuration: the table, the file, the command line, and every kind of error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "app/config_option.h"
#include "core/breaker.h"

enum { ARGS_MAX = 8 };

struct outcome {
    enum status status;
    struct config config; /* of zeros after a failure */
    struct buf errors;
};

static const char *errors_of(struct outcome *outcome)
{
    buf_add_char(&outcome->errors, '\0');
    return outcome->errors.ptr;
}

static struct outcome load_text(const char *text)
{
    struct outcome outcome;
    buf_init(&outcome.errors, 64 * 1024);
    outcome.status = config_load_text(&outcome.config, "f", slice_str(text), &outcome.errors);
    return outcome;
}

/* Arguments end with NULL. */
static struct outcome load_args(const char *const args[])
{
    struct outcome outcome;
    char *argv[ARGS_MAX + 2] = {NULL};
    int argc = 1;
    argv[0] = strdup("serve");
    for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
        argv[argc++] = strdup(args[i]);
    buf_init(&outcome.errors, 64 * 1024);
    outcome.status = config_load(&outcome.config, argc, argv, &outcome.errors);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return outcome;
}

static void done(struct outcome *outcome)
{
    config_free(&outcome->config);
    buf_free(&outcome->errors);
}

/* Writes a file of its own and returns its name, which the caller unlinks and frees. */
static char *write_file(const char *bytes, size_t len)
{
    char path[] = "/tmp/trotline-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
    return strdup(path);
}

/* Without file and options every field has the documented default. */
static void defaults_are_complete(void **state)
{
    (void)state;
    struct outcome o = load_args((const char *const[]){NULL});
    const struct config *c = &o.config;
    static const uint64_t waits[] = {5000, 300000, 1800000, 7200000, 18000000, 36000000, 36000000};
    assert_int_equal(o.status, ST_OK);
    assert_int_equal(o.errors.len, 0);
    assert_string_equal(c->listen.host, "127.0.0.1");
    assert_int_equal(c->listen.port, 8080);
    assert_string_equal(c->redis, "embedded");
    assert_string_equal(c->data, "./data");
    assert_false(c->dev);
    assert_string_equal(c->key_prefix, "tl");
    assert_int_equal(c->durability, DURABILITY_ALWAYS);
    assert_int_equal(c->api_keys.count, 0);
    assert_string_equal(c->schemes, "");
    assert_int_equal(c->shutdown_timeout_ms, 30000);
    assert_int_equal(c->drain_delay_ms, 0);
    assert_int_equal(c->log.format, LOG_LOGFMT);
    assert_int_equal(c->log.level, LOG_INFO);
    assert_int_equal(c->log.levels.count, 0);
    assert_string_equal(c->archive.file, "");
    assert_int_equal(c->archive.max_bytes, 256 << 20);
    assert_int_equal(c->archive.files, 4);
    assert_int_equal(c->http.max_connections, 10000);
    assert_int_equal(c->http.max_body_bytes, 1 << 20);
    assert_int_equal(c->http.max_buffered_bytes, 256 << 20);
    assert_int_equal(c->http.header_timeout_ms, 10000);
    assert_int_equal(c->http.body_timeout_ms, 30000);
    assert_int_equal(c->http.idle_timeout_ms, 75000);
    assert_int_equal(c->http.write_timeout_ms, 30000);
    assert_int_equal(c->ingest.max_event_bytes, 256 << 10);
    assert_int_equal(c->ingest.batch_events, 256);
    assert_int_equal(c->ingest.batch_bytes, 256 << 10);
    assert_int_equal(c->ingest.timeout_ms, 10000);
    assert_int_equal(c->idempotency.ttl_ms, 86400000);
    assert_int_equal(c->idempotency.max_keys, 1000000);
    assert_int_equal(c->history.ttl_ms, 72 * 3600000);
    assert_int_equal(c->history.max_bytes, 256 << 20);
    assert_int_equal(c->history.attempts_per_endpoint, 100);
    assert_int_equal(c->memory.max_deliveries, 100000);
    assert_int_equal(c->memory.max_bytes, 256 << 20);
    assert_int_equal(c->memory.max_queued_per_endpoint, 1000);
    assert_int_equal(c->journal.max_batches, 100000);
    assert_int_equal(c->outbound.max_in_flight, 1000);
    assert_int_equal(c->outbound.max_in_flight_per_endpoint, 100);
    assert_int_equal(c->outbound.connect_timeout_ms, 5000);
    assert_int_equal(c->outbound.timeout_ms, 15000);
    assert_int_equal(c->outbound.max_response_bytes, 64 << 10);
    assert_int_equal(c->outbound.allow.count, 0);
    assert_string_equal(c->outbound.user_agent, "Trotline/" TROTLINE_VERSION);
    assert_string_equal(c->outbound.ca_file, "");
    assert_string_equal(c->outbound.proxy, "");
    assert_int_equal(c->outbound.idle_connections, 2000);
    assert_int_equal(c->retry.schedule.count, 7);
    assert_memory_equal(c->retry.schedule.ms, waits, sizeof(waits));
    assert_true(c->retry.jitter > 0.199 && c->retry.jitter < 0.201);
    assert_int_equal(c->retry.max_retry_after_ms, 86400000);
    assert_int_equal(c->outbound.max_in_flight_per_host, 0);
    assert_true(c->outbound.adaptive_concurrency);
    struct breaker_rules breaker;
    breaker_rules_default(&breaker);
    assert_true(c->breaker.enabled && breaker.enabled);
    assert_int_equal(c->breaker.consecutive_failures, breaker.consecutive);
    assert_true(c->breaker.failure_ratio == breaker.ratio);
    assert_int_equal(c->breaker.minimum_attempts, breaker.minimum);
    assert_int_equal(c->breaker.window_ms, breaker.window_ms);
    assert_int_equal(c->breaker.open_for_ms, breaker.open_ms);
    assert_int_equal(c->breaker.open_for_max_ms, breaker.open_max_ms);
    assert_int_equal(c->redis_options.connect_timeout_ms, 5000);
    assert_int_equal(c->redis_options.command_timeout_ms, 10000);
    assert_int_equal(c->redis_options.max_memory_bytes, 0);
    assert_int_equal(c->replica.lease_ms, 5000);
    assert_int_equal(c->replica.heartbeat_ms, 1000);
    done(&o);
}

/* Every type of the table is read from a file, grouped and not, flow and block lists. */
static void file_sets_every_type(void **state)
{
    (void)state;
    struct outcome o = load_text("listen: '[::1]:0'\n"
                                 "redis: unix:/run/redis.sock\n"
                                 "dev: true\n"
                                 "durability: everysec\n"
                                 "apiKeys:\n"
                                 "  - 0123456789abcdef\n"
                                 "  - fedcba9876543210\n"
                                 "log: {level: debug}\n"
                                 "http:\n"
                                 "  maxConnections: 7\n"
                                 "  maxBodyBytes: 2MiB\n"
                                 "outbound:\n"
                                 "  timeout: 1.5s\n"
                                 "  allow: [10.0.0.0/8, 'fd00::/8']\n"
                                 "  userAgent: \"me, myself\"\n"
                                 "retry:\n"
                                 "  schedule: [1s, 2m]\n"
                                 "  jitter: 0\n");
    const struct config *c = &o.config;
    assert_string_equal(errors_of(&o), "");
    assert_int_equal(o.status, ST_OK);
    assert_string_equal(c->listen.host, "::1");
    assert_int_equal(c->listen.port, 0);
    assert_string_equal(c->redis, "unix:/run/redis.sock");
    assert_true(c->dev);
    assert_int_equal(c->durability, DURABILITY_EVERYSEC);
    assert_int_equal(c->api_keys.count, 2);
    assert_string_equal(c->api_keys.items[1], "fedcba9876543210");
    assert_int_equal(c->log.level, LOG_DEBUG);
    assert_int_equal(c->http.max_connections, 7);
    assert_int_equal(c->http.max_body_bytes, 2 << 20);
    assert_int_equal(c->outbound.timeout_ms, 1500);
    assert_int_equal(c->outbound.allow.count, 2);
    assert_string_equal(c->outbound.allow.items[1], "fd00::/8");
    assert_string_equal(c->outbound.user_agent, "me, myself");
    assert_int_equal(c->retry.schedule.count, 2);
    assert_int_equal(c->retry.schedule.ms[1], 120000);
    assert_true(c->retry.jitter == 0.0);
    /* What the file does not name keeps its default. */
    assert_int_equal(c->http.idle_timeout_ms, 75000);
    done(&o);
}

/* The n of replicas(n), with a Redis that may have replicas. */
static void durability_names_replicas(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned replicas;
    } rows[] = {
        {"redis: sentinel://a:1,b/m\ndurability: replicas(1)\n", 1},
        {"redis: redis://h\ndurability: replicas(8)\n", 8},
        {"redis: redis://h\ndurability: memory\n", 0},
        {"durability: always\n", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct outcome o = load_text(rows[i].text);
        assert_string_equal(errors_of(&o), "");
        assert_int_equal(config_durability_replicas(o.config.durability), rows[i].replicas);
        done(&o);
    }
}

/* Empty files, empty groups and empty lists are what they look like. */
static void emptiness_is_fine(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "http:\noutbound:\n", "{}\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct outcome o = load_text(texts[i]);
        assert_int_equal(o.status, ST_OK);
        done(&o);
    }
    struct outcome o = load_text("retry:\n  schedule: []\n");
    assert_int_equal(o.status, ST_OK);
    assert_int_equal(o.config.retry.schedule.count, 0);
    done(&o);
}

/* Each kind of wrong value and of wrong file has its own exact message with file and line. */
static void file_errors_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text, *errors;
    } cases[] = {
        /* Values, type by type. */
        {"dev: yes\n", "f:1: dev: \"yes\" is not a truth value; allowed: true or false\n"},
        {"http:\n  maxConnections: many\n",
         "f:2: http.maxConnections: \"many\" is not a whole number; allowed: 1 to 1000000 "
         "connections\n"},
        {"http:\n  maxConnections: 0\n",
         "f:2: http.maxConnections: \"0\" is out of range; allowed: 1 to 1000000 connections\n"},
        {"http:\n  maxConnections: -1\n",
         "f:2: http.maxConnections: \"-1\" is not a whole number; allowed: 1 to 1000000 "
         "connections\n"},
        {"http:\n  maxConnections: 99999999999999999999\n",
         "f:2: http.maxConnections: \"99999999999999999999\" is out of range; allowed: 1 to "
         "1000000 connections\n"},
        {"\noutbound:\n  userAgent: x\n  timeout: 5\n",
         "f:4: outbound.timeout: \"5\" is not a duration (a number and ms, s, m, h or d); allowed: "
         "10ms to 1h\n"},
        {"outbound: {timeout: 2h}\n",
         "f:1: outbound.timeout: \"2h\" is out of range; allowed: 10ms to 1h\n"},
        {"http:\n  maxBodyBytes: 1 MiB\n",
         "f:2: http.maxBodyBytes: \"1 MiB\" is not a size (a number and B, kB, MB, GB, TB, KiB, "
         "MiB, GiB or TiB); allowed: 1KiB to 1GiB\n"},
        {"http:\n  maxBodyBytes: 1\n",
         "f:2: http.maxBodyBytes: \"1\" is out of range; allowed: 1KiB to 1GiB\n"},
        {"retry:\n  jitter: 1.01\n",
         "f:2: retry.jitter: \"1.01\" is out of range; allowed: 0 to 1\n"},
        {"retry:\n  jitter: 1e-1\n",
         "f:2: retry.jitter: \"1e-1\" is not a decimal number; allowed: 0 to 1\n"},
        {"retry:\n  jitter: 0.\n",
         "f:2: retry.jitter: \"0.\" is not a decimal number; allowed: 0 to 1\n"},
        {"log:\n  level: infos\n",
         "f:2: log.level: \"infos\" is unknown; allowed: error, warn, info or debug; did you mean "
         "\"info\"?\n"},
        {"log:\n  format: xml\n", "f:2: log.format: \"xml\" is unknown; allowed: logfmt or json\n"},
        {"log:\n  levels: [writer=debug, nobody=debug]\n",
         "f:2: log.levels: \"nobody=debug\" is not acceptable; allowed: a list of up to 64, each "
         "COMPONENT=LEVEL such as delivery=debug; the components are in GET /api/log\n"},
        {"log:\n  levels: [writer=loud]\n",
         "f:2: log.levels: \"writer=loud\" is not acceptable; allowed: a list of up to 64, each "
         "COMPONENT=LEVEL such as delivery=debug; the components are in GET /api/log\n"},
        {"archive:\n  maxBytes: 1KiB\n",
         "f:2: archive.maxBytes: \"1KiB\" is out of range; allowed: 64KiB to 1TiB\n"},
        {"archive:\n  files: 0\n",
         "f:2: archive.files: \"0\" is out of range; allowed: 1 to 1000 files\n"},
        {"durability: 1\n",
         "f:1: durability: \"1\" is unknown; allowed: always, everysec, memory or replicas(N) "
         "with N from 1 to 8\n"},
        {"durability: replicas(9)\nredis: redis://h\n",
         "f:1: durability: \"replicas(9)\" is unknown; allowed: always, everysec, memory or "
         "replicas(N) with N from 1 to 8; did you mean \"replicas(1)\"?\n"},
        {"durability: replicas(2)\n",
         "durability: replicas(2) needs a Redis of your own that has replicas; the embedded one "
         "has none (allowed with it: always, everysec or memory)\n"},
        {"listen: example.com:80\n",
         "f:1: listen: \"example.com:80\" is not an address; allowed: ADDR:PORT, [IPV6]:PORT or "
         ":PORT (all addresses), port 0 to 65535\n"},
        {"redis: embeded\n",
         "f:1: redis: \"embeded\" is not acceptable; allowed: embedded, "
         "redis://[USER:PASSWORD@]HOST[:PORT][/DB], unix:PATH or "
         "sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/MASTER-NAME[/DB]\n"},
        {"keyPrefix: 'a{b}'\n", "f:1: keyPrefix: \"a{b}\" is not acceptable; allowed: 1 to 32 "
                                "letters, digits, \"_\", \"-\" or \".\"\n"},
        {"data: ''\n", "f:1: data: \"\" is not acceptable; allowed: a directory\n"},
        {"outbound:\n  userAgent: \"a\\r\\nb\"\n", "f:2: outbound.userAgent: \"a\\x0d\\x0ab\" is "
                                                   "not acceptable; allowed: at most 256 printable "
                                                   "ASCII characters\n"},
        {"outbound:\n  proxy: localhost:3128\n",
         "f:2: outbound.proxy: \"localhost:3128\" is not acceptable; allowed: a URL that starts "
         "with http://, https://, socks4://, socks4a://, socks5:// or socks5h://\n"},
        {"outbound:\n  allow: [10.0.0.0/8, 10.0.0.1]\n",
         "f:2: outbound.allow: \"10.0.0.1\" is not acceptable; allowed: a list of up to 64, each "
         "a network such as 10.1.0.0/16 or fd00::/8\n"},
        {"outbound:\n  allow: [10.0.0.0/33]\n",
         "f:2: outbound.allow: \"10.0.0.0/33\" is not acceptable; allowed: a list of up to 64, "
         "each a network such as 10.1.0.0/16 or fd00::/8\n"},
        {"retry:\n  schedule: [5s, soon]\n", "f:2: retry.schedule: \"soon\" is not a duration (a "
                                             "number and ms, s, m, h or d); allowed: "
                                             "a list of up to 64, each 0s to 30d\n"},
        /* Secrets are not repeated. */
        {"apiKeys: [short]\n", "f:1: apiKeys: (a value that is not shown) is not acceptable; "
                               "allowed: a list of up to 256, each 16 to 512 letters, digits or "
                               "\"-._~+/=\"\n"},
        {"redis: rediss://u:secret@h\n",
         "f:1: redis: (a value that is not shown) is not acceptable; allowed: embedded, "
         "redis://[USER:PASSWORD@]HOST[:PORT][/DB], unix:PATH or "
         "sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/MASTER-NAME[/DB]\n"},
        /* All wrong values are told, in the order of the table. */
        {"dev: 1\nhttp:\n  idleTimeout: x\nkeyPrefix: ''\n",
         "f:1: dev: \"1\" is not a truth value; allowed: true or false\n"
         "f:4: keyPrefix: \"\" is not acceptable; allowed: 1 to 32 letters, digits, \"_\", \"-\" "
         "or "
         "\".\"\n"
         "f:3: http.idleTimeout: \"x\" is not a duration (a number and ms, s, m, h or d); allowed: "
         "100ms to 1d\n"},
        {"breaker:\n  failureRatio: 50\n",
         "f:2: breaker.failureRatio: \"50\" is out of range; allowed: 0 to 1\n"},
        {"breaker:\n  minimumAttempts: 0\n",
         "f:2: breaker.minimumAttempts: \"0\" is out of range; allowed: 1 to 10000 attempts\n"},
        /* Options that belong together. */
        {"breaker:\n  openFor: 10m\n",
         "breaker.openForMax: 5m is too short; allowed: no less than breaker.openFor (10m)\n"},
        {"breaker:\n  openForMax: 1s\nreplica:\n  lease: 2s\n",
         "breaker.openForMax: 1s is too short; allowed: no less than breaker.openFor (2s)\n"
         "replica.heartbeat: 1s is too long; allowed: a third of replica.lease (2s) at most, so "
         "that one lost heartbeat does not end a lease\n"},
        {"replica:\n  lease: 2s\n",
         "replica.heartbeat: 1s is too long; allowed: a third of replica.lease (2s) at most, so "
         "that one lost heartbeat does not end a lease\n"},
        {"redis: sentinel://h\n",
         "redis: the master's name is missing behind the Sentinels: /name\n"},
        {"redis: redis://:secret@h:99999\n", "redis: the port must be a number from 1 to 65535\n"},
        {"workers: 4\nworkerListen: 127.0.0.1:65533\n",
         "workerListen: 127.0.0.1:65533 is too high; allowed: a port that leaves one for each of 4 "
         "workers\n"},
        /* Names. */
        {"dev: true\nkeys: []\n", "f:2: unknown option \"keys\"\n"},
        {"outbound:\n  timeout: 5s\n  conectTimeout: 5s\n",
         "f:3: unknown option \"outbound.conectTimeout\"; did you mean "
         "\"outbound.connectTimeout\"?\n"},
        {"ouTbuond:\n  timeout: 5s\n",
         "f:1: unknown option \"ouTbuond\"; did you mean \"outbound\"?\n"},
        {"outbound.timeout: 5s\n", "f:1: unknown option \"outbound.timeout\"; write \"timeout:\" "
                                   "indented under \"outbound:\"\n"},
        {"dev: true\ndata: x\ndev: false\n", "f:3: dev: given for the second time\n"},
        {"http:\n  idleTimeout: 5s\nlog: {level: info}\nhttp:\n  bodyTimeout: 5s\n",
         "f:4: http: given for the second time\n"},
        {"http:\n  idleTimeout: 5s\n  bodyTimeout: 5s\n  idleTimeout: 6s\n",
         "f:4: http.idleTimeout: given for the second time\n"},
        /* Kinds. */
        {"dev: true\nlisten: [a]\n", "f:2: listen must be a single value, not a list\n"},
        {"listen: {a: b}\n", "f:1: listen must be a single value, not options (\"name: value\")\n"},
        {"http: 5\n", "f:1: http must be options (\"name: value\"), not a single value\n"},
        {"apiKeys: abc\n", "f:1: apiKeys must be a list such as [a, b], not a single value\n"},
        {"apiKeys: [[a]]\n", "f:1: an item of apiKeys must be a single value, not a list\n"},
        {"[a, b]\n", "f: the file must be options (\"name: value\"), not a list\n"},
        {"hello\n", "f: the file must be options (\"name: value\"), not a single value\n"},
        {"data: &a x\nkeyPrefix: *a\n",
         "f:2: keyPrefix: aliases (\"*name\") are not supported; a value that starts with \"*\" "
         "needs quotes\n"},
        {"dev: true\n---\ndev: false\n", "f: more than one document (\"---\"); only one is read\n"},
        /* Syntax. */
        {"\n\tdata: x\n",
         "f:2: not valid YAML: found character that cannot start any token (while scanning for the "
         "next token)\n"},
        {"dev: true\ndata: x\n  y: z\n",
         "f:3: not valid YAML: mapping values are not allowed in this context\n"},
        {"dev: true\ndata: \xff\n", "f:2: not valid YAML: invalid leading UTF-8 octet\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = load_text(cases[i].text);
        assert_string_equal(errors_of(&o), cases[i].errors);
        assert_int_equal(o.status, ST_RANGE);
        assert_null(o.config.given);
        done(&o);
    }
}

/* ${NAME} and $$ in values; what else a dollar sign does is refused. */
static void environment_is_substituted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *data, *errors;
    } cases[] = {
        {"data: ${TL_TEST_DIR}\n", "/srv", NULL},
        {"data: a/${TL_TEST_DIR}/${TL_TEST_DIR}/b\n", "a//srv//srv/b", NULL},
        {"data: a$$b\n", "a$b", NULL},
        {"data: $${TL_TEST_DIR}\n", "${TL_TEST_DIR}", NULL},
        {"data: $$$${TL_TEST_DIR}\n", "$${TL_TEST_DIR}", NULL},
        {"data: a${TL_TEST_EMPTY}b\n", "ab", NULL},
        {"data: x\nkeyPrefix: ${TL_TEST_NONE}\n", NULL,
         "f:2: keyPrefix: the environment variable TL_TEST_NONE is not set\n"},
        {"data: $TL_TEST_DIR\n", NULL,
         "f:1: data: \"$\" stands for an environment variable, \"${NAME}\"; write \"$$\" for the "
         "character itself\n"},
        {"data: a$\n", NULL,
         "f:1: data: \"$\" stands for an environment variable, \"${NAME}\"; write \"$$\" for the "
         "character itself\n"},
        {"data: '${}'\n", NULL,
         "f:1: data: \"${\" must be followed by the name of an environment variable and \"}\"; "
         "write \"$${\" for the characters themselves\n"},
        {"data: '${A'\n", NULL,
         "f:1: data: \"${\" must be followed by the name of an environment variable and \"}\"; "
         "write \"$${\" for the characters themselves\n"},
        {"data: '${A-B}'\n", NULL,
         "f:1: data: \"${\" must be followed by the name of an environment variable and \"}\"; "
         "write \"$${\" for the characters themselves\n"},
    };
    assert_int_equal(setenv("TL_TEST_DIR", "/srv", 1), 0);
    assert_int_equal(setenv("TL_TEST_EMPTY", "", 1), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = load_text(cases[i].text);
        assert_string_equal(errors_of(&o), cases[i].errors ? cases[i].errors : "");
        if (cases[i].data)
            assert_string_equal(o.config.data, cases[i].data);
        done(&o);
    }
    struct outcome o = load_text("http:\n  maxConnections: ${TL_TEST_DIR}\n");
    assert_string_equal(errors_of(&o), "f:2: http.maxConnections: \"/srv\" is not a whole number; "
                                       "allowed: 1 to 1000000 connections\n");
    done(&o);
}

/* The command line wins over the file, the last option over earlier ones. */
static void command_line_wins(void **state)
{
    (void)state;
    static const char text[] = "data: /file\nretry:\n  schedule: [9s]\nlog:\n  level: warn\n";
    char *path = write_file(text, sizeof(text) - 1);
    struct outcome o = load_args((const char *const[]){"--data", "/one", "--config", path,
                                                       "--set=retry.schedule=[1s, 2s,3s ]",
                                                       "--data=/two", "--listen=:99", "--dev"});
    assert_string_equal(errors_of(&o), "");
    assert_string_equal(o.config.data, "/two");
    assert_int_equal(o.config.retry.schedule.count, 3);
    assert_int_equal(o.config.retry.schedule.ms[2], 3000);
    assert_string_equal(o.config.listen.host, "0.0.0.0");
    assert_int_equal(o.config.listen.port, 99);
    assert_true(o.config.dev);
    assert_int_equal(o.config.log.level, LOG_WARN);
    done(&o);

    o = load_args((const char *const[]){"--set", "retry.schedule=", "--set", "data=a=b", "--redis",
                                        "redis://h", "--log-level=error", NULL});
    assert_string_equal(errors_of(&o), "");
    assert_int_equal(o.config.retry.schedule.count, 0);
    assert_string_equal(o.config.data, "a=b");
    assert_string_equal(o.config.redis, "redis://h");
    assert_int_equal(o.config.log.level, LOG_ERROR);
    done(&o);
    assert_int_equal(unlink(path), 0);
    free(path);
}

/* What is wrong with the command line, and which failures are usage. */
static void command_line_errors_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *args[ARGS_MAX];
        enum status status;
        const char *errors;
    } cases[] = {
        {{"--lsten", ":1"},
         ST_SYNTAX,
         "unknown option --lsten; did you mean --listen?\nunexpected argument \":1\"\n"},
        {{"-x"}, ST_SYNTAX, "unknown option -x; options begin with \"--\"\n"},
        {{"file.yaml"}, ST_SYNTAX, "unexpected argument \"file.yaml\"\n"},
        {{"--", "--dev"}, ST_SYNTAX, "unexpected argument \"--dev\"\n"},
        {{"--listen"}, ST_SYNTAX, "--listen needs a value: --listen ADDR:PORT\n"},
        {{"--listen", "--dev"}, ST_SYNTAX, "--listen needs a value: --listen ADDR:PORT\n"},
        {{"--dev=true"}, ST_SYNTAX, "--dev takes no value\n"},
        {{"--set", "dev"}, ST_SYNTAX, "--set dev: NAME=VALUE is expected\n"},
        {{"--set", "=x"}, ST_SYNTAX, "--set =x: NAME=VALUE is expected\n"},
        {{"--set", "retry.jiter=0"},
         ST_SYNTAX,
         "--set: unknown option \"retry.jiter\"; did you mean \"retry.jitter\"?\n"},
        {{"--set", "dev=1", "--set", "listn=x"},
         ST_SYNTAX,
         "dev: \"1\" is not a truth value; allowed: true or false\n"
         "--set: unknown option \"listn\"; did you mean \"listen\"?\n"},
        {{"--set", "dev=1", "--set", "outbound.timeout=1ms"},
         ST_RANGE,
         "dev: \"1\" is not a truth value; allowed: true or false\n"
         "outbound.timeout: \"1ms\" is out of range; allowed: 10ms to 1h\n"},
        {{"--listen", "1.2.3.4"},
         ST_RANGE,
         "listen: \"1.2.3.4\" is not an address; allowed: ADDR:PORT, [IPV6]:PORT or :PORT (all "
         "addresses), port 0 to 65535\n"},
        {{"--config", "/nonexistent/x.yaml"},
         ST_IO,
         "cannot read /nonexistent/x.yaml: No such file or directory\n"},
        {{"--config", "/"}, ST_IO, "cannot read /: Is a directory\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = load_args(cases[i].args);
        assert_string_equal(errors_of(&o), cases[i].errors);
        assert_int_equal(o.status, cases[i].status);
        assert_null(o.config.given);
        done(&o);
    }
}

/* A file of exactly the limit is read, one byte more is refused by size alone. */
static void huge_files_are_refused(void **state)
{
    (void)state;
    char expected[128];
    size_t len = LIMIT_CONFIG_BYTES + 1;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '#', len);
    char *path = write_file(text, len);
    struct outcome o = load_args((const char *const[]){"--config", path, NULL});
    (void)snprintf(expected, sizeof(expected), "%s: larger than 1048576 bytes\n", path);
    assert_string_equal(errors_of(&o), expected);
    assert_int_equal(o.status, ST_RANGE);
    done(&o);

    assert_int_equal(truncate(path, LIMIT_CONFIG_BYTES), 0);
    o = load_args((const char *const[]){"--config", path, NULL});
    assert_string_equal(errors_of(&o), "");
    assert_int_equal(o.status, ST_OK);
    done(&o);
    assert_int_equal(unlink(path), 0);
    free(path);
    free(text);
}

/* Long values and long lists meet their limits. */
static void long_values_are_refused(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_add_str(&text, "dev: true\ndata: ");
    for (size_t i = 0; i < LIMIT_CONFIG_VALUE_BYTES + 1; i++)
        buf_add_char(&text, 'x');
    buf_add_char(&text, '\0');
    struct outcome o = load_text(text.ptr);
    assert_string_equal(errors_of(&o), "f:2: data: longer than 4096 bytes\n");
    done(&o);

    text.ptr[text.len - 2] = '\0';
    o = load_text(text.ptr);
    assert_int_equal(o.status, ST_OK);
    done(&o);

    buf_clear(&text);
    buf_add_str(&text, "retry:\n  schedule: [");
    for (size_t i = 0; i < LIMIT_RETRY_STEPS + 1; i++)
        buf_add_str(&text, "1s,");
    buf_add_str(&text, "]\n");
    buf_add_char(&text, '\0');
    o = load_text(text.ptr);
    assert_string_equal(errors_of(&o), "f:2: retry.schedule: 65 entries are too many; allowed: a "
                                       "list of up to 64, each 0s to 30d\n");
    done(&o);

    buf_clear(&text);
    buf_add_str(&text, "outbound:\n  allow: [");
    for (size_t i = 0; i < LIMIT_CONFIG_LIST + 1; i++)
        buf_add_str(&text, "10.0.0.0/8,");
    buf_add_str(&text, "]\n");
    buf_add_char(&text, '\0');
    o = load_text(text.ptr);
    assert_string_equal(errors_of(&o), "f:2: outbound.allow: more than 1024 entries\n");
    done(&o);
    buf_free(&text);
}

static void read_sample(struct buf *text)
{
    FILE *file = fopen("conf/trotline.yaml", "r");
    assert_non_null(file);
    buf_init(text, 1 << 20);
    char *place = buf_reserve(text, 1 << 18);
    assert_non_null(place);
    text->len = fread(place, 1, 1 << 18, file);
    assert_int_equal(fclose(file), 0);
}

/* conf/trotline.yaml is what the table says. When this fails after a change of the table:
 * trotline check-config --print-defaults > conf/trotline.yaml */
static void sample_file_is_current(void **state)
{
    (void)state;
    struct buf expected, text;
    buf_init(&expected, 1 << 20);
    config_print_sample(&expected);
    buf_add_char(&expected, '\0');
    read_sample(&text);
    buf_add_char(&text, '\0');
    assert_string_equal(text.ptr, expected.ptr);
    buf_free(&expected);
    buf_free(&text);
}

/* Each option stands in the sample with its default and what is allowed. */
static void sample_file_lists_every_option(void **state)
{
    (void)state;
    struct buf text, flat, wanted;
    read_sample(&text);
    /* Remarks are filled into lines: compare without line ends and comment signs. */
    buf_init(&flat, 1 << 20);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool blank = c == '\n' || c == ' ' || (c == '#' && text.ptr[i + 1] == ' ');
        if (!blank || (flat.len > 0 && flat.ptr[flat.len - 1] != ' '))
            buf_add_char(&flat, blank ? ' ' : c);
    }
    buf_add_char(&flat, '\0');
    buf_init(&wanted, 4096);
    for (size_t i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        const char *dot = strchr(option->name, '.');
        buf_clear(&wanted);
        buf_addf(&wanted, "Default: %s; allowed: ",
                 option->fallback[0] ? option->fallback
                                     : (config_option_is_list(option) ? "empty list" : "empty"));
        config_value_add_allowed(&wanted, option);
        buf_addf(&wanted, ". #%s: ", dot ? dot + 1 : option->name);
        buf_add_char(&wanted, '\0');
        assert_non_null(strstr(flat.ptr, wanted.ptr));
    }
    buf_free(&text);
    buf_free(&flat);
    buf_free(&wanted);
}

/* The sample as it is, and with every option uncommented, loads to the defaults. */
static void sample_file_loads_to_the_defaults(void **state)
{
    (void)state;
    struct buf text, uncommented;
    read_sample(&text);
    buf_init(&uncommented, 1 << 20);
    for (size_t i = 0; i < text.len; i++) {
        bool value = text.ptr[i] == '#' && text.ptr[i + 1] != ' ' && text.ptr[i + 1] != '\n' &&
                     (text.ptr[i - 1] == '\n' || text.ptr[i - 1] == ' ');
        if (!value)
            buf_add_char(&uncommented, text.ptr[i]);
    }
    buf_add_char(&text, '\0');
    buf_add_char(&uncommented, '\0');
    struct outcome plain = load_text(text.ptr);
    struct outcome o = load_text(uncommented.ptr);
    assert_string_equal(errors_of(&plain), "");
    assert_string_equal(errors_of(&o), "");
    for (size_t i = 0; i < config_options_count; i++) {
        assert_int_equal(plain.config.given[i].origin, CONFIG_FROM_DEFAULT);
        assert_int_equal(o.config.given[i].origin, CONFIG_FROM_FILE);
        assert_string_equal(o.config.given[i].text, plain.config.given[i].text);
    }
    done(&plain);
    done(&o);
    buf_free(&text);
    buf_free(&uncommented);
}

/* What check-config prints says who set it and hides what is secret. */
static void printed_values_hide_secrets(void **state)
{
    (void)state;
    struct buf out;
    struct outcome o = load_text("apiKeys: [0123456789abcdef]\nredis: redis://u:pw@h\ndev: true\n");
    assert_string_equal(errors_of(&o), "");
    buf_init(&out, 1 << 20);
    config_print_values(&o.config, &out);
    config_print_values_json(&o.config, &out);
    buf_add_char(&out, '\0');
    assert_null(strstr(out.ptr, "0123456789abcdef"));
    assert_null(strstr(out.ptr, "pw"));
    assert_non_null(strstr(out.ptr, "apiKeys=(1 not shown)    (file)\n"));
    assert_non_null(strstr(out.ptr, "redis=(not shown)    (file)\n"));
    assert_non_null(strstr(out.ptr, "\"dev\":{\"value\":\"true\",\"from\":\"file\"}"));
    assert_non_null(strstr(out.ptr, "\"data\":{\"value\":\"./data\",\"from\":\"default\"}"));
    buf_free(&out);
    done(&o);
}

/* The table itself: names in groups that stand together, units, ranges and sentences where due. */
static void table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        const char *dot = strchr(option->name, '.');
        assert_ptr_equal(config_option_find(option->name), option);
        assert_true(strlen(option->help) > 10);
        assert_int_equal(option->help[strlen(option->help) - 1], '.');
        assert_true(!dot || !strchr(dot + 1, '.'));
        assert_int_equal(option->type == CONFIG_TYPE_NUMBER, option->unit != NULL);
        assert_int_equal(option->type == CONFIG_TYPE_ENUM, option->choices != NULL);
        assert_true(option->min <= option->max);
        assert_true(!option->valid || option->form);
        /* A group that began, ended and begins again would be two mappings in the file. */
        for (size_t j = 0; dot && j + 1 < i; j++) {
            size_t len = (size_t)(dot - option->name) + 1;
            bool same = strncmp(config_options[j].name, option->name, len) == 0;
            assert_true(!same || strncmp(config_options[i - 1].name, option->name, len) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(defaults_are_complete),
        cmocka_unit_test(file_sets_every_type),
        cmocka_unit_test(durability_names_replicas),
        cmocka_unit_test(emptiness_is_fine),
        cmocka_unit_test(file_errors_are_exact),
        cmocka_unit_test(environment_is_substituted),
        cmocka_unit_test(command_line_wins),
        cmocka_unit_test(command_line_errors_are_exact),
        cmocka_unit_test(huge_files_are_refused),
        cmocka_unit_test(long_values_are_refused),
        cmocka_unit_test(sample_file_is_current),
        cmocka_unit_test(sample_file_lists_every_option),
        cmocka_unit_test(sample_file_loads_to_the_defaults),
        cmocka_unit_test(printed_values_hide_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
