/* scheme_file_receive.c - reads `receive`: where a request has its signature, time, id and type.
 *
 * A scheme that sends needs none of it: what it writes into headers it finds there again, and this
 * file derives the places from the templates. With a signature of its own in `receive` nothing is
 * derived.
 *
 * A time that nobody signed says nothing, so a description that names one must sign it.
 */
#include "wire/scheme_file_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    SIGNATURE_PLACES =
        PART_BIT(PART_HEADER) | PART_BIT(PART_HEADERS) | PART_BIT(PART_JSON) | PART_BIT(PART_QUERY),
    TIMESTAMP_PLACES = PART_BIT(PART_HEADER) | PART_BIT(PART_ENTRY) | PART_BIT(PART_JSON),
    HASH_PLACES = PART_BIT(PART_HEADER) | PART_BIT(PART_QUERY),
    SOURCE_PLACES = PART_BIT(PART_HEADER) | PART_BIT(PART_JSON) | PART_BIT(PART_QUERY) |
                    PART_BIT(PART_SHA256_HEX) | PART_BIT(PART_TEXT),
    SIGNED_PLACES = PART_BIT(PART_BODY) | PART_BIT(PART_TIMESTAMP) | PART_BIT(PART_URL) |
                    PART_BIT(PART_METHOD) | PART_BIT(PART_HEADER) | PART_BIT(PART_JSON) |
                    PART_BIT(PART_QUERY) | PART_BIT(PART_VAR) | PART_BIT(PART_FORM_SORTED) |
                    PART_BIT(PART_CRC32) | PART_BIT(PART_SHA256_HEX),
};

/* ---- The keys -------------------------------------------------------------------------------- */

static enum status take_place(struct yaml_walk *walk, struct yaml_node_s *node, unsigned allowed,
                              struct part *part)
{
    struct slice text;
    enum status status = yaml_text_line(walk, node, &text);
    if (status == ST_OK && !part_compile(text, allowed, part))
        status = yaml_wrong(walk, yaml_line(node), "this is no place that can be used here: %.*s",
                            SLICE_ARGS(text));
    return status;
}

static enum status take_signature_place(struct yaml_walk *walk, struct yaml_node_s *node,
                                        void *into)
{
    struct scheme_receiving *receiving = into;
    receiving->given = true;
    return take_place(walk, node, SIGNATURE_PLACES, &receiving->signature);
}

static enum status take_timestamp_place(struct yaml_walk *walk, struct yaml_node_s *node,
                                        void *into)
{
    struct scheme_receiving *receiving = into;
    receiving->has_timestamp = true;
    return take_place(walk, node, TIMESTAMP_PLACES, &receiving->timestamp);
}

static enum status take_body_hash(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_receiving *receiving = into;
    receiving->has_body_hash = true;
    return take_place(walk, node, HASH_PLACES, &receiving->body_hash);
}

static enum status take_each(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_receiving *receiving = into;
    struct part part;
    enum status status = take_place(walk, node, PART_BIT(PART_JSON), &part);
    if (status != ST_OK)
        return status;
    const char *star = memmem(part.name.ptr, part.name.len, ".*", 2);
    size_t at = star ? (size_t)(star - part.name.ptr) : part.name.len;
    struct slice behind = slice_from(part.name, at + 2);
    if (!star || part.optional || (behind.len > 0 && (behind.len == 1 || behind.ptr[0] != '.')))
        return yaml_wrong(walk, yaml_line(node), "json:ARRAY.* or json:ARRAY.*.PATH is expected");
    receiving->each = true;
    receiving->array_path = slice_of(part.name.ptr, at);
    receiving->item_path = slice_from(behind, 1);
    return ST_OK;
}

static enum status take_source(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct part_list *list = into;
    if (list->count == SCHEME_SOURCES_MAX)
        return yaml_wrong(walk, yaml_line(node), "more than %d places", SCHEME_SOURCES_MAX);
    return take_place(walk, node, SOURCE_PLACES, &list->parts[list->count++]);
}

static enum status take_id(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_receiving *receiving = into;
    return yaml_list(walk, node, "a list of places", take_source, &receiving->ids);
}

static enum status take_type(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    struct scheme_receiving *receiving = into;
    return yaml_list(walk, node, "a list of places", take_source, &receiving->types);
}

enum status scheme_take_receive(struct yaml_walk *walk, struct yaml_node_s *node, void *into)
{
    static const struct yaml_rule rules[] = {
        {"signature", false, take_signature_place},
        {"timestamp", false, take_timestamp_place},
        {"body_hash", false, take_body_hash},
        {"each", false, take_each},
        {"id", false, take_id},
        {"type", false, take_type},
    };
    struct scheme *scheme = into;
    scheme_reading(walk)->receive_line = yaml_line(node);
    return yaml_mapping(walk, node, rules, COUNT(rules), &scheme->receiving);
}

/* ---- Derived --------------------------------------------------------------------------------- */

static struct part part_of(const struct scheme *scheme, const struct template_part *from)
{
    struct part part = {.kind = PART_FIELD, .field = from->field};
    if (from->field == FIELD_LITERAL)
        return (struct part){.kind = PART_TEXT, .name = from->literal};
    if (from->field == FIELD_BODY)
        return (struct part){.kind = PART_BODY};
    for (size_t i = 0; i < scheme->header_count; i++)
        if (scheme->headers[i].value.fields & FIELD_BIT(from->field))
            part.name = scheme->headers[i].name; /* for people */
    return part;
}

