/* sink.c - the receiver of benchmarks: answers every request and measures its age.
 *
 * bench-load puts two stamps into each event (stamp.h), the instant it meant to send it and its
 * number. Both arrive here inside the delivery's body, whatever envelope the server put around
 * them, so the sink knows how long the event took from producer to receiver (both clocks are
 * CLOCK_MONOTONIC of one machine) and whether it came twice.
 *
 * One sink plays many endpoints: the path says how (path_class.h); and, with --everywhere, many
 * hosts. One thread, one epoll; a connection is connection.c's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../stamp.h"
#include "connection.h"
#include "options.h"
#include "tls.h"

enum { EVENTS = 256 };

static struct sink_options option;
static struct counts total;
static uint64_t connections_made;

__attribute__((noreturn)) static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- what is counted ----------------------------------------------------------------------- */

static void event_count(struct path_class *class, uint64_t now, bool is_refused, uint64_t time,
                        uint64_t number)
{
    if (number >= option.skip) {
        uint64_t age_us = time < now ? (now - time) / 1000 : 0;
        hist_add(&total.age_us, age_us);
        hist_add(&class->counts.age_us, age_us);
    }
    if (!is_refused && number_set_add(&class->numbers, number)) {
        total.unique++;
        class->counts.unique++;
    }
}

static void arrival_count(struct path_class *class, uint64_t now, bool is_refused)
{
    counts_arrival(&total, now, is_refused);
    counts_arrival(&class->counts, now, is_refused);
}

/* One that carries several events counts as many times. */
static void request_count(struct path_class *class, const char *body, size_t len)
{
    const struct behaviour *behaviour = path_class_behaviour(class);
    bool is_refused = behaviour->kind != ANSWER || behaviour->status >= 300;
    uint64_t now = stamp_now_ns(), time, number;
    if (option.stamps && strcmp(option.stamps_class, class->name) == 0)
        fprintf(option.stamps, "%" PRIu64 "\n", now);
    arrival_count(class, now, is_refused);
    if (!counts_find_stamps(&body, &len, &time, &number)) {
        total.unstamped++;
        class->counts.unstamped++;
        return;
    }
    event_count(class, now, is_refused, time, number);
    while (counts_find_stamps(&body, &len, &time, &number)) {
        arrival_count(class, now, is_refused);
        event_count(class, now, is_refused, time, number);
    }
}

static void counts_reset(void)
{
    memset(&total, 0, sizeof total);
    connections_broken = 0;
    for (unsigned i = 0; i < path_class_count; i++) {
        memset(&path_classes[i].counts, 0, sizeof path_classes[i].counts);
        number_set_clear(&path_classes[i].numbers);
    }
    if (option.stamps && (fflush(option.stamps) != 0 || ftruncate(fileno(option.stamps), 0) != 0))
        die("bench-sink: --stamps");
}

static void summary_print(void)
{
    printf("{");
    counts_print(&total, stdout);
    printf(",\"broken\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"classes\":{", connections_broken,
           connections_made);
    const char *comma = "";
    for (unsigned i = 0; i < path_class_count; i++) {
        if (path_classes[i].counts.received == 0)
            continue;
        printf("%s\"%s\":{", comma, path_classes[i].name);
        counts_print(&path_classes[i].counts, stdout);
        printf("}");
        comma = ",";
    }
    printf("}}\n");
    fflush(stdout);
    if (option.stamps && fflush(option.stamps) != 0)
        die("bench-sink: --stamps");
}

/* ---- the program --------------------------------------------------------------------------- */

/* A socket on all addresses is bound to the interface lo, so that no other host reaches it. */
static int listen_open(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (option.is_everywhere && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0)
        die("bench-sink: --everywhere");
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(option.port),
                                  .sin_addr.s_addr =
                                      htonl(option.is_everywhere ? INADDR_ANY : INADDR_LOOPBACK)};
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
        path_classes_switch(number == SIGRTMIN);
    return true;
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
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.ptr = connection_new(fd, option.ca_path)};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
        connections_made++; /* NOLINT(clang-analyzer-unix.Malloc): the epoll event owns it now */
    }
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
        int64_t in_ns = connections_delayed_in_ns();
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
            connections_answer_delayed();
    }
}

int main(int argc, char **argv)
{
    sink_options_read(&option, argc, argv);
    path_classes_init(option.status);
    connections_init(request_count);
    if (option.ca_path)
        tls_init(option.ca_path);
    int signals = signals_open();
    serve(listen_open(), signals);
    summary_print();
    return 0; /* memory and sockets end with the process */
}
