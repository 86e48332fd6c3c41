/* slice.h - a view of bytes that somebody else owns.
 *
 * A slice never owns and never ends in NUL by promise. It is passed by value. An absent value is
 * SLICE_NULL (ptr == NULL), which differs from an empty one where a caller needs the difference.
 */
#ifndef TROTLINE_BASE_SLICE_H
#define TROTLINE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_NULL     ((struct slice){NULL, 0})

/* For printf's "%.*s". */
#define SLICE_ARGS(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){(const char *)ptr, len};
}

/* A slice of a NUL-terminated string; NULL gives SLICE_NULL. */
static inline struct slice slice_str(const char *string)
{
    return (struct slice){string, string ? strlen(string) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (b.len == 0 || memcmp(a.ptr, b.ptr, b.len) == 0);
}

/* Negative, 0 or positive, as memcmp(); of two that begin alike the shorter comes first. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* ASCII only: for HTTP tokens, never for user text. Most are written as we write them, and memcmp()
 * is what a compiler knows how to do in place. */
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (b.len == 0 || memcmp(a.ptr, b.ptr, b.len) == 0 ||
                              strncasecmp(a.ptr, b.ptr, b.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The part from `from` on; empty when `from` is beyond the end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return from >= s.len ? slice_of(s.ptr ? s.ptr + s.len : NULL, 0)
                         : slice_of(s.ptr + from, s.len - from);
}

#endif
