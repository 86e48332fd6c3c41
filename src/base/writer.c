/* writer.c - see writer.h.
 *
 *      start --> RUNNING --EPIPE, or reaped--> DEAD --a second since the start--> RUNNING
 *                   |
 *                 stop: rest into the pipe, close it, wait
 *
 * The process is this program executed anew, not a fork: a fork of a large server costs time in
 * the loop and holds all of its memory as it was, secrets included. posix_spawn() copies nothing.
 * A thread was rejected because the program has no other one, io_uring because it is switched off
 * in many containers.
 *
 * The buffer loses only whole lines from its front: of a line that the pipe took in part, `sent`
 * bytes are remembered, so that a new process gets it from its beginning. What an earlier process
 * had in hand when it died is the difference between what was handed over and what the page says.
 */
#include "base/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/writer_child.h"

extern char **environ;

enum {
    PIPE_BYTES = 1024 * 1024, /* the most that Linux gives to everybody */
    RESTART_US = 1000 * 1000,
    STOP_POLL_MS = 2,
    HIGH_FD = 10 /* out of the way of the numbers that the process uses */
};

const char *writer_program = "/proc/self/exe";

struct writer {
    struct writer_options options;
    struct buf buffer;
    size_t sent; /* bytes of the buffer's first line that are in the pipe */
    int fd;      /* our end of the pipe; -1: the process is dead */
    int page_fd;
    struct writer_page *page;
    pid_t pid;              /* 0: none, or reaped */
    uint64_t lines_handed;  /* whole ones, to all processes */
    uint64_t lines_died;    /* with them */
    uint64_t lines_dropped; /* never handed over */
    uint64_t started_us;    /* monotonic */
};

/* ---- The process ----------------------------------------------------------------------------- */

/* Moves a descriptor out of the way. -1 when that fails, or `fd` is. */
static int above(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (fd >= 0)
        close(fd);
    return high;
}

/* A pipe whose ends are closed by exec; ours does not block. */
static bool make_pipe(int *read_end, int *write_end)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *read_end = above(ends[0]);
    *write_end = above(ends[1]);
    if (*read_end >= 0 && *write_end >= 0 && fcntl(*write_end, F_SETFL, O_NONBLOCK) == 0) {
        /* Refused to a user whose pipes are large already: then it stays as it is. */
        (void)fcntl(*write_end, F_SETPIPE_SZ, PIPE_BYTES);
        return true;
    }
    if (*read_end >= 0)
        close(*read_end);
    if (*write_end >= 0)
        close(*write_end);
    return false;
}

