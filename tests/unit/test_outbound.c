/* Tests of net/outbound over plain http, of what both routes promise: what a request looks like,
 * what each kind of failure is called, and that connections, limits and cancelling behave. All
 * tests run on each route. TLS is in test_outbound_tls.c, what only the direct route has in
 * test_outbound_direct.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "outbound_fixture.h"

/* ---- A failing libcurl ---------------------------------------------------------------------- */

/* Stands before libcurl's function of this name: fails the `socket_action_fails`th call from now.
 */
int curl_multi_socket_action(void *multi, int fd, int ready, int *running);
static int socket_action_fails;

int curl_multi_socket_action(void *multi, int fd, int ready, int *running)
{
    static int (*real)(void *, int, int, int *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "curl_multi_socket_action");
    int code = real(multi, fd, ready, running);
    return socket_action_fails > 0 && --socket_action_fails == 0 ? 4 /* CURLM_INTERNAL_ERROR */
                                                                 : code;
}

/* ---- Another port -------------------------------------------------------------------------- */

/* Stands before the system's function: connections go to this port while it is not 0. */
static int connect_to_port;

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    struct sockaddr_in changed;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "connect");
    if (connect_to_port == 0 || address->sa_family != AF_INET)
        return real(fd, address, len);
    memcpy(&changed, address, sizeof(changed));
    changed.sin_port = htons((uint16_t)connect_to_port);
    return real(fd, (const struct sockaddr *)&changed, sizeof(changed));
}

/* ---- What goes out and comes in ------------------------------------------------------------- */

/* The request is, byte for byte, what the header promises; the body may hold NUL bytes. */
static void test_request_bytes(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    char url[80], expected[512];
    world_init(&world, &default_options);
    static const char *const lines[] = {"Content-Type: application/json", "webhook-id: msg_1",
                                        "X-CaSe: as  given ",
                                        "webhook-signature: v1,AAAA v1,BBBB="};
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/hook?a=%%20b&c", world.peer.port);
    struct outbound_call call = call_of(url);
    call.header_lines = lines;
    call.header_count = 4;
    call.body = SLICE("{\"a\":\0\0\"b\"}\0");
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    int header_len = snprintf(expected, sizeof(expected),
                              "POST /hook?a=%%20b&c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                              "User-Agent: Trotline/test\r\n"
                              "Content-Type: application/json\r\nwebhook-id: msg_1\r\n"
                              "X-CaSe: as  given \r\nwebhook-signature: v1,AAAA v1,BBBB=\r\n"
                              "Content-Length: %zu\r\n\r\n",
                              world.peer.port, call.body.len);
    assert_int_equal(world.peer.last_len, (size_t)header_len + call.body.len);
    if (memcmp(world.peer.last, expected, (size_t)header_len) != 0)
        fail_msg("sent:\n%s", world.peer.last);
    assert_memory_equal(world.peer.last + header_len, call.body.ptr, call.body.len);
    world_end(&world);
}

/* How URLs are spelled in a request: host and port, the target. libcurl's spelling is the measure.
 */
static void test_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *scheme_and_host; /* the port follows */
        const char *rest;
        const char *target;
        const char *host;
    } cases[] = {
        {"http://127.0.0.1", "/hook", "/hook", "127.0.0.1"},
        {"HTTP://127.0.0.1", "", "/", "127.0.0.1"},
        {"http://LocalHost", "/A%2fb%zz'[x]", "/A%2fb%zz'[x]", "LocalHost"},
        {"http://127.1", "?x=1", "/?x=1", "127.0.0.1"},
        {"http://0x7f000001", "/p?", "/p?", "127.0.0.1"},
        {"http://2130706433", "?", "/?", "127.0.0.1"},
        {"http://[::ffff:127.0.0.1]", "//a//b", "//a//b", "[::ffff:127.0.0.1]"},
        {"http://[0:0:0:0:0:ffff:7f00:0001]", "/", "/", "[::ffff:127.0.0.1]"},
        {"http://127.0.0.1", "/a/../b/./c", "/b/c", "127.0.0.1"},
        {"http://127.0.0.1", "/a/..", "/", "127.0.0.1"},
        {"http://127.0.0.1", "/a/%2e%2e/b", "/a/%2e%2e/b", "127.0.0.1"},
        {"http://127.0.0.1", "/.?x", "/?x", "127.0.0.1"},
        {"http://127.0.0.1", "/./p?", "/p?", "127.0.0.1"},
        {"http://127.0.0.1", "/.../..a/.b", "/.../..a/.b", "127.0.0.1"},
        {"http://127.0.0.1", "/p?a/../b", "/p?a/../b", "127.0.0.1"},
        {"http://127.0.0.1", "/a?b?c", "/a?b?c", "127.0.0.1"},
    };
    struct world world;
    struct answer answer;
    char url[128], expected[256];
    world_init(&world, &default_options);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(url, sizeof(url), "%s:%d%s", cases[i].scheme_and_host, world.peer.port,
                 cases[i].rest);
        int len = snprintf(expected, sizeof(expected), "POST %s HTTP/1.1\r\nHost: %s:%d\r\n",
                           cases[i].target, cases[i].host, world.peer.port);
        struct outbound_call call = call_of(url);
        for (int n = 0; n < 2; n++) { /* on a new connection and on a kept one */
            exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
            assert_error(&answer, OUTBOUND_OK, 200);
            if (strncmp(world.peer.last, expected, (size_t)len) != 0)
                fail_msg("%s: sent\n%s", url, world.peer.last);
        }
    }
    world_end(&world);
}

