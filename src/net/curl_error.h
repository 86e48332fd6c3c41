/* curl_error.h - from libcurl's answer to our class of error. */
#ifndef TROTLINE_NET_CURL_ERROR_H
#define TROTLINE_NET_CURL_ERROR_H

#include <stdbool.h>

#include "net/outbound.h"

struct curl_failure {
    int code;           /* CURLcode, not CURLE_OK */
    int os_errno;       /* CURLINFO_OS_ERRNO, 0 when none */
    bool connected;     /* a socket was opened for the request, or a standing connection taken */
    bool answered;      /* at least one byte of an answer came */
    const char *detail; /* CURLOPT_ERRORBUFFER */
};

/* Never OUTBOUND_OK or OUTBOUND_CANCELLED. Pure. */
enum outbound_error curl_error_class(const struct curl_failure *failure);

/* For a socket that could not be made or connected. */
enum outbound_error curl_errno_class(int os_errno);

/* For an established connection that could not be read or written. */
enum outbound_error curl_io_errno_class(int os_errno);

#endif
