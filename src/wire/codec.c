/* codec.c - msgpack: writing into a struct buf, reading with a cursor.
 *
 * Writing is msgpack-c's packer with our buffer behind its callback: the compiler sees through both
 * and what remains is a few stores.
 *
 * Reading is our own. msgpack-c builds a tree before anyone can look at it and believes the counts
 * of the headers: five bytes that announce 16 million elements made it hold 537 MB until more input
 * came. Here a value is its head (one table look-up and at most eight bytes of argument) and, for
 * strings, its bytes in place. A count is compared with the bytes that are left before anyone sees
 * it, since each element needs one at least.
 *
 *     head      argument    content
 *     +------+  +-------+  +----------------+
 *     | 0xd9 |  | 0x05  |  | h  e  l  l  o  |      str 8
 *     +------+  +-------+  +----------------+
 *
 * Not done: checking of UTF-8, which belongs to whoever needs text.
 */
#include "wire/codec.h"

#include <assert.h>
#include <msgpack/pack.h>

#include "base/limits.h"

/* ---- Writing --------------------------------------------------------------------------------- */

static int append(void *data, const char *bytes, size_t len)
{
    buf_add(data, bytes, len);
    return 0; /* the buffer remembers its failure */
}

static inline msgpack_packer packer(struct buf *buf)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, buf, append);
    return packer;
}

void mp_write_map(struct buf *buf, uint32_t count)
{
    msgpack_packer to = packer(buf);
    msgpack_pack_map(&to, count);
}

void mp_write_array(struct buf *buf, uint32_t count)
{
    msgpack_packer to = packer(buf);
    msgpack_pack_array(&to, count);
}

void mp_write_str(struct buf *buf, struct slice text)
{
    assert(text.len <= UINT32_MAX);
    msgpack_packer to = packer(buf);
    msgpack_pack_str(&to, text.len);
    buf_add_slice(buf, text);
}

void mp_write_bin(struct buf *buf, struct slice bytes)
{
    assert(bytes.len <= UINT32_MAX);
    msgpack_packer to = packer(buf);
    msgpack_pack_bin(&to, bytes.len);
    buf_add_slice(buf, bytes);
}

void mp_write_u64(struct buf *buf, uint64_t value)
{
    msgpack_packer to = packer(buf);
    msgpack_pack_uint64(&to, value);
}

void mp_write_i64(struct buf *buf, int64_t value)
{
    msgpack_packer to = packer(buf);
    msgpack_pack_int64(&to, value);
}

void mp_write_double(struct buf *buf, double value)
{
    msgpack_packer to = packer(buf);
    msgpack_pack_double(&to, value);
}

void mp_write_bool(struct buf *buf, bool value)
{
    msgpack_packer to = packer(buf);
    if (value)
        msgpack_pack_true(&to);
    else
        msgpack_pack_false(&to);
}

void mp_write_nil(struct buf *buf)
{
    msgpack_packer to = packer(buf);
    msgpack_pack_nil(&to);
}

/* ---- Reading: the head of a value ------------------------------------------------------------ */

enum { NIL = 0xc0 };

struct head {
    enum mp_type type;
    uint8_t size;  /* bytes it takes itself */
    uint64_t bits; /* the number, or the count, or the length in bytes */
};

/* The heads 0xc0 to 0xdf: what they start, and how many bytes of argument follow. Of the fixed
 * extensions the length is in the table, and the byte that tells the type counts as argument. */
static const struct {
    uint8_t type;
    uint8_t argument_bytes;
    uint8_t fixed;
} heads[32] = {
    [0x00] = {MP_NIL, 0, 0},  [0x01] = {MP_NONE, 0, 0},   [0x02] = {MP_BOOL, 0, 0},
    [0x03] = {MP_BOOL, 0, 1}, [0x04] = {MP_BIN, 1, 0},    [0x05] = {MP_BIN, 2, 0},
    [0x06] = {MP_BIN, 4, 0},  [0x07] = {MP_EXT, 1, 0},    [0x08] = {MP_EXT, 2, 0},
    [0x09] = {MP_EXT, 4, 0},  [0x0a] = {MP_DOUBLE, 4, 0}, [0x0b] = {MP_DOUBLE, 8, 0},
    [0x0c] = {MP_UINT, 1, 0}, [0x0d] = {MP_UINT, 2, 0},   [0x0e] = {MP_UINT, 4, 0},
    [0x0f] = {MP_UINT, 8, 0}, [0x10] = {MP_INT, 1, 0},    [0x11] = {MP_INT, 2, 0},
    [0x12] = {MP_INT, 4, 0},  [0x13] = {MP_INT, 8, 0},    [0x14] = {MP_EXT, 0, 1},
    [0x15] = {MP_EXT, 0, 2},  [0x16] = {MP_EXT, 0, 4},    [0x17] = {MP_EXT, 0, 8},
    [0x18] = {MP_EXT, 0, 16}, [0x19] = {MP_STR, 1, 0},    [0x1a] = {MP_STR, 2, 0},
    [0x1b] = {MP_STR, 4, 0},  [0x1c] = {MP_ARRAY, 2, 0},  [0x1d] = {MP_ARRAY, 4, 0},
    [0x1e] = {MP_MAP, 2, 0},  [0x1f] = {MP_MAP, 4, 0},
};

