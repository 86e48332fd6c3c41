/* fuzz_handover.c - any bytes as what a lane's last owner left. A state that is refused changes
 * nothing; one that is taken leaves endpoints that may send within the time that their own
 * configuration says, and whose state can be written and taken again. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static void check(bool truth)
{
    if (!truth)
        abort();
}

#define assert_non_null(pointer) check((pointer) != NULL) /* in a header of the unit tests */

#include "../unit/handover_world.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENDPOINTS = 3 };

static struct side side;
static struct endpoint *endpoints[ENDPOINTS];

static void begin(void)
{
    check(side_init(&side, "00000000000000aa"));
    for (uint8_t i = 0; i < ENDPOINTS; i++) {
        endpoints[i] =
            side_put(&side, i, i ? "{\"limit\":10,\"period\":\"1s\",\"burst\":4}" : "null");
        check(endpoints[i] != NULL);
    }
}

/* The longest wait: an empty bucket's, or the longest that a breaker stays open. */
static void check_wait(struct endpoint *endpoint)
{
    uint64_t now_us = clock_now_us(), most_us = side.core->options.breaker.open_max_ms * 1000;
    check(gate_opens_us(side.core->gate, endpoint, now_us) <= now_us + most_us);
    check(gate_most(endpoint) >= 1);
    check(side.core->stats.breakers_open <= ENDPOINTS);
}

static void write_all(struct buf *out)
{
    buf_init(out, LIMIT_HANDOVER_BYTES);
    for (size_t i = 0; i < ENDPOINTS; i++)
        check(handover_write(side.core, endpoints[i]->lane, out) == ST_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!side.core)
        begin();
    bool taken = false;
    struct buf before, after;
    write_all(&before);
    for (size_t i = 0; i < ENDPOINTS; i++) {
        uint32_t lane = endpoints[i]->lane;
        struct buf again;
        buf_init(&again, LIMIT_HANDOVER_BYTES);
        if (handover_apply(side.core, lane, slice_of(data, size)) == ST_OK) {
            taken = true;
            check_wait(endpoints[i]);
            check(handover_write(side.core, lane, &again) == ST_OK);
            check(handover_apply(side.core, lane, buf_slice(&again)) == ST_OK);
            check_wait(endpoints[i]);
        }
        buf_free(&again);
    }
    write_all(&after);
    check(taken || slice_eq(buf_slice(&before), buf_slice(&after)));
    buf_free(&before);
    buf_free(&after);
    return 0;
}
