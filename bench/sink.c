/* sink.c - the receiver of benchmarks: answers every request and measures its age.
 *
 * bench-load writes into each event `"t":<19 digits>`, the instant it meant to send it, and
 * `"n":<10 digits>`, its number. Both arrive here inside the delivery's body, whatever envelope the
 * server put around them, so the sink knows how long the event took from producer to receiver
 * (both clocks are CLOCK_MONOTONIC of one machine) and whether it came twice.
 *
 * One sink plays many endpoints. The path says how: its last segment tells endpoints apart and is
 * of no interest here; what stands before it is the *class*, which has figures of its own and whose
 * first segment is a behaviour:
 *
 *     /ok/3  /ok/healthy/3        200 at once           classes /ok and /ok/healthy
 *     /500/3                      that status
 *     /hang/3                     reads, never answers
 *     /reset/3                    resets the connection
 *     /delay/20/3                 200 after 20 ms
 *     /switch/hang/3              200; while the switch is dead, as /hang (or /503, /reset)
 *     anything else               what --status says
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
    CLASSES = 64,               /* requests of further ones count for the class / */
    CLASS_BYTES = 64,           /* of its name, with the NUL */
    NUMBERS = 64 * 1024 * 1024, /* events told apart in a class */
};
/* Keeps t at 19 digits: see load.c. */
static const uint64_t TIME_BASE = UINT64_C(1000000000000000000);
static const uint64_t NUMBER_BASE = UINT64_C(1000000000);

static struct {
    uint16_t port;
    int status;
    uint64_t expect, skip;
    const char *stamps_class;
    FILE *stamps;
} option = {.status = 200};

struct behaviour {
    enum { ANSWER, HANG, RESET } kind;
    int status;
    uint64_t delay_ns;
    char answer[96];
    size_t answer_len;
};

struct counts {
    uint64_t received, refused, unique, unstamped;
    uint64_t first_ns, last_ns;
    struct hist age_us;
};

/*   reading --request--> waiting (in its class's `delayed`) --due--> reading
 *      |
 *      +--request of a class that hangs--> silent, until the peer closes it */
struct connection {
    int fd;
    bool silent;
    struct path_class *waiting; /* NULL: not */
    uint64_t due_ns;
    struct connection *next, **before; /* in its class's list; *before points here */
    size_t len;                        /* bytes in `in` */
    size_t skip; /* bytes of a body that are still to come and of no interest */
    char in[BUFFER_BYTES];
};

struct path_class {
    char name[CLASS_BYTES];
    struct behaviour alive, dead; /* the same one, but for /switch */
    struct counts counts;
    unsigned char *numbers; /* a bit for each; NULL until the first comes */
    /* By due time, for all of a class are delayed equally; `last` is the last one's `next`. */
    struct connection *delayed, **last;
};

static struct path_class classes[CLASSES]; /* the first is the class / */
static unsigned class_count;
static bool switch_dead;

static struct counts total;
static uint64_t broken, connections;

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

/* ---- classes ------------------------------------------------------------------------------- */

static void behaviour_answer(struct behaviour *behaviour, int status)
{
    const char *rest = status == 204 ? "\r\n" : "Content-Length: 2\r\n\r\n{}";
    behaviour->kind = ANSWER;
    behaviour->status = status;
    behaviour->answer_len = (size_t)snprintf(behaviour->answer, sizeof behaviour->answer,
                                             "HTTP/1.1 %d Answer\r\n%s", status, rest);
}

/* The behaviour a segment names; one that names none is answered with --status. */
static void behaviour_read(struct behaviour *behaviour, const char *segment)
{
    *behaviour = (struct behaviour){0};
    int status = atoi(segment);
    if (strcmp(segment, "hang") == 0)
        behaviour->kind = HANG;
    else if (strcmp(segment, "reset") == 0)
        behaviour->kind = RESET;
    else if (strcmp(segment, "ok") == 0)
        behaviour_answer(behaviour, 200);
    else if (strlen(segment) == 3 && status >= 200 && status <= 599)
        behaviour_answer(behaviour, status);
    else
        behaviour_answer(behaviour, option.status);
}

