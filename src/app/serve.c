/* serve.c - `trotline serve`: the order of start and stop.
 *
 * Start:  data directory, API key, embedded Redis, store, core, HTTP; "ready" when the endpoints
 * are loaded. Requests that come before get 503. A worker (worker.h) begins in the same way, on a
 * Redis of its parent or of its own, and tells its parent instead of the world.
 *
 * Stop (SIGTERM, SIGINT, SIGHUP):
 *
 *   RUNNING --signal--> DRAINING --drainDelay--> FINISHING --nothing in hand--> LEAVING --> STOPPED
 *                       /readyz 503,             no new connections, idle ones are ended;
 *                       still serving, with      then no new requests: queues go back
 *                       Connection: close;       to the schedule
 *                       lanes are given up          |
 *                                                shutdownTimeout: attempts are cut,
 *                                                their deliveries go back too
 *
 * While Redis is away nothing can be written. Deliveries and batches wait for it until
 * shutdownTimeout, since those that went out unmarked would go out again; what tells only of the
 * past does not. Then the process ends, and says in the log what it has left.
 *
 * A load balancer takes no notice of a /readyz that it has not asked yet, hence drainDelay, in
 * which nothing is refused. Behind it the accept queue is emptied before the listener closes, and
 * a connection is ended once it has been idle for LAST_CALL_MS: a client at work has then been told
 * by an answer, one that rests is most unlikely to send at this very moment.
 *
 * A second signal during the stop ends the process at once; what is in hand is in Redis. A worker's
 * is SIGINT: SIGTERM comes twice when somebody tells all processes to stop.
 */
#include "app/serve.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/config_command.h"
#include "app/redis_settings.h"
#include "app/workers.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "core/archive.h"
#include "core/replica.h"
#include "core/source_file.h"
#include "core/source_store.h"
#include "core/store.h"
#include "net/signals.h"

enum {
    TICK_MS = 20,
    LAST_CALL_MS = 500,
    CUT_MS = 3000,
    WRITTEN_MS = 2000 /* the last lines, at the end */
};

/* Where requests come in: on the port that others may share, and a worker's own. */
enum door { DOOR_SHARED, DOOR_OWN, DOORS };

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_FINISHING, PHASE_LEAVING, PHASE_STOPPED };