/* The upper bits of a signed number of `bytes` bytes, which are all ones when it is negative. */
static uint64_t sign_extend(uint64_t bits, size_t bytes)
{
    assert(bytes >= 1 && bytes <= 8);
    uint64_t sign = UINT64_C(1) << (bytes * 8 - 1);
    return (bits ^ sign) - sign;
}

/* Reads the head at the cursor without moving it. MP_NONE when there is no whole one. */
static struct head head_at(const struct mp_reader *reader)
{
    static const struct head none = {.type = MP_NONE};
    size_t left = (size_t)(reader->end - reader->at);
    if (reader->error != ST_OK || left == 0)
        return none;
    uint8_t first = reader->at[0];
    if (first <= 0x7f)
        return (struct head){MP_UINT, 1, first};
    if (first <= 0x8f)
        return (struct head){MP_MAP, 1, first & 0x0f};
    if (first <= 0x9f)
        return (struct head){MP_ARRAY, 1, first & 0x0f};
    if (first <= 0xbf)
        return (struct head){MP_STR, 1, first & 0x1f};
    if (first >= 0xe0)
        return (struct head){MP_INT, 1, sign_extend(first, 1)};

    struct head head = {.type = heads[first - 0xc0].type, .bits = heads[first - 0xc0].fixed};
    size_t bytes = heads[first - 0xc0].argument_bytes;
    head.size = (uint8_t)(1 + bytes + (head.type == MP_EXT));
    if (left < head.size)
        return none;
    for (size_t i = 0; i < bytes; i++)
        head.bits = head.bits << 8 | reader->at[1 + i];
    if (head.type == MP_INT) {
        head.bits = sign_extend(head.bits, bytes);
        if (head.bits <= INT64_MAX)
            head.type = MP_UINT;
    }
    return head;
}

static void fail(struct mp_reader *reader, enum status error)
{
    if (reader->error == ST_OK)
        reader->error = error;
}

/* Moves behind the head at the cursor, which must be of `type`. */
static inline bool head_take(struct mp_reader *reader, enum mp_type type, const struct head *head)
{
    if (head->type != type || head->type == MP_NONE) {
        fail(reader, ST_SYNTAX);
        return false;
    }
    reader->at += head->size;
    return true;
}

/* Reads the head of a value that must be of `type`, and moves behind it. */
static inline bool head_read(struct mp_reader *reader, enum mp_type type, struct head *head)
{
    *head = head_at(reader);
    return head_take(reader, type, head);
}

/* ---- Reading: values ------------------------------------------------------------------------- */

void mp_reader_init(struct mp_reader *reader, struct slice input)
{
    const uint8_t *at = input.len > 0 ? (const uint8_t *)input.ptr : (const uint8_t *)"";
    *reader = (struct mp_reader){.at = at, .end = at + input.len};
}

enum mp_type mp_peek(const struct mp_reader *reader)
{
    return head_at(reader).type;
}

/* A count is good when `each` bytes for every element are there. */
static bool count_fits(struct mp_reader *reader, uint64_t count, size_t each)
{
    if (count * each <= (size_t)(reader->end - reader->at)) /* counts have 32 bits */
        return true;
    fail(reader, ST_SYNTAX);
    return false;
}

uint32_t mp_read_map(struct mp_reader *reader)
{
    struct head head;
    if (!head_read(reader, MP_MAP, &head) || !count_fits(reader, head.bits, 2))
        return 0;
    return (uint32_t)head.bits;
}

uint32_t mp_read_array(struct mp_reader *reader)
{
    struct head head;
    if (!head_read(reader, MP_ARRAY, &head) || !count_fits(reader, head.bits, 1))
        return 0;
    return (uint32_t)head.bits;
}

static struct slice bytes_read(struct mp_reader *reader, enum mp_type type)
{
    struct head head;
    if (!head_read(reader, type, &head) || !count_fits(reader, head.bits, 1))
        return SLICE_NULL;
    struct slice bytes = slice_of(reader->at, head.bits);
    reader->at += head.bits;
    return bytes;
}

struct slice mp_read_str(struct mp_reader *reader)
{
    return bytes_read(reader, MP_STR);
}

struct slice mp_read_bin(struct mp_reader *reader)
{
    return bytes_read(reader, MP_BIN);
}

struct slice mp_read_str_or_nil(struct mp_reader *reader)
{
    if (reader->error == ST_OK && reader->at < reader->end && *reader->at == NIL) {
        reader->at++;
        return SLICE_NULL;
    }
    return bytes_read(reader, MP_STR);
}

