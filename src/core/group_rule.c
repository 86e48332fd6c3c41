/* group_rule.c - an endpoint's `batch`, between JSON and numbers. */
#include "core/group_rule.h"

#include <jansson.h>

#include "base/json_out.h"
#include "base/limits.h"
#include "base/parse.h"
#include "core/json_field.h"

#define CODE "invalid_batch"

enum { DEFAULT_EVENTS = 100, DEFAULT_BYTES = 1024 * 1024, DEFAULT_WAIT_MS = 1000 };
enum { BYTES_MIN = 1024 };

static bool take_events(const json_t *value, uint32_t *events)
{
    json_int_t given = json_is_integer(value) ? json_integer_value(value) : 0;
    if (given < 1 || given > LIMIT_GROUP_EVENTS)
        return false;
    *events = (uint32_t)given;
    return true;
}

static bool take_bytes(const json_t *value, size_t *bytes)
{
    uint64_t given = 0;
    if (json_is_integer(value) && json_integer_value(value) > 0)
        given = (uint64_t)json_integer_value(value);
    else if (json_is_string(value) && parse_size_bytes(json_field_text(value), &given) != ST_OK)
        return false;
    if (given < BYTES_MIN || given > LIMIT_GROUP_BYTES)
        return false;
    *bytes = (size_t)given;
    return true;
}

static bool take_form(const json_t *value, enum event_list_form *form)
{
    if (!json_is_string(value))
        return false;
    for (*form = EVENT_LIST_JSON; *form <= EVENT_LIST_NDJSON; ++*form)
        if (slice_eq(json_field_text(value), slice_str(event_list_form_name(*form))))
            return true;
    return false;
}

enum status group_rule_parse(json_t *value, struct group_rule *rule, struct field_error *error)
{
    static const char *const names[] = {"maxEvents", "maxBytes", "maxWait", "format"};
    if (!json_is_object(value))
        return field_refuse(error, CODE, "batch",
                            "Give an object such as {\"maxEvents\": 100, \"maxWait\": \"1s\"}.");
    enum status status =
        json_field_known(value, "batch.", names, sizeof(names) / sizeof(names[0]), error);
    if (status)
        return status;

    *rule = (struct group_rule){DEFAULT_EVENTS, DEFAULT_BYTES, DEFAULT_WAIT_MS, EVENT_LIST_JSON};
    json_t *events = json_object_get(value, "maxEvents");
    if (events && !take_events(events, &rule->max_events))
        return field_refuse(error, CODE, "batch.maxEvents",
                            "Give how many events go in one request: a whole number from 1 to %d.",
                            LIMIT_GROUP_EVENTS);
    json_t *bytes = json_object_get(value, "maxBytes");
    if (bytes && !take_bytes(bytes, &rule->max_bytes))
        return field_refuse(error, CODE, "batch.maxBytes",
                            "Give how long a body may be: from 1 KiB to 16 MiB, as whole bytes or "
                            "such as \"256KiB\".");
    json_t *wait = json_object_get(value, "maxWait");
    if (wait && json_field_duration(wait, 0, LIMIT_GROUP_WAIT_MS, &rule->max_wait_ms))
        return field_refuse(error, CODE, "batch.maxWait",
                            "Give how long an event may wait for others: from 0 to 60 s, such as "
                            "\"1s\" or whole milliseconds.");
    json_t *form = json_object_get(value, "format");
    if (form && !take_form(form, &rule->form))
        return field_refuse(error, CODE, "batch.format", "Give \"json\" or \"ndjson\".");
    return ST_OK;
}

void group_rule_render(const struct group_rule *rule, struct json_out *out)
{
    if (rule->max_events == 0) {
        json_value_null(out);
        return;
    }
    json_object_open(out);
    json_member_u64(out, "maxEvents", rule->max_events);
    json_member_u64(out, "maxBytes", rule->max_bytes);
    json_key(out, "maxWait");
    json_value_duration_ms(out, rule->max_wait_ms);
    json_member_cstr(out, "format", event_list_form_name(rule->form));
    json_object_close(out);
}
