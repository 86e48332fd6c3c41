/* test_http_server.c - requests and answers over real sockets: order, framing, keep-alive, the end.
 */
#include "http_fixture.h"

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: h\r\n"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_open(&f, fixture_options());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

/* Two requests on one connection; the answer has what every answer has and nothing about closing.
 */
static void test_keep_alive(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST("/") "Content-Length: 3\r\nX-Request-Id: a.B_9-\r\n\r\nabc");
    expect(&f, &c, "\r\n\r\nabc", 1);
    assert_int_equal(count_of(&c, "HTTP/1.1 200 OK\r\nDate: "), 1);
    assert_int_equal(count_of(&c, " GMT\r\nX-Request-Id: a.B_9-\r\n"), 1);
    assert_int_equal(count_of(&c, "Content-Type: application/json\r\nContent-Length: 3\r\n\r\n"),
                     1);
    say(&c, POST("/") "Content-Length: 2\r\n\r\nde");
    expect(&f, &c, "\r\n\r\nde", 1);
    assert_int_equal(count_of(&c, "Connection:"), 0);
    assert_int_equal(http_server_connections(f.server), 1);
    assert_int_equal(http_server_open_requests(f.server), 0);
    hang_up(&c);
    expect_connections(&f, 0);
}

/* HTTP/1.0 closes, unless asked not to; 1.1 closes when asked. */
static void test_who_closes(void **state)
{
    (void)state;
    static const char *const closing[] = {"GET / HTTP/1.0\r\n\r\n",
                                          "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        struct client c = dial(&f);
        say(&c, closing[i]);
        expect_end(&f, &c);
        assert_int_equal(count_of(&c, "\r\nConnection: close\r\n"), 1);
        hang_up(&c);
    }
    struct client c = dial(&f);
    say(&c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(&f, &c, "\r\nConnection: keep-alive\r\n", 1);
    say(&c, GET("/"));
    expect(&f, &c, "200 OK", 2);
    hang_up(&c);
}

/* HEAD has the length but no body; 204 and 304 have neither. */
static void test_answers_without_body(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, "HEAD /status?200 HTTP/1.1\r\nHost: h\r\n\r\n" GET("/status?204") GET("/status?304")
                GET("/status?418"));
    expect(&f, &c, "\r\n\r\nbody", 1);
    assert_int_equal(count_of(&c, "body"), 1);
    assert_int_equal(count_of(&c, "Content-Length: 4\r\n"), 2);
    assert_int_equal(count_of(&c, "HTTP/1.1 204 No Content\r\n"), 1);
    assert_int_equal(count_of(&c, "HTTP/1.1 418 \r\n"), 1);
    hang_up(&c);
}

/* An id that is not one of ours to repeat is replaced. */
static void test_request_id(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "X-Request-Id: a b", "X-Request-Id:", "X-Request-Id: a\"b",
        "X-Request-Id: twice\r\nX-Request-Id: twice",
        "X-Request-Id: 01234567890123456789012345678901234567890123456789012345678901234"};
    struct client c = dial(&f);
    for (int i = 0; i < 5; i++) {
        char text[300];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", bad[i]);
        say(&c, text);
    }
    expect(&f, &c, "200 OK", 5);
    assert_int_equal(count_of(&c, "X-Request-Id: a b"), 0);
    assert_int_equal(count_of(&c, "X-Request-Id: a\""), 0);
    assert_int_equal(count_of(&c, "twice"), 0);
    assert_int_equal(count_of(&c, "-00000005\r\n"), 1);
    hang_up(&c);
}

/* Three hundred requests in one go, all answered, in order. */
static void test_pipelining(void **state)
{
    (void)state;
    struct client c = dial(&f);
    struct buf all;
    buf_init(&all, 1024 * 1024);
    for (int i = 0; i < 300; i++)
        buf_addf(&all, POST("/") "Content-Length: 4\r\n\r\n=%03d", i);
    buf_add_char(&all, '\0');
    say(&c, all.ptr);
    expect(&f, &c, "200 OK", 300);
    const char *at = c.in.ptr;
    buf_add_char(&c.in, '\0');
    for (int i = 0; i < 300; i++) {
        char body[32];
        snprintf(body, sizeof(body), "\r\n\r\n=%03d", i);
        at = strstr(at, body);
        assert_non_null(at);
    }
    buf_free(&all);
    hang_up(&c);
}