/* The signed text of a scheme that sends, in parts that are found in its headers. */
static void derive(struct scheme *scheme)
{
    static const struct template_part signature = {.field = FIELD_SIGNATURE};
    static const struct template_part timestamp = {.field = FIELD_TIMESTAMP};
    struct scheme_receiving *receiving = &scheme->receiving;
    const struct template *signed_value = &scheme->signed_value;
    receiving->signature = part_of(scheme, &signature);
    receiving->has_timestamp = (signed_value->fields & FIELD_BIT(FIELD_TIMESTAMP)) != 0;
    receiving->timestamp = part_of(scheme, &timestamp);
    receiving->signed_count = signed_value->count;
    for (size_t i = 0; i < signed_value->count; i++)
        receiving->signed_parts[i] = part_of(scheme, &signed_value->parts[i]);
    receiving->fields =
        (signed_value->fields & ~FIELD_BIT(FIELD_BODY)) | FIELD_BIT(FIELD_SIGNATURE);
}

/* An id or type that a header holds alone, where the description does not say. */
static void derive_source(const struct scheme *scheme, enum template_field field,
                          struct part_list *list)
{
    for (size_t i = 0; i < scheme->header_count && list->count == 0; i++) {
        const struct scheme_header *header = &scheme->headers[i];
        if (header->value.count == 1 && header->value.parts[0].field == field)
            list->parts[list->count++] = (struct part){.kind = PART_HEADER, .name = header->name};
    }
}

/* ---- Given ----------------------------------------------------------------------------------- */

static bool signs_header(const struct scheme_receiving *receiving, struct slice name)
{
    for (size_t i = 0; i < receiving->signed_count; i++)
        if (receiving->signed_parts[i].kind == PART_HEADER &&
            slice_eq_nocase(receiving->signed_parts[i].name, name))
            return true;
    return false;
}

static bool timestamp_is_signed(const struct scheme_receiving *receiving)
{
    const struct part *timestamp = &receiving->timestamp;
    if (receiving->signed_kinds & PART_BIT(PART_TIMESTAMP))
        return true;
    if (timestamp->kind == PART_JSON)
        return (receiving->signed_kinds & PART_BIT(PART_BODY)) != 0;
    return timestamp->kind == PART_HEADER && signs_header(receiving, timestamp->name);
}

static enum status compile_signed(struct yaml_walk *walk, struct scheme *scheme)
{
    const char *what = "";
    struct slice at = SLICE_NULL;
    struct scheme_receiving *receiving = &scheme->receiving;
    int line = scheme_reading(walk)->signed_line;
    if (parts_compile(scheme->signed_text, SIGNED_PLACES, receiving->signed_parts,
                      &receiving->signed_count, &what, &at) != ST_OK)
        return yaml_wrong(walk, line, "%s: %.*s", what, SLICE_ARGS(at));
    for (size_t i = 0; i < receiving->signed_count; i++)
        receiving->signed_kinds |= PART_BIT(receiving->signed_parts[i].kind);
    if ((receiving->signed_kinds & ~PART_BIT(PART_TEXT)) == 0)
        return yaml_wrong(walk, line, "the signed text has nothing of the request");
    return ST_OK;
}

static enum status check_given(struct yaml_walk *walk, struct scheme *scheme)
{
    struct scheme_receiving *receiving = &scheme->receiving;
    int line = scheme_reading(walk)->receive_line;
    bool token = scheme->signatures[0].algorithm == SIGN_TOKEN;
    if (token && scheme->signed_text.ptr)
        return yaml_wrong(walk, line, "with a token nothing is signed");
    if (!token && !scheme->signed_text.ptr)
        return yaml_wrong(walk, line, "the key \"signed\" is missing");
    enum status status = token ? ST_OK : compile_signed(walk, scheme);
    if (status != ST_OK)
        return status;
    if (receiving->has_timestamp && !timestamp_is_signed(receiving))
        return yaml_wrong(walk, line, "the timestamp is not part of the signed text");
    if (!receiving->has_timestamp && (receiving->signed_kinds & PART_BIT(PART_TIMESTAMP)))
        return yaml_wrong(walk, line, "{timestamp} is signed, but receive has no timestamp");
    if (receiving->has_timestamp && receiving->timestamp.kind == PART_ENTRY &&
        (!scheme->separator.ptr || receiving->signature.kind == PART_HEADERS))
        return yaml_wrong(walk, line, "a time among signatures needs one header and a separator");
    if (receiving->each && receiving->signature.kind != PART_JSON)
        return yaml_wrong(walk, line, "each is for signatures in JSON");
    return ST_OK;
}

enum status scheme_check_receiving(struct yaml_walk *walk, struct scheme *scheme, int line)
{
    struct scheme_receiving *receiving = &scheme->receiving;
    bool more = receiving->has_timestamp || receiving->has_body_hash || receiving->each;
    if (!receiving->given && more)
        return yaml_wrong(walk, scheme_reading(walk)->receive_line,
                          "timestamp, body_hash and each need a signature beside them");
    if (scheme->no_signature && receiving->given)
        return yaml_wrong(walk, scheme_reading(walk)->receive_line,
                          "without an algorithm there is no signature");
    if (!receiving->given && !scheme->sends && !scheme->no_signature)
        return yaml_wrong(walk, line, "a scheme has headers and body, to send, or receive");
    if (receiving->given)
        return check_given(walk, scheme);
    if (scheme->sends) {
        derive(scheme);
        derive_source(scheme, FIELD_ID, &receiving->ids);
        derive_source(scheme, FIELD_TYPE, &receiving->types);
    }
    return ST_OK;
}
