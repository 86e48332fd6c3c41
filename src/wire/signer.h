/* signer.h - keys that sign and verify. The only user of OpenSSL's signature functions.
 *
 * A key is made once and used for every delivery of its endpoint: its context stays keyed, which
 * makes an HMAC over 1 KiB cost little more than the digest itself. A key is for one thread
 * at a time; different keys are independent.
 */
#ifndef TROTLINE_WIRE_SIGNER_H
#define TROTLINE_WIRE_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

/* The first four sign and verify. ECDSA (P-256, DER) and RSA (PKCS #1 1.5, 2048 bits or more) only
 * verify, with a public key. A token is no signature: the secret itself comes with the request, and
 * is compared. */
enum sign_algorithm {
    SIGN_HMAC_SHA1,
    SIGN_HMAC_SHA256,
    SIGN_HMAC_SHA512,
    SIGN_ED25519,
    SIGN_ECDSA_P256_SHA256,
    SIGN_RSA_SHA256,
    SIGN_TOKEN,
};
enum { SIGN_ALGORITHM_COUNT = SIGN_TOKEN + 1 };

enum {
    SIGNER_SIGNATURE_MAX = 64, /* bytes of the longest signature that we make */
    SIGNER_VERIFY_MAX = 512, /* … and of the longest that we verify: RSA of 4096 bits, or a token */
    SIGNER_ED25519_SEED = 32,
    SIGNER_ED25519_PUBLIC = 32,
    SIGNER_ED25519_PAIR = 64 /* seed and public key, one behind the other */
};

struct signer_key;

/* "hmac-sha1", "hmac-sha256", "hmac-sha512", "ed25519", "ecdsa-p256-sha256", "rsa-sha256", "token".
 */
const char *sign_algorithm_name(enum sign_algorithm algorithm);

/* Bytes of a signature; 0 when that differs. */
size_t sign_algorithm_bytes(enum sign_algorithm algorithm);

/* True when it signs with one half of a pair and verifies with the other. */
bool sign_algorithm_is_public(enum sign_algorithm algorithm);

/* Makes a key of its raw bytes, which are copied: for HMAC and tokens one byte or more; for Ed25519
 * the seed (32 bytes, RFC 8032 section 5.1.5) or seed and public key (64). ST_RANGE: the length is
 * wrong, or the public half is not the seed's; ST_UNSUPPORTED: an algorithm that only verifies;
 * ST_NOMEM: out of memory, or OpenSSL failed. *out is then NULL. */
MUST_CHECK enum status signer_key_new(enum sign_algorithm algorithm, struct slice raw_key,
                                      struct signer_key **out);

/* A key that can only verify. For Ed25519 `raw_public` is its 32 bytes, for ECDSA and RSA the DER
 * of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). ST_UNSUPPORTED: an algorithm without public
 * keys; else as above. */
MUST_CHECK enum status signer_key_new_public(enum sign_algorithm algorithm, struct slice raw_public,
                                             struct signer_key **out);

/* Frees the key and overwrites what it held. Accepts NULL. */
void signer_key_free(struct signer_key *key);

enum sign_algorithm signer_key_algorithm(const struct signer_key *key);

/* False for a public key, and for a token. */
bool signer_key_can_sign(const struct signer_key *key);

/* The public half of an Ed25519 key. ST_UNSUPPORTED for other algorithms. */
MUST_CHECK enum status signer_key_public(const struct signer_key *key,
                                         uint8_t out[SIGNER_ED25519_PUBLIC]);

/* Signs the parts as if they were one text. HMAC reads them where they are; Ed25519 needs the text
 * twice and so copies it. `out` has room for SIGNER_SIGNATURE_MAX bytes. ST_UNSUPPORTED: a public
 * key; ST_NOMEM: out of memory, or OpenSSL failed. */
MUST_CHECK enum status signer_sign(struct signer_key *key, const struct slice *parts,
                                   size_t part_count, uint8_t *out, size_t *out_len);

/* True when `signature_bytes` is the signature of the parts. HMACs and tokens are compared in
 * constant time; for a token the parts do not matter.
 * False also when OpenSSL fails. */
bool signer_verify(struct signer_key *key, const struct slice *parts, size_t part_count,
                   struct slice signature_bytes);

/* The same for several signatures, of which one suffices: the HMAC is computed once. */
bool signer_verify_any(struct signer_key *key, const struct slice *parts, size_t part_count,
                       const struct slice *signatures, size_t signature_count);

#endif
