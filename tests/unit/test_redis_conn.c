/* test_redis_conn.c - the connection against a real redis-server: every callback exactly once, in
 * order, whatever happens to the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/redis_conn.h"
#include "net/redis_script.h"
#include "redis_fixture.h"

/* ---- What the tests share ------------------------------------------------------------------- */

struct fixture {
    struct loop loop;
    struct server server;
    struct redis_options options;
    struct redis_conn *conn;
    int ready;     /* times it became ready */
    int not_ready; /* times it ceased to be */
};

static void on_state(void *arg, bool ready)
{
    struct fixture *f = arg;
    if (ready)
        f->ready++;
    else
        f->not_ready++;
    assert_int_equal(redis_conn_ready(f->conn), ready);
}

static bool is_ready(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_ready(f->conn);
}

static bool is_not_ready(void *arg)
{
    return !is_ready(arg);
}

static bool is_idle(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_in_flight(f->conn) == 0;
}

static void open_conn(struct fixture *f)
{
    f->conn = redis_conn_new(f->loop.reactor, &f->options, on_state, f);
    assert_non_null(f->conn);
}

static void setup(struct fixture *f, const char *const *server_args)
{
    *f = (struct fixture){0};
    loop_start(&f->loop);
    server_start(&f->server, server_args);
    f->options = (struct redis_options){.unix_path = f->server.socket, .client_name = "test"};
}

static void setup_ready(struct fixture *f)
{
    setup(f, NULL);
    open_conn(f);
    loop_until(&f->loop, is_ready, f);
}

static void teardown(struct fixture *f)
{
    redis_conn_free(f->conn);
    loop_end(&f->loop);
    server_end(&f->server);
}

/* A sequence of commands, whose callbacks note what came. */
struct tally {
    struct fixture *f;
    int next; /* sequence number expected */
    int ok;
    int errors; /* error replies */
    int lost;
    int stopped;
    int64_t last;
    char text[128];
};

struct call {
    struct tally *tally;
    int number;
    int called;
};

static void count(struct tally *tally, enum status status, const struct redis_value *reply)
{
    struct slice text = redis_value_text(reply);
    assert_true((reply == NULL) == (status != ST_OK));
    assert_true(status == ST_OK || status == ST_LOST || status == ST_STOPPED);
    if (redis_value_type(reply) == REDIS_ERROR)
        tally->errors++;
    else
        tally->ok += status == ST_OK;
    tally->lost += status == ST_LOST;
    tally->stopped += status == ST_STOPPED;
    if (redis_value_type(reply) == REDIS_INTEGER)
        tally->last = redis_value_integer(reply);
    snprintf(tally->text, sizeof(tally->text), "%.*s", SLICE_ARGS(text));
}

static void on_tally(void *arg, enum status status, const struct redis_value *reply)
{
    count(arg, status, reply);
}

static void on_call(void *arg, enum status status, const struct redis_value *reply)
{
    struct call *call = arg;
    assert_int_equal(call->called++, 0);
    assert_int_equal(call->number, call->tally->next++);
    count(call->tally, status, reply);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* `strings` ends with NULL: see WORDS. */
static enum status send_words(struct redis_conn *conn, redis_reply_fn *fn, void *arg,
                              const char *const *strings)
{
    struct slice words[8];
    size_t n = 0;
    for (; strings[n]; n++) {
        assert_in_range(n, 0, 7);
        words[n] = slice_str(strings[n]);
    }
    return redis_command(conn, words, n, fn, arg);
}

#define SEND(conn, fn, arg, ...)                                                                   \
    assert_int_equal(send_words(conn, fn, arg, WORDS(__VA_ARGS__)), ST_OK)

/* `n` INCRs at once; calls[i] notes the i-th. */
static struct call *send_incrs(struct fixture *f, struct tally *tally, int n)
{
    struct call *calls = calloc((size_t)n, sizeof(*calls));
    assert_non_null(calls);
    for (int i = 0; i < n; i++) {
        calls[i] = (struct call){.tally = tally, .number = i};
        SEND(f->conn, on_call, &calls[i], "INCR", "counter");
    }
    return calls;
}

static void assert_all_called(const struct call *calls, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(calls[i].called, 1);
}

/* ---- Commands ------------------------------------------------------------------------------- */

/* Nothing is accepted before it is ready, and nothing is called back from redis_command(). */
static void test_round_trip(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    setup(&f, NULL);
    open_conn(&f);
    assert_int_equal(send_words(f.conn, on_tally, &tally, WORDS("PING")), ST_AGAIN);
    assert_string_not_equal(redis_conn_error(f.conn), "");
    loop_until(&f.loop, is_ready, &f);
    assert_int_equal(f.ready, 1);
    assert_string_equal(redis_conn_error(f.conn), "");
    SEND(f.conn, on_tally, &tally, "SET", "key", "");
    SEND(f.conn, on_tally, &tally, "CLIENT", "GETNAME");
    assert_int_equal(tally.ok, 0);
    assert_int_equal(redis_conn_in_flight(f.conn), 2);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, 2);
    assert_string_equal(tally.text, "test");
    SEND(f.conn, on_tally, &tally, "GET", "key");
    loop_until(&f.loop, is_idle, &f);
    assert_string_equal(tally.text, "");
    teardown(&f);
    assert_int_equal(f.not_ready, 0);
}

