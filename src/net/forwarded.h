/* forwarded.h - who sent a request that came through proxies: X-Forwarded-For. Pure.
 *
 * Every proxy appends the address it was connected from, so only what trusted proxies have appended
 * is worth anything: the list is read from its right end, and the first address that is no trusted
 * proxy is the sender. What stands left of it the sender may have written itself.
 *
 *     X-Forwarded-For: 1.2.3.4, 203.0.113.9, 10.0.0.7      peer 10.0.0.1, trusted 10.0.0.0/8
 *                      (whatever)  the sender   a proxy
 */
#ifndef TROTLINE_NET_FORWARDED_H
#define TROTLINE_NET_FORWARDED_H

#include "net/network.h"

enum { FORWARDED_HOPS_MAX = 32 }; /* addresses that are looked at */

/* The sender's address. `peer` is who is connected; `values` are those of the X-Forwarded-For
 * headers in the order they came, which is that of one list (RFC 9110 section 5.3).
 *
 * When all are trusted, the sender is the left-most one: it is within the proxies' network. An
 * entry may have a port ("1.2.3.4:80", "[::1]:80") or be in brackets.
 *
 * False: a trusted proxy has passed on something that is no address ("unknown"), or there are more
 * than FORWARDED_HOPS_MAX; *client is then empty, and nobody is to be taken for the sender. */
bool forwarded_client(const struct network *peer, const struct slice *values, size_t count,
                      const struct network *trusted, size_t trusted_count, struct network *client);

#endif
