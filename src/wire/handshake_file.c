/* handshake_file.c - reads handshakes' rules.
 *
 *     "sha256={hmac_base64 query:crc_token}"  -->  [text sha256=] [hmac_base64 | query | crc_token]
 *
 * A brace that no place follows is text, so that JSON can be written as it is.
 */
#include "wire/handshake_file.h"

#include <stdlib.h>

#include "base/ascii.h"
#include "wire/handshake_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Places and texts ----------------------------------------------------------------------- */

static const struct {
    const char *prefix;
    enum handshake_place place;
} places[] = {
    {"header:", PLACE_HEADER}, {"query:", PLACE_QUERY}, {"form:", PLACE_FORM},
    {"json:", PLACE_JSON},     {"var:", PLACE_VAR},
};

static const struct {
    const char *prefix;
    enum handshake_function function;
} functions[] = {
    {"json_string ", AS_JSON_STRING},
    {"hmac_hex ", AS_HMAC_HEX},
    {"hmac_base64 ", AS_HMAC_BASE64},
};

static bool place_read(struct slice text, struct handshake_piece *piece)
{
    for (size_t i = 0; i < COUNT(places); i++) {
        struct slice prefix = slice_str(places[i].prefix);
        if (!slice_starts(text, prefix))
            continue;
        piece->place = places[i].place;
        piece->name = slice_from(text, prefix.len);
        return piece->name.len > 0 && !memchr(piece->name.ptr, ' ', piece->name.len);
    }
    return false;
}

/* What stands between braces. */
static bool piece_read(struct slice text, struct handshake_piece *piece)
{
    piece->function = AS_IT_IS;
    for (size_t i = 0; i < COUNT(functions); i++) {
        struct slice prefix = slice_str(functions[i].prefix);
        if (!slice_starts(text, prefix))
            continue;
        piece->function = functions[i].function;
        return place_read(slice_from(text, prefix.len), piece);
    }
    return place_read(text, piece);
}

/* The length of the placeholder at the beginning of `text`; 0: there is none. */
static size_t piece_at(struct slice text, struct handshake_piece *piece)
{
    const char *end = text.ptr[0] == '{' ? memchr(text.ptr, '}', text.len) : NULL;
    if (!end || !piece_read(slice_of(text.ptr + 1, (size_t)(end - text.ptr) - 1), piece))
        return 0;
    return (size_t)(end - text.ptr) + 1;
}

static bool add_literal(struct handshake_text *out, struct slice text)
{
    if (text.len == 0)
        return true;
    if (out->count == HANDSHAKE_PIECES_MAX)
        return false;
    out->pieces[out->count++] = (struct handshake_piece){PLACE_TEXT, AS_IT_IS, text};
    return true;
}

static enum status text_compile(struct yaml_walk *walk, struct yaml_node_s *node, struct slice text,
                                struct handshake_text *out)
{
    struct handshake_piece piece;
    size_t from = 0, at = 0;
    out->count = 0;
    while (at < text.len) {
        size_t len = piece_at(slice_from(text, at), &piece);
        if (len == 0) {
            at++;
            continue;
        }
        if (!add_literal(out, slice_of(text.ptr + from, at - from)) ||
            out->count == HANDSHAKE_PIECES_MAX)
            break;
        out->pieces[out->count++] = piece;
        from = at += len;
    }
    if (at < text.len || !add_literal(out, slice_from(text, from)))
        return yaml_wrong(walk, yaml_line(node), "more than %d pieces", HANDSHAKE_PIECES_MAX);
    return ST_OK;
}

static enum status take_text(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct slice text;
    enum status status = yaml_text_line(walk, node, &text);
    return status == ST_OK ? text_compile(walk, node, text, into) : status;
}

/* ---- Conditions ----------------------------------------------------------------------------- */

static enum status take_at(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_condition *condition = into;
    struct slice text;
    enum status status = yaml_text_line(walk, node, &text);
    condition->at.function = AS_IT_IS;
    if (status == ST_OK && !place_read(text, &condition->at))
        return yaml_wrong(walk, yaml_line(node),
                          "expected header:, query:, form:, json: or var: and a name");
    return status;
}

