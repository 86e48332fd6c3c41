/* curl_error.c - the classes of failed transfers.
 *
 * libcurl's codes say which of its functions failed, ours what the target did; errno and, in two
 * cases, the text decide between them:
 *
 *   - CURLE_RECV_ERROR is a reset (errno is set), a TLS alert after the handshake (text of OpenSSL;
 *     TLS 1.3 refuses client certificates that late), or a malformed chunk (neither).
 *   - CURLE_OUT_OF_MEMORY is also how 7.88 reports a header line beyond 100 KB. Once the target has
 *     begun to answer it is taken for that: a real lack of memory at that point is then counted as
 * an attempt, while the opposite mistake would be repeated without end.
 *
 * A connection closed without any answer (CURLE_GOT_NOTHING) or in the middle of a body is
 * `connection_reset`: for the receiver it is one and the same crash. A failure between TCP's
 * handshake and the end of TLS's is `tls`, unless the connection was reset.
 *
 * A code not named here is `protocol`: it is counted as an attempt, so that nothing we did not
 * think of is retried for ever.
 */
#include "net/curl_error.h"

#include <errno.h>
#include <string.h>

#include <curl/curl.h>

enum outbound_error curl_errno_class(int os_errno)
{
    switch (os_errno) {
    case ECONNREFUSED:
        return OUTBOUND_CONNECTION_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return OUTBOUND_CONNECTION_RESET;
    case ETIMEDOUT:
        return OUTBOUND_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return OUTBOUND_INTERNAL;
    default: /* no route, no such family here, forbidden by a packet filter */
        return OUTBOUND_UNREACHABLE;
    }
}

enum outbound_error curl_io_errno_class(int os_errno)
{
    if (os_errno == ETIMEDOUT || os_errno == EHOSTUNREACH || os_errno == ENETUNREACH)
        return curl_errno_class(os_errno);
    return OUTBOUND_CONNECTION_RESET;
}

/* What a failed read or write of an established connection means. */
static enum outbound_error io_class(const struct curl_failure *failure)
{
    if (strstr(failure->detail, "SSL routines"))
        return strstr(failure->detail, "unexpected eof") ? OUTBOUND_CONNECTION_RESET : OUTBOUND_TLS;
    if (strstr(failure->detail, "chunked-encoding"))
        return OUTBOUND_PROTOCOL;
    if (strstr(failure->detail, "CONNECT tunnel failed"))
        return OUTBOUND_UNREACHABLE;
    return curl_io_errno_class(failure->os_errno);
}

enum outbound_error curl_error_class(const struct curl_failure *failure)
{
    switch (failure->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return OUTBOUND_DNS;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return curl_errno_class(failure->os_errno);
    case CURLE_PROXY:
        return OUTBOUND_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return OUTBOUND_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
        return failure->os_errno == ECONNRESET ? OUTBOUND_CONNECTION_RESET : OUTBOUND_TLS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_USE_SSL_FAILED:
        return OUTBOUND_TLS;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return io_class(failure);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return OUTBOUND_CONNECTION_RESET;
    case CURLE_UNSUPPORTED_PROTOCOL: /* the URL's scheme, or an answer in HTTP/0.9 */
        return failure->connected ? OUTBOUND_PROTOCOL : OUTBOUND_ADDRESS_DENIED;
    case CURLE_OUT_OF_MEMORY:
        return failure->answered ? OUTBOUND_RESPONSE_TOO_LARGE : OUTBOUND_INTERNAL;
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_NO_CONNECTION_AVAILABLE:
    case CURLE_UNRECOVERABLE_POLL:
    case CURLE_SSL_ENGINE_INITFAILED:
        return OUTBOUND_INTERNAL;
    default:
        return OUTBOUND_PROTOCOL;
    }
}
