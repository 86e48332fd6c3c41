/* netguard.h - which addresses this server may connect to.
 *
 * Whoever registers an endpoint chooses where our requests go; without a policy that includes our
 * own Redis, the cloud's metadata service and everything else that trusts this machine's network.
 * The guard judges addresses, never names: a name is judged by the address that is really connected
 * to, so that a name server which changes its answer finds no gap.
 *
 * Refused are all blocks of the IANA special-purpose registries (RFC 6890 and its updates) that are
 * not globally reachable, the IPv6 space outside 2000::/3, and multicast. An IPv6 address that
 * carries an IPv4 address (v4-mapped, 6to4, NAT64 of 64:ff9b::/96, Teredo) is judged by what it
 * carries. Pure: no allocation, no system calls, no state but the struct.
 */
#ifndef TROTLINE_NET_NETGUARD_H
#define TROTLINE_NET_NETGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/network.h"

struct sockaddr;

enum { NETGUARD_NETS_MAX = 64 };

/* Zero-initialised it is the strict policy. Embedded by value and may be changed between turns. */
struct netguard {
    /* --dev: loopback (127/8, ::1) and private (RFC 1918, RFC 4193) addresses are allowed. All the
     * rest stays refused, link-local in particular, where the metadata services live. */
    bool allow_private;
    struct network allow[NETGUARD_NETS_MAX]; /* networks opened by the operator; they win */
    size_t allow_count;
};

/* Opens the network `cidr`: "10.1.0.0/16", "fd00:1::/32", or a single address. A v4-mapped network
 * of at least 96 bits opens the IPv4 network that it maps. ST_SYNTAX when it is no such thing,
 * ST_RANGE when the prefix is too long or address bits are set behind it, ST_LIMIT when the table
 * is full; the guard is then unchanged. */
MUST_CHECK enum status netguard_add_cidr(struct netguard *guard, struct slice cidr);

/* May we connect to this address? When not and `reason` is not NULL, it gets a static sentence;
 * when allowed, NULL. Families other than AF_INET and AF_INET6 are refused. */
bool netguard_allows(const struct netguard *guard, const struct sockaddr *address,
                     const char **reason);

/* The same for an address as text, as inet_pton reads it; anything else is refused. */
bool netguard_allows_text(const struct netguard *guard, const char *address, const char **reason);

#endif
