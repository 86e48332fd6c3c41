/* yaml_json.h - a small YAML file as JSON, so that what is configured in files and what the API
 * takes is checked by the same code. Pure. */
#ifndef TROTLINE_WIRE_YAML_JSON_H
#define TROTLINE_WIRE_YAML_JSON_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

enum { YAML_JSON_DEPTH = 32 }; /* of lists and mappings */

/* What a text stands for: appends it to `out`. ST_RANGE: it cannot be; a sentence is in `reason`.
 */
typedef enum status yaml_json_text(struct slice text, struct buf *out, struct buf *reason);

/* Appends the document as one JSON value to `json`, whose maximum bounds it (aliases may repeat
 * much). Unquoted `true`, `false`, `null`, `~`, nothing and whole numbers are what they look like
 * in JSON; everything else is a string, for which `text` (may be NULL) is asked. ST_SYNTAX: `error`
 * holds "file:line: what is wrong"; ST_NOMEM, ST_LIMIT: of `json`, also when nested too deep. */
MUST_CHECK enum status yaml_json(struct slice yaml, const char *file, yaml_json_text *text,
                                 struct buf *json, char *error, size_t error_size);

#endif
