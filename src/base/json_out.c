/* json_out.c - JSON written straight into a buffer.
 *
 * One flag is enough for the commas at all depths: behind an opening bracket or a key none is due,
 * behind a value or a closing bracket one is.
 */
#include "base/json_out.h"

#include <assert.h>

#include "base/parse.h"
#include "base/timefmt.h"
#include "base/utf8.h"

/* ---- Strings --------------------------------------------------------------------------------- */

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Appends what stands for the bytes at `at`, and returns how many bytes that was. */
static size_t add_special(struct buf *buf, const char *at, const char *end)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_names[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    unsigned char c = (unsigned char)*at;
    if (c >= 0x80) {
        size_t len = utf8_length(at, end);
        if (len > 0)
            buf_add(buf, at, len);
        else
            buf_add_str(buf, "\xef\xbf\xbd"); /* U+FFFD */
        return len > 0 ? len : 1;
    }
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
    return 1;
}

void json_out_string(struct buf *buf, struct slice utf8)
{
    buf_add_char(buf, '"');
    for (size_t at = 0; at < utf8.len;) {
        size_t plain = at;
        while (plain < utf8.len && is_plain((unsigned char)utf8.ptr[plain]))
            plain++;
        buf_add(buf, utf8.ptr + at, plain - at);
        at = plain;
        if (at < utf8.len)
            at += add_special(buf, utf8.ptr + at, utf8.ptr + utf8.len);
    }
    buf_add_char(buf, '"');
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
