/* direct_connect.h - connections made by libcurl and left to us (CURLOPT_CONNECT_ONLY): names,
 * addresses, the guard, proxies, TLS with its certificates are libcurl's and curl_env's business.
 *
 * A link is what libcurl has of a connection: a handle, which stays in its multi until the
 * connection ends, or until we take the socket for good. Between `connected` and
 * direct_link_close() the socket is ours to use.
 */
#ifndef TROTLINE_NET_DIRECT_CONNECT_H
#define TROTLINE_NET_DIRECT_CONNECT_H

#include <netinet/in.h>

#include "base/list.h"
#include "net/curl_env.h"

struct direct_connector;
struct direct_multi;

/* Embedded in a connection; zero-initialised it is closed. */
struct direct_link {
    struct list node; /* in its multi's list */
    struct direct_multi *multi;
    CURL *easy;  /* NULL: closed, or the socket was taken for good */
    bool has_fd; /* it was, and is not closed yet */
    int fd;
    struct curl_dial dial;
    bool http_allowed;
    char detail[CURL_ERROR_SIZE];
};

struct direct_connect_fns {
    /* The connection stands. */
    void (*connected)(struct direct_link *link);
    /* It could not be made (`detail` says why), or libcurl failed and it has to go
     * (OUTBOUND_INTERNAL). Must close the link. */
    void (*failed)(struct direct_link *link, enum outbound_error error, const char *detail);
    /* libcurl closes a socket, asked to or not. To take notes: no function of libcurl may be
     * called. */
    void (*on_close)(void *arg, int fd);
    void *arg; /* of on_close */
};

/* `links_per_multi` bounds what a call on one connection can cost: libcurl searches all connections
 * of its multi. NULL when out of memory. */
struct direct_connector *direct_connector_new(struct reactor *reactor, struct curl_env *env,
                                              size_t links_per_multi,
                                              const struct direct_connect_fns *fns);
/* All links must have been closed. Accepts NULL. */
void direct_connector_free(struct direct_connector *connector);

/* The connection stands and is read and written by us from now on: libcurl need not wait for its
 * socket any more. With `for_good` it has nothing more to do with it: the handle is freed, and the
 * link is but the socket, which direct_link_close() closes. Not for TLS, whose session would go
 * with the handle. */
void direct_link_take_socket(struct direct_link *link, int fd, bool for_good);

/* Begins to connect a closed link to the call's URL. Later, in a turn, either of the functions is
 * called. False when out of memory; the link is then closed. */
MUST_CHECK bool direct_link_open(struct direct_connector *connector, struct direct_link *link,
                                 const char *url, uint64_t timeout_ms, bool http_allowed);

/* Ends the connection, in whatever state it is. No effect on a closed link. */
void direct_link_close(struct direct_link *link);

/* How long libcurl has worked on connects, in all. */
uint64_t direct_connector_spent_us(const struct direct_connector *connector);

/* Calls the functions for what has come to its end. */
void direct_connector_turn(struct direct_connector *connector);

#endif
