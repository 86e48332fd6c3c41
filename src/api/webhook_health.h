/* webhook_health.h - the member `health` of a webhook: how its endpoint fares.
 *
 *     {"failingSince": time or null, "consecutiveFailures": n, "disabledReason": text or null,
 *      "breaker": {"state": "closed"}, "inFlight": n, "inFlightAllowed": n}
 *
 * A breaker that is "open" or "half_open" has "reason", "timesOpened", "openedAt" and "nextProbeAt"
 * too.
 */
#ifndef TROTLINE_API_WEBHOOK_HEALTH_H
#define TROTLINE_API_WEBHOOK_HEALTH_H

#include "base/buf.h"
#include "core/endpoint.h"

enum { WEBHOOK_HEALTH_BYTES_MAX = 4096 };

/* Appends the object. Ask buf_status(). */
void webhook_health_write(const struct endpoint *endpoint, struct buf *out);

#endif
