/* buf.h - a growable byte buffer that knows its maximum.
 *
 * Appending never fails at the place: a buffer that could not grow (no memory, or beyond its
 * maximum) becomes `failed`, keeps what it had, and ignores further appends. Whoever uses the
 * content looks at buf_status() once, at the end. [curl dynbuf.h]
 */
#ifndef TROTLINE_BASE_BUF_H
#define TROTLINE_BASE_BUF_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct buf {
    char *ptr; /* NULL until the first byte */
    size_t len;
    size_t cap;
    size_t max;        /* bytes it may hold */
    enum status error; /* ST_OK, ST_NOMEM or ST_LIMIT; sticky until buf_clear */
};

/* Prepares an empty buffer that may grow to `max` bytes. Allocates nothing. */
void buf_init(struct buf *buf, size_t max);

/* Frees the memory and leaves an empty buffer with the same maximum. */
void buf_free(struct buf *buf);

/* Empties it, forgets the error, keeps the memory. */
void buf_clear(struct buf *buf);

/* Gives back what is reserved and not used: nothing more will be added. What it holds may move. */
void buf_fit(struct buf *buf);

/* Makes room for `bytes` in all, so that it need not grow piece by piece. What cannot be had is
 * left for later: this never fails. */
void buf_expect(struct buf *buf, size_t bytes);

/* Private to buf_reserve(): the same, and grows when it must. */
char *buf_grow(struct buf *buf, size_t more);

/* Inlined, as are the next four: most appends are of a few bytes, often a number that the compiler
 * knows, and find room. */
static inline bool buf_has_room(const struct buf *buf, size_t more)
{
    return more < buf->cap - buf->len && more <= buf->max - buf->len && buf->error == ST_OK;
}

/* Room for `more` bytes behind the content, to be filled by the caller, who then adds to len.
 * Returns the place, or NULL (and the buffer is failed). */
static inline char *buf_reserve(struct buf *buf, size_t more)
{
    return buf_has_room(buf, more) ? buf->ptr + buf->len : buf_grow(buf, more);
}

static inline void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (len == 0 || (!buf_has_room(buf, len) && !buf_grow(buf, len)))
        return;
    memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
}

static inline void buf_add_slice(struct buf *buf, struct slice slice)
{
    buf_add(buf, slice.ptr, slice.len);
}

static inline void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_str(struct buf *buf, const char *string);
void buf_add_u64(struct buf *buf, uint64_t value); /* decimal */
void buf_add_i64(struct buf *buf, int64_t value);  /* decimal */
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes `len` bytes (at most all) from the front. */
void buf_drop_front(struct buf *buf, size_t len);

static inline enum status buf_status(const struct buf *buf)
{
    return buf->error;
}

static inline struct slice buf_slice(const struct buf *buf)
{
    return slice_of(buf->ptr, buf->len);
}

#endif
