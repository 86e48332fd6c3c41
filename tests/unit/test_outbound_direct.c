/* Tests of what only net/outbound's direct route has to get right: connections that we keep, write
 * and read ourselves. What both routes promise is in test_outbound.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "outbound_fixture.h"

/* ---- Time that jumps, and handles that are counted ------------------------------------------ */

static time_t ahead_s; /* of the real time, for all in this process */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec += ahead_s;
    return result;
}

static size_t handles_freed;

void curl_easy_cleanup(void *easy);

void curl_easy_cleanup(void *easy)
{
    static void (*real)(void *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "curl_easy_cleanup");
    handles_freed++;
    real(easy);
}

/* ---- Targets in a thread, which do what no server does -------------------------------------- */

struct target {
    int listener;
    int port;
    pthread_t thread;
    void (*serve)(struct target *target, int fd, int nth); /* then it is closed */
    /* What was seen; to be looked at after target_stop(). */
    int connections;
    size_t body_bytes;
    uint32_t body_sum;
};

static void *target_run(void *arg)
{
    struct target *target = arg;
    int fd;
    while ((fd = accept(target->listener, NULL, NULL)) >= 0) {
        target->serve(target, fd, target->connections++);
        close(fd);
    }
    return NULL;
}

static void target_start(struct target *target, void (*serve)(struct target *, int, int),
                         int receive_buffer_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *target = (struct target){.listener = socket(AF_INET, SOCK_STREAM, 0), .serve = serve};
    if (receive_buffer_bytes > 0)
        setsockopt(target->listener, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                   sizeof(receive_buffer_bytes));
    assert_int_equal(bind(target->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(target->listener, 16), 0);
    assert_int_equal(getsockname(target->listener, (struct sockaddr *)&address, &len), 0);
    target->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&target->thread, NULL, target_run, target), 0);
}

/* The connections to it must have ended, or end with the outbound. */
static void target_stop(struct target *target)
{
    shutdown(target->listener, SHUT_RDWR);
    pthread_join(target->thread, NULL);
    close(target->listener);
}

static const char *target_url(const struct target *target)
{
    static char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/hook", target->port);
    return url;
}

static uint32_t sum_of(uint32_t sum, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + (unsigned char)bytes[i];
    return sum;
}

/* Reads a head, a byte at a time, and gives the length of the body; false at the end. */
static bool read_head(int fd, size_t *body_bytes)
{
    static const char name[] = "\r\nContent-Length: ";
    char head[4096] = "";
    for (size_t len = 0; len + 1 < sizeof(head) && !strstr(head, "\r\n\r\n"); len++)
        if (read(fd, head + len, 1) != 1)
            return false;
    const char *length = strstr(head, name);
    *body_bytes = length ? strtoul(length + sizeof(name) - 1, NULL, 10) : 0;
    return true;
}

/* Reads the body in pieces of at most `piece` bytes. */
static void read_body(struct target *target, int fd, size_t body_bytes, size_t piece)
{
    char bytes[4096];
    target->body_bytes = target->body_sum = 0;
    while (target->body_bytes < body_bytes) {
        size_t left = body_bytes - target->body_bytes;
        ssize_t count = read(fd, bytes, left < piece ? left : piece);
        if (count <= 0)
            return;
        target->body_sum = sum_of(target->body_sum, bytes, (size_t)count);
        target->body_bytes += (size_t)count;
    }
}

static void write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_true(send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static void on_stop(void *arg)
{
    reactor_stop(arg);
}

/* Lets the loop run until so many connections are open. */
static void wait_for_open(struct world *world, uint64_t open)
{
    struct reactor_timer *timer = reactor_timer_new(world->reactor, on_stop, world->reactor);
    assert_non_null(timer);
    while (outbound_stats(world->outbound)->connections_open != open) {
        reactor_timer_set(timer, 1);
        assert_int_equal(reactor_run(world->reactor), ST_OK);
    }
    reactor_timer_free(timer);
}

/* Lets the loop run until so many requests were read by the peer. */
static void wait_for_requests(struct world *world, size_t requests)
{
    struct reactor_timer *timer = reactor_timer_new(world->reactor, on_stop, world->reactor);
    assert_non_null(timer);
    while (world->peer.requests < requests) {
        reactor_timer_set(timer, 1);
        assert_int_equal(reactor_run(world->reactor), ST_OK);
    }
    reactor_timer_free(timer);
}

/* ---- Requests ------------------------------------------------------------------------------- */

static char large[8 * 1024 * 1024];

static void fill_large(void)
{
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 2654435761u >> 13);
}