/* The port of the scheme is not in `Host`. */
static void test_default_port(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://127.0.0.1/", "http://127.0.0.1:80/",
                                       "http://127.0.0.1:0080/"};
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct outbound_call call = call_of(urls[i]);
        connect_to_port = world.peer.port;
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        connect_to_port = 0;
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_non_null(strstr(world.peer.last, "\r\nHost: 127.0.0.1\r\n"));
    }
    world_end(&world);
}

/* Lines without a value are not sent; a User-Agent of the caller's goes in place of ours; a line of
 * the caller's that libcurl would write by itself, too. */
static void test_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {"X-None:", "X-Blank:  ", "Accept: text/plain",
                                        "User-Agent: mine", "X-Some: thing"};
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    call.header_lines = lines;
    call.header_count = sizeof(lines) / sizeof(lines[0]);
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    const char *head = world.peer.last;
    assert_null(strstr(head, "X-None"));
    assert_null(strstr(head, "X-Blank"));
    assert_null(strstr(head, "Trotline/test"));
    assert_non_null(strstr(head, "\r\nAccept: text/plain\r\n"));
    assert_non_null(strstr(head, "\r\nUser-Agent: mine\r\n"));
    assert_non_null(strstr(head, "\r\nX-Some: thing\r\n"));
    world_end(&world);
}

/* A URL with a user's name, which nobody should have let through, is refused, and so is one that
 * cannot be read; nothing is connected to. */
static void test_bad_urls(void **state)
{
    (void)state;
    static const char *const rests[] = {"user@127.0.0.1", "user:pass@127.0.0.1", "", "[::1", "a b"};
    struct world world;
    struct answer answer;
    char url[128];
    world_init(&world, &default_options);
    for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
        snprintf(url, sizeof(url), "http://%s:%d/", rests[i], world.peer.port);
        struct outbound_call call = call_of(url);
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_PROTOCOL, 0);
    }
    assert_int_equal(world.peer.connections, 0);
    world_end(&world);
}

/* Large and empty bodies arrive whole, without Expect. */
static void test_body_sizes(void **state)
{
    (void)state;
    static char body[3 * 1024 * 1024];
    static const size_t sizes[] = {0, 1, 4096, 65536, 1024 * 1024 + 1, sizeof(body)};
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct outbound_call call = call_of(peer_url(&world));
        call.body = slice_of(sizes[i] ? body : NULL, sizes[i]);
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_true(world.peer.last_len > sizes[i]);
        assert_memory_equal(world.peer.last + world.peer.last_len - sizes[i], body, sizes[i]);
        assert_null(strstr(world.peer.last, "Expect"));
    }
    world_end(&world);
}

/* Any status is OUTBOUND_OK; redirects are not followed, 1xx is skipped, bodies come in all forms.
 */
static void test_responses(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum peer_then then;
        int status_code;
        const char *body;
    } cases[] = {
        {OK_REPLY, PEER_KEEP, 200, "ok"},
        {"HTTP/1.1 204 No Content\r\n\r\n", PEER_KEEP, 204, ""},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", PEER_KEEP, 500, "oops"},
        {"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", PEER_KEEP, 410, ""},
        {"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", PEER_KEEP, 302, ""},
        {"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
         PEER_KEEP, 401, ""},
        {"HTTP/1.1 100 Continue\r\n\r\n" OK_REPLY, PEER_KEEP, 200, "ok"},
        {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" OK_REPLY, PEER_KEEP, 200, "ok"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
         PEER_KEEP, 200, "abcde"},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", PEER_CLOSE, 200, "until the end"},
        {"HTTP/1.0 200 OK\r\n\r\nold", PEER_CLOSE, 200, "old"},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nraw", PEER_KEEP,
         200, "raw"},
        {"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", PEER_KEEP, 299, ""},
    };
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        exchange(&world, cases[i].reply, cases[i].then, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, cases[i].status_code);
        assert_int_equal(answer.result.body_bytes, strlen(cases[i].body));
        assert_true(slice_eq(answer.result.body_head, slice_str(cases[i].body)));
        assert_false(answer.result.truncated);
        assert_int_equal(answer.result.retry_after_ms, -1);
    }
    assert_int_equal(world.peer.requests, sizeof(cases) / sizeof(cases[0]));
    world_end(&world);
}

