/* json_field.h - what checking a member of a JSON object needs everywhere in the core. Over
 * jansson. */
#ifndef TROTLINE_CORE_JSON_FIELD_H
#define TROTLINE_CORE_JSON_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include "base/field_error.h"
#include "base/slice.h"

struct json_t;

/* What a body is refused with that cannot be read as JSON: `json_too_deep` or `invalid_json`. */
const char *json_field_fault(struct slice body);

/* The text of a JSON string. */
struct slice json_field_text(const struct json_t *string);

/* A duration: a string with a unit or whole milliseconds. ST_SYNTAX: not one; ST_RANGE: not within
 * min_ms … max_ms. *ms is then unchanged. */
MUST_CHECK enum status json_field_duration(const struct json_t *value, uint64_t min_ms,
                                           uint64_t max_ms, uint64_t *ms);

/* Refuses the first member of the object that is not among `names`, with code `unknown_field`,
 * field `prefix` and its name, and the nearest known name in the message. */
MUST_CHECK enum status json_field_known(struct json_t *object, const char *prefix,
                                        const char *const *names, size_t count,
                                        struct field_error *error);

/* Parses a text that has passed json_check(), which must be an object; the caller owns *object.
 * ST_SYNTAX with *error filled: it is none, or has what is of no use to us (a key twice, a number
 * beyond 64 bits, a NUL in a name); ST_NOMEM. *object is then NULL. */
MUST_CHECK enum status json_field_object(struct slice text, struct json_t **object,
                                         struct field_error *error);

/* Sets a member and takes over the value. ST_NOMEM, also for a value of NULL (there was no memory
 * for it). */
MUST_CHECK enum status json_field_set(struct json_t *object, const char *name,
                                      struct json_t *value);

/* A time as RFC 3339. NULL: out of memory. */
struct json_t *json_field_time(uint64_t unix_ms);

#endif
