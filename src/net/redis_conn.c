/* redis_conn.c - the states, the timeouts, the callbacks, and beginning again.
 *
 *      WAITING --timer--> DIALING --connected--> HANDSHAKE --PONG--> READY
 *         ^                  |                       |                | "READONLY …"
 *         |                  |                       |                v
 *         +------ drop ------+-----------------------+------------ RETIRING (answers only)
 *                                                   any of them --free--> DEAD
 *
 * The commands on their way are in the pipe (redis_pipe.c), which formats, writes and repeats them;
 * what is said in HANDSHAKE is in redis_hello.c; here are the states, the times and the callbacks.
 *
 * Writing happens on the reactor's reap list, which runs at the end of a turn, behind all callbacks
 * and hooks; so a turn's commands make one system call, and the write event is armed only when the
 * socket is full. When a write fails nothing is dropped yet: replies may still be waiting to be
 * read, and reading will come to the end by itself.
 *
 * Callbacks are called from the read event, the timers and redis_conn_free() only, never with work
 * of ours half done: after each call the state is looked at again, as the connection may be DEAD.
 * DEAD memory lives until the reap list has run.
 *
 * One timer serves all deadlines. It is not set anew for each command: when it fires it looks at
 * the oldest one and sets itself to what is left.
 */
#include "net/redis_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/redis_hello.h"
#include "net/redis_intake.h"
#include "net/redis_master.h"
#include "net/redis_pipe.h"
#include "net/redis_script.h"

enum {
    BACKOFF_FIRST_MS = 50,
    BACKOFF_LAST_MS = 2000,
    WRITE_FAILED_GRACE_MS = 1000, /* for reading what came before the end */
    READ_BYTES = 64 * 1024,
    GROWING_READ_BYTES = 512 * 1024, /* a reply of a feed's */
    TAKE_BYTES = 32 * 1024,
    TAKES_PER_TURN = 8,     /* then others have their turn */
    FEED_BYTES = 16 * 1024, /* see redis_reply.c */
    SCRIPT_TRIES = 3,
    REMIND_ATTEMPTS = 30, /* about once a minute */
    ERROR_BYTES = 256
};

enum conn_state { WAITING, DIALING, HANDSHAKE, READY, RETIRING, DEAD };

struct redis_conn {
    struct reactor *reactor;
    redis_state_fn *state_fn;
    void *arg;
    struct redis_options options;
    char *strings; /* of the options */
    const struct redis_scripts *scripts;
    redis_message_fn *message_fn; /* NULL: not a subscriber */
    void *message_arg;
    redis_growing_fn *growing_fn; /* NULL: replies are told of when they are whole */
    void *growing_arg;
    unsigned growing_depth;

    enum conn_state state;
    struct redis_master *master; /* where it dials */
    int fd;                      /* -1 unless HANDSHAKE, READY, RETIRING; as are the next three */
    struct event *readable;
    struct event *writable;
    struct redis_reader *reader;
    bool write_armed;
    bool write_failed;
    struct redis_pipe pipe;
    struct redis_intake intake;
    struct reactor_timer *again; /* armed: the intake is not empty */
    struct list lost;            /* ops being called back with ST_LOST or ST_STOPPED */

    struct reactor_timer *timer;
    uint64_t timer_at_ms;
    uint64_t last_io_ms;
    uint64_t read_at_us; /* when the bytes being taken apart were read */
    unsigned attempts;   /* since it was last ready */
    struct reap flush;
    struct reap death;
    struct redis_conn_stats stats;
    char error[ERROR_BYTES];
    char run_id[REDIS_RUN_ID_BYTES]; /* of the server; "": it does not tell */
};

