/* network.h - addresses and networks of the internet (CIDR, RFC 4632 and 4291). Pure.
 *
 * An address is a network of its full length. IPv4 written as IPv6 (::ffff:a.b.c.d, which is how a
 * socket for both tells its IPv4 peers) is IPv4 here, so that a network of four numbers takes it.
 */
#ifndef TROTLINE_NET_NETWORK_H
#define TROTLINE_NET_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct sockaddr;

struct network {
    uint8_t bytes[16]; /* in network order; the first `prefix_bits` count */
    uint8_t prefix_bits;
    bool v6;
};

/* "10.1.0.0/16", "fd00:1::/32", or a single address. ST_SYNTAX when it is no such thing, ST_RANGE
 * when the prefix is too long or address bits are set behind it. */
MUST_CHECK enum status network_parse(struct slice text, struct network *network);

/* A single address, without '/'. ST_SYNTAX. */
MUST_CHECK enum status network_parse_address(struct slice text, struct network *address);

/* False, and an empty address, when it is of another family than AF_INET and AF_INET6. */
bool network_of(const struct sockaddr *address, struct network *out);

/* Is `part` within `whole`? */
bool network_contains(const struct network *whole, const struct network *part);

/* Is it within one of them? */
bool network_among(const struct network *networks, size_t count, const struct network *part);

#endif
