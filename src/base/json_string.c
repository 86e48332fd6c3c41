/* json_string.c - what a string of JSON says, once the scanner has found it well-formed. */
#include "base/ascii.h"
#include "base/json_scan.h"
#include "base/utf8.h"

uint32_t json_next_point(const char **at, const char *end)
{
    static const char escapes[] = "b\bf\fn\nr\rt\t";
    static const unsigned char lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const char *p = *at;
    if (*p != '\\') {
        size_t len = utf8_length(p, end);
        uint32_t point = (unsigned char)*p & lead_mask[len];
        for (size_t i = 1; i < len; i++)
            point = point << 6 | ((unsigned char)p[i] & 0x3f);
        *at = p + len;
        return point;
    }
    if (p[1] != 'u') {
        const char *escape = strchr(escapes, p[1]);
        *at = p + 2;
        return (unsigned char)(escape ? escape[1] : p[1]);
    }
    uint32_t unit = ascii_hex4(p + 2, end);
    *at = p + 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    *at = p + 12;
    return 0x10000 + ((unit - 0xd800) << 10) + (ascii_hex4(p + 8, end) - 0xdc00);
}

bool json_same_name(const struct json_member *a, const struct json_member *b)
{
    if (!a->name_escaped && !b->name_escaped)
        return slice_eq(a->name, b->name);
    const char *p = a->name.ptr, *p_end = p + a->name.len;
    const char *q = b->name.ptr, *q_end = q + b->name.len;
    while (p < p_end && q < q_end)
        if (json_next_point(&p, p_end) != json_next_point(&q, q_end))
            return false;
    return p == p_end && q == q_end;
}

static bool has_name(const struct json_member *member, struct slice name)
{
    if (!member->name_escaped)
        return slice_eq(member->name, name);
    const char *at = member->name.ptr, *end = at + member->name.len;
    while (at < end) {
        char bytes[4];
        struct slice next = slice_of(bytes, utf8_put(bytes, json_next_point(&at, end)));
        if (!slice_starts(name, next))
            return false;
        name = slice_from(name, next.len);
    }
    return name.len == 0;
}

const struct json_member *json_find(const struct json_member *members, size_t count,
                                    struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (has_name(&members[i], name))
            return &members[i];
    return NULL;
}

bool json_string_is_plain(struct slice quoted)
{
    return !memchr(quoted.ptr, '\\', quoted.len);
}

enum status json_unescape(struct slice quoted, struct buf *out)
{
    bool in_quotes = quoted.len >= 2 && quoted.ptr[0] == '"' && quoted.ptr[quoted.len - 1] == '"';
    if (!in_quotes || json_check(quoted, NULL) != ST_OK)
        return ST_SYNTAX;
    const char *at = quoted.ptr + 1, *end = quoted.ptr + quoted.len - 1;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        const char *plain_end = backslash ? backslash : end;
        buf_add(out, at, (size_t)(plain_end - at));
        at = plain_end;
        if (backslash) {
            char bytes[4] = {0};
            buf_add(out, bytes, utf8_put(bytes, json_next_point(&at, end)));
        }
    }
    return buf_status(out);
}