/* A request that came behind a held one waits, although it is already here. */
static void test_pipelining_is_serial(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, GET("/") POST("/hold") "Content-Length: 1\r\n\r\n1" POST(
                "/hold") "Content-Length: 1\r\n\r\n2" GET("/"));
    expect_held(&f, 1);
    expect(&f, &c, "200 OK", 1); /* the answer before it did not wait */
    assert_int_equal(f.handled, 2);
    assert_int_equal(http_server_open_requests(f.server), 1);
    answer_held(&f);
    assert_int_equal(f.handled, 2); /* not from within the reply */
    expect_held(&f, 1);
    expect(&f, &c, "\r\n\r\n1", 1);
    answer_held(&f);
    expect(&f, &c, "200 OK", 4);
    assert_int_equal(count_of(&c, "\r\n\r\n2HTTP/1.1"), 1);
    assert_int_equal(http_server_open_requests(f.server), 0);
    hang_up(&c);
}

/* A large body, with a length and in chunks, comes out whole; with it a request behind it. */
static void test_large_bodies(void **state)
{
    (void)state;
    enum { BYTES = 700 * 1000, CHUNK = 7000 };
    struct buf all;
    buf_init(&all, 4 * 1024 * 1024);
    buf_addf(&all, POST("/") "Content-Length: %d\r\n\r\n", BYTES);
    for (int i = 0; i < BYTES; i++)
        buf_add_char(&all, (char)('a' + i % 23));
    buf_add_str(&all, POST("/") "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < BYTES; i++) {
        if (i % CHUNK == 0)
            buf_addf(&all, "%s%x\r\n", i ? "\r\n" : "", CHUNK);
        buf_add_char(&all, (char)('a' + i % 23));
    }
    buf_add_str(&all, "\r\n0\r\nTrailer: x\r\n\r\n" GET("/status?204"));
    assert_int_equal(buf_status(&all), ST_OK);

    struct client c = dial(&f);
    size_t sent = 0;
    while (sent < all.len) {
        ssize_t n = send(c.fd, all.ptr + sent, all.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        struct expectation e = {&f, &c, "\r\n\r\nabc", 1};
        turn_until(&f, heard, &e, 1);
    }
    expect(&f, &c, "204 No Content", 1);
    const char *second = memmem(c.in.ptr + 1, c.in.len - 1, "HTTP/1.1", 8);
    for (const char *at = c.in.ptr; at; at = at == c.in.ptr ? second : NULL) {
        const char *body = memmem(at, c.in.len - (size_t)(at - c.in.ptr), "\r\n\r\n", 4);
        for (int i = 0; i < BYTES; i++)
            assert_true(body[4 + i] == 'a' + i % 23);
    }
    assert_int_equal(f.handled, 3);
    buf_free(&all);
    hang_up(&c);
}

/* RFC 9110 section 10.1.1: 100 when the client waits, none when it does not, or is refused. */
static void test_expect(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, POST("/") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(&f, &c, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    say(&c, "abc" POST("/") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nd");
    expect(&f, &c, "\r\n\r\nabc", 1);
    say(&c, "ef" POST("/") "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect(&f, &c, "\r\n\r\ndef", 1);
    expect(&f, &c, "100 Continue", 2);
    say(&c, "1\r\ng\r\n0\r\n\r\n" POST("/") "Expect: 100-continue\r\n\r\n");
    expect(&f, &c, "\r\n\r\ng", 1);
    expect(&f, &c, "200 OK", 4);
    say(&c, POST("/") "Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "100 Continue"), 2);
    assert_int_equal(count_of(&c, "HTTP/1.1 413 Content Too Large"), 1);
    hang_up(&c);
}

/* A refusal is JSON with an id, and ends the connection; answers before it still come. */
static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *status;
        const char *code;
    } cases[] = {
        {GET("/a b"), "400 Bad Request", "bad_request"},
        {POST("/") "Content-Length: 1048577\r\n\r\n", "413 Content Too Large", "body_too_large"},
        {POST("/") "Transfer-Encoding: gzip\r\n\r\n", "501 Not Implemented",
         "transfer_encoding_unsupported"},
        {POST("/") "Expect: x\r\n\r\n", "417 Expectation Failed", "expectation_failed"},
        {"GET / HTTP/2.0\r\n\r\n", "505 HTTP Version Not Supported", "http_version_unsupported"},
        {POST("/") "Transfer-Encoding: chunked\r\n\r\n0x", "400 Bad Request", "bad_request"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client c = dial(&f);
        char body[100];
        say(&c, GET("/"));
        say(&c, cases[i].text);
        expect_end(&f, &c);
        assert_int_equal(count_of(&c, "HTTP/1.1 200 OK"), 1);
        assert_int_equal(count_of(&c, cases[i].status), 1);
        snprintf(body, sizeof(body), "\r\n\r\n{\"error\":{\"code\":\"%s\",\"message\":\"",
                 cases[i].code);
        assert_int_equal(count_of(&c, body), 1);
        assert_int_equal(count_of(&c, "X-Request-Id: "), 2);
        assert_int_equal(count_of(&c, "Connection: close"), 1);
        hang_up(&c);
    }
    expect_connections(&f, 0);
    assert_int_equal(http_server_open_requests(f.server), 0);
}

/* The answer arrives although the client is still sending what nobody will read: no reset. */
static void test_lingering_close(void **state)
{
    (void)state;
    struct client c = dial(&f);
    static char junk[1000];
    memset(junk, 'j', sizeof(junk));
    say(&c, POST("/") "Content-Length: 2000000\r\n\r\n");
    for (int i = 0; i < 600; i++) {
        assert_int_equal(send(c.fd, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
        struct expectation e = {&f, &c, "", 0};
        turn_until(&f, connections_are, &e, 1);
    }
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "413 Content Too Large"), 1);
    hang_up(&c);
    expect_connections(&f, 0);
}

/* A client that has closed its sending side still gets every answer. */
static void test_half_closed(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, GET("/") GET("/hold") GET("/") "GET / HT");
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    expect_held(&f, 1);
    expect_gone(&f, 1);
    answer_held(&f);
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "200 OK"), 3);
    hang_up(&c);
    c = dial(&f);
    say(&c, GET("/"));
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "200 OK"), 1);
    hang_up(&c);
    expect_connections(&f, 0);
}

