/* msgpack_json.c - a msgpack value as JSON that says the same.
 *
 * Containers do not call each other: one loop goes through a value with all that is in it, and has
 * a frame for each container that is open. A frame knows what is missing of its container and where
 * in it the loop is, which makes the path when something is refused, and nothing before.
 *
 *     data      .items           [3]          .price
 *     frames:   map, key items   array, 3     map, key price
 *
 * Keys of a map are compared in pairs while they are few, which is what maps are like; from the
 * ninth on they go into a table, so that a map of 100,000 keys is not 5,000,000,000 pairs.
 *
 * Rejected: to let equal keys pass, as RFC 8259 does. A producer's library has made a map of them,
 * and which of the two the receiver sees would be up to the receiver's parser.
 */
#include "wire/msgpack_json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/json_out.h"
#include "base/limits.h"
#include "base/real.h"
#include "base/timefmt.h"
#include "wire/mp_keys.h"

enum { KEYS_COMPARED = 8 };

struct frame {
    bool map;
    uint32_t left;       /* values, or pairs, that still come */
    uint32_t index;      /* of the value that the loop is at */
    const uint8_t *head; /* names the map among the document's */
    struct slice key;    /* of the value that the loop is at; SLICE_NULL: it is at a key */
    struct slice keys[KEYS_COMPARED];
};

struct conversion {
    struct mp_reader *reader;
    const uint8_t *begin;
    const char *name;
    struct buf *out;
    struct field_error *error;
    struct mp_keys keys;
    unsigned depth, depth_max;
    struct frame frames[LIMIT_JSON_DEPTH];
};

/* ---- Refusals ------------------------------------------------------------------------------- */

/* Where the loop is: "data.items[3].price". Cut to fit. */
static void path_of(const struct conversion *c, char *path, size_t size)
{
    size_t len = (size_t)snprintf(path, size, "%s", c->name);
    for (unsigned i = 0; i < c->depth && len < size; i++) {
        const struct frame *frame = &c->frames[i];
        if (!frame->map)
            len += (size_t)snprintf(path + len, size - len, "[%u]", frame->index);
        else if (frame->key.ptr)
            len += (size_t)snprintf(path + len, size - len, ".%.*s", SLICE_ARGS(frame->key));
    }
}

static enum status refuse(const struct conversion *c, const char *code, const char *message)
{
    char path[sizeof(c->error->field)];
    path_of(c, path, sizeof(path));
    return field_refuse(c->error, code, path, "%s", message);
}

static enum status refuse_value(const struct conversion *c, const char *message)
{
    return refuse(c, "unsupported_value", message);
}

static enum status refuse_bytes(const struct conversion *c)
{
    char path[sizeof(c->error->field)];
    path_of(c, path, sizeof(path));
    return field_refuse(c->error, "invalid_msgpack", path,
                        "The msgpack ends too early or is none, at byte %zu of this value.",
                        (size_t)(c->reader->at - c->begin));
}

/* ---- Values --------------------------------------------------------------------------------- */

static enum status add_text(struct conversion *c, struct slice text)
{
    return json_out_utf8(c->out, text) ? ST_OK : refuse_value(c, "This text is not UTF-8.");
}

static enum status add_real(struct conversion *c, const struct mp_value *value)
{
    if (!isfinite(value->real))
        return refuse_value(c, "NaN and infinities have no form in JSON.");
    if (value->single)
        real_add_float(c->out, (float)value->real);
    else
        real_add_double(c->out, value->real);
    return ST_OK;
}

/* The formatter knows the years from 1970 on; the calendar repeats itself every 400 years, so those
 * before are written 2000 years later, and mended. */
static void add_time(struct buf *out, int64_t seconds, uint32_t nanoseconds)
{
    static const int64_t shift = INT64_C(5) * 146097 * 86400;
    bool early = seconds < 0;
    uint64_t unix_seconds = (uint64_t)(early ? seconds + shift : seconds);
    size_t from = out->len;
    buf_add_char(out, '"');
    time_format_rfc3339(out, unix_seconds * 1000 + nanoseconds / 1000000);
    if (buf_status(out) != ST_OK)
        return;
    if (early) {
        int century = (out->ptr[from + 1] - '0') * 10 + out->ptr[from + 2] - '0' - 20;
        out->ptr[from + 1] = (char)('0' + century / 10);
        out->ptr[from + 2] = (char)('0' + century % 10);
    }
    if (nanoseconds % 1000000 != 0) {
        char digits[16];
        snprintf(digits, sizeof(digits), "%06uZ", nanoseconds % 1000000);
        out->len--; /* the Z */
        buf_add_str(out, digits);
    }
    buf_add_char(out, '"');
}

