/* publish_key.c - the fixed-size member that stands for a key. */
#include "core/publish_key.h"

#include "wire/digest.h"

static enum status hash(const struct slice *parts, size_t count, uint8_t out[PUBLISH_KEY_BYTES])
{
    static struct digest digest; /* until the process ends */
    uint8_t bytes[DIGEST_SHA256_BYTES];
    enum status status = digest_sha256(&digest, parts, count, bytes);
    memcpy(out, bytes, PUBLISH_KEY_BYTES);
    return status;
}

enum status publish_key(struct slice application, struct slice key, uint8_t out[PUBLISH_KEY_BYTES])
{
    struct slice parts[] = {application, SLICE("\0"), key};
    return hash(parts, 3, out);
}

enum status publish_key_of_source(struct slice application, struct slice source, struct slice key,
                                  uint8_t out[PUBLISH_KEY_BYTES])
{
    struct slice parts[] = {application, SLICE("\0"), source, SLICE("\0"), key};
    return hash(parts, 5, out);
}
