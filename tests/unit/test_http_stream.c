/* test_http_stream.c - bodies that come in pieces: order, back-pressure, and every way to end.
 *
 * The function under test's hands, take(), collects what it consumes: whole lines, and the rest at
 * the end; or as the query of the request says.
 */
#include "http_fixture.h"

#define POST_STREAM "POST /stream HTTP/1.1\r\nHost: h\r\n"

enum { WINDOW = 64 * 1024, BODY_MAX = 16 * 1024 * 1024 };

static struct fixture f;
static struct {
    struct buf got;
    int calls;
    enum http_stream_end end;
    int fault;                    /* its status */
    struct http_request *request; /* NULL: none, or answered */
    size_t at_a_time;             /* bytes, and then another turn; 0: whole lines */
    bool pause, paused;           /* after each call */
    bool mid;                     /* answers at the first byte */
    bool hold;                    /* at the end it only remembers the request */
    int gone;
    size_t window_max; /* that was seen */
} s;

static bool streams(const struct http_request *request)
{
    return slice_eq(http_request_path(request), SLICE("/stream"));
}

static void answer(struct http_request *request, int status)
{
    s.request = NULL;
    http_reply_json(request, status, buf_slice(&s.got));
}

static size_t usable(struct slice window, enum http_stream_end end)
{
    if (s.at_a_time > 0)
        return window.len < s.at_a_time ? window.len : s.at_a_time;
    if (end != HTTP_STREAM_COMING || window.len == WINDOW)
        return window.len;
    const char *last = memrchr(window.ptr, '\n', window.len);
    return last ? (size_t)(last - window.ptr) + 1 : 0;
}

static enum http_stream_next take(void *user, struct http_request *request)
{
    assert_ptr_equal(user, &s);
    struct slice window = http_request_body(request);
    s.calls++;
    s.end = http_request_body_end(request);
    if (window.len > s.window_max)
        s.window_max = window.len;
    size_t len = usable(window, s.end);
    buf_add(&s.got, window.ptr, len);
    http_request_consume(request, len);
    assert_true(slice_eq(http_request_header(request, SLICE("Host")), SLICE("h")));
    if (s.mid && len > 0) {
        answer(request, 200);
        return HTTP_STREAM_MORE;
    }
    if (s.pause && !s.paused) {
        s.paused = true;
        return HTTP_STREAM_PAUSE;
    }
    if (len < window.len && s.at_a_time > 0)
        return HTTP_STREAM_TURN;
    if (s.end == HTTP_STREAM_BROKEN)
        s.fault = http_request_body_fault(request)->status;
    if (s.end != HTTP_STREAM_COMING && !s.hold)
        answer(request, s.end == HTTP_STREAM_BROKEN ? s.fault : 200);
    return HTTP_STREAM_MORE;
}

static void on_gone(void *user, struct http_request *request)
{
    (void)user;
    (void)request;
    s.gone++;
}

static void on_stream(void *arg, struct http_request *request)
{
    (void)arg;
    assert_int_equal(http_request_body(request).len, 0);
    struct slice query = http_request_query(request);
    if (slice_eq(query, SLICE("early"))) {
        http_reply_json(request, 403, SLICE("early"));
        return;
    }
    s.request = request;
    http_request_set_user(request, &s, on_gone);
    if (!http_request_take_body(request, BODY_MAX, WINDOW, take))
        s.request = NULL;
}

static struct http_server_options stream_options(void)
{
    struct http_server_options options = fixture_options();
    options.body_bytes_max = 1000; /* of other requests: no rule for these */
    options.streams = streams;
    return options;
}

static void open_with(struct http_server_options options)
{
    memset(&s, 0, sizeof(s));
    buf_init(&s.got, 64 * 1024 * 1024);
    fixture_open(&f, options);
    f.on_stream = on_stream;
}

static int setup(void **state)
{
    (void)state;
    open_with(stream_options());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    buf_free(&s.got);
    return 0;
}

/* Opens it anew. */
static void reopen(struct http_server_options options)
{
    teardown(NULL);
    open_with(options);
}

static bool unread(void *arg)
{
    (void)arg;
    return s.calls > 0 && s.paused;
}

