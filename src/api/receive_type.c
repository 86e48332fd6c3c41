/* receive_type.c - from what a sender calls an event to a type of ours.
 *
 * Every third party has its own spelling. Subscriptions are by segments between dots ("shop.*"), so
 * whatever separates segments there separates them here.
 */
#include "api/receive_type.h"

#include <string.h>

#include "base/ascii.h"

static char as_ours(char c)
{
    if (ascii_is_alnum(c) || c == '_' || c == '-')
        return c;
    return c == '.' || c == '/' || c == ':' || c == '#' ? '.' : '_';
}

/* No segment is empty: dots in a row are one, and none stands at the end. */
static size_t add_segments(char *text, size_t at, struct slice sent)
{
    size_t begin = at;
    for (size_t i = 0; i < sent.len && at < LIMIT_TYPE_BYTES; i++) {
        char c = as_ours(sent.ptr[i]);
        if (c != '.' || (at > begin && text[at - 1] != '.'))
            text[at++] = c;
    }
    while (at > begin && text[at - 1] == '.')
        at--;
    return at;
}

static bool has_name(struct slice sent)
{
    for (size_t i = 0; i < sent.len; i++)
        if (ascii_is_alnum(sent.ptr[i]))
            return true;
    return false;
}

struct slice receive_type(struct slice prefix, struct slice sent, char text[LIMIT_TYPE_BYTES])
{
    size_t at = 0;
    if (!has_name(sent))
        sent = SLICE("unknown");
    if (prefix.len > 0 && prefix.len + 1 < LIMIT_TYPE_BYTES) {
        memcpy(text, prefix.ptr, prefix.len);
        text[prefix.len] = '.';
        at = prefix.len + 1;
    }
    at = add_segments(text, at, sent);
    while (at > 0 && text[at - 1] == '.') /* the cut left no room for a segment */
        at--;
    return slice_of(text, at);
}
