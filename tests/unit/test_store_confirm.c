/* test_store_confirm.c - a script and WAIT behind it, with a real master and a real replica. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/store_confirm.h"
#include "net/redis_script.h"
#include "redis_fixture.h"

#define TEXT(lua) .text = (lua), .len = sizeof(lua) - 1

static const struct redis_script_source sources[] = {
    {.name = "write",
     TEXT("return {redis.call('INCR', KEYS[1]), 'and', {redis.call('GET', KEYS[1])}}")},
    {.name = "read", TEXT("return redis.call('EXISTS', KEYS[1])")},
    {.name = "fail", TEXT("return redis.error_reply('NOREPLICAS none')")},
};

struct fixture {
    struct loop loop;
    struct server master, replica;
    char port[8]; /* of the master */
    struct redis_scripts *scripts;
    struct redis_options options;
    struct redis_conn *conn;
    int answers;
    enum status status;
    int64_t integer;
    char error[64];
};

static bool is_ready(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_ready(f->conn);
}

static bool is_answered(void *arg)
{
    const struct fixture *f = arg;
    return f->answers > 0;
}

static bool is_idle(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_in_flight(f->conn) == 0;
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){0};
    loop_start(&f->loop);
    snprintf(f->port, sizeof(f->port), "%u", free_port());
    server_start(&f->master, (const char *const[]){"--port", f->port, "--repl-ping-replica-period",
                                                   "3600", NULL});
    f->scripts = redis_scripts_new(sources, 3);
    f->options = (struct redis_options){.unix_path = f->master.socket, .client_name = "test"};
    f->conn = redis_conn_new(f->loop.reactor, &f->options, NULL, NULL);
    assert_non_null(f->conn);
    redis_conn_set_scripts(f->conn, f->scripts);
    loop_until(&f->loop, is_ready, f);
}

static void teardown(struct fixture *f)
{
    redis_conn_free(f->conn);
    loop_end(&f->loop);
    redis_scripts_free(f->scripts);
    if (f->replica.pid)
        server_end(&f->replica);
    server_end(&f->master);
}

static void on_answer(void *arg, enum status status, const struct redis_value *reply)
{
    struct fixture *f = arg;
    const struct redis_value *first =
        redis_value_type(reply) == REDIS_ARRAY ? redis_value_at(reply, 0) : reply;
    f->answers++;
    f->status = status;
    f->integer = redis_value_integer(first);
    snprintf(
        f->error, sizeof(f->error), "%.*s",
        SLICE_ARGS(redis_value_type(reply) == REDIS_ERROR ? redis_value_text(reply) : SLICE_NULL));
    if (redis_value_type(reply) == REDIS_ARRAY) {
        assert_true(slice_eq(redis_value_text(redis_value_at(reply, 1)), SLICE("and")));
        assert_int_equal(redis_value_count(redis_value_at(reply, 2)), 1);
    }
}

static void on_answer_of_any(void *arg, enum status status, const struct redis_value *reply)
{
    struct fixture *f = arg;
    assert_int_equal(reply != NULL, status == ST_OK);
    f->answers++;
    f->status = status;
}

static bool is_answered_twice(void *arg)
{
    const struct fixture *f = arg;
    return f->answers == 2;
}

static void call(struct fixture *f, const char *script, unsigned replicas, uint64_t timeout_ms)
{
    const struct slice key = SLICE("key");
    const struct store_confirm_options options = {.replicas = replicas, .timeout_ms = timeout_ms};
    f->answers = 0;
    assert_int_equal(store_confirmed_call(f->conn, redis_script_find(f->scripts, script), &key, 1,
                                          NULL, 0, &options, on_answer, f),
                     ST_OK);
    assert_int_equal(f->answers, 0);
}

static void call_and_wait(struct fixture *f, const char *script, unsigned replicas,
                          uint64_t timeout_ms)
{
    call(f, script, replicas, timeout_ms);
    loop_until(&f->loop, is_answered, f);
    assert_int_equal(f->answers, 1);
}

static void send_words(struct fixture *f, const struct slice *words, size_t count)
{
    f->answers = 0;
    assert_int_equal(redis_command(f->conn, words, count, on_answer, f), ST_OK);
    loop_until(&f->loop, is_answered, f);
    assert_int_equal(f->status, ST_OK);
}

/* One that has what the master has: by the master's own word. */
static void start_replica(struct fixture *f)
{
    const struct slice wait[] = {SLICE("WAIT"), SLICE("1"), SLICE("100")};
    server_start(&f->replica, (const char *const[]){"--replicaof", "127.0.0.1", f->port, NULL});
    do {
        send_words(f, wait, 3);
    } while (f->integer == 0);
}

/* Without a wish it is a plain call. */
static void test_not_wanted(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    call_and_wait(&f, "write", 0, 0);
    assert_int_equal(f.status, ST_OK);
    assert_int_equal(f.integer, 1);
    assert_int_equal(redis_conn_stats(f.conn)->commands, 1);
    teardown(&f);
}

