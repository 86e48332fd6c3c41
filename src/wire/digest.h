/* digest.h - SHA-256 of a text given in parts. */
#ifndef TROTLINE_WIRE_DIGEST_H
#define TROTLINE_WIRE_DIGEST_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum { DIGEST_SHA256_BYTES = 32 };

/* ST_NOMEM when OpenSSL cannot; nothing else can fail. */
MUST_CHECK enum status digest_sha256(const struct slice *parts, size_t count,
                                     uint8_t out[DIGEST_SHA256_BYTES]);

#endif
