/* scheme_event.c - what a verified request says it is: id and type; and what a source of a scheme
 * has to have.
 *
 * Ids and types are read behind the signature, so that a look into the body costs only those who
 * have signed it.
 */
#include <stdlib.h>

#include "wire/scheme_private.h"

enum { SOURCES_BYTES_MAX = 8192 };

struct scheme_sources {
    struct part_list list;
    struct buf strings;
};

/* ---- A source's own -------------------------------------------------------------------------- */

enum status scheme_sources_new(const struct slice *texts, size_t count,
                               struct scheme_sources **sources, size_t *wrong)
{
    const unsigned allowed = PART_BIT(PART_HEADER) | PART_BIT(PART_JSON) | PART_BIT(PART_QUERY) |
                             PART_BIT(PART_SHA256_HEX) | PART_BIT(PART_TEXT);
    size_t bytes = 1;
    *sources = NULL;
    *wrong = 0;
    for (size_t i = 0; i < count && bytes <= SOURCES_BYTES_MAX; i++)
        bytes += texts[i].len;
    if (count > SCHEME_SOURCES_MAX || bytes > SOURCES_BYTES_MAX)
        return ST_LIMIT;
    struct scheme_sources *made = calloc(1, sizeof(*made));
    if (!made)
        return ST_NOMEM;
    buf_init(&made->strings, bytes);
    /* All at once: the parts point into it. */
    enum status status = buf_reserve(&made->strings, bytes) ? ST_OK : ST_NOMEM;
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        size_t at = made->strings.len;
        buf_add_slice(&made->strings, texts[i]);
        struct slice text = slice_from(buf_slice(&made->strings), at);
        if (!part_compile(text, allowed, &made->list.parts[made->list.count++])) {
            *wrong = i;
            status = ST_SYNTAX;
        }
    }
    if (status == ST_OK)
        *sources = made;
    else
        scheme_sources_free(made);
    return status;
}

void scheme_sources_free(struct scheme_sources *sources)
{
    if (!sources)
        return;
    buf_free(&sources->strings);
    free(sources);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The first place that has something. */
static bool list_read(const struct part_list *list, const struct received *received,
                      struct buf *text)
{
    struct part_reader reader;
    bool found = false;
    part_reader_init(&reader, received);
    for (size_t i = 0; i < list->count && !found; i++) {
        struct slice value;
        found = part_read(&reader, &list->parts[i], &value) == PART_GIVEN && value.len > 0;
        if (found)
            buf_add_slice(text, value);
    }
    part_reader_deinit(&reader);
    return found && buf_status(text) == ST_OK;
}

bool scheme_event_id(const struct scheme *scheme, const struct scheme_sources *own,
                     const struct received *received, struct buf *text)
{
    return list_read(own ? &own->list : &scheme->receiving.ids, received, text);
}

bool scheme_event_type(const struct scheme *scheme, const struct scheme_sources *own,
                       const struct received *received, struct buf *text)
{
    return list_read(own ? &own->list : &scheme->receiving.types, received, text);
}

/* ---- What a source has to have --------------------------------------------------------------- */

bool scheme_receives(const struct scheme *scheme)
{
    return scheme->no_signature || scheme->receiving.given ||
           (scheme->sends && !scheme->passthrough);
}

bool scheme_needs_url(const struct scheme *scheme)
{
    return (scheme->receiving.signed_kinds & PART_BIT(PART_URL)) != 0;
}

bool scheme_needs_secret(const struct scheme *scheme)
{
    return !scheme->no_signature;
}

struct slice scheme_var(const struct scheme *scheme, size_t index)
{
    for (size_t i = 0; i < scheme->receiving.signed_count; i++) {
        const struct part *part = &scheme->receiving.signed_parts[i];
        if (part->kind == PART_VAR && index-- == 0)
            return part->name;
    }
    return SLICE_NULL;
}