/* What the condition asks, which is one thing. */
static enum status set_test(struct yaml_walk *walk, struct yaml_node_s *node,
                            struct handshake_condition *condition, enum handshake_test test)
{
    if (condition->test != TEST_PRESENT)
        return yaml_wrong(walk, yaml_line(node), "a condition has one of is, among and absent");
    condition->test = test;
    return ST_OK;
}

static enum status take_compared(struct yaml_walk *walk, struct yaml_node_s *node,
                                 struct handshake_condition *condition, enum handshake_test test)
{
    enum status status = set_test(walk, node, condition, test);
    if (status == ST_OK)
        status = take_text(walk, node, &condition->is);
    for (size_t i = 0; status == ST_OK && i < condition->is.count; i++) {
        const struct handshake_piece *piece = &condition->is.pieces[i];
        if (piece->function != AS_IT_IS ||
            (piece->place != PLACE_TEXT && piece->place != PLACE_VAR))
            return yaml_wrong(walk, yaml_line(node), "only {var:NAME} may stand here");
    }
    return status;
}

static enum status take_is(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    return take_compared(walk, node, into, TEST_IS);
}

static enum status take_among(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    return take_compared(walk, node, into, TEST_AMONG);
}

static enum status take_absent(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const char *const words[] = {"true"};
    size_t index;
    enum status status = set_test(walk, node, into, TEST_ABSENT);
    return status == ST_OK ? yaml_word(walk, node, words, COUNT(words), &index) : status;
}

static enum status take_condition(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"at", true, take_at},
        {"is", false, take_is},
        {"among", false, take_among},
        {"absent", false, take_absent},
    };
    struct handshake_conditions *conditions = into;
    if (conditions->count == HANDSHAKE_CONDITIONS_MAX)
        return yaml_wrong(walk, yaml_line(node), "more than %d conditions",
                          HANDSHAKE_CONDITIONS_MAX);
    struct handshake_condition *condition = &conditions->items[conditions->count++];
    *condition = (struct handshake_condition){.test = TEST_PRESENT};
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), condition);
    if (status == ST_OK && condition->test == TEST_ABSENT && condition->at.place != PLACE_JSON)
        return yaml_wrong(walk, yaml_line(node), "absent is for json:");
    return status;
}

static enum status take_when(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_rule *rule = into;
    return yaml_list(walk, node, "a list of conditions", take_condition, &rule->when);
}

static enum status take_check(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_rule *rule = into;
    return yaml_list(walk, node, "a list of conditions", take_condition, &rule->check);
}

/* ---- The reply ------------------------------------------------------------------------------ */

static enum status take_status(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_rule *rule = into;
    uint64_t number = 0;
    enum status status = yaml_number(walk, node, 299, &number);
    if (status == ST_OK && number < 200)
        return yaml_wrong(walk, yaml_line(node), "a status from 200 to 299 is expected");
    rule->status = (int)number;
    return status;
}

static enum status take_type(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const char *const words[] = {"text/plain", "application/json"};
    struct handshake_rule *rule = into;
    size_t index;
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
    if (status == ST_OK)
        rule->content_type = slice_str(words[index]);
    return status;
}

static enum status take_body(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_rule *rule = into;
    return take_text(walk, node, &rule->body);
}

static enum status take_name(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_rule *rule = into;
    struct slice *name = &rule->header_names[rule->header_count];
    enum status status = yaml_text_line(walk, node, name);
    for (size_t i = 0; status == ST_OK && i < name->len; i++)
        if (!ascii_is_alnum(name->ptr[i]) && name->ptr[i] != '-')
            return yaml_wrong(walk, yaml_line(node), "this cannot be a header's name");
    if (status == ST_OK && name->len == 0)
        return yaml_wrong(walk, yaml_line(node), "a header's name is expected");
    return status;
}

