/* scheme_file.c - reads the description of a scheme.
 *
 * One table of rules for each kind of mapping; what a value needs beyond its form is checked where
 * it is taken, what needs the whole scheme at the end. Last of all the scheme has to verify what it
 * signs: that finds every description in which a separator or the text between two placeholders can
 * also be part of a value, without a rule for each.
 */
#include "wire/scheme_file.h"
#include "wire/handshake_file.h"

#include <stdlib.h>

#include "base/ascii.h"
#include "base/parse.h"
#include "wire/scheme_file_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct scheme_reading *scheme_reading(struct yaml_walk *walk)
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

static enum status template_take(struct yaml_walk *walk, int line, struct slice text,
                                 unsigned allowed, struct template *out)
{
    const char *what;
    struct slice at;
    if (template_compile(out, text, allowed, &what, &at) == ST_OK)
        return ST_OK;
    return yaml_wrong(walk, line, "%s: %.*s", what, SLICE_ARGS(at));
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
    if (scheme_owns_header(scheme_reading(walk)->scheme, name))
        return yaml_wrong(walk, yaml_line(node), "this header is described twice");
    return yaml_text(walk, node, &header->name);
}

static enum status take_header_value(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_header *header = into;
    enum status status = yaml_text_line(walk, node, &header->text);
    if (status == ST_OK)
        status = template_take(walk, yaml_line(node), header->text, HEADER_FIELDS, &header->value);
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
    scheme_reading(walk)->headers_line = yaml_line(node);
    return yaml_list(walk, node, "a list of headers", take_header, into);
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
    scheme_reading(walk)->signed_line = yaml_line(node);
    return yaml_text(walk, node, &scheme->signed_text);
}

static enum status take_encoding(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const char *const words[] = {"hex", "base64", "base64url"};
    struct scheme *scheme = into;
    size_t index = 0;
    scheme_reading(walk)->encoding_line = yaml_line(node);
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
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
    static const char *const words[] = {[TIMESTAMP_S] = "s",
                                        [TIMESTAMP_MS] = "ms",
                                        [TIMESTAMP_RFC3339] = "rfc3339",
                                        [TIMESTAMP_UTC] = "utc"};
    struct scheme *scheme = into;
    size_t index = 0;
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
    scheme->timestamp_form = (enum timestamp_form)index;
    return status;
}

static enum status take_limit(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    uint64_t *limit_ms = into;
    struct slice text = yaml_scalar(node);
    uint64_t day_ms = UINT64_C(24) * 60 * 60 * 1000;
    if (text.ptr && slice_eq(text, SLICE("off"))) {
        *limit_ms = RECEIVED_TOLERANCE_OFF;
        return ST_OK;
    }
    if (!text.ptr || parse_duration_ms(text, limit_ms) != ST_OK || *limit_ms < 1000 ||
        *limit_ms > day_ms)
        return yaml_wrong(walk, yaml_line(node), "a duration from 1s to 24h is expected");
    return ST_OK;
}

static enum status take_past(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct received_tolerance *tolerance = into;
    return take_limit(walk, node, &tolerance->past_ms);
}

static enum status take_future(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct received_tolerance *tolerance = into;
    return take_limit(walk, node, &tolerance->future_ms);
}

/* One duration for both directions, or a mapping. */
static enum status take_tolerance(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"past", true, take_past},
        {"future", true, take_future},
    };
    struct scheme *scheme = into;
    if (!yaml_scalar(node).ptr)
        return yaml_mapping(walk, node, rules, COUNT(rules), &scheme->tolerance);
    enum status status = take_limit(walk, node, &scheme->tolerance.past_ms);
    scheme->tolerance.future_ms = scheme->tolerance.past_ms;
    return status;
}

static enum status take_handshakes(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    return handshakes_take(walk, node, &scheme->handshakes);
}

static enum status take_body(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme *scheme = into;
    enum status status = yaml_text(walk, node, &scheme->body_text);
    if (status == ST_OK)
        status =
            template_take(walk, yaml_line(node), scheme->body_text, BODY_FIELDS, &scheme->body);
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
    const struct scheme_reading *reading = scheme_reading(walk);
    unsigned carried = 0;
    size_t with_signature = 0;
    for (size_t i = 0; i < scheme->header_count; i++) {
        carried |= scheme->headers[i].value.fields;
        with_signature += (scheme->headers[i].value.fields & FIELD_BIT(FIELD_SIGNATURE)) != 0;
    }
    scheme->header_fields = carried;
    if (with_signature != 1)
        return yaml_wrong(walk, reading->headers_line,
                          "exactly one header must contain {signature}");
    if (!scheme->signed_text.ptr)
        return yaml_wrong(walk, reading->headers_line, "the key \"signed\" is missing");
    if (scheme->timestamp_form >= TIMESTAMP_RFC3339)
        return yaml_wrong(walk, reading->headers_line, "times are sent as numbers: s or ms");
    enum status status = template_take(walk, reading->signed_line, scheme->signed_text,
                                       SIGNED_FIELDS, &scheme->signed_value);
    if (status != ST_OK)
        return status;
    if (!(scheme->signed_value.fields & FIELD_BIT(FIELD_BODY)))
        return yaml_wrong(walk, reading->signed_line, "the signed text must contain {body}");
    if (!scheme->receiving.given &&
        (scheme->signed_value.fields & ~FIELD_BIT(FIELD_BODY) & ~carried))
        return yaml_wrong(walk, reading->signed_line,
                          "the signed text uses a placeholder that no header carries");
    return ST_OK;
}

/* What can only be checked when all is read. */
static enum status check_scheme(struct yaml_walk *walk, struct scheme *scheme, int line)
{
    bool has_headers = scheme_reading(walk)->headers_line > 0, has_body = scheme->body.count > 0;
    scheme->sends = has_headers || has_body;
    if (has_headers != has_body)
        return yaml_wrong(walk, line, "a scheme that sends has headers and a body");
    enum status status = scheme_check_signatures(walk, scheme);
    if (status == ST_OK && scheme->sends)
        status = check_headers(walk, scheme);
    return status == ST_OK ? scheme_check_receiving(walk, scheme, line) : status;
}

static enum status take_scheme(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"name", true, take_name},
        {"description", false, take_description},
        {"headers", false, take_headers},
        {"timestamp", false, take_timestamp},
        {"tolerance", false, take_tolerance},
        {"signed", false, take_signed},
        {"encoding", false, take_encoding},
        {"separator", false, take_separator},
        {"signatures", true, scheme_take_signatures},
        {"body", false, take_body},
        {"receive", false, scheme_take_receive},
        {"handshakes", false, take_handshakes},
    };
    struct scheme *scheme = into;
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), scheme);
    if (status == ST_OK)
        status = check_scheme(walk, scheme, yaml_line(node));
    if (status != ST_OK)
        return status;
    scheme->secret_rule = scheme->strings.ptr + scheme->strings.len;
    scheme_secret_rule(scheme, &scheme->strings);
    buf_add_char(&scheme->strings, '\0');
    status = buf_status(&scheme->strings);
    if (status == ST_OK && scheme->sends && !scheme->receiving.given)
        status = scheme_rehearse(scheme);
    if (status == ST_RANGE)
        status = yaml_wrong(walk, scheme_reading(walk)->headers_line,
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
    /* As all reference libraries of Standard Webhooks. */
    scheme->tolerance = (struct received_tolerance){300 * 1000, 300 * 1000};
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
    struct scheme_reading reading = {.scheme = scheme_new(text.len)};
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
