/* buf.c - a growable byte buffer that knows its maximum. */
#include "base/buf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digits.h"

enum { FIRST_CAP = 64 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->error = ST_OK;
}

void buf_fit(struct buf *buf)
{
    char *ptr = buf->len > 0 && buf->len < buf->cap ? realloc(buf->ptr, buf->len) : NULL;
    if (!ptr)
        return;
    buf->ptr = ptr;
    buf->cap = buf->len;
}

void buf_expect(struct buf *buf, size_t bytes)
{
    if (bytes > buf->max)
        bytes = buf->max;
    char *ptr = bytes > buf->cap ? realloc(buf->ptr, bytes) : NULL;
    if (!ptr)
        return;
    buf->ptr = ptr;
    buf->cap = bytes;
}

/* `spare` bytes more are there for the moment, and may lie beyond the maximum. */
static char *reserve(struct buf *buf, size_t more, size_t spare)
{
    if (buf->error != ST_OK)
        return NULL;
    if (more > buf->max - buf->len || spare > SIZE_MAX - buf->len - more) {
        buf->error = ST_LIMIT;
        return NULL;
    }
    size_t need = buf->len + more + spare;
    if (need > buf->cap || !buf->ptr) {
        size_t cap = buf->cap ? buf->cap : FIRST_CAP;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        if (cap > buf->max && buf->max >= need && buf->max > 0)
            cap = buf->max;
        char *ptr = realloc(buf->ptr, cap);
        if (!ptr) {
            buf->error = ST_NOMEM;
            return NULL;
        }
        buf->ptr = ptr;
        buf->cap = cap;
    }
    return buf->ptr + buf->len;
}

char *buf_grow(struct buf *buf, size_t more)
{
    return reserve(buf, more, 0);
}

void buf_add_str(struct buf *buf, const char *string)
{
    buf_add(buf, string, strlen(string));
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    char digits[DIGITS_MAX];
    buf_add_slice(buf, digits_u64(digits, value));
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    if (value < 0) {
        buf_add_char(buf, '-');
        buf_add_u64(buf, -(uint64_t)value);
    } else {
        buf_add_u64(buf, (uint64_t)value);
    }
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    if (buf->error != ST_OK)
        return;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *place = reserve(buf, (size_t)len, 1); /* for vsnprintf's NUL */
    if (place) {
        vsnprintf(place, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void buf_drop_front(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->ptr, buf->ptr + len, buf->len - len);
    buf->len -= len;
}
