/* outbound.h - sends one HTTP request to a target and tells once what became of it.
 *
 * There are two ways to do that. On the direct route (direct_route.c) libcurl makes the connections
 * and we keep them and speak HTTP/1.1 on them; on the plain route (curl_pump.c) libcurl does the
 * whole transfer. outbound.c chooses. What is promised here holds for both: HTTP/1.1 POST; no
 * redirects followed; nothing decompressed; response capped in bytes and time; certificates and
 * host names checked, TLS 1.2 or later; the guard asked for each address before it is connected to,
 * and again before a kept connection is used.
 *
 * On the wire go the request line, `Host`, `User-Agent` when there is one, `Content-Length`, and
 * the caller's lines as they are. No `Accept`, `Expect` or `Accept-Encoding`.
 *
 * A request that was written to a kept connection which the peer had closed meanwhile is sent again
 * on a new one, as long as not one byte of an answer came. So a target may see a request twice,
 * which "at least once" allows.
 */
#ifndef TROTLINE_NET_OUTBOUND_H
#define TROTLINE_NET_OUTBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct outbound;
struct outbound_request;
struct reactor;
struct netguard;

/* What became of a request, or of an entry for a stream (core/stream_send.h), which are attempts
 * alike. All but the last two are to be counted as one. */
enum outbound_error {
    OUTBOUND_OK,                 /* a response came, whatever its status */
    OUTBOUND_DNS,                /* the name does not resolve */
    OUTBOUND_CONNECTION_REFUSED, /* nobody listens */
    OUTBOUND_CONNECTION_RESET,   /* reset or closed before the response was complete, or at all */
    OUTBOUND_UNREACHABLE,        /* no route, no such host, the proxy refused */
    OUTBOUND_TIMEOUT,            /* resolving, connecting or answering took too long */
    OUTBOUND_TLS,                /* handshake or certificate: name, expiry, issuer, alerts (which a
                                    reset of the target may overtake) */
    OUTBOUND_PROTOCOL,           /* what came is not HTTP/1 */
    OUTBOUND_RESPONSE_TOO_LARGE, /* header lines beyond LIMIT_RESPONSE_HEADER_BYTES in all */
    OUTBOUND_ADDRESS_DENIED,     /* the guard refused every address, or http is not allowed */
    OUTBOUND_STREAM_FULL,        /* of entries: it has as many as it may have, and waits */
    OUTBOUND_STREAM_REFUSED,     /* Redis refused it: another type's key, no right */
    OUTBOUND_STREAM_MEMORY,      /* Redis has no memory left */
    OUTBOUND_INTERNAL,           /* ours: memory, descriptors, the loop. Retry without counting */
    OUTBOUND_CANCELLED           /* outbound_cancel(), or may_send() said no */
};

/* In place of a status, with OUTBOUND_OK: a stream has taken the entry. No response has that. */
enum { OUTBOUND_TAKEN = -1 };

/* The name in an endpoint's `retryOn`: "dns", "connection_refused", …; also "internal",
 * "cancelled";
 * "" for OUTBOUND_OK. Static memory. */
const char *outbound_error_name(enum outbound_error error);

/* Which route requests take. */
enum outbound_choice {
    OUTBOUND_AUTO, /* the direct one; the plain one through proxies that want more than a tunnel */
    OUTBOUND_PLAIN /* all of them the plain one */
};

/* Who carries the bytes of TLS connections on the direct route. */
enum outbound_tls {
    OUTBOUND_TLS_OPENSSL, /* we, by SSL_read() and SSL_write() on libcurl's session */
    OUTBOUND_TLS_LIBCURL  /* curl_easy_recv() and curl_easy_send(), which cost more */
};

struct outbound_options {
    size_t in_flight_max;        /* requests at a time; at least 1 */
    size_t idle_connections_max; /* connections kept, busy ones included, are at most these and
                                    in_flight_max (1.5 times that from 128 on) together */
    const char *user_agent;      /* NULL or "": none is sent */
    const char *ca_file;         /* NULL: the system's */
    const char *proxy; /* NULL or "": none. The environment is never read. With a proxy the
                          guard is not asked: the proxy makes the connections and must
                          have a policy of its own */
    enum outbound_choice route;
    enum outbound_tls direct_tls;
    const struct netguard *guard;   /* borrowed for the outbound's life; changes act at once */
    uint64_t connection_age_max_ms; /* a connection is used no longer than this; 0: no limit */
    uint64_t idle_age_max_ms;       /* nor after it idled this long; 0: 118 s. On the plain route
                                       both count in whole seconds, at least one */
};

