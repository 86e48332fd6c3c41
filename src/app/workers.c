/* workers.c - the parent of `serve --workers N`: it has what only one process can have (the data
 * directory with its lock, the API key, the embedded Redis, the port), and keeps N gateways alive.
 *
 *   start: log, key, Redis, port -> worker 1 --ready--> all others --all ready--> "ready on" once
 *
 *   a worker:  RUNNING --ends--> (pause: 100 ms, doubling to 5 s) -> RUNNING …
 *
 *   stop:  signal -> SIGTERM to all --all have ended--> Redis is stopped -> end
 *                      |
 *                      +-- a second signal, or the time is over: SIGINT (they end at once), then
 *                          SIGKILL
 *
 * The first worker goes ahead alone, for two reasons. What is wrong with the configuration is told
 * once, and ends everything; and with an embedded Redis whatever is in it of earlier processes is
 * dead at this moment, as the lock of the data directory says, so this one takes it over at once
 * (worker.first) without mistaking its fellows for dead.
 *
 * Workers are ordinary replicas: this process takes no part in their work and knows nothing of it.
 * Each listens by itself on the one port (SO_REUSEPORT), so the kernel spreads connections over
 * them and a busy worker holds up none of the others' accept queues; here the port is only kept,
 * bound and without listening. A socket that all inherit was rejected: a connection is then
 * accepted by whichever wakes first, mostly the same one.
 *
 * Each worker is a process group of its own, so that ^C on the terminal reaches this process alone,
 * which tells them.
 */
#include "app/workers.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/serve.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/bound_socket.h"
#include "net/fd_watch.h"
#include "net/signals.h"

enum {
    RESTART_FIRST_MS = 100,
    RESTART_LAST_MS = 5000,
    STEADY_MS = 10 * 1000, /* having run this long, the next pause is the first again */
    STOP_MARGIN_MS = 10 * 1000,
    AT_ONCE_MS = 3000,
    WRITTEN_MS = 2000, /* the last lines, at the end */
    EXTRA_ARGUMENTS = 8
};

struct workers;

struct slot {
    struct workers *workers;
    struct worker worker;
    struct reactor_timer *restart;
    pid_t pid;    /* 0 while there is none */
    int ready_fd; /* -1 when there is no more to be told */
    bool started; /* at least once */
    bool ready;   /* this process, or an earlier one of the slot */
    unsigned failures;
    uint64_t started_ms; /* monotonic */
};

struct workers {
    const struct config *config;
    struct reactor *reactor;
    struct signals *signals;
    struct fd_watches *watches;
    struct redis_server *redis; /* NULL: theirs is elsewhere */
    struct reactor_timer *deadline;
    struct slot *slots;
    size_t count;
    struct address listen; /* with the port that is really taken */
    int port_fd;
    char **argv; /* of a worker: pointers only */
    struct buf listen_text, redis_text, api_key;
    bool key_made, announced, stopping, at_once;
    int code; /* exit code */
};

/* ---- Stopping -------------------------------------------------------------------------------- */

static size_t running(const struct workers *workers)
{
    size_t count = 0;
    for (size_t i = 0; i < workers->count; i++)
        count += workers->slots[i].pid != 0;
    return count;
}

static void signal_all(const struct workers *workers, int number)
{
    for (size_t i = 0; i < workers->count; i++)
        if (workers->slots[i].pid)
            kill(workers->slots[i].pid, number);
}

/* They are told to end; when the last one has, this process does. */
static void stop_all(struct workers *workers, int code)
{
    const struct config *config = workers->config;
    workers->stopping = true;
    workers->code = code;
    for (size_t i = 0; i < workers->count; i++)
        reactor_timer_cancel(workers->slots[i].restart);
    signal_all(workers, SIGTERM);
    reactor_timer_set(workers->deadline,
                      config->drain_delay_ms + config->shutdown_timeout_ms + STOP_MARGIN_MS);
    if (running(workers) == 0)
        reactor_stop(workers->reactor);
}

/* SIGINT ends a worker at once that has been told to stop, and whatever does not hear it is killed.
 * A second SIGTERM would not: they have two already when all processes were told by somebody. */
static void stop_at_once(struct workers *workers)
{
    workers->at_once = true;
    workers->code = CLI_EXIT_FAILED;
    signal_all(workers, SIGINT);
    reactor_timer_set(workers->deadline, AT_ONCE_MS);
}

static void on_deadline(void *arg)
{
    struct workers *workers = arg;
    if (workers->at_once) {
        log_warn("workers.killed", "count=%zu", running(workers));
        signal_all(workers, SIGKILL);
        return;
    }
    log_warn("workers.stop_takes_too_long", "count=%zu", running(workers));
    stop_at_once(workers);
}

/* ---- One worker ------------------------------------------------------------------------------ */

static void restart_later(struct slot *slot)
{
    uint64_t pause_ms = RESTART_LAST_MS;
    if (slot->failures < 6 && RESTART_FIRST_MS << slot->failures < RESTART_LAST_MS)
        pause_ms = (uint64_t)RESTART_FIRST_MS << slot->failures;
    slot->failures++;
    reactor_timer_set(slot->restart, pause_ms);
}

