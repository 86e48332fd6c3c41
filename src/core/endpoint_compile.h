/* endpoint_compile.h - from an endpoint's stored document, as a tree, to its fields. Inside the
 * core. */
#ifndef TROTLINE_CORE_ENDPOINT_COMPILE_H
#define TROTLINE_CORE_ENDPOINT_COMPILE_H

#include "core/endpoint_config.h"

struct json_t;

/* Checks every member and fills in all fields but `document`. `stored` documents are those that
 * were accepted before: what depends on the rules of the day (addresses, http, maxima, reserved
 * header names) is not held against them; values above today's maxima become the maxima. ST_RANGE
 * with *error filled, or ST_NOMEM; *out is then NULL. */
MUST_CHECK enum status endpoint_compile(const struct endpoint_rules *rules, struct json_t *document,
                                        bool stored, struct endpoint_config **out,
                                        struct field_error *error);

/* The scheme a document names, or the default one. ST_RANGE with *error filled. */
MUST_CHECK enum status endpoint_compile_scheme(const struct endpoint_rules *rules,
                                               struct json_t *document,
                                               const struct scheme **scheme,
                                               struct field_error *error);

/* Refuses a member that webhooks of this kind do not have: ST_RANGE, code `invalid_` and its name.
 */
enum status endpoint_compile_foreign(enum endpoint_kind kind, const char *name,
                                     struct field_error *error);

#endif
