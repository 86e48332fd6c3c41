/* stream_id.h - the id of an entry of a Redis stream: "<ms>-<sequence>". Pure.
 *
 * Ids of a stream only grow, so of what stands between two of them nothing can be added later.
 */
#ifndef TROTLINE_CORE_STREAM_ID_H
#define TROTLINE_CORE_STREAM_ID_H

#include <stdint.h>

#include "base/digits.h"
#include "base/slice.h"
#include "base/status.h"

struct stream_id {
    uint64_t ms, sequence;
};

enum { STREAM_ID_TEXT = 2 * DIGITS_MAX + 2 };

/* ST_SYNTAX: it is not an id in full. */
MUST_CHECK enum status stream_id_parse(struct slice text, struct stream_id *id);

/* With a NUL; the slice leaves that out. */
struct slice stream_id_format(const struct stream_id *id, char out[STREAM_ID_TEXT]);

/* Negative, 0 or positive. */
int stream_id_compare(const struct stream_id *a, const struct stream_id *b);

/* The smallest id that is greater; the greatest of all stays what it is. */
struct stream_id stream_id_next(const struct stream_id *id);

#endif
