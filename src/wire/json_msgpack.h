/* json_msgpack.h - JSON as msgpack, without loss. Pure. The way back is msgpack_json.h.
 *
 *   object, array, string, true, false, null   msgpack's own
 *   1, -17, 18446744073709551615               integers, where 64 bits hold them
 *   1.5, 1e3, 0.1                              float 64
 *
 * A number that a float 64 does not hold is refused: one is held when its shortest decimal form
 * (real.h), which is what the way back writes, is the same number.
 */
#ifndef TROTLINE_WIRE_JSON_MSGPACK_H
#define TROTLINE_WIRE_JSON_MSGPACK_H

#include "base/buf.h"
#include "base/field_error.h"

/* Appends the value to `out`, whose status the caller checks. `json` has passed json_check();
 * `path` is what it is called, for error->field: "data" makes it "data.items[3]". Members of the
 * same name are written as they stand. ST_RANGE, with *error filled (code `unsupported_value`): a
 * number that does not fit, or more than UINT32_MAX bytes; ST_NOMEM. `out` is then unusable. */
MUST_CHECK enum status json_msgpack(struct slice json, const char *path, struct buf *out,
                                    struct field_error *error);

#endif