/* Retry-After as the loop gets it; the forms are tested below, in test_retry_after_forms. */
static void test_retry_after(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    char date[64], reply[256];
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    exchange(&world, "HTTP/1.1 429 No\r\nretry-after:  120 \r\nContent-Length: 0\r\n\r\n",
             PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 429);
    assert_int_equal(answer.result.retry_after_ms, 120000);
    exchange(&world, "HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", PEER_KEEP,
             &call, &answer);
    assert_int_equal(answer.result.retry_after_ms, -1);
    exchange(&world,
             "HTTP/1.1 103 Hint\r\nRetry-After: 9\r\n\r\nHTTP/1.1 503 No\r\n"
             "Content-Length: 0\r\n\r\n",
             PEER_KEEP, &call, &answer);
    assert_int_equal(answer.result.retry_after_ms, -1); /* that was the provisional answer's */
    time_t when = time(NULL) + 90;
    struct tm tm;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
    snprintf(reply, sizeof(reply),
             "HTTP/1.1 429 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    exchange(&world, reply, PEER_KEEP, &call, &answer);
    assert_in_range(answer.result.retry_after_ms, 60000, 90000);
    exchange(&world,
             "HTTP/1.1 429 No\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
             "Content-Length: 0\r\n\r\n",
             PEER_KEEP, &call, &answer);
    assert_int_equal(answer.result.retry_after_ms, 0);
    world_end(&world);
}

static void test_retry_after_forms(void **state)
{
    (void)state;
    const uint64_t now_ms = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *value;
        int64_t ms;
    } cases[] = {
        {"0", 0},
        {"1", 1000},
        {"\t 12 \r\n", 12000},
        {"00012", 12000},
        {"1.5", 1500},
        {"0.0001", 1},
        {"2.9999", 3000},
        {"3.0000", 3000},
        {"99999999999999999999999999999999", INT64_MAX},
        {"", -1},
        {" ", -1},
        {"-5", -1},
        {"+5", -1},
        {"5 s", -1},
        {"5,6", -1},
        {"1.", -1},
        {".5", -1},
        {"1.5.5", -1},
        {"0x10", -1},
        {"1e3", -1},
        {"soon", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60000},
        {"Sun, 06 Nov 1994 08:48:37 GMT", 0},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60000},
        {"Sun Nov  6 08:50:37 1994", 60000},
        {"Sun, 06 Nov 1994 08:50:37 CET", -1},
        {"Sun, 06 Nov 1994 08:50:37 GMT and more, so that the field is longer than any date", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = outbound_retry_after(slice_str(cases[i].value), now_ms);
        if (cases[i].ms == INT64_MAX ? ms < INT64_MAX / 1000 : ms != cases[i].ms)
            fail_msg("'%s': %lld", cases[i].value, (long long)ms);
    }
    assert_int_equal(outbound_retry_after(SLICE("Sun, 06 Nov\0"), now_ms), -1);
}

static void test_error_names(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "dns",
                                        "connection_refused",
                                        "connection_reset",
                                        "unreachable",
                                        "timeout",
                                        "tls",
                                        "protocol",
                                        "response_too_large",
                                        "address_denied",
                                        "stream_full",
                                        "stream_refused",
                                        "redis_out_of_memory",
                                        "internal",
                                        "cancelled"};
    for (int i = OUTBOUND_OK; i <= OUTBOUND_CANCELLED; i++)
        assert_string_equal(outbound_error_name((enum outbound_error)i), names[i]);
}

/* ---- Failures ------------------------------------------------------------------------------- */

/* What a target can do wrong after it was connected to. `status` is what is known of its answer. */
static void test_bad_answers(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum peer_then then;
        enum outbound_error error;
        int status_code;
    } cases[] = {
        {"", PEER_CLOSE, OUTBOUND_CONNECTION_RESET, 0},
        {"", PEER_RESET, OUTBOUND_CONNECTION_RESET, 0},
        {"HTTP/1.1 200 OK\r\nContent-", PEER_CLOSE, OUTBOUND_CONNECTION_RESET, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", PEER_CLOSE, OUTBOUND_CONNECTION_RESET,
         200},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", PEER_RESET, OUTBOUND_CONNECTION_RESET,
         200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", PEER_CLOSE,
         OUTBOUND_CONNECTION_RESET, 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab", PEER_CLOSE,
         OUTBOUND_PROTOCOL, 200},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", PEER_CLOSE, OUTBOUND_PROTOCOL,
         ANY_STATUS},
        {"SSH-2.0-OpenSSH_9.2p1\r\n", PEER_CLOSE, OUTBOUND_PROTOCOL, 0},
        {"<html>it works</html>", PEER_CLOSE, OUTBOUND_PROTOCOL, 0},
        {"HTTP/9.9 200 OK\r\n\r\n", PEER_CLOSE, OUTBOUND_PROTOCOL, 0},
        {"HTTP/1.1 abc\r\n\r\n", PEER_CLOSE, OUTBOUND_PROTOCOL, 0},
        {"HTTP/1.1 100 Continue\r\n\r\n", PEER_CLOSE, OUTBOUND_CONNECTION_RESET, 0},
    };
    struct world world;
    struct answer answer;
    struct outbound_options options = default_options;
    options.in_flight_max = 1; /* one handle for all: nothing may linger in it */
    world_init(&world, &options);
    struct outbound_call call = call_of(peer_url(&world));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        exchange(&world, cases[i].reply, cases[i].then, &call, &answer);
        if (answer.result.error != cases[i].error)
            print_message("case %zu\n", i);
        assert_error(&answer, cases[i].error, cases[i].status_code);
        exchange(&world, OK_REPLY, PEER_CLOSE, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
    }
    world_end(&world);
}

