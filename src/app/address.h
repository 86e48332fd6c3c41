/* address.h - an address to listen on, as people write it: ADDR:PORT, [IPv6]:PORT or :PORT. */
#ifndef TROTLINE_APP_ADDRESS_H
#define TROTLINE_APP_ADDRESS_H

#include <netinet/in.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

#define ADDRESS_FORM "ADDR:PORT, [IPV6]:PORT or :PORT (all addresses), port 0 to 65535"

struct address {
    char host[INET6_ADDRSTRLEN]; /* numeric, without brackets; "0.0.0.0" for :PORT */
    uint16_t port;               /* 0: the kernel chooses a free one */
};

/* ST_SYNTAX when the text has none of the forms; `address` is then untouched. "localhost" is taken
 * as 127.0.0.1; other names are refused, because a server that binds what a resolver says today
 * may be open to the world tomorrow. */
MUST_CHECK enum status address_parse(const char *text, struct address *address);

/* Appends "http://HOST:PORT", with an IPv6 host in brackets. `port` is the one really bound to. */
void address_add_url(struct buf *out, const struct address *address, uint16_t port);

#endif
