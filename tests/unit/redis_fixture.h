/* redis_fixture.h - for tests: a redis-server of one's own, and a loop that runs until something is
 * so. Included once by each test program, after cmocka.h. */
#ifndef TROTLINE_TESTS_REDIS_FIXTURE_H
#define TROTLINE_TESTS_REDIS_FIXTURE_H

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/reactor.h"

enum { PATIENCE_MS = 30000 };

/* ---- The loop ------------------------------------------------------------------------------- */

typedef bool condition_fn(void *arg);

struct loop {
    struct reactor *reactor;
    struct reactor_timer *deadline;
    condition_fn *condition;
    void *arg;
    bool late;
};

static void loop_check(void *arg)
{
    struct loop *loop = arg;
    if (loop->condition && loop->condition(loop->arg))
        reactor_stop(loop->reactor);
    log_flush();
}

static void loop_give_up(void *arg)
{
    struct loop *loop = arg;
    loop->late = true;
    reactor_stop(loop->reactor);
}

static void loop_start(struct loop *loop)
{
    *loop = (struct loop){.reactor = reactor_new()};
    assert_non_null(loop->reactor);
    loop->deadline = reactor_timer_new(loop->reactor, loop_give_up, loop);
    assert_non_null(loop->deadline);
    reactor_add_hook(loop->reactor, "test", loop_check, loop);
}

static void loop_end(struct loop *loop)
{
    reactor_timer_free(loop->deadline);
    reactor_free(loop->reactor);
    log_flush_all();
}

/* Runs turns until the condition holds; false when it did not within `ms`. */
static inline bool loop_until_within(struct loop *loop, condition_fn *condition, void *arg,
                                     uint64_t ms)
{
    loop->condition = condition;
    loop->arg = arg;
    loop->late = false;
    clock_expire();
    if (condition && condition(arg))
        return true;
    reactor_timer_set(loop->deadline, ms);
    assert_int_equal(reactor_run(loop->reactor), ST_OK);
    reactor_timer_cancel(loop->deadline);
    loop->condition = NULL;
    return !loop->late;
}

static inline void loop_until(struct loop *loop, condition_fn *condition, void *arg)
{
    assert_true(loop_until_within(loop, condition, arg, PATIENCE_MS));
}

/* ---- Ports ---------------------------------------------------------------------------------- */

static inline int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A port at which nobody listens. */
static inline uint16_t free_port(void)
{
    uint16_t port;
    close(listen_on_loopback(&port));
    return port;
}

/* ---- A server ------------------------------------------------------------------------------- */

struct server {
    char dir[64];
    char socket[96];
    pid_t pid;
};

static inline void pause_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

static inline bool socket_answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    bool answers = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return answers;
}

static inline void make_dir(char *dir, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, size, "%s/trotline-XXXXXX", base && strlen(base) < 30 ? base : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static inline void remove_dir(const char *dir)
{
    char command[512];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

/* Launches redis-server in server->dir with up to four more arguments and waits till it listens. */
static inline void server_launch(struct server *server, const char *const *more)
{
    const char *argv[20] = {
        "redis-server", "--port",    "0",         "--unixsocket", server->socket, "--save", "",
        "--dir",        server->dir, "--logfile", "redis.log",    "--appendonly", "no"};
    for (size_t i = 0; more && more[i]; i++)
        argv[13 + i] = more[i];
    unlink(server->socket);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    for (int i = 0; i < PATIENCE_MS / 5 && !socket_answers(server->socket); i++) {
        assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
        pause_ms(5);
    }
    assert_true(socket_answers(server->socket));
}

static inline void server_start(struct server *server, const char *const *more)
{
    make_dir(server->dir, sizeof(server->dir));
    snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
    server_launch(server, more);
}

static inline void server_kill(struct server *server)
{
    if (!server->pid)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

static inline void server_end(struct server *server)
{
    server_kill(server);
    remove_dir(server->dir);
}

#endif