/* A body beyond response_bytes_max is cut; its status still decides. */
static void test_endless_body(void **state)
{
    (void)state;
    static char block[8192];
    memset(block, 'x', sizeof(block) - 1);
    static const struct {
        const char *head;
        int status_code;
    } cases[] = {{"HTTP/1.1 200 OK\r\n\r\n", 200},
                 {"HTTP/1.1 500 No\r\n\r\n", 500},
                 {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", 200}};
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    call.response_bytes_max = 20000;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer_reply reply = {cases[i].head, PEER_ENDLESS, block};
        peer_script(&world.peer, &reply, 1);
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, cases[i].status_code);
        assert_true(answer.result.truncated);
        assert_in_range(answer.result.body_bytes, 20001, 20000 + 16384);
        assert_int_equal(answer.result.body_head.len, LIMIT_ATTEMPT_BODY_BYTES);
        assert_memory_equal(answer.head, block, LIMIT_ATTEMPT_BODY_BYTES);
        assert_int_equal(outbound_stats(world.outbound)->connections_open, 0);
    }
    call.response_bytes_max = 2; /* exactly the body */
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_false(answer.result.truncated);
    call.response_bytes_max = 1;
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    assert_true(answer.result.truncated);
    world_end(&world);
}

/* Header lines without end: many lines, one long line, provisional answers (of which the direct
 * route takes no more than a few), trailers. */
static void test_header_floods(void **state)
{
    (void)state;
    static char lines[8192], line[8192];
    for (size_t i = 0; i + 16 < sizeof(lines); i += 16)
        memcpy(lines + i, "X-Header: abcd\r\n", 16);
    memset(line, 'x', sizeof(line) - 1);
    const enum outbound_error large = OUTBOUND_RESPONSE_TOO_LARGE;
    const struct {
        struct peer_reply reply;
        enum outbound_error error;
        int status_code;
    } cases[] = {
        {{"HTTP/1.1 200 OK\r\n", PEER_ENDLESS, lines}, large, 0},
        {{"HTTP/1.1 200 OK\r\nX: ", PEER_ENDLESS, line}, large, 0},
        {{"HTTP/1.1 200 OK", PEER_ENDLESS, line}, large, 0},
        {{"HTTP/1.1 100 Continue\r\n\r\n", PEER_ENDLESS, "HTTP/1.1 102 Processing\r\n\r\n"},
         route == OUTBOUND_PLAIN ? large : OUTBOUND_PROTOCOL,
         0},
        {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", PEER_ENDLESS, lines},
         large,
         200},
    };
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        peer_script(&world.peer, &cases[i].reply, 1);
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        if (answer.result.error != cases[i].error)
            print_message("case %zu\n", i);
        assert_error(&answer, cases[i].error, cases[i].status_code);
    }
    world_end(&world);
}

/* Time runs out before the header, in it, in the body, while the request is written. */
static void test_slow_targets(void **state)
{
    (void)state;
    static char body[16 * 1024 * 1024];
    static const struct {
        const char *reply;
        int status_code;
    } cases[] = {{"", 0},
                 {"HTTP/1.1 200 OK\r\nContent-", 0},
                 {"HTTP/1.1 100 Continue\r\n\r\n", 0},
                 {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 200}};
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    call.total_timeout_ms = 150;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        exchange(&world, cases[i].reply, PEER_SILENT, &call, &answer);
        assert_error(&answer, OUTBOUND_TIMEOUT, cases[i].status_code);
        assert_in_range(answer.result.duration_us, 140 * 1000, 10 * 1000 * 1000);
    }
    call.body = slice_of(body, sizeof(body));
    world.peer.replies = NULL;
    evconnlistener_disable(world.peer.listener); /* the kernel accepts, nobody reads */
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_TIMEOUT, 0);
    world_end(&world);
}

