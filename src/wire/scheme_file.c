/* scheme_file.c - reads the description of a scheme.
 *
 * One table of rules for each kind of mapping; what a value needs beyond its form is checked where
 * it is taken, what needs the whole scheme at the end. Last of all the scheme has to verify what it
 * signs: that finds every description in which a separator or the text between two placeholders can
 * also be part of a value, without a rule for each.
 */
#include "wire/scheme_file.h"

#include <stdlib.h>

#include "base/ascii.h"
#include "base/parse.h"
#include "wire/scheme_private.h"
#include "wire/yaml_walk.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The walk's arg. */
struct reading {
    struct scheme *scheme;
    int headers_line;
    int signed_line;
};

static struct reading *reading_of(struct yaml_walk *walk)
{
    return walk->arg;
}

/* ---- Templates ------------------------------------------------------------------------------- */

enum {
    HEADER_FIELDS = FIELD_BIT(FIELD_ID) | FIELD_BIT(FIELD_TYPE) | FIELD_BIT(FIELD_TIMESTAMP) |
                    FIELD_BIT(FIELD_EVENT_TIMESTAMP) | FIELD_BIT(FIELD_VERSION) |
                    FIELD_BIT(FIELD_SOURCE) | FIELD_BIT(FIELD_SIGNATURE),
    /* Not {version} and {source}, which an event need not have, and not {data}, which a receiver
     * cannot tell from the body. */
    SIGNED_FIELDS = FIELD_BIT(FIELD_ID) | FIELD_BIT(FIELD_TYPE) | FIELD_BIT(FIELD_TIMESTAMP) |
                    FIELD_BIT(FIELD_EVENT_TIMESTAMP) | FIELD_BIT(FIELD_BODY),
    BODY_FIELDS = FIELD_BIT(FIELD_ID) | FIELD_BIT(FIELD_TYPE) | FIELD_BIT(FIELD_EVENT_TIMESTAMP) |
                  FIELD_BIT(FIELD_VERSION) | FIELD_BIT(FIELD_SOURCE) | FIELD_BIT(FIELD_DATA),
};

static enum status take_template(struct yaml_walk *walk, struct yaml_node_s *node,
                                 struct slice text, unsigned allowed, struct template *out)
{
    const char *what;
    struct slice at;
    if (template_compile(out, text, allowed, &what, &at) == ST_OK)
        return ST_OK;
    return yaml_wrong(walk, yaml_line(node), "%s: %.*s", what, SLICE_ARGS(at));
}

/* ---- headers: [{name, value}, …] ------------------------------------------------------------ */

/* A token of RFC 9110 section 5.6.2. */
static enum status take_header_name(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_header *header = into;
    struct slice name = yaml_scalar(node);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!ascii_is_alnum(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return yaml_wrong(walk, yaml_line(node), "this cannot be a header's name");
    }
    if (name.len == 0)
        return yaml_wrong(walk, yaml_line(node), "a header's name is expected");
    if (scheme_owns_header(reading_of(walk)->scheme, name))
        return yaml_wrong(walk, yaml_line(node), "this header is described twice");
    return yaml_text(walk, node, &header->name);
}

static enum status take_header_value(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_header *header = into;
    enum status status = yaml_text_line(walk, node, &header->text);
    if (status == ST_OK)
        status = take_template(walk, node, header->text, HEADER_FIELDS, &header->value);
    if (status == ST_OK && !template_matchable(&header->value))
        status = yaml_wrong(
            walk, yaml_line(node),
            "placeholders side by side or repeated: a receiver could not tell them apart");
    return status;
}

static enum status take_header(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"name", true, take_header_name},
        {"value", true, take_header_value},
    };
    struct scheme *scheme = into;
    if (scheme->header_count == SCHEME_HEADERS_MAX)
        return yaml_wrong(walk, yaml_line(node), "more than %d headers", SCHEME_HEADERS_MAX);
    struct scheme_header *header = &scheme->headers[scheme->header_count];
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), header);
    if (status == ST_OK)
        scheme->header_count++;
    return status;
}

static enum status take_headers(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    reading_of(walk)->headers_line = yaml_line(node);
    return yaml_list(walk, node, "a list of headers", take_header, into);
}

/* ---- signatures: [{algorithm, prefix, key: {…}}, …] ----------------------------------------- */

static const char *const format_words[] = {
    [FORMAT_RAW] = "raw", [FORMAT_HEX] = "hex", [FORMAT_BASE64] = "base64"};

