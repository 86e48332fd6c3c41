/* load.c - publishes events as fast as they are taken (closed loop) or at a fixed rate (open loop).
 *
 * One thread, one epoll; each connection has one request on its way at most (request.c).
 *
 * In the closed loop a connection sends its next event when it has the answer to the last. In the
 * open loop event i is due at start + i / rate, whatever the server does; when no connection is
 * free it waits, and its latency, here and in bench-sink, counts from the instant it was *due*.
 * Measured from the real sending, a server that stalls would look good for having held up the
 * load ("coordinated omission"). How late the sending was, since it was due and a connection was
 * free, is told apart (`late_us`): that is this program's fault, or the machine's.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../hist.h"
#include "../stamp.h"
#include "options.h"
#include "process.h"
#include "request.h"

enum {
    ANSWER_BYTES = 8 * 1024, /* of an answer's head */
    RESULT_BYTES = 512,      /* of an answer, for each event of a request of many */
    EVENTS = 256
};

static struct load_options option;
static struct requests requests;
static size_t answer_bytes; /* room for an answer: its head, or all of it if it tells of many */

__attribute__((noreturn)) static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- connections ----------------------------------------------------------------------------- */

/*   idle --send--> waiting --answer--> idle        a lost connection is opened again: idle
 *   An idle connection stands in the stack `idle`. */
struct connection {
    int fd;
    bool waiting;
    char *request;
    size_t sent;
    uint64_t intended_ns;
    size_t len, skip; /* bytes of the answer in `in`; bytes of its body still to come */
    char *in;         /* answer_bytes */
};

static struct {
    uint64_t sent, answered; /* answered counts lost ones, too: they are over */
    uint64_t accepted, unavailable, other, lost;
    uint64_t start_ns, end_ns;
    struct hist latency_us, late_us;
} total;

static struct addrinfo *address;
static int epoll;
static struct connection *connections, **idle;
static unsigned idle_count;
static uint64_t idle_since_ns; /* since when there has been an idle one all the time */

static void connection_open(struct connection *connection)
{
    int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        die("bench-load: connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        die("fcntl");
    connection->fd = fd;
    connection->len = connection->skip = connection->sent = 0;
    connection->waiting = false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl");
}

static void connection_idle(struct connection *connection)
{
    connection->waiting = false;
    if (idle_count == 0)
        idle_since_ns = stamp_now_ns();
    idle[idle_count++] = connection;
}

/* The event in it, if any, is lost: whether it was stored is unknown. */
static void connection_reopen(struct connection *connection)
{
    close(connection->fd);
    bool was_waiting = connection->waiting;
    if (was_waiting) {
        total.lost += requests.events;
        total.answered += requests.events;
    }
    connection_open(connection);
    if (was_waiting) /* an idle one stands in the stack already */
        connection_idle(connection);
}

/* Writes what is left of the request; asks to be woken only when the socket is full. */
static void connection_write(struct connection *connection)
{
    bool was_partial = connection->sent > 0;
    ssize_t n = write(connection->fd, connection->request + connection->sent,
                      requests.len - connection->sent);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        connection_reopen(connection);
        return;
    }
    connection->sent += n > 0 ? (size_t)n : 0;
    bool partial = connection->sent < requests.len;
    if (partial || was_partial) {
        struct epoll_event event = {.events = EPOLLIN | (partial ? EPOLLOUT : 0),
                                    .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0)
            die("epoll_ctl");
    }
}

static void connection_send(struct connection *connection, uint64_t intended_ns)
{
    requests_write(&requests, connection->request, option.first + total.sent, intended_ns);
    total.sent += requests.events;
    connection->intended_ns = intended_ns;
    connection->sent = 0;
    connection->waiting = true;
    connection_write(connection);
}

static void answer_count(const struct connection *connection, int status, bool all_accepted)
{
    uint64_t now = stamp_now_ns();
    hist_add(&total.latency_us, (now - connection->intended_ns) / 1000);
    total.end_ns = now;
    total.answered += requests.events;
    if (status / 100 == 2 && all_accepted)
        total.accepted += requests.events;
    else if (status == 503)
        total.unavailable += requests.events;
    else
        total.other += requests.events;
}

