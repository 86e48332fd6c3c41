/* fuzz_health.c - any bytes as the record of how an endpoint fares: what was read, written and read
 * again is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/health.h"

static void check(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct health_record a, b;
    struct buf buf;
    if (health_record_read(slice_of(data, size), &a) != ST_OK) {
        check(a.failing_since_ms == 0 && a.breaker[0] == '\0');
        return 0;
    }
    check(memchr(a.breaker, '\0', sizeof(a.breaker)) != NULL);
    buf_init(&buf, 1024);
    health_record_write(&buf, &a);
    check(buf_status(&buf) == ST_OK);
    if (buf.len > 0) {
        check(health_record_read(buf_slice(&buf), &b) == ST_OK);
        check(a.failing_since_ms == b.failing_since_ms && a.probe_at_ms == b.probe_at_ms);
        check(a.opened == b.opened && strcmp(a.breaker, b.breaker) == 0);
    }
    buf_free(&buf);
    return 0;
}
