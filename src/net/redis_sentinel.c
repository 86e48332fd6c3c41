/* redis_sentinel.c - one question, put to one Sentinel after the other.
 *
 *      ask -> dialing -> asked --answer--------------------------> idle, called back
 *               ^  |       |
 *               |  +-------+--error, unknown name, half a second
 *               |          v
 *               +------- the next one; after all of them: idle, called back with the last error
 *
 * `first` walks around the Sentinels and stays at the one that answered. That has the effect that
 * the specification wants of moving it to the front of the list, and the others keep their order,
 * so that each gets its turn even when questions are cut short.
 *
 * A connection is made for each question and closed with the answer. Keeping one would save little
 * (a question a second or so) and add a state: one more thing that dies unnoticed.
 *
 * Rejected: SUBSCRIBE +switch-master. It needs a connection to every Sentinel that is kept alive
 * and watched itself, messages may be missed while it is not, and so the questions would have to
 * stay. Asking every now and then (redis_master.c) finds the same a moment later, and more.
 */
#include "net/redis_sentinel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/parse.h"
#include "net/redis_dial.h"
#include "net/redis_pipe.h"
#include "net/redis_reply.h"

enum {
    ANSWER_MS = 500,
    HOST_BYTES = 256, /* a DNS name has at most 253 */
    ERROR_BYTES = 256,
    READ_BYTES = 4096
};

struct redis_sentinel {
    struct reactor *reactor;
    const struct redis_options *options;
    size_t first;   /* asked, or to be asked first */
    size_t to_come; /* Sentinels not asked yet, the present one included; 0: idle */
    unsigned attempt;
    redis_sentinel_fn *fn;
    void *arg;

    struct redis_dial *dial; /* while dialing */
    int fd;                  /* -1 unless asked; as are the next two */
    struct event *readable;
    struct redis_reader *reader;
    bool authenticating; /* the next reply is AUTH's */
    struct reactor_timer *timer;
    char error[ERROR_BYTES];
};

static void ask_next(struct redis_sentinel *sentinel, const char *what, struct slice why);

static const struct redis_host *present(const struct redis_sentinel *sentinel)
{
    return &sentinel->options->sentinels[sentinel->first];
}

static void advance(struct redis_sentinel *sentinel)
{
    sentinel->first = (sentinel->first + 1) % sentinel->options->sentinel_count;
}

/* ---- The end -------------------------------------------------------------------------------- */

/* Leaves the Sentinel that was asked. */
static void hang_up(struct redis_sentinel *sentinel)
{
    reactor_timer_cancel(sentinel->timer);
    redis_dial_cancel(sentinel->dial);
    sentinel->dial = NULL;
    if (sentinel->readable)
        event_free(sentinel->readable);
    sentinel->readable = NULL;
    redis_reader_free(sentinel->reader);
    sentinel->reader = NULL;
    if (sentinel->fd >= 0)
        close(sentinel->fd);
    sentinel->fd = -1;
}

/* The callback may free the sentinel, so nothing is touched behind it. */
static void finish(struct redis_sentinel *sentinel, const char *host, uint16_t port)
{
    redis_sentinel_fn *fn = sentinel->fn;
    hang_up(sentinel);
    sentinel->to_come = 0;
    sentinel->fn = NULL;
    fn(sentinel->arg, host, port, host ? "" : sentinel->error);
}

/* ---- The answer ----------------------------------------------------------------------------- */

/* [host, port], both as strings. */
static bool read_address(const struct redis_value *reply, char host[HOST_BYTES], uint16_t *port)
{
    struct slice name = redis_value_text(redis_value_at(reply, 0));
    uint64_t number;
    if (redis_value_count(reply) != 2 || name.len == 0 || name.len >= HOST_BYTES ||
        memchr(name.ptr, '\0', name.len) ||
        parse_u64(redis_value_text(redis_value_at(reply, 1)), &number) != ST_OK || number == 0 ||
        number > UINT16_MAX)
        return false;
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    *port = (uint16_t)number;
    return true;
}

/* False when there is nothing more to read from this Sentinel. */
static bool take_reply(struct redis_sentinel *sentinel, const struct redis_value *reply)
{
    char host[HOST_BYTES];
    uint16_t port;
    if (redis_value_type(reply) == REDIS_ERROR) {
        ask_next(sentinel, "it says", redis_value_text(reply));
    } else if (sentinel->authenticating) {
        sentinel->authenticating = false;
        return true;
    } else if (redis_value_type(reply) == REDIS_NIL) {
        ask_next(sentinel, "it knows no master", slice_str(sentinel->options->master_name));
    } else if (!read_address(reply, host, &port)) {
        ask_next(sentinel, "bad reply", SLICE("no address"));
    } else {
        finish(sentinel, host, port);
    }
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct redis_sentinel *sentinel = arg;
    char bytes[READ_BYTES];
    (void)what;
    ssize_t len = recv((int)fd, bytes, sizeof(bytes), 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        ask_next(sentinel, "connection lost",
                 len == 0 ? SLICE("closed by the Sentinel") : slice_str(strerror(errno)));
        return;
    }
    const struct redis_value *reply;
    enum status status = redis_reader_feed(sentinel->reader, bytes, (size_t)len);
    while (status == ST_OK && (status = redis_reader_next(sentinel->reader, &reply)) == ST_OK &&
           reply) {
        if (!take_reply(sentinel, reply))
            return;
    }
    if (status != ST_OK)
        ask_next(sentinel, "bad reply", slice_str(redis_reader_error(sentinel->reader)));
}

