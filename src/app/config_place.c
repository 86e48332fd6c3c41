/* config_place.c - see config_place.h.
 *
 * Walks over libyaml's events and keeps, for the two upper levels, whether the next thing is a key:
 *
 *     outbound:          level 1, key
 *       timeout: 5s      level 2, key, value
 *       allow: [a, b]    level 2, key; the list is its value; what is inside is level 3
 *     dev: true          level 1, key, value
 */
#include "app/config_place.h"

#include <yaml.h>

struct walk {
    struct slice group, key;
    unsigned nth;
    unsigned level;    /* of open mappings and lists */
    bool mapping[3];   /* is the one of that level a mapping? */
    bool key_next[3];  /* and is its next thing a key? */
    bool in_group;     /* the last key of level 1 was `group` */
    unsigned found_at; /* the line */
};

/* Something begins in a mapping of one of the upper levels. */
static void visit(struct walk *walk, const yaml_event_t *event)
{
    bool is_key = walk->key_next[walk->level] && event->type == YAML_SCALAR_EVENT;
    walk->key_next[walk->level] = !walk->key_next[walk->level];
    if (!is_key)
        return;

    struct slice name = slice_of(event->data.scalar.value, event->data.scalar.length);
    bool grouped = walk->group.ptr != NULL;
    if (walk->level == 1)
        walk->in_group = grouped && slice_eq(name, walk->group);
    bool hit = (walk->level == 1 ? !grouped : walk->in_group) && slice_eq(name, walk->key);
    if (hit && --walk->nth == 0)
        walk->found_at = (unsigned)event->start_mark.line + 1;
}

static void step(struct walk *walk, const yaml_event_t *event)
{
    bool opens =
        event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
    bool closes = event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT;
    bool leaf = event->type == YAML_SCALAR_EVENT || event->type == YAML_ALIAS_EVENT;

    if ((opens || leaf) && (walk->level == 1 || walk->level == 2) && walk->mapping[walk->level])
        visit(walk, event);
    if (opens && ++walk->level <= 2) {
        walk->mapping[walk->level] = event->type == YAML_MAPPING_START_EVENT;
        walk->key_next[walk->level] = true;
    }
    if (closes)
        walk->level--;
}

unsigned config_place_of_key(struct slice text, struct slice group, struct slice key, unsigned nth)
{
    struct walk walk = {.group = group, .key = key, .nth = nth};
    yaml_parser_t parser;
    yaml_event_t event;
    bool more = true;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    while (more && walk.found_at == 0 && yaml_parser_parse(&parser, &event)) {
        step(&walk, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return walk.found_at;
}

/* Bytes that are not UTF-8 have an offset instead of a mark. */
static unsigned line_of_offset(struct slice text, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset && i < text.len; i++)
        line += text.ptr[i] == '\n';
    return line;
}

unsigned config_place_of_error(struct slice text, struct buf *reason)
{
    yaml_parser_t parser;
    yaml_event_t event;
    bool more = true;
    unsigned line = 0;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    while (more && yaml_parser_parse(&parser, &event)) {
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    if (parser.error != YAML_NO_ERROR) {
        line = parser.error == YAML_READER_ERROR ? line_of_offset(text, parser.problem_offset)
                                                 : (unsigned)parser.problem_mark.line + 1;
        buf_add_str(reason, parser.problem ? parser.problem : "unreadable");
        if (parser.context)
            buf_addf(reason, " (%s)", parser.context);
    }
    yaml_parser_delete(&parser);
    return line;
}
