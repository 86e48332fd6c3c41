/* curl_shard.c - when libcurl wants to be called.
 *
 * Its callbacks only take notes (curl refuses to be called from them): the socket callback adjusts
 * a watch, the timer callback notes a time. libevent's callbacks call curl_multi_socket_action()
 * for their descriptor. What is due "at once", above all every handle just added, is done in the
 * owner's turn with one call a shard, without a timer.
 *
 * Timers. curl does not announce a time again that it has announced before; a timer that fires a
 * little early would be the last one. So after every timeout action we ask curl_multi_timeout().
 * The timer is left alone when curl moves its deadline further away, which it does with every
 * request; it then fires early, sees that, and is set anew.
 *
 * When a curl_multi function fails, the manual leaves all its transfers undefined: the shard is
 * broken, its owner gives up what it had, and the multi is made anew.
 */
#include "net/curl_shard.h"

#include "base/clock.h"
#include "base/log.h"

/* ---- Notes ---------------------------------------------------------------------------------- */

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    (void)easy;
    (void)unused;
    struct curl_shard *shard = arg;
    unsigned want = 0;
    want |= what & CURL_POLL_IN && what != CURL_POLL_REMOVE ? FD_WATCH_READ : 0;
    want |= what & CURL_POLL_OUT && what != CURL_POLL_REMOVE ? FD_WATCH_WRITE : 0;
    return fd_watch_want(shard->watches, fd, want, shard) ? 0 : -1;
}

static void note_timeout(struct curl_shard *shard, long in_ms)
{
    shard->due_at_ms = UINT64_MAX;
    if (in_ms == 0)
        shard->due_now = true;
    if (in_ms <= 0)
        return;
    shard->due_at_ms = clock_mono_ms() + (uint64_t)in_ms;
    if (reactor_timer_armed(shard->timer) && shard->timer_at_ms <= shard->due_at_ms)
        return;
    shard->timer_at_ms = shard->due_at_ms;
    reactor_timer_set(shard->timer, (uint64_t)in_ms);
}

static int on_timeout_wanted(CURLM *multi, long in_ms, void *arg)
{
    (void)multi;
    note_timeout(arg, in_ms);
    return 0;
}

static void on_timer(void *arg)
{
    struct curl_shard *shard = arg;
    uint64_t now_ms = clock_mono_ms();
    if (shard->due_at_ms <= now_ms) {
        shard->due_now = true;
    } else if (shard->due_at_ms != UINT64_MAX) {
        shard->timer_at_ms = shard->due_at_ms;
        reactor_timer_set(shard->timer, shard->due_at_ms - now_ms);
    }
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static void act(struct curl_shard *shard, curl_socket_t fd, int ready)
{
    int still_running = 0;
    if (shard->broken)
        return;
    CURLMcode code = curl_multi_socket_action(shard->multi, fd, ready, &still_running);
    shard->has_messages = true;
    if (code != CURLM_OK) {
        log_error("outbound.multi_failed", "code=%d", (int)code);
        shard->broken = true;
    }
}

void curl_shard_ready(struct curl_shard *shard, int fd, unsigned ready)
{
    int flags = 0;
    flags |= ready & FD_WATCH_READ ? CURL_CSELECT_IN : 0;
    flags |= ready & FD_WATCH_WRITE ? CURL_CSELECT_OUT : 0;
    act(shard, fd, flags);
}

void curl_shard_turn(struct curl_shard *shard)
{
    long in_ms = -1;
    if (!shard->due_now)
        return;
    shard->due_now = false;
    act(shard, CURL_SOCKET_TIMEOUT, 0);
    if (!shard->broken && curl_multi_timeout(shard->multi, &in_ms) == CURLM_OK)
        note_timeout(shard, in_ms);
    if (shard->due_now)
        reactor_wake(shard->reactor);
}

CURL *curl_shard_next(struct curl_shard *shard, CURLcode *code)
{
    const CURLMsg *message;
    int left;
    if (!shard->has_messages)
        return NULL;
    while (!shard->broken && (message = curl_multi_info_read(shard->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        *code = message->data.result; /* the message dies with the handle's removal */
        return message->easy_handle;
    }
    shard->has_messages = false;
    return NULL;
}

bool curl_shard_add(struct curl_shard *shard, CURL *easy)
{
    if (!shard->multi || curl_multi_add_handle(shard->multi, easy) != CURLM_OK)
        return false;
    shard->due_now = true;
    reactor_wake(shard->reactor);
    return true;
}

bool curl_shard_remove(struct curl_shard *shard, CURL *easy)
{
    bool removed = curl_multi_remove_handle(shard->multi, easy) == CURLM_OK;
    shard->broken |= !removed;
    return removed;
}

/* ---- Start and end -------------------------------------------------------------------------- */

static CURLM *make_multi(struct curl_shard *shard)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        return NULL;
    bool failed = false;
#define SET(option, value) failed |= curl_multi_setopt(multi, option, value) != CURLM_OK
    SET(CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    SET(CURLMOPT_SOCKETDATA, shard);
    SET(CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    SET(CURLMOPT_TIMERDATA, shard);
    SET(CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    SET(CURLMOPT_MAXCONNECTS, shard->connections_max);
#undef SET
    if (failed) {
        curl_multi_cleanup(multi);
        return NULL;
    }
    return multi;
}

bool curl_shard_init(struct curl_shard *shard, struct reactor *reactor, struct fd_watches *watches,
                     long connections_max)
{
    *shard = (struct curl_shard){
        .reactor = reactor,
        .watches = watches,
        .connections_max = connections_max,
        .due_at_ms = UINT64_MAX,
    };
    shard->timer = reactor_timer_new(reactor, on_timer, shard);
    shard->multi = shard->timer ? make_multi(shard) : NULL;
    return shard->multi != NULL;
}

void curl_shard_deinit(struct curl_shard *shard)
{
    if (shard->multi)
        curl_multi_cleanup(shard->multi);
    reactor_timer_free(shard->timer);
    shard->multi = NULL;
    shard->timer = NULL;
}

void curl_shard_rebuild(struct curl_shard *shard)
{
    if (shard->multi)
        curl_multi_cleanup(shard->multi);
    shard->multi = make_multi(shard);
    shard->broken = !shard->multi;
    shard->has_messages = shard->due_now = false;
}
