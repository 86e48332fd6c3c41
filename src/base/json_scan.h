/* json_scan.h - is this JSON, and where are its parts? Without a tree and without memory.
 *
 * Strict RFC 8259: one value with blanks around it, no byte order mark, UTF-8 throughout, no raw
 * control characters in strings, nesting up to LIMIT_JSON_DEPTH (an array by itself has depth 1).
 * Beyond the grammar, a \u escape of half a surrogate pair is refused: section 8.2 lets it pass but
 * calls the result unpredictable, and indeed some of our receivers' parsers fail on it (jansson,
 * Rust's serde_json) and others replace it, so that the event they get is not the one that was
 * signed. Numbers may be of any size and are not evaluated.
 *
 * Everything found is a slice of the text. All functions that return a status take a `struct
 * json_error`, which may be NULL and is written only on failure:
 *
 *   ST_SYNTAX  not JSON, or not of the asked kind
 *   ST_LIMIT   nested too deep, or more parts than `max`; what lies behind was not looked at
 */
#ifndef TROTLINE_BASE_JSON_SCAN_H
#define TROTLINE_BASE_JSON_SCAN_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* jansson.h has constants of the same names, and these are its numbers. A file that needs both
 * headers includes jansson.h first, and converts a `type` to int before it compares. */
#ifndef JANSSON_H
enum json_type {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER, /* jansson has two kinds */
    JSON_TRUE = 5,
    JSON_FALSE,
    JSON_NULL
};
#else
enum json_type { JSON_NUMBER = JSON_INTEGER };
#endif

/* "object", "array", "string", "number", "true", "false", "null". Static memory. */
const char *json_type_name(enum json_type type);

/* Of the value that begins with this byte. */
enum json_type json_type_of(char first);

struct json_error {
    size_t offset;      /* of the byte that is wrong; the text's length when it ends too early */
    const char *reason; /* static memory */
};

struct json_member {
    struct slice name;  /* the bytes between the quotes, escapes and all */
    struct slice value; /* with its quotes, brackets or braces, without blanks around it */
    enum json_type type;
    bool name_escaped; /* there is a backslash in the name */
};

struct json_item {
    struct slice value;
    enum json_type type;
};

/* Is the text one JSON value? Equal names in an object are not looked for (RFC 8259 section 4
 * allows them). */
MUST_CHECK enum status json_check(struct slice text, struct json_error *error);

/* The same for an object, and its members in the order of the text. ST_SYNTAX also when two of them
 * have the same name (after unescaping; objects further down are not looked at), because receivers
 * disagree about which counts. Names are compared in pairs: keep `max` at some tens. `count` and
 * `members` are meaningless after a failure. */
MUST_CHECK enum status json_members(struct slice text, struct json_member *members, size_t max,
                                    size_t *count, struct json_error *error);

/* The same for an array and its items. */
MUST_CHECK enum status json_items(struct slice text, struct json_item *items, size_t max,
                                  size_t *count, struct json_error *error);

/* The member with that name (given without escapes), or NULL. */
const struct json_member *json_find(const struct json_member *members, size_t count,
                                    struct slice name);

/* Do their names say the same? */
bool json_same_name(const struct json_member *a, const struct json_member *b);

/* Appends the text of a JSON string, given with its quotes. ST_SYNTAX when it is none, and then
 * nothing is appended; else the status of `out`. For a member's name give the slice that begins one
 * byte earlier and is two bytes longer. */
MUST_CHECK enum status json_unescape(struct slice quoted, struct buf *out);

/* The character at *at, which is inside a valid string that ends (without its quote) at `end` and
 * is passed: one escape or one sequence of UTF-8. *at is before `end`. */
uint32_t json_next_point(const char **at, const char *end);

/* True when a valid string, given with its quotes or without, has no escapes: what is between the
 * quotes is its text. */
bool json_string_is_plain(struct slice quoted);

#endif
