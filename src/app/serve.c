/* serve.c - `trotline serve`: the order of start and stop.
 *
 * Start:  data directory, API key, embedded Redis, store, core, HTTP; "ready" when the endpoints
 * are loaded. Requests that come before get 503.
 *
 * Stop (SIGTERM, SIGINT, SIGHUP):
 *
 *   RUNNING --signal--> DRAINING --drainDelay--> FINISHING --nothing in hand--> LEAVING --> STOPPED
 *                       /readyz 503,             no new requests,  |
 *                       still serving            queues go back to the schedule
 *                                                                  |
 *                                    shutdownTimeout: attempts are cut, their deliveries go back
 *
 * A second signal during the stop ends the process at once; what is in hand is in Redis.
 */
#include "app/serve.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "app/api_key.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/config_command.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "base/rng.h"
#include "core/archive.h"
#include "core/replica.h"
#include "core/store.h"
#include "net/redis_server.h"
#include "net/signals.h"

enum { TICK_MS = 20, CUT_MS = 3000, WRITTEN_MS = 2000 /* the last lines, at the end */ };

#define PACKED_BYTES "4096" /* as net/redis_server.c has it */

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_FINISHING, PHASE_LEAVING, PHASE_STOPPED };

struct serve {
    const struct config *config;
    struct reactor *reactor;
    struct signals *signals;
    struct redis_server *redis;
    struct store *store;
    struct scheme_set *schemes;
    struct netguard guard;
    struct endpoint_rules rules;
    struct registry *registry;
    struct outbound *outbound;
    struct core *core;
    struct archive *archive;
    struct auth *auth;
    struct api api;
    struct http_server *http;
    struct reactor_timer *tick;
    struct buf redis_url;
    struct buf api_key;
    char incarnation[17];
    char not_ready[160];
    bool key_made, announced, draining, cut;
    enum phase phase;
    uint64_t phase_since_ms; /* monotonic */
};

/* ---- Stop ----------------------------------------------------------------------------------- */

static void enter(struct serve *serve, enum phase phase)
{
    serve->phase = phase;
    serve->phase_since_ms = clock_mono_ms();
    reactor_timer_set(serve->tick, 0);
}

static void on_left(void *arg)
{
    struct serve *serve = arg;
    enter(serve, PHASE_STOPPED);
    reactor_stop(serve->reactor);
}

static void finishing(struct serve *serve, uint64_t since_ms)
{
    struct core *core = serve->core;
    if (http_server_open_requests(serve->http) == 0 && !core->stopping)
        core_stop(core);
    if (core->stopping && core_idle(core)) {
        enter(serve, PHASE_LEAVING);
        replica_leave(core->replica, on_left, serve);
        return;
    }
    if (since_ms < serve->config->shutdown_timeout_ms)
        return;
    if (!serve->cut) {
        log_warn("serve.cutting", "reason=shutdownTimeout");
        serve->cut = true;
        core_stop(core);
        core_abandon(core);
    } else if (since_ms > serve->config->shutdown_timeout_ms + CUT_MS) {
        log_warn("serve.left_in_redis", "reason=deadline"); /* a successor adopts it */
        on_left(serve);
    }
}

static void on_tick(void *arg)
{
    struct serve *serve = arg;
    uint64_t since_ms = clock_mono_ms() - serve->phase_since_ms;
    switch (serve->phase) {
    case PHASE_DRAINING:
        if (since_ms >= serve->config->drain_delay_ms) {
            http_server_stop_accepting(serve->http);
            enter(serve, PHASE_FINISHING);
        }
        break;
    case PHASE_FINISHING:
        finishing(serve, since_ms);
        break;
    case PHASE_LEAVING:
        if (since_ms > CUT_MS)
            on_left(serve);
        break;
    case PHASE_RUNNING:
    case PHASE_STOPPED:
        return;
    }
    if (serve->phase != PHASE_STOPPED && !reactor_timer_armed(serve->tick))
        reactor_timer_set(serve->tick, TICK_MS);
}

static void on_signal(void *arg, int number)
{
    struct serve *serve = arg;
    if (serve->phase != PHASE_RUNNING) {
        log_warn("serve.stopped_at_once", "signal=%d", number);
        redis_server_stop(serve->redis);
        archive_free(serve->archive, WRITTEN_MS);
        log_writer_stop(WRITTEN_MS);
        _exit(1);
    }
    log_info("serve.stopping", "signal=%d", number);
    serve->draining = true;
    http_server_drain(serve->http);
    enter(serve, PHASE_DRAINING);
}

/* ---- Ready ---------------------------------------------------------------------------------- */

