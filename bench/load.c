/* load.c - publishes events as fast as they are taken (closed loop) or at a fixed rate (open loop).
 *
 * One thread, one epoll. Every connection owns a request that was rendered once; before each
 * sending only digits are written over in place:
 *
 *     {"type":"bench.0007","data":{"t":1000000123456789012,"n":1000000042,"pad":"xxxx…"}}
 *                     ^^^^              ^ intended instant      ^ number
 *
 * In the closed loop a connection sends its next event when it has the answer to the last. In the
 * open loop event i is due at start + i / rate, whatever the server does; when no connection is
 * free it waits, and its latency, here and in bench-sink, counts from the instant it was *due*.
 * Measured from the real sending, a server that stalls would look good for having held up the
 * load ("coordinated omission").
 *
 * The instant is CLOCK_MONOTONIC in nanoseconds plus 10^18, the number the sequence plus 10^9, so
 * that both always have the same count of digits and are JSON numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "hist.h"

enum {
    ANSWER_BYTES = 8 * 1024, /* of an answer's head */
    EVENTS = 256,
    PROCESSES = 16,
    TYPE_DIGITS = 4,
    TIME_DIGITS = 19,
    NUMBER_DIGITS = 10
};
static const uint64_t TIME_BASE = UINT64_C(1000000000000000000);
static const uint64_t NUMBER_BASE = UINT64_C(1000000000);
static const uint64_t SECOND_NS = UINT64_C(1000000000);

/* ---- options ------------------------------------------------------------------------------- */

static struct {
    char host[256], port[8], path[1024];
    const char *key, *type, *deliver_at;
    size_t size;
    unsigned connections, types;
    uint64_t events;
    double rate, duration; /* events a second, seconds; rate 0 is the closed loop */
    unsigned timeout;      /* seconds without any answer after which we give up */
    bool idempotency_keys;
} option = {.path = "/api/events",
            .key = "",
            .type = "bench",
            .size = 1024,
            .connections = 128,
            .types = 1,
            .events = 100000,
            .duration = 10,
            .timeout = 30};

static const char usage[] =
    "usage: bench-load --url http://HOST:PORT[/PATH] --api-key KEY [options]\n"
    "\n"
    "Publishes events and prints one line of JSON: how many were answered how, how fast, how "
    "late,\n"
    "and what CPU time and memory the given processes used.\n"
    "\n"
    "  --type T             event type; bench from the start\n"
    "  --types N            N types T.0000, T.0001, … in turn (at most 10000)\n"
    "  --size BYTES         of the JSON body; 1024 from the start\n"
    "  --deliver-at TIME    every event's deliverAt (RFC 3339)\n"
    "  --connections N      128 from the start\n"
    "  --events N           closed loop: N events, the next when the last is answered (100000)\n"
    "  --rate R             open loop: R events a second, for --duration\n"
    "  --duration SECONDS   10 from the start\n"
    "  --idempotency-keys   a fresh Idempotency-Key with every event\n"
    "  --pid PID            measure this process (repeat for several); after the last answer "
    "waits\n"
    "                       until they are quiet, so that deliveries count\n"
    "  --timeout SECONDS    give up after this long without any answer; 30 from the start\n";

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void refuse(const char *what)
{
    fprintf(stderr, "bench-load: %s\n\n%s", what, usage);
    exit(2);
}

/* ---- the measured processes ------------------------------------------------------------------ */

static struct process {
    int pid;
    uint64_t ticks_before, ticks_after;
    long rss_kib, rss_peak_kib;
} processes[PROCESSES];
static unsigned process_count;

/* utime + stime, in clock ticks. */
static uint64_t process_ticks(int pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file)
        fclose(file);
    line[n] = '\0';
    /* The name, in parentheses, may hold spaces and parentheses of its own. */
    const char *at = strrchr(line, ')');
    unsigned long utime, stime;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &utime,
                      &stime) != 2) {
        fprintf(stderr, "bench-load: process %d has ended\n", pid);
        exit(1);
    }
    return utime + stime;
}

static void process_memory(struct process *process)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", process->pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "VmRSS: %ld", &process->rss_kib);
        sscanf(line, "VmHWM: %ld", &process->rss_peak_kib);
    }
    if (file)
        fclose(file);
}