/* Nobody to confirm it: the reply is there, and is not what was wished for. */
static void test_no_replica(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    call_and_wait(&f, "write", 1, 30);
    assert_int_equal(f.status, ST_TIMEOUT);
    assert_int_equal(f.integer, 1);
    teardown(&f);
}

/* With a replica it is confirmed; two were not. */
static void test_replica(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    start_replica(&f);
    call_and_wait(&f, "write", 1, 10000);
    assert_int_equal(f.status, ST_OK);
    assert_int_equal(f.integer, 1);
    call_and_wait(&f, "write", 2, 30);
    assert_int_equal(f.status, ST_TIMEOUT);
    assert_int_equal(f.integer, 2);
    teardown(&f);
}

static void on_info(void *arg, enum status status, const struct redis_value *reply)
{
    struct fixture *f = arg;
    char text[4096];
    assert_int_equal(status, ST_OK);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(redis_value_text(reply)));
    const char *replica = strstr(text, ",offset=");
    const char *master = strstr(text, "master_repl_offset:");
    assert_true(replica && master);
    f->integer = atoll(master + 19) - atoll(replica + 8);
    f->answers++;
}

/* Until the replica has confirmed the very last byte, the question for the last confirmation
 * included: it does so once a second. */
static void wait_until_level(struct fixture *f)
{
    const struct slice info[] = {SLICE("INFO"), SLICE("replication")};
    do {
        pause_ms(20);
        f->answers = 0;
        assert_int_equal(redis_command(f->conn, info, 2, on_info, f), ST_OK);
        loop_until(&f->loop, is_answered, f);
    } while (f->integer != 0);
}

/* A call that writes nothing is confirmed with what it has read: so an event is a duplicate only of
 * one that the replicas have, too. */
static void test_covers_what_was_read(void **state)
{
    (void)state;
    struct fixture f;
    const struct slice set[] = {SLICE("SET"), SLICE("key"), SLICE("value")};
    const struct slice incr[] = {SLICE("INCR"), SLICE("other")};
    setup(&f);
    start_replica(&f);
    wait_until_level(&f);
    kill(f.replica.pid, SIGSTOP);
    call_and_wait(&f, "read", 1, 30); /* nothing was written since */
    assert_int_equal(f.status, ST_OK);
    assert_int_equal(f.integer, 0);
    struct redis_conn *mine = f.conn; /* another's write */
    f.conn = redis_conn_new(f.loop.reactor, &f.options, NULL, NULL);
    assert_non_null(f.conn);
    loop_until(&f.loop, is_ready, &f);
    send_words(&f, incr, 2);
    send_words(&f, set, 3);
    redis_conn_free(f.conn);
    f.conn = mine;
    call_and_wait(&f, "read", 1, 30);
    assert_int_equal(f.status, ST_TIMEOUT);
    assert_int_equal(f.integer, 1);
    kill(f.replica.pid, SIGCONT);
    call_and_wait(&f, "read", 1, 10000);
    assert_int_equal(f.status, ST_OK);
    teardown(&f);
}

/* An error is told at once, whatever the replicas do. */
static void test_error(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    call(&f, "fail", 1, 100000);
    assert_true(loop_until_within(&f.loop, is_answered, &f, 5000));
    assert_int_equal(f.status, ST_OK);
    assert_string_equal(f.error, "NOREPLICAS none");
    teardown(&f);
    assert_int_equal(f.answers, 1);
}

/* A script that Redis has forgotten runs behind its own WAIT, which is asked for again. */
static void test_forgotten_script(void **state)
{
    (void)state;
    struct fixture f;
    const struct slice flush[] = {SLICE("SCRIPT"), SLICE("FLUSH")};
    setup(&f);
    start_replica(&f);
    send_words(&f, flush, 2);
    call_and_wait(&f, "write", 1, 10000);
    assert_int_equal(f.status, ST_OK);
    assert_int_equal(f.integer, 1);
    assert_int_equal(redis_conn_stats(f.conn)->repeated, 1);
    send_words(&f, flush, 2);
    call_and_wait(&f, "write", 2, 30);
    assert_int_equal(f.status, ST_TIMEOUT);
    loop_until(&f.loop, is_idle, &f);
    teardown(&f);
}

static bool has_run(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_stats(f->conn)->replies > 0;
}

/* The server goes while it waits: what became of the script is not known. */
static void test_lost(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    call(&f, "write", 1, 100000);
    loop_until(&f.loop, has_run, &f);
    assert_int_equal(f.answers, 0);
    server_kill(&f.master);
    loop_until(&f.loop, is_answered, &f);
    assert_int_equal(f.status, ST_LOST);
    server_launch(&f.master, NULL);
    loop_until(&f.loop, is_ready, &f);
    call(&f, "write", 1, 100000);
    teardown(&f);
    assert_int_equal(f.answers, 1);
    assert_int_equal(f.status, ST_STOPPED);
}

/* ---- Calls that are kept (store.c) ---------------------------------------------------------- */

static void on_store(void *arg, bool ready)
{
    (void)arg;
    (void)ready;
}

