/* test_redis_server.c - the embedded redis-server: what it keeps, and who may die when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "net/lock_file.h"
#include "net/redis_conn.h"
#include "net/redis_server.h"
#include "redis_fixture.h"

struct fixture {
    struct loop loop;
    char dir[64];
    struct redis_server_options options;
    struct redis_server *server;
    struct redis_conn *conn;
    char answer[128];
    bool answered;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){0};
    make_dir(f->dir, sizeof(f->dir));
    f->options = (struct redis_server_options){.data_dir = f->dir, .durability = "always"};
    loop_start(&f->loop);
}

static void teardown(struct fixture *f)
{
    redis_conn_free(f->conn);
    redis_server_stop(f->server);
    loop_end(&f->loop);
    remove_dir(f->dir);
}

static bool is_ready(void *arg)
{
    const struct fixture *f = arg;
    return redis_conn_ready(f->conn);
}

static void start(struct fixture *f)
{
    char error[256] = "";
    enum status status =
        redis_server_start(f->loop.reactor, &f->options, &f->server, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(status, ST_OK);
    assert_true(redis_server_pid(f->server) > 0);
    const struct redis_options options = {.unix_path = redis_server_socket(f->server)};
    f->conn = redis_conn_new(f->loop.reactor, &options, NULL, NULL);
    assert_non_null(f->conn);
    loop_until(&f->loop, is_ready, f);
}

static void stop(struct fixture *f)
{
    redis_conn_free(f->conn);
    f->conn = NULL;
    redis_server_stop(f->server);
    f->server = NULL;
}

static void on_answer(void *arg, enum status status, const struct redis_value *reply)
{
    struct fixture *f = arg;
    assert_int_equal(status, ST_OK);
    snprintf(f->answer, sizeof(f->answer), "%.*s", SLICE_ARGS(redis_value_text(reply)));
    f->answered = true;
}

static bool is_answered(void *arg)
{
    const struct fixture *f = arg;
    return f->answered;
}

/* The text of the reply to up to three words. */
static const char *ask(struct fixture *f, const char *a, const char *b, const char *c)
{
    const struct slice words[] = {slice_str(a), slice_str(b), slice_str(c)};
    f->answered = false;
    assert_int_equal(redis_command(f->conn, words, c ? 3 : 2, on_answer, f), ST_OK);
    loop_until(&f->loop, is_answered, f);
    return f->answer;
}

/* True when the process is gone, waited for with a pidfd's patience but without one. */
static bool gone_soon(pid_t pid)
{
    for (int i = 0; i < PATIENCE_MS / 5; i++) {
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return true;
        pause_ms(5);
    }
    return false;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* Stopped and started: the data is there, the directory is private, the child gone in between. */
static void test_persists(void **state)
{
    (void)state;
    static const char *const levels[] = {"always", "everysec"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct stat info;
        char path[128];
        setup(&f);
        f.options.durability = levels[i];
        start(&f);
        assert_string_equal(ask(&f, "SET", "key", "kept"), "OK");
        snprintf(path, sizeof(path), "%s/redis", f.dir);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07777, 0700);
        snprintf(path, sizeof(path), "%s/redis/redis.sock", f.dir);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0700);
        pid_t pid = redis_server_pid(f.server);
        stop(&f);
        assert_int_equal(kill(pid, 0), -1);
        start(&f);
        assert_string_equal(ask(&f, "GET", "key", NULL), "kept");
        teardown(&f);
    }
}

static void on_config(void *arg, enum status status, const struct redis_value *reply)
{
    struct fixture *f = arg;
    assert_int_equal(status, ST_OK);
    f->answer[0] = '\0';
    for (size_t i = 0; i < redis_value_count(reply); i += 2) {
        size_t len = strlen(f->answer);
        snprintf(f->answer + len, sizeof(f->answer) - len, "%.*s=%.*s ",
                 SLICE_ARGS(redis_value_text(redis_value_at(reply, i))),
                 SLICE_ARGS(redis_value_text(redis_value_at(reply, i + 1))));
    }
    f->answered = true;
}

/* The options become Redis' configuration. */
static void test_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *durability, *setting, *value;
    } rows[] = {
        {"always", "appendonly", "appendonly=yes "},
        {"always", "appendfsync", "appendfsync=always "},
        {"everysec", "appendfsync", "appendfsync=everysec "},
        {"memory", "appendonly", "appendonly=no "},
        {"memory", "save", "save= "},
        {"memory", "maxmemory", "maxmemory=50000000 "},
        {"memory", "maxmemory-policy", "maxmemory-policy=noeviction "},
        {"memory", "port", "port=0 "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        setup(&f);
        f.options.durability = rows[i].durability;
        f.options.max_memory_bytes = 50000000;
        start(&f);
        const struct slice words[] = {SLICE("CONFIG"), SLICE("GET"), slice_str(rows[i].setting)};
        assert_int_equal(redis_command(f.conn, words, 3, on_config, &f), ST_OK);
        loop_until(&f.loop, is_answered, &f);
        assert_string_equal(f.answer, rows[i].value);
        teardown(&f);
    }
}