static bool has_called(void *arg)
{
    return s.calls >= *(int *)arg;
}

static void expect_calls(int calls)
{
    assert_true(turn_until(&f, has_called, &calls, PATIENCE_MS));
}

/* The same answers however the bytes of three requests on one connection are cut, and what is
 * behind the end of a body is the next request. */
static void test_cuts(void **state)
{
    (void)state;
    static const char text[] =
        POST_STREAM "Content-Length: 11\r\n\r\none\ntwo\nthr"
                    "GET /status?203 HTTP/1.1\r\nHost: h\r\n\r\n" POST_STREAM "Transfer-Encoding: "
                    "chunked\r\n\r\n4;x=y\r\nfour\r\n1\r\n\n\r\n4\r\nfive\r\n0\r\nT: t\r\n\r\n"
                    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\necho";
    for (size_t step = 1; step < sizeof(text); step += step < 40 ? 1 : 37) {
        struct client c = dial(&f);
        for (size_t at = 0; at < sizeof(text) - 1; at += step) {
            size_t len = sizeof(text) - 1 - at < step ? sizeof(text) - 1 - at : step;
            assert_int_equal(send(c.fd, text + at, len, 0), len);
            turn_until(&f, never, NULL, step < 4 ? 0 : 1);
        }
        expect(&f, &c, "\r\n\r\necho", 1);
        assert_int_equal(count_of(&c, "200 OK"), 3);
        assert_int_equal(count_of(&c, "HTTP/1.1 203"), 1);
        assert_int_equal(count_of(&c, "\r\n\r\none\ntwo\nthrHTTP/1.1 203"), 1);
        assert_int_equal(count_of(&c, "four\nfiveHTTP/1.1 200"), 1);
        assert_int_equal(count_of(&c, "Connection:"), 0);
        hang_up(&c);
        buf_clear(&s.got);
    }
}

/* An empty body is one, too, with a length of 0 and without any. */
static void test_empty(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST_STREAM "\r\n" POST_STREAM "Content-Length: 0\r\n\r\n" POST_STREAM
                        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect(&f, &c, "200 OK", 3);
    assert_int_equal(s.got.len, 0);
    hang_up(&c);
}

/* RFC 9110 section 10.1.1: whoever waits for 100 gets it once the body is wanted, and not when it
 * is refused or has begun already. */
static void test_expect_continue(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST_STREAM "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(&f, &c, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    say(&c, "abc");
    expect(&f, &c, "\r\n\r\nabc", 1);
    say(&c, POST_STREAM "Expect: 100-continue\r\nContent-Length: 3\r\n\r\ndef");
    expect(&f, &c, "200 OK", 2);
    say(&c, POST_STREAM "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 413"), 1);
    assert_int_equal(count_of(&c, "100 Continue"), 1);
    hang_up(&c);
}

/* Known to be too long: the function never hears of it. Found to be: it is told. */
static void test_too_long(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 16777217\r\n\r\nabc");
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 413"), 1);
    assert_int_equal(s.calls, 0);
    hang_up(&c);

    c = dial(&f);
    say(&c, POST_STREAM "Transfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\nfffffff\r\n");
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 413"), 1);
    assert_int_equal(count_of(&c, "Connection: close\r\n"), 1);
    assert_int_equal(count_of(&c, "\r\n\r\nab\n"), 1); /* what came before is in its hands */
    hang_up(&c);
}

/* Malformed framing in the middle is told to the function, with what came before. */
static void test_bad_chunk(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST_STREAM "Transfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\nZ\r\n");
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 400"), 1);
    assert_int_equal(count_of(&c, "\r\n\r\nab\n"), 1);
    hang_up(&c);
}

