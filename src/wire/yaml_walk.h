/* yaml_walk.h - walks a small YAML document along tables. With yaml_json.c the only user of
 * libyaml.
 *
 * A mapping is described by rules: a key and the function that takes its value. Every function here
 * that finds something wrong writes "file:line: what is wrong" and returns ST_SYNTAX, which the
 * caller passes on: the first error ends the reading.
 */
#ifndef TROTLINE_WIRE_YAML_WALK_H
#define TROTLINE_WIRE_YAML_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct yaml_node_s; /* libyaml's */
struct yaml_document_s;

struct yaml_walk {
    struct yaml_document_s *document;
    const char *file; /* for errors */
    char *error;
    size_t error_size;
    struct buf *strings; /* what yaml_text keeps; must have room before and never grow */
    void *arg;           /* the caller's */
};

/* Takes a value. `into` is what the mapping describes. */
typedef enum status yaml_take(struct yaml_walk *walk, struct yaml_node_s *node, void *into);

struct yaml_rule {
    const char *key;
    bool required;
    yaml_take *take;
};

/* Parses `text`, which must be one document, and takes its root. The caller has set all members but
 * `document`. ST_NOMEM besides ST_SYNTAX and what `take` returns. */
MUST_CHECK enum status yaml_walk(struct yaml_walk *walk, struct slice text, yaml_take *take,
                                 void *into);

/* Writes an error about that line; always ST_SYNTAX, so that a check is one return. */
enum status yaml_wrong(struct yaml_walk *walk, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Where the node begins; the first line is 1. */
int yaml_line(const struct yaml_node_s *node);

/* The text of a scalar, valid during the walk; SLICE_NULL for lists and mappings. */
struct slice yaml_scalar(const struct yaml_node_s *node);

/* Takes the values of a mapping by its rules (at most 32): unknown, repeated and missing keys are
 * errors. */
MUST_CHECK enum status yaml_mapping(struct yaml_walk *walk, struct yaml_node_s *node,
                                    const struct yaml_rule *rules, size_t rule_count, void *into);

/* Takes every entry of a list in its order. `what` names it in the error: "a list of …". */
MUST_CHECK enum status yaml_list(struct yaml_walk *walk, struct yaml_node_s *node, const char *what,
                                 yaml_take *take, void *into);

/* A string without NUL, copied to walk->strings and followed by a NUL there. */
MUST_CHECK enum status yaml_text(struct yaml_walk *walk, struct yaml_node_s *node,
                                 struct slice *out);

/* As yaml_text, and without control characters. */
MUST_CHECK enum status yaml_text_line(struct yaml_walk *walk, struct yaml_node_s *node,
                                      struct slice *out);

/* A number from 1 to `max`. */
MUST_CHECK enum status yaml_number(struct yaml_walk *walk, struct yaml_node_s *node, uint64_t max,
                                   uint64_t *out);

/* One of a list of words; *index gets its place. */
MUST_CHECK enum status yaml_word(struct yaml_walk *walk, struct yaml_node_s *node,
                                 const char *const *words, size_t count, size_t *index);

#endif
