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
    struct direct_request *request; /* NULL: it is connecting, or idles */
    struct direct_stream stream;    /* once it is connected */
    struct sockaddr_storage peer;   /* the same; with a proxy: the proxy's */
    bool kept;                      /* it has idled; so its peer may have closed it */

    /* Private. */
    struct direct_link link;
    struct direct_place place;
    struct direct_try attempt; /* while it is connecting */
    uint64_t connect_until_ms; /* the same: then libcurl gives up */
    uint64_t begun_us;         /* the same: when it was begun */
    uint64_t spent_before_us;  /* the same: direct_connector_spent_us() then */
    struct deadline deadline;
    uint64_t usable_until_ms;
    bool connected;
    bool lost;        /* libcurl has closed the socket */
    struct list node; /* while it is connecting or lost, in that list of direct_conns */
};

/* What happens to connections, but for those that idle. Each may close any of them. */
struct direct_conn_fns {
    /* It stands, and belongs to nobody. To be given to a request, or to direct_conn_keep(). */
    void (*made)(struct direct_conn *conn);
    /* It could not be made. To be closed. `share`: for how many of those that wait at its origin it
     * was begun; none, if only its own time is up. `detail` ends with it. */
    void (*not_made)(struct direct_conn *conn, enum outbound_error error, const char *detail,
                     size_t share);
    /* It broke, under its request. To be closed. `detail` ends with it. */
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
    struct list connecting; /* struct direct_conn.node */
    struct list lost;       /* the same */
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

/* Closes those that idle or are connecting; the others must have been closed, and all origins put
 * back. */
void direct_conns_deinit(struct direct_conns *conns);

/* Calls the functions for what libcurl has finished. */
void direct_conns_turn(struct direct_conns *conns);

/* The best idle connection to the origin, which does not idle any more, or NULL. */
struct direct_conn *direct_conn_take(struct direct_origin *origin);

/* Closes those that idle beyond the bound on their number. At the end of a turn, since one that
 * came free in it may be wanted. */
void direct_conns_trim(struct direct_conns *conns);

/* Begins to make a connection to the origin. False when out of memory. */
MUST_CHECK bool direct_conn_open(struct direct_conns *conns, struct direct_origin *origin,
                                 uint64_t timeout_ms);

/* Somebody has given up waiting at the origin: so is a connect, if there are too many now. */
void direct_conn_give_up(struct direct_origin *origin);

/* The address that a connection to the origin was tried at and did not answer yet: text as
 * direct_conn_address() gives it; "" when there is none. */
const char *direct_conn_tried_address(const struct direct_origin *origin);

/* An exchange of this request begins, and has until then. */
void direct_conn_exchange(struct direct_conn *conn, struct direct_request *request,
                          uint64_t deadline_ms);

static inline struct direct_origin *direct_conn_origin(const struct direct_conn *conn)
{
    return conn->place.origin;
}

/* Waits for FD_WATCH_READ, FD_WATCH_WRITE or both. False when that cannot be. */
MUST_CHECK bool direct_conn_want(struct direct_conn *conn, unsigned want);

/* The address it leads to, or the last one tried: text as outbound_result has it. */
const char *direct_conn_address(const struct direct_conn *conn);

/* An exchange has come to its end in order (`answered`), or the connection was not needed after
 * all: it idles, or is closed when its time is up, or something came on it unasked. */
void direct_conn_keep(struct direct_conn *conn, bool answered);

/* It broke in a way that a look before its use might have told: others to its origin are looked at
 * before they are used, for some time. */
void direct_conn_distrust(struct direct_conn *conn);

/* Ends it, in whatever state it is; frees it. */
void direct_conn_close(struct direct_conn *conn);

#endif
