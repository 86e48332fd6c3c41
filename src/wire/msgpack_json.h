/* msgpack_json.h - a msgpack value as JSON that says the same. Pure.
 *
 *   nil, bool       null, true, false
 *   int             its digits, exactly, over the whole range of int64 and uint64
 *   float           a number that reads back as the same float 32 or float 64, always with a dot or
 *                   an exponent (real.h)
 *   str             a string; its bytes have to be UTF-8
 *   array           an array
 *   map             an object with the members in the same order; its keys have to be strings, no
 *                   two of them the same
 *   timestamp       (extension -1) a string, RFC 3339 in UTC with 3 or 9 digits behind the second:
 *                   the years 0000 to 9999
 *
 * What cannot be said in JSON is refused: bin, other extensions, NaN and the infinities, keys of
 * other kinds, text that is not UTF-8. Nothing is guessed, and nothing left out.
 *
 * It is one pass without a tree. What the input announces and does not bring costs nothing, neither
 * time nor memory; beside the output only maps of more than eight keys take some, in proportion to
 * the keys that came (mp_keys.h).
 */
#ifndef TROTLINE_WIRE_MSGPACK_JSON_H
#define TROTLINE_WIRE_MSGPACK_JSON_H

#include "base/buf.h"
#include "base/field_error.h"
#include "wire/codec.h"

/* Appends the reader's next value to `out` and moves behind it. `name` is what the value is called
 * in a refusal: its field is the path from there, such as "data.items[3].price". At most
 * `depth_max` (up to LIMIT_JSON_DEPTH) containers may stand in one another.
 * ST_RANGE: *error is filled, with code `invalid_msgpack` (the bytes end, or are none),
 * `unsupported_value` (it has no form in JSON), or `json_too_deep`. ST_LIMIT: `out` is full, that
 * is, the JSON has more than out->max bytes. ST_NOMEM. After a failure `out` holds a part. */
MUST_CHECK enum status msgpack_json(struct mp_reader *reader, const char *name, unsigned depth_max,
                                    struct buf *out, struct field_error *error);

#endif