uint64_t mp_read_u64(struct mp_reader *reader)
{
    struct head head = head_at(reader);
    if (head.type == MP_INT)
        fail(reader, ST_RANGE);
    return head_take(reader, MP_UINT, &head) ? head.bits : 0;
}

int64_t mp_read_i64(struct mp_reader *reader)
{
    struct head head = head_at(reader);
    if (head.type == MP_UINT && head.bits > INT64_MAX)
        fail(reader, ST_RANGE);
    enum mp_type type = head.type == MP_INT ? MP_INT : MP_UINT;
    return head_read(reader, type, &head) ? (int64_t)head.bits : 0;
}

static double double_of(const struct head *head)
{
    if (head->size == 1 + sizeof(float)) {
        uint32_t bits = (uint32_t)head->bits;
        float value;
        memcpy(&value, &bits, sizeof(value));
        return (double)value;
    }
    double value;
    memcpy(&value, &head->bits, sizeof(value));
    return value;
}

double mp_read_double(struct mp_reader *reader)
{
    struct head head;
    if (!head_read(reader, MP_DOUBLE, &head))
        return 0;
    return double_of(&head);
}

bool mp_read_bool(struct mp_reader *reader)
{
    struct head head;
    return head_read(reader, MP_BOOL, &head) && head.bits != 0;
}

void mp_read_nil(struct mp_reader *reader)
{
    struct head head;
    (void)head_read(reader, MP_NIL, &head); /* the error is in the reader */
}

enum mp_type mp_next(struct mp_reader *reader, struct mp_value *value)
{
    struct head head = head_at(reader);
    value->type = head.type;
    value->number = head.bits;
    if (!head_take(reader, head.type, &head))
        return value->type = MP_NONE;
    switch (head.type) {
    case MP_NONE:
    case MP_NIL:
    case MP_BOOL:
    case MP_UINT:
    case MP_INT:
        break;
    case MP_DOUBLE:
        value->single = head.size == 1 + sizeof(float);
        value->real = double_of(&head);
        break;
    case MP_ARRAY:
    case MP_MAP:
        if (!count_fits(reader, head.bits, head.type == MP_MAP ? 2 : 1))
            value->type = MP_NONE;
        break;
    case MP_STR:
    case MP_BIN:
    case MP_EXT:
        if (head.type == MP_EXT)
            value->ext = (int8_t)reader->at[-1];
        if (!count_fits(reader, head.bits, 1))
            return value->type = MP_NONE;
        value->bytes = slice_of(reader->at, head.bits);
        reader->at += head.bits;
        break;
    }
    return value->type;
}

/* A big-endian number. */
static uint64_t number_at(const char *at, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | (uint8_t)at[i];
    return number;
}

bool mp_value_time(const struct mp_value *value, int64_t *seconds, uint32_t *nanoseconds)
{
    enum { TIME = -1, SECONDS_BITS = 34 };
    if (value->type != MP_EXT || value->ext != TIME)
        return false;
    const char *at = value->bytes.ptr;
    uint64_t packed;
    switch (value->bytes.len) {
    case 4:
        *seconds = (int64_t)number_at(at, 4);
        *nanoseconds = 0;
        return true;
    case 8:
        packed = number_at(at, 8);
        *seconds = (int64_t)(packed & ((UINT64_C(1) << SECONDS_BITS) - 1));
        *nanoseconds = (uint32_t)(packed >> SECONDS_BITS);
        return *nanoseconds < 1000000000;
    case 12:
        *nanoseconds = (uint32_t)number_at(at, 4);
        *seconds = (int64_t)number_at(at + 4, 8);
        return *nanoseconds < 1000000000;
    default:
        return false;
    }
}

/* The values a value still announces behind its head; its own bytes are passed over. */
static uint64_t skip_one(struct mp_reader *reader)
{
    struct head head = head_at(reader);
    if (!head_read(reader, head.type, &head))
        return 0;
    bool map = head.type == MP_MAP;
    if (map || head.type == MP_ARRAY)
        return count_fits(reader, head.bits, map ? 2 : 1) ? head.bits * (map ? 2 : 1) : 0;
    bool has_bytes = head.type == MP_STR || head.type == MP_BIN || head.type == MP_EXT;
    if (has_bytes && count_fits(reader, head.bits, 1))
        reader->at += head.bits;
    return 0;
}

void mp_skip(struct mp_reader *reader)
{
    uint64_t missing[LIMIT_JSON_DEPTH]; /* of each container that is open: values still to come */
    size_t depth = 0;
    do {
        uint64_t values = skip_one(reader);
        if (values > 0) {
            if (depth == LIMIT_JSON_DEPTH) {
                fail(reader, ST_LIMIT);
                return;
            }
            missing[depth++] = values;
            continue;
        }
        while (depth > 0 && --missing[depth - 1] == 0)
            depth--;
    } while (depth > 0 && reader->error == ST_OK);
}

bool mp_at_end(const struct mp_reader *reader)
{
    return reader->error == ST_OK && reader->at == reader->end;
}
