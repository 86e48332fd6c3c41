/* direct_conn.h - the connections of the direct route, from their making to their end: which of
 * them idle and for how long, what is waited for, and when their time is up.
 */
#ifndef TROTLINE_NET_DIRECT_CONN_H
#define TROTLINE_NET_DIRECT_CONN_H

#include "net/deadlines.h"
#include "net/direct_connect.h"
#include "net/direct_pool.h"
#include "net/direct_stream.h"

struct direct_conns;
struct direct_request;

struct direct_conn {
    struct direct_conns *conns;
    struct direct_request *request; /* NULL: it idles */
    struct direct_stream stream;    /* once it is connected */
    struct sockaddr_storage peer;   /* the same; with a proxy: the proxy's */
    bool used;                      /* a request was answered on it before */

    /* Private. */
    struct direct_link link;
    struct direct_place place;
    struct deadline deadline;
    uint64_t usable_until_ms;
    bool connected;
    bool lost;             /* libcurl has closed the socket */
    struct list lost_node; /* then, in direct_conns.lost */
};

/* What happens to a connection that has a request. Each may close it, and any other. */
struct direct_conn_fns {
    /* It stands. The next is direct_conn_exchange(). */
    void (*connected)(struct direct_conn *conn);
    /* It could not be made, or it broke. To be closed. `detail` ends with it. */
    void (*failed)(struct direct_conn *conn, enum outbound_error error, const char *detail);
    /* It is ready for what direct_conn_want() was given. */
    void (*ready)(struct direct_conn *conn, unsigned ready);
    /* Its deadline passed. */
    void (*expired)(struct direct_conn *conn);
};

/* All connections of a route. Embedded; must stay where it is. */
struct direct_conns {
    struct reactor *reactor;
    struct curl_env *env;
    struct direct_connector *connector;
    struct fd_watches *watches; /* of connected sockets; their owners are connections */
    struct deadlines deadlines;
    struct direct_pool pool;
    struct list lost; /* struct direct_conn.lost_node */
    struct direct_conn_fns fns;
    uint64_t turn_us; /* when the loop was last known to have looked at all connections */
    size_t idle_max;
    uint64_t idle_age_max_ms;
    uint64_t age_max_ms; /* DEADLINE_NEVER: no limit */
    bool tls_by_openssl;
};

/* False when out of memory; direct_conns_deinit() takes what is half made. */
MUST_CHECK bool direct_conns_init(struct direct_conns *conns, struct reactor *reactor,
                                  struct curl_env *env, const struct outbound_options *options,
                                  const struct direct_conn_fns *fns);

/* Closes those that idle; the others must have been closed, and all origins put back. */
void direct_conns_deinit(struct direct_conns *conns);

/* Calls the functions for what libcurl has finished. */
void direct_conns_turn(struct direct_conns *conns);

/* The best idle connection to the origin, for this request, or NULL. */
struct direct_conn *direct_conn_take(struct direct_origin *origin, struct direct_request *request);

/* Begins to make a connection to the URL, which is of that origin, for this request. NULL when out
 * of memory. */
struct direct_conn *direct_conn_open(struct direct_conns *conns, struct direct_origin *origin,
                                     struct direct_request *request, const char *url,
                                     uint64_t timeout_ms, bool http_allowed);

/* An exchange begins, and has until then. */
void direct_conn_exchange(struct direct_conn *conn, uint64_t deadline_ms);

/* Waits for FD_WATCH_READ, FD_WATCH_WRITE or both. False when that cannot be. */
MUST_CHECK bool direct_conn_want(struct direct_conn *conn, unsigned want);

/* The address it leads to, or the last one tried: text as outbound_result has it. */
const char *direct_conn_address(const struct direct_conn *conn);

/* An exchange has come to its end in order: the connection idles, or is closed when its time is up
 * or too many idle. */
void direct_conn_keep(struct direct_conn *conn);

/* It broke in a way that a look before its use might have told: others to its origin are looked at
 * before they are used, for some time. */
void direct_conn_distrust(struct direct_conn *conn);

/* Ends it, in whatever state it is; frees it. */
void direct_conn_close(struct direct_conn *conn);

#endif
