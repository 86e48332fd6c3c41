/* scheme_template.h - texts with placeholders, such as "{id}.{timestamp}.{body}".
 *
 * A placeholder is a brace, one of the names below, and a brace; other braces are text, so that
 * JSON can be written as it is. A template is compiled once into parts and then only walked.
 */
#ifndef TROTLINE_WIRE_SCHEME_TEMPLATE_H
#define TROTLINE_WIRE_SCHEME_TEMPLATE_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

enum template_field {
    FIELD_ID,
    FIELD_TYPE,
    FIELD_TIMESTAMP,       /* of the attempt, in the scheme's unit */
    FIELD_EVENT_TIMESTAMP, /* RFC 3339 */
    FIELD_VERSION,
    FIELD_SOURCE,
    FIELD_DATA,
    FIELD_BODY,
    FIELD_SIGNATURE,
    FIELD_LITERAL /* no placeholder; also the number of placeholders */
};

#define FIELD_BIT(field) (1U << (field))

enum { TEMPLATE_PARTS_MAX = 16 };

struct template_part {
    enum template_field field;
    struct slice literal; /* FIELD_LITERAL: into the template's text */
};

struct template
{
    struct template_part parts[TEMPLATE_PARTS_MAX];
    size_t count;
    unsigned fields; /* FIELD_BIT of each placeholder in it */
};

/* Compiles `text`, which must outlive the template. `allowed` are the placeholders that make sense
 * here. ST_SYNTAX: there is no such placeholder; ST_RANGE: it makes no sense here; ST_LIMIT: more
 * than TEMPLATE_PARTS_MAX parts. *what is then a static sentence and *at the part of the text it is
 * about. */
MUST_CHECK enum status template_compile(struct template *template, struct slice text,
                                        unsigned allowed, const char **what, struct slice *at);

/* The parts with the values put in; `slices` has room for TEMPLATE_PARTS_MAX. Returns their number.
 */
size_t template_slices(const struct template *template, const struct slice values[FIELD_LITERAL],
                       struct slice *slices);

/* True when every placeholder can be found in a text again: no two stand side by side, and none is
 * there twice. */
bool template_matchable(const struct template *template);

/* The other direction: finds the values in a text that was made from the template. A value ends
 * where the text behind it first occurs, and is not empty. Only for matchable templates. False: the
 * text is not of this form; values of placeholders found by then are set. */
bool template_match(const struct template *template, struct slice text,
                    struct slice values[FIELD_LITERAL]);

#endif