static void forget_pipe(struct slot *slot)
{
    if (slot->ready_fd < 0)
        return;
    fd_watch_drop(slot->workers->watches, slot->ready_fd);
    close(slot->ready_fd);
    slot->ready_fd = -1;
}

static void launch(struct slot *slot)
{
    struct workers *workers = slot->workers;
    slot->started = true;
    slot->started_ms = clock_mono_ms();
    if (worker_start(&slot->worker, workers->argv, &slot->pid, &slot->ready_fd) != ST_OK ||
        !fd_watch_want(workers->watches, slot->ready_fd, FD_WATCH_READ, slot)) {
        log_error("worker.not_started", "worker=%u error=%s", slot->worker.number,
                  log_quote(slice_str(strerror(errno))));
        if (slot->pid)
            kill(slot->pid, SIGKILL); /* it could not be heard; seen to have ended it comes again */
        else
            restart_later(slot);
        return;
    }
    log_info("worker.started", "worker=%u pid=%ld", slot->worker.number, (long)slot->pid);
}

static void on_restart(void *arg)
{
    launch(arg);
}

/* What there is to say when a worker that never served gives up: it has said itself what is wrong.
 * False: it was killed, which is no reason. */
static bool refused(const struct slot *slot, int status)
{
    return !slot->ready && !slot->workers->announced && WIFEXITED(status) &&
           WEXITSTATUS(status) != 0;
}

static void on_ended(struct slot *slot, int status)
{
    struct workers *workers = slot->workers;
    bool orderly = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool wanted = workers->stopping && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    log_at(orderly || wanted ? LOG_INFO : LOG_ERROR, "worker.ended", "worker=%u pid=%ld %s=%d",
           slot->worker.number, (long)slot->pid, WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    slot->pid = 0;
    forget_pipe(slot);
    if (workers->stopping) {
        if (running(workers) == 0)
            reactor_stop(workers->reactor);
    } else if (refused(slot, status)) {
        stop_all(workers, WEXITSTATUS(status));
    } else {
        if (orderly || clock_mono_ms() - slot->started_ms >= STEADY_MS)
            slot->failures = 0;
        restart_later(slot);
    }
}

/* ---- Ready ----------------------------------------------------------------------------------- */

static bool all_ready(const struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++)
        if (!workers->slots[i].ready)
            return false;
    return true;
}

/* The first time: all others are started. */
static void on_ready(struct slot *slot)
{
    struct workers *workers = slot->workers;
    slot->ready = true;
    slot->worker.first = false; /* its successors find others alive */
    for (size_t i = 0; i < workers->count && !workers->stopping; i++)
        if (!workers->slots[i].started)
            launch(&workers->slots[i]);
    if (workers->announced || workers->stopping || !all_ready(workers))
        return;
    workers->announced = true;
    struct config shown = *workers->config; /* the port that was really taken */
    shown.listen = workers->listen;
    serve_say_ready(&(struct serve_ready){.config = &shown,
                                          .port = workers->listen.port,
                                          .api_key = buf_slice(&workers->api_key),
                                          .key_made = workers->key_made});
}

static void on_pipe(void *owner, int fd, unsigned ready)
{
    (void)ready;
    struct slot *slot = owner;
    char byte;
    ssize_t got = read(fd, &byte, 1);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    forget_pipe(slot); /* nothing else comes; its end is told by SIGCHLD */
    if (got == 1)
        on_ready(slot);
}

static void on_children(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        struct slot *slot = &workers->slots[i];
        int status;
        if (slot->pid && waitpid(slot->pid, &status, WNOHANG) == slot->pid)
            on_ended(slot, status);
    }
}

static void on_signal(void *arg, int number)
{
    struct workers *workers = arg;
    if (number == SIGCHLD) {
        on_children(workers);
    } else if (!workers->stopping) {
        log_info("workers.stopping", "signal=%d", number);
        stop_all(workers, CLI_EXIT_OK);
    } else {
        log_warn("workers.stopped_at_once", "signal=%d", number);
        stop_at_once(workers);
    }
}

static void on_turn(void *arg)
{
    (void)arg;
    log_flush();
}

/* ---- Start ----------------------------------------------------------------------------------- */

/* With an embedded Redis nobody else may listen on the port, not even somebody who would share it:
 * that would be another gateway. */
static bool take_port(struct workers *workers, struct buf *error)
{
    char text[256];
    int probe = -1;
    workers->listen = workers->config->listen;
    struct address *listen = &workers->listen;
    enum status status = ST_OK;
    if (serve_redis_is_embedded(workers->config))
        status = bound_socket_open(listen->host, listen->port, false, &probe, text, sizeof(text));
    if (probe >= 0)
        close(probe);
    if (status == ST_OK)
        status = bound_socket_open(listen->host, listen->port, true, &workers->port_fd, text,
                                   sizeof(text));
    if (status == ST_OK)
        listen->port = bound_socket_port(workers->port_fd);
    else
        buf_add_str(error, text);
    return status == ST_OK;
}

