/* direct_stream.h - reads and writes the bytes of a connection that libcurl made: on its socket, in
 * its TLS session, or through libcurl.
 */
#ifndef TROTLINE_NET_DIRECT_STREAM_H
#define TROTLINE_NET_DIRECT_STREAM_H

#include <sys/types.h>

#include "base/slice.h"
#include "net/outbound.h"

struct ssl_st; /* OpenSSL's SSL */

enum direct_stream_way {
    DIRECT_STREAM_SOCKET,  /* not encrypted */
    DIRECT_STREAM_LIBCURL, /* curl_easy_recv(), curl_easy_send() */
    DIRECT_STREAM_OPENSSL  /* SSL_read(), SSL_write() */
};

/* Embedded in the connection. */
struct direct_stream {
    enum direct_stream_way way;
    int fd;
    void *easy;               /* CURL, for the way through libcurl */
    struct ssl_st *ssl;       /* libcurl's; NULL when not encrypted */
    int early_byte;           /* came before anything was asked for; -1: none */
    bool write_waits_to_read; /* the last write has to be repeated when the connection is readable,
                                 not when it is writable; nothing was read since */
    const char *error_text;   /* CURLOPT_ERRORBUFFER */
    enum outbound_error error;
    const char *detail; /* of the last failure; valid until the next call */
};

enum { DIRECT_STREAM_AGAIN = -1, DIRECT_STREAM_FAILED = -2 };

enum { DIRECT_STREAM_CHUNK = 16384 }; /* what a TLS record can hold */

/* On a connection that libcurl has just made. Makes libcurl take the connection for one in use,
 * without which it could close it at any time. False when it has failed or ended already: `error`
 * and `detail` say how. `error_text` is the handle's CURLOPT_ERRORBUFFER. An encrypted one needs
 * the handle, in its multi, to its end; another needs but the socket from now on. */
MUST_CHECK bool direct_stream_open(struct direct_stream *stream, void *easy, bool https,
                                   char *error_text);

/* To be called when the first answer on the connection was complete, at the latest: reads and
 * writes by OpenSSL from now on. No effect on others than encrypted streams, nor a second time. */
void direct_stream_take_tls(struct direct_stream *stream);

/* How many bytes were read, at most `room`, which is at least DIRECT_STREAM_CHUNK; 0: the peer
 * ended the connection in order; DIRECT_STREAM_AGAIN: wait until it is readable;
 * DIRECT_STREAM_FAILED: `error` and `detail` say how. */
ssize_t direct_stream_read(struct direct_stream *stream, char *to, size_t room);

/* Is there more to read that the socket does not know of? */
bool direct_stream_has_more(const struct direct_stream *stream);

/* Writes `head` and `body`, one behind the other: how many bytes went, or AGAIN (wait until it is
 * writable, or as write_waits_to_read says, then repeat the call with the same bytes), or FAILED.
 */
ssize_t direct_stream_write(struct direct_stream *stream, struct slice head, struct slice body);

/* What has come on a connection that idles. */
enum direct_stream_idle {
    DIRECT_STREAM_QUIET,  /* nothing, or but TLS's own messages */
    DIRECT_STREAM_ENDED,  /* its end */
    DIRECT_STREAM_UNASKED /* what nobody asked for: it cannot be trusted any more */
};
enum direct_stream_idle direct_stream_look(struct direct_stream *stream);

#endif
