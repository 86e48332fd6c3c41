/* media_type.c - reading Content-Type: `type/subtype; name=value; name="value"`.
 *
 * Only `charset` is looked at, because JSON in another encoding would be read as nonsense
 * (RFC 8259 section 8.1 knows UTF-8 only).
 */
#include "api/media_type.h"

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts *rest at the first `mark` and returns what stood before it; all of it if there is none. */
static struct slice cut(struct slice *rest, char mark)
{
    const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->ptr) : rest->len;
    struct slice head = slice_of(rest->ptr, len);
    *rest = slice_from(*rest, at ? len + 1 : len);
    return trim(head);
}

struct slice media_type_essence(struct slice content_type)
{
    return cut(&content_type, ';');
}

static bool ends_nocase(struct slice s, struct slice end)
{
    return s.len >= end.len && slice_eq_nocase(slice_from(s, s.len - end.len), end);
}

static bool is_json(struct slice essence)
{
    struct slice application = SLICE("application/");
    if (slice_eq_nocase(essence, SLICE("application/json")))
        return true;
    return essence.len > application.len + strlen("+json") &&
           slice_eq_nocase(slice_of(essence.ptr, application.len), application) &&
           ends_nocase(essence, SLICE("+json"));
}

bool media_type_is_json(struct slice content_type)
{
    if (!is_json(cut(&content_type, ';')))
        return false;
    while (content_type.len > 0) {
        struct slice value = cut(&content_type, ';');
        struct slice name = cut(&value, '=');
        if (!slice_eq_nocase(name, SLICE("charset")))
            continue;
        value = trim(value);
        if (!slice_eq_nocase(value, SLICE("utf-8")) && !slice_eq_nocase(value, SLICE("\"utf-8\"")))
            return false;
    }
    return true;
}

static bool is_msgpack(struct slice essence)
{
    return slice_eq_nocase(essence, SLICE("application/msgpack")) ||
           slice_eq_nocase(essence, SLICE("application/vnd.msgpack")) ||
           slice_eq_nocase(essence, SLICE("application/x-msgpack"));
}

enum media_type media_type_of(struct slice content_type)
{
    struct slice essence = media_type_essence(content_type);
    if (!content_type.ptr)
        return MEDIA_JSON;
    if (is_msgpack(essence))
        return MEDIA_MSGPACK;
    if (!media_type_is_json(content_type))
        return MEDIA_OTHER;
    if (slice_eq_nocase(essence, SLICE("application/cloudevents+json")))
        return MEDIA_CLOUDEVENT;
    if (slice_eq_nocase(essence, SLICE("application/cloudevents-batch+json")))
        return MEDIA_CLOUDEVENT_BATCH;
    return MEDIA_JSON;
}
