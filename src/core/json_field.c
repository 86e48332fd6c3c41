/* json_field.c - small checks on members of JSON objects. */
#include "core/json_field.h"

#include <jansson.h>
#include <stdio.h>

#include "base/json_scan.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "base/timefmt.h"

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

/* Is it the text that jansson dislikes? The grammar has been checked before it; what is left are
 * the things that are valid JSON and no use to us. All else is a lack of memory, which jansson
 * often reports as wrong syntax. */
static bool is_fault_of_text(const json_error_t *problem)
{
    enum json_error_code code = json_error_code(problem);
    return code == json_error_duplicate_key || code == json_error_numeric_overflow ||
           code == json_error_null_character || code == json_error_null_byte_in_key;
}

enum status json_field_object(struct slice text, json_t **object, struct field_error *error)
{
    json_error_t problem;
    *object = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (!*object && !is_fault_of_text(&problem))
        return ST_NOMEM;
    if (!*object) {
        (void)field_refuse(error, "invalid_json", "", "This JSON cannot be read: %s (line %d).",
                           problem.text, problem.line);
        return ST_SYNTAX;
    }
    if (!json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        (void)field_refuse(error, "invalid_json", "", "Give a JSON object.");
        return ST_SYNTAX;
    }
    return ST_OK;
}

enum status json_field_set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) ? ST_NOMEM : ST_OK;
}

json_t *json_field_time(uint64_t unix_ms)
{
    struct buf text;
    buf_init(&text, 32);
    time_format_rfc3339(&text, unix_ms);
    json_t *string = buf_status(&text) ? NULL : json_stringn(text.ptr, text.len);
    buf_free(&text);
    return string;
}