static void print_ready(struct serve *serve)
{
    struct buf text;
    buf_init(&text, 8192);
    buf_add_str(&text, "ready on ");
    address_add_url(&text, &serve->config->listen, http_server_port(serve->http));
    buf_add_char(&text, '\n');
    if (buf_status(&text) == ST_OK) {
        fwrite(text.ptr, 1, text.len, stdout);
        fflush(stdout);
    }
    buf_free(&text);
}

/* Commands that work from any directory, with the same program and the same data. */
static void print_next_steps(struct serve *serve)
{
    char *program_path = realpath("/proc/self/exe", NULL);
    char *data_path = realpath(serve->config->data, NULL);
    const char *program = program_path ? program_path : "trotline";
    const char *data = data_path ? data_path : serve->config->data;
    struct buf url;
    buf_init(&url, 256);
    address_add_url(&url, &serve->config->listen, http_server_port(serve->http));
    buf_add_char(&url, '\0');
    const char *at = buf_status(&url) == ST_OK ? url.ptr : "";
    struct buf text;
    buf_init(&text, 16 * 1024);
    buf_addf(&text,
             "\n"
             "  Trotline " TROTLINE_VERSION " listens on %s\n"
             "  API key: %.*s  (in %s/api-key)\n"
             "\n"
             "  Try it, in another terminal:\n"
             "    export TROTLINE_URL=%s TROTLINE_API_KEY=$(cat %s/api-key)\n"
             "    curl \"$TROTLINE_URL/api/webhooks\" -H \"Authorization: Bearer "
             "$TROTLINE_API_KEY\" \\\n"
             "        -H 'Content-Type: application/json' \\\n"
             "        -d '{\"url\":\"http://127.0.0.1:9000/\",\"events\":[\"order.*\"]}'\n"
             "    %s sink --secret SECRET &     # a receiver; SECRET is in curl's answer\n"
             "    %s send order.created '{\"order\":17}'\n"
             "\n",
             at, SLICE_ARGS(buf_slice(&serve->api_key)), data, at, data, program, program);
    if (buf_status(&text) == ST_OK)
        log_plain(buf_slice(&text));
    buf_free(&text);
    buf_free(&url);
    free(program_path);
    free(data_path);
}

/* Whatever the log's level is. */
static void print_key(struct serve *serve)
{
    struct slice key = buf_slice(&serve->api_key);
    struct buf file, text;
    buf_init(&file, 8192);
    buf_init(&text, 8192);
    buf_addf(&file, "%s/api-key", serve->config->data);
    buf_addf(&text, "API key: %.*s (also in %.*s)\n", SLICE_ARGS(key),
             SLICE_ARGS(buf_slice(&file)));
    if (serve->config->log.format == LOG_JSON)
        log_line(LOG_INFO, "serve.api_key", "key=%.*s file=%s", SLICE_ARGS(key),
                 log_quote(buf_slice(&file)));
    else if (buf_status(&text) == ST_OK)
        log_plain(buf_slice(&text));
    buf_free(&text);
    buf_free(&file);
}

/* Hook: looks whether the endpoints are loaded, and says so once; writes the log. */
static void on_turn(void *arg)
{
    struct serve *serve = arg;
    if (!serve->announced && serve->core->loaded && !serve->not_ready[0]) {
        serve->announced = true;
        log_info("serve.ready", "port=%u", http_server_port(serve->http));
        if (serve->config->dev && serve->config->log.format != LOG_JSON)
            print_next_steps(serve);
        else if (serve->key_made)
            print_key(serve);
        print_ready(serve);
    }
    log_flush();
}

/* ---- Redis ---------------------------------------------------------------------------------- */

/* CONFIG GET's reply: names and values in turn. */
static struct slice setting(const struct redis_value *reply, const char *name)
{
    for (size_t i = 0; reply && i + 1 < redis_value_count(reply); i += 2)
        if (slice_eq(reply_text(reply, i), slice_str(name)))
            return reply_text(reply, i + 1);
    return SLICE_NULL;
}

static void on_packed(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)reply;
    if (status == ST_REFUSED)
        log_warn("redis.hashes_not_packed", "reason=\"CONFIG SET is not allowed\"");
    else if (status == ST_OK)
        log_info("redis.hashes_packed", "hash-max-listpack-value=" PACKED_BYTES);
}

/* A hash with a longer value than this setting allows is kept as a table, which makes a waiting
 * event of 1 KiB a fifth larger. The embedded Redis has it from its start. */
