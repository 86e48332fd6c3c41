/* direct_stream.c - three ways to read and write a connection that libcurl made.
 *
 *      not encrypted:  SOCKET
 *      encrypted:      LIBCURL for the first exchange, then OPENSSL (or LIBCURL for good)
 *
 * Why not OPENSSL from the start. Tickets, by which a later connection resumes the session, come in
 * TLS 1.3 after the handshake, before the first answer; libcurl keeps them only when they arrive
 * inside of one of its own calls. So the first answer is read by libcurl.
 *
 * Three rules are of memory safety, seen with 7.88, not of taste.
 *
 *   1. Right after connecting, curl_easy_recv() of one byte. It makes libcurl take the connection
 *      for one in use. Without it the connection counts as idle, and libcurl closes it whenever it
 *      thinks it too old; its number may then be somebody else's, to whom we would write. (One that
 *      is not encrypted leaves libcurl right after. There it is for what libcurl has read already.)
 *   2. SSL_set_fd() before anything is done with the session: libcurl's own transport below it
 *      would call into libcurl without a handle as soon as the peer closes, and crash.
 *   3. Both pointers, handle and session, are dead after the handle left its multi.
 *
 * What was decrypted, or read ahead, waits in the session, where epoll does not see it: whoever
 * reads asks direct_stream_has_more(). And a write can have to wait for something to read: while a
 * handshake is repeated (TLS 1.2, by libcurl's session), or a message of TLS 1.3's is half there.
 * Such a write must not be tried again whenever the socket is writable, which it is all the time: a
 * peer that stops right there would keep us busy. So would one that sends tickets without end, if
 * OpenSSL went on reading until something else comes (SSL_MODE_AUTO_RETRY, which it sets itself).
 *
 * Head and body are gathered: by the kernel on a socket, unless they are small; for TLS, whose
 * calls take one piece, in a buffer as large as a record. Its address never changes, since a write
 * that is repeated must come from the same address (OpenSSL would allow otherwise, libcurl does not
 * ask it to).
 */
#include "net/direct_stream.h"

#include <errno.h>
#include <limits.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/curl_error.h"

enum {
    COPY_BYTES_MAX = 4096, /* so many are copied sooner than described in pieces */
    CHUNKS_PER_WRITE = 16, /* 256 KiB encrypted in one go; the others wait for the next turn */
    RECORDS_SKIPPED = 8    /* before a connection is used: a server sends two tickets, usually */
};

static char chunk[DIRECT_STREAM_CHUNK];
static char openssl_text[256];

static ssize_t fail(struct direct_stream *stream, enum outbound_error error, const char *detail)
{
    stream->error = error;
    stream->detail = detail;
    return DIRECT_STREAM_FAILED;
}

/* The first bytes of both, as many as fit, into the chunk. */
static size_t gather(struct slice head, struct slice body)
{
    size_t from_head = head.len < sizeof(chunk) ? head.len : sizeof(chunk);
    size_t room = sizeof(chunk) - from_head;
    size_t from_body = body.len < room ? body.len : room;
    if (head.ptr)
        memcpy(chunk, head.ptr, from_head);
    if (body.ptr)
        memcpy(chunk + from_head, body.ptr, from_body);
    return from_head + from_body;
}

/* ---- By the socket -------------------------------------------------------------------------- */

static ssize_t socket_result(struct direct_stream *stream, ssize_t result)
{
    if (result >= 0)
        return result;
    if (errno == EAGAIN || errno == EINTR)
        return DIRECT_STREAM_AGAIN;
    return fail(stream, curl_io_errno_class(errno), strerror(errno));
}

static ssize_t socket_write(struct direct_stream *stream, struct slice head, struct slice body)
{
    if (head.len + body.len <= COPY_BYTES_MAX)
        return socket_result(stream, send(stream->fd, chunk, gather(head, body), MSG_NOSIGNAL));
    struct iovec pieces[] = {
        {.iov_base = (void *)(uintptr_t)head.ptr, .iov_len = head.len}, /* only read */
        {.iov_base = (void *)(uintptr_t)body.ptr, .iov_len = body.len},
    };
    struct msghdr message = {
        .msg_iov = head.len ? pieces : pieces + 1,
        .msg_iovlen = head.len && body.len ? 2 : 1,
    };
    return socket_result(stream, sendmsg(stream->fd, &message, MSG_NOSIGNAL));
}

