/* scheme_secret.c - secrets as people hold them: prefix, format, length.
 *
 * A text is first matched with one of the scheme's algorithms by its prefix, then decoded and
 * measured. Decoded keys live on the stack for as long as they are needed and are overwritten.
 */
#include "base/entropy.h"
#include "wire/scheme_private.h"

/* A secret's text taken apart. */
struct secret {
    const struct scheme_signature *signature;
    bool public; /* the public half of a pair */
    uint8_t bytes[SCHEME_KEY_BYTES_MAX];
    size_t len;
};

static const char public_reason[] = "this is a public key, which can verify but not sign";
static const char pair_reason[] = "the public half of this key does not belong to its secret half";

/* ---- The rule -------------------------------------------------------------------------------- */

static void rule_of_pair(const struct scheme_signature *signature, struct buf *text)
{
    const char *format = signature->key_format == FORMAT_HEX ? "hexadecimal" : "base64";
    buf_addf(text, "%s of an Ed25519 seed (%d bytes) or of seed and public key (%d bytes)", format,
             SIGNER_ED25519_SEED, SIGNER_ED25519_PAIR);
}

static void rule_of_public(const struct scheme_signature *signature, struct buf *text)
{
    const char *format = signature->key_format == FORMAT_HEX ? "hexadecimal" : "base64";
    if (signature->key_format == FORMAT_SPKI)
        buf_addf(text, "an %s public key, as PEM or the base64 in it",
                 sign_algorithm_name(signature->algorithm));
    else
        buf_addf(text, "%s of an Ed25519 public key (%d bytes)", format, SIGNER_ED25519_PUBLIC);
}

static void rule_of_bytes(const struct scheme_signature *signature, struct buf *text)
{
    static const char *const formats[] = {[FORMAT_RAW] = "text",
                                          [FORMAT_HEX] = "hexadecimal digits",
                                          [FORMAT_BASE64] = "base64",
                                          [FORMAT_BASE64URL] = "base64url",
                                          [FORMAT_SPKI] = "base64"};
    buf_addf(text, "%s of %llu to %llu bytes", formats[signature->key_format],
             (unsigned long long)signature->key_bytes_min,
             (unsigned long long)signature->key_bytes_max);
}