static void serve_slow_reader(struct target *target, int fd, int nth)
{
    size_t body_bytes;
    (void)nth;
    while (read_head(fd, &body_bytes)) {
        read_body(target, fd, body_bytes, 1000);
        write_all(fd, OK_REPLY);
    }
}

/* A large body, twice: it arrives whole and in order, and the connection is kept. */
static void expect_whole_body(void (*serve)(struct target *, int, int))
{
    struct world world;
    struct target target;
    struct answer answer;
    fill_large();
    world_init(&world, &default_options);
    target_start(&target, serve, 4096);
    struct outbound_call call = call_of(target_url(&target));
    call.body = slice_of(large, sizeof(large));
    for (int i = 0; i < 2; i++) {
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_int_equal(answer.result.connection_reused, i > 0);
    }
    outbound_free(world.outbound);
    world.outbound = NULL;
    target_stop(&target);
    assert_int_equal(target.body_bytes, sizeof(large));
    assert_int_equal(target.body_sum, sum_of(0, large, sizeof(large)));
    world_end(&world);
}

/* A large body goes out in as many writes as a small window wants, whole and in order, and the
 * connection is good for the next one. */
static void test_slow_reader(void **state)
{
    (void)state;
    expect_whole_body(serve_slow_reader);
}

/* Answers when it has the head, then takes the body. */
static void serve_200_first(struct target *target, int fd, int nth)
{
    size_t body_bytes;
    (void)nth;
    while (read_head(fd, &body_bytes)) {
        write_all(fd, OK_REPLY);
        read_body(target, fd, body_bytes, 4096);
    }
}

/* Who says 200 before he has read the body gets all of it, and the connection stays good. */
static void test_accepted_early(void **state)
{
    (void)state;
    expect_whole_body(serve_200_first);
}

/* Refuses when it has the head, reads no body, and waits for the client to go. With a reset the
 * answer is in front of an error. */
static void serve_413(struct target *target, int fd, int nth)
{
    size_t body_bytes;
    char byte;
    if (!read_head(fd, &body_bytes))
        return;
    write_all(fd, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    if (nth % 2 == 0)
        return; /* closing with the body unread is a reset */
    while (read(fd, &byte, 1) > 0 && ++target->body_bytes < 1000)
        continue;
}

/* A refusal that overtakes the body is the answer; the rest is not sent. */
static void test_refused_early(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    struct answer answer;
    world_init(&world, &default_options);
    target_start(&target, serve_413, 4096);
    struct outbound_call call = call_of(target_url(&target));
    call.body = slice_of(large, sizeof(large));
    for (int i = 0; i < 20; i++) {
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, 413);
        assert_false(answer.result.connection_reused);
        assert_true(slice_eq(answer.result.body_head, SLICE("big")));
        assert_int_equal(outbound_stats(world.outbound)->connections_open, 0);
    }
    target_stop(&target);
    world_end(&world);
}

/* Reads a part of the body, and then: a 200, of which the rest of the body never comes to know. */
static void serve_200_and_reset(struct target *target, int fd, int nth)
{
    size_t body_bytes;
    (void)target;
    (void)nth;
    if (read_head(fd, &body_bytes))
        write_all(fd, OK_REPLY);
    reset_on_close(fd);
}

/* Who says 200 and then does not take the body has not got it. */
static void test_accepted_early_and_cut(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    struct answer answer;
    world_init(&world, &default_options);
    target_start(&target, serve_200_and_reset, 4096);
    struct outbound_call call = call_of(target_url(&target));
    call.body = slice_of(large, sizeof(large));
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    assert_int_equal(answer.result.error, OUTBOUND_CONNECTION_RESET);
    target_stop(&target);
    world_end(&world);
}

/* ---- Responses ------------------------------------------------------------------------------ */

static const char chunked[] = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                              "HTTP/1.1 200 OK\r\nRetry-After: 7\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nT: t\r\n\r\n";