/* Draining: everything goes on, and whatever is answered from then on is the connection's last. */
static void test_drain(void **state)
{
    (void)state;
    struct client idle = dial(&f), busy = dial(&f), fresh = dial(&f), late = dial(&f);
    say(&idle, GET("/"));
    say(&late, GET("/"));
    expect(&f, &idle, "200 OK", 1);
    expect(&f, &late, "200 OK", 1);
    say(&busy, GET("/hold"));
    expect_held(&f, 1);
    say(&late, GET("/")); /* in the socket, unread, when draining begins */
    http_server_drain(f.server);
    expect_end(&f, &late);
    assert_int_equal(count_of(&late, "200 OK"), 2);
    assert_int_equal(count_of(&late, "Connection: close\r\n"), 1);
    answer_held(&f);
    expect_end(&f, &busy);
    assert_int_equal(count_of(&busy, "Connection: close\r\n"), 1);
    say(&fresh, GET("/"));
    expect_end(&f, &fresh);
    assert_int_equal(count_of(&fresh, "200 OK"), 1);
    assert_false(idle.eof);
    say(&idle, GET("/"));
    expect_end(&f, &idle);
    assert_int_equal(count_of(&idle, "200 OK"), 2);
    struct client another = dial(&f);
    say(&another, GET("/"));
    expect_end(&f, &another);
    assert_int_equal(count_of(&another, "Connection: close\r\n"), 1);
    hang_up(&idle);
    hang_up(&busy);
    hang_up(&fresh);
    hang_up(&late);
    hang_up(&another);
}

/* Of the idle connections those that have been idle for long are ended, in good order; what has
 * been sent on one is answered first. */
