/* publish_key.c - the fixed-size member that stands for an idempotency key or a uid. */
#include "core/publish_key.h"

#include "wire/digest.h"

enum status publish_key(struct slice application, struct slice key, uint8_t out[PUBLISH_KEY_BYTES])
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    struct slice parts[] = {application, SLICE("\0"), key};
    enum status status = digest_sha256(parts, 3, digest);
    memcpy(out, digest, PUBLISH_KEY_BYTES);
    return status;
}
