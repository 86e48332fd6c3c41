/* config_option.h - the one table of options, and how a text becomes a value of one.
 *
 * Used by config*.c and the tests only; the rest of the program reads struct config.
 */
#ifndef TROTLINE_APP_CONFIG_OPTION_H
#define TROTLINE_APP_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/config.h"
#include "base/buf.h"
#include "base/status.h"

enum config_type {                       /* the type of the field: */
                   CONFIG_TYPE_BOOL,     /* bool */
                   CONFIG_TYPE_NUMBER,   /* uint64_t */
                   CONFIG_TYPE_DURATION, /* uint64_t, milliseconds */
                   CONFIG_TYPE_SIZE,     /* uint64_t, bytes */
                   CONFIG_TYPE_FRACTION, /* double, 0 to 1 */
                   CONFIG_TYPE_STRING,   /* char * */
                   CONFIG_TYPE_ENUM,     /* an enum that counts from 0 in the order of `choices` */
                   CONFIG_TYPE_ADDRESS,  /* struct address */
                   CONFIG_TYPE_STRING_LIST,   /* struct config_strings */
                   CONFIG_TYPE_DURATION_LIST, /* struct config_durations */
};

struct config_option {
    const char *name; /* as in the file; "group.name" is `name` under `group` */
    enum config_type type;
    size_t offset;               /* of the field in struct config */
    const char *fallback;        /* the default, as it would be given with --set */
    uint64_t min, max;           /* number, duration (ms), size (bytes); of each item in a list */
    const char *const *choices;  /* enum: the values' names, NULL at the end */
    bool (*valid)(const char *); /* string, each item of a list of strings; NULL: anything */
    const char *form;            /* what `valid` accepts, or many choices, in words */
    const char *unit;            /* of a number: what is counted */
    const char *help;            /* sentences */
    bool secret;                 /* its value is never printed */
};

extern const struct config_option config_options[];
extern const size_t config_options_count;

/* NULL when there is no option of that name. */
const struct config_option *config_option_find(const char *name);

static inline bool config_option_is_list(const struct config_option *option)
{
    return option->type == CONFIG_TYPE_STRING_LIST || option->type == CONFIG_TYPE_DURATION_LIST;
}

/* ---- Texts and values (config_value.c) ------------------------------------------------------- */

/* What was written for one option. A scalar has exactly one item. Borrowed. */
struct config_text {
    char *const *items;
    size_t count;
};

/* Puts the value into the option's field, replacing and freeing what was there. ST_RANGE: not
 * acceptable; one sentence that says what is allowed is appended to `reason`, and the field stays
 * as it was. ST_NOMEM. */
MUST_CHECK enum status config_value_set(struct config *config, const struct config_option *option,
                                        struct config_text text, struct buf *reason);

/* Frees what the field holds and sets it to zeros. */
void config_value_clear(struct config *config, const struct config_option *option);

/* What an option accepts, in words: "1 to 10000 connections", "1ms to 1h", "true or false". */
void config_value_add_allowed(struct buf *out, const struct config_option *option);

/* The text in double quotes and cut to a readable length; or that it is not shown, when the option
 * is secret or the text looks like a URL with a password. */
void config_value_add_quoted(struct buf *out, const struct config_option *option, const char *text);

/* ---- Who set what (config.c) ----------------------------------------------------------------- */

enum config_origin { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_COMMAND_LINE };

/* "default", "file", "command line". */
const char *config_origin_name(enum config_origin origin);

struct config_given {
    enum config_origin origin;
    char *text; /* a list's items are joined with ", "; of a secret one only their number */
};

#endif
