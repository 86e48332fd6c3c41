/* direct_connect.c - handles that only connect, and their multis.
 *
 *                 open                 curl's message                  take_socket
 *      closed ----------> connecting ------------------> connected() --+----------> a socket only
 *        ^                    |  |                                     |                  |
 *        |              close |  `---------------------> failed() --.  | close            | close
 *        `--------------------+-------------------------------------+--+------------------'
 *
 * A handle stays in its multi until its connection ends: taking it out closes the socket. Unless we
 * decline to (CURLOPT_CLOSESOCKETFUNCTION), which is done for connections that are not encrypted:
 * libcurl has nothing to give to them any more, and 8 KiB each in a handle, its connection and
 * their buffers. Before it asks to close a socket libcurl does nothing to it (7.88: no shutdown(),
 * which later versions leave out for handles that only connect), and forgets its number.
 *
 * These multis are not shared with transfers, since connections that are held count as kept ones
 * there, and libcurl would close those of the transfers for them. Handles are cleaned up before
 * their multi; the other way round libcurl loses a descriptor and a TLS session each.
 *
 * Multis are made when those before them are full, and kept. A name is resolved, an address tried,
 * a proxy asked for a tunnel, a handshake made within the call's time for connecting, which is
 * libcurl's to watch, because it divides it among a name's addresses.
 *
 * CURLOPT_FRESH_CONNECT, for libcurl must not find a connection of ours and think it could use it.
 */
#include "net/direct_connect.h"

#include <stdlib.h>

#include "base/clock.h"
#include "net/curl_error.h"
#include "net/curl_shard.h"

struct direct_multi {
    struct curl_shard curl; /* the owner of the watches */
    struct direct_connector *connector;
    struct list links; /* struct direct_link */
    size_t count;
    struct direct_multi *next;
};

struct direct_connector {
    struct reactor *reactor;
    struct curl_sockets sockets;
    struct direct_connect_fns fns;
    struct direct_multi *multis;
    size_t links_per_multi;
    uint64_t spent_us; /* in libcurl, for connects */
    int taken_fd;      /* not to be closed by libcurl; -1: none */
};

/* ---- Multis --------------------------------------------------------------------------------- */

static void on_socket_ready(void *owner, int fd, unsigned ready)
{
    struct direct_multi *multi = CONTAINER_OF(owner, struct direct_multi, curl);
    uint64_t before_us = clock_now_us();
    curl_shard_ready(owner, fd, ready);
    multi->connector->spent_us += clock_now_us() - before_us;
}

static void multi_free(struct direct_multi *multi)
{
    curl_shard_deinit(&multi->curl);
    free(multi);
}

static struct direct_multi *multi_new(struct direct_connector *connector)
{
    struct direct_multi *multi = calloc(1, sizeof(*multi));
    if (!multi)
        return NULL;
    multi->connector = connector;
    list_init(&multi->links);
    if (!curl_shard_init(&multi->curl, connector->reactor, connector->sockets.watches, 0)) {
        multi_free(multi);
        return NULL;
    }
    multi->next = connector->multis;
    connector->multis = multi;
    return multi;
}

/* One with room, made when there is none; NULL when out of memory. */
static struct direct_multi *choose_multi(struct direct_connector *connector)
{
    for (struct direct_multi *multi = connector->multis; multi; multi = multi->next)
        if (multi->count < connector->links_per_multi && !multi->curl.broken)
            return multi;
    return multi_new(connector);
}

/* ---- Links ---------------------------------------------------------------------------------- */

static bool set_options(struct direct_link *link, const char *url, uint64_t timeout_ms,
                        bool http_allowed)
{
    bool failed = !curl_env_set_policy(link->easy, &link->dial, link->detail) ||
                  !curl_env_set_http(link->easy, http_allowed);
#define SET(option, value) failed |= curl_easy_setopt(link->easy, option, value) != CURLE_OK
    SET(CURLOPT_PRIVATE, link);
    SET(CURLOPT_CONNECT_ONLY, 1L);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_HTTPPROXYTUNNEL, 1L);
    SET(CURLOPT_BUFFERSIZE, 1024L); /* for a proxy's answer */
    SET(CURLOPT_URL, url);
    SET(CURLOPT_CONNECTTIMEOUT_MS, curl_timeout_option(timeout_ms));
#undef SET
    return !failed;
}

bool direct_link_open(struct direct_connector *connector, struct direct_link *link, const char *url,
                      uint64_t timeout_ms, bool http_allowed)
{
    struct direct_multi *multi = choose_multi(connector);
    if (!multi)
        return false;
    link->easy = curl_easy_init();
    if (!link->easy)
        return false;
    link->detail[0] = '\0';
    link->dial.sockets = &connector->sockets;
    link->dial.watch_owner = &multi->curl;
    curl_dial_begin(&link->dial);
    if (!set_options(link, url, timeout_ms, http_allowed) ||
        !curl_shard_add(&multi->curl, link->easy)) {
        curl_easy_cleanup(link->easy);
        link->easy = NULL;
        return false;
    }
    link->multi = multi;
    list_push_back(&multi->links, &link->node);
    multi->count++;
    return true;
}

