/* signer.c - keys that sign and verify.
 *
 * What costs in an HMAC of 1 KiB is not the HMAC (LIMITS.md, section 4): fetching the algorithm
 * takes 2 µs and keying a context 1 µs, against 1.1 µs for the digest. So each key holds its own
 * context that was keyed when the key was made; EVP_MAC_init without a key takes it back to that
 * point (correct since OpenSSL 3.0.3).
 *
 * Ed25519 hashes the text twice, hence OpenSSL has it as one call over one text and the parts are
 * put together first. A copy costs 0.1 µs/KiB; the signature 60.
 *
 * ECDSA and RSA only verify, for third parties' requests. OpenSSL refuses an ECDSA signature that
 * is not canonical DER, so that, too, has one text. A token is kept and compared as its SHA-256,
 * which makes the comparison take the same time whatever the lengths.
 *
 * OpenSSL's error queue is emptied after a failure: an error left there would be taken for one of
 * the next TLS call.
 */
#include "wire/signer.h"

#include <assert.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "wire/digest.h"

enum { RSA_BITS_MIN = 2048 };

struct signer_key {
    enum sign_algorithm algorithm;
    bool can_sign;
    EVP_MAC_CTX *mac;                   /* HMAC: keyed */
    EVP_PKEY *pkey;                     /* Ed25519, ECDSA, RSA */
    EVP_MD_CTX *pkey_md;                /* reused for every call */
    uint8_t token[DIGEST_SHA256_BYTES]; /* of a token */
    struct digest digest;               /* the same */
};

static const struct {
    const char *name;
    const char *digest; /* NULL: none that we name to OpenSSL */
    size_t bytes;       /* 0: it differs */
} algorithms[SIGN_ALGORITHM_COUNT] = {
    [SIGN_HMAC_SHA1] = {"hmac-sha1", "SHA1", 20},
    [SIGN_HMAC_SHA256] = {"hmac-sha256", "SHA256", 32},
    [SIGN_HMAC_SHA512] = {"hmac-sha512", "SHA512", 64},
    [SIGN_ED25519] = {"ed25519", NULL, 64},
    [SIGN_ECDSA_P256_SHA256] = {"ecdsa-p256-sha256", "SHA256", 0},
    [SIGN_RSA_SHA256] = {"rsa-sha256", "SHA256", 0},
    [SIGN_TOKEN] = {"token", NULL, 0},
};

const char *sign_algorithm_name(enum sign_algorithm algorithm)
{
    return algorithms[algorithm].name;
}

size_t sign_algorithm_bytes(enum sign_algorithm algorithm)
{
    return algorithms[algorithm].bytes;
}

bool sign_algorithm_is_public(enum sign_algorithm algorithm)
{
    return algorithm == SIGN_ED25519 || algorithm == SIGN_ECDSA_P256_SHA256 ||
           algorithm == SIGN_RSA_SHA256;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static const unsigned char *bytes_of(struct slice slice)
{
    return (const unsigned char *)slice.ptr;
}

static enum status mac_new(struct signer_key *key, struct slice raw_key)
{
    if (raw_key.len == 0)
        return ST_RANGE;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    key->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context keeps it */
    if (!key->mac)
        return ST_NOMEM;
    /* OSSL_PARAM is not const, but a digest's name is only read. */
    char digest[8];
    size_t len = strlen(algorithms[key->algorithm].digest);
    assert(len < sizeof(digest));
    memcpy(digest, algorithms[key->algorithm].digest, len + 1);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_init(key->mac, bytes_of(raw_key), raw_key.len, params) == 1 ? ST_OK : ST_NOMEM;
}

static enum status pair_new(struct signer_key *key, struct slice raw_key)
{
    if (raw_key.len != SIGNER_ED25519_SEED && raw_key.len != SIGNER_ED25519_PAIR)
        return ST_RANGE;
    key->pkey_md = EVP_MD_CTX_new();
    key->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes_of(raw_key),
                                             SIGNER_ED25519_SEED);
    if (!key->pkey || !key->pkey_md)
        return ST_NOMEM;
    if (raw_key.len == SIGNER_ED25519_SEED)
        return ST_OK;
    /* With another's public half, all who got that half would refuse what this seed signs. */
    uint8_t public[SIGNER_ED25519_PUBLIC];
    enum status status = signer_key_public(key, public);
    if (status == ST_OK && memcmp(public, raw_key.ptr + SIGNER_ED25519_SEED, sizeof(public)) != 0)
        status = ST_RANGE;
    return status;
}

