/* event_headers.c - the headers that are kept of a received request.
 *
 * What may not be kept is refused here, when a request is received, and nowhere later: a record
 * never holds it. The form is that of the lines which outbound takes (net/outbound.h), so that they
 * can be sent as they are.
 *
 * Rejected: a msgpack map in the record, which would be written and read name by name for what is
 * only ever copied; and refusing a request for a header that cannot be kept: it was signed by a
 * third party who can do nothing about it.
 */
#include "wire/event_headers.h"

#include "base/ascii.h"
#include "base/limits.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of the connection, of the way to here, or written anew. One that ends in '-' stands for all that
 * begin with it. */
static const struct slice reserved[] = {
    SLICE("connection"),
    SLICE("keep-alive"),
    SLICE("proxy-"),
    SLICE("te"),
    SLICE("trailer"),
    SLICE("trailers"),
    SLICE("upgrade"),
    SLICE("transfer-encoding"),
    SLICE("http2-settings"),
    SLICE("host"),
    SLICE("expect"),
    SLICE("content-length"),
    SLICE("content-type"),
    SLICE("traceparent"),
    SLICE("tracestate"),
    SLICE("forwarded"),
    SLICE("accept-encoding"),
    SLICE("x-forwarded-"),
    SLICE("via"),
    SLICE("x-real-ip"),
    SLICE("trotline-"),
};

static bool names_it(struct slice entry, struct slice name)
{
    if (slice_ends(entry, SLICE("-")) && name.len > entry.len)
        name.len = entry.len;
    return slice_eq_nocase(name, entry);
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = slice_from(text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Is the name in a list such as "close, X-Hop"? */
static bool is_listed(struct slice list, struct slice name)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (slice_eq_nocase(trim(slice_of(list.ptr, len)), name))
            return true;
        list = slice_from(list, len + 1);
    }
    return false;
}

bool event_header_allowed(struct slice name, struct slice connection)
{
    for (size_t i = 0; i < COUNT(reserved); i++)
        if (names_it(reserved[i], name))
            return false;
    return !is_listed(connection, name);
}

/* ---- The bytes ------------------------------------------------------------------------------ */

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == ':' || c >= 0x7f)
            return false;
    }
    return name.len > 0;
}

static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool event_headers_add(struct buf *headers, struct slice name, struct slice value)
{
    size_t bytes = name.len + value.len + sizeof(": ");
    if (!is_name(name) || !is_value(value) || headers->len + bytes > LIMIT_EVENT_HEADERS_BYTES ||
        !buf_reserve(headers, bytes))
        return false;
    buf_add_slice(headers, name);
    buf_add(headers, ": ", 2);
    buf_add_slice(headers, value);
    buf_add_char(headers, '\0');
    return true;
}

bool event_headers_next(struct slice *headers, struct slice *name, struct slice *value)
{
    const char *end = headers->len > 0 ? memchr(headers->ptr, '\0', headers->len) : NULL;
    if (!end)
        return false;
    struct slice line = slice_of(headers->ptr, (size_t)(end - headers->ptr));
    const char *colon = memmem(line.ptr, line.len, ": ", 2);
    if (!colon)
        return false;
    *name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    *value = slice_from(line, name->len + 2);
    *headers = slice_from(*headers, line.len + 1);
    return true;
}

bool event_header_secret(struct slice name)
{
    static const struct slice whole[] = {SLICE("authorization"), SLICE("cookie")};
    static const struct slice ends[] = {SLICE("token"), SLICE("secret"), SLICE("key")};
    for (size_t i = 0; i < COUNT(whole); i++)
        if (slice_eq_nocase(name, whole[i]))
            return true;
    for (size_t i = 0; i < COUNT(ends); i++)
        if (name.len >= ends[i].len &&
            slice_eq_nocase(slice_of(name.ptr + name.len - ends[i].len, ends[i].len), ends[i]))
            return true;
    return false;
}
