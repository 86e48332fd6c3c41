/* direct_conn.c - the states of a connection.
 *
 *                       ,---------------------------------------------.
 *    some wait,         |             not needed any more             |
 *    few connects       |  made, one waits          answered, may be  v
 *    ------------> connecting -----------> exchanging -----------> idle
 *                      |                     |     ^      kept    |   |
 *               failed,|      failed, closed,|     |              |   |
 *            given up  |    cut, timed out,  |     `--------------'   |
 *                      |    cancelled        |      a request         | readable, too old,
 *                      v                     v                        | one too many
 *                    closed <--------------- + <----------------------'
 *
 * It has a request while it is exchanging, and only then: it is made for whoever comes first
 * (direct_wait.c). While it connects, libcurl waits for its socket and watches its time; from then
 * on we do.
 *
 * In steady state an exchange costs no call of epoll and no timer: the socket stays registered for
 * reading all its life, for writing only while the kernel takes no more, and the one deadline that
 * a connection has (of its request, of its idling) is moved, which is a store as long as it moves
 * further away (deadlines.h).
 *
 * An idle connection that becomes readable has been closed by its peer, or is out of step; either
 * way nothing more is sent on it. The loop sees that before it runs the hooks, in which requests
 * are sent. It does not see what comes while the turn lasts; and nobody could see what is still on
 * its way. If that is the end, the request is sent again (direct_route.c). If it is something that
 * nobody asked for, it counts as the answer, and each answer from then on as that to the request
 * before it, until one of them finds the connection idle or comes together with another.
 *
 * To look before each use costs a call of the system, 3 % of a delivery, and does not end that risk
 * but takes the turn from its length and leaves the time on the wire. So it is done where it tells
 * something: when the turn has lasted longer than TRUST_US, which is about what bytes are on their
 * way; and before the next WARY_USES uses of an origin's connections when on one of them something
 * came unasked, or its end was found out by writing to it. [nginx, Envoy and Go's net/http trust
 * their loops alone, libcurl looks each time]
 *
 * Nothing here is called by libcurl but on_close(), which takes notes. What libcurl closes by
 * itself (it should not, see direct_stream.c, and can do it only to encrypted ones) is not touched
 * any more: its number may belong to somebody else by then.
 */
#include "net/direct_conn.h"

#include <stdlib.h>

#include <sys/socket.h>

#include "base/clock.h"

enum {
    LINKS_PER_MULTI = 512,            /* libcurl works on them when they are made and closed */
    LINKS_PER_MULTI_BY_LIBCURL = 64,  /* … and with each read and write */
    IDLE_AGE_DEFAULT_MS = 118 * 1000, /* libcurl's */
    TRUST_US = 5 * 1000, /* so long an idle connection is what the loop found it to be */
    WARY_USES = 1000,    /* of kept connections, after one that was out of step */
    COSTLY_PART = 3,     /* of the loop's time: one in so many */
    CLOCK_SLACK_MS = 50, /* a turn's time is older than libcurl's */
};

static struct direct_conn *conn_at(struct direct_place *place)
{
    return CONTAINER_OF(place, struct direct_conn, place);
}

const char *direct_conn_address(const struct direct_conn *conn)
{
    return conn->link.dial.address;
}

