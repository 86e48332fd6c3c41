/* stage.c - a world in which the server always does exactly the same: to count its instructions.
 *
 * The stage is a library that is preloaded into the program (LD_PRELOAD), so what is measured is
 * the program itself, unchanged, and all of the world is in its process and in its thread:
 *
 *                      +-- the program ------------------------------------+
 *     producer.c ----->| HTTP, api, publish, dispatch, attempt, settle ... |-----> receiver.c
 *     64 connections   +------|--------------------------------------------+       answers 200
 *                             |
 *                           relay.c: a redis-server of its own, asked and answered in lock step
 *
 * libevent waits for events in epoll_wait(), which is ours. Only when nothing is ready, so when the
 * server has done all it can, the world makes one step: Redis's replies are passed on, or receivers
 * answer, or the producers send the next round of events, one each. When there is no step to make,
 * time goes on to the next timer. So a turn of the loop has what it had the last time: a round's
 * events come in one turn, are one batch, and are answered and delivered together.
 *
 * Time stands still but for what a round is said to take and for those jumps; randomness is a fixed
 * sequence. What is left to chance is Redis's own clock, in digits, and where memory lies.
 *
 * Rejected: a driver that is linked with parts of the server. It would know its inner interfaces
 * and change with them, and older programs could not be compared with newer ones. A scripted Redis:
 * it would have to be taught what every script of lua/ answers.
 */
#include "stage.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { INBOX_BYTES = 4 << 20, SOCKETS_MAX = 1024, JUMPS_MAX = 10000, DAY_MS = 24 * 60 * 60 * 1000 };

_Noreturn void stage_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("stage: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    _exit(1);
}

const char *stage_setting(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        stage_fail("%s is not set", name);
    return value;
}

/* Not inlined and not merged: callgrind looks for their names. */
__attribute__((noinline)) void stage_begins(void)
{
    __asm__ volatile("" ::"i"(1));
}

__attribute__((noinline)) void stage_ends(void)
{
    __asm__ volatile("" ::"i"(2));
}

/* ---- Sockets -------------------------------------------------------------------------------- */

bool inbox_fill(struct inbox *inbox, int fd)
{
    if (!inbox->bytes)
        inbox->bytes = malloc(INBOX_BYTES);
    if (!inbox->bytes)
        stage_fail("out of memory");
    for (;;) {
        if (inbox->len == INBOX_BYTES)
            stage_fail("more than %d bytes at once", INBOX_BYTES);
        ssize_t len = recv(fd, inbox->bytes + inbox->len, INBOX_BYTES - inbox->len, MSG_DONTWAIT);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return len < 0 && errno == EAGAIN;
        inbox->len += (size_t)len;
    }
}

void inbox_take(struct inbox *inbox, size_t len)
{
    inbox->len -= len;
    memmove(inbox->bytes, inbox->bytes + len, inbox->len);
}

void write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            stage_fail("cannot write: %s", strerror(errno));
        bytes += sent;
        len -= (size_t)sent;
    }
}

bool wait_readable(const int *fds, size_t count, int timeout_ms)
{
    struct pollfd polled[SOCKETS_MAX];
    if (count > SOCKETS_MAX)
        stage_fail("too many sockets");
    for (size_t i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    return poll(polled, count, timeout_ms) > 0;
}

/* ---- Time and chance ------------------------------------------------------------------------ */

static uint64_t passed_us;

void stage_pass_ms(uint64_t ms)
{
    passed_us += ms * 1000;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    static struct timespec start[CLOCK_TAI + 1];
    if (id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID || id < 0 || id > CLOCK_TAI)
        return (int)syscall(SYS_clock_gettime, id, ts);
    if (start[id].tv_sec == 0) {
        if (syscall(SYS_clock_gettime, id, &start[id]) != 0)
            return -1;
        start[id].tv_sec -= (time_t)(passed_us / 1000000);
        start[id].tv_nsec = 0;
    }
    ts->tv_sec = start[id].tv_sec + (time_t)(passed_us / 1000000);
    ts->tv_nsec = (long)(passed_us % 1000000) * 1000;
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return -1;
    *tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return -1;
    if (out)
        *out = ts.tv_sec;
    return ts.tv_sec;
}

/* libevent then does with epoll_wait()'s own timeout. */
int timerfd_create(clockid_t id, int flags)
{
    (void)id;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

ssize_t getrandom(void *out, size_t len, unsigned flags)
{
    static uint64_t state = 88172645463325252;
    unsigned char *bytes = out;
    (void)flags;
    for (size_t i = 0; i < len; i++) { /* xorshift */
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (unsigned char)(state >> 32);
    }
    return (ssize_t)len;
}

/* ---- The loop ------------------------------------------------------------------------------- */

static uint16_t server_port;

uint16_t stage_server_port(void)
{
    return server_port;
}

int listen(int fd, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_UNSPEC};
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) == 0 && address.sin_family == AF_INET)
        server_port = ntohs(address.sin_port);
    return (int)syscall(SYS_listen, fd, backlog);
}

int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout_ms)
{
    static unsigned jumps; /* one after another */
    for (;;) {
        int ready = (int)syscall(SYS_epoll_wait, epfd, events, most, 0);
        if (ready != 0 || timeout_ms == 0)
            return ready;
        if (!relay_step() && !receiver_step() && !producer_step())
            break;
        jumps = 0;
    }
    if (timeout_ms < 0 || timeout_ms > DAY_MS || ++jumps > JUMPS_MAX)
        stage_fail("the server waits for what does not come");
    stage_pass_ms((uint64_t)timeout_ms);
    return 0;
}