/* ---- The question --------------------------------------------------------------------------- */

/* One command, at once: on a fresh connection some hundred bytes fit, or something is wrong. */
static bool say(struct redis_sentinel *sentinel, const struct slice *words, size_t count)
{
    struct redis_part part = {words, count};
    struct redis_op *op = redis_op_new(OP_HELLO, &part, 1);
    if (!op)
        return false;
    bool sent = send(sentinel->fd, op->bytes, op->len, MSG_NOSIGNAL) == (ssize_t)op->len;
    explicit_bzero(op->bytes, op->len); /* it may be the password */
    free(op);
    return sent;
}

static bool put_question(struct redis_sentinel *sentinel)
{
    const struct redis_options *options = sentinel->options;
    struct slice auth[3] = {SLICE("AUTH"), slice_str(options->sentinel_username), SLICE_NULL};
    size_t auth_count = options->sentinel_username ? 2 : 1;
    auth[auth_count++] = slice_str(options->sentinel_password);
    const struct slice question[] = {SLICE("SENTINEL"), SLICE("get-master-addr-by-name"),
                                     slice_str(options->master_name)};
    sentinel->authenticating = options->sentinel_password != NULL;
    return (!sentinel->authenticating || say(sentinel, auth, auth_count)) &&
           say(sentinel, question, 3);
}

static void on_dialed(void *arg, int fd, const char *error)
{
    struct redis_sentinel *sentinel = arg;
    sentinel->dial = NULL;
    if (fd < 0) {
        ask_next(sentinel, "it cannot be asked", slice_str(error));
        return;
    }
    sentinel->fd = fd;
    sentinel->reader = redis_reader_new();
    sentinel->readable =
        event_new(reactor_base(sentinel->reactor), fd, EV_READ | EV_PERSIST, on_readable, sentinel);
    if (!sentinel->reader || !sentinel->readable || event_add(sentinel->readable, NULL) != 0 ||
        !put_question(sentinel))
        ask_next(sentinel, "it cannot be asked", SLICE("out of memory, or the socket is full"));
}

static void on_timer(void *arg)
{
    ask_next(arg, "no answer", SLICE("for half a second"));
}

static bool dial(struct redis_sentinel *sentinel)
{
    const struct redis_host *host = present(sentinel);
    sentinel->dial = redis_dial_start(sentinel->reactor, host->name, host->port, NULL,
                                      sentinel->attempt++, on_dialed, sentinel);
    if (sentinel->dial)
        reactor_timer_set(sentinel->timer, ANSWER_MS);
    return sentinel->dial != NULL;
}

/* This one was of no use. */
static void ask_next(struct redis_sentinel *sentinel, const char *what, struct slice why)
{
    snprintf(sentinel->error, sizeof(sentinel->error), "Sentinel %s:%u: %s: %.*s",
             present(sentinel)->name, present(sentinel)->port, what, SLICE_ARGS(why));
    hang_up(sentinel); /* and with it what `why` may quote */
    advance(sentinel);
    sentinel->to_come--;
    if (sentinel->to_come == 0 || !dial(sentinel))
        finish(sentinel, NULL, 0);
}

enum status redis_sentinel_ask(struct redis_sentinel *sentinel, redis_sentinel_fn *fn, void *arg)
{
    assert(sentinel->to_come == 0);
    if (!dial(sentinel))
        return ST_NOMEM;
    sentinel->fn = fn;
    sentinel->arg = arg;
    sentinel->to_come = sentinel->options->sentinel_count;
    return ST_OK;
}

void redis_sentinel_cancel(struct redis_sentinel *sentinel)
{
    if (sentinel->to_come == 0)
        return;
    hang_up(sentinel);
    advance(sentinel);
    sentinel->to_come = 0;
    sentinel->fn = NULL;
}

void redis_sentinel_distrust(struct redis_sentinel *sentinel)
{
    assert(sentinel->to_come == 0);
    advance(sentinel);
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct redis_sentinel *redis_sentinel_new(struct reactor *reactor,
                                          const struct redis_options *options)
{
    assert(options->sentinel_count > 0 && options->master_name);
    struct redis_sentinel *sentinel = calloc(1, sizeof(*sentinel));
    if (!sentinel)
        return NULL;
    *sentinel = (struct redis_sentinel){.reactor = reactor, .options = options, .fd = -1};
    sentinel->timer = reactor_timer_new(reactor, on_timer, sentinel);
    if (!sentinel->timer) {
        free(sentinel);
        return NULL;
    }
    return sentinel;
}

void redis_sentinel_free(struct redis_sentinel *sentinel)
{
    if (!sentinel)
        return;
    hang_up(sentinel);
    reactor_timer_free(sentinel->timer);
    free(sentinel);
}
