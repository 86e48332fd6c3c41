/* fuzz_event_split.c - a body in pieces must be split as the same body whole.
 *
 * The first byte chooses the form and the longest item, the second seeds the cuts; the rest is the
 * body. split_whole.h checks what the header promises of each call.
 */
#include <stddef.h>
#include <stdint.h>

#include "../unit/split_whole.h"

static size_t whole(void *arg, size_t left)
{
    (void)arg;
    return left;
}

static size_t cut(void *arg, size_t left)
{
    uint32_t *seed = arg;
    *seed = *seed * 1664525 + 1013904223;
    size_t piece = 1 + (*seed >> 20) % (*seed & 0x10000 ? 3 : 50);
    return piece < left ? piece : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum event_split_form form = (enum event_split_form)(data[0] % 3);
    size_t item_bytes_max = 10 + (size_t)(data[0] / 3) * 5;
    uint32_t seed = data[1];
    struct slice body = slice_of(data + 2, size - 2);
    struct buf one, many;
    buf_init(&one, 1024 * 1024 + 16 * size);
    buf_init(&many, 1024 * 1024 + 16 * size);
    if (!split_whole(form, item_bytes_max, body, whole, NULL, &one) ||
        !split_whole(form, item_bytes_max, body, cut, &seed, &many) ||
        !slice_eq(buf_slice(&one), buf_slice(&many)))
        abort();
    buf_free(&one);
    buf_free(&many);
    return 0;
}
