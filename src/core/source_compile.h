/* source_compile.h - from a source's document, as a tree, to its fields. Inside the core. */
#ifndef TROTLINE_CORE_SOURCE_COMPILE_H
#define TROTLINE_CORE_SOURCE_COMPILE_H

#include "core/source_document.h"

struct json_t;

/* What a member is taken with. */
struct source_compile {
    const struct source_rules *rules;
    struct source *source;
    struct field_error *error;
    bool stored; /* it was accepted before */
};

/* Takes one member. ST_RANGE with the error filled; ST_NOMEM. */
typedef enum status source_take(struct source_compile *c, struct json_t *value);

/* Checks every member and fills in all fields but `document`, `shown` and `from_file`. Unknown
 * members have been refused before. ST_RANGE with *error filled, or ST_NOMEM; *out is then NULL. */
MUST_CHECK enum status source_compile(const struct source_rules *rules, struct json_t *document,
                                      bool stored, struct source **out, struct field_error *error);

/* source_members.c: what a source accepts, and what becomes of it. */
source_take source_take_allowed_networks, source_take_trusted_proxies, source_take_methods,
    source_take_content_types, source_take_max_body_bytes, source_take_event_id,
    source_take_event_type, source_take_type_prefix, source_take_deduplication, source_take_reply,
    source_take_keep_headers;

/* The texts of a list of strings: at most `max` and at least one, each not empty. A single string
 * is a list of one when `single` says so. Points into `value`. ST_RANGE: not one. */
MUST_CHECK enum status source_strings(struct json_t *value, size_t max, bool single,
                                      struct slice *texts, size_t *count);

#endif