/* A listening socket whose queue is full drops further connections: nothing ever answers. */
static void test_unresponsive_host(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    char url[64];
    int fillers[8];
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    world_init(&world, &default_options);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    for (int i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int failed = connect(fillers[i], (const struct sockaddr *)&address, sizeof(address));
        assert_true(!failed || errno == EINPROGRESS);
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
    struct outbound_call call = call_of(url);
    call.connect_timeout_ms = 150;
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_TIMEOUT, 0);
    assert_in_range(answer.result.duration_us, 140 * 1000, 10 * 1000 * 1000);
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(listener);
    world_end(&world);
}

/* No connection at all. The name is too long for any resolver to ask for: no packet leaves. */
static void test_no_connection(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    char url[160];
    world_init(&world, &default_options);
    snprintf(url, sizeof(url), "%s", peer_url(&world));
    peer_stop(&world.peer);
    struct outbound_call call = call_of(url);
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_CONNECTION_REFUSED, 0);
    assert_non_null(strstr(url, answer.result.address));
    assert_true(answer.result.address[0] != '\0');

    memset(url, 'a', 100);
    memcpy(url, "http://", 7);
    snprintf(url + 100, sizeof(url) - 100, ".test/");
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_DNS, 0);
    assert_string_equal(answer.result.address, "");
    world_end(&world);
}

/* No descriptor is left for a socket: our fault, not the target's. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    struct rlimit old, none;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3; /* all below are in use */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_error(&answer, OUTBOUND_INTERNAL, 0);
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    world_end(&world);
}

/* ---- The guard ------------------------------------------------------------------------------ */

/* A refused address is not connected to, whether written out or found by name. */
static void test_denied_addresses(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost",  "0x7f000001",        "127.1",
                                        "[::1]",     "2130706433", "[::ffff:127.0.0.1]"};
    struct world world;
    struct answer answer;
    char url[64];
    world_init(&world, &default_options);
    world.guard.allow_private = false;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        snprintf(url, sizeof(url), "http://%s:%d/", hosts[i], world.peer.port);
        struct outbound_call call = call_of(url);
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_ADDRESS_DENIED, 0);
        assert_non_null(strstr(answer.detail, "loopback"));
        assert_false(answer.result.connection_reused);
    }
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, 0);
    assert_true(outbound_stats(world.outbound)->addresses_denied >= 7);
    assert_int_equal(world.peer.connections, 0);
    world_end(&world);
}

/* A name with an allowed address among refused ones is delivered to the allowed one. */
static void test_allowed_among_denied(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    char url[64];
    world_init(&world, &default_options);
    world.guard.allow_private = false;
    assert_int_equal(netguard_add_cidr(&world.guard, SLICE("127.0.0.1")), ST_OK); /* not ::1 */
    snprintf(url, sizeof(url), "http://localhost:%d/", world.peer.port);
    struct outbound_call call = call_of(url);
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    world_end(&world);
}

/* A policy that changed acts on connections that stand. */
static void test_guard_on_kept_connections(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    world.guard.allow_private = false;
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_ADDRESS_DENIED, 0);
    assert_int_equal(world.peer.requests, 1);
    world_end(&world);
}

/* may_send() of an answer: counts the questions, and says what the test wants. */
static struct {
    int asked;
    bool yes;
    void *arg;
} right;

static bool ask_right(void *arg)
{
    right.asked++;
    right.arg = arg;
    return right.yes;
}

/* Without the right to send no byte reaches the target: not on a new connection, not on a kept one;
 * with it all is as it is without the question. */
static void test_right_to_send(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    call.may_send = ask_right;
    static const bool says[] = {false, true, true, false, false, true};
    int sent = 0;
    for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
        right.asked = 0;
        right.yes = says[i];
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        sent += says[i];
        assert_int_equal(right.asked, 1);
        assert_ptr_equal(right.arg, &answer);
        assert_error(&answer, says[i] ? OUTBOUND_OK : OUTBOUND_CANCELLED, says[i] ? 200 : 0);
        assert_int_equal(world.peer.requests, sent);
        assert_int_equal(answer.result.connection_reused, says[i] && i == 2);
    }
    call.may_send = NULL;
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    world_end(&world);
}

/* The kept connection turns out to be closed, and the right has ended since: the request is not
 * sent again. */
static bool yes_once(void *arg)
{
    (void)arg;
    return right.asked++ == 0;
}

static void test_right_to_send_again(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    static const struct peer_reply replies[] = {
        {OK_REPLY, PEER_KEEP, NULL}, {"", PEER_CLOSE, NULL}, {OK_REPLY, PEER_KEEP, NULL}};
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    peer_script(&world.peer, replies, 3);
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_OK, 200);
    right.asked = 0;
    call.may_send = yes_once;
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_CANCELLED, 0);
    assert_int_equal(right.asked, 2);
    assert_int_equal(world.peer.requests, 2);
    world_end(&world);
}

/* http without leave is a matter of policy, not of the target. */
static void test_insecure_http_denied(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    for (int i = 0; i < 2; i++) {
        call.insecure_http_allowed = false;
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_ADDRESS_DENIED, 0);
        assert_non_null(strstr(answer.detail, "https"));
        call.insecure_http_allowed = true;
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
    }
    world_end(&world);
}

