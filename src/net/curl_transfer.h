/* curl_transfer.h - one transfer of the plain route: an easy handle that is kept and used again,
 * what is set in it, and what is seen while it runs. The multi it runs in is curl_pump.c's affair.
 */
#ifndef TROTLINE_NET_CURL_TRANSFER_H
#define TROTLINE_NET_CURL_TRANSFER_H

#include <curl/curl.h>

#include "base/limits.h"
#include "net/fd_watch.h"
#include "net/outbound.h"

/* What all transfers of one outbound share. Outlives them, and the multis. */
struct curl_env {
    struct fd_watches *watches; /* borrowed: sockets are adopted into it and dropped from it */
    struct outbound_stats stats;

    const struct netguard *guard; /* borrowed */
    CURLSH *tls_sessions;
    char *user_agent; /* NULL: none */
    char *ca_file;    /* NULL: the system's */
    char *proxy;      /* "": none */
    bool no_ca_path;
    long connection_age_max_s;
    long idle_age_max_s;
};

/* False when out of memory or when the file of certificates cannot be read (logged); what is half
 * made is for curl_env_deinit. */
MUST_CHECK bool curl_env_init(struct curl_env *env, struct fd_watches *watches,
                              const struct outbound_options *options);
void curl_env_deinit(struct curl_env *env);

struct curl_transfer {
    struct curl_env *env;
    void *watch_owner;        /* of sockets opened for it */
    bool (*may_send)(void *); /* the call's, NULL: yes */
    void *may_send_arg;
    CURL *easy;               /* NULL until needed, and after it was thrown away */
    struct curl_slist *lines; /* nodes of our own; the text is the caller's */
    size_t line_cap;

    bool errno_is_stale; /* the handle would report an errno of this transfer for the next */

    /* Options as they are set in the handle, so that only changes are set. */
    uint64_t connect_timeout_ms;
    uint64_t total_timeout_ms;
    bool insecure_http_allowed;

    /* What was seen. */
    uint64_t started_us;
    size_t response_bytes_max;
    size_t header_bytes;
    bool header_ended; /* the last header was whole */
    bool begun;        /* a connection stood and the guard let it pass */
    bool withheld;     /* may_send() said no */
    unsigned sockets_opened;
    int socket_errno;   /* of the last socket that could not be made */
    const char *denied; /* the guard's reason, when it refused */
    struct outbound_result result;
    char detail[CURL_ERROR_SIZE];
    char head[LIMIT_ATTEMPT_BODY_BYTES];
};

/* Sets the call's options in the handle, which is made when there is none. The handle's
 * CURLINFO_PRIVATE is the transfer. `arg` is what the call's may_send() is given. ST_SYNTAX when a
 * header line has a line end in it, ST_NOMEM; after ST_NOMEM the transfer is of no use but to be
 * deinited. */
MUST_CHECK enum status curl_transfer_prepare(struct curl_transfer *transfer,
                                             const struct outbound_call *call, void *arg,
                                             void *watch_owner);

/* Completes `result` from curl's answer. To be called before the handle leaves its multi. */
void curl_transfer_complete(struct curl_transfer *transfer, CURLcode code);

/* Completes `result` with an error that is not curl's. `detail` is static. */
void curl_transfer_abandon(struct curl_transfer *transfer, enum outbound_error error,
                           const char *detail);

/* Frees the handle, in whatever state it is; the next prepare makes another. */
void curl_transfer_drop_handle(struct curl_transfer *transfer);

/* Frees all it holds. */
void curl_transfer_deinit(struct curl_transfer *transfer);

#endif
