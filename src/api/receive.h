/* receive.h - /in/{source}: third parties' webhooks. */
#ifndef TROTLINE_API_RECEIVE_H
#define TROTLINE_API_RECEIVE_H

#include "api/router.h"

/* Every method that a source or a handshake may have leads here. Needs no key: what the source's
 * scheme says decides. */
route_fn receive;

#endif
