/* redis_server.c - starts redis-server, watches it, and ends it.
 *
 *      start: lock DATA -> lock DATA/redis (waiting for a predecessor's child) -> launch
 *      launch -> running --SIGCHLD--> pause -> launch …
 *      stop: SIGTERM -> (15 s) -> SIGKILL -> unlock
 *
 * The lock on DATA/redis is a flock on an open file that the child inherits as descriptor 3. Redis
 * never touches it, and neither do the children it forks for rewriting its file, so the lock ends
 * when the last process that could write there is gone, whatever killed it. A pid file alone was
 * rejected: it outlives its process, and its number is used again.
 *
 * The child enters DATA/redis before it becomes redis-server, and all paths in its configuration
 * are relative to that: nothing needs quoting, and its socket's path fits however deep DATA is. Our
 * side of a path too long for a socket address goes through /proc/PID/fd/N/redis.sock; a second
 * socket under /tmp was rejected because nobody would remove it after a kill.
 *
 * Between fork and exec only async-signal-safe calls are made, since a thread of curl's or of a
 * name lookup may hold a lock of malloc's. If exec fails, its errno comes back through a pipe that
 * a successful exec closes. The child gets a process group of its own, so that ^C on the terminal
 * reaches us alone, and Redis is still there while we finish.
 */
#include "net/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/lock_file.h"
#include "net/redis_dial.h"

enum {
    PREDECESSOR_MS = 30 * 1000,
    STOP_MS = 15 * 1000,
    POLL_MS = 10,
    RESTART_FIRST_MS = 100,
    RESTART_LAST_MS = 5000,
    STEADY_MS = 10 * 1000, /* having run this long, the next pause is the first again */
    CONFIG_BYTES = 4096,
    LOCK_FD = 3, /* in the child */
    REPORT_FD = 4
};

struct redis_server {
    struct reactor *reactor;
    char *program;  /* absolute */
    int data_lock;  /* the descriptors are -1 while not open */
    int dir;        /* DATA/redis */
    int child_lock; /* DATA/redis/lock */
    char socket[REDIS_UNIX_PATH_MAX + 1];
    pid_t pid; /* 0 while none runs */
    uint64_t started_ms;
    unsigned failures; /* in a row */
    uint64_t restarts;
    struct event *child_signal;
    struct reactor_timer *restart;
};

/* Where a failure's sentence goes. */
struct complaint {
    char *text;
    size_t size;
};

static enum status complain(const struct complaint *to, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status complain(const struct complaint *to, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(to->text, to->size, format, args);
    va_end(args);
    return status;
}

static void sleep_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static uint64_t now_ms(void)
{
    return clock_now_us() / 1000; /* the loop's clock stands still while we block */
}

/* ---- The program and its configuration ------------------------------------------------------ */

/* An absolute path of something executable, or NULL. Links are not resolved: Debian's redis-server
 * is a link to redis-check-rdb, and the program goes by the name it is called with. */
static char *executable(const char *dir, size_t dir_len, const char *name)
{
    char path[PATH_MAX];
    char here[PATH_MAX] = "";
    struct stat info;
    if (*(dir_len ? dir : name) != '/' && !getcwd(here, sizeof(here)))
        return NULL;
    int len = snprintf(path, sizeof(path), "%s%s%.*s%s%s", here, here[0] ? "/" : "", (int)dir_len,
                       dir, dir_len ? "/" : "", name);
    if (len >= (int)sizeof(path) || stat(path, &info) != 0 || !S_ISREG(info.st_mode) ||
        access(path, X_OK) != 0)
        return NULL;
    return strdup(path);
}

static char *find_program(const char *name)
{
    if (strchr(name, '/'))
        return executable("", 0, name);
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path) {
        size_t len = strcspn(path, ":");
        char *found = len ? executable(path, len, name) : NULL;
        if (found)
            return found;
        path += len + (path[len] == ':');
    }
    return NULL;
}

/* The append-only file is mostly of batches that are long closed. With Redis's own 64 MiB a busy
 * server would fork every few seconds, and the child compress on the CPU that Redis needs: some
 * milliseconds of standstill each time, and every page written afterwards copied first. */