static enum status add_extension(struct conversion *c, const struct mp_value *value)
{
    static const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
    int64_t seconds;
    uint32_t nanoseconds;
    if (!mp_value_time(value, &seconds, &nanoseconds))
        return refuse_value(c, "An extension that is no timestamp has no form in JSON.");
    if (seconds < first || seconds > last)
        return refuse_value(c, "A time must be in the years 0000 to 9999.");
    add_time(c->out, seconds, nanoseconds);
    return ST_OK;
}

static enum status enter(struct conversion *c, const struct mp_value *value, const uint8_t *head)
{
    bool map = value->type == MP_MAP;
    if (c->depth == c->depth_max)
        return field_refuse(c->error, "json_too_deep", c->name,
                            "%s has more than %u arrays and maps in one another.", c->name,
                            c->depth_max);
    struct frame *frame = &c->frames[c->depth++];
    frame->map = map;
    frame->left = (uint32_t)value->number;
    frame->index = 0;
    frame->head = head;
    frame->key = SLICE_NULL;
    buf_add_char(c->out, map ? '{' : '[');
    return ST_OK;
}

static enum status add_value(struct conversion *c)
{
    struct mp_value value;
    const uint8_t *head = c->reader->at;
    switch (mp_next(c->reader, &value)) {
    case MP_NONE:
        return refuse_bytes(c);
    case MP_NIL:
        buf_add(c->out, "null", 4);
        return ST_OK;
    case MP_BOOL:
        buf_add_slice(c->out, value.number ? SLICE("true") : SLICE("false"));
        return ST_OK;
    case MP_UINT:
        buf_add_u64(c->out, value.number);
        return ST_OK;
    case MP_INT:
        buf_add_i64(c->out, (int64_t)value.number);
        return ST_OK;
    case MP_DOUBLE:
        return add_real(c, &value);
    case MP_STR:
        return add_text(c, value.bytes);
    case MP_BIN:
        return refuse_value(c, "Binary data has no form in JSON; send a string (base64, say).");
    case MP_EXT:
        return add_extension(c, &value);
    case MP_ARRAY:
    case MP_MAP:
        return enter(c, &value, head);
    }
    return refuse_bytes(c);
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static enum status remember_key(struct conversion *c, struct frame *frame, struct slice key)
{
    uint64_t map = (uint64_t)(frame->head - c->begin);
    enum status status = ST_OK;
    if (frame->index < KEYS_COMPARED) {
        for (uint32_t i = 0; i < frame->index; i++)
            if (slice_eq(frame->keys[i], key))
                return ST_EXISTS;
        frame->keys[frame->index] = key;
        return ST_OK;
    }
    for (uint32_t i = 0; i < KEYS_COMPARED && frame->index == KEYS_COMPARED && status == ST_OK; i++)
        status = mp_keys_add(&c->keys, map, frame->keys[i]);
    return status == ST_OK ? mp_keys_add(&c->keys, map, key) : status;
}

static enum status add_key(struct conversion *c, struct frame *frame)
{
    struct mp_value key;
    frame->key = SLICE_NULL;
    enum mp_type type = mp_next(c->reader, &key);
    if (type == MP_NONE)
        return refuse_bytes(c);
    if (type != MP_STR)
        return refuse_value(c, "The keys of a map must be strings.");
    frame->key = key.bytes;
    enum status status = remember_key(c, frame, key.bytes);
    if (status == ST_EXISTS)
        return refuse_value(c, "This key is there twice in its map.");
    if (status == ST_OK)
        status = add_text(c, key.bytes);
    buf_add_char(c->out, ':');
    return status;
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* One more part of the innermost container, or its end. */
static enum status step(struct conversion *c)
{
    struct frame *frame = &c->frames[c->depth - 1];
    if (frame->left == 0) {
        buf_add_char(c->out, frame->map ? '}' : ']');
        c->depth--;
        if (c->depth > 0)
            c->frames[c->depth - 1].index++;
        return ST_OK;
    }
    unsigned depth = c->depth;
    if (frame->index > 0)
        buf_add_char(c->out, ',');
    frame->left--;
    enum status status = frame->map ? add_key(c, frame) : ST_OK;
    if (status == ST_OK)
        status = add_value(c);
    if (status == ST_OK && c->depth == depth)
        frame->index++;
    return status;
}

enum status msgpack_json(struct mp_reader *reader, const char *name, unsigned depth_max,
                         struct buf *out, struct field_error *error)
{
    struct conversion c; /* its frames are not touched before they are used */
    assert(depth_max <= LIMIT_JSON_DEPTH);
    c.reader = reader;
    c.begin = reader->at;
    c.name = name;
    c.out = out;
    c.error = error;
    c.keys = (struct mp_keys){.count = 0};
    c.depth = 0;
    c.depth_max = depth_max;
    enum status status = add_value(&c);
    while (status == ST_OK && c.depth > 0 && buf_status(out) == ST_OK)
        status = step(&c);
    mp_keys_free(&c.keys);
    return status == ST_OK ? buf_status(out) : status;
}