struct serve {
    const struct config *config;
    struct worker worker;
    struct reactor *reactor;
    struct signals *signals;
    struct redis_server *redis;
    struct store *store;
    struct redis_settings settings;
    struct scheme_set *schemes;
    struct netguard guard;
    struct endpoint_rules rules;
    struct source_rules source_rules;
    struct registry *registry;
    struct outbound *outbound;
    struct core *core;
    struct archive *archive;
    struct auth *auth;
    struct api api;
    struct http_server *doors[DOORS]; /* NULL: there is none */
    struct reactor_timer *tick;
    struct buf redis_url;
    struct buf api_key;
    char incarnation[17];
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

/* True when no request is under way and none may come. */
static bool doors_closed(struct serve *serve)
{
    size_t left = 0;
    for (int i = 0; i < DOORS; i++) {
        struct http_server *door = serve->doors[i];
        if (door)
            left += http_server_dismiss_idle(door, LAST_CALL_MS) + http_server_open_requests(door);
    }
    return left == 0;
}

/* A successor adopts it. */
static void leave_the_rest(struct serve *serve, const char *reason)
{
    struct core_left left = core_left(serve->core);
    log_warn("serve.left_in_redis", "reason=%s redis=%s deliveries=%zu batches=%zu calls=%zu",
             reason, store_ready(serve->store) ? "there" : "away", left.deliveries, left.batches,
             left.calls);
    on_left(serve);
}

static void finishing(struct serve *serve, uint64_t since_ms)
{
    struct core *core = serve->core;
    bool away = !store_ready(serve->store);
    if (!core->stopping && doors_closed(serve))
        core_stop(core);
    if (core->stopping && core_idle(core)) {
        enter(serve, PHASE_LEAVING);
        replica_leave(core->replica, on_left, serve);
        return;
    }
    struct core_left left = core_left(core);
    if (core->stopping && away && left.deliveries + left.batches == 0 && since_ms > CUT_MS) {
        leave_the_rest(serve, "redis"); /* only records of what has been */
        return;
    }
    if (since_ms < serve->config->shutdown_timeout_ms)
        return;
    if (!serve->cut) {
        log_warn("serve.cutting", "reason=shutdownTimeout");
        serve->cut = true;
        core_stop(core);
        core_abandon(core);
    } else if (away || since_ms > serve->config->shutdown_timeout_ms + CUT_MS) {
        leave_the_rest(serve, "shutdownTimeout");
    }
}

static void on_tick(void *arg)
{
    struct serve *serve = arg;
    uint64_t since_ms = clock_mono_ms() - serve->phase_since_ms;
    switch (serve->phase) {
    case PHASE_DRAINING:
        if (since_ms >= serve->config->drain_delay_ms) {
            for (int i = 0; i < DOORS; i++)
                if (serve->doors[i])
                    http_server_stop_accepting(serve->doors[i]);
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
    if (serve->phase != PHASE_RUNNING && serve->worker.number > 0 && number == SIGTERM)
        return; /* all processes were told (systemd, killall), and then the parent told us again */
    if (serve->phase != PHASE_RUNNING) {
        log_warn("serve.stopped_at_once", "signal=%d", number);
        redis_server_stop(serve->redis);
        archive_free(serve->archive, WRITTEN_MS);
        log_writer_stop(WRITTEN_MS);
        _exit(1);
    }
    log_info("serve.stopping", "signal=%d", number);
    serve->draining = true;
    for (int i = 0; i < DOORS; i++)
        if (serve->doors[i])
            http_server_drain(serve->doors[i]);
    replica_drain(serve->core->replica);
    enter(serve, PHASE_DRAINING);
}

/* ---- Ready ---------------------------------------------------------------------------------- */

static void announce(struct serve *serve)
{
    serve->announced = true;
    if (serve->worker.number > 0) {
        log_info("worker.ready", "pid=%d", (int)getpid());
        worker_tell_ready(&serve->worker);
        return;
    }
    serve_say_ready(&(struct serve_ready){.config = serve->config,
                                          .port = http_server_port(serve->doors[DOOR_SHARED]),
                                          .api_key = buf_slice(&serve->api_key),
                                          .key_made = serve->key_made});
}

/* Hook: looks whether the endpoints are loaded and a heartbeat has brought lanes, and says so once;
 * writes the log. So a worker that may bury others has done so before those of its kind start. */
static void on_turn(void *arg)
{
    struct serve *serve = arg;
    if (!serve->announced && serve->phase == PHASE_RUNNING && serve->core->loaded &&
        !serve->settings.not_ready[0])
        announce(serve);
    log_flush();
}

/* ---- Redis ---------------------------------------------------------------------------------- */

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
    redis_settings_ask(&serve->settings);
    core_store_ready(serve->core);
}

static bool start_redis(struct serve *serve, struct store_options *options, struct buf *error)
{
    const struct config *config = serve->config;
    const char *reason = "";
    struct redis_options *redis = &options->redis;
    if (serve_redis_is_embedded(config)) {
        if (!serve_start_redis(config, serve->reactor, &serve->redis, error))
            return false;
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
    if (!start_redis(serve, &store, error) ||
        serve_source_rules(serve->config, serve->schemes, &serve->source_rules, error) != ST_OK)
        return false;
    serve_rules(serve->config, serve->schemes, &serve->guard, &serve->rules);
    serve_outbound_options(serve->config, &serve->guard, &outbound);
    serve_core_options(serve->config, &options);
    options.source_rules = &serve->source_rules;
    options.others_dead |= serve->worker.first;
    serve->registry = registry_new(&serve->rules);
    store.confirm = options.confirm;
    serve->store = store_new(serve->reactor, &store, on_store_state, serve);
    serve->settings = (struct redis_settings){
        .store = serve->store, .pack_hashes = serve->config->redis_options.pack_hashes};
    serve->outbound = outbound_new(serve->reactor, &outbound);
    if (serve->registry && serve->store && serve->outbound)
        serve->core =
            core_new(&options, serve->reactor, serve->store, serve->registry, serve->outbound);
    if (!serve->core)
        buf_add_str(error, "out of memory, or outbound.caFile cannot be read");
    return serve->core != NULL;
}

/* Before those that Redis has, so that files go before them. */
static bool start_sources(struct serve *serve, struct buf *error)
{
    char text[512];
    struct sources *sources = source_store_sources(serve->core->sources);
    const char *dir = serve->config->sources.dir;
    if (!dir[0])
        return true;
    if (source_file_load(&serve->source_rules, sources, dir, text, sizeof(text)) != ST_OK) {
        buf_add_str(error, text);
        return false;
    }
    log_info("sources.read", "count=%zu", sources_count(sources));
    return true;
}

/* Behind the core, whose hooks end what the lines are about. */
static bool start_archive(struct serve *serve, struct buf *error)
{
    const struct config *config = serve->config;
    char text[PATH_MAX + 256];
    struct buf path;
    if (!config->archive.file[0])
        return true;
    buf_init(&path, PATH_MAX);
    serve_archive_path(config, &serve->worker, &path);
    if (buf_status(&path) == ST_OK) {
        struct archive_options options = {.file = path.ptr,
                                          .max_bytes = config->archive.max_bytes,
                                          .files = config->archive.files};
        serve->archive = archive_new(serve->reactor, &options, text, sizeof(text));
        if (!serve->archive)
            buf_add_str(error, text);
    } else {
        buf_add_str(error, "archive.file: the path is too long");
    }
    buf_free(&path);
    serve->core->archive = serve->archive;
    return serve->archive != NULL;
}

/* The door that was opened last is where others reach this process: a worker's own, if it has one.
 */
static bool open_door(struct serve *serve, enum door door, const struct address *address,
                      bool reuse_port, struct buf *error)
{
    struct http_server_options options;
    char text[256] = "out of memory";
    struct buf url;
    serve_http_options(serve->config, &options);
    options.address = address->host;
    options.port = address->port;
    options.reuse_port = reuse_port;
    options.streams = api_streams;
    struct http_server *http = http_server_new(serve->reactor, &options, api_handle, &serve->api);
    serve->doors[door] = http;
    if (!http || http_server_listen(http, text, sizeof(text)) != ST_OK) {
        buf_add_str(error, text);
        return false;
    }
    buf_init(&url, 256);
    address_add_url(&url, address, http_server_port(http));
    log_info("serve.listening", "url=%.*s", SLICE_ARGS(buf_slice(&url)));
    buf_add_char(&url, '\0');
    replica_set_url(serve->core->replica, buf_status(&url) == ST_OK ? url.ptr : "");
    buf_free(&url);
    return true;
}

static bool start_http(struct serve *serve, struct buf *error)
{
    const struct config *config = serve->config;
    struct address own;
    serve->api = (struct api){.auth = serve->auth,
                              .endpoints = serve->core->endpoints,
                              .core = serve->core,
                              .event_bytes_max = config->ingest.max_event_bytes,
                              .draining = &serve->draining,
                              .started_at_ms = clock_wall_ms(),
                              .not_ready = serve->settings.not_ready};
    bulk_desk_init(&serve->api.bulk, config->bulk.max_events, config->bulk.max_bytes);
    /* Two gateways with a Redis each on one port would be two different ones. */
    bool shared = serve->worker.number > 0 || !serve_redis_is_embedded(config);
    if (!open_door(serve, DOOR_SHARED, &config->listen, shared, error))
        return false;
    serve->api.server = serve->doors[DOOR_SHARED];
    return !serve_own_address(config, &serve->worker, &own) ||
           open_door(serve, DOOR_OWN, &own, false, error);
}

static bool start(struct serve *serve, struct buf *error)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN); /* a peer or a log reader that has gone is an error of that write */
    if (!serve_start_log(serve->config, error))
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
    bool owned = serve->worker.number == 0; /* a worker's is its parent's */
    if (!serve_open_data(serve->config, owned, &serve->api_key, &serve->key_made, error) ||
        !start_auth(serve, error) || !start_schemes(serve, error) || !start_core(serve, error) ||
        !start_sources(serve, error) || !start_archive(serve, error) || !start_http(serve, error))
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
    for (int i = 0; i < DOORS; i++)
        http_server_free(serve->doors[i]);
    store_free(serve->store);
    core_free(serve->core);
    archive_free(serve->archive, WRITTEN_MS);
    outbound_free(serve->outbound);
    registry_free(serve->registry);
    free(serve->source_rules.trusted_proxies.items);
    scheme_set_free(serve->schemes);
    auth_free(serve->auth);
    redis_server_stop(serve->redis);
    reactor_timer_free(serve->tick);
    signals_free(serve->signals);
    reactor_free(serve->reactor);
    buf_free(&serve->redis_url);
    buf_free(&serve->api_key);
}

static int run(struct serve *serve)
{
    struct buf error;
    int code = CLI_EXIT_FAILED;
    buf_init(&error, 4096);
    if (!start(serve, &error)) {
        serve_say_failed(serve->config, &error);
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

static int serve_alone(const struct config *config, const struct worker *worker)
{
    serve_keep_memory();
    struct serve *serve = calloc(1, sizeof(*serve));
    if (!serve) {
        fprintf(stderr, "trotline: out of memory\n");
        return CLI_EXIT_FAILED;
    }
    serve->config = config;
    serve->worker = *worker;
    log_set_mark(worker_mark(worker));
    buf_init(&serve->redis_url, 4096);
    buf_init(&serve->api_key, 4096);
    int code = run(serve);
    free(serve);
    return code;
}

/* The command line, which workers get too. */
static struct {
    int argc;
    char **argv;
} command_line;

static int serve_main(const struct config *config)
{
    struct worker worker = worker_self();
    if (worker.number == 0 && config->workers > 1)
        return workers_run(config, command_line.argc, command_line.argv);
    return serve_alone(config, &worker);
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
        "With --workers they go to the process that was started; to one worker, they have it\n"
        "stopped and started again.\n"
        "\n"
        "Exit codes: 0 stopped by a signal, 1 could not start or run, 2 wrong usage\n",
};

int serve_command(int argc, char **argv)
{
    command_line.argc = argc;
    command_line.argv = argv;
    return config_command(argc, argv, &serve_help, serve_main);
}
