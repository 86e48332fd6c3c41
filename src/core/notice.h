/* notice.h - operational events: what happens to endpoints and deliveries, told to those who
 * subscribed to it.
 *
 * They are events like any other, with `source` "trotline", and go through publish. Three rules
 * keep them from surprising or flooding anybody:
 *
 *   - An endpoint takes them only by a pattern that names them ("endpoint.disabled", "endpoint.*",
 *     "delivery.*"); "*" alone does not.
 *   - An endpoint is not told about itself: what cannot be delivered to it could not tell it so.
 *   - What becomes of their own deliveries is told to nobody; and delivery.* are rated for each
 *     endpoint that they are about (notice_data.h).
 *
 * Nothing waits for them: one that cannot be published (Redis is away, overload, a stop) is
 * counted, logged and gone. None of these functions calls back or changes an endpoint's state; all
 * may be called from anywhere in the loop but from within registry_match().
 */
#ifndef TROTLINE_CORE_NOTICE_H
#define TROTLINE_CORE_NOTICE_H

#include "core/core.h"
#include "core/notice_data.h"
#include "wire/event_record.h"

struct notice;

struct notice *notice_new(struct core *core);
void notice_free(struct notice *notice);

/* It was switched off, for config->disabled_reason. `last`: the attempt that was the occasion;
 * attempts 0: somebody wished it. */
void notice_disabled(struct core *core, struct endpoint *endpoint,
                     const struct notice_attempt *last);

/* Its circuit breaker opened, or closed again. Told on a change only: whatever happens between the
 * first opening and the closing (failed probes) may be reported here and is not told.
 * `probe_at_ms`: when the next attempt will be made (unix ms); used when opened. */
void notice_breaker(struct core *core, struct endpoint *endpoint, bool opened, const char *reason,
                    uint64_t probe_at_ms);

/* So many of its deliveries wait. Told when that reaches the configured threshold, and again only
 * after it fell below half of it. */
void notice_backlog(struct core *core, struct endpoint *endpoint, uint64_t waiting);

/* One of NOTICE_DELIVERY_*. `reason`: of NOTICE_DELIVERY_EXHAUSTED. `next_attempt_at_ms`: unix ms,
 * or 0: there will be none. */
void notice_delivery(struct core *core, struct endpoint *endpoint, enum notice_type type,
                     const char *reason, const struct notice_attempt *attempt,
                     uint64_t next_attempt_at_ms);

#endif