static struct path_class *class_new(const char *name, size_t len)
{
    struct path_class *class = &classes[class_count++];
    memcpy(class->name, name, len);
    class->last = &class->delayed;
    char first[CLASS_BYTES] = "", second[CLASS_BYTES] = "";
    sscanf(class->name, "/%63[^/]/%63[^/]", first, second);
    behaviour_read(&class->alive, first);
    class->dead = class->alive;
    if (strcmp(first, "delay") == 0) {
        behaviour_answer(&class->alive, 200);
        class->alive.delay_ns = strtoull(second, NULL, 10) * 1000000;
        class->dead = class->alive;
    } else if (strcmp(first, "switch") == 0) {
        behaviour_answer(&class->alive, 200);
        behaviour_read(&class->dead, second);
    }
    return class;
}

/* The class of a request, by the path up to its last slash. */
static struct path_class *class_find(const char *head, size_t len)
{
    const char *path = memchr(head, ' ', len);
    const char *end = path ? memchr(path + 1, ' ', len - (size_t)(path + 1 - head)) : NULL;
    const char *slash = end ? memrchr(path, '/', (size_t)(end - path)) : NULL;
    size_t name_len = slash ? (size_t)(slash - path - 1) : 0;
    if (name_len == 0 || name_len >= CLASS_BYTES || memchr(path, '"', name_len) ||
        memchr(path, '\\', name_len))
        return &classes[0];
    for (unsigned i = 1; i < class_count; i++)
        if (strlen(classes[i].name) == name_len && memcmp(classes[i].name, path + 1, name_len) == 0)
            return &classes[i];
    return class_count < CLASSES ? class_new(path + 1, name_len) : &classes[0];
}

/* ---- what is counted ----------------------------------------------------------------------- */

static void counts_reset(void)
{
    memset(&total, 0, sizeof total);
    broken = 0;
    for (unsigned i = 0; i < class_count; i++) {
        memset(&classes[i].counts, 0, sizeof classes[i].counts);
        free(classes[i].numbers);
        classes[i].numbers = NULL;
    }
    if (option.stamps && (fflush(option.stamps) != 0 || ftruncate(fileno(option.stamps), 0) != 0))
        die("bench-sink: --stamps");
}

static void counts_print(const struct counts *counts)
{
    double seconds = (double)(counts->last_ns - counts->first_ns) / 1e9;
    printf("\"received\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unique\":%" PRIu64
           ",\"unstamped\":%" PRIu64 ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64
           ",\"seconds\":%.3f,\"rate\":%.0f,\"latency_us\":",
           counts->received, counts->refused, counts->unique, counts->unstamped, counts->first_ns,
           counts->last_ns, seconds, seconds > 0 ? (double)counts->received / seconds : 0.0);
    hist_print_json(&counts->age_us, stdout);
}

