/* trotline/secret.h - secrets of a scheme: made, checked, and their public halves.
 *
 * A secret is a text in the scheme's form. Of "standard": "whsec_" and the base64 of 24 to 64 bytes
 * (https://www.standardwebhooks.com, "Signature scheme"); of "standard_v1a": "whsk_" and the base64
 * of an Ed25519 seed with its public key (RFC 8032 section 5.1.5), and "whpk_" for public keys.
 *
 * The functions overwrite the copies that they make. The caller's texts are the caller's to
 * overwrite (explicit_bzero(3)).
 */
#ifndef TROTLINE_SECRET_H
#define TROTLINE_SECRET_H

#include "trotline/scheme.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for any secret that is made here, with its NUL. */
#define TROTLINE_SECRET_BYTES 1024

/* Writes a new secret, made of the kernel's randomness, and a NUL. UNSUPPORTED: the scheme has no
 * secrets, or others make them; NO_RANDOMNESS; TOO_SMALL: `text_bytes` is less than what it takes,
 * for which TROTLINE_SECRET_BYTES always suffices; NO_MEMORY; INVALID_ARGUMENT. After a failure
 * `text` is empty (if it has room for that). */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_secret_generate(const struct trotline_scheme *scheme, char *text, size_t text_bytes);

/* Is that a secret with which webhooks of this scheme can be signed? INVALID_SECRET, and `error`
 * says how one looks; NO_MEMORY; INVALID_ARGUMENT. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_secret_check(const struct trotline_scheme *scheme, const char *secret,
                      struct trotline_error *error);

/* The same for verifying: a public key of the scheme will do. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_secret_check_verifying(const struct trotline_scheme *scheme, const char *secret,
                                struct trotline_error *error);

/* Writes the public key that belongs to an Ed25519 secret, for those who verify, and a NUL.
 * INVALID_SECRET; UNSUPPORTED: a secret without a public half, or a scheme without a form for it;
 * TOO_SMALL, NO_MEMORY and INVALID_ARGUMENT as above. */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_secret_public(const struct trotline_scheme *scheme, const char *secret, char *text,
                       size_t text_bytes);

#ifdef __cplusplus
}
#endif

#endif
