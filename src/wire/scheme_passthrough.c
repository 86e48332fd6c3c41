/* scheme_passthrough.c - the scheme that sends a received request as it came.
 *
 * Its receiver verifies the origin by itself, with the third party's secret, so there is nothing to
 * sign and nothing to describe: body and headers are the record's. What it adds tells of the
 * gateway, under names that no kept header has (event_headers.h).
 *
 * It is made here and not read from a file: the language of files describes what is written and
 * signed, and this does neither.
 */
#include <stdlib.h>

#include "base/timefmt.h"
#include "wire/event_headers.h"
#include "wire/scheme_private.h"

struct scheme *scheme_passthrough_new(void)
{
    struct scheme *scheme = calloc(1, sizeof(*scheme));
    if (!scheme)
        return NULL;
    scheme->name = SLICE("passthrough");
    scheme->description = SLICE("a received request as it came, for those who verify its origin");
    scheme->secret_rule = "It takes no secret: the signature is the sender's.";
    scheme->passthrough = scheme->sends = true;
    return scheme;
}

bool scheme_passes_through(const struct scheme *scheme)
{
    return scheme->passthrough;
}

static void line_add(struct buf *lines, size_t *count, const char *name, struct slice value)
{
    buf_add_str(lines, name);
    buf_add_slice(lines, value);
    buf_add_char(lines, '\0');
    ++*count;
}

static void time_add(struct buf *lines, size_t *count, const char *name, uint64_t unix_ms)
{
    buf_add_str(lines, name);
    time_format_rfc3339(lines, unix_ms);
    buf_add_char(lines, '\0');
    ++*count;
}

/* Of a published event nothing was received, and its `source` is only what the producer says. */
static void received_add(struct buf *lines, size_t *count, const struct event_record *record)
{
    line_add(lines, count, "Trotline-Source: ", record->source);
    time_add(lines, count, "Trotline-Received-At: ", record->received_ms);
    line_add(lines, count,
             "Trotline-Verified: ", record->verified ? SLICE("true") : SLICE("false"));
}

void scheme_original_headers(struct slice id, const struct event_record *record,
                             bool (*replaced)(void *arg, struct slice name), void *arg,
                             struct buf *lines, size_t *count)
{
    struct slice headers = record->headers, name, value;
    struct slice type = record->content_type;
    *count = 0;
    while (event_headers_next(&headers, &name, &value)) {
        if (replaced(arg, name))
            continue;
        /* the whole line, up to its NUL */
        buf_add(lines, name.ptr, (size_t)(value.ptr + value.len + 1 - name.ptr));
        ++*count;
    }
    if (!type.ptr)
        type =
            record->received_ms > 0 ? SLICE("application/octet-stream") : SLICE("application/json");
    line_add(lines, count, "Content-Type: ", type);
    line_add(lines, count, "Trotline-Event-Id: ", id);
    line_add(lines, count, "Trotline-Event-Type: ", record->type);
    if (record->received_ms > 0)
        received_add(lines, count, record);
}
