/* scheme_template.c - texts with placeholders. */
#include "wire/scheme_template.h"

static const struct slice names[FIELD_LITERAL] = {
    [FIELD_ID] = {"id", 2},
    [FIELD_TYPE] = {"type", 4},
    [FIELD_TIMESTAMP] = {"timestamp", 9},
    [FIELD_EVENT_TIMESTAMP] = {"event_timestamp", 15},
    [FIELD_VERSION] = {"version", 7},
    [FIELD_SOURCE] = {"source", 6},
    [FIELD_DATA] = {"data", 4},
    [FIELD_BODY] = {"body", 4},
    [FIELD_SIGNATURE] = {"signature", 9},
};

/* ---- Compiling ------------------------------------------------------------------------------- */

static enum template_field field_of(struct slice name)
{
    enum template_field field = 0;
    while (field < FIELD_LITERAL && !slice_eq(names[field], name))
        field++;
    return field;
}

/* The placeholder that begins at text[at], with its braces; empty when there is none. */
static struct slice placeholder_at(struct slice text, size_t at)
{
    size_t end = at + 1;
    if (text.ptr[at] != '{')
        return slice_of(text.ptr + at, 0);
    while (end < text.len &&
           ((text.ptr[end] >= 'a' && text.ptr[end] <= 'z') || text.ptr[end] == '_'))
        end++;
    bool closed = end > at + 1 && end < text.len && text.ptr[end] == '}';
    return slice_of(text.ptr + at, closed ? end + 1 - at : 0);
}

static enum status part_add(struct template *template, enum template_field field,
                            struct slice literal, const char **what)
{
    if (template->count == TEMPLATE_PARTS_MAX) {
        *what = "too many placeholders";
        return ST_LIMIT;
    }
    template->parts[template->count++] = (struct template_part){field, literal};
    return ST_OK;
}

static enum status placeholder_add(struct template *template, struct slice placeholder,
                                   unsigned allowed, const char **what)
{
    struct slice name = slice_of(placeholder.ptr + 1, placeholder.len - 2);
    enum template_field field = field_of(name);
    if (field == FIELD_LITERAL) {
        *what = "there is no such placeholder";
        return ST_SYNTAX;
    }
    if (!(allowed & FIELD_BIT(field))) {
        *what = "this placeholder cannot be used here";
        return ST_RANGE;
    }
    template->fields |= FIELD_BIT(field);
    return part_add(template, field, SLICE_NULL, what);
}

enum status template_compile(struct template *template, struct slice text, unsigned allowed,
                             const char **what, struct slice *at)
{
    enum status status = ST_OK;
    size_t literal = 0; /* where the text began that is not yet in a part */
    *template = (struct template){.count = 0};
    for (size_t i = 0; i <= text.len && status == ST_OK;) {
        *at = i < text.len ? placeholder_at(text, i) : SLICE_NULL;
        if (i < text.len && at->len == 0) {
            i++;
            continue;
        }
        if (i > literal)
            status =
                part_add(template, FIELD_LITERAL, slice_of(text.ptr + literal, i - literal), what);
        if (status == ST_OK && i < text.len)
            status = placeholder_add(template, *at, allowed, what);
        i += at->len > 0 ? at->len : 1;
        literal = i;
    }
    return status;
}

/* ---- Walking --------------------------------------------------------------------------------- */

size_t template_slices(const struct template *template, const struct slice values[FIELD_LITERAL],
                       struct slice *slices)
{
    for (size_t i = 0; i < template->count; i++) {
        const struct template_part *part = &template->parts[i];
        slices[i] = part->field == FIELD_LITERAL ? part->literal : values[part->field];
    }
    return template->count;
}

bool template_matchable(const struct template *template)
{
    unsigned seen = 0;
    for (size_t i = 0; i < template->count; i++) {
        enum template_field field = template->parts[i].field;
        if (field == FIELD_LITERAL)
            continue;
        bool follows = i > 0 && template->parts[i - 1].field != FIELD_LITERAL;
        if (follows || (seen & FIELD_BIT(field)))
            return false;
        seen |= FIELD_BIT(field);
    }
    return true;
}

bool template_match(const struct template *template, struct slice text,
                    struct slice values[FIELD_LITERAL])
{
    for (size_t i = 0; i < template->count; i++) {
        const struct template_part *part = &template->parts[i];
        if (part->field == FIELD_LITERAL) {
            if (!slice_starts(text, part->literal))
                return false;
            text = slice_from(text, part->literal.len);
            continue;
        }
        size_t len = text.len;
        if (i + 1 < template->count) {
            struct slice next = template->parts[i + 1].literal;
            const char *end = text.len > 0 ? memmem(text.ptr, text.len, next.ptr, next.len) : NULL;
            if (!end)
                return false;
            len = (size_t)(end - text.ptr);
        }
        if (len == 0)
            return false;
        values[part->field] = slice_of(text.ptr, len);
        text = slice_from(text, len);
    }
    return text.len == 0;
}