static enum status token_new(struct signer_key *key, struct slice raw_key)
{
    return raw_key.len > 0 ? digest_sha256(&key->digest, &raw_key, 1, key->token) : ST_RANGE;
}

/* A key of another kind, of another curve or too short a one is not what the scheme asks for. */
static bool spki_fits(const struct signer_key *key)
{
    char group[32];
    size_t len;
    if (key->algorithm == SIGN_RSA_SHA256)
        return EVP_PKEY_is_a(key->pkey, "RSA") && EVP_PKEY_get_bits(key->pkey) >= RSA_BITS_MIN &&
               EVP_PKEY_get_size(key->pkey) <= SIGNER_VERIFY_MAX;
    return EVP_PKEY_is_a(key->pkey, "EC") &&
           EVP_PKEY_get_group_name(key->pkey, group, sizeof(group), &len) == 1 &&
           slice_eq(slice_of(group, len), SLICE("prime256v1"));
}

/* One key has one text: OpenSSL reads some that it would not write. */
static bool spki_is_canonical(EVP_PKEY *pkey, struct slice der)
{
    unsigned char *written = NULL;
    int len = i2d_PUBKEY(pkey, &written);
    bool same = len >= 0 && slice_eq(slice_of(written, (size_t)len), der);
    OPENSSL_free(written);
    return same;
}

static enum status spki_new(struct signer_key *key, struct slice der)
{
    const unsigned char *at = bytes_of(der);
    key->pkey_md = EVP_MD_CTX_new();
    if (!key->pkey_md)
        return ST_NOMEM;
    key->pkey = der.len > 0 && der.len <= LONG_MAX ? d2i_PUBKEY(NULL, &at, (long)der.len) : NULL;
    return key->pkey && spki_is_canonical(key->pkey, der) && spki_fits(key) ? ST_OK : ST_RANGE;
}

static enum status public_new(struct signer_key *key, struct slice raw_public)
{
    if (raw_public.len != SIGNER_ED25519_PUBLIC)
        return ST_RANGE;
    key->pkey_md = EVP_MD_CTX_new();
    key->pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes_of(raw_public), raw_public.len);
    return key->pkey && key->pkey_md ? ST_OK : ST_NOMEM;
}

/* Makes a key by one of the functions above. */
static enum status key_make(enum sign_algorithm algorithm, bool can_sign, struct slice raw,
                            enum status (*fill)(struct signer_key *, struct slice),
                            struct signer_key **out)
{
    *out = NULL;
    struct signer_key *key = calloc(1, sizeof(*key));
    if (!key)
        return ST_NOMEM;
    key->algorithm = algorithm;
    key->can_sign = can_sign;
    enum status status = fill(key, raw);
    if (status != ST_OK) {
        signer_key_free(key);
        ERR_clear_error();
        return status;
    }
    *out = key;
    return ST_OK;
}

enum status signer_key_new(enum sign_algorithm algorithm, struct slice raw_key,
                           struct signer_key **out)
{
    *out = NULL;
    if (algorithm == SIGN_TOKEN)
        return key_make(algorithm, false, raw_key, token_new, out);
    if (algorithm == SIGN_ED25519)
        return key_make(algorithm, true, raw_key, pair_new, out);
    if (sign_algorithm_is_public(algorithm))
        return ST_UNSUPPORTED;
    return key_make(algorithm, true, raw_key, mac_new, out);
}

