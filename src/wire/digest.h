/* digest.h - SHA-256 of a text given in parts. */
#ifndef TROTLINE_WIRE_DIGEST_H
#define TROTLINE_WIRE_DIGEST_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum { DIGEST_SHA256_BYTES = 32 };

/* What is dear to make, kept by whoever hashes often. Begins as {0} and is filled in at the first
 * use; for one thread at a time. */
struct digest {
    struct evp_md_st *algorithm;
    struct evp_md_ctx_st *context;
};

/* ST_NOMEM: out of memory, or OpenSSL failed. */
MUST_CHECK enum status digest_sha256(struct digest *digest, const struct slice *parts, size_t count,
                                     uint8_t out[DIGEST_SHA256_BYTES]);

/* Leaves it as it began. */
void digest_free(struct digest *digest);

#endif
