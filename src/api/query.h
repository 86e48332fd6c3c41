/* query.h - the parameters of a query: "limit=50&active=true". Pure. */
#ifndef TROTLINE_API_QUERY_H
#define TROTLINE_API_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/field_error.h"
#include "base/limits.h"
#include "base/slice.h"

/* A parameter that a handler knows. Set `name` and leave the rest zero. */
struct query_param {
    const char *name;
    bool given;
    size_t len;
    char value[LIMIT_TYPE_BYTES + 1]; /* decoded, NUL-terminated, without other NULs */
};

/* Decodes %XX of one segment of a path; '+' stands for itself there. ST_SYNTAX: wrongly encoded, or
 * a NUL; ST_LIMIT: it does not fit into `size` with its NUL. */
MUST_CHECK enum status query_decode_segment(struct slice segment, char *out, size_t size,
                                            size_t *len);

/* Fills in the parameters. %XX and '+' are decoded, "&&" is passed over, a name without '=' has the
 * value "". ST_RANGE with *error filled: a parameter that is not among `params`
 * (`unknown_parameter`), is given twice, is too long or wrongly encoded (`invalid_parameter`). */
MUST_CHECK enum status query_read(struct slice query, struct query_param *params, size_t count,
                                  struct field_error *error);

#endif