static void conn_drop(struct redis_conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void on_turn_end(struct reap *reap);

static const char *conn_name(const struct redis_conn *conn)
{
    return conn->options.client_name ? conn->options.client_name : "redis";
}

static bool conn_open(const struct redis_conn *conn)
{
    return conn->fd >= 0;
}

static void set_timer(struct redis_conn *conn, uint64_t in_ms)
{
    conn->timer_at_ms = clock_mono_ms() + in_ms;
    reactor_timer_set(conn->timer, in_ms);
}

/* ---- Commands ------------------------------------------------------------------------------- */

/* Into the queue; written at the end of the turn. */
static void enqueue(struct redis_conn *conn, struct redis_op *op)
{
    redis_pipe_add(&conn->pipe, op);
    reactor_reap(conn->reactor, &conn->flush, on_turn_end);
}

/* One of our own commands, to the queue's end. */
MUST_CHECK static bool enqueue_own(struct redis_conn *conn, enum redis_op_kind kind,
                                   const struct slice *words, size_t count)
{
    struct redis_part part = {words, count};
    struct redis_op *op = redis_op_new(kind, &part, 1);
    if (op)
        enqueue(conn, op);
    return op != NULL;
}

enum status redis_command_parts(struct redis_conn *conn, const struct redis_part *parts,
                                size_t part_count, bool repeatable, redis_reply_fn *fn, void *arg)
{
    if (conn->state != READY)
        return ST_AGAIN;
    struct redis_op *op = redis_op_new(repeatable ? OP_SCRIPT : OP_COMMAND, parts, part_count);
    if (!op)
        return ST_NOMEM;
    size_t used = conn->pipe.in_flight_bytes;
    if (used > 0 && (used > conn->options.in_flight_bytes_max ||
                     op->len > conn->options.in_flight_bytes_max - used)) {
        free(op);
        return ST_LIMIT;
    }
    op->fn = fn;
    op->arg = arg;
    enqueue(conn, op);
    conn->stats.commands++;
    if (conn->timer_at_ms > op->since_us / 1000 + conn->options.command_timeout_ms)
        set_timer(conn, conn->options.command_timeout_ms);
    return ST_OK;
}

enum status redis_command(struct redis_conn *conn, const struct slice *args, size_t count,
                          redis_reply_fn *fn, void *arg)
{
    struct redis_part part = {args, count};
    return redis_command_parts(conn, &part, 1, false, fn, arg);
}

/* ---- Writing -------------------------------------------------------------------------------- */

static void arm_write(struct redis_conn *conn, bool armed)
{
    if (armed == conn->write_armed)
        return;
    int failed = armed ? event_add(conn->writable, NULL) : event_del(conn->writable);
    if (failed)
        log_error("redis.event_failed", "conn=%s errno=%d", conn_name(conn), errno);
    else
        conn->write_armed = armed;
}

static void conn_write(struct redis_conn *conn)
{
    enum status status = redis_pipe_write(&conn->pipe, conn->fd, &conn->stats);
    arm_write(conn, status == ST_AGAIN);
    conn->last_io_ms = clock_mono_ms();
    if (status == ST_IO) {
        conn->write_failed = true;
        set_timer(conn, WRITE_FAILED_GRACE_MS);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    conn_write(arg);
}

static void on_turn_end(struct reap *reap)
{
    struct redis_conn *conn = CONTAINER_OF(reap, struct redis_conn, flush);
    if (conn_open(conn) && !conn->write_armed && !conn->write_failed)
        conn_write(conn);
}

/* ---- Losing it, and beginning again --------------------------------------------------------- */

static void conn_close(struct redis_conn *conn)
{
    redis_master_leave(conn->master);
    if (conn->readable)
        event_free(conn->readable);
    if (conn->writable)
        event_free(conn->writable);
    conn->readable = conn->writable = NULL;
    redis_reader_free(conn->reader);
    conn->reader = NULL;
    redis_intake_free(&conn->intake);
    reactor_timer_cancel(conn->again);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    conn->write_armed = conn->write_failed = false;
}

/* Calls back and forgets all on the list, which callbacks may take over by freeing the connection.
 */
static void fail_all(struct redis_conn *conn, enum status status)
{
    while (!list_empty(&conn->lost)) {
        struct redis_op *op = CONTAINER_OF(conn->lost.next, struct redis_op, node);
        bool callers = redis_op_is_callers(op);
        redis_reply_fn *fn = op->fn;
        void *arg = op->arg;
        redis_pipe_drop(&conn->pipe, op);
        if (callers) {
            conn->stats.lost += status == ST_LOST;
            fn(arg, status, NULL);
        }
    }
}

/* Half of the doubled pause is certain, half is chance, so that many do not come back at once. */
static uint64_t backoff_ms(unsigned attempts)
{
    uint64_t most = BACKOFF_LAST_MS;
    if (attempts < 6 && (BACKOFF_FIRST_MS << attempts) < BACKOFF_LAST_MS)
        most = (uint64_t)BACKOFF_FIRST_MS << attempts;
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
        chance = (uint32_t)clock_now_us();
    return most / 2 + chance % (most / 2 + 1);
}

/* Says why it is not ready: each new reason, and now and then the old one. The very first failure
 * is no warning, as an embedded server needs a moment to start. */
static void set_error(struct redis_conn *conn, const char *text)
{
    if (strcmp(conn->error, text) == 0 && conn->attempts % REMIND_ATTEMPTS != 0)
        return;
    bool starting = conn->attempts == 0 && conn->stats.connects == 0;
    snprintf(conn->error, sizeof(conn->error), "%s", text);
    log_at(starting ? LOG_INFO : LOG_WARN, "redis.not_ready", "conn=%s reason=%s", conn_name(conn),
           log_quote(slice_str(text)));
}

static void tell_state(struct redis_conn *conn, bool ready)
{
    if (conn->state_fn)
        conn->state_fn(conn->arg, ready);
}

/* The one end of a connection or an attempt; another one follows. */
static void conn_drop(struct redis_conn *conn, const char *format, ...)
{
    char text[ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args); /* before what it may quote goes */
    va_end(args);
    bool was_ready = conn->state == READY;
    if (conn->state != RETIRING) /* which knows a better reason */
        set_error(conn, text);
    conn->stats.failures++;
    conn_close(conn);
    conn->state = WAITING;
    redis_pipe_abandon(&conn->pipe, &conn->lost);
    set_timer(conn, backoff_ms(conn->attempts++));
    fail_all(conn, ST_LOST);
    if (was_ready && conn->state != DEAD)
        tell_state(conn, false);
}

/* The server will not serve: take no more, let the rest be answered, and then begin anew. */
static void conn_retire(struct redis_conn *conn, const struct redis_value *why)
{
    char text[ERROR_BYTES];
    snprintf(text, sizeof(text), "the server says %.*s", SLICE_ARGS(redis_value_text(why)));
    conn->state = RETIRING;
    set_error(conn, text);
}

/* ---- Replies -------------------------------------------------------------------------------- */

/* Everything that was on its way is answered, and some of it was refused: repeat that. */
static void resume(struct redis_conn *conn)
{
    if (redis_pipe_resume(&conn->pipe, conn->scripts, &conn->stats) != ST_OK) {
        conn_drop(conn, "out of memory");
        return;
    }
    reactor_reap(conn->reactor, &conn->flush, on_turn_end);
    log_warn("redis.scripts_reloaded", "conn=%s", conn_name(conn));
}

static void become_ready(struct redis_conn *conn)
{
    conn->state = READY;
    conn->attempts = 0;
    conn->error[0] = '\0';
    conn->stats.connects++;
    redis_master_arrived(conn->master);
    set_timer(conn, conn->options.idle_ping_ms);
    log_info("redis.ready", "conn=%s", conn_name(conn));
    tell_state(conn, true);
}

/* A reply to one of our own commands. */
static void take_own(struct redis_conn *conn, enum redis_op_kind kind,
                     const struct redis_value *reply)
{
    char why[ERROR_BYTES];
    if (kind == OP_HELLO_INFO)
        redis_hello_run_id(reply, conn->run_id, sizeof(conn->run_id));
    else if (!redis_hello_accepts(kind, reply, why, sizeof(why)))
        conn_drop(conn, "%s", why);
    else if (kind == OP_HELLO_FINISHED)
        become_ready(conn);
    else if (redis_value_type(reply) == REDIS_ERROR && kind != OP_HELLO_ROLE)
        log_warn("redis.refused", "conn=%s error=%s", conn_name(conn),
                 log_quote(redis_value_text(reply)));
}

static bool means_not_ready(const struct redis_value *reply)
{
    return redis_value_is_error(reply, "READONLY") || redis_value_is_error(reply, "LOADING") ||
           redis_value_is_error(reply, "MASTERDOWN");
}

static void take_callers(struct redis_conn *conn, struct redis_op *op,
                         const struct redis_value *reply)
{
    if (op->kind == OP_SCRIPT && conn->scripts && redis_value_is_error(reply, "NOSCRIPT") &&
        ++op->tries <= SCRIPT_TRIES) {
        redis_pipe_refuse(&conn->pipe, op);
        return;
    }
    redis_reply_fn *fn = op->fn;
    void *arg = op->arg;
    hist_record(&conn->stats.round_trip_us, conn->read_at_us - op->since_us);
    redis_pipe_drop(&conn->pipe, op);
    conn->stats.replies++;
    bool retire = conn->state == READY && means_not_ready(reply);
    if (retire)
        conn_retire(conn, reply);
    fn(arg, ST_OK, reply);
    if (retire && conn->state == RETIRING)
        tell_state(conn, false);
}

/* Subscribers get nothing else that looks like this: ["message", channel, text]. */
static bool is_message(const struct redis_conn *conn, const struct redis_value *reply)
{
    return conn->message_fn && redis_value_count(reply) == 3 &&
           slice_eq(redis_value_text(redis_value_at(reply, 0)), SLICE("message"));
}

static void take_reply(struct redis_conn *conn, const struct redis_value *reply)
{
    if (is_message(conn, reply)) {
        conn->message_fn(conn->message_arg, redis_value_text(redis_value_at(reply, 1)),
                         redis_value_text(redis_value_at(reply, 2)));
        return;
    }
    struct redis_op *op = redis_pipe_next(&conn->pipe);
    if (!op) {
        conn_drop(conn, "the server says unasked: %.*s", SLICE_ARGS(redis_value_text(reply)));
        return;
    }
    if (redis_op_is_callers(op)) {
        take_callers(conn, op, reply);
    } else {
        enum redis_op_kind kind = op->kind;
        redis_pipe_drop(&conn->pipe, op);
        take_own(conn, kind, reply);
    }
    if (!conn_open(conn))
        return;
    if (redis_pipe_drained(&conn->pipe))
        resume(conn);
    if (conn->state == RETIRING && conn->pipe.in_flight == 0)
        conn_drop(conn, "retired");
}

/* ---- Reading -------------------------------------------------------------------------------- */

static void take_bytes(struct redis_conn *conn, const char *bytes, size_t len)
{
    const struct redis_reader *reader = conn->reader;
    for (size_t at = 0; at < len; at += FEED_BYTES) {
        size_t piece = len - at < FEED_BYTES ? len - at : FEED_BYTES;
        const struct redis_value *reply;
        enum status status = redis_reader_feed(conn->reader, bytes + at, piece);
        while (status == ST_OK && (status = redis_reader_next(conn->reader, &reply)) == ST_OK &&
               reply) {
            take_reply(conn, reply);
            if (!conn_open(conn))
                return;
        }
        if (status != ST_OK) {
            conn_drop(conn, "bad reply: %s", redis_reader_error(reader));
            return;
        }
    }
}

static void tell_growing(struct redis_conn *conn)
{
    size_t whole;
    const struct redis_op *op = redis_pipe_next(&conn->pipe);
    const struct redis_value *array =
        op && redis_op_is_callers(op)
            ? redis_reader_growing(conn->reader, conn->growing_depth, &whole)
            : NULL;
    if (array && whole > 0)
        conn->growing_fn(conn->growing_arg, array, whole);
}

/* Reads between taking apart what was read, not before it alone: see redis_intake.h. */
static void read_on(struct redis_conn *conn)
{
    for (int i = 0; i < TAKES_PER_TURN; i++) {
        size_t read = redis_intake_read(&conn->intake, conn->fd);
        if (read > 0) {
            conn->last_io_ms = clock_mono_ms();
            conn->read_at_us = clock_now_us();
            conn->stats.bytes_in += read;
        }
        const char *end = redis_intake_end(&conn->intake);
        if (end) {
            conn_drop(conn, "connection lost: %s", end);
            return;
        }
        struct slice bytes = redis_intake_take(&conn->intake, TAKE_BYTES);
        take_bytes(conn, bytes.ptr, bytes.len);
        if (conn->growing_fn && conn_open(conn))
            tell_growing(conn);
        if (!conn_open(conn) || redis_intake_empty(&conn->intake))
            return;
    }
    reactor_timer_set(conn->again, 0);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct redis_conn *conn = arg;
    (void)fd;
    (void)what;
    if (!redis_intake_empty(&conn->intake))
        reactor_timer_cancel(conn->again); /* not twice in a turn */
    read_on(conn);
}

static void on_again(void *arg)
{
    read_on(arg);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

static void on_dialed(void *arg, int fd, const char *error)
{
    struct redis_conn *conn = arg;
    struct event_base *base = reactor_base(conn->reactor);
    if (fd < 0) {
        conn_drop(conn, "%s", error);
        return;
    }
    conn->fd = fd;
    conn->state = HANDSHAKE;
    conn->reader = redis_reader_new();
    conn->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    conn->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
    if (!conn->reader || !conn->readable || !conn->writable ||
        event_add(conn->readable, NULL) != 0 ||
        redis_hello_add(&conn->pipe, &conn->options, conn->scripts) != ST_OK)
        conn_drop(conn, "out of memory");
    else
        reactor_reap(conn->reactor, &conn->flush, on_turn_end);
}

static void conn_begin(struct redis_conn *conn)
{
    conn->state = DIALING;
    set_timer(conn, conn->options.connect_timeout_ms);
    if (redis_master_dial(conn->master, conn->attempts, on_dialed, conn) != ST_OK)
        conn_drop(conn, "out of memory");
}

static void on_moved(void *arg, const char *why)
{
    conn_drop(arg, "%s", why);
}

/* ---- Time ----------------------------------------------------------------------------------- */

static void check_deadlines(struct redis_conn *conn)
{
    static const struct slice ping = SLICE("PING");
    const struct redis_options *options = &conn->options;
    uint64_t now_ms = clock_mono_ms();
    uint64_t oldest = redis_pipe_oldest_ms(&conn->pipe);
    if (conn->write_failed) {
        conn_drop(conn, "connection lost: write failed");
    } else if (oldest != UINT64_MAX && now_ms - oldest >= options->command_timeout_ms) {
        conn_drop(conn, "no reply within %llu ms", (unsigned long long)options->command_timeout_ms);
    } else if (oldest != UINT64_MAX) {
        set_timer(conn, oldest + options->command_timeout_ms - now_ms);
    } else if (now_ms - conn->last_io_ms < options->idle_ping_ms) {
        set_timer(conn, conn->last_io_ms + options->idle_ping_ms - now_ms);
    } else if (enqueue_own(conn, OP_PING, &ping, 1)) {
        set_timer(conn, options->command_timeout_ms);
    } else {
        conn_drop(conn, "out of memory");
    }
}

static void on_timer(void *arg)
{
    struct redis_conn *conn = arg;
    switch (conn->state) {
    case WAITING:
        conn_begin(conn);
        break;
    case DIALING:
    case HANDSHAKE:
        conn_drop(conn, "no connection within %llu ms",
                  (unsigned long long)conn->options.connect_timeout_ms);
        break;
    case READY:
    case RETIRING:
        check_deadlines(conn);
        break;
    case DEAD:
        break;
    }
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void conn_release(struct redis_conn *conn)
{
    reactor_timer_free(conn->timer);
    reactor_timer_free(conn->again);
    redis_master_free(conn->master);
    redis_options_release(&conn->options, conn->strings);
    free(conn);
}

static void on_reap(struct reap *reap)
{
    conn_release(CONTAINER_OF(reap, struct redis_conn, death));
}

struct redis_conn *redis_conn_new(struct reactor *reactor, const struct redis_options *options,
                                  redis_state_fn *state_fn, void *arg)
{
    struct redis_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->reactor = reactor;
    conn->state_fn = state_fn;
    conn->arg = arg;
    conn->fd = -1;
    redis_pipe_init(&conn->pipe);
    redis_intake_init(&conn->intake, READ_BYTES);
    list_init(&conn->lost);
    snprintf(conn->error, sizeof(conn->error), "not connected yet");
    conn->timer = reactor_timer_new(reactor, on_timer, conn);
    conn->again = reactor_timer_new(reactor, on_again, conn);
    conn->strings = redis_options_copy(&conn->options, options);
    if (conn->strings)
        conn->master = redis_master_new(reactor, &conn->options, on_moved, conn);
    if (!conn->timer || !conn->again || !conn->master) {
        conn_release(conn);
        return NULL;
    }
    set_timer(conn, 0);
    return conn;
}

void redis_conn_free(struct redis_conn *conn)
{
    if (!conn || conn->state == DEAD)
        return;
    conn_close(conn);
    conn->state = DEAD;
    reactor_timer_cancel(conn->timer);
    redis_pipe_abandon(&conn->pipe, &conn->lost);
    fail_all(conn, ST_STOPPED);
    reactor_reap(conn->reactor, &conn->death, on_reap);
}

void redis_conn_set_scripts(struct redis_conn *conn, const struct redis_scripts *scripts)
{
    conn->scripts = scripts;
}

void redis_conn_set_messages(struct redis_conn *conn, redis_message_fn *fn, void *arg)
{
    conn->message_fn = fn;
    conn->message_arg = arg;
}

void redis_conn_set_growing(struct redis_conn *conn, unsigned depth, redis_growing_fn *fn,
                            void *arg)
{
    conn->growing_depth = depth;
    conn->growing_fn = fn;
    conn->growing_arg = arg;
    conn->intake.bytes.max = GROWING_READ_BYTES;
}

void redis_conn_renew(struct redis_conn *conn)
{
    if (conn_open(conn))
        conn_drop(conn, "made anew");
}

bool redis_conn_ready(const struct redis_conn *conn)
{
    return conn->state == READY;
}

bool redis_conn_same_server(const struct redis_conn *a, const struct redis_conn *b)
{
    if (a->state != READY || b->state != READY)
        return false;
    if (a->run_id[0] && b->run_id[0])
        return strcmp(a->run_id, b->run_id) == 0;
    return redis_master_same(a->master, b->master);
}

const char *redis_conn_error(const struct redis_conn *conn)
{
    return conn->error;
}

size_t redis_conn_in_flight(const struct redis_conn *conn)
{
    return conn->pipe.in_flight;
}

const struct redis_conn_stats *redis_conn_stats(const struct redis_conn *conn)
{
    return &conn->stats;
}
