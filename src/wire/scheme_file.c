/* scheme_file.c - reads the description of a scheme.
 *
 * libyaml parses the text into a document; the document is walked along tables, one for each kind
 * of mapping, whose rows are a key and the function that takes its value. What needs the whole
 * scheme is checked at the end. Every error names the line of the node it is about, the first one
 * ends the reading.
 *
 * libcyaml, which fills structs by a schema, was tried first: its errors name the line of the event
 * before the wrong one, it cuts a string at a NUL without a word, and what a value means (a
 * template that does not compile, a header that is missing) it can no longer place.
 *
 * All strings of a scheme are copied into one buffer that is made large enough before and never
 * grows, so slices into it stay. An alias can repeat a string; when that fills the buffer it is an
 * error. Aliases cannot make the walk endless, since it goes only as deep as the tables do.
 */
#include "wire/scheme_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/parse.h"
#include "wire/scheme_private.h"

struct walk {
    yaml_document_t document;
    struct scheme *scheme;
    const char *file;
    char *error;
    size_t error_size;
    int headers_line;
    int signed_line;
};

/* Takes the value of one key. `into` is what the mapping describes: the scheme, a header, …. */
typedef enum status take_fn(struct walk *walk, yaml_node_t *node, void *into);

struct rule {
    const char *key;
    bool required;
    take_fn *take;
};

/* ---- Errors and nodes ------------------------------------------------------------------------ */