static enum status write_config(const struct redis_server *server,
                                const struct redis_server_options *options)
{
    struct buf text;
    bool append_only = strcmp(options->durability, "memory") != 0;
    buf_init(&text, CONFIG_BYTES);
    buf_add_str(&text, "# Written by trotline at each start; changes are lost.\n"
                       "daemonize no\n"
                       "supervised no\n"
                       "port 0\n"
                       "unixsocket redis.sock\n"
                       "unixsocketperm 700\n"
                       "loglevel notice\n"
                       "logfile redis.log\n"
                       "dir .\n"
                       "save \"\"\n"
                       "aof-use-rdb-preamble yes\n"
                       "aof-load-truncated yes\n"
                       "rdbcompression no\n"
                       "auto-aof-rewrite-min-size 512mb\n"
                       "latency-tracking no\n"
                       "hash-max-listpack-value 4096\n"
                       "hash-max-listpack-entries 128\n"
                       "stream-node-max-bytes 16384\n"
                       "maxmemory-policy noeviction\n");
    buf_addf(&text, "appendonly %s\n", append_only ? "yes" : "no");
    if (append_only)
        buf_addf(&text, "appendfsync %s\n", options->durability);
    buf_addf(&text, "maxmemory %llu\n", (unsigned long long)options->max_memory_bytes);
    enum status status = buf_status(&text);
    int fd = -1;
    if (status == ST_OK) {
        fd = openat(server->dir, "redis.conf", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text.ptr, text.len) != (ssize_t)text.len)
            status = ST_IO;
    }
    if (fd >= 0 && close(fd) != 0)
        status = ST_IO;
    buf_free(&text);
    return status;
}

/* ---- Launching ------------------------------------------------------------------------------ */

struct launch {
    pid_t parent;
    int input;  /* /dev/null */
    int output; /* redis.log, for what redis-server says before it opens it */
    int report; /* errno of what failed goes here */
};

/* A copy of the descriptor out of the way of the low numbers we are about to assign. */
static int above(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, REPORT_FD + 1);
}

/* In the child. Returns only when something failed; errno tells. */
static void become_redis(const struct redis_server *server, const struct launch *launch, int report)
{
    char config[] = "redis.conf";
    char *const argv[] = {server->program, config, NULL};
    int lock = above(server->child_lock);
    int input = above(launch->input);
    int output = above(launch->output);
    sigset_t none;
    sigemptyset(&none);
    umask(077);
    if (lock < 0 || input < 0 || output < 0 || fchdir(server->dir) != 0 ||
        dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || dup2(lock, LOCK_FD) < 0 ||
        dup3(report, REPORT_FD, O_CLOEXEC) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return;
    closefrom(REPORT_FD + 1);
    execv(server->program, argv);
}

__attribute__((noreturn)) static void child_main(const struct redis_server *server,
                                                 const struct launch *launch)
{
    int report = above(launch->report);
    /* We may have died between fork and prctl; then nobody would ever send the signal. */
    if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == launch->parent)
        become_redis(server, launch, report);
    int error = errno;
    /* Either place is the pipe, depending on how far it came; the other is not writable. */
    if (write(report, &error, sizeof(error)) != sizeof(error) &&
        write(REPORT_FD, &error, sizeof(error)) != sizeof(error))
        _exit(126);
    _exit(127);
}

/* Forks. ST_OK when the child runs redis-server; ST_IO with errno set otherwise. */
static enum status fork_child(struct redis_server *server, struct launch *launch)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return ST_IO;
    launch->parent = getpid();
    launch->report = pipe_fds[1];
    pid_t pid = fork();
    if (pid == 0)
        child_main(server, launch);
    int error = pid < 0 ? errno : 0;
    close(pipe_fds[1]);
    if (pid > 0) {
        ssize_t len;
        while ((len = read(pipe_fds[0], &error, sizeof(error))) < 0 && errno == EINTR)
            ;
        if (len == 0)
            server->pid = pid;
        else
            waitpid(pid, NULL, 0);
    }
    close(pipe_fds[0]);
    errno = error;
    return server->pid ? ST_OK : ST_IO;
}

