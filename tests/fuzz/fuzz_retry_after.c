/* fuzz_retry_after - outbound_retry_after() on arbitrary bytes: the answer is -1 or not negative,
 * the same with blanks around the value, and a date's wait shrinks as time passes. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "net/outbound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t now_ms = 1700000000000;
    int64_t ms = outbound_retry_after(slice_of(data, size), now_ms);
    int64_t later = outbound_retry_after(slice_of(data, size), now_ms + 1000);
    assert(ms >= -1);
    assert(later == ms || (ms > 0 && later == (ms > 1000 ? ms - 1000 : 0)));
    char *padded = malloc(size + 3);
    assert(padded);
    padded[0] = ' ';
    if (size)
        memcpy(padded + 1, data, size);
    padded[size + 1] = '\r';
    padded[size + 2] = '\n';
    assert(outbound_retry_after(slice_of(padded, size + 3), now_ms) == ms);
    free(padded);
    return 0;
}
