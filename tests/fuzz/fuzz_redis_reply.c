/* fuzz_redis_reply.c - bytes from a server, cut into pieces: no crash, bounded memory, and the same
 * values whatever the cut, and in a copy. The first byte is the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "net/redis_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t digest(const struct redis_value *value, uint64_t hash)
{
    struct slice text = redis_value_text(value);
    hash = hash * 31 + (uint64_t)redis_value_type(value) + (uint64_t)redis_value_integer(value);
    for (size_t i = 0; i < text.len; i++)
        hash = hash * 31 + (unsigned char)text.ptr[i];
    for (size_t i = 0; i < redis_value_count(value); i++)
        hash = digest(redis_value_at(value, i), hash);
    return hash;
}

/* The copy says the same. */
static uint64_t digest_both(const struct redis_value *value, uint64_t hash)
{
    struct redis_value *copy = redis_value_copy(value);
    uint64_t result = digest(value, hash);
    if (!copy || digest(copy, hash) != result)
        abort();
    redis_value_free(copy);
    return result;
}

/* What is there of a reply that is still coming can be looked at. */
static void look_at_growing(const struct redis_reader *reader)
{
    static volatile uint64_t seen;
    for (unsigned depth = 0; depth <= 8; depth++) {
        size_t whole;
        const struct redis_value *array = redis_reader_growing(reader, depth, &whole);
        if (array && whole >= redis_value_count(array))
            abort();
        for (size_t i = 0; array && i < whole; i++)
            seen = digest(redis_value_at(array, i), seen);
    }
}

static uint64_t read_all(const char *bytes, size_t len, size_t piece)
{
    struct redis_reader *reader = redis_reader_new();
    enum status status = reader ? ST_OK : ST_NOMEM;
    uint64_t hash = 0;
    for (size_t at = 0; at < len && status == ST_OK; at += piece) {
        const struct redis_value *value = NULL;
        status = redis_reader_feed(reader, bytes + at, len - at < piece ? len - at : piece);
        while (status == ST_OK && (status = redis_reader_next(reader, &value)) == ST_OK && value)
            hash = digest_both(value, hash + 1);
        if (status == ST_OK)
            look_at_growing(reader);
    }
    redis_reader_free(reader);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *bytes = (const char *)data + 1;
    if (read_all(bytes, size - 1, size) != read_all(bytes, size - 1, (size_t)data[0] + 1))
        abort();
    return 0;
}