static enum status launch(struct redis_server *server)
{
    struct launch launch = {.input = -1, .output = -1};
    enum status status = ST_IO;
    launch.input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    launch.output =
        openat(server->dir, "redis.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (launch.input >= 0 && launch.output >= 0)
        status = fork_child(server, &launch);
    int error = errno;
    if (launch.input >= 0)
        close(launch.input);
    if (launch.output >= 0)
        close(launch.output);
    if (status == ST_OK) {
        server->started_ms = now_ms();
        log_info("redis_server.started", "pid=%ld socket=%s", (long)server->pid,
                 log_quote(slice_str(server->socket)));
        if (lock_file_name_holder(server->child_lock, server->pid) != ST_OK)
            log_warn("redis_server.lock_unnamed", "errno=%d", errno);
    }
    errno = error;
    return status;
}

/* ---- Watching ------------------------------------------------------------------------------- */

static void restart_later(struct redis_server *server)
{
    uint64_t pause_ms = RESTART_LAST_MS;
    if (server->failures < 6 && RESTART_FIRST_MS << server->failures < RESTART_LAST_MS)
        pause_ms = (uint64_t)RESTART_FIRST_MS << server->failures;
    server->failures++;
    reactor_timer_set(server->restart, pause_ms);
}

static void on_restart(void *arg)
{
    struct redis_server *server = arg;
    server->restarts++;
    if (launch(server) != ST_OK) {
        log_error("redis_server.start_failed", "error=%s", log_quote(slice_str(strerror(errno))));
        restart_later(server);
    }
}

static void on_child_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    struct redis_server *server = arg;
    int status;
    if (!server->pid || waitpid(server->pid, &status, WNOHANG) != server->pid)
        return;
    if (now_ms() - server->started_ms >= STEADY_MS)
        server->failures = 0;
    log_error("redis_server.died", "pid=%ld %s=%d see=redis/redis.log", (long)server->pid,
              WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    server->pid = 0;
    restart_later(server);
}

/* ---- Starting ------------------------------------------------------------------------------- */

static enum status check_options(const struct redis_server_options *options,
                                 const struct complaint *to)
{
    static const char *const known[] = {"always", "everysec", "memory"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(options->durability, known[i]) == 0)
            return ST_OK;
    }
    return complain(to, ST_RANGE, "durability of the embedded Redis is always, everysec or memory");
}

