/* scheme_file_signatures.c - reads `signatures`: algorithms, prefixes, and how secrets are written.
 *
 * What the members ask of each other depends on whether the scheme sends, which is known only when
 * all of it has been read: scheme_check_signatures() comes last.
 */
#include "wire/scheme_file_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { KEY_BYTES_MIN_SENDING = 16, KEY_BYTES_MAX_DEFAULT = 256 };

/* ---- signatures: [{algorithm, prefix, key: {…}}, …] ----------------------------------------- */

static const char *const format_words[] = {[FORMAT_RAW] = "raw",
                                           [FORMAT_HEX] = "hex",
                                           [FORMAT_BASE64] = "base64",
                                           [FORMAT_BASE64URL] = "base64url",
                                           [FORMAT_SPKI] = "spki"};

/* Behind the names of algorithms that the signer knows. */
enum { WORD_BASIC = SIGN_ALGORITHM_COUNT, WORD_NONE, ALGORITHM_WORDS };

static enum status take_algorithm(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    struct scheme *scheme = scheme_reading(walk)->scheme;
    const char *words[ALGORITHM_WORDS] = {[WORD_BASIC] = "basic", [WORD_NONE] = "none"};
    size_t index = 0;
    for (size_t i = 0; i < SIGN_ALGORITHM_COUNT; i++)
        words[i] = sign_algorithm_name((enum sign_algorithm)i);
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
    if (status != ST_OK)
        return status;
    scheme->no_signature = scheme->no_signature || index == WORD_NONE;
    signature->basic = index == WORD_BASIC;
    signature->algorithm = index < SIGN_ALGORITHM_COUNT ? (enum sign_algorithm)index : SIGN_TOKEN;
    if (scheme_signature_of(scheme, signature->algorithm))
        status = yaml_wrong(walk, yaml_line(node), "this algorithm is described twice");
    return status;
}

static enum status take_prefix(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    return yaml_text_line(walk, node, &signature->prefix);
}

static enum status take_key_format(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    size_t index = 0;
    enum status status = yaml_word(walk, node, format_words, COUNT(format_words), &index);
    signature->key_format = (enum text_format)index;
    return status;
}

static enum status take_key_prefix(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    return yaml_text_line(walk, node, &signature->key_prefix);
}

static enum status take_public_prefix(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    return yaml_text_line(walk, node, &signature->public_prefix);
}

static enum status take_key_min(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    return yaml_number(walk, node, SCHEME_KEY_BYTES_MAX, &signature->key_bytes_min);
}

static enum status take_key_max(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    return yaml_number(walk, node, SCHEME_KEY_BYTES_MAX, &signature->key_bytes_max);
}

static enum status take_key_new(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    return yaml_number(walk, node, SCHEME_KEY_BYTES_MAX / 2, &signature->key_bytes_new);
}

static enum status take_key(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"format", true, take_key_format},
        {"prefix", false, take_key_prefix},
        {"public_prefix", false, take_public_prefix},
        {"min_bytes", false, take_key_min},
        {"max_bytes", false, take_key_max},
        {"generate_bytes", false, take_key_new},
    };
    return yaml_mapping(walk, node, rules, COUNT(rules), into);
}

static enum status take_signature(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"algorithm", true, take_algorithm},
        {"prefix", false, take_prefix},
        {"key", false, take_key},
    };
    struct scheme *scheme = into;
    struct scheme_signature signature = {
        .prefix = SLICE(""),
        .key_prefix = SLICE(""),
        .key_bytes_max = KEY_BYTES_MAX_DEFAULT,
        .key_bytes_new = 32,
    };
    struct scheme_reading *reading = scheme_reading(walk);
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), &signature);
    if (status != ST_OK)
        return status;
    /* Each algorithm is there once, so there is room. */
    reading->signature_lines[scheme->signature_count] = yaml_line(node);
    scheme->signatures[scheme->signature_count++] = signature;
    return ST_OK;
}

enum status scheme_take_signatures(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    enum status status = yaml_list(walk, node, "a list of signatures", take_signature, into);
    if (status == ST_OK && scheme->signature_count == 0)
        status = yaml_wrong(walk, yaml_line(node), "a list of signatures is expected");
    return status;
}

/* ---- What they ask of each other ------------------------------------------------------------- */

