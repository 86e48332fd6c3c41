/* Tests of requests that wait at their origin for a connection, on net/outbound's direct route. How
 * many connects that is worth is in test_direct_wait.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "net/direct_wait.h"
#include "outbound_fixture.h"

enum { MANY = 100, FIRST = DIRECT_CONNECTS_FIRST };

static struct answer answers[MANY];

static const struct outbound_options many_options = {
    .in_flight_max = MANY,
    .idle_connections_max = MANY,
};

/* ---- Targets that do not take connections --------------------------------------------------- */

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

/* Listens, and says nothing: TCP's handshake is the kernel's, TLS's never ends. */
static int listen_silently(int *port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, backlog), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

/* A listening socket whose queue is full drops further connections: nothing ever answers. */
struct black_hole {
    int listener;
    int port;
    int fillers[8];
};

static struct black_hole black_hole_open(void)
{
    struct black_hole hole;
    hole.listener = listen_silently(&hole.port, 0);
    connect_to_port = hole.port;
    for (int i = 0; i < 8; i++) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = 1};
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        hole.fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int failed = connect(hole.fillers[i], (const struct sockaddr *)&any, sizeof(any));
        assert_true(!failed || errno == EINPROGRESS);
    }
    return hole;
}

static void black_hole_close(struct black_hole *hole)
{
    connect_to_port = 0;
    for (int i = 0; i < 8; i++)
        close(hole->fillers[i]);
    close(hole->listener);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static void on_stop(void *arg)
{
    reactor_stop(arg);
}

/* Lets the loop run for a moment. */
static void turn(struct world *world)
{
    struct reactor_timer *timer = reactor_timer_new(world->reactor, on_stop, world->reactor);
    assert_non_null(timer);
    reactor_timer_set(timer, 1);
    assert_int_equal(reactor_run(world->reactor), ST_OK);
    reactor_timer_free(timer);
}

static void wait_for_requests(struct world *world, size_t requests)
{
    while (world->peer.requests < requests)
        turn(world);
    assert_int_equal(world->peer.requests, requests);
}

static void send_many(struct world *world, const struct outbound_call *call, size_t count,
                      struct outbound_request **handles)
{
    for (size_t i = 0; i < count; i++) {
        struct outbound_request *handle = send_it(world, call, &answers[i]);
        if (handles)
            handles[i] = handle;
    }
}

static void assert_all(size_t count, enum outbound_error error, int status_code)
{
    for (size_t i = 0; i < count; i++) {
        assert_error(&answers[i], error, status_code);
        assert_int_equal(answers[i].calls, 1);
    }
}

/* ---- What comes first ----------------------------------------------------------------------- */

/* A burst has few connects at a time, and needs fewer connections than it has requests. With no
 * room for idle ones, too: what comes free is not idle while somebody waits. */
static void test_burst(void **state)
{
    (void)state;
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    for (size_t idle_max = 0; idle_max <= MANY; idle_max += MANY) {
        struct world world;
        struct outbound_options options = many_options;
        options.idle_connections_max = idle_max;
        world_init(&world, &options);
        const struct outbound_stats *stats = outbound_stats(world.outbound);
        struct outbound_call call = call_of(peer_url(&world));
        peer_script(&world.peer, &reply, 1);
        send_many(&world, &call, MANY, NULL);
        wait_for_answers(&world);
        assert_all(MANY, OUTBOUND_OK, 200);
        assert_in_range(stats->connections_opened, FIRST, MANY - 1);
        assert_in_range(stats->connections_reused, 1, MANY - FIRST);
        assert_int_equal(world.peer.requests, MANY);
        if (idle_max == 0) {
            while (stats->connections_open > 0)
                turn(&world);
        } else {
            assert_int_equal(stats->connections_open, stats->connections_opened);
        }
        world_end(&world);
    }
}

/* A request whose connect hangs takes a connection that comes free. */
static void test_freed_while_connect_hangs(void **state)
{
    (void)state;
    struct world world;
    char by_name[64];
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    world_init(&world, &many_options);
    const struct outbound_stats *stats = outbound_stats(world.outbound);
    snprintf(by_name, sizeof(by_name), "http://localhost:%d/", world.peer.port);
    struct outbound_call call = call_of(peer_url(&world));
    struct outbound_call other = call_of(by_name); /* another origin, whose requests end the hold */
    exchange(&world, OK_REPLY, PEER_KEEP, &other, &answers[0]);
    assert_error(&answers[0], OUTBOUND_OK, 200);
    peer_script(&world.peer, &reply, 1);
    world.peer.hold = 2;
    send_it(&world, &call, &answers[0]);
    wait_for_requests(&world, 2);

    struct black_hole hole = black_hole_open();
    uint64_t opened = stats->connections_opened;
    send_it(&world, &call, &answers[1]);
    while (stats->connections_opened == opened)
        turn(&world);
    assert_int_equal(world.pending, 2);
    send_it(&world, &other, &answers[2]); /* the first is answered, its connection serves another */
    wait_for_requests(&world, 4);
    send_it(&world, &other, &answers[3]);
    wait_for_answers(&world);
    assert_all(4, OUTBOUND_OK, 200);
    assert_true(answers[1].result.connection_reused);
    assert_int_equal(stats->connections_opened, opened + 1);
    assert_int_equal(stats->connections_open, opened + 1); /* it is still tried */

    outbound_free(world.outbound); /* with a connect that nobody waits for */
    world.outbound = NULL;
    black_hole_close(&hole);
    world_end(&world);
}

/* ---- Stale connections ---------------------------------------------------------------------- */

/* All kept connections turn out to be closed. Each request goes out once more, on a connection that
 * nobody used before, though others come free meanwhile. */
static void test_all_stale(void **state)
{
    (void)state;
    enum { STALE = 40 };
    struct world world;
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    static struct peer_reply replies[STALE + 1];
    world_init(&world, &many_options);
    struct outbound_call call = call_of(peer_url(&world));
    peer_script(&world.peer, &reply, 1);
    world.peer.hold = STALE;
    send_many(&world, &call, STALE, NULL);
    wait_for_answers(&world);
    assert_int_equal(world.peer.connections, STALE);
    for (int i = 0; i < STALE; i++)
        replies[i] = (struct peer_reply){"", PEER_CLOSE, NULL};
    replies[STALE] = reply;
    peer_script(&world.peer, replies, STALE + 1);
    send_many(&world, &call, STALE, NULL);
    while (world.peer.requests < 2 * STALE)
        turn(&world);
    world.peer.hold = 1;
    wait_for_answers(&world);
    assert_all(STALE, OUTBOUND_OK, 200);
    for (int i = 0; i < STALE; i++)
        assert_false(answers[i].result.connection_reused);
    assert_int_equal(world.peer.connections, 2 * STALE);
    world_end(&world);
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* A target that never gets through with a handshake: few connects are tried for all, and all time
 * out when their time is up, not one after the other. */
static void test_nobody_connects(void **state)
{
    (void)state;
    static const struct {
        uint64_t connect_timeout_ms;
        uint64_t total_timeout_ms;
    } cases[] = {{200, 200 * 1000}, {200 * 1000, 200}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;
        char url[64];
        int port;
        world_init(&world, &many_options);
        int listener = listen_silently(&port, 128);
        snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port);
        struct outbound_call call = call_of(url);
        call.connect_timeout_ms = cases[i].connect_timeout_ms;
        call.total_timeout_ms = cases[i].total_timeout_ms;
        send_many(&world, &call, MANY, NULL);
        wait_for_answers(&world);
        assert_all(MANY, OUTBOUND_TIMEOUT, 0);
        for (size_t n = 0; n < MANY; n++) {
            assert_in_range(answers[n].result.duration_us, 140 * 1000, 100 * 1000 * 1000);
            assert_non_null(strstr(url, answers[n].result.address));
            assert_true(answers[n].result.address[0] != '\0');
            assert_false(answers[n].result.connection_reused);
        }
        assert_int_equal(outbound_stats(world.outbound)->connections_opened, FIRST);
        assert_int_equal(outbound_stats(world.outbound)->connections_open, 0);
        close(listener);
        world_end(&world);
    }
}

/* Whose time is up fails; a patient one at the same origin waits on. */
static void test_different_patience(void **state)
{
    (void)state;
    struct world world;
    char url[64];
    int port;
    world_init(&world, &many_options);
    int listener = listen_silently(&port, 128);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port);
    struct outbound_call call = call_of(url);
    call.connect_timeout_ms = 20000;
    struct outbound_request *patient = send_it(&world, &call, &answers[0]);
    call.connect_timeout_ms = 100;
    send_it(&world, &call, &answers[1]);
    while (answers[1].calls == 0)
        turn(&world);
    assert_error(&answers[1], OUTBOUND_TIMEOUT, 0);
    assert_int_equal(answers[0].calls, 0);
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, 2);
    assert_int_equal(outbound_stats(world.outbound)->connections_open, 1);
    outbound_cancel(patient);
    wait_for_answers(&world);
    assert_error(&answers[0], OUTBOUND_CANCELLED, 0);
    close(listener);
    world_end(&world);
}

