/* curl_transfer.h - one transfer of the plain route: an easy handle that is kept and used again,
 * what is set in it, and what is seen while it runs. The multi it runs in is curl_pump.c's affair.
 */
#ifndef TROTLINE_NET_CURL_TRANSFER_H
#define TROTLINE_NET_CURL_TRANSFER_H

#include "base/buf.h"
#include "base/limits.h"
#include "net/curl_env.h"
#include "net/outbound.h"

struct curl_transfer {
    struct curl_dial dial;    /* its sockets are set by the owner, before the first call */
    bool (*may_send)(void *); /* the call's, NULL: yes */
    void *may_send_arg;
    CURL *easy;               /* NULL until needed, and after it was thrown away */
    struct curl_slist *lines; /* nodes of our own */
    size_t line_cap;
    struct buf text; /* the caller's lines, each with its NUL */

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
    struct outbound_result result;
    char detail[CURL_ERROR_SIZE];
    char head[LIMIT_ATTEMPT_BODY_BYTES];
};

/* Sets the call's options in the handle, which is made when there is none. The handle's
 * CURLINFO_PRIVATE is the transfer. `arg` is what the call's may_send() is given. False when out of
 * memory: then the transfer is of no use but to be deinited. */
MUST_CHECK bool curl_transfer_prepare(struct curl_transfer *transfer,
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
