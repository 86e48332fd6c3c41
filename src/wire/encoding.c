/* encoding.c - bytes as text: hexadecimal, base64 and base64url.
 *
 * OpenSSL's EVP_DecodeBlock was not taken: it skips white space and accepts trailing bits.
 */
#include "wire/encoding.h"

#include <stdint.h>

#include "base/ascii.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- Hexadecimal ----------------------------------------------------------------------------- */

void hex_encode(struct buf *buf, struct slice bytes)
{
    char *out = bytes.len <= SIZE_MAX / 2 ? buf_reserve(buf, bytes.len * 2) : NULL;
    if (!out)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = (uint8_t)bytes.ptr[i];
        *out++ = hex_digits[byte >> 4];
        *out++ = hex_digits[byte & 0x0f];
    }
    buf->len += bytes.len * 2;
}

enum status hex_decode(struct slice text, void *out, size_t out_size, size_t *out_len)
{
    uint8_t *to = out;
    if (text.len % 2 != 0)
        return ST_SYNTAX;
    if (text.len / 2 > out_size)
        return ST_LIMIT;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = ascii_hex_value(text.ptr[i]);
        int low = ascii_hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return ST_SYNTAX;
        *to++ = (uint8_t)(high << 4 | low);
    }
    *out_len = text.len / 2;
    return ST_OK;
}

/* ---- Base64 ---------------------------------------------------------------------------------- */

static inline void base64_four(char out[4], uint32_t bits)
{
    out[0] = base64_digits[bits >> 18];
    out[1] = base64_digits[bits >> 12 & 63];
    out[2] = base64_digits[bits >> 6 & 63];
    out[3] = base64_digits[bits & 63];
}

void base64_encode(struct buf *buf, struct slice bytes)
{
    size_t len = (bytes.len + 2) / 3 * 4;
    char *out = bytes.len <= SIZE_MAX / 2 ? buf_reserve(buf, len) : NULL;
    if (!out)
        return;
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 3; in += 3, left -= 3, out += 4)
        base64_four(out, (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2]);
    if (left > 0) {
        base64_four(out, (uint32_t)in[0] << 16 | (left > 1 ? (uint32_t)in[1] << 8 : 0));
        out[3] = '=';
        if (left == 1)
            out[2] = '=';
    }
    buf->len += len;
}

/* 0 to 63, or a negative number. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The 24 bits of four characters of which the last `padding` are '='; negative when they are not
 * canonical. */
static int32_t base64_group(const char *text, size_t padding)
{
    int32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? base64_value(text[i]) : 0;
        if (value < 0)
            return -1;
        group = group << 6 | value;
    }
    int32_t unused = (1 << 8 * (int)padding) - 1;
    return (group & unused) != 0 ? -1 : group;
}

enum status base64_decode(struct slice text, void *out, size_t out_size, size_t *out_len)
{
    uint8_t *to = out;
    if (text.len % 4 != 0)
        return ST_SYNTAX;
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
        padding++;
    size_t len = text.len / 4 * 3 - padding;
    if (len > out_size)
        return ST_LIMIT;
    for (size_t at = 0; at < text.len; at += 4) {
        bool last = at + 4 == text.len;
        int32_t group = base64_group(text.ptr + at, last ? padding : 0);
        if (group < 0)
            return ST_SYNTAX;
        size_t bytes = last ? 3 - padding : 3;
        for (size_t i = 0; i < bytes; i++)
            *to++ = (uint8_t)(group >> (16 - 8 * (int)i));
    }
    *out_len = len;
    return ST_OK;
}

/* ---- Base64url ------------------------------------------------------------------------------- */

/* Signatures and tokens are short: the one encoder and decoder do the work, on a text of the other
 * alphabet. */
static char to_url_safe(char c)
{
    return c == '+' ? '-' : c == '/' ? '_' : c;
}

/* '=', which no text of this alphabet holds, stands for what it does not have. */
static char from_url_safe(char c)
{
    return c == '-' ? '+' : c == '_' ? '/' : (c == '+' || c == '/') ? '=' : c;
}

void base64url_encode(struct buf *buf, struct slice bytes)
{
    size_t begin = buf->len;
    base64_encode(buf, bytes);
    while (buf->len > begin && buf->ptr[buf->len - 1] == '=')
        buf->len--;
    for (size_t i = begin; i < buf->len; i++)
        buf->ptr[i] = to_url_safe(buf->ptr[i]);
}

enum status base64url_decode(struct slice text, void *out, size_t out_size, size_t *out_len)
{
    uint8_t *to = out;
    *out_len = 0;
    if (text.len % 4 == 1)
        return ST_SYNTAX;
    while (text.len > 0) {
        char four[4] = {'=', '=', '=', '='};
        size_t taken = text.len < 4 ? text.len : 4, len;
        for (size_t i = 0; i < taken; i++)
            four[i] = from_url_safe(text.ptr[i]);
        if (memchr(four, '=', taken))
            return ST_SYNTAX;
        enum status status = base64_decode(slice_of(four, 4), to, out_size - *out_len, &len);
        if (status != ST_OK)
            return status;
        to += len;
        *out_len += len;
        text = slice_from(text, taken);
    }
    return ST_OK;
}