static void serve_in_bytes(struct target *target, int fd, int nth)
{
    int yes = 1;
    size_t body_bytes;
    (void)target;
    (void)nth;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &yes, sizeof(yes));
    while (read_head(fd, &body_bytes)) {
        read_body(target, fd, body_bytes, 4096);
        for (size_t i = 0; chunked[i]; i++)
            if (send(fd, chunked + i, 1, MSG_NOSIGNAL) != 1)
                return;
    }
}

/* A response of single bytes is read to its end and not beyond. */
static void test_response_in_bytes(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    struct answer answer;
    world_init(&world, &default_options);
    target_start(&target, serve_in_bytes, 0);
    struct outbound_call call = call_of(target_url(&target));
    for (int i = 0; i < 10; i++) {
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_true(slice_eq(answer.result.body_head, SLICE("hello world")));
        assert_int_equal(answer.result.retry_after_ms, 7000);
        assert_int_equal(answer.result.connection_reused, i > 0);
    }
    outbound_free(world.outbound);
    world.outbound = NULL;
    target_stop(&target);
    world_end(&world);
}

/* After these answers the connection is not used again, though it stands. */
static void test_answers_that_end_connections(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        int status_code;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n", 200},
        {"HTTP/1.1 204 No Content\r\n\r\nok", 204},
    };
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        exchange(&world, cases[i].reply, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, cases[i].status_code);
        assert_false(answer.result.connection_reused);
        assert_int_equal(outbound_stats(world.outbound)->connections_open, 0);
    }
    world_end(&world);
}

/* What is there before anything was asked: an answer given in advance, another protocol, the end.
 */
static void serve_at_once(struct target *target, int fd, int nth)
{
    char byte;
    (void)target;
    static const char *const texts[] = {
        "HTTP/1.1 408 Too Slow\r\nConnection: close\r\nContent-Length: 4\r\n\r\nslow",
        "SSH-2.0-OpenSSH_9.2p1\r\n", ""};
    write_all(fd, texts[nth % 3]);
    shutdown(fd, SHUT_WR);
    while (read(fd, &byte, 1) > 0)
        continue;
}

static void test_data_at_connect(void **state)
{
    (void)state;
    static const struct {
        enum outbound_error error;
        int status_code;
    } expected[] = {{OUTBOUND_OK, 408}, {OUTBOUND_PROTOCOL, 0}, {OUTBOUND_CONNECTION_RESET, 0}};
    struct world world;
    struct target target;
    struct answer answer;
    world_init(&world, &default_options);
    target_start(&target, serve_at_once, 0);
    struct outbound_call call = call_of(target_url(&target));
    for (int i = 0; i < 30; i++) {
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, expected[i % 3].error, expected[i % 3].status_code);
        assert_int_equal(outbound_stats(world.outbound)->connections_open, 0);
    }
    target_stop(&target);
    world_end(&world);
}

/* ---- Stale connections ---------------------------------------------------------------------- */

/* How a kept connection ends with the second request on it, and what becomes of that request. */
static void test_stale_connections(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum peer_then then;
        enum outbound_error error;
        size_t requests; /* seen by the target, with the first one */
    } cases[] = {
        {"", PEER_CLOSE, OUTBOUND_OK, 3},
        {"", PEER_RESET, OUTBOUND_OK, 3},
        {"H", PEER_CLOSE, OUTBOUND_CONNECTION_RESET, 2},
        {"HTTP/1.1 200 OK\r\n", PEER_RESET, OUTBOUND_CONNECTION_RESET, 2},
        {"xyz", PEER_CLOSE, OUTBOUND_PROTOCOL, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;
        struct answer answer;
        const struct peer_reply replies[] = {{OK_REPLY, PEER_KEEP, NULL},
                                             {cases[i].text, cases[i].then, NULL},
                                             {OK_REPLY, PEER_KEEP, NULL}};
        world_init(&world, &default_options);
        struct outbound_call call = call_of(peer_url(&world));
        peer_script(&world.peer, replies, 3);
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, 200);
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, cases[i].error, cases[i].error == OUTBOUND_OK ? 200 : 0);
        assert_int_equal(world.peer.requests, cases[i].requests);
        assert_int_equal(answer.result.connection_reused, cases[i].error != OUTBOUND_OK);
        world_end(&world);
    }
}

/* A new connection is no stale one: its end is the request's, and it is not sent again. Nor is what
 * was sent again. */
