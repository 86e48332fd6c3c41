/* rate_limit.c - rate limits between JSON and numbers.
 *
 * The bound of one a microsecond is the resolution of the clock that the limit is kept by; nothing
 * near it can be sent, but a limit of a million per millisecond is surely a slip and is told so.
 */
#include "core/rate_limit.h"

#include <jansson.h>

#include "base/json_out.h"
#include "core/json_field.h"

#define CODE "invalid_rate_limit"

enum { LIMIT_MAX = 1000000, PERIOD_MAX_MS = 24 * 3600 * 1000, MICROSECONDS = 1000 };

static bool whole_number(const json_t *value, uint32_t max, uint32_t *number)
{
    json_int_t given = json_is_integer(value) ? json_integer_value(value) : 0;
    if (given < 1 || given > max)
        return false;
    *number = (uint32_t)given;
    return true;
}

enum status rate_limit_parse(json_t *value, struct gcra_limit *limit, struct field_error *error)
{
    static const char *const names[] = {"limit", "period", "burst"};
    if (!json_is_object(value))
        return field_refuse(error, CODE, "rateLimit",
                            "Give an object such as {\"limit\": 100, \"period\": \"1s\"}.");
    enum status status =
        json_field_known(value, "rateLimit.", names, sizeof(names) / sizeof(names[0]), error);
    if (status)
        return status;

    *limit = (struct gcra_limit){.burst = 1};
    if (!whole_number(json_object_get(value, "limit"), LIMIT_MAX, &limit->limit))
        return field_refuse(error, CODE, "rateLimit.limit",
                            "Give how many may go in a period: a whole number from 1 to %d.",
                            LIMIT_MAX);
    if (json_field_duration(json_object_get(value, "period"), 1, PERIOD_MAX_MS, &limit->period_ms))
        return field_refuse(error, CODE, "rateLimit.period",
                            "Give a period from 1 ms to 24 h, such as \"1s\" or whole "
                            "milliseconds.");
    if (limit->limit > limit->period_ms * MICROSECONDS)
        return field_refuse(error, CODE, "rateLimit.period",
                            "Give a longer period: %u in %llu ms are more than one a microsecond.",
                            limit->limit, (unsigned long long)limit->period_ms);
    json_t *burst = json_object_get(value, "burst");
    if (burst && !whole_number(burst, limit->limit, &limit->burst))
        return field_refuse(error, CODE, "rateLimit.burst",
                            "Give how many may go at once: a whole number from 1 to the limit, "
                            "which is %u.",
                            limit->limit);
    return ST_OK;
}

void rate_limit_render(const struct gcra_limit *limit, struct json_out *out)
{
    if (limit->limit == 0) {
        json_value_null(out);
        return;
    }
    json_object_open(out);
    json_member_u64(out, "limit", limit->limit);
    json_key(out, "period");
    json_value_duration_ms(out, limit->period_ms);
    json_member_u64(out, "burst", limit->burst);
    json_object_close(out);
}
