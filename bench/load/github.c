/* github.c - signs as GitHub does. The key is scheduled once, so that a signature costs what
 * hashing a kilobyte does, and the load keeps ahead of the server. */
#include "github.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST_BYTES = GITHUB_SIGNATURE_BYTES / 2 };

static EVP_MAC_CTX *signer; /* keyed; each use begins with an init without a key */

static void die(void)
{
    fputs("bench-load: OpenSSL cannot sign by HMAC-SHA256\n", stderr);
    exit(1);
}

void github_open(const char *secret)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    signer = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac); /* the context has a reference of its own */
    if (!signer || !EVP_MAC_init(signer, (const unsigned char *)secret, strlen(secret), parameters))
        die();
}

void github_sign(char out[GITHUB_SIGNATURE_BYTES], const char *body, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[DIGEST_BYTES];
    size_t digest_len;
    if (!EVP_MAC_init(signer, NULL, 0, NULL) ||
        !EVP_MAC_update(signer, (const unsigned char *)body, len) ||
        !EVP_MAC_final(signer, digest, &digest_len, sizeof digest))
        die();
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
}