/* DATA, its lock, and DATA/redis. */
static enum status take_data_dir(struct redis_server *server, const char *data_dir,
                                 const struct complaint *to)
{
    pid_t holder = 0;
    enum status status = ST_IO;
    if (mkdir(data_dir, 0700) != 0 && errno != EEXIST)
        return complain(to, ST_IO, "cannot make the data directory %s: %s", data_dir,
                        strerror(errno));
    int data = open(data_dir, O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return complain(to, ST_IO, "cannot open the data directory %s: %s", data_dir,
                        strerror(errno));
    if (mkdirat(data, "redis", 0700) == 0 || errno == EEXIST)
        server->dir = openat(data, "redis", O_DIRECTORY | O_CLOEXEC);
    if (server->dir >= 0)
        status = lock_file_take(data, "lock", &server->data_lock, &holder);
    if (status == ST_OK)
        status = lock_file_name_holder(server->data_lock, getpid());
    if (status == ST_EXISTS)
        complain(to, status, "the data directory %s is in use by process %ld", data_dir,
                 (long)holder);
    else if (status != ST_OK)
        complain(to, status, "cannot use the data directory %s: %s", data_dir, strerror(errno));
    close(data);
    return status;
}

/* The lock that a predecessor's server may still hold. It was told to end when its parent died. */
static enum status take_child_lock(struct redis_server *server, const struct complaint *to)
{
    uint64_t start_ms = now_ms();
    pid_t holder = 0;
    bool told = false;
    enum status status;
    while ((status = lock_file_take(server->dir, "lock", &server->child_lock, &holder)) ==
           ST_EXISTS) {
        if (!told)
            log_warn("redis_server.waiting", "for=\"redis-server of an earlier trotline\" pid=%ld",
                     (long)holder);
        told = true;
        log_flush_all();
        if (now_ms() - start_ms >= PREDECESSOR_MS)
            return complain(to, status,
                            "redis-server of an earlier trotline (process %ld) still holds the "
                            "data directory after %d s",
                            (long)holder, PREDECESSOR_MS / 1000);
        sleep_ms(POLL_MS);
    }
    if (status != ST_OK)
        complain(to, status, "cannot lock the redis directory: %s", strerror(errno));
    return status;
}

static enum status name_socket(struct redis_server *server, const char *data_dir,
                               const struct complaint *to)
{
    char *data = realpath(data_dir, NULL);
    if (!data)
        return complain(to, ST_IO, "cannot find the data directory %s: %s", data_dir,
                        strerror(errno));
    int len = snprintf(server->socket, sizeof(server->socket), "%s/redis/redis.sock", data);
    if (len >= (int)sizeof(server->socket))
        snprintf(server->socket, sizeof(server->socket), "/proc/%ld/fd/%d/redis.sock",
                 (long)getpid(), server->dir);
    free(data);
    return ST_OK;
}

static enum status watch(struct redis_server *server)
{
    server->restart = reactor_timer_new(server->reactor, on_restart, server);
    server->child_signal =
        evsignal_new(reactor_base(server->reactor), SIGCHLD, on_child_signal, server);
    if (!server->restart || !server->child_signal || event_add(server->child_signal, NULL) != 0)
        return ST_NOMEM;
    return ST_OK;
}

enum status redis_server_start(struct reactor *reactor, const struct redis_server_options *options,
                               struct redis_server **out, char *error, size_t error_bytes)
{
    const struct complaint to = {error, error_bytes};
    const char *program = options->program ? options->program : "redis-server";
    enum status status = check_options(options, &to);
    if (status != ST_OK)
        return status;
    struct redis_server *server = calloc(1, sizeof(*server));
    if (!server)
        return complain(&to, ST_NOMEM, "out of memory");
    server->reactor = reactor;
    server->data_lock = server->dir = server->child_lock = -1;
    server->program = find_program(program);
    if (!server->program)
        status = complain(&to, ST_NOTFOUND,
                          "cannot find the program %s: install it (Debian: redis-server) or use an "
                          "external Redis",
                          program);
    if (status == ST_OK)
        status = take_data_dir(server, options->data_dir, &to);
    if (status == ST_OK)
        status = name_socket(server, options->data_dir, &to);
    if (status == ST_OK)
        status = take_child_lock(server, &to);
    if (status == ST_OK && (status = write_config(server, options)) != ST_OK)
        complain(&to, status, "cannot write redis.conf: %s", strerror(errno));
    if (status == ST_OK && (status = watch(server)) != ST_OK)
        complain(&to, status, "out of memory");
    if (status == ST_OK && (status = launch(server)) != ST_OK)
        complain(&to, status, "cannot start %s: %s", server->program, strerror(errno));
    if (status != ST_OK) {
        redis_server_stop(server);
        return status;
    }
    *out = server;
    return ST_OK;
}

/* ---- Stopping ------------------------------------------------------------------------------- */

static void end_child(struct redis_server *server)
{
    uint64_t start_ms = now_ms();
    bool killed = false;
    pid_t pid = server->pid;
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (!killed && now_ms() - start_ms >= STOP_MS) {
            log_error("redis_server.killed", "pid=%ld waited_ms=%d", (long)pid, STOP_MS);
            kill(pid, SIGKILL);
            killed = true;
        }
        sleep_ms(POLL_MS);
    }
    server->pid = 0;
    log_info("redis_server.stopped", "pid=%ld", (long)pid);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void redis_server_stop(struct redis_server *server)
{
    if (!server)
        return;
    if (server->child_signal)
        event_free(server->child_signal);
    reactor_timer_free(server->restart);
    if (server->pid)
        end_child(server);
    close_fd(server->child_lock);
    close_fd(server->dir);
    close_fd(server->data_lock);
    free(server->program);
    free(server);
}

const char *redis_server_socket(const struct redis_server *server)
{
    return server->socket;
}

pid_t redis_server_pid(const struct redis_server *server)
{
    return server->pid;
}

uint64_t redis_server_restarts(const struct redis_server *server)
{
    return server->restarts;
}