static void add_address(struct buf *out, const struct address *address)
{
    bool v6 = strchr(address->host, ':') != NULL;
    buf_addf(out, "%s%s%s:%u", v6 ? "[" : "", address->host, v6 ? "]" : "", address->port);
    buf_add_char(out, '\0');
}

/* Our own command line, and behind it what we have decided. */
static bool make_command_line(struct workers *workers, int argc, char **argv, struct buf *error)
{
    static char program[] = "trotline", listen[] = "--listen", redis[] = "--redis";
    size_t count = 0;
    add_address(&workers->listen_text, &workers->listen);
    if (workers->redis)
        buf_addf(&workers->redis_text, "unix:%s", redis_server_socket(workers->redis));
    buf_add_char(&workers->redis_text, '\0');
    workers->argv = calloc((size_t)argc + EXTRA_ARGUMENTS, sizeof(*workers->argv));
    if (!workers->argv || buf_status(&workers->listen_text) != ST_OK ||
        buf_status(&workers->redis_text) != ST_OK) {
        buf_add_str(error, "out of memory");
        return false;
    }
    workers->argv[count++] = program;
    for (int i = 0; i < argc; i++)
        workers->argv[count++] = argv[i];
    workers->argv[count++] = listen;
    workers->argv[count++] = workers->listen_text.ptr;
    if (workers->redis) {
        workers->argv[count++] = redis;
        workers->argv[count++] = workers->redis_text.ptr;
    }
    return true;
}

static bool make_slots(struct workers *workers, struct buf *error)
{
    size_t wanted = (size_t)workers->config->workers;
    assert(wanted > 1 && workers->count == 0); /* one is a gateway by itself */
    workers->slots = calloc(wanted, sizeof(*workers->slots));
    while (workers->slots && workers->count < wanted) {
        struct slot *slot = &workers->slots[workers->count];
        slot->workers = workers;
        slot->ready_fd = -1;
        slot->worker.number = (unsigned)workers->count + 1;
        slot->worker.first = workers->count == 0 && workers->redis;
        slot->restart = reactor_timer_new(workers->reactor, on_restart, slot);
        if (!slot->restart)
            break;
        workers->count++;
    }
    if (workers->count < wanted)
        buf_add_str(error, "out of memory");
    return workers->count == wanted;
}

static bool make_loop(struct workers *workers, struct buf *error)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    workers->reactor = reactor_new();
    if (workers->reactor) {
        workers->signals = signals_new(workers->reactor, numbers, 4, on_signal, workers);
        workers->deadline = reactor_timer_new(workers->reactor, on_deadline, workers);
        workers->watches = fd_watches_new(workers->reactor, on_pipe);
    }
    if (workers->signals && workers->deadline && workers->watches)
        return true;
    buf_add_str(error, "cannot make the event loop");
    return false;
}

static bool start(struct workers *workers, int argc, char **argv, struct buf *error)
{
    const struct config *config = workers->config;
    signal(SIGPIPE, SIG_IGN); /* a log reader that has gone is an error of that write */
    if (!serve_start_log(config, error) || !make_loop(workers, error) ||
        !serve_open_data(config, true, &workers->api_key, &workers->key_made, error) ||
        !take_port(workers, error))
        return false;
    if (serve_redis_is_embedded(config) &&
        !serve_start_redis(config, workers->reactor, &workers->redis, error))
        return false;
    if (!make_slots(workers, error) || !make_command_line(workers, argc, argv, error))
        return false;
    reactor_add_hook(workers->reactor, "workers", on_turn, workers);
    launch(&workers->slots[0]);
    return true;
}

static void finish(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        forget_pipe(&workers->slots[i]);
        reactor_timer_free(workers->slots[i].restart);
    }
    free(workers->slots);
    free(workers->argv);
    redis_server_stop(workers->redis);
    if (workers->port_fd >= 0)
        close(workers->port_fd);
    fd_watches_free(workers->watches);
    reactor_timer_free(workers->deadline);
    signals_free(workers->signals);
    if (workers->reactor)
        reactor_free(workers->reactor);
    buf_free(&workers->listen_text);
    buf_free(&workers->redis_text);
    buf_free(&workers->api_key);
}

int workers_run(const struct config *config, int argc, char **argv)
{
    struct workers workers = {.config = config, .port_fd = -1, .code = CLI_EXIT_FAILED};
    struct buf error;
    buf_init(&error, 4096);
    buf_init(&workers.listen_text, 256);
    buf_init(&workers.redis_text, 256);
    buf_init(&workers.api_key, 4096);
    if (!start(&workers, argc, argv, &error))
        serve_say_failed(config, &error);
    else if (reactor_run(workers.reactor) != ST_OK)
        workers.code = CLI_EXIT_FAILED;
    finish(&workers);
    log_info("workers.stopped", "code=%d", workers.code);
    log_writer_stop(WRITTEN_MS);
    log_flush_all();
    buf_free(&error);
    return workers.code;
}
