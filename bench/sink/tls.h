/* tls.h - https for the sink, with an authority that lives as long as the process. */
#ifndef TROTLINE_BENCH_SINK_TLS_H
#define TROTLINE_BENCH_SINK_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_session;

/* Makes the authority and a certificate for 127.0.0.1, ::1 and localhost, and writes the
 * authority's own certificate to `ca_path`. What goes wrong ends the program. */
void tls_init(const char *ca_path);

/* For a connection just accepted; the handshake happens in the first reads. */
struct tls_session *tls_session_new(int fd);
void tls_session_free(struct tls_session *session);

/* As read() and write() on a socket that does not block: 0 is the end, -1 with EAGAIN not now, and
 * any other -1 a failure. A write must be small enough to go out at once. */
ssize_t tls_read(struct tls_session *session, void *at, size_t len);
ssize_t tls_write(struct tls_session *session, const void *at, size_t len);

/* Is something left that the socket does not show any more? */
bool tls_has_more(struct tls_session *session);

#endif
