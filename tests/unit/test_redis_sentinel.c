/* test_redis_sentinel.c - who is asked, in which order, and what is taken for an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_sentinel.h"
#include "net/redis_sentinel.h"
#include "redis_fixture.h"

#define ADDRESS "*2\r\n$9\r\n127.0.0.7\r\n$4\r\n7000\r\n"

enum { FAKES = 3 };

struct fixture {
    struct loop loop;
    struct fake_sentinel fakes[FAKES];
    struct redis_options options;
    struct redis_sentinel *sentinel;
    int answers;
    char host[256]; /* "" when there was none */
    uint16_t port;
    char error[256];
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){.options = {.sentinel_count = FAKES, .master_name = "mymaster"}};
    loop_start(&f->loop);
    for (size_t i = 0; i < FAKES; i++) {
        fake_start(&f->fakes[i], f->loop.reactor);
        f->options.sentinels[i] = (struct redis_host){"127.0.0.1", f->fakes[i].port};
    }
    f->sentinel = redis_sentinel_new(f->loop.reactor, &f->options);
    assert_non_null(f->sentinel);
}

static void teardown(struct fixture *f)
{
    redis_sentinel_free(f->sentinel);
    for (size_t i = 0; i < FAKES; i++)
        fake_end(&f->fakes[i]);
    loop_end(&f->loop);
}

static void on_answer(void *arg, const char *host, uint16_t port, const char *error)
{
    struct fixture *f = arg;
    f->answers++;
    snprintf(f->host, sizeof(f->host), "%s", host ? host : "");
    f->port = port;
    snprintf(f->error, sizeof(f->error), "%s", error);
    assert_int_equal(host == NULL, error[0] != '\0');
}

static bool is_answered(void *arg)
{
    const struct fixture *f = arg;
    return f->answers > 0;
}

static void ask(struct fixture *f)
{
    f->answers = 0;
    assert_int_equal(redis_sentinel_ask(f->sentinel, on_answer, f), ST_OK);
    assert_int_equal(f->answers, 0);
    loop_until(&f->loop, is_answered, f);
}

/* The question as it is on the wire, and what is made of the answer. */
static void test_question(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.fakes[0].reply = ADDRESS;
    ask(&f);
    assert_string_equal(f.host, "127.0.0.7");
    assert_int_equal(f.port, 7000);
    assert_string_equal(f.fakes[0].seen,
                        "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n"
                        "$8\r\nmymaster\r\n");
    teardown(&f);
}