/* ---- By libcurl ----------------------------------------------------------------------------- */

static ssize_t libcurl_result(struct direct_stream *stream, CURLcode code, size_t count)
{
    if (code == CURLE_OK)
        return (ssize_t)count;
    if (code == CURLE_AGAIN)
        return DIRECT_STREAM_AGAIN;
    long os_errno = 0;
    curl_easy_getinfo(stream->easy, CURLINFO_OS_ERRNO, &os_errno);
    struct curl_failure failure = {
        .code = (int)code,
        .os_errno = (int)os_errno,
        .connected = true,
        .detail = stream->error_text,
    };
    return fail(stream, curl_error_class(&failure),
                stream->error_text[0] ? stream->error_text : curl_easy_strerror(code));
}

static ssize_t libcurl_read(struct direct_stream *stream, char *to, size_t room)
{
    size_t count = 0;
    CURLcode code = curl_easy_recv(stream->easy, to, room, &count);
    return libcurl_result(stream, code, count);
}

static ssize_t libcurl_write(struct direct_stream *stream, size_t len)
{
    size_t count = 0;
    CURLcode code = curl_easy_send(stream->easy, chunk, len, &count);
    return libcurl_result(stream, code, count);
}

/* ---- By OpenSSL ----------------------------------------------------------------------------- */

static ssize_t openssl_failure(struct direct_stream *stream, int os_errno)
{
    unsigned long code = ERR_peek_last_error();
    if (code == 0)
        return fail(stream, curl_io_errno_class(os_errno),
                    os_errno ? strerror(os_errno) : "the connection ended without close_notify");
    ERR_error_string_n(code, openssl_text, sizeof(openssl_text));
    bool ended = ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    return fail(stream, ended ? OUTBOUND_CONNECTION_RESET : OUTBOUND_TLS, openssl_text);
}

static ssize_t openssl_result(struct direct_stream *stream, int ok, size_t count)
{
    int os_errno = errno;
    if (ok > 0)
        return (ssize_t)count;
    switch (SSL_get_error(stream->ssl, ok)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return DIRECT_STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return openssl_failure(stream, os_errno);
    }
}

static ssize_t openssl_read(struct direct_stream *stream, char *to, size_t room)
{
    size_t count = 0;
    ERR_clear_error();
    errno = 0;
    int ok = SSL_read_ex(stream->ssl, to, room, &count);
    return openssl_result(stream, ok, count);
}

static ssize_t openssl_write(struct direct_stream *stream, size_t len)
{
    size_t count = 0;
    ERR_clear_error();
    errno = 0;
    int ok = SSL_write_ex(stream->ssl, chunk, len, &count);
    return openssl_result(stream, ok, count);
}

/* ---- The streams ---------------------------------------------------------------------------- */

static struct ssl_st *session_of(CURL *easy)
{
    const struct curl_tlssessioninfo *info = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info ||
        info->backend != CURLSSLBACKEND_OPENSSL)
        return NULL;
    return info->internals;
}

bool direct_stream_open(struct direct_stream *stream, void *easy, bool https, char *error_text)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    char byte;
    *stream = (struct direct_stream){
        .way = DIRECT_STREAM_LIBCURL, .easy = easy, .early_byte = -1, .error_text = error_text};
    error_text[0] = '\0';
    ssize_t count = libcurl_read(stream, &byte, 1);
    if (count == 0)
        fail(stream, OUTBOUND_CONNECTION_RESET, "the connection was closed before the request");
    if (count == 0 || count == DIRECT_STREAM_FAILED)
        return false;
    if (count == 1)
        stream->early_byte = (unsigned char)byte;
    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD) {
        fail(stream, OUTBOUND_INTERNAL, "libcurl does not tell the socket");
        return false;
    }
    stream->fd = fd;
    if (!https) {
        stream->way = DIRECT_STREAM_SOCKET;
        stream->easy = NULL;
        return true;
    }
    stream->ssl = session_of(easy);
    if (stream->ssl)
        SSL_clear_mode(stream->ssl, SSL_MODE_AUTO_RETRY);
    return true;
}