static enum status take_value(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_rule *rule = into;
    struct slice text = yaml_scalar(node);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return yaml_wrong(walk, yaml_line(node), "a header's value is of visible ASCII");
    return take_text(walk, node, &rule->header_values[rule->header_count]);
}

static enum status take_header(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"name", true, take_name},
        {"value", true, take_value},
    };
    struct handshake_rule *rule = into;
    if (rule->header_count == HANDSHAKE_HEADERS_MAX)
        return yaml_wrong(walk, yaml_line(node), "more than %d headers", HANDSHAKE_HEADERS_MAX);
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), rule);
    rule->header_count += status == ST_OK;
    return status;
}

static enum status take_headers(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    return yaml_list(walk, node, "a list of headers", take_header, into);
}

/* A text without escapes would be a hole in JSON. */
static enum status check_reply(struct yaml_walk *walk, struct yaml_node_s *node,
                               const struct handshake_rule *rule)
{
    bool json = slice_eq(rule->content_type, SLICE("application/json"));
    if ((rule->body.count > 0) != (rule->content_type.ptr != NULL))
        return yaml_wrong(walk, yaml_line(node), "type and body go together");
    for (size_t i = 0; i < rule->body.count; i++) {
        const struct handshake_piece *piece = &rule->body.pieces[i];
        if (json && piece->place != PLACE_TEXT && piece->function == AS_IT_IS)
            return yaml_wrong(walk, yaml_line(node), "in JSON it must be {json_string %.*s}, say",
                              SLICE_ARGS(piece->name));
    }
    return ST_OK;
}

static enum status take_reply(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"status", false, take_status},
        {"type", false, take_type},
        {"headers", false, take_headers},
        {"body", false, take_body},
    };
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), into);
    return status == ST_OK ? check_reply(walk, node, into) : status;
}

/* ---- Rules ---------------------------------------------------------------------------------- */

static enum status take_method(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const char *const words[] = {"GET", "HEAD", "OPTIONS", "POST"};
    struct handshake_rule *rule = into;
    size_t index;
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
    if (status == ST_OK)
        rule->method = slice_str(words[index]);
    return status;
}

static enum status take_secret(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct handshake_rule *rule = into;
    return take_text(walk, node, &rule->secret);
}

static enum status take_verify_first(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const char *const words[] = {"false", "true"};
    struct handshake_rule *rule = into;
    size_t index = 0;
    enum status status = yaml_word(walk, node, words, COUNT(words), &index);
    rule->verify_first = index == 1;
    return status;
}

static bool reads_json(const struct handshake_conditions *conditions)
{
    for (size_t i = 0; i < conditions->count; i++)
        if (conditions->items[i].at.place == PLACE_JSON)
            return true;
    return false;
}

static enum status take_rule(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"method", true, take_method}, {"when", false, take_when},
        {"check", false, take_check},  {"verify_first", false, take_verify_first},
        {"reply", true, take_reply},   {"secret", false, take_secret},
    };
    struct handshakes *handshakes = into;
    if (handshakes->count == HANDSHAKE_RULES_MAX)
        return yaml_wrong(walk, yaml_line(node), "more than %d handshakes", HANDSHAKE_RULES_MAX);
    struct handshake_rule *rule = &handshakes->rules[handshakes->count++];
    rule->status = 200;
    enum status status = yaml_mapping(walk, node, rules, COUNT(rules), rule);
    if (status == ST_OK && rule->when.count == 0 && slice_eq(rule->method, SLICE("POST")))
        return yaml_wrong(walk, yaml_line(node),
                          "without a condition no event would ever be taken");
    handshakes->bring_secret = handshakes->bring_secret || rule->secret.count > 0;
    handshakes->read_json = handshakes->read_json || reads_json(&rule->when);
    return status;
}

enum status handshakes_take(struct yaml_walk *walk, struct yaml_node_s *node,
                            struct handshakes **into)
{
    *into = calloc(1, sizeof(**into));
    return *into ? yaml_list(walk, node, "a list of handshakes", take_rule, *into) : ST_NOMEM;
}