/* 10,000 commands of one turn are answered once each and in order, in few system calls. */
static void test_pipeline(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    enum { N = 10000 };
    setup_ready(&f);
    uint64_t writes = redis_conn_stats(f.conn)->writes;
    struct call *calls = send_incrs(&f, &tally, N);
    loop_until(&f.loop, is_idle, &f);
    assert_all_called(calls, N);
    assert_int_equal(tally.ok, N);
    assert_int_equal(tally.last, N);
    assert_true(redis_conn_stats(f.conn)->writes - writes < N / 50);
    assert_int_equal(hist_count(&redis_conn_stats(f.conn)->round_trip_us),
                     redis_conn_stats(f.conn)->replies);
    assert_true(hist_max(&redis_conn_stats(f.conn)->round_trip_us) > 0);
    free(calls);
    /* A turn's few commands are one write. */
    writes = redis_conn_stats(f.conn)->writes;
    tally.next = 0;
    calls = send_incrs(&f, &tally, 64);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(redis_conn_stats(f.conn)->writes - writes, 1);
    free(calls);
    teardown(&f);
}

struct large {
    char *bytes;
    size_t len;
    int equal;
};

static void on_large(void *arg, enum status status, const struct redis_value *reply)
{
    struct large *large = arg;
    assert_int_equal(status, ST_OK);
    assert_int_equal(redis_value_type(reply), REDIS_STRING);
    large->equal += slice_eq(redis_value_text(reply), slice_of(large->bytes, large->len));
}

/* Values of 1 MiB with all byte values go and come unharmed, several at once. */
static void test_large_values(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    struct large large = {.len = 1024 * 1024};
    setup_ready(&f);
    large.bytes = malloc(large.len);
    assert_non_null(large.bytes);
    for (size_t i = 0; i < large.len; i++)
        large.bytes[i] = (char)(i * 31 + (i >> 8));
    const struct slice set[] = {SLICE("SET"), SLICE("big"), slice_of(large.bytes, large.len)};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(redis_command(f.conn, set, 3, on_tally, &tally), ST_OK);
        SEND(f.conn, on_large, &large, "GET", "big");
    }
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, 8);
    assert_int_equal(large.equal, 8);
    free(large.bytes);
    teardown(&f);
}

static void on_nested(void *arg, enum status status, const struct redis_value *reply)
{
    bool *seen = arg;
    assert_int_equal(status, ST_OK);
    assert_int_equal(redis_value_count(reply), 4);
    assert_int_equal(redis_value_integer(redis_value_at(reply, 0)), -7);
    const struct redis_value *inner = redis_value_at(reply, 1);
    assert_int_equal(redis_value_count(inner), 3);
    assert_true(slice_eq(redis_value_text(redis_value_at(inner, 0)), SLICE("a")));
    assert_int_equal(redis_value_type(redis_value_at(inner, 1)), REDIS_NIL);
    assert_int_equal(redis_value_count(redis_value_at(inner, 2)), 0);
    assert_int_equal(redis_value_type(redis_value_at(inner, 2)), REDIS_ARRAY);
    assert_int_equal(redis_value_type(redis_value_at(reply, 2)), REDIS_STATUS);
    assert_true(redis_value_is_error(redis_value_at(reply, 3), "MINE"));
    assert_int_equal(redis_value_type(redis_value_at(reply, 4)), REDIS_NIL);
    *seen = true;
}

