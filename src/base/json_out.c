/* json_out.c - JSON written straight into a buffer.
 *
 * One flag is enough for the commas at all depths: behind an opening bracket or a key none is due,
 * behind a value or a closing bracket one is.
 */
#include "base/json_out.h"

#include <assert.h>

#include "base/json_plain.h"
#include "base/parse.h"
#include "base/timefmt.h"
#include "base/utf8.h"

/* ---- Strings --------------------------------------------------------------------------------- */

/* Appends what stands for a byte of ASCII that is not plain. */
static void add_escape(struct buf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_names[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char escape[] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
    if (c >= 0x20) {
        buf_add(buf, escape, 2); /* a quote or a backslash */
    } else if (short_names[c] != '\0') {
        escape[1] = short_names[c];
        buf_add(buf, escape, 2);
    } else {
        escape[1] = 'u';
        buf_add(buf, escape, 6);
    }
}

/* Appends what can stand as it is, and returns where that ends: at a byte that needs an escape, or
 * is not UTF-8, or at `end`. */
static const char *add_run(struct buf *buf, const char *at, const char *end)
{
    const char *run = at;
    for (size_t len = 1; len > 0;) {
        at = json_skip_plain(at, end);
        len = at < end && (unsigned char)*at >= 0x80 ? utf8_length(at, end) : 0;
        at += len;
    }
    buf_add(buf, run, (size_t)(at - run));
    return at;
}

/* False: some of it is not UTF-8. */
static bool add_special(struct buf *buf, const char *at, const char *end)
{
    bool good = true;
    buf_add_char(buf, '"');
    while ((at = add_run(buf, at, end)) < end) {
        if ((unsigned char)*at < 0x80) {
            add_escape(buf, (unsigned char)*at);
        } else {
            good = false;
            buf_add_str(buf, "\xef\xbf\xbd"); /* U+FFFD */
        }
        at++;
    }
    buf_add_char(buf, '"');
    return good;
}

/* Most strings are plain from end to end. The same is returned. */
static bool add_string(struct buf *buf, struct slice utf8)
{
    char *to = buf_reserve(buf, utf8.len + 2);
    if (!to)
        return utf8_valid(utf8);
    if (utf8.len > 0) {
        const char *end = utf8.ptr + utf8.len;
        if (!json_all_plain(utf8.ptr, end))
            return add_special(buf, utf8.ptr, end);
        memcpy(to + 1, utf8.ptr, utf8.len);
    }
    to[0] = to[utf8.len + 1] = '"';
    buf->len += utf8.len + 2;
    return true;
}

void json_out_string(struct buf *buf, struct slice utf8)
{
    (void)add_string(buf, utf8); /* what is not UTF-8 was replaced */
}

bool json_out_utf8(struct buf *buf, struct slice text)
{
    return add_string(buf, text);
}

/* ---- Structure ------------------------------------------------------------------------------- */

static inline bool in_object(const struct json_out *out)
{
    return out->depth > 0 && (out->objects >> (out->depth - 1) & 1);
}

void json_out_begin(struct json_out *out, struct buf *buf)
{
    *out = (struct json_out){.buf = buf};
}

/* Before every value. */
static void value_begin(struct json_out *out)
{
    assert(in_object(out) == out->keyed);  /* in an object a key comes first, elsewhere never */
    assert(out->depth > 0 || !out->comma); /* only one value outside of all brackets */
    if (out->comma)
        buf_add_char(out->buf, ',');
    out->comma = true;
    out->keyed = false;
}

static void container_open(struct json_out *out, char bracket, bool object)
{
    value_begin(out);
    assert(out->depth < JSON_OUT_DEPTH);
    uint64_t bit = UINT64_C(1) << out->depth++;
    out->objects = object ? out->objects | bit : out->objects & ~bit;
    out->comma = false;
    buf_add_char(out->buf, bracket);
}

static void container_close(struct json_out *out, char bracket)
{
    assert(out->depth > 0 && !out->keyed);
    out->depth--;
    out->comma = true;
    buf_add_char(out->buf, bracket);
}

void json_object_open(struct json_out *out)
{
    container_open(out, '{', true);
}

void json_object_close(struct json_out *out)
{
    assert(in_object(out));
    container_close(out, '}');
}

void json_array_open(struct json_out *out)
{
    container_open(out, '[', false);
}

void json_array_close(struct json_out *out)
{
    assert(!in_object(out));
    container_close(out, ']');
}

void json_key(struct json_out *out, const char *name)
{
    json_key_slice(out, slice_str(name));
}

void json_key_slice(struct json_out *out, struct slice name)
{
    assert(in_object(out) && !out->keyed);
    if (out->comma)
        buf_add_char(out->buf, ',');
    json_out_string(out->buf, name);
    buf_add_char(out->buf, ':');
    out->comma = false;
    out->keyed = true;
}

/* ---- Values ---------------------------------------------------------------------------------- */

void json_value_str(struct json_out *out, const char *string)
{
    json_value_slice(out, slice_str(string));
}

void json_value_slice(struct json_out *out, struct slice utf8)
{
    value_begin(out);
    json_out_string(out->buf, utf8);
}

void json_value_u64(struct json_out *out, uint64_t value)
{
    value_begin(out);
    buf_add_u64(out->buf, value);
}

void json_value_i64(struct json_out *out, int64_t value)
{
    value_begin(out);
    buf_add_i64(out->buf, value);
}

void json_value_bool(struct json_out *out, bool value)
{
    json_value_raw(out, value ? SLICE("true") : SLICE("false"));
}

void json_value_null(struct json_out *out)
{
    json_value_raw(out, SLICE("null"));
}

void json_value_raw(struct json_out *out, struct slice json)
{
    value_begin(out);
    buf_add_slice(out->buf, json);
}

void json_value_time_ms(struct json_out *out, uint64_t unix_ms)
{
    value_begin(out);
    buf_add_char(out->buf, '"');
    time_format_rfc3339(out->buf, unix_ms);
    buf_add_char(out->buf, '"');
}

void json_value_duration_ms(struct json_out *out, uint64_t ms)
{
    value_begin(out);
    buf_add_char(out->buf, '"');
    format_duration(out->buf, ms);
    buf_add_char(out->buf, '"');
}

/* ---- Members --------------------------------------------------------------------------------- */

void json_member_str(struct json_out *out, const char *name, struct slice utf8)
{
    json_key(out, name);
    json_value_slice(out, utf8);
}

void json_member_cstr(struct json_out *out, const char *name, const char *string)
{
    json_key(out, name);
    json_value_str(out, string);
}

void json_member_str_or_null(struct json_out *out, const char *name, struct slice utf8)
{
    json_key(out, name);
    if (utf8.ptr)
        json_value_slice(out, utf8);
    else
        json_value_null(out);
}

void json_member_u64(struct json_out *out, const char *name, uint64_t value)
{
    json_key(out, name);
    json_value_u64(out, value);
}

void json_member_i64(struct json_out *out, const char *name, int64_t value)
{
    json_key(out, name);
    json_value_i64(out, value);
}

void json_member_bool(struct json_out *out, const char *name, bool value)
{
    json_key(out, name);
    json_value_bool(out, value);
}

void json_member_null(struct json_out *out, const char *name)
{
    json_key(out, name);
    json_value_null(out);
}

void json_member_raw(struct json_out *out, const char *name, struct slice json)
{
    json_key(out, name);
    json_value_raw(out, json);
}

void json_member_time_ms(struct json_out *out, const char *name, uint64_t unix_ms)
{
    json_key(out, name);
    json_value_time_ms(out, unix_ms);
}