void scheme_secret_rule(const struct scheme *scheme, struct buf *text)
{
    buf_add_str(text, "a secret is ");
    for (size_t i = 0; i < scheme->signature_count; i++) {
        const struct scheme_signature *signature = &scheme->signatures[i];
        buf_add_str(text, i > 0 ? ", or " : "");
        struct slice prefix =
            signature->key_prefix.ptr ? signature->key_prefix : signature->public_prefix;
        if (prefix.len > 0)
            buf_addf(text, "%s followed by ", prefix.ptr);
        if (!signature->key_prefix.ptr)
            rule_of_public(signature, text);
        else if (signature->algorithm == SIGN_ED25519)
            rule_of_pair(signature, text);
        else if (signature->basic)
            buf_add_str(text, "user:password");
        else
            rule_of_bytes(signature, text);
    }
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The algorithm whose prefix the text has, a longer prefix before a shorter one; `prefix_len` and
 * `public` tell which. NULL: none. */
static const struct scheme_signature *
signature_match(const struct scheme *scheme, struct slice text, size_t *prefix_len, bool *public)
{
    const struct scheme_signature *found = NULL;
    *prefix_len = 0;
    for (size_t i = 0; i < scheme->signature_count; i++) {
        const struct scheme_signature *signature = &scheme->signatures[i];
        const struct slice prefixes[] = {signature->key_prefix, signature->public_prefix};
        for (size_t k = 0; k < 2; k++) {
            if (!prefixes[k].ptr || !slice_starts(text, prefixes[k]) ||
                (found && prefixes[k].len <= *prefix_len))
                continue;
            found = signature;
            *prefix_len = prefixes[k].len;
            *public = k == 1;
        }
    }
    return found;
}

/* False: not a secret (or public key) of this scheme. */
static bool secret_parse(const struct scheme *scheme, struct slice text, struct secret *secret)
{
    size_t prefix_len;
    secret->public = false;
    secret->signature = signature_match(scheme, text, &prefix_len, &secret->public);
    if (!secret->signature)
        return false;
    const struct scheme_signature *signature = secret->signature;
    if (scheme_decode(signature->key_format, slice_from(text, prefix_len), secret->bytes,
                      sizeof(secret->bytes), &secret->len) != ST_OK)
        return false;
    if (sign_algorithm_is_public(signature->algorithm))
        return true; /* the signer knows the lengths */
    return secret->len >= signature->key_bytes_min && secret->len <= signature->key_bytes_max;
}

static enum status key_make(const struct scheme *scheme, struct slice text, bool allow_public,
                            struct signer_key **key, const char **reason)
{
    struct secret secret;
    const char *ignored;
    if (!reason)
        reason = &ignored;
    *key = NULL;
    *reason = scheme->secret_rule;
    enum status status = ST_RANGE;
    if (secret_parse(scheme, text, &secret)) {
        struct slice raw = slice_of(secret.bytes, secret.len);
        if (!secret.public)
            status = signer_key_new(secret.signature->algorithm, raw, key);
        else if (allow_public)
            status = signer_key_new_public(secret.signature->algorithm, raw, key);
        if (secret.public && !allow_public)
            *reason = public_reason;
        else if (!secret.public && secret.signature->algorithm == SIGN_ED25519 &&
                 secret.len == SIGNER_ED25519_PAIR)
            *reason = pair_reason;
    }
    explicit_bzero(&secret, sizeof(secret));
    return status;
}

enum status scheme_secret_key(const struct scheme *scheme, struct slice text,
                              struct signer_key **key, const char **reason)
{
    return key_make(scheme, text, false, key, reason);
}

enum status scheme_verify_key(const struct scheme *scheme, struct slice text,
                              struct signer_key **key, const char **reason)
{
    return key_make(scheme, text, true, key, reason);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Appends an Ed25519 secret with its public half, which is computed here. */
static enum status pair_write(const struct scheme_signature *signature, const uint8_t *seed,
                              struct buf *text)
{
    uint8_t pair[SIGNER_ED25519_PAIR];
    struct signer_key *key;
    memcpy(pair, seed, SIGNER_ED25519_SEED);
    enum status status = signer_key_new(SIGN_ED25519, slice_of(seed, SIGNER_ED25519_SEED), &key);
    if (status == ST_OK)
        status = signer_key_public(key, pair + SIGNER_ED25519_SEED);
    if (status == ST_OK) {
        buf_add_slice(text, signature->key_prefix);
        scheme_encode(signature->key_format, slice_of(pair, sizeof(pair)), text);
        status = buf_status(text);
    }
    signer_key_free(key);
    explicit_bzero(pair, sizeof(pair));
    return status;
}

static enum status secret_new(const struct scheme_signature *signature, struct buf *text)
{
    uint8_t bytes[SCHEME_KEY_BYTES_MAX];
    if (!signature->key_prefix.ptr)
        return ST_UNSUPPORTED; /* somebody else has the secret half */
    enum status status = entropy_read(bytes, sizeof(bytes));
    if (status != ST_OK)
        return status;
    if (signature->algorithm == SIGN_ED25519) {
        status = pair_write(signature, bytes, text);
    } else {
        /* Raw keys are texts, so they get random digits instead of random bytes. */
        bool raw = signature->key_format == FORMAT_RAW;
        buf_add_slice(text, signature->key_prefix);
        scheme_encode(raw ? FORMAT_HEX : signature->key_format,
                      slice_of(bytes, signature->key_bytes_new), text);
        status = buf_status(text);
    }
    explicit_bzero(bytes, sizeof(bytes));
    return status;
}

enum status scheme_secret_generate(const struct scheme *scheme, struct buf *text)
{
    return scheme->signature_count > 0 ? secret_new(&scheme->signatures[0], text) : ST_UNSUPPORTED;
}

enum status scheme_secret_generate_for(const struct scheme *scheme, enum sign_algorithm algorithm,
                                       struct buf *text)
{
    const struct scheme_signature *signature = scheme_signature_of(scheme, algorithm);
    return signature ? secret_new(signature, text) : ST_UNSUPPORTED;
}

enum status scheme_secret_normalize(const struct scheme *scheme, struct slice text,
                                    struct buf *normal)
{
    struct secret secret;
    struct signer_key *key;
    enum status status = scheme_secret_key(scheme, text, &key, NULL);
    signer_key_free(key);
    if (status != ST_OK)
        return status;
    bool parsed = secret_parse(scheme, text, &secret);
    if (parsed && secret.signature->algorithm == SIGN_ED25519) {
        status = pair_write(secret.signature, secret.bytes, normal);
    } else {
        buf_add_slice(normal, text); /* the other formats are strict: one key has one text, */
        status = buf_status(normal); /* but for the case of hexadecimal digits */
    }
    explicit_bzero(&secret, sizeof(secret));
    return status;
}

enum status scheme_secret_public(const struct scheme *scheme, struct slice text,
                                 struct buf *public_text)
{
    uint8_t public[SIGNER_ED25519_PUBLIC];
    struct signer_key *key;
    enum status status = scheme_verify_key(scheme, text, &key, NULL);
    if (status != ST_OK)
        return status;
    const struct scheme_signature *signature =
        scheme_signature_of(scheme, signer_key_algorithm(key));
    status = signer_key_public(key, public);
    if (status == ST_OK && !(signature && signature->public_prefix.ptr))
        status = ST_UNSUPPORTED;
    if (status == ST_OK) {
        buf_add_slice(public_text, signature->public_prefix);
        scheme_encode(signature->key_format, slice_of(public, sizeof(public)), public_text);
        status = buf_status(public_text);
    }
    signer_key_free(key);
    return status;
}
