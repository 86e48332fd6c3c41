/* env.h - ${NAME} in what is configured in files: secrets come from the environment. */
#ifndef TROTLINE_BASE_ENV_H
#define TROTLINE_BASE_ENV_H

#include "base/buf.h"
#include "base/status.h"

/* A copy of `text` with every ${NAME} replaced by that environment variable and $$ by $; the caller
 * frees it. ST_RANGE: a variable is not set, a $ stands for neither, or the result has more than
 * `bytes_max`; a sentence is appended to `reason`. ST_NOMEM. *result is then unchanged. */
MUST_CHECK enum status env_expand(const char *text, size_t bytes_max, char **result,
                                  struct buf *reason);

#endif
