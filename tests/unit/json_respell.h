/* json_respell.h - the same JSON in other words: escapes, blanks and exponents where none are
 * needed. */
#ifndef TROTLINE_TESTS_JSON_RESPELL_H
#define TROTLINE_TESTS_JSON_RESPELL_H

#include "base/json_walk.h"

static void respell_string(struct slice quoted, struct buf *out)
{
    const char *at = quoted.ptr + 1, *end = quoted.ptr + quoted.len - 1;
    buf_add_char(out, '"');
    while (at < end) {
        uint32_t point = json_next_point(&at, end);
        if (point > 0xffff)
            buf_addf(out, "\\u%04x\\u%04X", 0xd7c0 + (point >> 10), 0xdc00 + (point & 0x3ff));
        else
            buf_addf(out, "\\u%04x", point);
    }
    buf_add_char(out, '"');
}

/* Appends `json`, which is valid. */
static void json_respell(struct slice json, struct buf *out)
{
    struct json_walk walk = {json.ptr, json.ptr + json.len};
    while (walk.at < walk.end) {
        char c = *walk.at;
        if (c == '"') {
            respell_string(json_walk_scalar(&walk), out);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            struct slice number = json_walk_scalar(&walk);
            buf_add_slice(out, number);
            if (!memchr(number.ptr, 'e', number.len) && !memchr(number.ptr, 'E', number.len))
                buf_add_str(out, memchr(number.ptr, '.', number.len) ? "00E+0" : "e-0");
        } else {
            buf_add_char(out, c);
            buf_add_str(out, strchr("{}[],:", c) ? "\r\n\t " : "");
            walk.at++;
        }
    }
}

#endif
