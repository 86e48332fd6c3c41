/* sink.c - the receiver of benchmarks: answers every request at once and measures its age.
 *
 * bench-load writes into each event `"t":<19 digits>`, the instant it meant to send it, and
 * `"n":<10 digits>`, its number. Both arrive here inside the delivery's body, whatever envelope the
 * server put around them, so the sink knows how long the event took from producer to receiver
 * (both clocks are CLOCK_MONOTONIC of one machine) and whether it came twice.
 *
 * One thread, one epoll, one fixed buffer a connection. The requests are trusted as far as a
 * benchmark may: HTTP/1.1, a Content-Length, no chunks. What is not so closes its connection and is
 * counted as `broken`, for a figure with broken requests is none.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hist.h"

enum {
    BUFFER_BYTES = 64 * 1024, /* head, and as much of the body as the two numbers stand in */
    EVENTS = 256,
    NUMBERS = 64 * 1024 * 1024, /* events told apart */
};
/* Keeps t at 19 digits: see load.c. */
static const uint64_t TIME_BASE = UINT64_C(1000000000000000000);
static const uint64_t NUMBER_BASE = UINT64_C(1000000000);

struct connection {
    int fd;
    size_t len;  /* bytes in `in` */
    size_t skip; /* bytes of a body that are still to come and of no interest */
    char in[BUFFER_BYTES];
};

static struct {
    uint64_t received, unique, unstamped, broken, connections;
    uint64_t first_ns, last_ns;
    struct hist age_us;
} seen;

static unsigned char numbers[NUMBERS / 8];
static char answer[256];
static size_t answer_len;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- what is counted ----------------------------------------------------------------------- */

static void seen_reset(void)
{
    uint64_t connections = seen.connections;
    memset(&seen, 0, sizeof seen);
    seen.connections = connections;
    memset(numbers, 0, sizeof numbers);
}

static void seen_print(void)
{
    double seconds = (double)(seen.last_ns - seen.first_ns) / 1e9;
    printf("{\"received\":%" PRIu64 ",\"unique\":%" PRIu64 ",\"unstamped\":%" PRIu64
           ",\"broken\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"first_ns\":%" PRIu64
           ",\"last_ns\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.0f,\"latency_us\":",
           seen.received, seen.unique, seen.unstamped, seen.broken, seen.connections, seen.first_ns,
           seen.last_ns, seconds, seconds > 0 ? (double)seen.received / seconds : 0.0);
    hist_print_json(&seen.age_us, stdout);
    printf("}\n");
    fflush(stdout);
}

/* The number after `key` (such as "t":) with exactly `digits` digits; false when there is none. */
static bool find_number(const char *body, size_t len, const char *key, unsigned digits,
                        uint64_t *number)
{
    const char *at = memmem(body, len, key, strlen(key));
    if (!at)
        return false;
    at += strlen(key);
    const char *end = body + len;
    *number = 0;
    unsigned n = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++, n++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return n == digits;
}

static void count_request(const char *body, size_t len)
{
    uint64_t now = now_ns(), time, number;
    if (seen.received++ == 0)
        seen.first_ns = now;
    seen.last_ns = now;
    if (!find_number(body, len, "\"t\":", 19, &time) ||
        !find_number(body, len, "\"n\":", 10, &number) || number < NUMBER_BASE) {
        seen.unstamped++;
        return;
    }
    hist_add(&seen.age_us, time - TIME_BASE < now ? (now - (time - TIME_BASE)) / 1000 : 0);
    number -= NUMBER_BASE;
    unsigned char bit = (unsigned char)(1 << number % 8);
    if (number < NUMBERS && !(numbers[number / 8] & bit)) {
        numbers[number / 8] |= bit;
        seen.unique++;
    }
}

/* ---- connections --------------------------------------------------------------------------- */

static void connection_close(struct connection *connection)
{
    close(connection->fd); /* which takes it out of the epoll, too */
    free(connection);
}

static void connections_accept(int listener, int epoll)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
                return;
            die("accept");
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = malloc(sizeof *connection);
        if (!connection)
            die("malloc");
        connection->fd = fd;
        connection->len = connection->skip = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
        seen.connections++; /* NOLINT(clang-analyzer-unix.Malloc): the epoll event owns it now */
    }
}