/* libcurl is not told of tickets any more: it could not keep them, having no handle at hand while
 * it is not called. Reading ahead takes one call of the system for a record instead of two. */
void direct_stream_take_tls(struct direct_stream *stream)
{
    if (stream->way != DIRECT_STREAM_LIBCURL || !stream->ssl ||
        SSL_set_fd(stream->ssl, stream->fd) != 1)
        return;
    SSL_CTX_sess_set_new_cb(SSL_get_SSL_CTX(stream->ssl), NULL); /* the context is its alone */
    SSL_set_mode(stream->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_set_options(stream->ssl, SSL_OP_NO_RENEGOTIATION);
    SSL_set_read_ahead(stream->ssl, 1);
    stream->way = DIRECT_STREAM_OPENSSL;
}

ssize_t direct_stream_read(struct direct_stream *stream, char *to, size_t room)
{
    stream->write_waits_to_read = false;
    if (stream->early_byte >= 0) {
        *to = (char)stream->early_byte;
        stream->early_byte = -1;
        return 1;
    }
    switch (stream->way) {
    case DIRECT_STREAM_SOCKET:
        return socket_result(stream, recv(stream->fd, to, room, 0));
    case DIRECT_STREAM_LIBCURL:
        return libcurl_read(stream, to, room);
    case DIRECT_STREAM_OPENSSL:
        return openssl_read(stream, to, room);
    }
    return DIRECT_STREAM_AGAIN;
}

bool direct_stream_has_more(const struct direct_stream *stream)
{
    return stream->early_byte >= 0 || (stream->ssl && SSL_has_pending(stream->ssl));
}

ssize_t direct_stream_write(struct direct_stream *stream, struct slice head, struct slice body)
{
    size_t written = 0;
    stream->write_waits_to_read = false;
    if (stream->way == DIRECT_STREAM_SOCKET)
        return socket_write(stream, head, body);
    for (int i = 0; i < CHUNKS_PER_WRITE && written < head.len + body.len; i++) {
        size_t behind_head = written > head.len ? written - head.len : 0;
        size_t len = gather(slice_from(head, written), slice_from(body, behind_head));
        ssize_t count = stream->way == DIRECT_STREAM_OPENSSL ? openssl_write(stream, len)
                                                             : libcurl_write(stream, len);
        if (count == 0)
            return fail(stream, OUTBOUND_CONNECTION_RESET, "the connection was closed");
        if (count == DIRECT_STREAM_FAILED)
            return count;
        if (count == DIRECT_STREAM_AGAIN)
            break;
        written += (size_t)count;
    }
    stream->write_waits_to_read = stream->ssl && SSL_want_read(stream->ssl);
    return written ? (ssize_t)written : DIRECT_STREAM_AGAIN;
}

static enum direct_stream_idle idle_of(ssize_t count)
{
    if (count == DIRECT_STREAM_AGAIN)
        return DIRECT_STREAM_QUIET;
    return count > 0 ? DIRECT_STREAM_UNASKED : DIRECT_STREAM_ENDED;
}

/* Each read of TLS takes one record, and there may be several. */
enum direct_stream_idle direct_stream_look(struct direct_stream *stream)
{
    char byte;
    bool pending = direct_stream_has_more(stream);
    for (int i = 0; i < RECORDS_SKIPPED; i++) {
        enum direct_stream_idle idle =
            idle_of(socket_result(stream, recv(stream->fd, &byte, 1, MSG_PEEK)));
        if (!pending && (idle == DIRECT_STREAM_QUIET || stream->way == DIRECT_STREAM_SOCKET))
            return idle;
        idle = idle_of(direct_stream_read(stream, &byte, 1));
        if (idle != DIRECT_STREAM_QUIET)
            return idle;
        pending = false;
    }
    return DIRECT_STREAM_UNASKED;
}
