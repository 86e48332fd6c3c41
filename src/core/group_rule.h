/* group_rule.h - how an endpoint takes several events in one request, as JSON its `batch`:
 *
 *     {"maxEvents": 100, "maxBytes": 1048576, "maxWait": "1s", "format": "json"}
 *
 * None of the members is needed; those are their defaults. `maxEvents`: 1 to LIMIT_GROUP_EVENTS.
 * `maxBytes`: of the body, 1 KiB to LIMIT_GROUP_BYTES, as whole bytes or text such as "256KiB".
 * `maxWait`: 0 to LIMIT_GROUP_WAIT_MS. `format`: "json" or "ndjson".
 */
#ifndef TROTLINE_CORE_GROUP_RULE_H
#define TROTLINE_CORE_GROUP_RULE_H

#include "base/field_error.h"
#include "wire/event_list.h"

struct json_t;
struct json_out;

struct group_rule {
    uint32_t max_events; /* 0: each event goes alone, as itself */
    size_t max_bytes;
    uint64_t max_wait_ms;
    enum event_list_form form;
};

/* ST_RANGE: refused with code `invalid_batch` (or `unknown_field`) and a field like
 * "batch.maxWait"; *rule is then meaningless. */
MUST_CHECK enum status group_rule_parse(struct json_t *value, struct group_rule *rule,
                                        struct field_error *error);

/* Writes all members; null when there is no rule. */
void group_rule_render(const struct group_rule *rule, struct json_out *out);

#endif
