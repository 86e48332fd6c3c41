/* auth.c - bearer tokens against a few keys.
 *
 * Every key is compared, and each in constant time, so that neither which key nor how much of it
 * fits can be measured from outside. Comparing digests would hide the lengths as well, for a
 * microsecond a request; the length of a random key is no secret.
 */
#include "api/auth.h"

#include <openssl/crypto.h>
#include <stdlib.h>

struct auth {
    size_t count;
    struct slice keys[]; /* each one an allocation */
};

struct auth *auth_new(const struct slice *keys, size_t count)
{
    struct auth *auth = calloc(1, sizeof(*auth) + count * sizeof(auth->keys[0]));
    if (!auth)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (keys[i].len == 0)
            continue;
        char *copy = malloc(keys[i].len);
        if (!copy) {
            auth_free(auth);
            return NULL;
        }
        memcpy(copy, keys[i].ptr, keys[i].len);
        auth->keys[auth->count++] = slice_of(copy, keys[i].len);
    }
    return auth;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    for (size_t i = 0; i < auth->count; i++) {
        OPENSSL_cleanse((char *)(uintptr_t)auth->keys[i].ptr, auth->keys[i].len);
        free((char *)(uintptr_t)auth->keys[i].ptr);
    }
    free(auth);
}

/* What stands behind "Bearer" and blanks; SLICE_NULL when it is another scheme. */
static struct slice bearer_token(struct slice authorization)
{
    struct slice scheme = SLICE("Bearer ");
    if (authorization.len <= scheme.len ||
        !slice_eq_nocase(slice_of(authorization.ptr, scheme.len), scheme))
        return SLICE_NULL;
    struct slice token = slice_from(authorization, scheme.len);
    while (token.len > 0 && token.ptr[0] == ' ')
        token = slice_from(token, 1);
    return token;
}

bool auth_allows(const struct auth *auth, struct slice authorization)
{
    struct slice token = bearer_token(authorization);
    unsigned found = 0;
    for (size_t i = 0; i < auth->count; i++)
        if (auth->keys[i].len == token.len)
            found |= CRYPTO_memcmp(auth->keys[i].ptr, token.ptr, token.len) == 0;
    return found != 0;
}
