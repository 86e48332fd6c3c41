/* rate_limit.h - a rate limit as JSON:
 *
 *     {"limit": 100, "period": "1s", "burst": 10}
 *
 * `limit` and `period` are needed: 1 to 1,000,000 within 1 ms to 24 h, and not more than one a
 * microsecond. `burst` is how many may go at once after a pause: 1 to `limit`, 1 when left out.
 */
#ifndef TROTLINE_CORE_RATE_LIMIT_H
#define TROTLINE_CORE_RATE_LIMIT_H

#include "base/field_error.h"
#include "core/gcra.h"

struct json_t;
struct json_out;

/* ST_RANGE: refused with code `invalid_rate_limit` (or `unknown_field`) and a field like
 * "rateLimit.period"; *limit is then meaningless. */
MUST_CHECK enum status rate_limit_parse(struct json_t *value, struct gcra_limit *limit,
                                        struct field_error *error);

/* Writes all three members; null when there is no limit. */
void rate_limit_render(const struct gcra_limit *limit, struct json_out *out);

#endif
