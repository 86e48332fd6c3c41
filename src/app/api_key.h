/* api_key.h - the API key that the first start writes to DATA/api-key. */
#ifndef TROTLINE_APP_API_KEY_H
#define TROTLINE_APP_API_KEY_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends the key of DATA/api-key to `key`; makes the file (mode 0600) with a new one when there is
 * none, and says so in *made (not when another process made it at the same moment: both then have
 * that one key). Blanks and line ends around the key are no part of it. With a sentence in `error`:
 * ST_IO; ST_RANGE when the file holds no key, or one that no header can carry; ST_LIMIT when the
 * path is too long. Without: ST_NOMEM, ST_LIMIT when `key` has no room. */
MUST_CHECK enum status api_key_open(const char *data_dir, struct buf *key, bool *made,
                                    struct buf *error);

#endif