/* What the environment says about proxies is not looked at. */
static void test_environment_is_ignored(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
    assert_error(&answer, OUTBOUND_OK, 200);
    world_end(&world);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

/* A proxy that was asked for is used, whatever no_proxy says, and the guard is not asked. */
static void test_proxy(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    struct reactor *reactor = reactor_new();
    struct peer proxy;
    char proxy_url[64];
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    struct netguard strict = {.allow_private = false};
    setenv("no_proxy", "*", 1);
    assert_non_null(reactor);
    peer_start(&proxy, reactor);
    peer_script(&proxy, &reply, 1);
    snprintf(proxy_url, sizeof(proxy_url), "http://127.0.0.1:%d", proxy.port);
    struct outbound_options options = default_options;
    options.route = route;
    options.proxy = proxy_url;
    options.guard = &strict;
    world = (struct world){.reactor = reactor, .outbound = outbound_new(reactor, &options)};
    assert_non_null(world.outbound);
    struct outbound_call call = call_of("http://example.test/hook");
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_OK, 200);
    assert_memory_equal(proxy.last, "POST http://example.test/hook HTTP/1.1\r\n", 40);
    outbound_free(world.outbound);
    peer_stop(&proxy);
    reactor_free(reactor);
    unsetenv("no_proxy");
}

/* ---- Connections ---------------------------------------------------------------------------- */

/* Connections are kept, found again, and counted. */
static void test_keep_alive(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    for (int i = 0; i < 50; i++) {
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_int_equal(answer.result.connection_reused, i > 0);
        assert_non_null(strstr(call.url, answer.result.address));
        assert_true(answer.result.duration_us > 0);
    }
    const struct outbound_stats *stats = outbound_stats(world.outbound);
    assert_int_equal(world.peer.connections, 1);
    assert_int_equal(stats->connections_opened, 1);
    assert_int_equal(stats->connections_open, 1);
    assert_int_equal(stats->connections_reused, 49);
    assert_int_equal(stats->sent, 50);
    assert_int_equal(stats->finished, 50);
    world_end(&world);
}

static void on_stop(void *arg)
{
    reactor_stop(arg);
}

/* A kept connection that the target closed while it idled costs a new connection, not an attempt,
 * and its descriptor does not keep the loop busy. */
static void test_target_closes_idle_connection(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    struct reactor_timer *timer = reactor_timer_new(world.reactor, on_stop, world.reactor);
    for (int i = 0; i < 5; i++) {
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_false(answer.result.connection_reused);
        peer_close_connections(&world.peer);
        uint64_t turns = reactor_stats(world.reactor)->turns;
        reactor_timer_set(timer, 30);
        assert_int_equal(reactor_run(world.reactor), ST_OK);
        assert_in_range(reactor_stats(world.reactor)->turns - turns, 1, 10);
    }
    assert_int_equal(world.peer.connections, 5);
    reactor_timer_free(timer);
    world_end(&world);
}

/* The race of the same: the target closes when it has read the request. curl sends it again. */
static void test_request_on_closing_connection(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    static const struct peer_reply replies[] = {
        {OK_REPLY, PEER_KEEP, NULL}, {"", PEER_CLOSE, NULL}, {OK_REPLY, PEER_KEEP, NULL}};
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    peer_script(&world.peer, replies, 3);
    for (int i = 0; i < 2; i++) {
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_false(answer.result.connection_reused);
    }
    assert_int_equal(world.peer.requests, 3);
    assert_int_equal(world.peer.connections, 2);
    world_end(&world);
}

/* No more connections are kept than were asked for. */
static void test_connections_are_bounded(void **state)
{
    (void)state;
    enum { PEERS = 12 };
    struct world world;
    struct answer answer;
    struct peer peers[PEERS];
    char url[64];
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    struct outbound_options options = default_options;
    options.in_flight_max = 2;
    options.idle_connections_max = 3;
    world_init(&world, &options);
    for (int i = 0; i < PEERS; i++) {
        peer_start(&peers[i], world.reactor);
        peer_script(&peers[i], &reply, 1);
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/", peers[i].port);
        struct outbound_call call = call_of(url);
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_true(outbound_stats(world.outbound)->connections_open <= 5);
    }
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, PEERS);
    for (int i = 0; i < PEERS; i++)
        peer_stop(&peers[i]);
    world_end(&world);
}

/* ---- Limits, cancelling, many at once ------------------------------------------------------- */

