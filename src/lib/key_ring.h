/* key_ring.h - the keys of several secrets, valid side by side. */
#ifndef TROTLINE_LIB_KEY_RING_H
#define TROTLINE_LIB_KEY_RING_H

#include "base/limits.h"
#include "lib/lib_private.h"

struct key_ring {
    struct signer_key *keys[LIMIT_SECRETS];
    size_t count;
};

/* Makes the keys: for signing, or (`verifying`) also of public keys. INVALID_SECRET, and `error`
 * names the one; INVALID_ARGUMENT; NO_MEMORY. Must be closed in any case. */
enum trotline_status key_ring_open(struct key_ring *ring, const struct scheme *scheme,
                                   bool verifying, const char *const *secrets, size_t secret_count,
                                   struct trotline_error *error);
void key_ring_close(struct key_ring *ring);

#endif