/* What to send. All of it but the lines stays valid and unchanged until done() is called. */
struct outbound_call {
    const char *url;                 /* as url_check() accepted it; NUL-terminated */
    const char *const *header_lines; /* "Name: value", NUL-terminated, no CR or LF; copied. A
                                        Content-Type is the caller's. A line without a value is not
                                        sent */
    size_t header_count;
    struct slice body;           /* may be empty; not copied */
    uint64_t connect_timeout_ms; /* resolving, connecting, TLS; 0: libcurl's 300 s */
    uint64_t total_timeout_ms;   /* all of it; 0: no limit */
    size_t response_bytes_max;   /* a longer body is cut: see `truncated` */
    bool insecure_http_allowed;  /* false: only https */
    /* Asked with the call's `arg` when a connection stands, a new one or a kept one, right before
     * the first byte of the request goes out, and again before it is sent anew: a connection may
     * take long, and meanwhile the right to send may have ended. That may be before outbound_send()
     * returns. It must not call outbound. NULL: yes. */
    bool (*may_send)(void *arg);
};

/* What came. Valid only during done(). */
struct outbound_result {
    enum outbound_error error;
    int status_code;        /* 0 until the final response's header came whole. With another error
                               than OUTBOUND_OK it is for information: the rest is missing */
    struct slice body_head; /* the response's first LIMIT_ATTEMPT_BODY_BYTES, raw bytes */
    size_t body_bytes;      /* received in all */
    bool truncated;       /* the body went beyond response_bytes_max and the connection was closed.
                             The status line decides: this is OUTBOUND_OK */
    const char *detail;   /* a sentence for people, "" when there is none */
    uint64_t duration_us; /* from outbound_send() */
    int64_t retry_after_ms; /* -1: no usable Retry-After; past dates are 0; not capped */
    bool connection_reused;
    char address[64]; /* "127.0.0.1:9000", "[::1]:9000": the last address tried; "" when none was */
};

typedef void outbound_done_fn(void *arg, const struct outbound_result *result);

/* Adds a hook "outbound" to the reactor, in which all done() functions are called. Copies the
 * options' strings. NULL when out of memory or when ca_file cannot be read (logged). SIGPIPE must
 * be ignored by the process. */
struct outbound *outbound_new(struct reactor *reactor, const struct outbound_options *options);

/* Starts a request. Either fails and never calls back (ST_LIMIT: in_flight_max is reached;
 * ST_SYNTAX: a header line contains CR or LF; ST_NOMEM), or calls done exactly once, later, from
 * the hook, never before it returns. done() may call outbound_send(), also when in_flight_max had
 * been reached. `handle` may be NULL; what it is given is valid until done() is called. */
MUST_CHECK enum status outbound_send(struct outbound *outbound, const struct outbound_call *call,
                                     outbound_done_fn *done, void *arg,
                                     struct outbound_request **handle);

/* Gives up: done() is called later with OUTBOUND_CANCELLED, or with the result if that was already
 * there. Nothing of the call is looked at any more after this returns. */
void outbound_cancel(struct outbound_request *request);

/* Requests whose done() has not been called yet. */
size_t outbound_in_flight(const struct outbound *outbound);

struct outbound_stats {
    uint64_t sent;               /* requests accepted by outbound_send */
    uint64_t finished;           /* of which done() has been called */
    uint64_t connections_opened; /* sockets made to connect with */
    uint64_t connections_open;   /* of which not closed yet */
    uint64_t connections_reused; /* requests that found a connection standing */
    uint64_t addresses_denied;   /* refusals of the guard */
    uint64_t rebuilds;           /* times libcurl failed and its transfers were given up */
};
const struct outbound_stats *outbound_stats(const struct outbound *outbound);

/* Cancels what is in flight *without* calling back, closes all connections. Not from inside done();
 * only after the reactor ran its last turn, since a hook cannot be removed. Accepts NULL. */
void outbound_free(struct outbound *outbound);

/* For routes: a Retry-After field's value in milliseconds from `now_ms` (Unix time). Seconds, also
 * with a fraction (rounded up), or a date in one of RFC 9110's three formats (section 5.6.7). -1
 * when it is neither; 0 for a past date; saturates. Pure. */
int64_t outbound_retry_after(struct slice value, uint64_t now_ms);

#endif