/* Returns an errno. All signals are blocked in the new process from its first moment. */
static int spawn(struct writer *writer, int read_end, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigfillset(&all);
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        if ((error = posix_spawn_file_actions_adddup2(&actions, read_end, STDIN_FILENO)) == 0 &&
            (error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
                                                      O_WRONLY, 0)) == 0 &&
            (error = posix_spawn_file_actions_adddup2(&actions, writer->page_fd, WRITER_PAGE_FD)) ==
                0 &&
            (error = posix_spawnattr_setsigmask(&attributes, &all)) == 0 &&
            (error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK)) == 0)
            error = posix_spawn(pid, writer_program, &actions, &attributes, writer->options.argv,
                                environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* False with errno. */
static bool launch(struct writer *writer)
{
    int read_end, write_end, error;
    writer->started_us = clock_now_us();
    if (!make_pipe(&read_end, &write_end))
        return false;
    error = spawn(writer, read_end, &writer->pid);
    close(read_end); /* so that its death is an error of our write */
    if (error) {
        close(write_end);
        writer->pid = 0;
        errno = error;
        return false;
    }
    writer->fd = write_end;
    return true;
}

/* Lines in the hands of the process. */
static uint64_t lines_outstanding(const struct writer *writer)
{
    uint64_t done = atomic_load(&writer->page->lines_written) +
                    atomic_load(&writer->page->lines_lost) + writer->lines_died;
    return writer->lines_handed > done ? writer->lines_handed - done : 0;
}

/* The pipe has no reader any more. */
static void hang_up(struct writer *writer)
{
    close(writer->fd);
    writer->fd = -1;
    writer->sent = 0;
}

/* Is the process gone? Then what it had is counted: only now can it change the page no more. A line
 * about that goes into the buffer behind the others. */
static void reap(struct writer *writer)
{
    int status;
    if (!writer->pid || waitpid(writer->pid, &status, WNOHANG) != writer->pid)
        return;
    uint64_t lost = lines_outstanding(writer);
    writer->lines_died += lost;
    writer->pid = 0;
    if (writer->fd >= 0)
        hang_up(writer);
    log_error("writer.died", "writer=%s %s=%d lines_lost=%llu", writer->options.name,
              WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
              (unsigned long long)lost);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static uint64_t count_lines(struct slice text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count;
}

void writer_add(struct writer *writer, struct slice lines)
{
    buf_add_slice(&writer->buffer, lines);
    if (buf_status(&writer->buffer) != ST_OK) {
        writer->buffer.error = ST_OK; /* the lines before stay */
        writer->lines_dropped += count_lines(lines);
    }
}

/* `len` more bytes are in the pipe. */
static void handed(struct writer *writer, size_t len)
{
    writer->sent += len;
    const char *newline = memrchr(writer->buffer.ptr, '\n', writer->sent);
    if (!newline)
        return;
    size_t whole = (size_t)(newline + 1 - writer->buffer.ptr);
    writer->lines_handed += count_lines(slice_of(writer->buffer.ptr, whole));
    writer->sent -= whole;
    buf_drop_front(&writer->buffer, whole);
}

/* False when the pipe takes no more for now. */
static bool push(struct writer *writer)
{
    while (writer->sent < writer->buffer.len) {
        ssize_t len =
            write(writer->fd, writer->buffer.ptr + writer->sent, writer->buffer.len - writer->sent);
        if (len > 0) {
            handed(writer, (size_t)len);
        } else if (len == 0 || errno != EINTR) {
            if (len < 0 && errno != EAGAIN)
                hang_up(writer);
            return false;
        }
    }
    return true;
}

/* When it is time. */
static void restart(struct writer *writer)
{
    if (writer->pid || clock_now_us() - writer->started_us < RESTART_US)
        return;
    if (launch(writer))
        (void)push(writer);
    else
        log_error("writer.not_started", "writer=%s errno=%d", writer->options.name, errno);
}

void writer_flush(struct writer *writer)
{
    if (writer->buffer.len > 0 && writer->fd >= 0)
        (void)push(writer);
    if (writer->fd < 0 || lines_outstanding(writer) > 0)
        reap(writer);
    if (writer->fd < 0)
        restart(writer);
}

bool writer_has_room(const struct writer *writer)
{
    return writer->buffer.len <= writer->options.buffer_bytes / 2;
}

uint64_t writer_dropped(const struct writer *writer)
{
    return writer->lines_dropped + writer->lines_died + atomic_load(&writer->page->lines_lost);
}

uint64_t writer_written(const struct writer *writer)
{
    return atomic_load(&writer->page->lines_written);
}

int writer_last_error(const struct writer *writer)
{
    return atomic_load(&writer->page->last_error);
}

pid_t writer_pid(const struct writer *writer)
{
    return writer->pid;
}

/* ---- Start and stop -------------------------------------------------------------------------- */

static void release(struct writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->page)
        munmap(writer->page, sizeof(*writer->page));
    if (writer->page_fd >= 0)
        close(writer->page_fd);
    buf_free(&writer->buffer);
    free(writer);
}

struct writer *writer_start(const struct writer_options *options)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return NULL;
    writer->options = *options;
    writer->fd = -1;
    buf_init(&writer->buffer, options->buffer_bytes);
    writer->page_fd = above(memfd_create("trotline-writer", MFD_CLOEXEC));
    if (writer->page_fd >= 0 && ftruncate(writer->page_fd, sizeof(*writer->page)) == 0) {
        void *page = mmap(NULL, sizeof(*writer->page), PROT_READ | PROT_WRITE, MAP_SHARED,
                          writer->page_fd, 0);
        if (page != MAP_FAILED)
            writer->page = page;
    }
    if (writer->page && launch(writer))
        return writer;
    int error = errno;
    release(writer);
    errno = error;
    return NULL;
}

static void pause_ms(int ms)
{
    struct timespec time = {.tv_nsec = ms * 1000 * 1000};
    nanosleep(&time, NULL);
}

/* No restart any more: a process that dies now has something against it. */
void writer_stop(struct writer *writer, uint64_t within_ms)
{
    if (!writer)
        return;
    uint64_t end_us = clock_now_us() + within_ms * 1000;
    while (writer->fd >= 0 && !push(writer) && writer->fd >= 0 && clock_now_us() < end_us) {
        struct pollfd pfd = {.fd = writer->fd, .events = POLLOUT};
        (void)poll(&pfd, 1, STOP_POLL_MS);
    }
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = -1;
    while (writer->pid && waitpid(writer->pid, NULL, WNOHANG) == 0 && clock_now_us() < end_us)
        pause_ms(STOP_POLL_MS);
    release(writer);
}