static void pack_hashes(struct serve *serve, struct slice most)
{
    struct slice args[] = {SLICE("CONFIG"), SLICE("SET"), SLICE("hash-max-listpack-value"),
                           SLICE(PACKED_BYTES)};
    if (!serve->config->redis_options.pack_hashes || most.len == 0 ||
        reply_score(most) >= reply_score(args[3]))
        return;
    if (store_query(serve->store, args, 4, on_packed, NULL) != ST_OK)
        log_warn("redis.hashes_not_packed", "reason=nomem");
}

static void on_policy(void *arg, enum status status, const struct redis_value *reply)
{
    struct serve *serve = arg;
    serve->not_ready[0] = '\0';
    if (status == ST_LOST || status == ST_STOPPED || status == ST_AGAIN)
        return;
    if (status != ST_OK || redis_value_type(reply) != REDIS_ARRAY) {
        log_warn("redis.policy_unknown",
                 "reason=\"CONFIG GET is not allowed; maxmemory-policy must be noeviction\"");
        return;
    }
    struct slice policy = setting(reply, "maxmemory-policy");
    struct slice aof = setting(reply, "appendonly"), fsync = setting(reply, "appendfsync");
    if (policy.ptr && !slice_eq(policy, SLICE("noeviction"))) {
        snprintf(serve->not_ready, sizeof(serve->not_ready),
                 "Redis may evict keys: set its maxmemory-policy to noeviction.");
        log_error("redis.may_evict", "policy=%.*s", SLICE_ARGS(policy));
    }
    if (slice_eq(aof, SLICE("no")) || slice_eq(fsync, SLICE("no")))
        log_warn("redis.weak_durability", "appendonly=%.*s appendfsync=%.*s", SLICE_ARGS(aof),
                 SLICE_ARGS(fsync));
    pack_hashes(serve, setting(reply, "hash-max-listpack-value"));
}

static void ask_policy(struct serve *serve)
{
    struct slice args[] = {SLICE("CONFIG"),           SLICE("GET"),
                           SLICE("maxmemory-policy"), SLICE("appendonly"),
                           SLICE("appendfsync"),      SLICE("hash-max-listpack-value")};
    if (store_query(serve->store, args, 6, on_policy, serve) != ST_OK)
        log_warn("redis.policy_unknown", "reason=nomem");
}

static void on_store_state(void *arg, bool ready)
{
    struct serve *serve = arg;
    if (!ready) {
        log_warn("redis.lost", "reason=%s", log_quote(slice_str(store_error(serve->store))));
        if (serve->core)
            core_store_lost(serve->core);
        return;
    }
    log_info("redis.ready", "incarnation=%s", serve->incarnation);
    ask_policy(serve);
    core_store_ready(serve->core);
}

static bool start_redis(struct serve *serve, struct store_options *options, struct buf *error)
{
    static const char *const durability[] = {"always", "everysec", "memory"};
    const struct config *config = serve->config;
    const char *reason = "";
    struct redis_options *redis = &options->redis;
    if (strcmp(config->redis, "embedded") == 0) {
        char text[512];
        struct redis_server_options server = {
            .data_dir = config->data,
            .durability = durability[config->durability],
            .max_memory_bytes = config->redis_options.max_memory_bytes,
        };
        if (redis_server_start(serve->reactor, &server, &serve->redis, text, sizeof(text)) !=
            ST_OK) {
            buf_add_str(error, text);
            return false;
        }
        redis->unix_path = redis_server_socket(serve->redis);
    } else if (redis_options_parse(redis, slice_str(config->redis), &serve->redis_url, &reason) !=
               ST_OK) {
        buf_addf(error, "redis: %s", reason);
        return false;
    }
    if (config->redis_options.sentinel_user[0])
        redis->sentinel_username = config->redis_options.sentinel_user;
    if (config->redis_options.sentinel_password[0])
        redis->sentinel_password = config->redis_options.sentinel_password;
    redis->connect_timeout_ms = config->redis_options.connect_timeout_ms;
    redis->command_timeout_ms = config->redis_options.command_timeout_ms;
    return true;
}

/* ---- Start ---------------------------------------------------------------------------------- */