/* All types, nested; errors are replies and leave the connection usable. */
/* What is told of a reply while it comes. */
struct growth {
    struct fixture *f;
    size_t calls, whole;
    bool ended;    /* the reply is whole */
    bool frees_it; /* the connection, when it is told of first */
};

static void on_growing(void *arg, const struct redis_value *array, size_t whole)
{
    struct growth *growth = arg;
    assert_false(growth->ended);
    assert_true(whole > growth->whole || growth->calls > 0);
    assert_in_range(whole, growth->whole, redis_value_count(array) - 1);
    for (size_t i = growth->whole; i < whole; i++)
        assert_int_equal(redis_value_text(redis_value_at(array, i)).len, 1000);
    growth->whole = whole;
    growth->calls++;
    if (growth->frees_it) {
        redis_conn_free(growth->f->conn);
        growth->f->conn = NULL;
    }
}

static void on_grown(void *arg, enum status status, const struct redis_value *reply)
{
    struct growth *growth = arg;
    growth->ended = true;
    assert_int_equal(status, growth->frees_it ? ST_STOPPED : ST_OK);
    assert_int_equal(redis_value_count(reply), growth->frees_it ? 0 : 2000);
}

static bool has_grown(void *arg)
{
    const struct growth *growth = arg;
    return growth->ended;
}

/* Two megabytes are told of while they come, a list at the depth that was asked for; and a
 * connection may be freed then. */
static void test_growing(void **state)
{
    (void)state;
    struct fixture f;
    char value[1001];
    memset(value, 'v', 1000);
    value[1000] = '\0';
    setup_ready(&f);
    struct tally tally = {0};
    for (int i = 0; i < 2000; i++)
        SEND(f.conn, on_tally, &tally, "RPUSH", "list", value);
    loop_until(&f.loop, is_idle, &f);
    for (unsigned depth = 0; depth <= 1; depth++) {
        struct growth growth = {.f = &f};
        redis_conn_set_growing(f.conn, depth, on_growing, &growth);
        SEND(f.conn, on_grown, &growth, "LRANGE", "list", "0", "-1");
        loop_until(&f.loop, has_grown, &growth);
        assert_true(depth == 0 ? growth.calls > 5 && growth.whole > 1500 : growth.calls == 0);
    }
    struct growth growth = {.f = &f, .frees_it = true};
    redis_conn_set_growing(f.conn, 0, on_growing, &growth);
    SEND(f.conn, on_grown, &growth, "LRANGE", "list", "0", "-1");
    loop_until(&f.loop, has_grown, &growth);
    assert_int_equal(growth.calls, 1);
    teardown(&f);
}

static void test_reply_types(void **state)
{
    (void)state;
    struct fixture f;
    bool seen = false;
    struct tally tally = {0};
    setup_ready(&f);
    SEND(f.conn, on_nested, &seen, "EVAL",
         "return {-7, {'a', false, {}}, {ok='fine'}, {err='MINE own'}}", "0");
    SEND(f.conn, on_tally, &tally, "NOSUCHCOMMAND");
    loop_until(&f.loop, is_idle, &f);
    assert_true(seen);
    assert_int_equal(tally.errors, 1);
    assert_non_null(strstr(tally.text, "ERR unknown command"));
    SEND(f.conn, on_tally, &tally, "PING");
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, 1);
    teardown(&f);
}

/* Beyond the limit a command is refused, never called back, and accepted again later; a single
 * one of any size goes. */