/* Of many events in one request each must have been. The whole answer is in the buffer. */
static bool all_accepted(const struct connection *connection)
{
    static const char none[] = ",\"rejected\":0}";
    size_t len = sizeof none - 1;
    return requests.events == 1 || (connection->len >= len &&
                                    memcmp(connection->in + connection->len - len, none, len) == 0);
}

/* Takes the answer from the buffer; true when it was all there. A head that is not understood ends
 * the program: no figure is better than a wrong one. */
static bool answer_take(struct connection *connection)
{
    char *end = memmem(connection->in, connection->len, "\r\n\r\n", 4);
    if (!end) {
        if (connection->len < answer_bytes)
            return false;
        fprintf(stderr, "bench-load: an answer's head is longer than %zu bytes\n", answer_bytes);
        exit(1);
    }
    *end = '\0';
    int status;
    if (sscanf(connection->in, "HTTP/1.1 %3d", &status) != 1) {
        fprintf(stderr, "bench-load: not an HTTP/1.1 answer: %.100s\n", connection->in);
        exit(1);
    }
    const char *length = strcasestr(connection->in, "\r\ncontent-length:");
    size_t body = length ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    size_t have = connection->len - (size_t)(end + 4 - connection->in);
    connection->skip = body > have ? body - have : 0;
    if (requests.events > 1 && connection->skip > 0 && connection->len < answer_bytes) {
        connection->skip = 0; /* it is looked at as a whole */
        *end = '\r';
        return false;
    }
    answer_count(connection, status, all_accepted(connection));
    connection->len = 0;
    return true;
}

static void connection_read(struct connection *connection)
{
    ssize_t n =
        read(connection->fd, connection->in + connection->len, answer_bytes - connection->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* An answer to a request that is not all sent yet ends the connection's use as well. */
    if (n <= 0 || !connection->waiting || connection->sent < requests.len) {
        connection_reopen(connection);
        return;
    }
    if (connection->skip > 0) {
        connection->skip -= (size_t)n < connection->skip ? (size_t)n : connection->skip;
    } else {
        connection->len += (size_t)n;
        if (!answer_take(connection))
            return;
    }
    if (connection->skip == 0)
        connection_idle(connection);
}

/* ---- the run --------------------------------------------------------------------------------- */

static bool is_open_loop(void)
{
    return option.rate > 0;
}

static uint64_t due_ns(uint64_t number)
{
    return total.start_ns + (uint64_t)((double)number * 1e9 / option.rate);
}

static bool all_sent(uint64_t now)
{
    bool is_over = !is_open_loop() && option.duration_s > 0 &&
                   (double)(now - total.start_ns) >= option.duration_s * 1e9;
    return total.sent >= option.events || is_over;
}

/* Sends what is due on the connections that are free. */
static void send_due(void)
{
    uint64_t now;
    while (idle_count > 0 && !all_sent(now = stamp_now_ns())) {
        uint64_t intended = is_open_loop() ? due_ns(total.sent) : now;
        if (intended > now)
            return;
        uint64_t possible = intended > idle_since_ns ? intended : idle_since_ns;
        hist_add(&total.late_us, possible < now ? (now - possible) / 1000 : 0);
        connection_send(idle[--idle_count], intended);
    }
}

/* How long to wait for the sockets at most. */
static struct timespec wait_time(void)
{
    uint64_t wait = STAMP_SECOND_NS;
    if (is_open_loop() && idle_count > 0 && total.sent < option.events) {
        uint64_t due = due_ns(total.sent), now = stamp_now_ns();
        wait = due > now ? due - now : 0;
        wait = wait < STAMP_SECOND_NS ? wait : STAMP_SECOND_NS;
    }
    return (struct timespec){.tv_sec = (time_t)(wait / STAMP_SECOND_NS),
                             .tv_nsec = (long)(wait % STAMP_SECOND_NS)};
}

static void run(void)
{
    uint64_t now = stamp_now_ns(), answered = 0, progress_ns = now;
    total.start_ns = total.end_ns = now;
    while (!all_sent(now) || total.answered < total.sent) {
        send_due();
        struct epoll_event events[EVENTS];
        struct timespec wait = wait_time();
        int n = epoll_pwait2(epoll, events, EVENTS, &wait, NULL);
        if (n < 0 && errno != EINTR)
            die("epoll_pwait2");
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                connection_write(connection);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                connection_read(connection);
        }
        now = stamp_now_ns();
        if (total.answered != answered || total.sent == total.answered) {
            answered = total.answered;
            progress_ns = now;
        } else if (now - progress_ns > option.timeout_s * STAMP_SECOND_NS) {
            fprintf(stderr, "bench-load: no answer for %u s; giving up\n", option.timeout_s);
            return;
        }
    }
}

