/* scheme_file.h - reads the description of a scheme (YAML; the language is in
 * conf/schemes/README.md).
 *
 * The only user of libyaml.
 */
#ifndef TROTLINE_WIRE_SCHEME_FILE_H
#define TROTLINE_WIRE_SCHEME_FILE_H

#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"

struct scheme;

enum { SCHEME_FILE_BYTES_MAX = 64 * 1024 };

/* Reads and compiles one description into a new scheme, which the caller frees with scheme_free().
 * ST_SYNTAX: `error` holds "file:line: what is wrong", where `file` is only for that text;
 * ST_LIMIT: longer than SCHEME_FILE_BYTES_MAX; ST_NOMEM. *out is then NULL. */
MUST_CHECK enum status scheme_file_parse(struct slice text, const char *file, struct scheme **out,
                                         char *error, size_t error_size);

/* Accepts NULL. Not for schemes of a set. */
void scheme_free(struct scheme *scheme);

#endif