/* The Content-Length in a head, or -1. */
static long content_length(const char *head, size_t len)
{
    static const char name[] = "\r\ncontent-length:";
    size_t name_len = sizeof name - 1;
    for (const char *at = head; (at = memchr(at, '\r', len - (size_t)(at - head))); at++) {
        if (len - (size_t)(at - head) < name_len)
            break;
        if (strncasecmp(at, name, name_len) == 0) {
            char *end;
            long value = strtol(at + name_len, &end, 10);
            return *end == '\r' && value >= 0 ? value : -1;
        }
    }
    return -1;
}

/* Takes one request from the buffer. 1: taken; 0: not all there; -1: not what we understand. */
static int request_take(struct connection *connection)
{
    char *end = memmem(connection->in, connection->len, "\r\n\r\n", 4);
    if (!end)
        return connection->len == BUFFER_BYTES ? -1 : 0;
    size_t head = (size_t)(end - connection->in) + 4;
    long length = content_length(connection->in, head);
    if (length < 0)
        return -1;
    size_t body = connection->len - head;
    if (body < (size_t)length && connection->len < BUFFER_BYTES)
        return 0;
    if (body > (size_t)length)
        body = (size_t)length;
    count_request(connection->in + head, body);
    connection->skip = (size_t)length - body;
    connection->len -= head + body;
    memmove(connection->in, connection->in + head + body, connection->len);
    return 1;
}

/* Reads and answers; false when the connection has ended. */
static bool connection_serve(struct connection *connection)
{
    ssize_t n =
        read(connection->fd, connection->in + connection->len, BUFFER_BYTES - connection->len);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    size_t skipped = connection->skip < (size_t)n ? connection->skip : (size_t)n;
    if (skipped > 0) { /* only while the buffer holds nothing else */
        memmove(connection->in, connection->in + skipped, (size_t)n - skipped);
        connection->skip -= skipped;
    }
    connection->len += (size_t)n - skipped;
    int taken;
    while (connection->skip == 0 && connection->len > 0 &&
           (taken = request_take(connection)) != 0) {
        /* A short write would need a peer that sends thousands of requests without reading. */
        if (taken < 0 || write(connection->fd, answer, answer_len) != (ssize_t)answer_len) {
            seen.broken++;
            return false;
        }
    }
    return true;
}

/* ---- the program --------------------------------------------------------------------------- */

static int listen_at(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    printf("listening %u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd");
    return fd;
}

/* Acts on one signal; false when the program should end. */
static bool signal_take(int fd)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        die("signalfd");
    if (info.ssi_signo == SIGUSR2) {
        seen_reset();
        return true;
    }
    seen_print();
    return info.ssi_signo == SIGUSR1;
}

static void serve(int listener, int signals, uint64_t expect)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event on_accept = {.events = EPOLLIN, .data.ptr = &listener};
    struct epoll_event on_signal = {.events = EPOLLIN, .data.ptr = &signals};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &on_accept) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &on_signal) != 0)
        die("epoll");
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == &listener) {
                connections_accept(listener, epoll);
            } else if (what == &signals) {
                if (!signal_take(signals))
                    return;
            } else if (!connection_serve(what)) {
                connection_close(what);
            }
        }
        if (expect > 0 && seen.received >= expect) {
            seen_print();
            return;
        }
    }
}

static const char usage[] =
    "usage: bench-sink [--port P] [--status N] [--expect N]\n"
    "\n"
    "Answers every HTTP/1.1 request on 127.0.0.1 at once and measures how old it is: from the\n"
    "timestamp that bench-load put into the event to its arrival here.\n"
    "\n"
    "  --port P      0, the default, takes a free one; `listening PORT` is printed\n"
    "  --status N    what to answer; 200 from the start\n"
    "  --expect N    print the summary and end after N requests\n"
    "\n"
    "SIGUSR1 prints the summary (one line of JSON), SIGUSR2 resets it, SIGTERM prints and ends.\n"
    "first_ns and last_ns are CLOCK_MONOTONIC; latency_us is of first arrivals and repetitions.\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"status", required_argument, NULL, 's'},
                                            {"expect", required_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    uint16_t port = 0;
    int status = 200, option;
    uint64_t expect = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 's':
            status = atoi(optarg);
            break;
        case 'e':
            expect = strtoull(optarg, NULL, 10);
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    const char *rest = status == 204 ? "\r\n" : "Content-Length: 2\r\n\r\n{}";
    answer_len = (size_t)snprintf(answer, sizeof answer, "HTTP/1.1 %d Answer\r\n%s", status, rest);
    int signals = signals_open();
    serve(listen_at(port), signals, expect);
    return 0;
}