static void summary_print(void)
{
    printf("{");
    counts_print(&total);
    printf(",\"broken\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"classes\":{", broken,
           connections);
    const char *comma = "";
    for (unsigned i = 0; i < class_count; i++) {
        if (classes[i].counts.received == 0)
            continue;
        printf("%s\"%s\":{", comma, classes[i].name);
        counts_print(&classes[i].counts);
        printf("}");
        comma = ",";
    }
    printf("}}\n");
    fflush(stdout);
    if (option.stamps && fflush(option.stamps) != 0)
        die("bench-sink: --stamps");
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

/* Is this the first time that the class has this number? */
static bool number_is_new(struct path_class *class, uint64_t number)
{
    if (!class->numbers)
        class->numbers = calloc(NUMBERS / 8, 1);
    if (!class->numbers)
        die("calloc");
    unsigned char bit = (unsigned char)(1 << number % 8);
    if (number >= NUMBERS || (class->numbers[number / 8] & bit))
        return false;
    class->numbers[number / 8] |= bit;
    return true;
}

static void counts_arrival(struct counts *counts, uint64_t now, bool refused)
{
    if (counts->received++ == 0)
        counts->first_ns = now;
    counts->last_ns = now;
    counts->refused += refused;
}

static void count_request(struct path_class *class, const char *body, size_t len)
{
    const struct behaviour *behaviour = switch_dead ? &class->dead : &class->alive;
    bool refused = behaviour->kind != ANSWER || behaviour->status >= 300;
    uint64_t now = now_ns(), time, number;
    counts_arrival(&total, now, refused);
    counts_arrival(&class->counts, now, refused);
    if (option.stamps && strcmp(option.stamps_class, class->name) == 0)
        fprintf(option.stamps, "%" PRIu64 "\n", now);
    if (!find_number(body, len, "\"t\":", 19, &time) ||
        !find_number(body, len, "\"n\":", 10, &number) || number < NUMBER_BASE) {
        total.unstamped++;
        class->counts.unstamped++;
        return;
    }
    number -= NUMBER_BASE;
    if (number >= option.skip) {
        uint64_t age_us = time - TIME_BASE < now ? (now - (time - TIME_BASE)) / 1000 : 0;
        hist_add(&total.age_us, age_us);
        hist_add(&class->counts.age_us, age_us);
    }
    if (!refused && number_is_new(class, number)) {
        total.unique++;
        class->counts.unique++;
    }
}

/* ---- connections --------------------------------------------------------------------------- */

static void delay_begin(struct connection *connection, struct path_class *class, uint64_t due_ns)
{
    connection->waiting = class;
    connection->due_ns = due_ns;
    connection->next = NULL;
    connection->before = class->last;
    *class->last = connection;
    class->last = &connection->next;
}

static void delay_end(struct connection *connection)
{
    *connection->before = connection->next;
    if (connection->next)
        connection->next->before = connection->before;
    else
        connection->waiting->last = connection->before;
    connection->waiting = NULL;
}

static void connection_close(struct connection *connection)
{
    if (connection->waiting)
        delay_end(connection);
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
        connection->silent = false;
        connection->waiting = NULL;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
        connections++; /* NOLINT(clang-analyzer-unix.Malloc): the epoll event owns it now */
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
static int request_take(struct connection *connection, struct path_class **class)
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
    *class = class_find(connection->in, head);
    count_request(*class, connection->in + head, body);
    connection->skip = (size_t)length - body;
    connection->len -= head + body;
    memmove(connection->in, connection->in + head + body, connection->len);
    return 1;
}

/* False when it could not be written, which would need a peer that sends thousands of requests
 * without reading. */
static bool answer_write(const struct connection *connection, const struct behaviour *behaviour)
{
    return write(connection->fd, behaviour->answer, behaviour->answer_len) ==
           (ssize_t)behaviour->answer_len;
}

/* Does what the class does with a request; false when the connection is to be closed. */
static bool request_answer(struct connection *connection, struct path_class *class)
{
    const struct behaviour *behaviour = switch_dead ? &class->dead : &class->alive;
    if (behaviour->kind == HANG) {
        connection->silent = true;
        return true;
    }
    if (behaviour->kind == RESET) {
        struct linger none = {.l_onoff = 1};
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        return false;
    }
    if (behaviour->delay_ns > 0) {
        delay_begin(connection, class, now_ns() + behaviour->delay_ns);
        return true;
    }
    if (answer_write(connection, behaviour))
        return true;
    broken++;
    return false;
}

/* Takes and answers what is in the buffer; false when the connection is to be closed. */
static bool requests_serve(struct connection *connection)
{
    struct path_class *class;
    int taken = 1;
    while (taken > 0 && connection->skip == 0 && connection->len > 0 && !connection->silent &&
           !connection->waiting) {
        taken = request_take(connection, &class);
        if (taken > 0 && !request_answer(connection, class))
            return false;
    }
    broken += taken < 0;
    return taken >= 0;
}

/* Reads and answers; false when the connection has ended. */
static bool connection_serve(struct connection *connection)
{
    if (connection->silent)
        connection->len = 0;
    if (connection->len == BUFFER_BYTES)
        return false; /* it sends on and on without waiting for a delayed answer */
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
    return requests_serve(connection);
}

/* ---- delayed answers ----------------------------------------------------------------------- */

/* How long until the next delayed answer is due; -1: there is none. */
static int64_t delayed_in_ns(void)
{
    int64_t next = -1, now = (int64_t)now_ns();
    for (unsigned i = 0; i < class_count; i++) {
        const struct connection *first = classes[i].delayed;
        if (!first)
            continue;
        int64_t in = (int64_t)first->due_ns > now ? (int64_t)first->due_ns - now : 0;
        if (next < 0 || in < next)
            next = in;
    }
    return next;
}

static void delayed_answer(void)
{
    uint64_t now = now_ns();
    for (unsigned i = 0; i < class_count; i++) {
        struct path_class *class = &classes[i];
        struct connection *first;
        while ((first = class->delayed) && first->due_ns <= now) {
            delay_end(first);
            if (!answer_write(first, &class->alive) || !requests_serve(first))
                connection_close(first);
        }
    }
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
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
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
    int number = (int)info.ssi_signo;
    if (number == SIGTERM || number == SIGINT)
        return false;
    if (number == SIGUSR1)
        summary_print();
    else if (number == SIGUSR2)
        counts_reset();
    else
        switch_dead = number == SIGRTMIN;
    return true;
}

static void serve(int listener, int signals)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event on_accept = {.events = EPOLLIN, .data.ptr = &listener};
    struct epoll_event on_signal = {.events = EPOLLIN, .data.ptr = &signals};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &on_accept) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &on_signal) != 0)
        die("epoll");
    while (option.expect == 0 || total.received < option.expect) {
        struct epoll_event events[EVENTS];
        int64_t in_ns = delayed_in_ns();
        struct timespec wait = {.tv_sec = in_ns / 1000000000, .tv_nsec = in_ns % 1000000000};
        int n = epoll_pwait2(epoll, events, EVENTS, in_ns < 0 ? NULL : &wait, NULL);
        if (n < 0 && errno != EINTR)
            die("epoll_pwait2");
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
        if (in_ns >= 0)
            delayed_answer(); /* it may close connections, so after their events */
    }
}