static double own_cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void print_result(double cpu_seconds, const struct process *processes)
{
    double seconds = (double)(total.end_ns - total.start_ns) / 1e9;
    printf("{\"mode\":\"%s\",\"sent\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"unavailable\":%" PRIu64
           ",\"other\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"unanswered\":%" PRIu64
           ",\"start_ns\":%" PRIu64 ",\"seconds\":%.3f"
           ",\"rate\":%.0f,\"cpu_seconds\":%.6f,\"latency_us\":",
           is_open_loop() ? "open" : "closed", total.sent, total.accepted, total.unavailable,
           total.other, total.lost, total.sent - total.answered, total.start_ns, seconds,
           seconds > 0 ? (double)total.accepted / seconds : 0.0, cpu_seconds);
    hist_print_json(&total.latency_us, stdout);
    printf(",\"late_us\":");
    hist_print_json(&total.late_us, stdout);
    printf(",\"processes\":[");
    for (unsigned i = 0; i < option.pid_count; i++) {
        printf("%s", i ? "," : "");
        process_print(&processes[i], total.accepted, stdout);
    }
    printf("]}\n");
}

static void connections_open(void)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int error = getaddrinfo(option.host, option.port, &hints, &address);
    if (error != 0) {
        fprintf(stderr, "bench-load: %s: %s\n", option.host, gai_strerror(error));
        exit(1);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    idle = calloc(option.connections, sizeof *idle);
    connections = calloc(option.connections, sizeof *connections);
    if (epoll < 0 || !idle || !connections)
        die("connections");
    for (unsigned i = 0; i < option.connections; i++) {
        connections[i].request = malloc(requests.len);
        connections[i].in = malloc(answer_bytes);
        if (!connections[i].request || !connections[i].in)
            die("malloc");
        connection_open(&connections[i]);
        connection_idle(&connections[i]);
    }
}

/* For those who publish in another way. */
static int print_bodies(void)
{
    char *text = malloc(requests.len);
    if (!text)
        return 1;
    for (uint64_t i = option.first; i < option.first + option.events; i++) {
        requests_write(&requests, text, i, 0);
        fwrite(text + requests.body_at, 1, requests.len - requests.body_at, stdout);
        putchar('\n');
    }
    free(text);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct process processes[PROCESSES_MAX];
    load_options_read(&option, argc, argv);
    requests_init(&requests, &option);
    if (option.prints)
        return print_bodies();
    answer_bytes = ANSWER_BYTES + (option.per_request > 1 ? option.per_request * RESULT_BYTES : 0);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL); /* wake when an event is due, not 50 us later */
    connections_open();
    for (unsigned i = 0; i < option.pid_count; i++)
        process_begin(&processes[i], option.pids[i]);
    double cpu_seconds = own_cpu_seconds();
    run();
    cpu_seconds = own_cpu_seconds() - cpu_seconds;
    processes_wait_quiet(processes, option.pid_count);
    for (unsigned i = 0; i < option.pid_count; i++)
        process_end(&processes[i]);
    print_result(cpu_seconds, processes);
    bool is_complete = total.answered == total.sent;
    return is_complete ? 0 : 1; /* memory and sockets end with the process */
}
