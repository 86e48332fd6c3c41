/* json_walk.h - steps through JSON that has been checked: in one pass, without a tree and without
 * memory, into what is wanted and over what is not.
 *
 *     struct json_walk walk = json_walk_begin(text);
 *     if (json_walk_type(&walk) == JSON_OBJECT) {
 *         json_walk_enter(&walk);
 *         while (json_walk_more(&walk)) {
 *             struct slice name = json_walk_name(&walk);
 *             …the value: json_walk_scalar(), json_walk_skip(), or enter it in the same way
 *         }
 *     }
 *
 * The text must have passed json_check(), as the payload of every event has; nothing is checked
 * here again. json_scan.h has what checks and splits in one go.
 */
#ifndef TROTLINE_BASE_JSON_WALK_H
#define TROTLINE_BASE_JSON_WALK_H

#include "base/json_scan.h"

/* A place in the text: before a value, except where a function says otherwise. */
struct json_walk {
    const char *at;
    const char *end;
};

struct json_walk json_walk_begin(struct slice text);

/* The kind of the value that comes. */
enum json_type json_walk_type(const struct json_walk *walk);

/* Passes a value and returns it; a string comes with its quotes. */
struct slice json_walk_scalar(struct json_walk *walk); /* no object and no array */
void json_walk_skip(struct json_walk *walk);           /* whatever it is */

/* Enters an object or an array: json_walk_more() must come next. */
void json_walk_enter(struct json_walk *walk);

/* Inside a container, at its beginning or behind one of its parts: true when another part comes,
 * which is then next (in an object its name: call json_walk_name()); false when there was none, and
 * the container has been passed. */
bool json_walk_more(struct json_walk *walk);

/* A member's name, with its quotes; its value is next. */
struct slice json_walk_name(struct json_walk *walk);

/* Inside a container, at its beginning or behind one of its parts: passes the rest of it. */
void json_walk_leave(struct json_walk *walk);

/* The text that a JSON string (with its quotes) stands for, compared with `text`: escapes count as
 * what they mean, order is that of the UTF-8 bytes. */
int json_text_compare(struct slice quoted, struct slice text); /* as memcmp() */
bool json_text_eq(struct slice quoted, struct slice text);
bool json_text_starts(struct slice quoted, struct slice prefix);
bool json_text_ends(struct slice quoted, struct slice suffix);

#endif