static int line_of(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

/* Writes the error; returns ST_SYNTAX so that a check can be one return. */
static enum status wrong(struct walk *walk, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum status wrong(struct walk *walk, int line, const char *format, ...)
{
    int len = snprintf(walk->error, walk->error_size, "%s:%d: ", walk->file, line);
    if (len < 0 || (size_t)len >= walk->error_size)
        return ST_SYNTAX;
    va_list args;
    va_start(args, format);
    vsnprintf(walk->error + len, walk->error_size - (size_t)len, format, args);
    va_end(args);
    return ST_SYNTAX;
}

static struct slice scalar(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return SLICE_NULL;
    return slice_of(node->data.scalar.value, node->data.scalar.length);
}

/* A string for the scheme to keep. */
static enum status take_text(struct walk *walk, yaml_node_t *node, void *into)
{
    struct slice text = scalar(node);
    struct slice *out = into;
    struct buf *strings = &walk->scheme->strings;
    if (!text.ptr)
        return wrong(walk, line_of(node), "a string is expected");
    if (memchr(text.ptr, '\0', text.len))
        return wrong(walk, line_of(node), "a string cannot hold a NUL");
    *out = slice_of(strings->ptr + strings->len, text.len);
    buf_add_slice(strings, text);
    buf_add_char(strings, '\0');
    if (buf_status(strings) != ST_OK)
        return wrong(walk, line_of(node), "the strings are too long");
    return ST_OK;
}

/* As take_text, of bytes that may stand in a header: printable ones. */
static enum status take_line(struct walk *walk, yaml_node_t *node, void *into)
{
    enum status status = take_text(walk, node, into);
    const struct slice *text = into;
    for (size_t i = 0; status == ST_OK && i < text->len; i++)
        if ((unsigned char)text->ptr[i] < 0x20 || text->ptr[i] == 0x7f)
            status = wrong(walk, line_of(node), "a control character in a string");
    return status;
}

static enum status take_number(struct walk *walk, yaml_node_t *node, uint64_t max, uint64_t *out)
{
    struct slice text = scalar(node);
    if (!text.ptr || parse_u64(text, out) != ST_OK || *out < 1 || *out > max)
        return wrong(walk, line_of(node), "a number from 1 to %llu is expected",
                     (unsigned long long)max);
    return ST_OK;
}

/* One of a list of words; *index gets its place. */
static enum status take_word(struct walk *walk, yaml_node_t *node, const char *const *words,
                             size_t count, size_t *index)
{
    struct slice text = scalar(node);
    for (size_t i = 0; text.ptr && i < count; i++) {
        if (slice_eq(text, slice_str(words[i]))) {
            *index = i;
            return ST_OK;
        }
    }
    char list[128] = "";
    for (size_t i = 0, len = 0; i < count && len < sizeof(list); i++)
        len +=
            (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "", words[i]);
    return wrong(walk, line_of(node), "one of these is expected: %s", list);
}

static enum status take_template(struct walk *walk, yaml_node_t *node, struct slice text,
                                 unsigned allowed, struct template *out)
{
    const char *what;
    struct slice at;
    if (template_compile(out, text, allowed, &what, &at) == ST_OK)
        return ST_OK;
    return wrong(walk, line_of(node), "%s: %.*s", what, SLICE_ARGS(at));
}

static enum status rule_find(struct walk *walk, yaml_node_t *key, const struct rule *rules,
                             size_t rule_count, unsigned *seen, size_t *index)
{
    struct slice name = scalar(key);
    for (size_t i = 0; name.ptr && i < rule_count; i++) {
        if (!slice_eq(name, slice_str(rules[i].key)))
            continue;
        if (*seen & 1U << i)
            return wrong(walk, line_of(key), "\"%s\" is here twice", rules[i].key);
        *seen |= 1U << i;
        *index = i;
        return ST_OK;
    }
    return wrong(walk, line_of(key), "unknown key \"%.*s\"", SLICE_ARGS(name));
}

static enum status take_mapping(struct walk *walk, yaml_node_t *node, const struct rule *rules,
                                size_t rule_count, void *into)
{
    unsigned seen = 0;
    if (node->type != YAML_MAPPING_NODE)
        return wrong(walk, line_of(node), "a mapping is expected");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(&walk->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(&walk->document, pair->value);
        size_t index = 0;
        enum status status = rule_find(walk, key, rules, rule_count, &seen, &index);
        if (status == ST_OK)
            status = rules[index].take(walk, value, into);
        if (status != ST_OK)
            return status;
    }
    for (size_t i = 0; i < rule_count; i++)
        if (rules[i].required && !(seen & 1U << i))
            return wrong(walk, line_of(node), "\"%s\" is missing", rules[i].key);
    return ST_OK;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- headers: [{name, value}, …] ---------------------------------------------------------------
 */

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

/* A token of RFC 9110 section 5.6.2. */
static enum status take_header_name(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_header *header = into;
    struct slice name = scalar(node);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c == '\0' || (!letter && !strchr("!#$%&'*+-.^_`|~", c)))
            return wrong(walk, line_of(node), "this cannot be a header's name");
    }
    if (name.len == 0)
        return wrong(walk, line_of(node), "a header's name is expected");
    if (scheme_owns_header(walk->scheme, name))
        return wrong(walk, line_of(node), "this header is described twice");
    return take_text(walk, node, &header->name);
}

static enum status take_header_value(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_header *header = into;
    enum status status = take_line(walk, node, &header->text);
    if (status == ST_OK)
        status = take_template(walk, node, header->text, HEADER_FIELDS, &header->value);
    if (status == ST_OK && !template_matchable(&header->value))
        status =
            wrong(walk, line_of(node),
                  "placeholders side by side or repeated: a receiver could not tell them apart");
    return status;
}

static enum status take_headers(struct walk *walk, yaml_node_t *node, void *into)
{
    static const struct rule rules[] = {
        {"name", true, take_header_name},
        {"value", true, take_header_value},
    };
    struct scheme *scheme = into;
    walk->headers_line = line_of(node);
    if (node->type != YAML_SEQUENCE_NODE)
        return wrong(walk, line_of(node), "a list of headers is expected");
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        yaml_node_t *entry = yaml_document_get_node(&walk->document, *item);
        if (scheme->header_count == SCHEME_HEADERS_MAX)
            return wrong(walk, line_of(entry), "more than %d headers", SCHEME_HEADERS_MAX);
        enum status status =
            take_mapping(walk, entry, rules, COUNT(rules), &scheme->headers[scheme->header_count]);
        if (status != ST_OK)
            return status;
        scheme->header_count++;
    }
    return ST_OK;
}

