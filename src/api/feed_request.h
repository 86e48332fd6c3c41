/* feed_request.h - which rejected entries of a feed a request is about. Pure. */
#ifndef TROTLINE_API_FEED_REQUEST_H
#define TROTLINE_API_FEED_REQUEST_H

#include <stddef.h>

#include "base/field_error.h"
#include "base/slice.h"
#include "core/stream_id.h"

enum { FEED_REQUEST_IDS_MOST = 1000 };

/* From the body: {"ids":[…]}, or {"all":true}, for which *count is 0. ST_RANGE with *error filled.
 */
MUST_CHECK enum status feed_request_read(struct slice text,
                                         struct stream_id ids[FEED_REQUEST_IDS_MOST], size_t *count,
                                         struct field_error *error);

#endif