enum status signer_key_new_public(enum sign_algorithm algorithm, struct slice raw_public,
                                  struct signer_key **out)
{
    *out = NULL;
    if (!sign_algorithm_is_public(algorithm))
        return ST_UNSUPPORTED;
    return key_make(algorithm, false, raw_public, algorithm == SIGN_ED25519 ? public_new : spki_new,
                    out);
}

void signer_key_free(struct signer_key *key)
{
    if (!key)
        return;
    /* Both libraries' functions overwrite the key they hold. */
    EVP_MAC_CTX_free(key->mac);
    EVP_MD_CTX_free(key->pkey_md);
    EVP_PKEY_free(key->pkey);
    digest_free(&key->digest);
    OPENSSL_cleanse(key, sizeof(*key));
    free(key);
}

enum sign_algorithm signer_key_algorithm(const struct signer_key *key)
{
    return key->algorithm;
}

bool signer_key_can_sign(const struct signer_key *key)
{
    return key->can_sign;
}

enum status signer_key_public(const struct signer_key *key, uint8_t out[SIGNER_ED25519_PUBLIC])
{
    size_t len = SIGNER_ED25519_PUBLIC;
    if (key->algorithm != SIGN_ED25519)
        return ST_UNSUPPORTED;
    return EVP_PKEY_get_raw_public_key(key->pkey, out, &len) == 1 ? ST_OK : ST_NOMEM;
}

/* ---- HMAC ------------------------------------------------------------------------------------ */

static enum status mac_sign(struct signer_key *key, const struct slice *parts, size_t part_count,
                            uint8_t *out, size_t *out_len)
{
    bool good = EVP_MAC_init(key->mac, NULL, 0, NULL) == 1;
    for (size_t i = 0; i < part_count && good; i++)
        good = EVP_MAC_update(key->mac, bytes_of(parts[i]), parts[i].len) == 1;
    good = good && EVP_MAC_final(key->mac, out, out_len, SIGNER_SIGNATURE_MAX) == 1;
    return good ? ST_OK : ST_NOMEM;
}

static bool mac_verify_any(struct signer_key *key, const struct slice *parts, size_t part_count,
                           const struct slice *signatures, size_t signature_count)
{
    uint8_t expected[SIGNER_SIGNATURE_MAX];
    size_t len;
    if (mac_sign(key, parts, part_count, expected, &len) != ST_OK)
        return false;
    bool found = false;
    for (size_t i = 0; i < signature_count; i++) {
        bool same =
            signatures[i].len == len && CRYPTO_memcmp(signatures[i].ptr, expected, len) == 0;
        found = found || same;
    }
    OPENSSL_cleanse(expected, sizeof(expected));
    return found;
}

/* ---- Ed25519 --------------------------------------------------------------------------------- */

/* The parts as one text. *copy is to be freed by the caller; it is NULL when there was nothing to
 * put together. False: out of memory. */
static bool join(const struct slice *parts, size_t part_count, struct slice *text, char **copy)
{
    *copy = NULL;
    *text = part_count > 0 ? parts[0] : SLICE_NULL;
    if (part_count <= 1)
        return true;
    size_t len = 0;
    for (size_t i = 0; i < part_count; i++)
        len += parts[i].len;
    char *at = *copy = malloc(len > 0 ? len : 1);
    if (!at)
        return false;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].len > 0)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    *text = slice_of(*copy, len);
    return true;
}

static enum status pair_sign(struct signer_key *key, const struct slice *parts, size_t part_count,
                             uint8_t *out, size_t *out_len)
{
    struct slice text;
    char *copy;
    *out_len = SIGNER_SIGNATURE_MAX;
    if (!join(parts, part_count, &text, &copy))
        return ST_NOMEM;
    bool good = EVP_MD_CTX_reset(key->pkey_md) == 1 &&
                EVP_DigestSignInit(key->pkey_md, NULL, NULL, NULL, key->pkey) == 1 &&
                EVP_DigestSign(key->pkey_md, out, out_len, bytes_of(text), text.len) == 1;
    free(copy);
    return good ? ST_OK : ST_NOMEM;
}