static void test_in_flight_limit(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    enum { N = 100, BYTES = 1000 };
    char *value = calloc(1, 10 * BYTES);
    assert_non_null(value);
    setup(&f, NULL);
    f.options.in_flight_bytes_max = 5 * BYTES;
    open_conn(&f);
    loop_until(&f.loop, is_ready, &f);
    const struct slice small[] = {SLICE("SET"), SLICE("k"), slice_of(value, BYTES)};
    const struct slice huge[] = {SLICE("SET"), SLICE("k"), slice_of(value, (size_t)10 * BYTES)};
    int accepted = 0;
    for (int i = 0; i < N; i++) {
        enum status status = redis_command(f.conn, small, 3, on_tally, &tally);
        assert_true(status == ST_OK || status == ST_LIMIT);
        accepted += status == ST_OK;
    }
    assert_int_equal(accepted, 4);
    assert_int_equal(redis_command(f.conn, huge, 3, on_tally, &tally), ST_LIMIT);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, accepted);
    assert_int_equal(redis_command(f.conn, huge, 3, on_tally, &tally), ST_OK);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, accepted + 1);
    free(value);
    teardown(&f);
}

/* ---- The server goes away ------------------------------------------------------------------- */

/* kill -9 in the middle of a pipeline: replies until then, ST_LOST for the rest, each once and in
 * order; then it is ready again with a new server. */
static void test_killed_server(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    struct tally after = {0};
    enum { N = 20000 };
    setup_ready(&f);
    struct call *calls = send_incrs(&f, &tally, N);
    /* Blocks the server, so that something is outstanding for certain when it is killed. */
    SEND(f.conn, on_tally, &tally, "EVAL", "while true do end", "0");
    struct call *unanswered = send_incrs(&f, &after, N);
    assert_false(loop_until_within(&f.loop, is_idle, &f, 200));
    server_kill(&f.server);
    loop_until(&f.loop, is_not_ready, &f);
    loop_until(&f.loop, is_idle, &f);
    assert_all_called(calls, N);
    assert_all_called(unanswered, N);
    assert_int_equal(tally.ok + tally.lost, N + 1);
    assert_int_equal(after.lost, N);
    assert_int_equal(f.not_ready, 1);
    assert_string_not_equal(redis_conn_error(f.conn), "");
    server_launch(&f.server, NULL);
    loop_until(&f.loop, is_ready, &f);
    assert_int_equal(f.ready, 2);
    SEND(f.conn, on_tally, &tally, "PING");
    loop_until(&f.loop, is_idle, &f);
    assert_string_equal(tally.text, "PONG");
    free(calls);
    free(unanswered);
    teardown(&f);
}

/* A stopped server: the oldest command's time runs out, everything is lost, and it comes back. */
static void test_stopped_server(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    setup(&f, NULL);
    f.options.command_timeout_ms = 150;
    f.options.connect_timeout_ms = 150;
    open_conn(&f);
    loop_until(&f.loop, is_ready, &f);
    kill(f.server.pid, SIGSTOP);
    uint64_t before_ms = clock_now_us() / 1000;
    struct call *calls = send_incrs(&f, &tally, 10);
    loop_until(&f.loop, is_not_ready, &f);
    uint64_t took_ms = clock_now_us() / 1000 - before_ms;
    assert_true(took_ms >= 150 && took_ms < 5000);
    assert_all_called(calls, 10);
    assert_int_equal(tally.lost, 10);
    assert_non_null(strstr(redis_conn_error(f.conn), "no reply within 150 ms"));
    /* Connecting succeeds, as the kernel does it, but the handshake is not answered. */
    assert_false(loop_until_within(&f.loop, is_ready, &f, 400));
    assert_non_null(strstr(redis_conn_error(f.conn), "no connection within 150 ms"));
    kill(f.server.pid, SIGCONT);
    loop_until(&f.loop, is_ready, &f);
    free(calls);
    teardown(&f);
}

