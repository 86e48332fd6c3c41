/* redis_master.c - asks where the master is, connects, and asks now and then whether it still is.
 *
 *      IDLE --> ASKING --> DIALING --> DIALED --arrived--> THERE <--.
 *       ^  (Sentinels only)   |          |                   |      | every two seconds: the same
 *       +------- leave, or a failure that was reported ------+------'
 *
 * Why a watch, and what it is for. Three things can be wrong with a server that one is connected
 * to:
 *   - It was demoted. Sentinel closes all connections of a server that it demotes, and whoever
 *     writes to one that was demoted by other hands is told READONLY.
 *   - Its machine has died or cannot be reached, so nothing comes at all. That would be noticed
 *     when a command has waited for redisOptions.commandTimeout, seconds after the others agreed
 *     on a new master.
 *   - It lives and still thinks that it is the master, but Sentinels and replicas cannot reach it
 *     and have replaced it. It would take writes that are thrown away later.
 * ROLE on an idle connection sees only the first. Asking the Sentinels sees all three.
 *
 * A single Sentinel that is cut off may name the old master and make us leave the right one. Then
 * the old one does not answer, or says it is a replica; that Sentinel is distrusted, and the next
 * one asked leads back. When no Sentinel answers, nothing is done: they only watch.
 */
#include "net/redis_master.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/redis_sentinel.h"

enum { WATCH_MS = 2000, HOST_BYTES = 256, WHY_BYTES = 320 };

enum master_state { IDLE, ASKING, DIALING, DIALED, THERE };

struct redis_master {
    struct reactor *reactor;
    const struct redis_options *options;
    redis_master_moved_fn *moved;
    void *moved_arg;
    enum master_state state;
    unsigned attempt;
    redis_dial_fn *fn;
    void *arg;
    struct redis_dial *dial; /* DIALING */
    /* With Sentinels only. */
    struct redis_sentinel *sentinel;
    struct reactor_timer *watch;
    char host[HOST_BYTES]; /* what they named */
    uint16_t port;
};

/* ---- The watch ------------------------------------------------------------------------------ */

static void on_watched(void *arg, const char *host, uint16_t port, const char *error)
{
    (void)error;
    struct redis_master *master = arg;
    if (!host || (strcmp(host, master->host) == 0 && port == master->port)) {
        reactor_timer_set(master->watch, WATCH_MS);
        return;
    }
    char why[WHY_BYTES];
    snprintf(why, sizeof(why), "the master is %s:%u now", host, port);
    master->moved(master->moved_arg, why);
}

static void on_watch(void *arg)
{
    struct redis_master *master = arg;
    if (redis_sentinel_ask(master->sentinel, on_watched, master) != ST_OK)
        reactor_timer_set(master->watch, WATCH_MS);
}

void redis_master_arrived(struct redis_master *master)
{
    assert(master->state == DIALED);
    master->state = THERE;
    if (master->sentinel)
        reactor_timer_set(master->watch, WATCH_MS);
}

/* ---- The way there -------------------------------------------------------------------------- */

static void report(struct redis_master *master, int fd, const char *error)
{
    if (fd >= 0)
        master->state = DIALED;
    else
        redis_master_leave(master);
    master->fn(master->arg, fd, error); /* which may free it */
}

static void on_dialed(void *arg, int fd, const char *error)
{
    struct redis_master *master = arg;
    char text[WHY_BYTES];
    master->dial = NULL;
    if (fd < 0 && master->sentinel) {
        snprintf(text, sizeof(text), "%s:%u: %s", master->host, master->port, error);
        error = text;
    }
    report(master, fd, error);
}

static bool dial(struct redis_master *master, const char *host, uint16_t port)
{
    master->dial = redis_dial_start(master->reactor, host, port, master->options->unix_path,
                                    master->attempt, on_dialed, master);
    if (master->dial)
        master->state = DIALING;
    return master->dial != NULL;
}

static void on_found(void *arg, const char *host, uint16_t port, const char *error)
{
    struct redis_master *master = arg;
    if (!host) {
        report(master, -1, error);
        return;
    }
    snprintf(master->host, sizeof(master->host), "%s", host);
    master->port = port;
    if (!dial(master, master->host, port))
        report(master, -1, "out of memory");
}

enum status redis_master_dial(struct redis_master *master, unsigned attempt, redis_dial_fn *fn,
                              void *arg)
{
    assert(master->state == IDLE);
    master->attempt = attempt;
    master->fn = fn;
    master->arg = arg;
    if (!master->sentinel)
        return dial(master, master->options->host, master->options->port) ? ST_OK : ST_NOMEM;
    enum status status = redis_sentinel_ask(master->sentinel, on_found, master);
    if (status == ST_OK)
        master->state = ASKING;
    return status;
}

void redis_master_leave(struct redis_master *master)
{
    redis_dial_cancel(master->dial);
    master->dial = NULL;
    if (master->sentinel) {
        redis_sentinel_cancel(master->sentinel);
        reactor_timer_cancel(master->watch);
        if (master->state == DIALING || master->state == DIALED)
            redis_sentinel_distrust(master->sentinel);
    }
    master->state = IDLE;
}

bool redis_master_same(const struct redis_master *a, const struct redis_master *b)
{
    return a->state == THERE && b->state == THERE && a->port == b->port &&
           strcmp(a->host, b->host) == 0;
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct redis_master *redis_master_new(struct reactor *reactor, const struct redis_options *options,
                                      redis_master_moved_fn *moved, void *arg)
{
    struct redis_master *master = calloc(1, sizeof(*master));
    if (!master)
        return NULL;
    *master = (struct redis_master){
        .reactor = reactor, .options = options, .moved = moved, .moved_arg = arg};
    if (options->sentinel_count == 0)
        return master;
    master->sentinel = redis_sentinel_new(reactor, options);
    master->watch = reactor_timer_new(reactor, on_watch, master);
    if (!master->sentinel || !master->watch) {
        redis_master_free(master);
        return NULL;
    }
    return master;
}

void redis_master_free(struct redis_master *master)
{
    if (!master)
        return;
    redis_dial_cancel(master->dial);
    redis_sentinel_free(master->sentinel);
    reactor_timer_free(master->watch);
    free(master);
}
