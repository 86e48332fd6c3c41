/* webhook_health.h - the member `health` of a webhook: how its endpoint fares.
 *
 *     {"failingSince": time or null, "consecutiveFailures": n, "disabledReason": text or null,
 *      "breaker": {"state": "closed"}, "inFlight": n, "inFlightAllowed": n}
 *
 * A breaker that is "open" or "half_open" has "reason", "timesOpened", "openedAt" and "nextProbeAt"
 * too.
 *
 * Of an endpoint to which another replica sends, what that one keeps in Redis is told: a half-open
 * breaker is "open", and consecutiveFailures, inFlight and inFlightAllowed are null.
 */
#ifndef TROTLINE_API_WEBHOOK_HEALTH_H
#define TROTLINE_API_WEBHOOK_HEALTH_H

#include "base/buf.h"
#include "core/endpoint.h"

enum { WEBHOOK_HEALTH_BYTES_MAX = 4096 };

/* Appends the object, of one that this process sends to. Ask buf_status(). */
void webhook_health_write(const struct endpoint *endpoint, struct buf *out);
/* The same of another's, by what Redis has of it. NULL: Redis could not tell, the value is null. */
void webhook_health_write_kept(const struct endpoint_config *config,
                               const struct health_record *kept, struct buf *out);

#endif
