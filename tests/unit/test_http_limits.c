/* test_http_limits.c - the HTTP server against clients that are slow, greedy, gone or too many. */
#include "http_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: h\r\n"

static struct fixture f;

static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* Sends a byte a turn until the server answers: a deadline that each byte renewed would never come.
 */
static bool drips(void *arg)
{
    struct expectation *e = arg;
    (void)send(e->c->fd, "a", 1, MSG_NOSIGNAL);
    return heard_end(arg);
}

static void drip_until_end(struct client *c)
{
    struct expectation e = {&f, c, NULL, 0};
    assert_true(turn_until(&f, drips, &e, PATIENCE_MS));
    assert_int_equal(c->error, 0);
    assert_int_equal(count_of(c, "HTTP/1.1 408 Request Timeout"), 1);
    assert_int_equal(count_of(c, "\"code\":\"request_timeout\""), 1);
    hang_up(c);
}

/* Headers that trickle in are cut off after the header timeout, whatever comes; so are bodies. */
static void test_slow_requests(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    options.header_timeout_ms = 60;
    options.body_timeout_ms = 120;
    fixture_open(&f, options);
    uint64_t start_ms = clock_mono_ms();
    struct client c = dial(&f);
    say(&c, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    drip_until_end(&c);
    assert_in_range(clock_mono_ms() - start_ms, 60, 5000);

    start_ms = clock_mono_ms();
    c = dial(&f);
    say(&c, POST("/") "Content-Length: 1000000\r\n\r\n");
    drip_until_end(&c);
    assert_in_range(clock_mono_ms() - start_ms, 120, 5000);

    c = dial(&f); /* the second request of a connection, behind an answered one */
    say(&c, GET("/") "G");
    drip_until_end(&c);
    assert_int_equal(http_server_open_requests(f.server), 0);
}

/* A connection without a request is closed silently, before its first one and after. */
static void test_idle(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    options.idle_timeout_ms = 50;
    fixture_open(&f, options);
    struct client fresh = dial(&f), used = dial(&f);
    say(&used, GET("/"));
    expect_end(&f, &fresh);
    expect_end(&f, &used);
    assert_int_equal(fresh.in.len, 0);
    assert_int_equal(count_of(&used, "HTTP/1.1"), 1);
    hang_up(&fresh);
    hang_up(&used);
}

/* A held request has no deadline of the server's: its handler has one. */
static void test_held_is_not_timed(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    options.idle_timeout_ms = options.header_timeout_ms = 20;
    options.body_timeout_ms = options.write_timeout_ms = 20;
    fixture_open(&f, options);
    struct client c = dial(&f);
    say(&c, GET("/hold"));
    expect_held(&f, 1);
    turn_until(&f, never, NULL, 100);
    assert_int_equal(f.gone, 0);
    answer_held(&f);
    expect(&f, &c, "200 OK", 1);
    hang_up(&c);
}

/* Who does not read an answer is cut off, and nothing more is done for him. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    options.write_timeout_ms = 100;
    fixture_open(&f, options);
    struct client c = dial(&f);
    say(&c, GET("/big?20000000") GET("/"));
    expect_connections(&f, 1);
    expect_connections(&f, 0);
    assert_int_equal(f.handled, 1); /* the second was not even begun */
    hang_up(&c);
}

/* Who reads late gets all of it, and then the next answer. */
static void test_late_reader(void **state)
{
    (void)state;
    fixture_open(&f, fixture_options());
    struct client c = dial(&f);
    say(&c, GET("/big?10000000") GET("/status?204"));
    turn_until(&f, never, NULL, 50);
    assert_int_equal(http_server_open_requests(f.server), 1);
    expect(&f, &c, "HTTP/1.1 204", 1);
    assert_true(c.in.len > 10000000);
    assert_int_equal(f.handled, 2);
    hang_up(&c);
}

/* ---- Clients that go ------------------------------------------------------------------------ */

/* A client that leaves while its request is held is noticed, by end of file and by reset; the
 * answer may come later, at once from within on_gone, or to nobody. */
static void test_gone(void **state)
{
    (void)state;
    fixture_open(&f, fixture_options());
    for (int way = 0; way < 4; way++) {
        struct client c = dial(&f);
        f.gone = 0;
        f.answer_gone = way & 2;
        say(&c, POST("/hold") "Content-Length: 3\r\n\r\nabc");
        expect_held(&f, 1);
        if (way & 1)
            reset(&c);
        else
            hang_up(&c);
        expect_gone(&f, 1);
        if (!f.answer_gone) {
            assert_int_equal(http_server_open_requests(f.server), 1);
            assert_true(slice_eq(http_request_body(f.held[0]), SLICE("abc")));
            answer_held(&f);
        }
        assert_int_equal(f.held_count, 0);
        expect_connections(&f, 0);
        assert_int_equal(http_server_open_requests(f.server), 0);
    }
}

