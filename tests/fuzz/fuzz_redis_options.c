/* fuzz_redis_options.c - any URL: accepted with strings that are whole, or refused with a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/redis_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t length(const char *string)
{
    return string ? strlen(string) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redis_options options = {0};
    struct buf storage;
    const char *reason = NULL;
    buf_init(&storage, 4096);
    enum status status = redis_options_parse(&options, slice_of(data, size), &storage, &reason);
    if (!reason || (reason[0] == '\0') != (status == ST_OK))
        abort();
    if (status == ST_OK && !!options.unix_path + !!options.host + (options.sentinel_count > 0) != 1)
        abort();
    size_t lengths = length(options.host) + length(options.unix_path) + length(options.username) +
                     length(options.password) + length(options.master_name);
    if (options.sentinel_count > LIMIT_REDIS_SENTINELS)
        abort();
    for (size_t i = 0; i < options.sentinel_count; i++)
        lengths += length(options.sentinels[i].name);
    if (lengths > size)
        abort();
    buf_free(&storage);
    return 0;
}