static uint64_t ticks_of_all(void)
{
    uint64_t ticks = 0;
    for (unsigned i = 0; i < process_count; i++)
        ticks += process_ticks(processes[i].pid);
    return ticks;
}

/* Waits until all of them together use less than 2 % of a core; a minute at most. */
static void processes_wait_quiet(void)
{
    const struct timespec pause = {.tv_nsec = 500000000};
    for (unsigned i = 0; i < 120 && process_count > 0; i++) {
        uint64_t before = ticks_of_all();
        nanosleep(&pause, NULL);
        if (ticks_of_all() - before <= 1)
            return;
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Where the digits stand in a rendered request; the same in all of them. */
static struct {
    size_t len, type_at, time_at, number_at, key_at;
} layout;

/* Writes `value` with exactly `digits` digits. */
static void put_digits(char *at, unsigned digits, uint64_t value)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Renders the request that all connections copy and fills in `layout`. */
static char *request_render(void)
{
    char body_head[512], body_middle[256], key[128] = "", head[2048];
    uint64_t run;
    if (getrandom(&run, sizeof run, 0) != (ssize_t)sizeof run)
        die("getrandom");
    int type_len = snprintf(body_head, sizeof body_head, "{\"type\":\"%s%s", option.type,
                            option.types > 1 ? ".0000" : "");
    const char *at = option.deliver_at;
    int middle_len = snprintf(body_middle, sizeof body_middle, "\"%s%s%s,\"data\":{",
                              at ? ",\"deliverAt\":\"" : "", at ? at : "", at ? "\"" : "");
    static const char stamps[] = "\"t\":0000000000000000000,\"n\":0000000000,\"pad\":\"";
    static const char tail[] = "\"}}";
    size_t fixed = (size_t)type_len + (size_t)middle_len + sizeof stamps - 1 + sizeof tail - 1;
    if (type_len >= (int)sizeof body_head || middle_len >= (int)sizeof body_middle)
        refuse("--type or --deliver-at is too long");
    if (option.size < fixed)
        refuse("--size is too small for the event around it");
    if (option.idempotency_keys)
        snprintf(key, sizeof key, "Idempotency-Key: %016" PRIx64 "-0000000000\r\n", run);
    int head_len = snprintf(head, sizeof head,
                            "POST %s HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n"
                            "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
                            option.path, option.host, option.port, option.key, option.size, key);
    if (head_len >= (int)sizeof head)
        refuse("the url or the key is too long");
    char *request = malloc((size_t)head_len + option.size);
    if (!request)
        die("malloc");
    size_t body = (size_t)head_len;
    layout.len = body + option.size;
    layout.key_at = option.idempotency_keys ? body - 4 - NUMBER_DIGITS : 0;
    layout.type_at = option.types > 1 ? body + (size_t)type_len - TYPE_DIGITS : 0;
    size_t stamps_at = body + (size_t)type_len + (size_t)middle_len;
    layout.time_at = stamps_at + strlen("\"t\":");
    layout.number_at = layout.time_at + TIME_DIGITS + strlen(",\"n\":");
    memset(request, 'x', layout.len);
    memcpy(request, head, body);
    memcpy(request + body, body_head, (size_t)type_len);
    memcpy(request + body + type_len, body_middle, (size_t)middle_len);
    memcpy(request + stamps_at, stamps, sizeof stamps - 1);
    memcpy(request + layout.len - (sizeof tail - 1), tail, sizeof tail - 1);
    return request;
}

static void request_patch(char *request, uint64_t number, uint64_t intended_ns)
{
    put_digits(request + layout.time_at, TIME_DIGITS, TIME_BASE + intended_ns);
    put_digits(request + layout.number_at, NUMBER_DIGITS, NUMBER_BASE + number);
    if (layout.key_at)
        put_digits(request + layout.key_at, NUMBER_DIGITS, NUMBER_BASE + number);
    if (layout.type_at)
        put_digits(request + layout.type_at, TYPE_DIGITS, number % option.types);
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
    char in[ANSWER_BYTES];
};

static struct {
    uint64_t sent, answered; /* answered counts lost ones, too: they are over */
    uint64_t accepted, unavailable, other, lost;
    uint64_t start_ns, end_ns;
    struct hist latency_us;
} total;

static struct addrinfo *address;
static int epoll;
static struct connection *connections, **idle;
static unsigned idle_count;

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
    idle[idle_count++] = connection;
}

/* The event in it, if any, is lost: whether it was stored is unknown. */
static void connection_reopen(struct connection *connection)
{
    close(connection->fd);
    bool was_waiting = connection->waiting;
    if (was_waiting) {
        total.lost++;
        total.answered++;
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
                      layout.len - connection->sent);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        connection_reopen(connection);
        return;
    }
    connection->sent += n > 0 ? (size_t)n : 0;
    bool partial = connection->sent < layout.len;
    if (partial || was_partial) {
        struct epoll_event event = {.events = EPOLLIN | (partial ? EPOLLOUT : 0),
                                    .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event) != 0)
            die("epoll_ctl");
    }
}