static bool is_restarted(void *arg)
{
    const struct fixture *f = arg;
    return redis_server_restarts(f->server) > 0 && redis_conn_ready(f->conn);
}

static bool is_dead(void *arg)
{
    const struct fixture *f = arg;
    return redis_server_pid(f->server) == 0;
}

/* kill -9 of the child: started again, by itself, with the data. */
static void test_killed_child(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    start(&f);
    ask(&f, "SET", "key", "kept");
    pid_t pid = redis_server_pid(f.server);
    kill(pid, SIGKILL);
    loop_until(&f.loop, is_dead, &f);
    loop_until(&f.loop, is_restarted, &f);
    assert_int_not_equal(redis_server_pid(f.server), pid);
    assert_string_equal(ask(&f, "GET", "key", NULL), "kept");
    teardown(&f);
}

/* An append-only file whose end was torn off does not keep it from starting. */
static void test_truncated_file(void **state)
{
    (void)state;
    struct fixture f;
    char command[256];
    setup(&f);
    start(&f);
    ask(&f, "SET", "key", "kept");
    ask(&f, "SET", "torn", "off");
    stop(&f);
    snprintf(command, sizeof(command), "truncate -s -3 %s/redis/appendonlydir/*.incr.aof", f.dir);
    assert_int_equal(system(command), 0);
    start(&f);
    assert_string_equal(ask(&f, "GET", "key", NULL), "kept");
    assert_string_equal(ask(&f, "GET", "torn", NULL), "");
    teardown(&f);
}

/* In a process of its own: starts the server, stores a key, says so, and waits for its end. */
static void be_parent(const char *dir, int report)
{
    struct fixture f = {0};
    f.options = (struct redis_server_options){.data_dir = dir, .durability = "always"};
    loop_start(&f.loop);
    start(&f);
    ask(&f, "SET", "key", "kept");
    pid_t pid = redis_server_pid(f.server);
    if (write(report, &pid, sizeof(pid)) == sizeof(pid))
        pause();
    _exit(1);
}

static pid_t start_parent(const char *dir, pid_t *child)
{
    int report[2];
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        be_parent(dir, report[1]);
    }
    close(report[1]);
    assert_int_equal(read(report[0], child, sizeof(*child)), sizeof(*child));
    close(report[0]);
    return parent;
}

/* kill -9 of the parent: the child ends, and a new start has the data. */
static void test_killed_parent(void **state)
{
    (void)state;
    struct fixture f;
    pid_t child;
    setup(&f);
    pid_t parent = start_parent(f.dir, &child);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    start(&f); /* at once, while the old child may still be ending */
    assert_true(gone_soon(child));
    assert_string_equal(ask(&f, "GET", "key", NULL), "kept");
    teardown(&f);
}

/* A helper process that holds the child's lock, as an old redis-server would that is slow to end,
 * for 300 ms. Returns when it is held. */
static pid_t hold_child_lock(const char *dir)
{
    int held[2];
    char path[128];
    char byte;
    assert_int_equal(pipe2(held, O_CLOEXEC), 0);
    snprintf(path, sizeof(path), "%s/redis", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/redis/lock", dir);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int lock;
        pid_t holder;
        if (lock_file_take(AT_FDCWD, path, &lock, &holder) != ST_OK || write(held[1], "x", 1) != 1)
            _exit(1);
        pause_ms(300);
        _exit(0);
    }
    close(held[1]);
    assert_int_equal(read(held[0], &byte, 1), 1);
    close(held[0]);
    return pid;
}

/* An old child that is slow to end is waited for: no second server before it is gone. */
static void test_waits_for_old_child(void **state)
{
    (void)state;
    struct fixture f;
    int status;
    setup(&f);
    pid_t holder = hold_child_lock(f.dir);
    start(&f);
    assert_int_equal(waitpid(holder, &status, WNOHANG), holder); /* it has ended by now */
    assert_int_equal(status, 0);
    teardown(&f);
}

/* Two parents on one directory: the second is told who the first is. */
static void test_second_parent(void **state)
{
    (void)state;
    struct fixture f;
    struct redis_server *second = NULL;
    char error[256];
    char expected[128];
    pid_t child;
    setup(&f);
    pid_t parent = start_parent(f.dir, &child);
    assert_int_equal(redis_server_start(f.loop.reactor, &f.options, &second, error, sizeof(error)),
                     ST_EXISTS);
    assert_null(second);
    snprintf(expected, sizeof(expected), "%s is in use by process %ld", f.dir, (long)parent);
    assert_non_null(strstr(error, expected));
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    assert_true(gone_soon(child));
    teardown(&f);
}

/* What cannot work is said in a sentence, and leaves nothing behind: the same directory can be
 * used afterwards. */
