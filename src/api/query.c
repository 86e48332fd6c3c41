/* query.c - names and values, percent-decoded into fixed buffers (WHATWG URL section 5.1, but
 * strict: what is wrong is refused and not guessed at).
 */
#include "api/query.h"

#include <stdio.h>

/* The value of a hexadecimal digit; -1: it is none. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ST_LIMIT: it does not fit with its NUL; ST_SYNTAX: a bad %XX, or a NUL. */
static enum status decode(struct slice text, bool plus, char *out, size_t size, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.ptr[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            if (text.len - i < 3)
                return ST_SYNTAX;
            int high = hex_value(text.ptr[i + 1]), low = hex_value(text.ptr[i + 2]);
            c = high < 0 || low < 0 ? 0 : high * 16 + low;
            i += 2;
        }
        if (c == 0)
            return ST_SYNTAX;
        if (*len + 1 >= size)
            return ST_LIMIT;
        out[(*len)++] = (char)c;
    }
    out[*len] = '\0';
    return ST_OK;
}

enum status query_decode_segment(struct slice segment, char *out, size_t size, size_t *len)
{
    return decode(segment, false, out, size, len);
}

static struct query_param *find_param(struct query_param *params, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(params[i].name, name) == 0)
            return &params[i];
    return NULL;
}

static enum status read_pair(struct slice pair, struct query_param *params, size_t count,
                             struct field_error *error)
{
    const char *equals = memchr(pair.ptr, '=', pair.len);
    size_t name_len = equals ? (size_t)(equals - pair.ptr) : pair.len;
    struct slice value = equals ? slice_from(pair, name_len + 1) : SLICE_NULL;

    char name[64];
    size_t decoded;
    if (decode(slice_of(pair.ptr, name_len), true, name, sizeof(name), &decoded))
        return field_refuse(error, "unknown_parameter", "", "There is no such parameter here.");
    struct query_param *param = find_param(params, count, name);
    if (!param)
        return field_refuse(error, "unknown_parameter", name, "There is no parameter \"%s\" here.",
                            name);
    if (param->given)
        return field_refuse(error, "invalid_parameter", name, "Give \"%s\" once.", name);
    if (decode(value, true, param->value, sizeof(param->value), &param->len))
        return field_refuse(error, "invalid_parameter", name,
                            "The value is longer than %zu bytes or wrongly percent-encoded.",
                            sizeof(param->value) - 1);
    param->given = true;
    return ST_OK;
}

enum status query_read(struct slice query, struct query_param *params, size_t count,
                       struct field_error *error)
{
    while (query.len > 0) {
        const char *end = memchr(query.ptr, '&', query.len);
        size_t len = end ? (size_t)(end - query.ptr) : query.len;
        if (len > 0) {
            enum status status = read_pair(slice_of(query.ptr, len), params, count, error);
            if (status)
                return status;
        }
        query = slice_from(query, end ? len + 1 : len);
    }
    return ST_OK;
}