static void connection_send(struct connection *connection, uint64_t intended_ns)
{
    request_patch(connection->request, total.sent++, intended_ns);
    connection->intended_ns = intended_ns;
    connection->sent = 0;
    connection->waiting = true;
    connection_write(connection);
}

static void answer_count(struct connection *connection, int status)
{
    uint64_t now = now_ns();
    hist_add(&total.latency_us, (now - connection->intended_ns) / 1000);
    total.end_ns = now;
    total.answered++;
    if (status == 202)
        total.accepted++;
    else if (status == 503)
        total.unavailable++;
    else
        total.other++;
}

/* Takes the answer from the buffer; true when it was all there. A head that is not understood ends
 * the program: no figure is better than a wrong one. */
static bool answer_take(struct connection *connection)
{
    char *end = memmem(connection->in, connection->len, "\r\n\r\n", 4);
    if (!end) {
        if (connection->len < ANSWER_BYTES)
            return false;
        fprintf(stderr, "bench-load: an answer's head is longer than %d bytes\n", ANSWER_BYTES);
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
    connection->len = 0;
    answer_count(connection, status);
    return true;
}

static void connection_read(struct connection *connection)
{
    ssize_t n =
        read(connection->fd, connection->in + connection->len, ANSWER_BYTES - connection->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* An answer to a request that is not all sent yet ends the connection's use as well. */
    if (n <= 0 || !connection->waiting || connection->sent < layout.len) {
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

static bool open_loop(void)
{
    return option.rate > 0;
}

static uint64_t due_ns(uint64_t number)
{
    return total.start_ns + (uint64_t)((double)number * 1e9 / option.rate);
}

/* Sends what is due on the connections that are free. */
static void send_due(void)
{
    while (idle_count > 0 && total.sent < option.events) {
        uint64_t now = now_ns(), intended = open_loop() ? due_ns(total.sent) : now;
        if (intended > now)
            return;
        connection_send(idle[--idle_count], intended);
    }
}

/* How long to wait for the sockets at most. */
static struct timespec wait_time(void)
{
    uint64_t wait = SECOND_NS;
    if (open_loop() && idle_count > 0 && total.sent < option.events) {
        uint64_t due = due_ns(total.sent), now = now_ns();
        wait = due > now ? due - now : 0;
        wait = wait < SECOND_NS ? wait : SECOND_NS;
    }
    return (struct timespec){.tv_sec = (time_t)(wait / SECOND_NS),
                             .tv_nsec = (long)(wait % SECOND_NS)};
}

static void run(void)
{
    total.start_ns = total.end_ns = now_ns();
    uint64_t answered = 0, progress_ns = total.start_ns;
    while (total.answered < option.events) {
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
        uint64_t now = now_ns();
        if (total.answered != answered || total.sent == total.answered) {
            answered = total.answered;
            progress_ns = now;
        } else if (now - progress_ns > option.timeout * SECOND_NS) {
            fprintf(stderr, "bench-load: no answer for %u s; giving up\n", option.timeout);
            return;
        }
    }
}

static void print_result(void)
{
    double seconds = (double)(total.end_ns - total.start_ns) / 1e9;
    printf("{\"mode\":\"%s\",\"sent\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"unavailable\":%" PRIu64
           ",\"other\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"unanswered\":%" PRIu64
           ",\"start_ns\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.0f,\"latency_us\":",
           open_loop() ? "open" : "closed", total.sent, total.accepted, total.unavailable,
           total.other, total.lost, total.sent - total.answered, total.start_ns, seconds,
           seconds > 0 ? (double)total.accepted / seconds : 0.0);
    hist_print_json(&total.latency_us, stdout);
    printf(",\"processes\":[");
    for (unsigned i = 0; i < process_count; i++) {
        const struct process *process = &processes[i];
        double us = (double)(process->ticks_after - process->ticks_before) * 1e6 /
                    (double)sysconf(_SC_CLK_TCK);
        printf("%s{\"pid\":%d,\"cpu_seconds\":%.2f,\"cpu_us_per_event\":%.2f,\"rss_kib\":%ld,"
               "\"rss_peak_kib\":%ld}",
               i ? "," : "", process->pid, us / 1e6,
               total.accepted ? us / (double)total.accepted : 0.0, process->rss_kib,
               process->rss_peak_kib);
    }
    printf("]}\n");
}

static void parse_url(const char *url)
{
    const char prefix[] = "http://";
    if (strncmp(url, prefix, sizeof prefix - 1) != 0)
        refuse("--url must begin with http://");
    int n = sscanf(url + sizeof prefix - 1, "%255[^:/]:%7[0-9]%1023s", option.host, option.port,
                   option.path);
    if (n < 2 || (n == 3 && option.path[0] != '/'))
        refuse("--url must be http://HOST:PORT or http://HOST:PORT/PATH");
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"url", required_argument, NULL, 'u'},
                                            {"api-key", required_argument, NULL, 'k'},
                                            {"type", required_argument, NULL, 't'},
                                            {"types", required_argument, NULL, 'T'},
                                            {"size", required_argument, NULL, 's'},
                                            {"connections", required_argument, NULL, 'c'},
                                            {"events", required_argument, NULL, 'n'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"duration", required_argument, NULL, 'd'},
                                            {"idempotency-keys", no_argument, NULL, 'i'},
                                            {"pid", required_argument, NULL, 'p'},
                                            {"timeout", required_argument, NULL, 'o'},
                                            {"deliver-at", required_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'u':
            parse_url(optarg);
            break;
        case 'k':
            option.key = optarg;
            break;
        case 't':
            option.type = optarg;
            break;
        case 'T':
            option.types = (unsigned)atoi(optarg);
            break;
        case 'a':
            option.deliver_at = optarg;
            break;
        case 's':
            option.size = strtoul(optarg, NULL, 10);
            break;
        case 'c':
            option.connections = (unsigned)atoi(optarg);
            break;
        case 'n':
            option.events = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            option.rate = atof(optarg);
            break;
        case 'd':
            option.duration = atof(optarg);
            break;
        case 'i':
            option.idempotency_keys = true;
            break;
        case 'p':
            if (process_count == PROCESSES)
                refuse("too many --pid");
            processes[process_count++].pid = atoi(optarg);
            break;
        case 'o':
            option.timeout = (unsigned)atoi(optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (!option.host[0])
        refuse("--url is missing");
    if (option.connections < 1 || option.connections > 10000)
        refuse("--connections must be 1 to 10000");
    if (option.types < 1 || option.types > 10000)
        refuse("--types must be 1 to 10000");
    if (open_loop())
        option.events = (uint64_t)(option.rate * option.duration);
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
    char *request = request_render();
    if (epoll < 0 || !idle || !connections)
        die("connections");
    for (unsigned i = 0; i < option.connections; i++) {
        connections[i].request = malloc(layout.len);
        if (!connections[i].request)
            die("malloc");
        memcpy(connections[i].request, request, layout.len);
        connection_open(&connections[i]);
        connection_idle(&connections[i]);
    }
    free(request);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    connections_open();
    for (unsigned i = 0; i < process_count; i++)
        processes[i].ticks_before = process_ticks(processes[i].pid);
    run();
    processes_wait_quiet();
    for (unsigned i = 0; i < process_count; i++) {
        processes[i].ticks_after = process_ticks(processes[i].pid);
        process_memory(&processes[i]);
    }
    print_result();
    return total.answered == option.events ? 0 : 1; /* memory and sockets end with the process */
}