/* An idle connection finds out by itself that the server is gone. */
static void test_idle_ping(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NULL);
    f.options.command_timeout_ms = 100;
    f.options.connect_timeout_ms = 1000;
    f.options.idle_ping_ms = 50;
    open_conn(&f);
    loop_until(&f.loop, is_ready, &f);
    uint64_t before = redis_conn_stats(f.conn)->bytes_in;
    assert_false(loop_until_within(&f.loop, NULL, NULL, 300));
    uint64_t got = redis_conn_stats(f.conn)->bytes_in - before;
    assert_true(got >= 7 && got <= (uint64_t)7 * 6); /* "+PONG\r\n", at most one in 50 ms */
    assert_true(redis_conn_ready(f.conn));
    kill(f.server.pid, SIGSTOP);
    loop_until(&f.loop, is_not_ready, &f);
    kill(f.server.pid, SIGCONT);
    teardown(&f);
}

/* ---- The server does not want us ------------------------------------------------------------ */

static bool has_error(void *arg)
{
    const struct fixture *f = arg;
    const char *error = redis_conn_error(f->conn);
    return strcmp(error, "not connected yet") != 0;
}

static void test_authentication(void **state)
{
    (void)state;
    static const struct {
        const char *username, *password, *error;
    } rows[] = {
        {NULL, "right one", ""},      {"default", "right one", ""},         {NULL, NULL, "NOAUTH"},
        {NULL, "wrong", "WRONGPASS"}, {"nobody", "right one", "WRONGPASS"},
    };
    struct fixture f;
    setup(&f, (const char *const[]){"--requirepass", "right one", NULL});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f.options.username = rows[i].username;
        f.options.password = rows[i].password;
        f.options.database = 3;
        open_conn(&f);
        if (rows[i].error[0]) {
            loop_until(&f.loop, has_error, &f);
            assert_non_null(strstr(redis_conn_error(f.conn), rows[i].error));
            assert_false(redis_conn_ready(f.conn));
        } else {
            struct tally tally = {0};
            loop_until(&f.loop, is_ready, &f);
            SEND(f.conn, on_tally, &tally, "CLIENT", "INFO");
            loop_until(&f.loop, is_idle, &f);
            assert_non_null(strstr(tally.text, "name=test"));
        }
        redis_conn_free(f.conn);
        f.conn = NULL;
    }
    teardown(&f);
}

/* A replica is not ready; a master that becomes one answers, retires, and is ready again when it
 * is a master once more. */
static void test_read_only(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    setup_ready(&f);
    SEND(f.conn, on_tally, &tally, "REPLICAOF", "127.0.0.1", "1");
    SEND(f.conn, on_tally, &tally, "SET", "a", "b");
    SEND(f.conn, on_tally, &tally, "ECHO", "still answered");
    loop_until(&f.loop, is_not_ready, &f);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, 2);
    assert_int_equal(tally.errors, 1);
    assert_string_equal(tally.text, "still answered");
    assert_int_equal(f.not_ready, 1);
    assert_non_null(strstr(redis_conn_error(f.conn), "READONLY"));
    char command[256];
    snprintf(command, sizeof(command), "redis-cli -s %s replicaof no one >/dev/null",
             f.server.socket);
    assert_int_equal(system(command), 0);
    loop_until(&f.loop, is_ready, &f);
    teardown(&f);
}

/* The one error a server says before it is asked anything. */
static void test_max_clients(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, (const char *const[]){"--maxclients", "1", NULL});
    open_conn(&f);
    loop_until(&f.loop, is_ready, &f);
    struct fixture second = {.loop = f.loop, .options = f.options};
    second.conn = redis_conn_new(f.loop.reactor, &f.options, NULL, NULL);
    assert_non_null(second.conn);
    loop_until(&f.loop, has_error, &second);
    assert_non_null(strstr(redis_conn_error(second.conn), "max number of clients"));
    redis_conn_free(f.conn);
    f.conn = NULL;
    loop_until(&f.loop, is_ready, &second);
    redis_conn_free(second.conn);
    teardown(&f);
}

/* ---- Freeing -------------------------------------------------------------------------------- */

/* Freed with commands outstanding, written or not: each called once with ST_STOPPED, in order. */
static void test_free_outstanding(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    setup_ready(&f);
    struct call *calls = send_incrs(&f, &tally, 100);
    redis_conn_free(f.conn);
    f.conn = NULL;
    assert_all_called(calls, 100);
    assert_int_equal(tally.stopped, 100);
    free(calls);
    teardown(&f);
}