/* Sends until `most` bytes are sent or the sockets between client and server are full. */
static size_t flood(struct client *c, size_t most)
{
    static char junk[4096];
    size_t sent = 0;
    memset(junk, 'j', sizeof(junk));
    for (int quiet = 0; quiet < 20 && sent < most;) {
        ssize_t n = send(c->fd, junk, sizeof(junk), MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        quiet = n > 0 ? 0 : quiet + 1;
        if (n <= 0)
            turn_until(&f, never, NULL, 2);
    }
    return sent;
}

static void assert_not_spinning(void)
{
    uint64_t turns = reactor_stats(f.reactor)->turns;
    turn_until(&f, never, NULL, 100);
    assert_in_range(reactor_stats(f.reactor)->turns - turns, 1, 400); /* a tick a ms */
}

/* A client that sends ahead of a held request is not read for ever, does not keep the loop busy,
 * and is still missed when it goes: by reset, even if all buffers are full, or by end of file, if
 * that can arrive behind what it sent. */
static void test_flood_while_held(void **state)
{
    (void)state;
    fixture_open(&f, fixture_options());
    for (int way = 0; way < 2; way++) {
        struct client c = dial(&f);
        f.gone = 0;
        say(&c, GET("/hold"));
        expect_held(&f, 1);
        assert_in_range(flood(&c, way ? SIZE_MAX : 20000), 20000, 32 * 1024 * 1024);
        assert_not_spinning();
        if (way)
            reset(&c);
        else
            hang_up(&c);
        expect_gone(&f, 1);
        assert_not_spinning();
        answer_held(&f);
        expect_connections(&f, 0);
    }
}

/* A client that pipelines without reading its answers is not served further than it reads. */
static void test_pipelining_without_reading(void **state)
{
    (void)state;
    fixture_open(&f, fixture_options());
    struct client c = dial(&f);
    int sent = 0, handled = -1;
    while (handled != f.handled) {
        handled = f.handled;
        for (int i = 0; i < 20; i++) {
            static const char text[] = GET("/big?60000");
            sent += send(c.fd, text, sizeof(text) - 1, MSG_NOSIGNAL) == sizeof(text) - 1;
        }
        turn_until(&f, never, NULL, 20);
    }
    assert_in_range(f.handled, 1, sent - 1);
    expect(&f, &c, "HTTP/1.1 200 OK", sent); /* and goes on when it does read */
    assert_int_equal(f.handled, sent);
    hang_up(&c);
}

/* ---- Too many, too much --------------------------------------------------------------------- */

/* The newest connection beyond the maximum hears so; when one leaves there is room again. */
static void test_connections_max(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    options.connections_max = 2;
    fixture_open(&f, options);
    struct client a = dial(&f), b = dial(&f);
    expect_connections(&f, 2);
    struct client c = dial(&f);
    say(&c, GET("/"));
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 503 Service Unavailable"), 1);
    assert_int_equal(count_of(&c, "\r\nRetry-After: 1\r\n"), 1);
    assert_int_equal(count_of(&c, "\"code\":\"overloaded\""), 1);
    hang_up(&a);
    hang_up(&c);
    expect_connections(&f, 1);
    a = dial(&f);
    say(&a, GET("/"));
    expect(&f, &a, "200 OK", 1);
    say(&b, GET("/"));
    expect(&f, &b, "200 OK", 1);
    assert_int_equal(f.handled, 2);
    hang_up(&a);
    hang_up(&b);
}

/* Bodies beyond the common budget are refused: announced ones before they are sent, others when
 * they grow into it; when requests are answered the budget is back. */
static void test_buffered_bytes_max(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    options.buffered_bytes_max = 20000;
    fixture_open(&f, options);
    static char data[12000];
    memset(data, 'x', sizeof(data));
    for (int round = 0; round < 3; round++) {
        struct client held = dial(&f), announced = dial(&f), growing = dial(&f);
        say(&held, GET("/hold"));
        expect_held(&f, 1);
        say(&announced, POST("/") "Expect: 100-continue\r\nContent-Length: 17000\r\n\r\n");
        expect_end(&f, &announced);
        assert_int_equal(count_of(&announced, "503 Service"), 1);
        assert_int_equal(count_of(&announced, "100 Continue"), 0);
        say(&growing, POST("/") "Transfer-Encoding: chunked\r\n\r\nffff\r\n");
        assert_int_equal(send(growing.fd, data, sizeof(data), MSG_NOSIGNAL), sizeof(data));
        expect_end(&f, &growing);
        assert_int_equal(count_of(&growing, "503 Service"), 1);
        answer_held(&f);
        expect(&f, &held, "200 OK", 1);
        hang_up(&held);
        hang_up(&announced);
        hang_up(&growing);
        expect_connections(&f, 0);
    }
}

/* Runs in a child, whose descriptors are few. */
static void run_out_of_descriptors(void)
{
    struct client c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = dial(&f);
        say(&c[i], GET("/"));
    }
    struct rlimit limit, enough;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &enough), 0);
    limit = (struct rlimit){.rlim_cur = (rlim_t)c[2].fd + 1, .rlim_max = enough.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint64_t turns = reactor_stats(f.reactor)->turns;
    turn_until(&f, never, NULL, 300);
    assert_in_range(reactor_stats(f.reactor)->turns - turns, 1, 900); /* a tick a ms: no spin */
    for (int i = 0; i < 3; i++) { /* told at once instead of left to wait */
        hear(&c[i]);
        assert_true(c[i].eof || c[i].error);
        assert_int_equal(c[i].in.len, 0);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
    struct client late = dial(&f);
    say(&late, GET("/"));
    expect(&f, &late, "200 OK", 1);
    for (int i = 0; i < 3; i++)
        hang_up(&c[i]);
    hang_up(&late);
}

/* Without descriptors the loop does not spin, and it recovers by itself. */
static void test_descriptors_run_out(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture_open(&f, fixture_options());
        run_out_of_descriptors();
        fixture_close(&f);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- Everything at once --------------------------------------------------------------------- */

enum { CLIENTS = 20, REQUESTS = 60 };

struct mixed {
    struct client c[CLIENTS];
    struct buf out[CLIENTS];
    size_t sent[CLIENTS];
    uint32_t seed;
};

static uint32_t draw(struct mixed *m, uint32_t below)
{
    m->seed = m->seed * 1664525 + 1013904223;
    return (m->seed >> 8) % below;
}

static bool mixed_step(void *arg)
{
    struct mixed *m = arg;
    bool all = true;
    for (int i = 0; i < CLIENTS; i++) {
        size_t left = m->out[i].len - m->sent[i];
        size_t piece = draw(m, 3) == 0 ? draw(m, 20) : draw(m, 3000);
        piece = piece < left ? piece : left;
        ssize_t n = piece ? send(m->c[i].fd, m->out[i].ptr + m->sent[i], piece, MSG_NOSIGNAL) : 0;
        m->sent[i] += n > 0 ? (size_t)n : 0;
        hear(&m->c[i]);
        all = all && count_of(&m->c[i], "HTTP/1.1 200 OK") == REQUESTS;
    }
    while (f.held_count > 0 && draw(m, 3) != 0)
        answer_held(&f);
    return all;
}

/* Many connections with requests of all kinds, sent in random pieces, some held for a while: every
 * client gets every answer, in its order, with its own body. */
static void test_everything_mixed(void **state)
{
    (void)state;
    static struct mixed m;
    fixture_open(&f, fixture_options());
    for (uint32_t seed = 1; seed <= 5; seed++) {
        m.seed = seed;
        for (int i = 0; i < CLIENTS; i++) {
            m.c[i] = dial(&f);
            m.sent[i] = 0;
            buf_init(&m.out[i], 4 * 1024 * 1024);
            for (int j = 0; j < REQUESTS; j++) {
                const char *path = draw(&m, 3) == 0 ? "/hold" : "/";
                int pad = draw(&m, 4) == 0 ? (int)draw(&m, 6000) : (int)draw(&m, 10);
                if (draw(&m, 2))
                    buf_addf(&m.out[i], POST("%s") "Content-Length: %d\r\n\r\n=%03d%0*d", path,
                             5 + pad, j, pad + 1, 0);
                else
                    buf_addf(&m.out[i],
                             POST("%s") "Transfer-Encoding: chunked\r\n\r\n2\r\n=%d\r\n%x\r\n"
                                        "%02d%0*d\r\n0\r\n\r\n",
                             path, j / 100, 3 + pad, j % 100, pad + 1, 0);
            }
        }
        assert_true(turn_until(&f, mixed_step, &m, PATIENCE_MS));
        for (int i = 0; i < CLIENTS; i++) {
            char *at = m.c[i].in.ptr;
            buf_add_char(&m.c[i].in, '\0');
            for (int j = 0; j < REQUESTS; j++) {
                char body[16];
                snprintf(body, sizeof(body), "=%03d", j);
                at = strchr(at, '=');
                assert_non_null(at);
                assert_memory_equal(at, body, 4);
                at++;
            }
            hang_up(&m.c[i]);
            buf_free(&m.out[i]);
        }
        expect_connections(&f, 0);
        assert_int_equal(http_server_open_requests(f.server), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_slow_requests, teardown),
        cmocka_unit_test_teardown(test_idle, teardown),
        cmocka_unit_test_teardown(test_held_is_not_timed, teardown),
        cmocka_unit_test_teardown(test_slow_reader, teardown),
        cmocka_unit_test_teardown(test_late_reader, teardown),
        cmocka_unit_test_teardown(test_gone, teardown),
        cmocka_unit_test_teardown(test_flood_while_held, teardown),
        cmocka_unit_test_teardown(test_pipelining_without_reading, teardown),
        cmocka_unit_test_teardown(test_connections_max, teardown),
        cmocka_unit_test_teardown(test_buffered_bytes_max, teardown),
        cmocka_unit_test(test_descriptors_run_out),
        cmocka_unit_test_teardown(test_everything_mixed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
