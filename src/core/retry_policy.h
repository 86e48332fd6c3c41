/* retry_policy.h - a retry policy as JSON, in one of two forms:
 *
 *     {"schedule": ["5s", "5m", …], "jitter": 0.2, "retryOn": […]}
 *     {"maxAttempts": 8, "initialInterval": "5s", "multiplier": 2, "maxInterval": "10h",
 *      "jitter": 0.2, "retryOn": […]}
 *
 * Every member may be left out. `maxAttempts` counts the first attempt too. `retryOn` lists what is
 * retried: statuses (429 or "429"), classes of statuses ("5xx") and errors by name ("timeout"); an
 * empty list: nothing.
 */
#ifndef TROTLINE_CORE_RETRY_POLICY_H
#define TROTLINE_CORE_RETRY_POLICY_H

#include "base/field_error.h"
#include "core/retry.h"

struct json_t;
struct json_out;

/* What is left out comes from `defaults` (and for the second form: as many attempts as `defaults`
 * makes, 5 s, 2, 10 h or initialInterval if that is longer). ST_RANGE: refused with code
 * `invalid_retry_policy` (or `unknown_field`) and a field like "retryPolicy.schedule[2]". */
MUST_CHECK enum status retry_policy_parse(struct json_t *value, const struct retry_policy *defaults,
                                          struct retry_policy *policy, struct field_error *error);

/* Writes the policy as it works: always in the first form; `retryOn` only when something is left
 * out. */
void retry_policy_render(const struct retry_policy *policy, struct json_out *out);

/* When `patch` has members of one form only, takes those of the other form out of `old`, so that a
 * merge of the two is of the form of the patch. */
void retry_policy_switch_form(struct json_t *old, struct json_t *patch);

#endif