/* ---- signatures: [{algorithm, prefix, key: {…}}, …] ---------------------------------------------
 */

static const char *const format_words[] = {
    [FORMAT_RAW] = "raw", [FORMAT_HEX] = "hex", [FORMAT_BASE64] = "base64"};

static enum status take_algorithm(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    const char *words[SIGN_ALGORITHM_COUNT];
    for (size_t i = 0; i < COUNT(words); i++)
        words[i] = sign_algorithm_name((enum sign_algorithm)i);
    size_t index = 0;
    enum status status = take_word(walk, node, words, COUNT(words), &index);
    if (status != ST_OK)
        return status;
    signature->algorithm = (enum sign_algorithm)index;
    if (scheme_signature_of(walk->scheme, signature->algorithm))
        return wrong(walk, line_of(node), "this algorithm is described twice");
    return ST_OK;
}

static enum status take_prefix(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    return take_line(walk, node, &signature->prefix);
}

static enum status take_key_format(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    size_t index = 0;
    enum status status = take_word(walk, node, format_words, COUNT(format_words), &index);
    if (status == ST_OK)
        signature->key_format = (enum text_format)index;
    return status;
}

static enum status take_key_prefix(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    return take_line(walk, node, &signature->key_prefix);
}

static enum status take_public_prefix(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    return take_line(walk, node, &signature->public_prefix);
}

static enum status take_key_min(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    return take_number(walk, node, SCHEME_KEY_BYTES_MAX, &signature->key_bytes_min);
}

static enum status take_key_max(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    return take_number(walk, node, SCHEME_KEY_BYTES_MAX, &signature->key_bytes_max);
}

static enum status take_key_new(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme_signature *signature = into;
    return take_number(walk, node, SCHEME_KEY_BYTES_MAX / 2, &signature->key_bytes_new);
}

static enum status take_key(struct walk *walk, yaml_node_t *node, void *into)
{
    static const struct rule rules[] = {
        {"format", true, take_key_format},
        {"prefix", false, take_key_prefix},
        {"public_prefix", false, take_public_prefix},
        {"min_bytes", false, take_key_min},
        {"max_bytes", false, take_key_max},
        {"generate_bytes", false, take_key_new},
    };
    return take_mapping(walk, node, rules, COUNT(rules), into);
}

/* What the members of one signature ask of each other, and of the signatures before it. */
static enum status check_signature(struct walk *walk, int line,
                                   const struct scheme_signature *signature)
{
    bool raw = signature->key_format == FORMAT_RAW;
    if (raw && signature->key_prefix.len > 0)
        return wrong(walk, line, "a raw key cannot have a prefix: it would be part of the key");
    for (size_t i = 0; i < walk->scheme->signature_count; i++)
        if (slice_eq(walk->scheme->signatures[i].key_prefix, signature->key_prefix))
            return wrong(walk, line, "keys of two algorithms must differ in their prefix");
    if (signature->public_prefix.ptr && slice_eq(signature->public_prefix, signature->key_prefix))
        return wrong(walk, line, "public and secret keys must differ in their prefix");
    if (signature->algorithm == SIGN_ED25519)
        return raw ? wrong(walk, line, "an ed25519 key cannot be raw") : ST_OK;
    if (signature->public_prefix.ptr)
        return wrong(walk, line, "only ed25519 has public keys");
    /* A generated raw secret is written as digits, two for a byte. */
    uint64_t made = signature->key_bytes_new * (raw ? 2 : 1);
    if (made < signature->key_bytes_min || made > signature->key_bytes_max)
        return wrong(walk, line,
                     "a generated key would have %llu bytes, but %llu to %llu are allowed",
                     (unsigned long long)made, (unsigned long long)signature->key_bytes_min,
                     (unsigned long long)signature->key_bytes_max);
    return ST_OK;
}