static enum status take_algorithm(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_signature *signature = into;
    const char *words[SIGN_ALGORITHM_COUNT];
    size_t index = 0;
    for (size_t i = 0; i < COUNT(words); i++)
        words[i] = sign_algorithm_name((enum sign_algorithm)i);
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
    signature->algorithm = (enum sign_algorithm)index;
    if (status == ST_OK && scheme_signature_of(reading_of(walk)->scheme, signature->algorithm))
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

static enum status check_hmac_key(struct yaml_walk *walk, int line,
                                  const struct scheme_signature *signature)
{
    if (signature->public_prefix.ptr)
        return yaml_wrong(walk, line, "only ed25519 has public keys");
    /* A generated raw secret is written as digits, two for a byte. */
    uint64_t made = signature->key_bytes_new * (signature->key_format == FORMAT_RAW ? 2 : 1);
    if (made >= signature->key_bytes_min && made <= signature->key_bytes_max)
        return ST_OK;
    return yaml_wrong(walk, line,
                      "a generated key would have %llu bytes, but %llu to %llu are allowed",
                      (unsigned long long)made, (unsigned long long)signature->key_bytes_min,
                      (unsigned long long)signature->key_bytes_max);
}

/* What the members of one signature ask of each other, and of the signatures before it. */
static enum status check_signature(struct yaml_walk *walk, int line, const struct scheme *scheme,
                                   const struct scheme_signature *signature)
{
    bool raw = signature->key_format == FORMAT_RAW;
    if (raw && signature->key_prefix.len > 0)
        return yaml_wrong(walk, line,
                          "a raw key cannot have a prefix: it would be part of the key");
    for (size_t i = 0; i < scheme->signature_count; i++)
        if (slice_eq(scheme->signatures[i].key_prefix, signature->key_prefix))
            return yaml_wrong(walk, line, "keys of two algorithms must differ in their prefix");
    if (signature->public_prefix.ptr && slice_eq(signature->public_prefix, signature->key_prefix))
        return yaml_wrong(walk, line, "public and secret keys must differ in their prefix");
    if (signature->algorithm != SIGN_ED25519)
        return check_hmac_key(walk, line, signature);
    return raw ? yaml_wrong(walk, line, "an ed25519 key cannot be raw") : ST_OK;
}

static enum status take_signature(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"algorithm", true, take_algorithm},
        {"prefix", false, take_prefix},
        {"key", true, take_key},
    };
    struct scheme *scheme = into;
    struct scheme_signature signature = {
        .prefix = SLICE(""),
        .key_prefix = SLICE(""),
        .key_bytes_min = 16,
        .key_bytes_max = SCHEME_KEY_BYTES_MAX,
        .key_bytes_new = 32,
    };
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), &signature);
    if (status == ST_OK)
        status = check_signature(walk, yaml_line(node), scheme, &signature);
    /* Each algorithm is there once, so there is room. */
    if (status == ST_OK)
        scheme->signatures[scheme->signature_count++] = signature;
    return status;
}

static enum status take_signatures(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    enum status status = yaml_list(walk, node, "a list of signatures", take_signature, into);
    if (status == ST_OK && scheme->signature_count == 0)
        status = yaml_wrong(walk, yaml_line(node), "a list of signatures is expected");
    return status;
}

/* ---- The scheme ------------------------------------------------------------------------------ */

static enum status take_name(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    struct slice name = yaml_scalar(node);
    bool good = name.len > 0 && name.len <= 64;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-');
    }
    if (!good)
        return yaml_wrong(walk, yaml_line(node),
                          "a name of 1 to 64 of a-z, 0-9, _ and - is expected");
    return yaml_text(walk, node, &scheme->name);
}

static enum status take_description(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    return yaml_text_line(walk, node, &scheme->description);
}

static enum status take_signed(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    reading_of(walk)->signed_line = yaml_line(node);
    enum status status = yaml_text(walk, node, &scheme->signed_text);
    if (status == ST_OK)
        status =
            take_template(walk, node, scheme->signed_text, SIGNED_FIELDS, &scheme->signed_value);
    if (status == ST_OK && !(scheme->signed_value.fields & FIELD_BIT(FIELD_BODY)))
        status = yaml_wrong(walk, yaml_line(node), "the signed text must contain {body}");
    return status;
}

static enum status take_encoding(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    size_t index = 0;
    enum status status = yaml_word(walk, node, format_words + FORMAT_HEX, 2, &index);
    scheme->encoding = (enum text_format)(FORMAT_HEX + index);
    return status;
}

static enum status take_separator(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    enum status status = yaml_text_line(walk, node, &scheme->separator);
    if (status == ST_OK && scheme->separator.len == 0)
        status = yaml_wrong(walk, yaml_line(node), "a separator cannot be empty");
    return status;
}

static enum status take_timestamp(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const char *const words[] = {"s", "ms"};
    struct scheme *scheme = into;
    size_t index = 0;
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
    scheme->timestamp_in_ms = index == 1;
    return status;
}

