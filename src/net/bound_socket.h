/* bound_socket.h - a TCP socket bound to an address and port, not listening yet.
 *
 * A bound socket that never listens gets no connections, but keeps its port from other programs:
 * that is how the parent of several servers on one port (SO_REUSEPORT) keeps it for them.
 */
#ifndef TROTLINE_NET_BOUND_SOCKET_H
#define TROTLINE_NET_BOUND_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Makes one in *fd, which does not block and is closed by exec. `address` is numeric, IPv4 or IPv6
 * ("::" takes IPv4 too); port 0 takes any free one. `reuse_port`: shares the port with other
 * processes of this user that say so too. ST_SYNTAX when the address is not numeric, ST_IO when the
 * system refuses; `error` then has a sentence for people. */
MUST_CHECK enum status bound_socket_open(const char *address, uint16_t port, bool reuse_port,
                                         int *fd, char *error, size_t error_bytes);

/* The port it is bound to; 0 when that cannot be known. */
uint16_t bound_socket_port(int fd);

#endif