static void test_sent_again_once(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    static const struct peer_reply replies[] = {{OK_REPLY, PEER_KEEP, NULL},
                                                {"", PEER_CLOSE, NULL}};
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    peer_script(&world.peer, replies, 2);
    send_it(&world, &call, &answer);
    wait_for_answers(&world);
    send_it(&world, &call, &answer); /* on the kept one, then on a new one */
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_CONNECTION_RESET, 0);
    assert_int_equal(world.peer.requests, 3);
    send_it(&world, &call, &answer); /* on a new one */
    wait_for_answers(&world);
    assert_error(&answer, OUTBOUND_CONNECTION_RESET, 0);
    assert_int_equal(world.peer.requests, 4);
    world_end(&world);
}

/* An idle connection that is reset, or on which something comes unasked, is forgotten at once. */
static void serve_then_break(struct target *target, int fd, int nth)
{
    size_t body_bytes;
    char byte;
    if (!read_head(fd, &body_bytes))
        return;
    read_body(target, fd, body_bytes, 4096);
    write_all(fd, OK_REPLY);
    if (nth % 2 == 0) {
        reset_on_close(fd);
        return;
    }
    write_all(fd, "HTTP/1.1 408 Idle\r\nContent-Length: 0\r\n\r\n");
    while (read(fd, &byte, 1) > 0)
        continue;
}

static void test_idle_connections_break(void **state)
{
    (void)state;
    struct world world;
    struct target target;
    struct answer answer;
    world_init(&world, &default_options);
    target_start(&target, serve_then_break, 0);
    struct outbound_call call = call_of(target_url(&target));
    for (int i = 0; i < 10; i++) {
        send_it(&world, &call, &answer);
        wait_for_answers(&world);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_false(answer.result.connection_reused);
        wait_for_open(&world, 0);
    }
    target_stop(&target);
    assert_int_equal(target.connections, 10);
    world_end(&world);
}

/* ---- Bounds --------------------------------------------------------------------------------- */

/* A connection that idles too long is closed by a timer, not by the next request. */
static void test_idle_bound(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    struct outbound_options options = default_options;
    options.idle_age_max_ms = 30;
    world_init(&world, &options);
    struct outbound_call call = call_of(peer_url(&world));
    for (int i = 0; i < 3; i++) {
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_false(answer.result.connection_reused);
        wait_for_open(&world, 0);
    }
    world_end(&world);
}

/* A connection in use all the time is given up when it is old. */
static void test_age_bound(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    struct outbound_options options = default_options;
    options.connection_age_max_ms = 50;
    world_init(&world, &options);
    struct outbound_call call = call_of(peer_url(&world));
    size_t reused = 0;
    while (world.peer.connections < 3) {
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
        reused += answer.result.connection_reused;
        assert_true(outbound_stats(world.outbound)->connections_open <= 1);
    }
    assert_true(reused > 0);
    world_end(&world);
}

/* Of several idle connections the last one used is taken, so that the others grow old and go. */
static void test_last_in_first_out(void **state)
{
    (void)state;
    enum { MANY = 3 };
    struct world world;
    struct answer answers[MANY];
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    struct outbound_options options = default_options;
    options.idle_age_max_ms = 60;
    world_init(&world, &options);
    struct outbound_call call = call_of(peer_url(&world));
    peer_script(&world.peer, &reply, 1);
    world.peer.hold = MANY;
    for (int i = 0; i < MANY; i++)
        send_it(&world, &call, &answers[i]);
    wait_for_answers(&world);
    assert_int_equal(world.peer.connections, MANY);
    world.peer.hold = 1;
    while (outbound_stats(world.outbound)->connections_open > 1) {
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answers[0]);
        assert_error(&answers[0], OUTBOUND_OK, 200);
        assert_true(answers[0].result.connection_reused);
    }
    assert_int_equal(world.peer.connections, MANY);
    world_end(&world);
}

/* With room for none, none is kept; with room for one, the one that idled longest goes. */
static void test_idle_count(void **state)
{
    (void)state;
    struct world world;
    struct answer answers[3];
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    for (size_t max = 0; max < 3; max++) {
        struct outbound_options options = default_options;
        options.idle_connections_max = max;
        world_init(&world, &options);
        struct outbound_call call = call_of(peer_url(&world));
        peer_script(&world.peer, &reply, 1);
        world.peer.hold = 3;
        for (int i = 0; i < 3; i++)
            send_it(&world, &call, &answers[i]);
        wait_for_answers(&world);
        assert_int_equal(outbound_stats(world.outbound)->connections_open, max);
        world_end(&world);
    }
}