static bool pair_verify_any(struct signer_key *key, const struct slice *parts, size_t part_count,
                            const struct slice *signatures, size_t signature_count)
{
    struct slice text;
    char *copy;
    if (!join(parts, part_count, &text, &copy))
        return false;
    bool found = false;
    for (size_t i = 0; i < signature_count && !found; i++)
        found = EVP_MD_CTX_reset(key->pkey_md) == 1 &&
                EVP_DigestVerifyInit(key->pkey_md, NULL, NULL, NULL, key->pkey) == 1 &&
                EVP_DigestVerify(key->pkey_md, bytes_of(signatures[i]), signatures[i].len,
                                 bytes_of(text), text.len) == 1;
    free(copy);
    return found;
}

/* ---- ECDSA and RSA --------------------------------------------------------------------------- */

static bool spki_verify(struct signer_key *key, const struct slice *parts, size_t part_count,
                        struct slice signature)
{
    bool good = EVP_MD_CTX_reset(key->pkey_md) == 1 &&
                EVP_DigestVerifyInit_ex(key->pkey_md, NULL, algorithms[key->algorithm].digest, NULL,
                                        NULL, key->pkey, NULL) == 1;
    for (size_t i = 0; i < part_count && good; i++)
        good = EVP_DigestVerifyUpdate(key->pkey_md, parts[i].ptr, parts[i].len) == 1;
    return good && EVP_DigestVerifyFinal(key->pkey_md, bytes_of(signature), signature.len) == 1;
}

static bool spki_verify_any(struct signer_key *key, const struct slice *parts, size_t part_count,
                            const struct slice *signatures, size_t signature_count)
{
    bool found = false;
    for (size_t i = 0; i < signature_count && !found; i++)
        found = spki_verify(key, parts, part_count, signatures[i]);
    return found;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

static bool token_verify_any(struct signer_key *key, const struct slice *tokens, size_t count)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        uint8_t digest[DIGEST_SHA256_BYTES];
        bool same = digest_sha256(&key->digest, &tokens[i], 1, digest) == ST_OK &&
                    CRYPTO_memcmp(digest, key->token, sizeof(digest)) == 0;
        found = found || same;
    }
    return found;
}

/* ---- Any of them
 * ---------------------------------------------------------------------------------- */

enum status signer_sign(struct signer_key *key, const struct slice *parts, size_t part_count,
                        uint8_t *out, size_t *out_len)
{
    enum status status = ST_UNSUPPORTED;
    if (key->mac)
        status = mac_sign(key, parts, part_count, out, out_len);
    else if (key->can_sign)
        status = pair_sign(key, parts, part_count, out, out_len);
    if (status != ST_OK)
        ERR_clear_error();
    return status;
}

bool signer_verify_any(struct signer_key *key, const struct slice *parts, size_t part_count,
                       const struct slice *signatures, size_t signature_count)
{
    bool found;
    if (key->mac)
        found = mac_verify_any(key, parts, part_count, signatures, signature_count);
    else if (key->algorithm == SIGN_TOKEN)
        found = token_verify_any(key, signatures, signature_count);
    else if (key->algorithm == SIGN_ED25519)
        found = pair_verify_any(key, parts, part_count, signatures, signature_count);
    else
        found = spki_verify_any(key, parts, part_count, signatures, signature_count);
    if (!found)
        ERR_clear_error();
    return found;
}

bool signer_verify(struct signer_key *key, const struct slice *parts, size_t part_count,
                   struct slice signature_bytes)
{
    return signer_verify_any(key, parts, part_count, &signature_bytes, 1);
}