static bool is_store_ready(void *arg)
{
    return store_ready(arg);
}

static struct store *open_store(struct fixture *f, unsigned replicas, uint64_t timeout_ms)
{
    const struct store_options options = {.redis = f->options,
                                          .confirm = {replicas, timeout_ms},
                                          .key_prefix = "tl",
                                          .incarnation = "0123456789abcdef"};
    struct store *store = store_new(f->loop.reactor, &options, on_store, f);
    assert_non_null(store);
    loop_until(&f->loop, is_store_ready, store);
    return store;
}

/* Any script will do: WAIT does not ask who wrote. */
static void call_kept(struct fixture *f, struct store *store)
{
    struct store_key text[2];
    const struct slice keys[] = {store_key(store, &text[0], "journal", "x"),
                                 store_key(store, &text[1], "progress", "x")};
    const struct slice args[] = {SLICE("batch")};
    f->answers = 0;
    assert_int_equal(store_call_kept(store, store_script(store, "progress"), keys, 2, args, 1,
                                     on_answer_of_any, f),
                     ST_OK);
}

/* It is answered when the replica has what was written before, and not before that. */
static void test_kept(void **state)
{
    (void)state;
    struct fixture f;
    const struct slice incr[] = {SLICE("INCR"), SLICE("other")};
    setup(&f);
    start_replica(&f);
    struct store *store = open_store(&f, 1, 100000);
    wait_until_level(&f);
    kill(f.replica.pid, SIGSTOP);
    send_words(&f, incr, 2);
    call_kept(&f, store);
    assert_false(loop_until_within(&f.loop, is_answered, &f, 100));
    call_kept(&f, store); /* a second one, while the first is being asked about */
    assert_false(loop_until_within(&f.loop, is_answered, &f, 100));
    assert_int_equal(store_pending(store), 2);
    kill(f.replica.pid, SIGCONT);
    loop_until(&f.loop, is_answered_twice, &f);
    assert_int_equal(f.status, ST_OK);
    assert_int_equal(store_pending(store), 0);
    store_free(store);
    teardown(&f);
}

/* Without a replica it is answered after a while; without the wish nobody is asked. */
static void test_kept_without_replica(void **state)
{
    (void)state;
    for (unsigned replicas = 0; replicas < 2; replicas++) {
        struct fixture f;
        setup(&f);
        struct store *store = open_store(&f, replicas, 50);
        call_kept(&f, store);
        loop_until(&f.loop, is_answered, &f);
        assert_int_equal(f.status, ST_OK);
        assert_int_equal(store_batch_stats(store)->commands, 2 * replicas);
        store_free(store);
        teardown(&f);
    }
}

static bool is_held(void *arg)
{
    return store_work_stats(arg)->replies > 0;
}

/* The server goes while the answer is held: the call is made again at the next one. */
static void test_kept_and_lost(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct store *store = open_store(&f, 1, 300);
    call_kept(&f, store);
    loop_until(&f.loop, is_held, store);
    server_kill(&f.master);
    assert_false(loop_until_within(&f.loop, is_answered, &f, 50));
    server_launch(&f.master, NULL);
    loop_until(&f.loop, is_answered, &f);
    assert_int_equal(f.status, ST_OK);
    assert_int_equal(store_work_stats(store)->replies, 2);
    call_kept(&f, store);
    assert_false(loop_until_within(&f.loop, is_answered, &f, 50));
    store_free(store); /* held: stopped */
    assert_int_equal(f.answers, 1);
    assert_int_equal(f.status, ST_STOPPED);
    teardown(&f);
}

static void replicate(struct fixture *f, const char *host, const char *port)
{
    const struct slice words[] = {SLICE("REPLICAOF"), slice_str(host), slice_str(port)};
    send_words(f, words, 3);
    assert_int_equal(f->answers, 1);
    f->answers = 0;
}

/* The master is demoted while it is asked: it says so, and that confirms nothing. The call is made
 * again until a master has taken it. */
static void test_kept_and_demoted(void **state)
{
    (void)state;
    struct fixture f;
    char nobody[8];
    setup(&f);
    struct store *store = open_store(&f, 1, 1000);
    call_kept(&f, store);
    loop_until(&f.loop, is_held, store);
    assert_int_equal(f.answers, 0);
    snprintf(nobody, sizeof(nobody), "%u", free_port());
    replicate(&f, "127.0.0.1", nobody);
    assert_false(loop_until_within(&f.loop, is_answered, &f, 500));
    replicate(&f, "NO", "ONE");
    loop_until(&f.loop, is_answered, &f);
    assert_int_equal(f.status, ST_OK);
    assert_true(store_work_stats(store)->replies >= 2);
    assert_int_equal(store_pending(store), 0);
    store_free(store);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_wanted),
        cmocka_unit_test(test_no_replica),
        cmocka_unit_test(test_replica),
        cmocka_unit_test(test_covers_what_was_read),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_forgotten_script),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_kept_without_replica),
        cmocka_unit_test(test_kept_and_lost),
        cmocka_unit_test(test_kept_and_demoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
