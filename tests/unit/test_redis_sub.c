/* test_redis_sub.c - the subscription against a real redis-server: what is published while it says
 * that it is subscribed arrives, and it always comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/redis_sub.h"
#include "redis_fixture.h"

struct fixture {
    struct loop loop;
    struct server server;
    struct redis_options options;
    struct redis_conn *other; /* that publishes */
    struct redis_sub *sub;
    int subscribed, lost; /* times it said so */
    int messages;
    bool counting; /* messages are their own numbers */
    bool free_at_message, free_at_state;
    char channel[32], text[64]; /* of the last message */
};

static void on_message(void *arg, struct slice channel, struct slice text)
{
    struct fixture *f = arg;
    f->messages++;
    snprintf(f->channel, sizeof(f->channel), "%.*s", SLICE_ARGS(channel));
    snprintf(f->text, sizeof(f->text), "%.*s", SLICE_ARGS(text));
    if (f->counting)
        assert_int_equal(atoi(f->text), f->messages);
    if (f->free_at_message) {
        redis_sub_free(f->sub);
        f->sub = NULL;
    }
}

static void on_state(void *arg, bool subscribed)
{
    struct fixture *f = arg;
    if (subscribed)
        f->subscribed++;
    else
        f->lost++;
    assert_int_equal(redis_sub_subscribed(f->sub), subscribed);
    if (f->free_at_state) {
        redis_sub_free(f->sub);
        f->sub = NULL;
    }
}

static void on_reply(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

static bool all_ready(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_ready(f->other) && redis_sub_subscribed(f->sub);
}

static bool other_ready(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_ready(f->other);
}

static bool is_idle(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_in_flight(f->other) == 0;
}

static bool has_lost(void *arg)
{
    const struct fixture *f = arg;
    return f->lost > 0;
}

static bool has_message(void *arg)
{
    const struct fixture *f = arg;
    return f->messages > 0;
}

static void open_sub(struct fixture *f)
{
    const struct slice channels[] = {SLICE("mine"), SLICE("all")};
    f->sub = redis_sub_new(f->loop.reactor, &f->options, channels, 2, on_message, on_state, f);
    assert_non_null(f->sub);
}

static void setup(struct fixture *f, const char *const *server_args)
{
    *f = (struct fixture){0};
    loop_start(&f->loop);
    server_start(&f->server, server_args);
    f->options = (struct redis_options){.unix_path = f->server.socket};
}

static void setup_ready(struct fixture *f)
{
    setup(f, NULL);
    f->other = redis_conn_new(f->loop.reactor, &f->options, NULL, NULL);
    assert_non_null(f->other);
    open_sub(f);
    loop_until(&f->loop, all_ready, f);
    assert_int_equal(f->subscribed, 1);
}

static void teardown(struct fixture *f)
{
    redis_sub_free(f->sub);
    redis_conn_free(f->other);
    loop_end(&f->loop);
    server_end(&f->server);
}

static void command(struct fixture *f, const char *a, const char *b, const char *c, const char *d)
{
    const struct slice words[] = {slice_str(a), slice_str(b), slice_str(c), slice_str(d)};
    size_t count = 1 + (b != NULL) + (c != NULL) + (d != NULL);
    assert_int_equal(redis_command(f->other, words, count, on_reply, f), ST_OK);
}

static void expect_message(struct fixture *f, const char *channel, const char *text)
{
    f->messages = 0;
    command(f, "PUBLISH", channel, text, NULL);
    loop_until(&f->loop, has_message, f);
    assert_int_equal(f->messages, 1);
    assert_string_equal(f->channel, channel);
    assert_string_equal(f->text, text);
}

/* Messages of both channels arrive, whatever is in them; those of others do not. */
static void test_messages(void **state)
{
    (void)state;
    struct fixture f;
    setup_ready(&f);
    expect_message(&f, "mine", "one");
    expect_message(&f, "all", "");
    expect_message(&f, "all", "message");
    command(&f, "PUBLISH", "others", "two", NULL);
    expect_message(&f, "mine", "three");
    teardown(&f);
    assert_int_equal(f.lost, 0);
}

static bool has_thousand(void *arg)
{
    const struct fixture *f = arg;
    return f->messages == 1000;
}

/* A thousand at once arrive, in order. */
static void test_many(void **state)
{
    (void)state;
    struct fixture f;
    setup_ready(&f);
    f.counting = true;
    for (int i = 1; i <= 1000; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        command(&f, "PUBLISH", i % 2 ? "all" : "mine", text, NULL);
    }
    loop_until(&f.loop, has_thousand, &f);
    f.counting = false;
    expect_message(&f, "mine", "end");
    teardown(&f);
}

/* Cut by the server: it says so, subscribes anew, and says that. */
static void test_cut(void **state)
{
    (void)state;
    struct fixture f;
    setup_ready(&f);
    command(&f, "CLIENT", "KILL", "TYPE", "pubsub");
    loop_until(&f.loop, has_lost, &f);
    loop_until(&f.loop, all_ready, &f);
    assert_int_equal(f.subscribed, 2);
    expect_message(&f, "mine", "again");
    teardown(&f);
    assert_int_equal(f.lost, 1);
}

/* The same by ourselves; and it is the connection that is made anew, not only the subscription. */
static void test_renew(void **state)
{
    (void)state;
    struct fixture f;
    setup_ready(&f);
    redis_sub_renew(f.sub);
    assert_int_equal(f.lost, 1);
    redis_sub_renew(f.sub); /* there is none now */
    assert_int_equal(f.lost, 1);
    loop_until(&f.loop, all_ready, &f);
    expect_message(&f, "mine", "again");
    teardown(&f);
}

/* Another server in place of the first one, which has none of its state. */
static void test_new_server(void **state)
{
    (void)state;
    struct fixture f;
    setup_ready(&f);
    server_kill(&f.server);
    loop_until(&f.loop, has_lost, &f);
    server_launch(&f.server, NULL);
    loop_until(&f.loop, all_ready, &f);
    expect_message(&f, "all", "again");
    teardown(&f);
}

/* Silence of a peer that is gone is told from silence of one that has nothing to say. */
static void test_dead_peer(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, NULL);
    f.options.idle_ping_ms = 50;
    f.options.command_timeout_ms = 200;
    f.options.connect_timeout_ms = 1000;
    f.other = redis_conn_new(f.loop.reactor, &f.options, NULL, NULL);
    open_sub(&f);
    loop_until(&f.loop, all_ready, &f);
    assert_false(loop_until_within(&f.loop, has_lost, &f, 300));
    kill(f.server.pid, SIGSTOP);
    loop_until(&f.loop, has_lost, &f);
    kill(f.server.pid, SIGCONT);
    loop_until(&f.loop, all_ready, &f);
    expect_message(&f, "mine", "again");
    teardown(&f);
}