static void test_limit_and_line_ends(void **state)
{
    (void)state;
    struct world world;
    struct answer answers[2], refused = {.world = &world};
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    static const char *const evil[] = {"Content-Type: a", "X: y\r\nHost: evil"};
    struct outbound_options options = default_options;
    options.in_flight_max = 2;
    world_init(&world, &options);
    peer_script(&world.peer, &reply, 1);
    struct outbound_call call = call_of(peer_url(&world)), bad = call;
    bad.header_lines = evil;
    bad.header_count = 2;
    assert_int_equal(outbound_send(world.outbound, &bad, on_done, &refused, NULL), ST_SYNTAX);
    send_it(&world, &call, &answers[0]);
    send_it(&world, &call, &answers[1]);
    assert_int_equal(outbound_in_flight(world.outbound), 2);
    assert_int_equal(outbound_send(world.outbound, &call, on_done, &refused, NULL), ST_LIMIT);
    wait_for_answers(&world);
    assert_error(&answers[0], OUTBOUND_OK, 200);
    assert_error(&answers[1], OUTBOUND_OK, 200);
    assert_int_equal(outbound_in_flight(world.outbound), 0);
    assert_int_equal(refused.calls, 0);
    world_end(&world);
}

struct chain {
    struct world *world;
    struct outbound_call call;
    int left;
    int depth;
};

static void on_chain(void *arg, const struct outbound_result *result)
{
    struct chain *chain = arg;
    assert_int_equal(chain->depth++, 0); /* never from inside outbound_send */
    assert_int_equal(result->error, OUTBOUND_OK);
    if (--chain->left > 0)
        assert_int_equal(outbound_send(chain->world->outbound, &chain->call, on_chain, chain, NULL),
                         ST_OK);
    else
        reactor_stop(chain->world->reactor);
    assert_int_equal(result->status_code, 200); /* the result is still whole */
    assert_true(slice_eq(result->body_head, SLICE("ok")));
    chain->depth--;
}

/* done() may send again, even when only one request may be in flight. */
static void test_send_from_done(void **state)
{
    (void)state;
    struct world world;
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    struct outbound_options options = default_options;
    options.in_flight_max = 1;
    world_init(&world, &options);
    peer_script(&world.peer, &reply, 1);
    struct chain chain = {.world = &world, .call = call_of(peer_url(&world)), .left = 100};
    assert_int_equal(outbound_send(world.outbound, &chain.call, on_chain, &chain, NULL), ST_OK);
    assert_int_equal(reactor_run(world.reactor), ST_OK);
    assert_int_equal(world.peer.requests, 100);
    assert_int_equal(world.peer.connections, 1);
    world_end(&world);
}

/* Cancelled before it was sent, while it waits for its answer, and while its name is looked up. */
static void test_cancel(void **state)
{
    (void)state;
    struct world world;
    struct answer first, second, third;
    world_init(&world, &default_options);
    static const struct peer_reply silent = {"", PEER_SILENT, NULL};
    peer_script(&world.peer, &silent, 1);
    struct outbound_call call = call_of(peer_url(&world));
    outbound_cancel(send_it(&world, &call, &first));
    assert_int_equal(first.calls, 0); /* later, even so */
    wait_for_answers(&world);
    assert_error(&first, OUTBOUND_CANCELLED, 0);

    struct outbound_request *waiting = send_it(&world, &call, &second);
    struct reactor_timer *timer = reactor_timer_new(world.reactor, on_stop, world.reactor);
    while (world.peer.requests == 0) {
        reactor_timer_set(timer, 1);
        assert_int_equal(reactor_run(world.reactor), ST_OK);
    }
    outbound_cancel(waiting);
    outbound_cancel(waiting); /* no effect */
    wait_for_answers(&world);
    assert_error(&second, OUTBOUND_CANCELLED, 0);
    assert_int_equal(second.calls, 1);

    char url[64];
    snprintf(url, sizeof(url), "http://localhost:%d/", world.peer.port);
    struct outbound_call by_name = call_of(url);
    struct outbound_request *looking_up = send_it(&world, &by_name, &third);
    reactor_timer_set(timer, 0);
    assert_int_equal(reactor_run(world.reactor), ST_OK);
    outbound_cancel(looking_up);
    wait_for_answers(&world);
    assert_error(&third, OUTBOUND_CANCELLED, 0);
    assert_int_equal(outbound_in_flight(world.outbound), 0);
    reactor_timer_free(timer);
    world_end(&world);
}

/* All at once to one target: all are on the wire together, each is answered once, and afterwards
 * the connections serve again. */
static void test_many_at_once(void **state)
{
    (void)state;
    enum { MANY = 500 };
    static struct answer answers[MANY];
    struct world world;
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    struct outbound_options options = default_options;
    options.in_flight_max = MANY;
    options.idle_connections_max = MANY;
    world_init(&world, &options);
    peer_script(&world.peer, &reply, 1);
    struct outbound_call call = call_of(peer_url(&world));
    for (int round = 0; round < 2; round++) {
        world.peer.hold = MANY; /* none is answered before all are here */
        for (int i = 0; i < MANY; i++)
            send_it(&world, &call, &answers[i]);
        wait_for_answers(&world);
        for (int i = 0; i < MANY; i++) {
            assert_error(&answers[i], OUTBOUND_OK, 200);
            assert_int_equal(answers[i].calls, 1);
            assert_int_equal(answers[i].result.connection_reused, round == 1);
        }
    }
    assert_int_equal(world.peer.connections, MANY);
    assert_int_equal(outbound_stats(world.outbound)->connections_reused, MANY);
    world_end(&world);
}

