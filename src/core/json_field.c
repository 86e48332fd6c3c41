/* json_field.c - small checks on members of JSON objects. */
#include "core/json_field.h"

#include <jansson.h>
#include <stdio.h>

#include "base/json_scan.h"
#include "base/parse.h"
#include "base/suggest.h"

const char *json_field_fault(struct slice body)
{
    struct json_error problem;
    return json_check(body, &problem) == ST_LIMIT ? "json_too_deep" : "invalid_json";
}

struct slice json_field_text(const json_t *string)
{
    return slice_of(json_string_value(string), json_string_length(string));
}

enum status json_field_duration(const json_t *value, uint64_t min_ms, uint64_t max_ms, uint64_t *ms)
{
    uint64_t parsed_ms;
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        if (number < 0)
            return ST_RANGE;
        parsed_ms = (uint64_t)number;
    } else if (json_is_string(value)) {
        enum status status = parse_duration_ms(json_field_text(value), &parsed_ms);
        if (status)
            return status;
    } else {
        return ST_SYNTAX;
    }
    if (parsed_ms < min_ms || parsed_ms > max_ms)
        return ST_RANGE;
    *ms = parsed_ms;
    return ST_OK;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

enum status json_field_known(json_t *object, const char *prefix, const char *const *names,
                             size_t count, struct field_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (is_among(name, names, count))
            continue;
        struct suggest suggest = {.word = name};
        for (size_t i = 0; i < count; i++)
            suggest_add(&suggest, names[i]);
        char field[sizeof(error->field)];
        snprintf(field, sizeof(field), "%s%s", prefix, name);
        if (suggest.best)
            return field_refuse(error, "unknown_field", field,
                                "There is no field \"%.64s\" here; did you mean \"%s\"?", name,
                                suggest.best);
        return field_refuse(error, "unknown_field", field, "There is no field \"%.64s\" here.",
                            name);
    }
    return ST_OK;
}