static enum status take_tolerance(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    struct slice text = yaml_scalar(node);
    uint64_t day_ms = UINT64_C(24) * 60 * 60 * 1000;
    if (!text.ptr || parse_duration_ms(text, &scheme->tolerance_ms) != ST_OK ||
        scheme->tolerance_ms < 1000 || scheme->tolerance_ms > day_ms)
        return yaml_wrong(walk, yaml_line(node), "a duration from 1s to 24h is expected");
    return ST_OK;
}

static enum status take_body(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    enum status status = yaml_text(walk, node, &scheme->body_text);
    if (status == ST_OK)
        status = take_template(walk, node, scheme->body_text, BODY_FIELDS, &scheme->body);
    if (status == ST_OK && !(scheme->body.fields & FIELD_BIT(FIELD_DATA)))
        status = yaml_wrong(walk, yaml_line(node), "the body must contain {data}");
    for (size_t i = 1; status == ST_OK && i < scheme->body.count; i++)
        if (scheme->body.parts[i].field != FIELD_LITERAL &&
            slice_ends(scheme->body.parts[i - 1].literal, SLICE("\"")))
            status = yaml_wrong(walk, yaml_line(node),
                                "placeholders are inserted as JSON and need no quotes around them");
    return status;
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* What headers and signed text ask of each other: a receiver must find all that was signed. */
static enum status check_headers(struct yaml_walk *walk, struct scheme *scheme)
{
    unsigned carried = 0;
    size_t with_signature = 0;
    for (size_t i = 0; i < scheme->header_count; i++) {
        carried |= scheme->headers[i].value.fields;
        with_signature += (scheme->headers[i].value.fields & FIELD_BIT(FIELD_SIGNATURE)) != 0;
    }
    if (with_signature != 1)
        return yaml_wrong(walk, reading_of(walk)->headers_line,
                          "exactly one header must contain {signature}");
    unsigned needed = scheme->signed_value.fields & ~FIELD_BIT(FIELD_BODY);
    if (needed & ~carried)
        return yaml_wrong(walk, reading_of(walk)->signed_line,
                          "the signed text uses a placeholder that no header carries");
    scheme->header_fields = carried;
    scheme->received_fields = needed | FIELD_BIT(FIELD_SIGNATURE);
    return ST_OK;
}

static enum status take_scheme(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"name", true, take_name},
        {"description", false, take_description},
        {"headers", true, take_headers},
        {"timestamp", false, take_timestamp},
        {"tolerance", false, take_tolerance},
        {"signed", true, take_signed},
        {"encoding", true, take_encoding},
        {"separator", false, take_separator},
        {"signatures", true, take_signatures},
        {"body", true, take_body},
    };
    struct scheme *scheme = into;
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), scheme);
    if (status == ST_OK)
        status = check_headers(walk, scheme);
    if (status != ST_OK)
        return status;
    scheme->secret_rule = scheme->strings.ptr + scheme->strings.len;
    scheme_secret_rule(scheme, &scheme->strings);
    buf_add_char(&scheme->strings, '\0');
    status = buf_status(&scheme->strings);
    if (status == ST_OK)
        status = scheme_rehearse(scheme);
    if (status == ST_RANGE)
        status = yaml_wrong(walk, reading_of(walk)->headers_line,
                            "a receiver could not find the parts of these headers: a separator or "
                            "the text between placeholders may also be part of a value");
    return status;
}

/* An empty scheme with room for all strings of a file of that length: an escape of two characters
 * can stand for three bytes, each string gets a NUL, and the rule on secrets has its share. */
static struct scheme *scheme_new(size_t file_len)
{
    size_t room = 3 * file_len + 1024;
    struct scheme *scheme = calloc(1, sizeof(*scheme));
    if (!scheme)
        return NULL;
    buf_init(&scheme->strings, room);
    scheme->description = SLICE("");
    scheme->tolerance_ms = 300 * 1000; /* as all reference libraries of Standard Webhooks */
    if (buf_reserve(&scheme->strings, room))
        return scheme;
    scheme_free(scheme);
    return NULL;
}

enum status scheme_file_parse(struct slice text, const char *file, struct scheme **out, char *error,
                              size_t error_size)
{
    struct yaml_walk walk = {.file = file, .error = error, .error_size = error_size};
    *out = NULL;
    if (text.len > SCHEME_FILE_BYTES_MAX) {
        yaml_wrong(&walk, 1, "longer than %d bytes", SCHEME_FILE_BYTES_MAX);
        return ST_LIMIT;
    }
    struct reading reading = {.scheme = scheme_new(text.len)};
    if (!reading.scheme)
        return ST_NOMEM;
    walk.strings = &reading.scheme->strings;
    walk.arg = &reading;
    enum status status = yaml_walk(&walk, text, take_scheme, reading.scheme);
    if (status != ST_OK) {
        scheme_free(reading.scheme);
        return status;
    }
    *out = reading.scheme;
    return ST_OK;
}
