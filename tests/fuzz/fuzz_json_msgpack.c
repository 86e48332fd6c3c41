/* fuzz_json_msgpack.c - JSON as msgpack, there and back: what is taken comes back as JSON that
 * makes the same bytes. The way back refuses what JSON leaves open: equal names in an object.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "wire/json_msgpack.h"
#include "wire/msgpack_json.h"

enum { DEPTH_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field_error error;
    struct buf first, back, second;
    struct mp_reader reader;
    if (json_check(slice_of(data, size), NULL) != ST_OK)
        return 0;
    buf_init(&first, SIZE_MAX);
    buf_init(&back, SIZE_MAX);
    buf_init(&second, SIZE_MAX);
    if (json_msgpack(slice_of(data, size), "data", &first, &error) == ST_OK) {
        mp_reader_init(&reader, buf_slice(&first));
        enum status status = msgpack_json(&reader, "data", DEPTH_MAX, &back, &error);
        if (status == ST_OK && (!mp_at_end(&reader) ||
                                json_msgpack(buf_slice(&back), "data", &second, &error) != ST_OK ||
                                !slice_eq(buf_slice(&first), buf_slice(&second))))
            abort();
    }
    buf_free(&first);
    buf_free(&back);
    buf_free(&second);
    return 0;
}