/* One connection, on which each answer takes its time; further ones are not to be had. */
static void *serve_slowly(void *arg)
{
    const int *listener = arg;
    char request[4096];
    int fd = accept(*listener, NULL, NULL);
    while (read(fd, request, sizeof(request)) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
        if (write(fd, OK_REPLY, sizeof(OK_REPLY) - 1) < 0)
            break;
    }
    close(fd);
    return NULL;
}

/* As long as connections are to be had, those who wait longer than it may take to connect do not
 * fail by that: they wait for each other. */
static void test_patience_while_others_are_served(void **state)
{
    (void)state;
    enum { QUEUE = 12 };
    struct world world;
    pthread_t thread;
    char url[64];
    int port;
    world_init(&world, &many_options);
    int listener = listen_silently(&port, 128);
    assert_int_equal(pthread_create(&thread, NULL, serve_slowly, &listener), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    struct outbound_call call = call_of(url);
    send_it(&world, &call, &answers[0]);
    wait_for_answers(&world);
    struct black_hole hole = black_hole_open();
    call.connect_timeout_ms = 300;
    send_many(&world, &call, QUEUE, NULL);
    wait_for_answers(&world);
    assert_all(QUEUE, OUTBOUND_OK, 200);
    assert_true(answers[QUEUE - 1].result.duration_us > 500 * 1000);
    for (int i = 0; i < QUEUE; i++)
        assert_true(answers[i].result.connection_reused);
    outbound_free(world.outbound);
    world.outbound = NULL;
    pthread_join(thread, NULL);
    black_hole_close(&hole);
    close(listener);
    world_end(&world);
}

/* ---- Giving up ------------------------------------------------------------------------------ */

/* With those who are cancelled go the connects that are too many. Those who are left when all ends
 * are not called back. */
static void test_cancel_waiting(void **state)
{
    (void)state;
    struct world world;
    struct outbound_request *handles[MANY];
    char url[64];
    int port;
    world_init(&world, &many_options);
    const struct outbound_stats *stats = outbound_stats(world.outbound);
    int listener = listen_silently(&port, 128);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port);
    struct outbound_call call = call_of(url);
    call.connect_timeout_ms = call.total_timeout_ms = 200 * 1000; /* none ends by itself */
    send_many(&world, &call, MANY, handles);
    while (stats->connections_open < FIRST)
        turn(&world);
    for (int i = 0; i < MANY - 10; i++)
        outbound_cancel(handles[i]);
    assert_int_equal(stats->connections_open, 10);
    while (world.pending > 10)
        turn(&world);
    assert_all(MANY - 10, OUTBOUND_CANCELLED, 0);
    for (int i = MANY - 10; i < MANY - 5; i++)
        outbound_cancel(handles[i]);
    assert_int_equal(stats->connections_open, 5);
    while (world.pending > 5)
        turn(&world);
    assert_int_equal(stats->connections_opened, FIRST);
    close(listener);
    world_end(&world);
    for (int i = MANY - 5; i < MANY; i++)
        assert_int_equal(answers[i].calls, 0);
}