static void on_free(void *arg, enum status status, const struct redis_value *reply)
{
    struct tally *tally = arg;
    count(tally, status, reply);
    redis_conn_free(tally->f->conn);
}

static bool all_called(void *arg)
{
    const struct tally *tally = arg;
    return tally->ok + tally->lost + tally->stopped == 12;
}

/* Freed from a callback, in the middle of a read and in the middle of a loss. */
static void test_free_in_callback(void **state)
{
    (void)state;
    for (int lose = 0; lose < 2; lose++) {
        struct fixture f;
        struct tally tally = {.f = &f};
        setup_ready(&f);
        if (lose) {
            kill(f.server.pid, SIGSTOP);
            server_kill(&f.server);
        }
        SEND(f.conn, on_tally, &tally, "PING");
        SEND(f.conn, on_free, &tally, "PING");
        struct call *calls = send_incrs(&f, &tally, 10);
        loop_until(&f.loop, all_called, &tally);
        assert_all_called(calls, 10);
        assert_int_equal(lose ? tally.lost : tally.ok, 2);
        assert_int_equal(tally.stopped, 10);
        assert_int_equal(f.not_ready, 0);
        f.conn = NULL;
        free(calls);
        teardown(&f);
    }
}

static void on_again(void *arg, enum status status, const struct redis_value *reply)
{
    struct tally *tally = arg;
    count(tally, status, reply);
    enum status again = send_words(tally->f->conn, on_tally, tally, WORDS("PING"));
    assert_int_equal(again, status == ST_OK ? ST_OK : ST_AGAIN);
}

/* Callbacks may issue commands; while the connection is being lost they are refused. */
static void test_command_in_callback(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {.f = &f};
    setup_ready(&f);
    SEND(f.conn, on_again, &tally, "PING");
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, 2);
    server_kill(&f.server);
    SEND(f.conn, on_again, &tally, "PING");
    loop_until(&f.loop, is_not_ready, &f);
    assert_int_equal(tally.lost, 1);
    teardown(&f);
}

/* ---- Scripts -------------------------------------------------------------------------------- */

#define ADD_TEXT  "return redis.call('INCRBY', KEYS[1], ARGV[1])"
#define ECHO_TEXT "return {KEYS[1], ARGV[1], #KEYS, #ARGV}"

static const struct redis_script_source sources[] = {
    {"add", ADD_TEXT, sizeof(ADD_TEXT) - 1},
    {"echo", ECHO_TEXT, sizeof(ECHO_TEXT) - 1},
};

static enum status call_add(struct redis_conn *conn, const struct redis_script *script, int by,
                            redis_reply_fn *fn, void *arg)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", by);
    const struct slice key = SLICE("sum");
    const struct slice value = slice_str(number);
    return redis_script_call(conn, script, &key, 1, &value, 1, fn, arg);
}

static void setup_scripts(struct fixture *f, struct redis_scripts **scripts)
{
    setup(f, NULL);
    *scripts = redis_scripts_new(sources, 2);
    assert_non_null(*scripts);
    open_conn(f);
    redis_conn_set_scripts(f->conn, *scripts);
    loop_until(&f->loop, is_ready, f);
}

static void on_echo(void *arg, enum status status, const struct redis_value *reply)
{
    bool *seen = arg;
    assert_int_equal(status, ST_OK);
    assert_true(slice_eq(redis_value_text(redis_value_at(reply, 0)), SLICE("k1")));
    assert_true(slice_eq(redis_value_text(redis_value_at(reply, 1)), SLICE("a1")));
    assert_int_equal(redis_value_integer(redis_value_at(reply, 2)), 2);
    assert_int_equal(redis_value_integer(redis_value_at(reply, 3)), 3);
    *seen = true;
}