/* What is in flight when the outbound is freed is never called back. */
static void test_free_in_flight(void **state)
{
    (void)state;
    struct world world;
    struct answer answers[20];
    static const struct peer_reply silent = {"", PEER_SILENT, NULL};
    struct outbound_options options = default_options;
    options.in_flight_max = 20;
    world_init(&world, &options);
    peer_script(&world.peer, &silent, 1);
    struct outbound_call call = call_of(peer_url(&world));
    struct reactor_timer *timer = reactor_timer_new(world.reactor, on_stop, world.reactor);
    for (int i = 0; i < 20; i++)
        send_it(&world, &call, &answers[i]);
    while (world.peer.requests < 20) {
        reactor_timer_set(timer, 1);
        assert_int_equal(reactor_run(world.reactor), ST_OK);
    }
    reactor_timer_free(timer);
    world_end(&world);
    for (int i = 0; i < 20; i++)
        assert_int_equal(answers[i].calls, 0);
}

/* When libcurl fails as a whole, its transfers are given up as ours to repeat, and the next ones go
 * through. On the direct route that is only what was not connected yet; the rest goes on and here
 * waits in vain. */
static void test_multi_failure(void **state)
{
    (void)state;
    struct world world;
    struct answer answers[10];
    static const struct peer_reply silent = {"", PEER_SILENT, NULL};
    log_levels_apply(&(struct log_levels){.level = LOG_ERROR - 1});
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    for (int nth = 1; nth < 12; nth++) {
        peer_script(&world.peer, &silent, 1);
        call.total_timeout_ms = 200; /* should that many calls not be needed */
        socket_action_fails = nth;
        for (int i = 0; i < 10; i++)
            send_it(&world, &call, &answers[i]);
        wait_for_answers(&world);
        bool failed = socket_action_fails == 0;
        socket_action_fails = 0;
        for (int i = 0; i < 10; i++) {
            bool given_up = failed && answers[i].result.error == OUTBOUND_INTERNAL;
            if (failed && (nth == 1 || route == OUTBOUND_PLAIN))
                assert_true(given_up);
            assert_error(&answers[i], given_up ? OUTBOUND_INTERNAL : OUTBOUND_TIMEOUT, 0);
        }
        call.total_timeout_ms = 20000;
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answers[0]);
        assert_error(&answers[0], OUTBOUND_OK, 200);
        if (nth == 1)
            assert_int_equal(outbound_stats(world.outbound)->rebuilds, 1);
    }
    assert_int_equal(outbound_in_flight(world.outbound), 0);
    log_levels_apply(&(struct log_levels){.level = LOG_INFO});
    world_end(&world);
}

static void test_bad_options(void **state)
{
    (void)state;
    struct netguard guard = {.allow_private = true};
    struct outbound_options options = default_options;
    struct reactor *reactor = reactor_new();
    log_levels_apply(&(struct log_levels){.level = LOG_ERROR - 1});
    options.guard = &guard;
    options.ca_file = "/nonexistent/ca.pem";
    assert_null(outbound_new(reactor, &options));
    log_levels_apply(&(struct log_levels){.level = LOG_INFO});
    outbound_free(NULL);
    reactor_free(reactor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_names),
        cmocka_unit_test(test_retry_after_forms),
        cmocka_unit_test(test_request_bytes),
        cmocka_unit_test(test_spelling),
        cmocka_unit_test(test_default_port),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_body_sizes),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_endless_body),
        cmocka_unit_test(test_header_floods),
        cmocka_unit_test(test_slow_targets),
        cmocka_unit_test(test_unresponsive_host),
        cmocka_unit_test(test_no_connection),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_denied_addresses),
        cmocka_unit_test(test_allowed_among_denied),
        cmocka_unit_test(test_guard_on_kept_connections),
        cmocka_unit_test(test_right_to_send),
        cmocka_unit_test(test_right_to_send_again),
        cmocka_unit_test(test_insecure_http_denied),
        cmocka_unit_test(test_environment_is_ignored),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_target_closes_idle_connection),
        cmocka_unit_test(test_request_on_closing_connection),
        cmocka_unit_test(test_connections_are_bounded),
        cmocka_unit_test(test_limit_and_line_ends),
        cmocka_unit_test(test_send_from_done),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_free_in_flight),
        cmocka_unit_test(test_multi_failure),
        cmocka_unit_test(test_bad_options),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(240); /* a request that is never answered ends the test */
    int failed = cmocka_run_group_tests_name("direct route", tests, NULL, NULL);
    route = OUTBOUND_PLAIN;
    return failed + cmocka_run_group_tests_name("plain route", tests, NULL, NULL);
}