static void free_handle(struct direct_link *link)
{
    curl_shard_remove(&link->multi->curl, link->easy); /* should it fail: cleaning up works */
    curl_easy_cleanup(link->easy);
    link->easy = NULL;
    list_remove(&link->node);
    link->multi->count--;
}

void direct_link_take_socket(struct direct_link *link, int fd, bool for_good)
{
    struct direct_connector *connector = link->multi->connector;
    fd_watch_drop(connector->sockets.watches, fd);
    if (!for_good)
        return;
    connector->taken_fd = fd;
    free_handle(link);
    connector->taken_fd = -1;
    link->fd = fd;
    link->has_fd = true;
}

/* libcurl is about to close a socket. May it? */
static bool on_close(void *arg, int fd)
{
    struct direct_connector *connector = arg;
    if (fd == connector->taken_fd)
        return false;
    connector->fns.on_close(connector->fns.arg, fd);
    return true;
}

void direct_link_close(struct direct_link *link)
{
    if (link->easy)
        free_handle(link);
    else if (link->has_fd)
        curl_socket_close(link->dial.sockets, link->fd);
    link->has_fd = false;
}

/* ---- The turn ------------------------------------------------------------------------------- */

static void report_failure(struct direct_link *link, CURLcode code)
{
    const struct direct_connector *connector = link->multi->connector;
    enum outbound_error error = curl_dial_refusal(&link->dial);
    const char *detail = link->detail[0] ? link->detail : curl_easy_strerror(code);
    if (error == OUTBOUND_OK) {
        long os_errno = 0;
        curl_easy_getinfo(link->easy, CURLINFO_OS_ERRNO, &os_errno);
        struct curl_failure failure = {
            .code = (int)code, .os_errno = (int)os_errno, .detail = link->detail};
        error = curl_error_class(&failure);
    } else if (error == OUTBOUND_ADDRESS_DENIED) {
        detail = link->dial.denied;
    }
    connector->fns.failed(link, error, detail);
}

static void rebuild(struct direct_connector *connector, struct direct_multi *multi)
{
    while (!list_empty(&multi->links))
        connector->fns.failed(CONTAINER_OF(multi->links.next, struct direct_link, node),
                              OUTBOUND_INTERNAL,
                              "libcurl failed; whether the request was sent is unknown");
    connector->sockets.env->stats.rebuilds += multi->curl.multi != NULL;
    curl_shard_rebuild(&multi->curl); /* should that fail, the next turn tries again */
}

uint64_t direct_connector_spent_us(const struct direct_connector *connector)
{
    return connector->spent_us;
}

void direct_connector_turn(struct direct_connector *connector)
{
    for (struct direct_multi *multi = connector->multis; multi; multi = multi->next) {
        CURL *easy;
        CURLcode code;
        uint64_t before_us = clock_now_us();
        curl_shard_turn(&multi->curl);
        connector->spent_us += clock_now_us() - before_us;
        while ((easy = curl_shard_next(&multi->curl, &code))) {
            char *private = NULL;
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
            struct direct_link *link = (void *)private;
            if (code == CURLE_OK)
                connector->fns.connected(link);
            else
                report_failure(link, code);
        }
        if (multi->curl.broken)
            rebuild(connector, multi);
    }
}

/* ---- Start and end -------------------------------------------------------------------------- */

struct direct_connector *direct_connector_new(struct reactor *reactor, struct curl_env *env,
                                              size_t links_per_multi,
                                              const struct direct_connect_fns *fns)
{
    struct direct_connector *connector = calloc(1, sizeof(*connector));
    if (!connector)
        return NULL;
    connector->reactor = reactor;
    connector->fns = *fns;
    connector->links_per_multi = links_per_multi;
    connector->taken_fd = -1;
    connector->sockets = (struct curl_sockets){
        .env = env,
        .watches = fd_watches_new(reactor, on_socket_ready),
        .on_close = on_close,
        .arg = connector,
    };
    if (!connector->sockets.watches) {
        direct_connector_free(connector);
        return NULL;
    }
    return connector;
}

void direct_connector_free(struct direct_connector *connector)
{
    if (!connector)
        return;
    while (connector->multis) {
        struct direct_multi *multi = connector->multis;
        connector->multis = multi->next;
        multi_free(multi);
    }
    fd_watches_free(connector->sockets.watches);
    free(connector);
}