/* One more descriptor for each connection, on both sides, and some for ourselves. */
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    rlim_t wanted = config->http.max_connections + config->outbound.max_in_flight +
                    config->outbound.idle_connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur =
        limit.rlim_max == RLIM_INFINITY || wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_warn("serve.few_descriptors", "limit=%llu wanted=%llu",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

static bool start_data(struct serve *serve, struct buf *error)
{
    const char *data = serve->config->data;
    if (mkdir(data, 0700) != 0 && errno != EEXIST) {
        buf_addf(error, "cannot create the data directory %s: %s", data, strerror(errno));
        return false;
    }
    if (api_key_open(data, &serve->api_key, &serve->key_made, error) != ST_OK)
        return false;
    if (serve->key_made)
        log_info("serve.api_key_made", "data=%s", log_quote(slice_str(data)));
    return true;
}

static bool start_auth(struct serve *serve, struct buf *error)
{
    const struct config_strings *given = &serve->config->api_keys;
    struct slice *keys = calloc(given->count + 1, sizeof(*keys));
    if (keys) {
        keys[0] = buf_slice(&serve->api_key);
        for (size_t i = 0; i < given->count; i++)
            keys[i + 1] = slice_str(given->items[i]);
        serve->auth = auth_new(keys, given->count + 1);
        free(keys);
    }
    if (!serve->auth)
        buf_add_str(error, "out of memory");
    return serve->auth != NULL;
}

static bool start_schemes(struct serve *serve, struct buf *error)
{
    char text[512];
    serve->schemes = scheme_set_new();
    if (!serve->schemes) {
        buf_add_str(error, "out of memory");
        return false;
    }
    if (serve->config->schemes[0] &&
        scheme_set_load_dir(serve->schemes, serve->config->schemes, text, sizeof(text)) != ST_OK) {
        buf_add_str(error, text);
        return false;
    }
    return serve_guard(serve->config, &serve->guard, error) == ST_OK;
}

static bool start_core(struct serve *serve, struct buf *error)
{
    struct store_options store = {.key_prefix = serve->config->key_prefix,
                                  .incarnation = serve->incarnation};
    struct outbound_options outbound;
    struct core_options options;
    snprintf(serve->incarnation, sizeof(serve->incarnation), "%016llx",
             (unsigned long long)rng_u64());
    if (!start_redis(serve, &store, error))
        return false;
    serve_rules(serve->config, serve->schemes, &serve->guard, &serve->rules);
    serve_outbound_options(serve->config, &serve->guard, &outbound);
    serve_core_options(serve->config, &options);
    serve->registry = registry_new(&serve->rules);
    store.confirm = options.confirm;
    serve->store = store_new(serve->reactor, &store, on_store_state, serve);
    serve->outbound = outbound_new(serve->reactor, &outbound);
    if (serve->registry && serve->store && serve->outbound)
        serve->core =
            core_new(&options, serve->reactor, serve->store, serve->registry, serve->outbound);
    if (!serve->core)
        buf_add_str(error, "out of memory, or outbound.caFile cannot be read");
    return serve->core != NULL;
}

/* Behind the core, whose hooks end what the lines are about. */
static bool start_archive(struct serve *serve, struct buf *error)
{
    const struct config *config = serve->config;
    const char *file = config->archive.file;
    char path[PATH_MAX], text[PATH_MAX + 256];
    if (!file[0])
        return true;
    int len = file[0] == '/' ? snprintf(path, sizeof(path), "%s", file)
                             : snprintf(path, sizeof(path), "%s/%s", config->data, file);
    if (len >= (int)sizeof(path)) {
        buf_add_str(error, "archive.file: the path is too long");
        return false;
    }
    struct archive_options options = {
        .file = path, .max_bytes = config->archive.max_bytes, .files = config->archive.files};
    serve->archive = archive_new(serve->reactor, &options, text, sizeof(text));
    if (!serve->archive)
        buf_add_str(error, text);
    serve->core->archive = serve->archive;
    return serve->archive != NULL;
}

/* From here on nothing of ours waits for standard error. */
static bool start_log(struct serve *serve, struct buf *error)
{
    const struct config *config = serve->config;
    struct log_levels levels = {.level = config->log.level};
    for (size_t i = 0; i < config->log.levels.count; i++) {
        const char *text = config->log.levels.items[i];
        if (log_levels_add(&levels, slice_str(text)) != ST_OK) {
            buf_addf(error, "log.levels: \"%s\" is not COMPONENT=LEVEL", text);
            return false;
        }
    }
    log_levels_apply(&levels);
    log_set_format(config->log.format);
    if (log_writer_start() == ST_OK)
        return true;
    buf_addf(error, "cannot start the log's writer: %s", strerror(errno));
    return false;
}

static bool start_http(struct serve *serve, struct buf *error)
{
    struct http_server_options options;
    char text[256] = "out of memory";
    serve_http_options(serve->config, &options);
    serve->http = http_server_new(serve->reactor, &options, api_handle, &serve->api);
    serve->api = (struct api){.auth = serve->auth,
                              .endpoints = serve->core->endpoints,
                              .core = serve->core,
                              .server = serve->http,
                              .event_bytes_max = serve->config->ingest.max_event_bytes,
                              .draining = &serve->draining,
                              .started_at_ms = clock_wall_ms(),
                              .not_ready = serve->not_ready};
    if (!serve->http || http_server_listen(serve->http, text, sizeof(text)) != ST_OK) {
        buf_add_str(error, text);
        return false;
    }
    struct buf url;
    buf_init(&url, 256);
    address_add_url(&url, &serve->config->listen, http_server_port(serve->http));
    log_info("serve.listening", "url=%.*s", SLICE_ARGS(buf_slice(&url)));
    buf_free(&url);
    return true;
}

static bool start(struct serve *serve, struct buf *error)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN); /* a peer or a log reader that has gone is an error of that write */
    if (!start_log(serve, error))
        return false;
    raise_descriptor_limit(serve->config);
    serve->reactor = reactor_new();
    if (serve->reactor) {
        serve->signals = signals_new(serve->reactor, numbers, 3, on_signal, serve);
        serve->tick = reactor_timer_new(serve->reactor, on_tick, serve);
    }
    if (!serve->signals || !serve->tick) {
        buf_add_str(error, "cannot make the event loop");
        return false;
    }
    if (!start_data(serve, error) || !start_auth(serve, error) || !start_schemes(serve, error) ||
        !start_core(serve, error) || !start_archive(serve, error) || !start_http(serve, error))
        return false;
    reactor_add_hook(serve->reactor, "serve", on_turn, serve);
    if (serve->config->dev)
        log_warn("serve.development_mode",
                 "effect=\"http, loopback and private addresses are allowed as targets\"");
    return true;
}

