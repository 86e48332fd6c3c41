/* claims.h - claims due deliveries of the schedule, and brings them into memory. */
#ifndef TROTLINE_CORE_CLAIMS_H
#define TROTLINE_CORE_CLAIMS_H

#include "core/core.h"

struct claims;

struct claims *claims_new(struct core *core);
void claims_free(struct claims *claims);

/* Leases up to `count` due deliveries of the endpoint for dispatch; `slots` slots are reserved
 * meanwhile: as many, or fewer if several go in one request, and then until all are there.
 * Before `not_before_ms` (Redis's ms; 0: no such wish) peeks need not name the endpoint again; with
 * a count of 0 that is all that is done. */
void claims_ask(struct claims *claims, struct endpoint *endpoint, size_t count, size_t slots,
                uint64_t not_before_ms);

#endif