static const char usage[] =
    "usage: bench-sink [options]\n"
    "\n"
    "Answers HTTP/1.1 requests on 127.0.0.1 and measures how old they are: from the timestamp "
    "that\n"
    "bench-load put into the event to its arrival here.\n"
    "\n"
    "  --port P             0, the default, takes a free one; `listening PORT` is printed\n"
    "  --status N           what to answer where the path does not say; 200 from the start\n"
    "  --expect N           print the summary and end after N requests\n"
    "  --skip N             leave the first N events out of the latencies: they warm up\n"
    "  --stamps CLASS:FILE  write when each request of the class came, in ns, one a line\n"
    "\n"
    "A path without its last segment is a class; the summary has its figures. What it begins with\n"
    "says what happens: /ok /500 (any status) /hang /reset /delay/MS /switch/500 (or hang, reset:\n"
    "what it does while dead). So /hang/0 to /hang/19 are twenty endpoints of one class.\n"
    "\n"
    "SIGUSR1 prints the summary (one line of JSON), SIGUSR2 resets it, SIGTERM prints and ends;\n"
    "SIGRTMIN makes the classes below /switch dead, SIGRTMIN+1 alive. Times are CLOCK_MONOTONIC;\n"
    "unique counts the events answered with 2xx, refused all other requests, and latency_us is of\n"
    "first arrivals and repetitions.\n";

static void refuse(const char *what)
{
    fprintf(stderr, "bench-sink: %s\n\n%s", what, usage);
    exit(2);
}

static void stamps_open(char *class)
{
    char *colon = strchr(class, ':');
    if (!colon)
        refuse("--stamps takes CLASS:FILE");
    *colon = '\0';
    option.stamps_class = class;
    option.stamps = fopen(colon + 1, "ae"); /* to append, so that a reset begins it anew */
    if (!option.stamps)
        die(colon + 1);
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"status", required_argument, NULL, 's'},
                                            {"expect", required_argument, NULL, 'e'},
                                            {"skip", required_argument, NULL, 'k'},
                                            {"stamps", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'p':
            option.port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 's':
            option.status = atoi(optarg);
            break;
        case 'e':
            option.expect = strtoull(optarg, NULL, 10);
            break;
        case 'k':
            option.skip = strtoull(optarg, NULL, 10);
            break;
        case 't':
            stamps_open(optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    class_new("/", 1);
    int signals = signals_open();
    serve(listen_at(option.port), signals);
    summary_print();
    return 0; /* memory and sockets end with the process */
}
