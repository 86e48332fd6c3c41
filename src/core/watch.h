/* watch.h - what an attempt's end means for its endpoint: how it fares, whether it is switched off,
 * and who is told.
 *
 * An endpoint is switched off ("disabled", with a reason) by a 410 ("gone"), by nothing but
 * failures for a configured time ("failing"), and, if that is configured, by the first delivery
 * whose attempts are used up ("exhausted").
 */
#ifndef TROTLINE_CORE_WATCH_H
#define TROTLINE_CORE_WATCH_H

#include "core/core.h"
#include "core/delivery.h"
#include "core/outcome.h"
#include "core/retry.h"

/* An attempt was made and this came of it. Call before the delivery is settled, which may free it;
 * it is only read here. The endpoint's configuration changes later, if at all, when Redis has
 * answered. `delay_ms`: until the next attempt, for RETRY_LATER. */
void watch_attempt(struct core *core, const struct delivery *delivery, enum retry_verdict verdict,
                   const struct attempt_record *record, uint64_t delay_ms);

/* Somebody says that the endpoint is well again: it was enabled, or has another URL. It is failing
 * no longer, and its breaker is closed. */
void watch_reset(struct core *core, struct endpoint *endpoint);

#endif
