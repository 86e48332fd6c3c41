/* reactor.c - the loop.
 *
 *      +--> clock_expire(), event_base_loop(ONCE): callbacks record and enqueue
 *      |        |
 *      |    clock_expire(), hooks in the order of their registration: decide and act
 *      |        |
 *      +--- reap list: memory goes back
 *
 * libevent 2.1 has no prepare or check watchers, so the turn is built around EVLOOP_ONCE.
 * EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST saves about half of the epoll_ctl calls and is safe as long
 * as no watched descriptor is dup()ed, which nothing here does.
 */
#include "net/reactor.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"

enum { HOOKS_MAX = 16, SLOW_TURN_US = 20 * 1000 };

struct hook {
    const char *name;
    reactor_fn *fn;
    void *arg;
};

struct reactor {
    struct event_base *base;
    struct hook hooks[HOOKS_MAX];
    int hook_count;
    struct reap *reap_first;
    struct reap **reap_last;
    struct reactor_stats stats;
    bool stopping;
    bool wake;
};

struct reactor_timer {
    struct reactor *reactor;
    struct event *event;
    uint64_t due_us; /* monotonic */
    reactor_fn *fn;
    void *arg;
};

struct reactor *reactor_new(void)
{
    struct reactor *reactor = calloc(1, sizeof(*reactor));
    struct event_config *config = event_config_new();
    if (!reactor || !config)
        goto fail;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK |
                                          EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST |
                                          EVENT_BASE_FLAG_PRECISE_TIMER) != 0)
        goto fail;
    reactor->base = event_base_new_with_config(config);
    if (!reactor->base)
        goto fail;
    event_config_free(config);
    reactor->reap_last = &reactor->reap_first;
    return reactor;
fail:
    if (config)
        event_config_free(config);
    free(reactor);
    return NULL;
}

static void reap_all(struct reactor *reactor)
{
    while (reactor->reap_first) {
        struct reap *reap = reactor->reap_first;
        reactor->reap_first = reap->next;
        if (!reactor->reap_first)
            reactor->reap_last = &reactor->reap_first;
        reap->queued = false;
        reap->fn(reap);
    }
}

void reactor_free(struct reactor *reactor)
{
    if (!reactor)
        return;
    reap_all(reactor);
    event_base_free(reactor->base);
    free(reactor);
}

struct event_base *reactor_base(struct reactor *reactor)
{
    return reactor->base;
}

void reactor_add_hook(struct reactor *reactor, const char *name, reactor_fn *fn, void *arg)
{
    assert(reactor->hook_count < HOOKS_MAX);
    reactor->hooks[reactor->hook_count++] = (struct hook){name, fn, arg};
}

static void run_hooks(struct reactor *reactor)
{
    uint64_t start_us = clock_now_us();
    for (int i = 0; i < reactor->hook_count; i++) {
        const struct hook *hook = &reactor->hooks[i];
        uint64_t before_us = clock_now_us();
        hook->fn(hook->arg);
        uint64_t took_us = clock_now_us() - before_us;
        if (took_us > SLOW_TURN_US)
            log_warn("loop.slow_hook", "hook=%s took_ms=%llu", hook->name,
                     (unsigned long long)took_us / 1000);
    }
    struct reactor_stats *stats = &reactor->stats;
    stats->turns++;
    stats->last_turn_us = clock_now_us() - start_us;
    stats->busy_us += stats->last_turn_us;
    if (stats->last_turn_us > stats->longest_us)
        stats->longest_us = stats->last_turn_us;
    if (stats->last_turn_us > SLOW_TURN_US)
        stats->slow_turns++;
}

enum status reactor_run(struct reactor *reactor)
{
    reactor->stopping = false;
    reap_all(reactor); /* what was queued while no turn was running */
    while (!reactor->stopping) {
        int flags = EVLOOP_ONCE | (reactor->wake ? EVLOOP_NONBLOCK : 0);
        reactor->wake = false;
        clock_expire();
        if (event_base_loop(reactor->base, flags) < 0) {
            log_error("loop.failed", "errno=%d", errno);
            return ST_IO;
        }
        clock_expire();
        run_hooks(reactor);
        reap_all(reactor);
    }
    return ST_OK;
}

void reactor_stop(struct reactor *reactor)
{
    reactor->stopping = true;
    reactor_wake(reactor);
}

void reactor_wake(struct reactor *reactor)
{
    reactor->wake = true;
}

const struct reactor_stats *reactor_stats(const struct reactor *reactor)
{
    return &reactor->stats;
}

/* ---- Timers --------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct reactor_timer *timer = arg;
    uint64_t now_us = clock_now_us();
    hist_record(&timer->reactor->stats.lag_us, now_us > timer->due_us ? now_us - timer->due_us : 0);
    timer->fn(timer->arg); /* last: it may free the timer */
}

struct reactor_timer *reactor_timer_new(struct reactor *reactor, reactor_fn *fn, void *arg)
{
    struct reactor_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        return NULL;
    timer->reactor = reactor;
    timer->fn = fn;
    timer->arg = arg;
    timer->event = evtimer_new(reactor->base, on_timer, timer);
    if (!timer->event) {
        free(timer);
        return NULL;
    }
    return timer;
}

void reactor_timer_free(struct reactor_timer *timer)
{
    if (!timer)
        return;
    event_free(timer->event);
    free(timer);
}

void reactor_timer_set(struct reactor_timer *timer, uint64_t in_ms)
{
    struct timeval tv = {.tv_sec = (time_t)(in_ms / 1000),
                         .tv_usec = (suseconds_t)(in_ms % 1000) * 1000};
    timer->due_us = clock_now_us() + in_ms * 1000;
    if (evtimer_add(timer->event, &tv) != 0)
        log_error("loop.timer_failed", "errno=%d", errno);
}

void reactor_timer_cancel(struct reactor_timer *timer)
{
    evtimer_del(timer->event);
}

bool reactor_timer_armed(const struct reactor_timer *timer)
{
    return evtimer_pending(timer->event, NULL) != 0;
}

/* ---- Reaping -------------------------------------------------------------------------------- */

void reactor_reap(struct reactor *reactor, struct reap *reap, void (*fn)(struct reap *reap))
{
    if (reap->queued)
        return;
    reap->queued = true;
    reap->fn = fn;
    reap->next = NULL;
    *reactor->reap_last = reap;
    reactor->reap_last = &reap->next;
}
