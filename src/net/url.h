/* url.h - checking a target's URL when it is registered.
 *
 * Stricter than RFC 3986 on purpose: what passes here is read the same way by every URL parser, the
 * sender's in particular, so that nobody can show us one host and connect us to another.
 *
 *     https://host[:port][/path][?query]
 *
 * No user, no password, no fragment; the path and query are printable ASCII without spaces, quotes,
 * angle brackets, backslashes and the like (percent-encode them); a port is 1 to 65535. The host is
 *   - a name of letters, digits, '-', '_' and '.' (international names in their xn-- form), whose
 *     last label is no number, or
 *   - an IPv4 address in any notation of inet_aton (127.1, 0x7f000001, 2130706433), or
 *   - an IPv6 address in brackets, without a zone.
 * Addresses are judged by the guard here; names when a connection is made (outbound.h). Pure.
 */
#ifndef TROTLINE_NET_URL_H
#define TROTLINE_NET_URL_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/netguard.h"

/* ST_OK, or with a static sentence in *reason (may be NULL): ST_SYNTAX when it is no such URL,
 * ST_LIMIT when longer than LIMIT_URL_BYTES, ST_RANGE for a bad port, ST_UNSUPPORTED for another
 * scheme, ST_DENIED for http when `allow_http` is false and for an address that `guard` refuses. */
MUST_CHECK enum status url_check(struct slice url, bool allow_http, const struct netguard *guard,
                                 const char **reason);

#endif
