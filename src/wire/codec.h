/* codec.h - msgpack: writing into a struct buf, reading with a cursor that allocates nothing.
 *
 * Writing picks the smallest form of each value and cannot fail at the place; buf_status() tells at
 * the end. Reading is for bytes from anywhere: no call reads beyond the input, and none does more
 * work than the input has bytes.
 *
 * Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#ifndef TROTLINE_WIRE_CODEC_H
#define TROTLINE_WIRE_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* ---- Writing --------------------------------------------------------------------------------- */

/* `count` pairs follow (map) or `count` values (array). */
void mp_write_map(struct buf *buf, uint32_t count);
void mp_write_array(struct buf *buf, uint32_t count);

/* At most UINT32_MAX bytes: msgpack has no longer ones. */
void mp_write_str(struct buf *buf, struct slice text);
void mp_write_bin(struct buf *buf, struct slice bytes);

void mp_write_u64(struct buf *buf, uint64_t value);
void mp_write_i64(struct buf *buf, int64_t value);
void mp_write_double(struct buf *buf, double value);
void mp_write_bool(struct buf *buf, bool value);
void mp_write_nil(struct buf *buf);

/* ---- Reading --------------------------------------------------------------------------------- */

/* The error is sticky: after the first one every read gives 0, false or an empty slice, and nothing
 * moves. So a record is read straight through and `error` is looked at once.
 *   ST_SYNTAX  the input ends too early, or another type was asked for than is there
 *   ST_RANGE   an integer that the asked type cannot hold
 *   ST_LIMIT   mp_skip met more than LIMIT_JSON_DEPTH nested containers */
struct mp_reader {
    const uint8_t *at;
    const uint8_t *end;
    enum status error;
};

enum mp_type {
    MP_NONE, /* the end of the input, an error, or the byte 0xc1, which is no value */
    MP_NIL,
    MP_BOOL,
    MP_UINT, /* an integer >= 0, in whichever form it was written */
    MP_INT,  /* an integer < 0 */
    MP_DOUBLE,
    MP_STR,
    MP_BIN,
    MP_ARRAY,
    MP_MAP,
    MP_EXT /* an extension */
};

/* One value with what is known of it before what it contains. */
struct mp_value {
    enum mp_type type;
    int8_t ext;         /* MP_EXT: its type */
    bool single;        /* MP_DOUBLE: it was written as a float 32 */
    uint64_t number;    /* MP_UINT, MP_BOOL; MP_INT: as int64_t; of a container how many follow */
    double real;        /* MP_DOUBLE */
    struct slice bytes; /* MP_STR, MP_BIN, MP_EXT */
};

/* The input must live as long as the slices that are read from it. */
void mp_reader_init(struct mp_reader *reader, struct slice input);

/* The type of the next value, which stays where it is. Its length is not checked yet. */
enum mp_type mp_peek(const struct mp_reader *reader);

/* The number of pairs or values that follow. It is never more than what the rest of the input could
 * hold at one byte each value, so a caller may loop to it or allocate by it. */
uint32_t mp_read_map(struct mp_reader *reader);
uint32_t mp_read_array(struct mp_reader *reader);

/* Slices into the input; after an error SLICE_NULL. A string's bytes are not checked to be UTF-8.
 */
struct slice mp_read_str(struct mp_reader *reader);
struct slice mp_read_str_or_nil(struct mp_reader *reader); /* SLICE_NULL for nil */
struct slice mp_read_bin(struct mp_reader *reader);

uint64_t mp_read_u64(struct mp_reader *reader);
int64_t mp_read_i64(struct mp_reader *reader);
double mp_read_double(struct mp_reader *reader); /* float 32 and float 64, never an integer */
bool mp_read_bool(struct mp_reader *reader);
void mp_read_nil(struct mp_reader *reader);

/* The next value, whatever it is: for readers that cannot know what comes. A container's values
 * follow, and their number is as small as mp_read_map() says. MP_NONE: an error. */
enum mp_type mp_next(struct mp_reader *reader, struct mp_value *value);

/* Is it a time (extension -1), and which? In seconds since 1970, of any year, and nanoseconds below
 * 1,000,000,000. */
bool mp_value_time(const struct mp_value *value, int64_t *seconds, uint32_t *nanoseconds);

/* Passes over one whole value with all that is in it. */
void mp_skip(struct mp_reader *reader);

/* True when everything was read and nothing failed. */
bool mp_at_end(const struct mp_reader *reader);

#endif