void direct_conn_close(struct direct_conn *conn)
{
    struct direct_conns *conns = conn->conns;
    deadlines_clear(&conns->deadlines, &conn->deadline);
    if (conn->connected && !conn->lost)
        fd_watch_drop(conns->watches, conn->stream.fd);
    list_remove(&conn->node);
    direct_wait_drop(&conn->place.origin->wait, &conn->attempt);
    direct_link_close(&conn->link);
    direct_place_deinit(&conn->place);
    free(conn);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

/* The origin is all of the URL that matters for a connection. Whether http is allowed was asked
 * when the request came, so it is for an origin that has it. */
bool direct_conn_open(struct direct_conns *conns, struct direct_origin *origin, uint64_t timeout_ms)
{
    struct direct_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return false;
    if (!direct_link_open(conns->connector, &conn->link, origin->name, timeout_ms,
                          !origin->https)) {
        free(conn);
        return false;
    }
    conn->conns = conns;
    conn->connect_until_ms = clock_mono_ms() + timeout_ms;
    conn->begun_us = clock_now_us();
    conn->spent_before_us = direct_connector_spent_us(conns->connector);
    direct_place_init(&conn->place, origin);
    direct_wait_try(&origin->wait, &conn->attempt);
    list_push_back(&conns->connecting, &conn->node);
    return true;
}

void direct_conn_give_up(struct direct_origin *origin)
{
    struct direct_try *attempt = direct_wait_surplus(&origin->wait);
    if (attempt)
        direct_conn_close(CONTAINER_OF(attempt, struct direct_conn, attempt));
}

const char *direct_conn_tried_address(const struct direct_origin *origin)
{
    struct direct_try *attempt = direct_wait_oldest_try(&origin->wait);
    return attempt ? direct_conn_address(CONTAINER_OF(attempt, struct direct_conn, attempt)) : "";
}

/* Takes the socket over from libcurl. False when that fails: `stream` says why. */
static bool take_over(struct direct_conn *conn)
{
    struct direct_conns *conns = conn->conns;
    struct direct_stream *stream = &conn->stream;
    socklen_t len = sizeof(conn->peer);
    if (!direct_stream_open(stream, conn->link.easy, conn->place.origin->https, conn->link.detail))
        return false;
    if (getpeername(stream->fd, (struct sockaddr *)&conn->peer, &len) != 0) {
        stream->error = OUTBOUND_CONNECTION_RESET;
        stream->detail = "the connection was closed at once";
        return false;
    }
    curl_address_text(conn->link.dial.address, (const struct sockaddr *)&conn->peer);
    direct_link_take_socket(&conn->link, stream->fd, !conn->place.origin->https);
    if (!fd_watch_adopt(conns->watches, stream->fd, conn)) {
        stream->error = OUTBOUND_INTERNAL;
        stream->detail = "out of memory";
        return false;
    }
    conn->connected = true;
    uint64_t now_ms = clock_mono_ms();
    bool endless = conns->age_max_ms >= DEADLINE_NEVER - now_ms;
    conn->usable_until_ms = endless ? DEADLINE_NEVER : now_ms + conns->age_max_ms;
    return true;
}

static void not_made(struct direct_conn *conn, enum outbound_error error, const char *detail)
{
    bool out_of_time =
        error == OUTBOUND_TIMEOUT && clock_mono_ms() + CLOCK_SLACK_MS >= conn->connect_until_ms;
    size_t share = direct_wait_failed(&conn->place.origin->wait, &conn->attempt);
    conn->conns->fns.not_made(conn, error, detail, out_of_time ? 0 : share);
}

/* Did connects take much of the loop's time while this one was under way? */
static bool was_costly(const struct direct_conn *conn)
{
    uint64_t spent_us = direct_connector_spent_us(conn->conns->connector) - conn->spent_before_us;
    return spent_us * COSTLY_PART > clock_now_us() - conn->begun_us;
}

static void on_connected(struct direct_link *link)
{
    struct direct_conn *conn = CONTAINER_OF(link, struct direct_conn, link);
    list_remove(&conn->node);
    if (!take_over(conn)) {
        not_made(conn, conn->stream.error, conn->stream.detail);
        return;
    }
    direct_wait_made(&conn->place.origin->wait, &conn->attempt, was_costly(conn));
    conn->conns->fns.made(conn);
}

static void on_failed(struct direct_link *link, enum outbound_error error, const char *detail)
{
    struct direct_conn *conn = CONTAINER_OF(link, struct direct_conn, link);
    if (!conn->connected)
        not_made(conn, error, detail);
    else if (conn->request)
        conn->conns->fns.failed(conn, error, detail);
    else
        direct_conn_close(conn);
}

/* libcurl closes a socket. Those that we close are not watched any more, nor are those that were
 * never connected. */
static void on_close(void *arg, int fd)
{
    struct direct_conns *conns = arg;
    struct direct_conn *conn = fd_watch_owner(conns->watches, fd);
    if (!conn)
        return;
    fd_watch_drop(conns->watches, fd);
    direct_place_busy(&conn->place);
    conn->lost = true;
    list_push_back(&conns->lost, &conn->node);
    reactor_wake(conns->reactor);
}

void direct_conns_turn(struct direct_conns *conns)
{
    struct list *node;
    conns->turn_us = clock_mono_us();
    direct_connector_turn(conns->connector);
    while ((node = list_pop_front(&conns->lost)))
        on_failed(&CONTAINER_OF(node, struct direct_conn, node)->link, OUTBOUND_CONNECTION_RESET,
                  "libcurl closed the connection");
}

/* ---- Exchanging and idling ------------------------------------------------------------------ */

/* False when it was closed: its peer has ended it, or nobody knows what it would say next. */
static bool check_idle(struct direct_conn *conn)
{
    enum direct_stream_idle idle = direct_stream_look(&conn->stream);
    if (idle == DIRECT_STREAM_UNASKED)
        direct_conn_distrust(conn);
    if (idle != DIRECT_STREAM_QUIET)
        direct_conn_close(conn);
    return idle == DIRECT_STREAM_QUIET;
}

static void on_ready(void *owner, int fd, unsigned ready)
{
    (void)fd;
    struct direct_conn *conn = owner;
    if (conn->request)
        conn->conns->fns.ready(conn, ready);
    else
        check_idle(conn);
}

static void on_deadline(void *arg, struct deadline *passed)
{
    (void)arg;
    struct direct_conn *conn = CONTAINER_OF(passed, struct direct_conn, deadline);
    if (conn->request)
        conn->conns->fns.expired(conn);
    else
        direct_conn_close(conn);
}

void direct_conn_exchange(struct direct_conn *conn, struct direct_request *request,
                          uint64_t deadline_ms)
{
    conn->request = request;
    deadlines_set(&conn->conns->deadlines, &conn->deadline, deadline_ms);
}

bool direct_conn_want(struct direct_conn *conn, unsigned want)
{
    return fd_watch_want(conn->conns->watches, conn->stream.fd, want, conn);
}

/* Before an answer nothing may have come but TLS's own messages. */
static bool spoke_unasked(struct direct_conn *conn)
{
    return direct_stream_has_more(&conn->stream) &&
           direct_stream_look(&conn->stream) != DIRECT_STREAM_QUIET;
}

void direct_conn_keep(struct direct_conn *conn, bool answered)
{
    struct direct_conns *conns = conn->conns;
    uint64_t now_ms = clock_mono_ms();
    uint64_t until_ms = now_ms + conns->idle_age_max_ms;
    if (until_ms > conn->usable_until_ms)
        until_ms = conn->usable_until_ms;
    if (conn->lost || until_ms <= now_ms || (!answered && spoke_unasked(conn)) ||
        !direct_conn_want(conn, FD_WATCH_READ)) {
        direct_conn_close(conn);
        return;
    }
    if (conns->tls_by_openssl && answered)
        direct_stream_take_tls(&conn->stream);
    if (answered)
        direct_wait_freed(&conn->place.origin->wait);
    conn->kept = true;
    conn->request = NULL;
    direct_place_idle(&conn->place);
    deadlines_set(&conns->deadlines, &conn->deadline, until_ms);
}

void direct_conns_trim(struct direct_conns *conns)
{
    struct direct_place *excess;
    while ((excess = direct_pool_excess(&conns->pool, conns->idle_max)))
        direct_conn_close(conn_at(excess));
}

/* The deadline of one that idled too long has not been looked at yet in the turn in which it
 * passes. */
static bool may_use(struct direct_conn *conn)
{
    struct direct_origin *origin = conn->place.origin;
    if (conn->deadline.at_ms <= clock_mono_ms()) {
        direct_conn_close(conn);
        return false;
    }
    if (origin->wary == 0 && clock_now_us() - conn->conns->turn_us < TRUST_US)
        return true;
    origin->wary -= origin->wary > 0;
    return check_idle(conn);
}

struct direct_conn *direct_conn_take(struct direct_origin *origin)
{
    struct direct_place *place;
    while ((place = direct_pool_last_used(origin))) {
        struct direct_conn *conn = conn_at(place);
        if (may_use(conn)) {
            direct_place_busy(place);
            return conn;
        }
    }
    return NULL;
}

void direct_conn_distrust(struct direct_conn *conn)
{
    conn->place.origin->wary = WARY_USES;
}

/* ---- Start and end -------------------------------------------------------------------------- */

bool direct_conns_init(struct direct_conns *conns, struct reactor *reactor, struct curl_env *env,
                       const struct outbound_options *options, const struct direct_conn_fns *fns)
{
    const struct direct_connect_fns connect_fns = {
        .connected = on_connected, .failed = on_failed, .on_close = on_close, .arg = conns};
    *conns = (struct direct_conns){
        .reactor = reactor,
        .env = env,
        .fns = *fns,
        .idle_max = options->idle_connections_max,
        .idle_age_max_ms =
            options->idle_age_max_ms ? options->idle_age_max_ms : IDLE_AGE_DEFAULT_MS,
        .age_max_ms =
            options->connection_age_max_ms ? options->connection_age_max_ms : DEADLINE_NEVER,
        .tls_by_openssl = options->direct_tls == OUTBOUND_TLS_OPENSSL,
    };
    list_init(&conns->connecting);
    list_init(&conns->lost);
    direct_pool_init(&conns->pool);
    conns->connector = direct_connector_new(
        reactor, env, conns->tls_by_openssl ? LINKS_PER_MULTI : LINKS_PER_MULTI_BY_LIBCURL,
        &connect_fns);
    conns->watches = fd_watches_new(reactor, on_ready);
    return deadlines_init(&conns->deadlines, reactor, on_deadline, conns) && conns->connector &&
           conns->watches;
}

void direct_conns_deinit(struct direct_conns *conns)
{
    struct direct_place *place;
    struct list *node;
    while ((place = direct_pool_excess(&conns->pool, 0)))
        direct_conn_close(conn_at(place));
    while ((node = list_pop_front(&conns->connecting)) || (node = list_pop_front(&conns->lost)))
        direct_conn_close(CONTAINER_OF(node, struct direct_conn, node));
    direct_pool_deinit(&conns->pool);
    direct_connector_free(conns->connector);
    deadlines_deinit(&conns->deadlines);
    fd_watches_free(conns->watches);
}