static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *program, *durability, *dir;
        enum status status;
        const char *error;
    } rows[] = {
        {"no-such-redis", "always", NULL, ST_NOTFOUND, "cannot find the program no-such-redis"},
        {"/no/such/redis", "always", NULL, ST_NOTFOUND, "cannot find the program /no/such/redis"},
        {"/etc", "always", NULL, ST_NOTFOUND, "cannot find the program /etc"},
        {NULL, "sometimes", NULL, ST_RANGE, "always, everysec or memory"},
        {NULL, "always", "/no/such/dir", ST_IO, "/no/such/dir: No such file or directory"},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redis_server_options options = {
            .data_dir = rows[i].dir ? rows[i].dir : f.dir,
            .durability = rows[i].durability,
            .program = rows[i].program,
        };
        struct redis_server *server = NULL;
        char error[256];
        assert_int_equal(
            redis_server_start(f.loop.reactor, &options, &server, error, sizeof(error)),
            rows[i].status);
        assert_null(server);
        assert_non_null(strstr(error, rows[i].error));
    }
    start(&f);
    teardown(&f);
}

/* A program that the kernel refuses to run: the errno of exec comes back. */
static void test_exec_fails(void **state)
{
    (void)state;
    struct fixture f;
    struct redis_server *server = NULL;
    char program[128];
    char error[256];
    setup(&f);
    snprintf(program, sizeof(program), "%s/not-a-program", f.dir);
    int fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, "\x7f nonsense", 10), 10);
    close(fd);
    f.options.program = program;
    assert_int_equal(redis_server_start(f.loop.reactor, &f.options, &server, error, sizeof(error)),
                     ST_IO);
    assert_non_null(strstr(error, "Exec format error"));
    f.options.program = NULL;
    start(&f);
    teardown(&f);
}

/* A data directory whose path no socket address can hold. */
static void test_long_path(void **state)
{
    (void)state;
    struct fixture f;
    char dir[256];
    setup(&f);
    snprintf(dir, sizeof(dir), "%s/%0150d", f.dir, 0);
    f.options.data_dir = dir;
    start(&f);
    assert_true(strlen(redis_server_socket(f.server)) <= 107);
    assert_string_equal(ask(&f, "SET", "key", "kept"), "OK");
    teardown(&f);
}

static int inherited(pid_t pid)
{
    char path[64];
    char target[256];
    int strange = 0;
    for (int fd = 3; fd < 64; fd++) {
        snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)pid, fd);
        ssize_t len = readlink(path, target, sizeof(target) - 1);
        if (len < 0)
            continue;
        target[len] = '\0';
        strange += strstr(target, "/canary") != NULL;
    }
    return strange;
}

/* The child gets the lock and nothing else of what we have open, and a process group of its own. */
static void test_inherits_only_the_lock(void **state)
{
    (void)state;
    struct fixture f;
    char path[128];
    char target[256] = "";
    setup(&f);
    snprintf(path, sizeof(path), "%s/canary", f.dir);
    int canary = open(path, O_WRONLY | O_CREAT, 0600); /* deliberately not close-on-exec */
    assert_true(canary >= 0);
    start(&f);
    pid_t pid = redis_server_pid(f.server);
    assert_int_equal(inherited(pid), 0);
    snprintf(path, sizeof(path), "/proc/%ld/fd/3", (long)pid);
    assert_true(readlink(path, target, sizeof(target) - 1) > 0);
    assert_non_null(strstr(target, "/redis/lock"));
    assert_int_equal(getpgid(pid), pid);
    close(canary);
    teardown(&f);
}

/* A lock is one holder's, and free again when it is closed. */
static void test_lock_file(void **state)
{
    (void)state;
    struct fixture f;
    char path[128];
    int first;
    int second;
    pid_t holder = -1;
    setup(&f);
    snprintf(path, sizeof(path), "%s/a-lock", f.dir);
    assert_int_equal(lock_file_take(AT_FDCWD, path, &first, &holder), ST_OK);
    assert_int_equal(lock_file_take(AT_FDCWD, path, &second, &holder), ST_EXISTS);
    assert_int_equal(holder, 0);
    assert_int_equal(lock_file_name_holder(first, 1234567), ST_OK);
    assert_int_equal(lock_file_name_holder(first, 42), ST_OK);
    assert_int_equal(lock_file_take(AT_FDCWD, path, &second, &holder), ST_EXISTS);
    assert_int_equal(holder, 42);
    close(first);
    assert_int_equal(lock_file_take(AT_FDCWD, path, &second, &holder), ST_OK);
    close(second);
    assert_int_equal(lock_file_take(AT_FDCWD, f.dir, &second, &holder), ST_IO);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_persists),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_killed_child),
        cmocka_unit_test(test_truncated_file),
        cmocka_unit_test(test_killed_parent),
        cmocka_unit_test(test_waits_for_old_child),
        cmocka_unit_test(test_second_parent),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_exec_fails),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_inherits_only_the_lock),
        cmocka_unit_test(test_lock_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