/* More connections than one multi of libcurl's takes: they are spread over several, all serve, and
 * all go. */
static void test_many_multis(void **state)
{
    (void)state;
    enum { MANY = 200 };
    static struct answer answers[MANY];
    struct world world;
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    struct outbound_options options = default_options;
    options.in_flight_max = options.idle_connections_max = MANY;
    options.direct_tls = OUTBOUND_TLS_LIBCURL; /* then a multi has 64 */
    options.idle_age_max_ms = 1000;
    world_init(&world, &options);
    struct outbound_call call = call_of(peer_url(&world));
    peer_script(&world.peer, &reply, 1);
    for (int round = 0; round < 3; round++) {
        world.peer.hold = MANY;
        for (int i = 0; i < MANY; i++)
            send_it(&world, &call, &answers[i]);
        wait_for_answers(&world);
        for (int i = 0; i < MANY; i++) {
            assert_error(&answers[i], OUTBOUND_OK, 200);
            assert_int_equal(answers[i].result.connection_reused, round == 1);
        }
        if (round == 1)
            peer_close_connections(&world.peer);
        if (round == 1)
            wait_for_open(&world, 0);
    }
    assert_int_equal(world.peer.connections, 2 * MANY);
    world_end(&world);
}

/* ---- Without libcurl ------------------------------------------------------------------------ */

/* A connection that stands needs no handle, and outlives the one that made it: it is used again,
 * and closed by us. */
static void test_connection_without_handle(void **state)
{
    (void)state;
    struct world world;
    struct answer answer;
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    handles_freed = 0;
    for (int i = 0; i < 3; i++) {
        exchange(&world, OK_REPLY, PEER_KEEP, &call, &answer);
        assert_error(&answer, OUTBOUND_OK, 200);
        assert_int_equal(answer.result.connection_reused, i > 0);
        assert_int_equal(outbound_stats(world.outbound)->connections_open, 1);
        assert_int_equal(handles_freed, 1);
    }
    assert_int_equal(world.peer.connections, 1);
    peer_close_connections(&world.peer);
    wait_for_open(&world, 0);
    world_end(&world);
    assert_int_equal(handles_freed, 1);
}

/* A connection that has waited for its answer longer than libcurl keeps idle ones (118 s) is not
 * closed when libcurl makes another. */
static void test_longer_than_libcurl_waits(void **state)
{
    (void)state;
    struct world world;
    struct answer answers[2];
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    world_init(&world, &default_options);
    struct outbound_call call = call_of(peer_url(&world));
    call.total_timeout_ms = call.connect_timeout_ms = 3600 * 1000;
    peer_script(&world.peer, &reply, 1);
    world.peer.hold = 2;
    send_it(&world, &call, &answers[0]);
    wait_for_requests(&world, 1);
    ahead_s += 1000;
    send_it(&world, &call, &answers[1]);
    wait_for_answers(&world);
    for (int i = 0; i < 2; i++) {
        assert_error(&answers[i], OUTBOUND_OK, 200);
        assert_false(answers[i].result.connection_reused);
    }
    assert_int_equal(world.peer.connections, 2);
    assert_int_equal(outbound_stats(world.outbound)->connections_open, 2);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_accepted_early),
        cmocka_unit_test(test_refused_early),
        cmocka_unit_test(test_accepted_early_and_cut),
        cmocka_unit_test(test_response_in_bytes),
        cmocka_unit_test(test_answers_that_end_connections),
        cmocka_unit_test(test_data_at_connect),
        cmocka_unit_test(test_stale_connections),
        cmocka_unit_test(test_sent_again_once),
        cmocka_unit_test(test_idle_connections_break),
        cmocka_unit_test(test_idle_bound),
        cmocka_unit_test(test_age_bound),
        cmocka_unit_test(test_last_in_first_out),
        cmocka_unit_test(test_idle_count),
        cmocka_unit_test(test_many_multis),
        cmocka_unit_test(test_connection_without_handle),
        cmocka_unit_test(test_longer_than_libcurl_waits),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(240); /* a request that is never answered ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
