/* api_key.h - the API key that the first start writes to DATA/api-key. */
#ifndef TROTLINE_APP_API_KEY_H
#define TROTLINE_APP_API_KEY_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends the key of DATA/api-key to `key`; makes the file (mode 0600) with a new one when there is
 * none, and says so in *made. ST_IO with a sentence in `error`; ST_RANGE when the file holds no
 * key. */
MUST_CHECK enum status api_key_open(const char *data_dir, struct buf *key, bool *made,
                                    struct buf *error);

#endif
