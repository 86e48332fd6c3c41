/* redis_reply.h - what Redis answers: values, and the reader that makes them of bytes.
 *
 * Values belong to their reader and live until it is asked for the next one, which for users of
 * redis_conn.h means: during the callback. Accessors never fail: a value that is absent, of another
 * type or out of range reads as nil, zero, or an empty text, so that a decoder can walk a script's
 * flat reply and judge it once at the end.
 */
#ifndef TROTLINE_NET_REDIS_REPLY_H
#define TROTLINE_NET_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum redis_type {
    REDIS_NIL,
    REDIS_STRING,
    REDIS_STATUS, /* "+OK" */
    REDIS_ERROR,  /* "-ERR …"; the text starts with the code */
    REDIS_INTEGER,
    REDIS_ARRAY
};

struct redis_value;

/* "nil", "string", "status", "error", "integer", "array". */
const char *redis_type_name(enum redis_type type);

/* All of these take NULL for nil. */
enum redis_type redis_value_type(const struct redis_value *value);
/* 0 unless it is an integer. A number that came as a string is a string. */
int64_t redis_value_integer(const struct redis_value *value);
/* The text of a string, status or error; SLICE_NULL for other types. */
struct slice redis_value_text(const struct redis_value *value);
/* Elements of an array; 0 for other types. */
size_t redis_value_count(const struct redis_value *value);
/* An element; nil (never NULL) when there is none. */
const struct redis_value *redis_value_at(const struct redis_value *value, size_t index);
/* True for an error whose first word is `code`, such as "NOSCRIPT". */
bool redis_value_is_error(const struct redis_value *value, const char *code);
/* A field of the reply to INFO, "name:value" in a line; empty when there is none. */
struct slice redis_value_info(const struct redis_value *value, const char *name);

/* A copy that outlives its reader, for redis_value_free(); NULL when out of memory. */
MUST_CHECK struct redis_value *redis_value_copy(const struct redis_value *value);
/* Accepts NULL. Copies only. */
void redis_value_free(struct redis_value *value);

/* ---- The reader ------------------------------------------------------------------------------ */

struct redis_reader;

/* NULL when out of memory. */
struct redis_reader *redis_reader_new(void);
/* Accepts NULL. */
void redis_reader_free(struct redis_reader *reader);

/* Copies what came from the server. Call redis_reader_next() until it has no more before feeding
 * again. ST_NOMEM; ST_LIMIT when one reply takes more than LIMIT_REDIS_REPLY_BYTES; ST_SYNTAX when
 * the stream was already found broken. After a failure only redis_reader_error() and _free() make
 * sense: where the next reply begins is not known any more. */
MUST_CHECK enum status redis_reader_feed(struct redis_reader *reader, const char *bytes,
                                         size_t len);

/* The next whole reply in *value, valid until the next call; NULL when more bytes are needed.
 * ST_SYNTAX, ST_LIMIT (size; nesting beyond 7 arrays) and ST_NOMEM as above. */
MUST_CHECK enum status redis_reader_next(struct redis_reader *reader,
                                         const struct redis_value **value);

/* Of a reply that has begun and is not whole: its array that is growing, `depth` arrays below the
 * outermost, which is 0. *whole gets how many of its elements are there; the others mean nothing
 * yet. NULL when that is not where the reply has come to. Valid until more is fed. */
const struct redis_value *redis_reader_growing(const struct redis_reader *reader, unsigned depth,
                                               size_t *whole);

/* What is wrong with the stream; "" when nothing is. Lives as long as the reader. */
const char *redis_reader_error(const struct redis_reader *reader);

#endif