/* The store first: its calls are answered with "stopped" while those who made them still live. */
static void finish(struct serve *serve)
{
    http_server_free(serve->http);
    store_free(serve->store);
    core_free(serve->core);
    archive_free(serve->archive, WRITTEN_MS);
    outbound_free(serve->outbound);
    registry_free(serve->registry);
    scheme_set_free(serve->schemes);
    auth_free(serve->auth);
    redis_server_stop(serve->redis);
    reactor_timer_free(serve->tick);
    signals_free(serve->signals);
    reactor_free(serve->reactor);
    buf_free(&serve->redis_url);
    buf_free(&serve->api_key);
}

/* Behind the lines that led to it. */
static void report_failure(const struct config *config, const struct buf *error)
{
    struct buf text;
    if (config->log.format == LOG_JSON) {
        log_error("serve.not_started", "reason=%s", log_quote(buf_slice(error)));
        return;
    }
    buf_init(&text, 8192);
    buf_addf(&text, "trotline: %.*s\n", SLICE_ARGS(buf_slice(error)));
    if (buf_status(&text) == ST_OK)
        log_plain(buf_slice(&text));
    buf_free(&text);
}

static int run(struct serve *serve)
{
    struct buf error;
    int code = CLI_EXIT_FAILED;
    buf_init(&error, 4096);
    if (!start(serve, &error)) {
        report_failure(serve->config, &error);
    } else if (reactor_run(serve->reactor) == ST_OK) {
        code = CLI_EXIT_OK;
    }
    log_info("serve.stopped", "code=%d", code);
    finish(serve);
    log_writer_stop(WRITTEN_MS);
    log_flush_all();
    buf_free(&error);
    return code;
}

static int serve_main(const struct config *config)
{
    struct serve *serve = calloc(1, sizeof(*serve));
    if (!serve) {
        fprintf(stderr, "trotline: out of memory\n");
        return CLI_EXIT_FAILED;
    }
    serve->config = config;
    buf_init(&serve->redis_url, 4096);
    buf_init(&serve->api_key, 4096);
    int code = run(serve);
    free(serve);
    return code;
}

static const struct cli_help serve_help = {
    .usage = "serve [options]",
    .summary =
        "Runs the gateway. The log goes to standard error; when events are taken, one line "
        "\"ready on http://ADDR:PORT\" goes to standard output. SIGTERM, SIGINT and SIGHUP stop it "
        "after what is in hand is finished; a second signal stops it at once. What is not "
        "finished is in Redis and is delivered after the next start.",
    .more =
        "Signals:\n"
        "  SIGTERM, SIGINT, SIGHUP\n"
        "        stop: /readyz answers 503 for drainDelay while requests are still served, then\n"
        "        what is in hand is finished, for shutdownTimeout at most; a second one stops at\n"
        "        once\n"
        "\n"
        "Exit codes: 0 stopped by a signal, 1 could not start or run, 2 wrong usage\n",
};

int serve_command(int argc, char **argv)
{
    return config_command(argc, argv, &serve_help, serve_main);
}