static void test_dismiss_idle(void **state)
{
    (void)state;
    enum { LONG_MS = 10 * 60 * 1000 };
    struct client old = dial(&f), sending = dial(&f), busy = dial(&f);
    say(&old, GET("/"));
    say(&sending, GET("/"));
    say(&busy, GET("/hold"));
    expect(&f, &old, "200 OK", 1);
    expect(&f, &sending, "200 OK", 1);
    expect_held(&f, 1);
    assert_int_equal(http_server_dismiss_idle(f.server, LONG_MS), 2); /* too young, both */
    say(&sending, GET("/"));
    assert_int_equal(http_server_dismiss_idle(f.server, 0), 1);
    expect(&f, &sending, "200 OK", 2);
    expect_end(&f, &old);
    assert_int_equal(old.error, 0);
    assert_int_equal(count_of(&old, "200 OK"), 1);
    /* Sent before it saw the end: not carried out, and no reset. */
    say(&old, GET("/"));
    answer_held(&f);
    expect(&f, &busy, "200 OK", 1);
    assert_int_equal(f.handled, 4);
    assert_int_equal(http_server_dismiss_idle(f.server, 0), 0);
    expect_end(&f, &busy);
    expect_end(&f, &sending);
    assert_int_equal(f.handled, 4);
    assert_int_equal(http_server_open_requests(f.server), 0);
    hang_up(&old);
    hang_up(&sending);
    hang_up(&busy);
}

/* Draining from within a handler: its own answer already says close. */
static void test_drain_from_handler(void **state)
{
    (void)state;
    struct client c = dial(&f);
    say(&c, GET("/drain") GET("/"));
    expect_end(&f, &c);
    assert_int_equal(count_of(&c, "200 OK"), 1);
    assert_int_equal(count_of(&c, "Connection: close\r\n"), 1);
    hang_up(&c);
}

/* What is in the accept queue is still served; later connections are refused by the kernel. */
static void test_stop_accepting(void **state)
{
    (void)state;
    struct client queued[100];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(f.server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 100; i++) {
        queued[i] = dial(&f);
        say(&queued[i], GET("/"));
    }
    http_server_drain(f.server);
    http_server_stop_accepting(f.server);
    assert_int_equal(http_server_port(f.server), 0);
    for (int i = 0; i < 100; i++) {
        expect_end(&f, &queued[i]);
        assert_int_equal(count_of(&queued[i], "200 OK"), 1);
        hang_up(&queued[i]);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
}

/* The server may go before the answers of its handlers. */
static void test_free_with_held_requests(void **state)
{
    (void)state;
    struct client a = dial(&f), b = dial(&f);
    say(&a, POST("/hold") "Content-Length: 1\r\n\r\nx");
    say(&b, GET("/hold"));
    expect_held(&f, 2);
    http_server_free(f.server);
    f.server = NULL;
    assert_int_equal(f.gone, 2);
    for (int i = 0; i < 2; i++)
        assert_true(http_request_body(f.held[i]).len <= 1); /* still readable */
    answer_held(&f);
    answer_held(&f);
    hang_up(&a);
    hang_up(&b);
}

/* IPv6, and IPv4 through the address "::"; two servers on one port when both agree to it. */
static void test_addresses(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    static const char *const pairs[][2] = {
        {"::1", "::1"}, {"::", "127.0.0.1"}, {"0.0.0.0", "127.0.0.1"}};
    for (int i = 0; i < 3; i++) {
        options.address = pairs[i][0];
        options.port = 0;
        options.reuse_port = true;
        struct http_server *server = fixture_server(&f, options);
        options.port = http_server_port(server);
        struct http_server *twin = fixture_server(&f, options);
        assert_int_equal(http_server_port(twin), options.port);
        struct client c = dial_address(pairs[i][1], options.port);
        say(&c, GET("/"));
        expect(&f, &c, "200 OK", 1);
        hang_up(&c);
        http_server_free(server);
        http_server_free(twin);
    }
}

/* What cannot be listened on is explained. */
static void test_listen_errors(void **state)
{
    (void)state;
    struct http_server_options options = fixture_options();
    char error[200];
    options.address = "localhost";
    struct http_server *server = http_server_new(f.reactor, &options, fixture_handler, &f);
    assert_int_equal(http_server_listen(server, error, sizeof(error)), ST_SYNTAX);
    assert_string_equal(error, "'localhost' is not a numeric address");
    http_server_free(server);

    options.address = "192.0.2.1"; /* TEST-NET-1: not ours */
    server = http_server_new(f.reactor, &options, fixture_handler, &f);
    assert_int_equal(http_server_listen(server, error, sizeof(error)), ST_IO);
    assert_non_null(strstr(error, "192.0.2.1"));
    assert_int_equal(http_server_listen(server, error, sizeof(error)), ST_IO);
    http_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_closes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_without_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelining, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelining_is_serial, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lingering_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dismiss_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain_from_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_accepting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_with_held_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listen_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
