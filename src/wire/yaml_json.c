/* yaml_json.c - a small YAML file as JSON.
 *
 * Of YAML's types only those are known that our documents have: the words and whole numbers of
 * JSON. A fraction, a date or `yes` is a string, and whoever expects something else says so with
 * the member's name. A depth and the buffer's maximum bound what aliases can make of a small file,
 * also one that contains itself.
 */
#include "wire/yaml_json.h"

#include <yaml.h>

#include "base/ascii.h"
#include "base/json_out.h"
#include "wire/yaml_walk.h"

struct conversion {
    struct json_out out;
    yaml_json_text *text;
    unsigned depth;
};

static enum status write_value(struct yaml_walk *walk, yaml_node_t *node, struct conversion *c);

/* A whole number as JSON writes it, that fits in 64 bits. */
static bool is_number(struct slice text)
{
    struct slice digits = text.len > 0 && text.ptr[0] == '-' ? slice_from(text, 1) : text;
    if (digits.len == 0 || digits.len > 18 || (digits.len > 1 && digits.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < digits.len; i++)
        if (!ascii_is_digit(digits.ptr[i]))
            return false;
    return true;
}

static bool is_null(struct slice text)
{
    return text.len == 0 || slice_eq(text, SLICE("~")) || slice_eq(text, SLICE("null"));
}

static enum status write_text(struct yaml_walk *walk, yaml_node_t *node, struct conversion *c)
{
    struct slice text = yaml_scalar(node);
    struct buf out, reason;
    if (memchr(text.ptr, '\0', text.len))
        return yaml_wrong(walk, yaml_line(node), "a string cannot hold a NUL");
    buf_init(&out, c->out.buf->max);
    buf_init(&reason, 1024);
    enum status status = ST_OK;
    if (c->text)
        status = c->text(text, &out, &reason);
    if (status == ST_RANGE)
        status = yaml_wrong(walk, yaml_line(node), "%.*s", SLICE_ARGS(buf_slice(&reason)));
    if (status == ST_OK)
        status = buf_status(&out);
    if (status == ST_OK)
        json_value_slice(&c->out, c->text ? buf_slice(&out) : text);
    if (out.ptr)
        explicit_bzero(out.ptr, out.len); /* it may be a secret */
    buf_free(&out);
    buf_free(&reason);
    return status;
}

static enum status write_scalar(struct yaml_walk *walk, yaml_node_t *node, struct conversion *c)
{
    struct slice text = yaml_scalar(node);
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && is_null(text))
        json_value_null(&c->out);
    else if (plain && (slice_eq(text, SLICE("true")) || slice_eq(text, SLICE("false"))))
        json_value_bool(&c->out, text.len == 4);
    else if (plain && is_number(text))
        json_value_raw(&c->out, text);
    else
        return write_text(walk, node, c);
    return ST_OK;
}

static enum status write_mapping(struct yaml_walk *walk, yaml_node_t *node, struct conversion *c)
{
    enum status status = ST_OK;
    json_object_open(&c->out);
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top && status == ST_OK; pair++) {
        yaml_node_t *key = yaml_document_get_node(walk->document, pair->key);
        struct slice name = yaml_scalar(key);
        if (!name.ptr)
            return yaml_wrong(walk, yaml_line(key), "a name is expected");
        json_key_slice(&c->out, name);
        status = write_value(walk, yaml_document_get_node(walk->document, pair->value), c);
    }
    if (status == ST_OK)
        json_object_close(&c->out);
    return status;
}

static enum status write_list(struct yaml_walk *walk, yaml_node_t *node, struct conversion *c)
{
    enum status status = ST_OK;
    json_array_open(&c->out);
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && status == ST_OK; item++)
        status = write_value(walk, yaml_document_get_node(walk->document, *item), c);
    if (status == ST_OK)
        json_array_close(&c->out);
    return status;
}

static enum status write_value(struct yaml_walk *walk, yaml_node_t *node, struct conversion *c)
{
    if (buf_status(c->out.buf) != ST_OK)
        return buf_status(c->out.buf);
    if (c->depth == YAML_JSON_DEPTH)
        return yaml_wrong(walk, yaml_line(node), "nested too deep");
    c->depth++;
    enum status status = node->type == YAML_SCALAR_NODE    ? write_scalar(walk, node, c)
                         : node->type == YAML_MAPPING_NODE ? write_mapping(walk, node, c)
                                                           : write_list(walk, node, c);
    c->depth--;
    return status;
}

static enum status take_root(struct yaml_walk *walk, yaml_node_t *node, void *into)
{
    return write_value(walk, node, into);
}

enum status yaml_json(struct slice yaml, const char *file, yaml_json_text *text, struct buf *json,
                      char *error, size_t error_size)
{
    struct yaml_walk walk = {.file = file, .error = error, .error_size = error_size};
    struct conversion c = {.text = text};
    if (error_size > 0)
        error[0] = '\0';
    json_out_begin(&c.out, json);
    enum status status = yaml_walk(&walk, yaml, take_root, &c);
    return status == ST_OK ? buf_status(json) : status;
}