static enum status take_signature(struct walk *walk, yaml_node_t *node)
{
    static const struct rule rules[] = {
        {"algorithm", true, take_algorithm},
        {"prefix", false, take_prefix},
        {"key", true, take_key},
    };
    struct scheme *scheme = walk->scheme;
    struct scheme_signature signature = {
        .prefix = SLICE(""),
        .key_prefix = SLICE(""),
        .key_bytes_min = 16,
        .key_bytes_max = SCHEME_KEY_BYTES_MAX,
        .key_bytes_new = 32,
    };
    enum status status = take_mapping(walk, node, rules, COUNT(rules), &signature);
    if (status == ST_OK)
        status = check_signature(walk, line_of(node), &signature);
    /* Each algorithm is there once, so there is room. */
    if (status == ST_OK)
        scheme->signatures[scheme->signature_count++] = signature;
    return status;
}

static enum status take_signatures(struct walk *walk, yaml_node_t *node, void *into)
{
    (void)into;
    enum status status = ST_OK;
    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top)
        return wrong(walk, line_of(node), "a list of signatures is expected");
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && status == ST_OK; item++)
        status = take_signature(walk, yaml_document_get_node(&walk->document, *item));
    return status;
}

/* ---- The scheme ------------------------------------------------------------------------------ */

static enum status take_name(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme *scheme = into;
    struct slice name = scalar(node);
    bool good = name.len > 0 && name.len <= 64;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-');
    }
    if (!good)
        return wrong(walk, line_of(node), "a name of 1 to 64 of a-z, 0-9, _ and - is expected");
    return take_text(walk, node, &scheme->name);
}

static enum status take_description(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme *scheme = into;
    return take_line(walk, node, &scheme->description);
}

static enum status take_signed(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme *scheme = into;
    walk->signed_line = line_of(node);
    enum status status = take_text(walk, node, &scheme->signed_text);
    if (status == ST_OK)
        status =
            take_template(walk, node, scheme->signed_text, SIGNED_FIELDS, &scheme->signed_value);
    if (status == ST_OK && !(scheme->signed_value.fields & FIELD_BIT(FIELD_BODY)))
        status = wrong(walk, line_of(node), "the signed text must contain {body}");
    return status;
}

static enum status take_encoding(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme *scheme = into;
    size_t index = 0;
    enum status status = take_word(walk, node, format_words + FORMAT_HEX, 2, &index);
    if (status == ST_OK)
        scheme->encoding = (enum text_format)(FORMAT_HEX + index);
    return status;
}

static enum status take_separator(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme *scheme = into;
    enum status status = take_line(walk, node, &scheme->separator);
    if (status == ST_OK && scheme->separator.len == 0)
        status = wrong(walk, line_of(node), "a separator cannot be empty");
    return status;
}

static enum status take_timestamp(struct walk *walk, yaml_node_t *node, void *into)
{
    static const char *const words[] = {"s", "ms"};
    struct scheme *scheme = into;
    size_t index = 0;
    enum status status = take_word(walk, node, words, COUNT(words), &index);
    if (status == ST_OK)
        scheme->timestamp_in_ms = index == 1;
    return status;
}

static enum status take_tolerance(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme *scheme = into;
    struct slice text = scalar(node);
    uint64_t day_ms = UINT64_C(24) * 60 * 60 * 1000;
    if (!text.ptr || parse_duration_ms(text, &scheme->tolerance_ms) != ST_OK ||
        scheme->tolerance_ms < 1000 || scheme->tolerance_ms > day_ms)
        return wrong(walk, line_of(node), "a duration from 1s to 24h is expected");
    return ST_OK;
}

