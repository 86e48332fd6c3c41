/* test_redis_master.c - a connection that asks a Sentinel where to go, and real servers to go to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_sentinel.h"
#include "net/redis_conn.h"
#include "redis_fixture.h"

struct place {
    struct server server;
    uint16_t port;
    char answer[64]; /* of a Sentinel that thinks it is the master */
};

struct fixture {
    struct loop loop;
    struct fake_sentinel fakes[2];
    struct redis_options options;
    struct redis_conn *conn;
    int ready, not_ready;
    char port[8]; /* of the server that answers */
};

static void place_name(struct place *place, uint16_t port)
{
    char text[8];
    int len = snprintf(text, sizeof(text), "%u", port);
    place->port = port;
    snprintf(place->answer, sizeof(place->answer), "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", len,
             text);
}

static void place_start(struct place *place, uint16_t master)
{
    char port[8], of[16];
    place_name(place, free_port());
    snprintf(port, sizeof(port), "%u", place->port);
    snprintf(of, sizeof(of), "%u", master);
    server_start(&place->server,
                 (const char *const[]){"--port", port, master ? "--replicaof" : NULL, "127.0.0.1",
                                       of, NULL});
}

static void on_state(void *arg, bool ready)
{
    struct fixture *f = arg;
    f->ready += ready;
    f->not_ready += !ready;
}

static void setup(struct fixture *f, const char *first, const char *second)
{
    const char *const replies[] = {first, second};
    *f = (struct fixture){.options = {.sentinel_count = 2, .master_name = "mymaster"}};
    loop_start(&f->loop);
    for (size_t i = 0; i < 2; i++) {
        fake_start(&f->fakes[i], f->loop.reactor);
        f->fakes[i].reply = replies[i];
        f->options.sentinels[i] = (struct redis_host){"127.0.0.1", f->fakes[i].port};
    }
    f->conn = redis_conn_new(f->loop.reactor, &f->options, on_state, f);
    assert_non_null(f->conn);
}

static void teardown(struct fixture *f)
{
    redis_conn_free(f->conn);
    for (size_t i = 0; i < 2; i++)
        fake_end(&f->fakes[i]);
    loop_end(&f->loop);
}

static bool is_ready(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_ready(f->conn);
}

static bool was_lost(void *arg)
{
    const struct fixture *f = arg;
    return f->not_ready > 0;
}

static bool is_told(void *arg)
{
    const struct fixture *f = arg;
    return f->port[0] != '\0';
}

static void on_port(void *arg, enum status status, const struct redis_value *reply)
{
    struct fixture *f = arg;
    assert_int_equal(status, ST_OK);
    snprintf(f->port, sizeof(f->port), "%.*s",
             SLICE_ARGS(redis_value_text(redis_value_at(reply, 1))));
}

/* The port of the server that the connection talks to. */
static int where(struct fixture *f)
{
    const struct slice words[] = {SLICE("CONFIG"), SLICE("GET"), SLICE("port")};
    f->port[0] = '\0';
    assert_int_equal(redis_command(f->conn, words, 3, on_port, f), ST_OK);
    loop_until(&f->loop, is_told, f);
    return atoi(f->port);
}

/* It goes where the Sentinel says, stays while that is so, and leaves when it says otherwise, even
 * though the old server answers as before. */
static void test_follows(void **state)
{
    (void)state;
    struct fixture f;
    struct place a, b;
    place_start(&a, 0);
    place_start(&b, 0);
    setup(&f, a.answer, "");
    loop_until(&f.loop, is_ready, &f);
    assert_int_equal(where(&f), a.port);
    assert_false(loop_until_within(&f.loop, was_lost, &f, 2500));
    assert_true(f.fakes[0].asked >= 2);
    f.fakes[0].reply = b.answer;
    loop_until(&f.loop, was_lost, &f);
    loop_until(&f.loop, is_ready, &f);
    assert_int_equal(where(&f), b.port);
    assert_int_equal(f.ready, 2);
    teardown(&f);
    server_end(&a.server);
    server_end(&b.server);
}

/* While no Sentinel answers, what works goes on. */
static void test_sentinels_away(void **state)
{
    (void)state;
    struct fixture f;
    struct place a;
    place_start(&a, 0);
    setup(&f, a.answer, "");
    loop_until(&f.loop, is_ready, &f);
    f.fakes[0].reply = "";
    assert_false(loop_until_within(&f.loop, was_lost, &f, 5000));
    assert_true(f.fakes[0].asked >= 3);
    teardown(&f);
    server_end(&a.server);
}

/* A Sentinel that names a replica, or a server that is gone, is not believed again and again. */
static void test_stale_sentinel(void **state)
{
    (void)state;
    struct place a, b, gone;
    place_start(&a, 0);
    place_start(&b, a.port);
    place_name(&gone, free_port());
    const char *const stale[] = {b.answer, gone.answer};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        setup(&f, stale[i], a.answer);
        loop_until(&f.loop, is_ready, &f);
        assert_int_equal(where(&f), a.port);
        assert_int_equal(f.fakes[0].asked, 1);
        teardown(&f);
    }
    server_end(&b.server);
    server_end(&a.server);
}

/* Both name a dead master: it is tried again with pauses, and works when it is back. */
static void test_dead_master(void **state)
{
    (void)state;
    struct fixture f;
    struct place a;
    place_start(&a, 0);
    server_kill(&a.server);
    setup(&f, a.answer, a.answer);
    assert_false(loop_until_within(&f.loop, is_ready, &f, 1500));
    assert_in_range(f.fakes[0].asked + f.fakes[1].asked, 2, 12);
    assert_non_null(strstr(redis_conn_error(f.conn), "cannot connect"));
    char port[8];
    snprintf(port, sizeof(port), "%u", a.port);
    assert_non_null(strstr(redis_conn_error(f.conn), port));
    server_launch(&a.server, (const char *const[]){"--port", port, NULL});
    loop_until(&f.loop, is_ready, &f);
    teardown(&f);
    server_end(&a.server);
}

/* Demoted by hand while the Sentinel does not know yet: the first write says so. */
static void test_read_only(void **state)
{
    (void)state;
    struct fixture f;
    struct place a, b;
    place_start(&a, 0);
    place_start(&b, 0);
    setup(&f, a.answer, b.answer);
    loop_until(&f.loop, is_ready, &f);
    char port[8];
    snprintf(port, sizeof(port), "%u", b.port);
    const struct slice demote[] = {SLICE("REPLICAOF"), SLICE("127.0.0.1"), slice_str(port)};
    const struct slice set[] = {SLICE("SET"), SLICE("key"), SLICE("value")};
    assert_int_equal(redis_command(f.conn, demote, 3, on_port, &f), ST_OK);
    assert_int_equal(redis_command(f.conn, set, 3, on_port, &f), ST_OK);
    loop_until(&f.loop, was_lost, &f);
    loop_until(&f.loop, is_ready, &f);
    assert_int_equal(where(&f), b.port);
    teardown(&f);
    server_end(&a.server);
    server_end(&b.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows),        cmocka_unit_test(test_sentinels_away),
        cmocka_unit_test(test_stale_sentinel), cmocka_unit_test(test_dead_master),
        cmocka_unit_test(test_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