/* Nobody may send any more: no byte goes out, and no further connections are made to learn it. All
 * but the one that was last idle, and serve those who come next. */
static bool say_no(void *arg)
{
    (void)arg;
    return false;
}

static void test_right_ended_while_waiting(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &many_options);
    const struct outbound_stats *stats = outbound_stats(world.outbound);
    struct outbound_call call = call_of(peer_url(&world));
    call.may_send = say_no;
    send_many(&world, &call, MANY, NULL);
    wait_for_answers(&world);
    assert_all(MANY, OUTBOUND_CANCELLED, 0);
    assert_int_equal(world.peer.requests, 0);
    assert_int_equal(stats->connections_opened, FIRST);

    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    peer_script(&world.peer, &reply, 1);
    while (world.peer.connections < FIRST)
        turn(&world);
    call.may_send = NULL;
    world.peer.hold = FIRST - 1;
    send_many(&world, &call, FIRST - 1, NULL);
    wait_for_answers(&world);
    assert_all(FIRST - 1, OUTBOUND_OK, 200);
    for (int i = 0; i < FIRST - 1; i++)
        assert_true(answers[i].result.connection_reused);
    assert_int_equal(stats->connections_opened, FIRST);
    world_end(&world);
}

/* ---- No connection -------------------------------------------------------------------------- */

