/* publish_key.h - the fixed-size member that stands for an idempotency key or a uid. Pure. */
#ifndef TROTLINE_CORE_PUBLISH_KEY_H
#define TROTLINE_CORE_PUBLISH_KEY_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum { PUBLISH_KEY_BYTES = 16 };

/* Half a SHA-256 of (application, key): memory is bounded, and nobody can make two keys meet. */
MUST_CHECK enum status publish_key(struct slice application, struct slice key,
                                   uint8_t out[PUBLISH_KEY_BYTES]);

#endif
