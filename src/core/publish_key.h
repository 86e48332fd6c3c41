/* publish_key.h - the fixed-size member that stands for an idempotency key, a uid, or a
 * deduplication key. Pure.
 */
#ifndef TROTLINE_CORE_PUBLISH_KEY_H
#define TROTLINE_CORE_PUBLISH_KEY_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum { PUBLISH_KEY_BYTES = 16 };

/* Half a SHA-256 of (application, key): memory is bounded, and nobody can make two keys meet. */
MUST_CHECK enum status publish_key(struct slice application, struct slice key,
                                   uint8_t out[PUBLISH_KEY_BYTES]);

/* The same of a key that a source's requests have: sources have their keys to themselves. A
 * source's name has no NUL. */
MUST_CHECK enum status publish_key_of_source(struct slice application, struct slice source,
                                             struct slice key, uint8_t out[PUBLISH_KEY_BYTES]);

#endif