/* When nobody listens, all fail for that after one round of connects. Afterwards, when somebody
 * does, all is as ever. */
static void test_refused(void **state)
{
    (void)state;
    struct world world;
    int port;
    world_init(&world, &many_options);
    const struct outbound_stats *stats = outbound_stats(world.outbound);
    int listener = listen_silently(&port, 1);
    struct outbound_call call = call_of(peer_url(&world));
    close(listener);
    connect_to_port = port;
    send_many(&world, &call, MANY, NULL);
    wait_for_answers(&world);
    connect_to_port = 0;
    assert_all(MANY, OUTBOUND_CONNECTION_REFUSED, 0);
    for (int i = 0; i < MANY; i++)
        assert_non_null(strstr(call.url, answers[i].result.address));
    assert_int_equal(stats->connections_opened, FIRST);
    assert_int_equal(stats->connections_open, 0);
    static const struct peer_reply reply = {OK_REPLY, PEER_KEEP, NULL};
    peer_script(&world.peer, &reply, 1);
    send_many(&world, &call, MANY, NULL);
    wait_for_answers(&world);
    assert_all(MANY, OUTBOUND_OK, 200);
    world_end(&world);
}

/* The guard refuses: all fail, nothing is connected. */
static void test_denied(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &many_options);
    world.guard.allow_private = false;
    struct outbound_call call = call_of(peer_url(&world));
    send_many(&world, &call, MANY, NULL);
    wait_for_answers(&world);
    assert_all(MANY, OUTBOUND_ADDRESS_DENIED, 0);
    assert_int_equal(outbound_stats(world.outbound)->connections_opened, 0);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_freed_while_connect_hangs),
        cmocka_unit_test(test_all_stale),
        cmocka_unit_test(test_nobody_connects),
        cmocka_unit_test(test_different_patience),
        cmocka_unit_test(test_patience_while_others_are_served),
        cmocka_unit_test(test_cancel_waiting),
        cmocka_unit_test(test_right_ended_while_waiting),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_denied),
    };
    signal(SIGPIPE, SIG_IGN);
    alarm(240); /* a request that is never answered ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