/* Keys and arguments arrive where they belong; calls can be pipelined. */
static void test_script_call(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    struct redis_scripts *scripts;
    setup_scripts(&f, &scripts);
    assert_null(redis_script_find(scripts, "none"));
    const struct redis_script *add = redis_script_find(scripts, "add");
    assert_non_null(add);
    assert_int_equal(call_add(f.conn, add, 5, on_tally, &tally), ST_OK);
    assert_int_equal(call_add(f.conn, add, 6, on_tally, &tally), ST_OK);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, 2);
    assert_int_equal(tally.last, 11);
    const struct slice keys[] = {SLICE("k1"), SLICE("k2")};
    const struct slice args[] = {SLICE("a1"), SLICE("a2"), SLICE("a3")};
    bool seen = false;
    assert_int_equal(redis_script_call(f.conn, redis_script_find(scripts, "echo"), keys, 2, args, 3,
                                       on_echo, &seen),
                     ST_OK);
    loop_until(&f.loop, is_idle, &f);
    assert_true(seen);
    assert_int_equal(redis_conn_stats(f.conn)->repeated, 0);
    teardown(&f);
    redis_scripts_free(scripts);
}

/* SCRIPT FLUSH amid a pipeline: all calls run exactly once, in order; the caller sees nothing. */
static void test_script_flush(void **state)
{
    (void)state;
    struct fixture f;
    struct redis_scripts *scripts;
    enum { N = 2000 };
    struct tally calls_tally = {0};
    struct tally tally = {0};
    struct call *calls = calloc(N, sizeof(*calls));
    assert_non_null(calls);
    setup_scripts(&f, &scripts);
    const struct redis_script *add = redis_script_find(scripts, "add");
    for (int i = 0; i < N; i++) {
        calls[i] = (struct call){.tally = &calls_tally, .number = i};
        if (i == N / 4 || i == N / 2)
            SEND(f.conn, on_tally, &tally, "SCRIPT", "FLUSH");
        if (i == N * 3 / 4) /* some turns between, so that some calls are made while it holds */
            assert_false(loop_until_within(&f.loop, NULL, NULL, 1));
        assert_int_equal(call_add(f.conn, add, 1, on_call, &calls[i]), ST_OK);
    }
    SEND(f.conn, on_tally, &tally, "PING");
    loop_until(&f.loop, is_idle, &f);
    assert_all_called(calls, N);
    assert_int_equal(calls_tally.ok, N);
    assert_int_equal(calls_tally.errors, 0);
    assert_int_equal(calls_tally.last, N); /* the last call ran last, and each ran once */
    assert_true(redis_conn_stats(f.conn)->repeated >= N / 4);
    assert_int_equal(tally.ok, 3);
    free(calls);
    teardown(&f);
    redis_scripts_free(scripts);
}

static void on_flush(void *arg, enum status status, const struct redis_value *reply)
{
    struct tally *tally = arg;
    count(tally, status, reply);
    if (status == ST_OK && tally->ok < 50)
        SEND(tally->f->conn, on_flush, tally, "SCRIPT", "FLUSH");
}

/* Flushes all the time: calls run at most once, and those given up say NOSCRIPT. */
static void test_script_flushed_again_and_again(void **state)
{
    (void)state;
    struct fixture f;
    struct redis_scripts *scripts;
    struct tally calls_tally = {0};
    struct tally tally = {.f = &f};
    setup_scripts(&f, &scripts);
    const struct redis_script *add = redis_script_find(scripts, "add");
    SEND(f.conn, on_flush, &tally, "SCRIPT", "FLUSH");
    for (int i = 0; i < 50; i++) {
        assert_int_equal(call_add(f.conn, add, 1, on_tally, &calls_tally), ST_OK);
        assert_false(loop_until_within(&f.loop, NULL, NULL, 1));
    }
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(calls_tally.ok + calls_tally.errors, 50);
    assert_int_equal(calls_tally.last, calls_tally.ok);
    teardown(&f);
    redis_scripts_free(scripts);
}

/* A server that lost its scripts together with the connection has them again when it is ready. */
static void test_scripts_after_restart(void **state)
{
    (void)state;
    struct fixture f;
    struct tally tally = {0};
    struct redis_scripts *scripts;
    setup_scripts(&f, &scripts);
    server_kill(&f.server);
    loop_until(&f.loop, is_not_ready, &f);
    server_launch(&f.server, NULL);
    loop_until(&f.loop, is_ready, &f);
    const struct redis_script *add = redis_script_find(scripts, "add");
    assert_int_equal(call_add(f.conn, add, 5, on_tally, &tally), ST_OK);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.last, 5);
    assert_int_equal(redis_conn_stats(f.conn)->repeated, 0);
    teardown(&f);
    redis_scripts_free(scripts);
}

