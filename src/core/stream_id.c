/* stream_id.c - the id of an entry of a Redis stream. */
#include "core/stream_id.h"

#include "base/parse.h"

enum status stream_id_parse(struct slice text, struct stream_id *id)
{
    const char *dash = text.len > 0 ? memchr(text.ptr, '-', text.len) : NULL;
    if (!dash)
        return ST_SYNTAX;
    size_t len = (size_t)(dash - text.ptr);
    if (parse_u64(slice_of(text.ptr, len), &id->ms) != ST_OK ||
        parse_u64(slice_from(text, len + 1), &id->sequence) != ST_OK)
        return ST_SYNTAX;
    return ST_OK;
}

struct slice stream_id_format(const struct stream_id *id, char out[STREAM_ID_TEXT])
{
    char digits[DIGITS_MAX];
    struct slice ms = digits_u64(digits, id->ms);
    char *end = mempcpy(out, ms.ptr, ms.len);
    *end++ = '-';
    struct slice sequence = digits_u64(digits, id->sequence);
    end = mempcpy(end, sequence.ptr, sequence.len);
    *end = '\0';
    return slice_of(out, (size_t)(end - out));
}

int stream_id_compare(const struct stream_id *a, const struct stream_id *b)
{
    if (a->ms != b->ms)
        return a->ms < b->ms ? -1 : 1;
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

struct stream_id stream_id_next(const struct stream_id *id)
{
    struct stream_id next = *id;
    if (next.sequence < UINT64_MAX) {
        next.sequence++;
    } else if (next.ms < UINT64_MAX) {
        next.ms++;
        next.sequence = 0;
    }
    return next;
}