/* With a password AUTH goes before; a Sentinel that does not take it is not believed. */
static void test_authentication(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.options.sentinel_password = "secret";
    f.fakes[0].reply = "-WRONGPASS invalid\r\n" ADDRESS;
    f.fakes[1].reply = "+OK\r\n*2\r\n$5\r\nh.org\r\n$1\r\n9\r\n";
    ask(&f);
    assert_string_equal(f.host, "h.org");
    assert_int_equal(f.port, 9);
    assert_non_null(strstr(f.fakes[1].seen, "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*3\r\n"));
    f.options.sentinel_username = "me";
    ask(&f);
    assert_non_null(strstr(f.fakes[1].seen, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n*3"));
    f.fakes[1].reply = f.fakes[0].reply;
    ask(&f);
    assert_string_equal(f.host, "");
    teardown(&f);
}

/* Whatever is not an address is none, and the next Sentinel is asked. */
static void test_not_an_answer(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *error;
    } rows[] = {
        {"", "connection lost: closed"},
        {"*-1\r\n", "it knows no master: mymaster"},
        {"$-1\r\n", "it knows no master: mymaster"},
        {"-NOAUTH Authentication required.\r\n", "it says: NOAUTH"},
        {"+OK\r\n", "bad reply"},
        {":1\r\n", "bad reply"},
        {"*0\r\n", "bad reply"},
        {"*1\r\n$1\r\nh\r\n", "bad reply"},
        {"*3\r\n$1\r\nh\r\n$1\r\n1\r\n$1\r\n1\r\n", "bad reply"},
        {"*2\r\n$0\r\n\r\n$1\r\n1\r\n", "bad reply"},
        {"*2\r\n:1\r\n$1\r\n1\r\n", "bad reply"},
        {"*2\r\n$1\r\nh\r\n$1\r\n0\r\n", "bad reply"},
        {"*2\r\n$1\r\nh\r\n$5\r\n65536\r\n", "bad reply"},
        {"*2\r\n$1\r\nh\r\n$2\r\n-1\r\n", "bad reply"},
        {"*2\r\n$1\r\nh\r\n:80\r\n", "bad reply"},
        {"HTTP/1.1 400\r\n", "bad reply"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        setup(&f);
        f.fakes[0].reply = f.fakes[1].reply = f.fakes[2].reply = rows[i].reply;
        ask(&f);
        assert_string_equal(f.host, "");
        assert_non_null(strstr(f.error, rows[i].error));
        for (size_t fake = 0; fake < FAKES; fake++)
            assert_int_equal(f.fakes[fake].asked, 1);
        f.fakes[1].reply = ADDRESS;
        ask(&f);
        assert_string_equal(f.host, "127.0.0.7");
        teardown(&f);
    }
}

/* A host that is too long for a name. */
static void test_long_host(void **state)
{
    (void)state;
    struct fixture f;
    char reply[512];
    setup(&f);
    snprintf(reply, sizeof(reply), "*2\r\n$256\r\n%0256d\r\n$1\r\n1\r\n", 0);
    f.fakes[0].reply = reply;
    f.fakes[1].reply = ADDRESS;
    ask(&f);
    assert_string_equal(f.host, "127.0.0.7");
    teardown(&f);
}

/* Nobody there, nothing said: the third is asked, and from then on it is the first. One whose word
 * was wrong is not. */
static void test_order(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.options.sentinels[0].port = free_port();
    f.fakes[2].reply = ADDRESS;
    ask(&f);
    assert_string_equal(f.host, "127.0.0.7");
    assert_int_equal(f.fakes[1].asked, 1);
    ask(&f);
    assert_int_equal(f.fakes[1].asked, 1);
    assert_int_equal(f.fakes[2].asked, 2);
    f.fakes[1].reply = ADDRESS;
    redis_sentinel_distrust(f.sentinel);
    ask(&f);
    assert_int_equal(f.fakes[1].asked, 2);
    assert_int_equal(f.fakes[2].asked, 2);
    teardown(&f);
}

static bool is_second_asked(void *arg)
{
    const struct fixture *f = arg;
    return f->fakes[1].asked > 0;
}

/* A question that is ended, or freed, is not answered; the next one begins behind the silent one.
 */
static void test_cancel(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.fakes[0].reply = "*-1\r\n";
    assert_int_equal(redis_sentinel_ask(f.sentinel, on_answer, &f), ST_OK);
    loop_until(&f.loop, is_second_asked, &f);
    redis_sentinel_cancel(f.sentinel);
    redis_sentinel_cancel(f.sentinel);
    assert_false(loop_until_within(&f.loop, is_answered, &f, 20));
    f.fakes[2].reply = ADDRESS;
    ask(&f);
    assert_int_equal(f.fakes[0].asked, 1);
    assert_int_equal(f.fakes[1].asked, 1);
    f.answers = 0;
    assert_int_equal(redis_sentinel_ask(f.sentinel, on_answer, &f), ST_OK);
    redis_sentinel_free(f.sentinel);
    f.sentinel = NULL;
    assert_false(loop_until_within(&f.loop, is_answered, &f, 20));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question),      cmocka_unit_test(test_authentication),
        cmocka_unit_test(test_not_an_answer), cmocka_unit_test(test_long_host),
        cmocka_unit_test(test_order),         cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
