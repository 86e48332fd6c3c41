/* digest.c - SHA-256 of a text given in parts. The algorithm is fetched once: an implicit fetch in
 * every call costs more than the hash of a short text (1.8 against 1.2 us for 1 KiB). Where it is
 * kept is the caller's business: a library has no place of its own that threads would not share. */
#include "wire/digest.h"

#include <openssl/evp.h>

enum status digest_sha256(struct digest *digest, const struct slice *parts, size_t count,
                          uint8_t out[DIGEST_SHA256_BYTES])
{
    if (!digest->algorithm)
        digest->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!digest->context)
        digest->context = EVP_MD_CTX_new();
    if (!digest->algorithm || !digest->context ||
        EVP_DigestInit_ex2(digest->context, digest->algorithm, NULL) != 1)
        return ST_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (EVP_DigestUpdate(digest->context, parts[i].ptr, parts[i].len) != 1)
            return ST_NOMEM;
    return EVP_DigestFinal_ex(digest->context, out, NULL) == 1 ? ST_OK : ST_NOMEM;
}

void digest_free(struct digest *digest)
{
    EVP_MD_CTX_free(digest->context);
    EVP_MD_free(digest->algorithm);
    *digest = (struct digest){NULL, NULL};
}