/* Sends as much of `body` as the socket takes. */
static void pour(struct client *c, struct slice *body)
{
    while (body->len > 0) {
        ssize_t n = send(c->fd, body->ptr, body->len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        *body = slice_from(*body, (size_t)n);
    }
}

struct pouring {
    struct client *c;
    struct slice *body;
};

static bool all_poured(void *arg)
{
    struct pouring *p = arg;
    pour(p->c, p->body);
    return p->body->len == 0;
}

/* Paused, no more is read than the window has room for, and no more memory is taken; resumed, all
 * of it arrives. */
static void test_back_pressure(void **state)
{
    (void)state;
    enum { BYTES = 12 * 1024 * 1024 };
    s.pause = true;
    struct client c = dial(&f);
    char *text = malloc(BYTES);
    assert_non_null(text);
    for (size_t i = 0; i < BYTES; i++)
        text[i] = i % 100 == 99 ? '\n' : (char)('a' + i % 23);
    say(&c, POST_STREAM "Content-Length: 12582912\r\n\r\n");
    struct slice rest = slice_of(text, BYTES);
    pour(&c, &rest);
    assert_true(turn_until(&f, unread, NULL, PATIENCE_MS));
    struct pouring pouring = {&c, &rest};
    assert_false(turn_until(&f, all_poured, &pouring, 100)); /* nobody reads it */
    assert_true(rest.len > 1024 * 1024);
    assert_int_equal(s.calls, 1);
    assert_true(http_server_stats(f.server)->buffered_bytes <= WINDOW + 32 * 1024);
    s.pause = false;
    http_request_resume(s.request);
    http_request_resume(s.request); /* twice is once */
    assert_true(turn_until(&f, all_poured, &pouring, PATIENCE_MS));
    expect(&f, &c, "200 OK", 1);
    assert_true(slice_eq(buf_slice(&s.got), slice_of(text, BYTES)));
    assert_true(s.window_max <= WINDOW);
    assert_true(http_server_stats(f.server)->buffered_bytes <= WINDOW + 32 * 1024);
    free(text);
    hang_up(&c);
}

/* Between two turns of one body others are served, and each turn follows by itself. */
static void test_turns(void **state)
{
    (void)state;
    s.at_a_time = 2;
    struct client c = dial(&f), other = dial(&f);
    say(&c, POST_STREAM "Content-Length: 20\r\n\r\n01234567890123456789");
    expect_calls(2);
    assert_true(s.got.len < 20);
    say(&other, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&f, &other, "200 OK", 1);
    expect(&f, &c, "\r\n\r\n01234567890123456789", 1);
    assert_int_equal(s.calls, 10);
    hang_up(&c);
    hang_up(&other);
}

/* A client that has shut its side in the middle still gets an answer; the end of its side behind
 * the body is no fault. */
static void test_half_closed(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 20\r\n\r\nab\ncd");
    expect_calls(1);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 400"), 1);
    assert_int_equal(count_of(&c, "\r\n\r\nab\ncd"), 1);
    hang_up(&c);

    c = dial(&f); /* the end of file was seen while an earlier request was held */
    say(&c, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n" POST_STREAM "Content-Length: 20\r\n\r\nef");
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    expect_gone(&f, 1);
    answer_held(&f);
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 400"), 1);
    hang_up(&c);

    c = dial(&f);
    buf_clear(&s.got);
    say(&c, POST_STREAM "Content-Length: 2\r\n\r\ngh");
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "\r\n\r\ngh"), 1);
    hang_up(&c);
}

static bool is_gone(void *arg)
{
    (void)arg;
    return s.gone > 0;
}

/* Broken in the middle: told once; the answer is owed and goes nowhere. */
static void test_gone(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 20\r\n\r\nab\ncd");
    expect_calls(1);
    reset(&c);
    assert_true(turn_until(&f, is_gone, NULL, PATIENCE_MS));
    assert_int_equal(http_server_open_requests(f.server), 1);
    http_request_resume(s.request); /* means nothing any more */
    assert_int_equal(http_request_body(s.request).len, 2);
    answer(s.request, 200);
    assert_int_equal(s.gone, 1);
    assert_int_equal(http_server_open_requests(f.server), 0);
    assert_int_equal(http_server_stats(f.server)->buffered_bytes, 0);
}

/* The server is freed while a body comes. */
static void test_server_ends(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 20\r\n\r\nab\ncd");
    expect_calls(1);
    http_server_free(f.server);
    f.server = NULL;
    assert_int_equal(s.gone, 1);
    answer(s.request, 200);
    hang_up(&c);
}

/* Answered before the body ended: the last answer of the connection, which ends in order although
 * the client goes on sending. Whole bodies that are here already cost no connection. */