static enum status take_body(struct walk *walk, yaml_node_t *node, void *into)
{
    struct scheme *scheme = into;
    enum status status = take_text(walk, node, &scheme->body_text);
    if (status == ST_OK)
        status = take_template(walk, node, scheme->body_text, BODY_FIELDS, &scheme->body);
    if (status == ST_OK && !(scheme->body.fields & FIELD_BIT(FIELD_DATA)))
        status = wrong(walk, line_of(node), "the body must contain {data}");
    for (size_t i = 1; status == ST_OK && i < scheme->body.count; i++)
        if (scheme->body.parts[i].field != FIELD_LITERAL &&
            slice_ends(scheme->body.parts[i - 1].literal, SLICE("\"")))
            status = wrong(walk, line_of(node),
                           "placeholders are inserted as JSON and need no quotes around them");
    return status;
}

static const struct rule scheme_rules[] = {
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

/* What headers and signed text ask of each other: a receiver must find all that was signed. */
static enum status check_headers(struct walk *walk)
{
    struct scheme *scheme = walk->scheme;
    unsigned carried = 0;
    size_t with_signature = 0;
    for (size_t i = 0; i < scheme->header_count; i++) {
        carried |= scheme->headers[i].value.fields;
        with_signature += (scheme->headers[i].value.fields & FIELD_BIT(FIELD_SIGNATURE)) != 0;
    }
    if (with_signature != 1)
        return wrong(walk, walk->headers_line, "exactly one header must contain {signature}");
    unsigned needed = scheme->signed_value.fields & ~FIELD_BIT(FIELD_BODY);
    if (needed & ~carried)
        return wrong(walk, walk->signed_line,
                     "the signed text uses a placeholder that no header carries");
    scheme->header_fields = carried;
    scheme->received_fields = needed | FIELD_BIT(FIELD_SIGNATURE);
    return ST_OK;
}

/* ---- The file -------------------------------------------------------------------------------- */

static enum status take_document(struct walk *walk)
{
    struct scheme *scheme = walk->scheme;
    yaml_node_t *root = yaml_document_get_root_node(&walk->document);
    if (!root)
        return wrong(walk, 1, "the file is empty");
    enum status status = take_mapping(walk, root, scheme_rules, COUNT(scheme_rules), scheme);
    if (status == ST_OK)
        status = check_headers(walk);
    if (status != ST_OK)
        return status;
    scheme->secret_rule = scheme->strings.ptr + scheme->strings.len;
    scheme_secret_rule(scheme, &scheme->strings);
    buf_add_char(&scheme->strings, '\0');
    return buf_status(&scheme->strings);
}

/* Parses the one document of the file, which the caller deletes; after a failure libyaml leaves one
 * that can be deleted too. */
static enum status load(struct walk *walk, struct slice text)
{
    yaml_parser_t parser;
    yaml_document_t second;
    enum status status = ST_OK;
    if (!yaml_parser_initialize(&parser))
        return ST_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    if (!yaml_parser_load(&parser, &walk->document) || !yaml_parser_load(&parser, &second)) {
        status = ST_NOMEM;
        if (parser.error != YAML_MEMORY_ERROR)
            status = wrong(walk, (int)parser.problem_mark.line + 1, "%s",
                           parser.problem ? parser.problem : "not YAML");
    } else {
        if (yaml_document_get_root_node(&second))
            status = wrong(walk, (int)second.start_mark.line + 1, "only one document is expected");
        yaml_document_delete(&second);
    }
    yaml_parser_delete(&parser);
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
    struct walk walk = {.file = file, .error = error, .error_size = error_size};
    *out = NULL;
    if (text.len > SCHEME_FILE_BYTES_MAX) {
        (void)wrong(&walk, 1, "longer than %d bytes", SCHEME_FILE_BYTES_MAX);
        return ST_LIMIT;
    }
    walk.scheme = scheme_new(text.len);
    if (!walk.scheme)
        return ST_NOMEM;
    enum status status = load(&walk, text.ptr ? text : SLICE(""));
    if (status == ST_OK)
        status = take_document(&walk);
    yaml_document_delete(&walk.document);
    if (status != ST_OK) {
        scheme_free(walk.scheme);
        return status;
    }
    *out = walk.scheme;
    return ST_OK;
}
