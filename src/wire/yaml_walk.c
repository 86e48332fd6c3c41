/* yaml_walk.c - walks a small YAML document along tables.
 *
 * libyaml parses the text into a document of nodes, each with its place; the walk goes only as deep
 * as the caller's tables do, so aliases cannot make it endless. What aliases can do is repeat a
 * string: all strings go into one buffer with a fixed room, and filling it is an error.
 *
 * libcyaml, which fills structs by a schema, was tried first: its errors name the line of the event
 * before the wrong one, it cuts a string at a NUL without a word, and what a value means (a
 * template that does not compile, a header that is missing) it can no longer place.
 */
#include "wire/yaml_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

#include "base/parse.h"

/* ---- Errors and nodes ------------------------------------------------------------------------ */

enum status yaml_wrong(struct yaml_walk *walk, int line, const char *format, ...)
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

int yaml_line(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

struct slice yaml_scalar(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return SLICE_NULL;
    return slice_of(node->data.scalar.value, node->data.scalar.length);
}

/* ---- Mappings and lists ---------------------------------------------------------------------- */

/* The rule of a key, once: `seen` has a bit for each that was found. NULL: the error is written. */
static const struct yaml_rule *rule_find(struct yaml_walk *walk, const yaml_node_t *key,
                                         const struct yaml_rule *rules, size_t rule_count,
                                         uint32_t *seen)
{
    struct slice name = yaml_scalar(key);
    for (size_t i = 0; name.ptr && i < rule_count; i++) {
        if (!slice_eq(name, slice_str(rules[i].key)))
            continue;
        if (*seen & UINT32_C(1) << i) {
            yaml_wrong(walk, yaml_line(key), "\"%s\" is here twice", rules[i].key);
            return NULL;
        }
        *seen |= UINT32_C(1) << i;
        return &rules[i];
    }
    yaml_wrong(walk, yaml_line(key), "unknown key \"%.*s\"", SLICE_ARGS(name));
    return NULL;
}

enum status yaml_mapping(struct yaml_walk *walk, yaml_node_t *node, const struct yaml_rule *rules,
                         size_t rule_count, void *into)
{
    uint32_t seen = 0;
    if (node->type != YAML_MAPPING_NODE)
        return yaml_wrong(walk, yaml_line(node), "a mapping is expected");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(walk->document, pair->value);
        const struct yaml_rule *rule = rule_find(walk, key, rules, rule_count, &seen);
        enum status status = rule ? rule->take(walk, value, into) : ST_SYNTAX;
        if (status != ST_OK)
            return status;
    }
    for (size_t i = 0; i < rule_count; i++)
        if (rules[i].required && !(seen & UINT32_C(1) << i))
            return yaml_wrong(walk, yaml_line(node), "\"%s\" is missing", rules[i].key);
    return ST_OK;
}

enum status yaml_list(struct yaml_walk *walk, yaml_node_t *node, const char *what, yaml_take *take,
                      void *into)
{
    enum status status = ST_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return yaml_wrong(walk, yaml_line(node), "%s is expected", what);
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && status == ST_OK; item++)
        status = take(walk, yaml_document_get_node(walk->document, *item), into);
    return status;
}

/* ---- Scalars --------------------------------------------------------------------------------- */

enum status yaml_text(struct yaml_walk *walk, yaml_node_t *node, struct slice *out)
{
    struct slice text = yaml_scalar(node);
    struct buf *strings = walk->strings;
    if (!text.ptr)
        return yaml_wrong(walk, yaml_line(node), "a string is expected");
    if (memchr(text.ptr, '\0', text.len))
        return yaml_wrong(walk, yaml_line(node), "a string cannot hold a NUL");
    if (text.len >= strings->cap - strings->len)
        return yaml_wrong(walk, yaml_line(node), "the strings are too long");
    *out = slice_of(strings->ptr + strings->len, text.len);
    buf_add_slice(strings, text);
    buf_add_char(strings, '\0');
    return buf_status(strings);
}

enum status yaml_text_line(struct yaml_walk *walk, yaml_node_t *node, struct slice *out)
{
    enum status status = yaml_text(walk, node, out);
    for (size_t i = 0; status == ST_OK && i < out->len; i++)
        if ((unsigned char)out->ptr[i] < 0x20 || out->ptr[i] == 0x7f)
            status = yaml_wrong(walk, yaml_line(node), "a control character in a string");
    return status;
}

enum status yaml_number(struct yaml_walk *walk, yaml_node_t *node, uint64_t max, uint64_t *out)
{
    struct slice text = yaml_scalar(node);
    if (!text.ptr || parse_u64(text, out) != ST_OK || *out < 1 || *out > max)
        return yaml_wrong(walk, yaml_line(node), "a number from 1 to %llu is expected",
                          (unsigned long long)max);
    return ST_OK;
}

enum status yaml_word(struct yaml_walk *walk, yaml_node_t *node, const char *const *words,
                      size_t count, size_t *index)
{
    char list[128] = "";
    struct slice text = yaml_scalar(node);
    for (size_t i = 0; text.ptr && i < count; i++) {
        if (slice_eq(text, slice_str(words[i]))) {
            *index = i;
            return ST_OK;
        }
    }
    for (size_t i = 0, len = 0; i < count && len < sizeof(list); i++)
        len +=
            (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "", words[i]);
    return yaml_wrong(walk, yaml_line(node), "one of these is expected: %s", list);
}

/* ---- The document ---------------------------------------------------------------------------- */

/* Parses the next document. After a failure libyaml leaves an empty one, which can be deleted. */
static enum status document_load(struct yaml_walk *walk, yaml_parser_t *parser,
                                 yaml_document_t *document)
{
    if (yaml_parser_load(parser, document))
        return ST_OK;
    if (parser->error == YAML_MEMORY_ERROR)
        return ST_NOMEM;
    return yaml_wrong(walk, (int)parser->problem_mark.line + 1, "%s",
                      parser->problem ? parser->problem : "not YAML");
}

enum status yaml_walk(struct yaml_walk *walk, struct slice text, yaml_take *take, void *into)
{
    yaml_parser_t parser;
    yaml_document_t first = {.nodes = {NULL, NULL, NULL}};
    yaml_document_t second = {.nodes = {NULL, NULL, NULL}};
    if (!yaml_parser_initialize(&parser))
        return ST_NOMEM;
    const char *input = text.len > 0 ? text.ptr : "";
    yaml_parser_set_input_string(&parser, (const unsigned char *)input, text.len);
    walk->document = &first;
    enum status status = document_load(walk, &parser, &first);
    if (status == ST_OK)
        status = document_load(walk, &parser, &second);
    if (status == ST_OK && yaml_document_get_root_node(&second))
        status = yaml_wrong(walk, (int)second.start_mark.line + 1, "only one document is expected");
    yaml_node_t *root = status == ST_OK ? yaml_document_get_root_node(&first) : NULL;
    if (status == ST_OK)
        status = root ? take(walk, root, into) : yaml_wrong(walk, 1, "the file is empty");
    walk->document = NULL;
    yaml_document_delete(&first);
    yaml_document_delete(&second);
    yaml_parser_delete(&parser);
    return status;
}
