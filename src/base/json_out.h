/* json_out.h - JSON written straight into a buffer.
 *
 *     struct json_out out;
 *     json_out_begin(&out, &buf);
 *     json_object_open(&out);
 *     json_member_str(&out, "id", id);
 *     json_key(&out, "tags");
 *     json_array_open(&out);
 *     …
 *
 * The writer puts the commas. Brackets that do not match, a value where a key must be, and the like
 * are programmer's errors (assert). What can fail is the buffer: ask buf_status() at the end.
 */
#ifndef TROTLINE_BASE_JSON_OUT_H
#define TROTLINE_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

struct json_out {
    struct buf *buf; /* the caller's; the rest is private */
    unsigned depth;
    uint64_t objects; /* bit n: the container at depth n + 1 is an object */
    bool comma;       /* the next key or value needs one before it */
    bool keyed;       /* a key waits for its value */
};

enum { JSON_OUT_DEPTH = 64 };

/* Appends the text as a JSON string in quotes. What is not UTF-8 becomes U+FFFD, byte by byte: the
 * output is always valid. Needs no writer. */
void json_out_string(struct buf *buf, struct slice utf8);

/* The same for text that has to be UTF-8. False: it is not. */
bool json_out_utf8(struct buf *buf, struct slice text);

/* Ready for one value, appended to what `buf` holds. */
void json_out_begin(struct json_out *out, struct buf *buf);

void json_object_open(struct json_out *out);
void json_object_close(struct json_out *out);
void json_array_open(struct json_out *out);
void json_array_close(struct json_out *out);

/* The next member's name. */
void json_key(struct json_out *out, const char *name);
void json_key_slice(struct json_out *out, struct slice name);

void json_value_str(struct json_out *out, const char *string);
void json_value_slice(struct json_out *out, struct slice utf8); /* SLICE_NULL is "" */
void json_value_u64(struct json_out *out, uint64_t value);
void json_value_i64(struct json_out *out, int64_t value);
void json_value_bool(struct json_out *out, bool value);
void json_value_null(struct json_out *out);
void json_value_raw(struct json_out *out, struct slice json);    /* one value that was checked */
void json_value_time_ms(struct json_out *out, uint64_t unix_ms); /* RFC 3339, in quotes */
void json_value_duration_ms(struct json_out *out, uint64_t ms);  /* "5s", as format_duration() */

/* Key and value at once. */
void json_member_str(struct json_out *out, const char *name, struct slice utf8);
void json_member_cstr(struct json_out *out, const char *name, const char *string);
void json_member_str_or_null(struct json_out *out, const char *name,
                             struct slice utf8); /* null for SLICE_NULL */
void json_member_u64(struct json_out *out, const char *name, uint64_t value);
void json_member_i64(struct json_out *out, const char *name, int64_t value);
void json_member_bool(struct json_out *out, const char *name, bool value);
void json_member_null(struct json_out *out, const char *name);
void json_member_raw(struct json_out *out, const char *name, struct slice json);
void json_member_time_ms(struct json_out *out, const char *name, uint64_t unix_ms);

#endif