/* ---- Addresses ------------------------------------------------------------------------------ */

/* By number, by name, and what is said when there is nobody. */
static void test_addresses(void **state)
{
    (void)state;
    struct fixture f;
    char port[8];
    uint16_t number = free_port();
    snprintf(port, sizeof(port), "%u", number);
    setup(&f, (const char *const[]){"--port", port, "--bind", "127.0.0.1", NULL});
    const struct {
        const char *host;
        uint16_t port;
        const char *error;
    } rows[] = {
        {"127.0.0.1", number, ""},
        {"localhost", number, ""},
        {"127.0.0.1", 1, "cannot connect: Connection refused"},
        {"no such name", number, "cannot look up the host"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f.options = (struct redis_options){.host = rows[i].host, .port = rows[i].port};
        open_conn(&f);
        loop_until(&f.loop, rows[i].error[0] ? has_error : is_ready, &f);
        assert_non_null(strstr(redis_conn_error(f.conn), rows[i].error));
        redis_conn_free(f.conn);
    }
    /* Freed while the helper thread is at it. */
    open_conn(&f);
    assert_false(loop_until_within(&f.loop, NULL, NULL, 1));
    teardown(&f);
}

struct pair {
    const struct redis_conn *a, *b;
};

static bool both_ready(void *arg)
{
    const struct pair *pair = arg;
    return redis_conn_ready(pair->a) && redis_conn_ready(pair->b);
}

/* One address, behind which there is another server by now; and a user who may not ask. */
static void test_same_server(void **state)
{
    (void)state;
    struct fixture f;
    struct server later;
    setup_ready(&f);
    struct redis_conn *beside = redis_conn_new(f.loop.reactor, &f.options, NULL, NULL);
    assert_false(redis_conn_same_server(f.conn, beside));
    loop_until(&f.loop, both_ready, &(struct pair){f.conn, beside});
    assert_true(redis_conn_same_server(f.conn, beside));

    server_start(&later, NULL);
    unlink(f.server.socket);
    assert_int_equal(symlink(later.socket, f.server.socket), 0);
    struct redis_conn *behind = redis_conn_new(f.loop.reactor, &f.options, NULL, NULL);
    loop_until(&f.loop, both_ready, &(struct pair){f.conn, behind});
    assert_false(redis_conn_same_server(f.conn, behind));
    redis_conn_renew(f.conn);
    loop_until(&f.loop, both_ready, &(struct pair){f.conn, behind});
    assert_true(redis_conn_same_server(f.conn, behind));
    assert_false(redis_conn_same_server(beside, behind));

    struct tally tally = {.f = &f};
    SEND(f.conn, on_tally, &tally, "ACL", "SETUSER", "blind", "on", ">x", "~*", "+@all", "-info");
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(tally.ok, 1);
    struct redis_options options = f.options;
    options.username = "blind";
    options.password = "x";
    struct redis_conn *blind = redis_conn_new(f.loop.reactor, &options, NULL, NULL);
    loop_until(&f.loop, both_ready, &(struct pair){f.conn, blind});
    assert_true(redis_conn_same_server(f.conn, blind));

    redis_conn_free(blind);
    redis_conn_free(behind);
    redis_conn_free(beside);
    server_end(&later);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_reply_types),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_in_flight_limit),
        cmocka_unit_test(test_killed_server),
        cmocka_unit_test(test_stopped_server),
        cmocka_unit_test(test_idle_ping),
        cmocka_unit_test(test_authentication),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_max_clients),
        cmocka_unit_test(test_free_outstanding),
        cmocka_unit_test(test_free_in_callback),
        cmocka_unit_test(test_command_in_callback),
        cmocka_unit_test(test_script_call),
        cmocka_unit_test(test_script_flush),
        cmocka_unit_test(test_script_flushed_again_and_again),
        cmocka_unit_test(test_scripts_after_restart),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_same_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
