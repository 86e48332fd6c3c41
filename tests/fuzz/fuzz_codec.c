/* fuzz_codec.c - the msgpack reader on any bytes.
 *
 * It never leaves the input; skipping and reading agree on where a value ends; and what was read,
 * written and read again is written the same.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "wire/codec.h"

static void expect(bool good)
{
    if (!good)
        abort();
}

/* Reads one scalar and writes it. */
static void copy_scalar(struct mp_reader *from, struct buf *to, enum mp_type type)
{
    switch (type) {
    case MP_NIL:
        mp_read_nil(from);
        mp_write_nil(to);
        return;
    case MP_BOOL:
        mp_write_bool(to, mp_read_bool(from));
        return;
    case MP_UINT:
        mp_write_u64(to, mp_read_u64(from));
        return;
    case MP_INT:
        mp_write_i64(to, mp_read_i64(from));
        return;
    case MP_DOUBLE:
        mp_write_double(to, mp_read_double(from));
        return;
    case MP_STR:
        mp_write_str(to, mp_read_str(from));
        return;
    case MP_BIN:
        mp_write_bin(to, mp_read_bin(from));
        return;
    case MP_EXT: /* cannot be written; nil stands for it */
    case MP_NONE:
        mp_skip(from);
        mp_write_nil(to);
        return;
    case MP_ARRAY:
    case MP_MAP:
        abort();
    }
}

/* Copies one value with all that is in it, as deep as mp_skip goes. */
static void copy(struct mp_reader *from, struct buf *to, int depth)
{
    enum mp_type type = mp_peek(from);
    if (type != MP_ARRAY && type != MP_MAP) {
        copy_scalar(from, to, type);
        return;
    }
    uint32_t count = type == MP_MAP ? mp_read_map(from) : mp_read_array(from);
    uint64_t values = type == MP_MAP ? 2 * (uint64_t)count : count;
    expect(values <= (size_t)(from->end - from->at));
    if (count > 0 && depth == LIMIT_JSON_DEPTH)
        from->error = ST_LIMIT;
    if (type == MP_MAP)
        mp_write_map(to, count);
    else
        mp_write_array(to, count);
    for (uint64_t i = 0; i < values && from->error == ST_OK; i++)
        copy(from, to, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mp_reader reading;
    struct mp_reader skipping;
    struct buf first;
    struct buf second;
    buf_init(&first, SIZE_MAX);
    buf_init(&second, SIZE_MAX);
    mp_reader_init(&reading, slice_of(data, size));
    mp_reader_init(&skipping, slice_of(data, size));
    while (reading.error == ST_OK && !mp_at_end(&reading)) {
        buf_clear(&first);
        copy(&reading, &first, 0);
        mp_skip(&skipping);
        expect(reading.error == skipping.error);
        expect(reading.at >= data && reading.at <= data + size);
        if (reading.error != ST_OK)
            break;
        expect(reading.at == skipping.at);

        struct mp_reader again;
        buf_clear(&second);
        mp_reader_init(&again, buf_slice(&first));
        copy(&again, &second, 0);
        expect(mp_at_end(&again));
        expect(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    buf_free(&first);
    buf_free(&second);
    return 0;
}