static enum status check_lengths(struct yaml_walk *walk, int line, const struct scheme *scheme,
                                 struct scheme_signature *signature)
{
    if (signature->public_prefix.ptr)
        return yaml_wrong(walk, line, "only ed25519 has public keys");
    if (signature->key_bytes_min == 0) /* who only receives takes the secrets that others make */
        signature->key_bytes_min = scheme->sends ? KEY_BYTES_MIN_SENDING : 1;
    if (signature->key_bytes_min > signature->key_bytes_max)
        return yaml_wrong(walk, line, "min_bytes is more than max_bytes");
    /* A generated raw secret is written as digits, two for a byte. */
    uint64_t made = signature->key_bytes_new * (signature->key_format == FORMAT_RAW ? 2 : 1);
    if (!scheme->sends || (made >= signature->key_bytes_min && made <= signature->key_bytes_max))
        return ST_OK;
    return yaml_wrong(walk, line,
                      "a generated key would have %llu bytes, but %llu to %llu are allowed",
                      (unsigned long long)made, (unsigned long long)signature->key_bytes_min,
                      (unsigned long long)signature->key_bytes_max);
}

static enum status check_format(struct yaml_walk *walk, int line,
                                const struct scheme_signature *signature)
{
    bool raw = signature->key_format == FORMAT_RAW;
    bool spki = signature->key_format == FORMAT_SPKI;
    enum sign_algorithm algorithm = signature->algorithm;
    if (raw && signature->key_prefix.len > 0)
        return yaml_wrong(walk, line,
                          "a raw key cannot have a prefix: it would be part of the key");
    if (algorithm == SIGN_ED25519 && raw)
        return yaml_wrong(walk, line, "an ed25519 key cannot be raw");
    if (spki != (algorithm == SIGN_ECDSA_P256_SHA256 || algorithm == SIGN_RSA_SHA256))
        return yaml_wrong(walk, line, "the key format spki is that of ecdsa and rsa keys");
    return ST_OK;
}

static struct slice any_prefix(const struct scheme_signature *signature)
{
    return signature->key_prefix.ptr ? signature->key_prefix : signature->public_prefix;
}

static enum status check_signature(struct yaml_walk *walk, int line, const struct scheme *scheme,
                                   struct scheme_signature *signature)
{
    bool public = sign_algorithm_is_public(signature->algorithm);
    enum status status = check_format(walk, line, signature);
    if (status != ST_OK)
        return status;
    if (scheme->sends && signature->algorithm > SIGN_ED25519)
        return yaml_wrong(walk, line, "deliveries are signed with hmac or ed25519");
    for (const struct scheme_signature *other = scheme->signatures; other < signature; other++)
        if (slice_eq(any_prefix(other), signature->key_prefix))
            return yaml_wrong(walk, line, "keys of two algorithms must differ in their prefix");
    if (signature->public_prefix.ptr && slice_eq(signature->public_prefix, signature->key_prefix))
        return yaml_wrong(walk, line, "public and secret keys must differ in their prefix");
    if (!public)
        return check_lengths(walk, line, scheme, signature);
    if (!scheme->sends && !signature->public_prefix.ptr) {
        signature->public_prefix = signature->key_prefix;
        signature->key_prefix = SLICE_NULL;
    }
    return ST_OK;
}

/* `none` stands alone; Basic is a token with a form that is laid down (RFC 7617). */
static enum status check_kinds(struct yaml_walk *walk, struct scheme *scheme)
{
    const struct scheme_reading *reading = scheme_reading(walk);
    int line = reading->signature_lines[0];
    struct scheme_signature *first = &scheme->signatures[0];
    if (scheme->no_signature && (scheme->signature_count > 1 || scheme->sends))
        return yaml_wrong(walk, line, "none stands alone, in a scheme that only receives");
    if (scheme->no_signature)
        scheme->signature_count = 0;
    bool token = scheme->signature_count == 1 && first->algorithm == SIGN_TOKEN;
    if (token && first->basic) {
        first->prefix = SLICE("Basic ");
        scheme->encoding = FORMAT_BASE64;
    } else if (!reading->encoding_line && !token && !scheme->no_signature) {
        return yaml_wrong(walk, line, "the key \"encoding\" is missing");
    }
    for (size_t i = 0; i < scheme->signature_count; i++)
        if (scheme->signatures[i].algorithm == SIGN_TOKEN && scheme->signature_count > 1)
            return yaml_wrong(walk, line, "a token or basic stands alone");
    return ST_OK;
}

enum status scheme_check_signatures(struct yaml_walk *walk, struct scheme *scheme)
{
    enum status status = check_kinds(walk, scheme);
    for (size_t i = 0; i < scheme->signature_count && status == ST_OK; i++)
        status = check_signature(walk, scheme_reading(walk)->signature_lines[i], scheme,
                                 &scheme->signatures[i]);
    return status;
}
