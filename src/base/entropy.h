/* entropy.h - the kernel's randomness, without a pool: for the few bytes that make a secret. Any
 * thread. */
#ifndef TROTLINE_BASE_ENTROPY_H
#define TROTLINE_BASE_ENTROPY_H

#include <stddef.h>

#include "base/status.h"

/* Fills `out` with bytes fit for keys; waits, early after a boot, until the kernel has some. ST_IO:
 * the kernel gives none, errno tells why; `out` is unusable then. */
MUST_CHECK enum status entropy_read(void *out, size_t len);

#endif