static void test_answered_early(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, "POST /stream?early HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc");
    expect(&f, &c, "HTTP/1.1 403", 1);
    say(&c, "more of it");
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "Connection: close\r\n"), 1);
    hang_up(&c);

    s.mid = true;
    c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 100000\r\n\r\n");
    say(&c, "a\n");
    expect(&f, &c, "\r\n\r\na\n", 1);
    say(&c, "more of it");
    expect_end(&f, &c);
    hang_up(&c);

    c = dial(&f);
    say(&c, "POST /stream?early HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
            "POST /stream?early HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&f, &c, "HTTP/1.1 403", 2);
    assert_int_equal(count_of(&c, "Connection: close\r\n"), 0);
    hang_up(&c);
}

/* Answered later than its end, like any held request, with another one waiting behind it. */
static void test_held(void **state)
{
    (void)state;
    s.hold = true;
    struct client c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_calls(1);
    assert_int_equal(s.end, HTTP_STREAM_COMPLETE);
    turn_until(&f, never, NULL, 20);
    assert_int_equal(s.calls, 1);
    assert_int_equal(c.in.len, 0);
    answer(s.request, 200);
    expect(&f, &c, "200 OK", 2);
    hang_up(&c);
}

/* A body that stands still is broken in time, but the time in which nobody wants to read it does
 * not count. */
static void test_deadline(void **state)
{
    (void)state;
    struct http_server_options options = stream_options();
    options.body_timeout_ms = 60;
    reopen(options);
    struct client c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 20\r\n\r\nab\n");
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 408"), 1);
    assert_int_equal(count_of(&c, "\r\n\r\nab\n"), 1);
    hang_up(&c);

    buf_clear(&s.got);
    s.pause = true;
    c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 6\r\n\r\ncd\n");
    assert_true(turn_until(&f, unread, NULL, PATIENCE_MS));
    turn_until(&f, never, NULL, 200);
    s.pause = false;
    say(&c, "ef\n");
    http_request_resume(s.request);
    expect(&f, &c, "\r\n\r\ncd\nef\n", 1);
    hang_up(&c);
}

struct drip {
    struct client *c;
    uint64_t next_ms;
    size_t left;
};

static bool drips(void *arg)
{
    static char line[16 * 1024];
    struct drip *drip = arg;
    if (clock_mono_ms() >= drip->next_ms && drip->left > 0) {
        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 1] = '\n';
        assert_int_equal(send(drip->c->fd, line, sizeof(line), 0), sizeof(line));
        drip->next_ms = clock_mono_ms() + 10;
        drip->left -= sizeof(line);
    }
    return drip->left == 0;
}

/* A long body that makes progress is not timed as a whole: here three times its deadline. */
static void test_progress(void **state)
{
    (void)state;
    struct http_server_options options = stream_options();
    options.body_timeout_ms = 200;
    reopen(options);
    struct client c = dial(&f);
    say(&c, POST_STREAM "Content-Length: 1048576\r\n\r\n");
    uint64_t began_ms = clock_mono_ms();
    struct drip drip = {&c, 0, 1048576};
    assert_true(turn_until(&f, drips, &drip, PATIENCE_MS));
    expect(&f, &c, "200 OK", 1);
    assert_true(clock_mono_ms() - began_ms > 600);
    hang_up(&c);
}

/* Memory for requests is used up in the middle: the function is told. */
static void test_no_memory(void **state)
{
    (void)state;
    struct http_server_options options = stream_options();
    options.buffered_bytes_max = 8 * 1024;
    reopen(options);
    struct client c = dial(&f);
    char text[5001];
    memset(text, 'x', 5000);
    text[5000] = '\0';
    say(&c, POST_STREAM "Content-Length: 50000\r\n\r\n");
    for (int i = 0; i < 4; i++)
        say(&c, text);
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "HTTP/1.1 503"), 1);
    hang_up(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cuts),        TEST(test_empty),          TEST(test_expect_continue),
        TEST(test_too_long),    TEST(test_bad_chunk),      TEST(test_back_pressure),
        TEST(test_turns),       TEST(test_half_closed),    TEST(test_gone),
        TEST(test_server_ends), TEST(test_answered_early), TEST(test_held),
        TEST(test_deadline),    TEST(test_progress),       TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
