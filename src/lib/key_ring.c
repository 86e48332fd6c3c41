/* key_ring.c - the keys of several secrets, valid side by side. */
#include "lib/key_ring.h"

#include <stdio.h>

static enum trotline_status add(struct key_ring *ring, const struct scheme *scheme, bool verifying,
                                const char *secret, struct trotline_error *error)
{
    const char *reason = "";
    char field[32];
    if (!secret)
        return TROTLINE_INVALID_ARGUMENT;
    struct signer_key **key = &ring->keys[ring->count];
    enum status status = verifying ? scheme_verify_key(scheme, slice_str(secret), key, &reason)
                                   : scheme_secret_key(scheme, slice_str(secret), key, &reason);
    snprintf(field, sizeof(field), "secrets[%zu]", ring->count);
    if (status == ST_RANGE)
        return lib_fail(error, TROTLINE_INVALID_SECRET, "invalid_secret", field, reason);
    if (status != ST_OK)
        return TROTLINE_NO_MEMORY;
    ring->count++;
    return TROTLINE_OK;
}

enum trotline_status key_ring_open(struct key_ring *ring, const struct scheme *scheme,
                                   bool verifying, const char *const *secrets, size_t secret_count,
                                   struct trotline_error *error)
{
    enum trotline_status status = TROTLINE_OK;
    ring->count = 0;
    if (secret_count > LIMIT_SECRETS || (secret_count > 0 && !secrets))
        return TROTLINE_INVALID_ARGUMENT;
    if (secret_count == 0 && scheme_needs_secret(scheme))
        return lib_fail(error, TROTLINE_INVALID_SECRET, "invalid_secret", "secrets",
                        "the scheme needs a secret, and none was given");
    for (size_t i = 0; i < secret_count && status == TROTLINE_OK; i++)
        status = add(ring, scheme, verifying, secrets[i], error);
    return status;
}

void key_ring_close(struct key_ring *ring)
{
    while (ring->count > 0)
        signer_key_free(ring->keys[--ring->count]);
}