/* It logs in like the others; without the right to a channel it asks until it has it. */
static void test_rights(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, (const char *const[]){"--requirepass", "secret", NULL});
    f.options.password = "secret";
    f.other = redis_conn_new(f.loop.reactor, &f.options, NULL, NULL);
    assert_non_null(f.other);
    loop_until(&f.loop, other_ready, &f);
    const struct slice user[] = {SLICE("ACL"),  SLICE("SETUSER"), SLICE("some"), SLICE("on"),
                                 SLICE(">any"), SLICE("+@all"),   SLICE("~*"),   SLICE("&mine")};
    assert_int_equal(redis_command(f.other, user, 8, on_reply, &f), ST_OK);
    loop_until(&f.loop, is_idle, &f);
    f.options.username = "some";
    f.options.password = "any";
    open_sub(&f);
    assert_false(loop_until_within(&f.loop, all_ready, &f, 500));
    assert_int_equal(f.subscribed, 0);
    command(&f, "ACL", "SETUSER", "some", "&all");
    loop_until(&f.loop, all_ready, &f);
    expect_message(&f, "all", "at last");
    teardown(&f);
}

static bool is_freed(void *arg)
{
    const struct fixture *f = arg;
    return !f->sub;
}

/* Freed from its own functions, and before it ever connected. */
static void test_free_anywhere(void **state)
{
    (void)state;
    struct fixture f;
    setup_ready(&f);
    f.free_at_message = true;
    command(&f, "PUBLISH", "all", "one", NULL);
    command(&f, "PUBLISH", "all", "two", NULL);
    loop_until(&f.loop, is_freed, &f);
    loop_until(&f.loop, is_idle, &f);
    assert_int_equal(f.messages, 1);
    f.free_at_message = false;
    f.free_at_state = true;
    open_sub(&f);
    loop_until(&f.loop, is_freed, &f);
    assert_int_equal(f.subscribed, 2);
    open_sub(&f);
    teardown(&f);
    redis_sub_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),   cmocka_unit_test(test_many),
        cmocka_unit_test(test_cut),        cmocka_unit_test(test_renew),
        cmocka_unit_test(test_new_server), cmocka_unit_test(test_dead_peer),
        cmocka_unit_test(test_rights),     cmocka_unit_test(test_free_anywhere),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
