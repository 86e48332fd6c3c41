/* fuzz_outcome.c - any bytes as the state of a delivery, as an attempt, and as final outcomes: what
 * was read, written and read again is the same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "core/attempt_log.h"

static void check(bool truth)
{
    if (!truth)
        abort();
}

static void check_inside(struct slice part, struct slice whole)
{
    check(part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_state(struct slice bytes, struct buf *buf)
{
    struct delivery_state a, b;
    if (delivery_state_read(bytes, &a) != ST_OK)
        return;
    check_inside(a.error, bytes);
    buf_clear(buf);
    delivery_state_write(buf, &a);
    check(delivery_state_read(buf_slice(buf), &b) == ST_OK);
    check(a.ordinal == b.ordinal && a.attempts == b.attempts && a.replayed_at == b.replayed_at);
    check(a.dead == b.dead && a.status_code == b.status_code && slice_eq(a.error, b.error));
    check(a.last_at_ms == b.last_at_ms && a.accepted_at_ms == b.accepted_at_ms);
    check(slice_eq(a.log, b.log) && slice_eq(a.order, b.order) && slice_eq(a.group, b.group));
}

/* Whatever the log was, one attempt more can be read back as its last. */
static void check_log(struct slice bytes, struct buf *buf)
{
    struct attempt_record last = {.number = 7, .at_ms = 5, .error = SLICE("timeout")}, read;
    struct mp_reader reader;
    size_t count = 0;
    buf_clear(buf);
    attempt_log_add(buf, bytes, &last);
    mp_reader_init(&reader, buf_slice(buf));
    uint32_t number = 0;
    for (; attempt_log_next(&reader, &read); count++)
        number = read.number;
    check(mp_at_end(&reader) && number == 7 && count > 0 && count <= LIMIT_EVENT_ATTEMPTS);
}

static void check_attempt(struct slice bytes, struct buf *buf)
{
    struct attempt_record a, b;
    if (attempt_record_read(bytes, &a) != ST_OK)
        return;
    check_inside(a.error, bytes);
    check_inside(a.body, bytes);
    buf_clear(buf);
    attempt_record_write(buf, &a);
    check(attempt_record_read(buf_slice(buf), &b) == ST_OK);
    check(id_eq(&a.id, &b.id) && id_eq(&a.event_id, &b.event_id) && a.number == b.number);
    check(a.success == b.success && a.status_code == b.status_code);
    check(a.duration_ms == b.duration_ms && a.at_ms == b.at_ms);
    check(slice_eq(a.error, b.error) && slice_eq(a.body, b.body));
}

static void check_outcomes(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + OUTCOME_BYTES <= size; at += OUTCOME_BYTES) {
        uint8_t written[OUTCOME_BYTES];
        struct outcome a = outcome_read(bytes + at);
        outcome_write(written, &a);
        struct outcome b = outcome_read(written);
        check(a.status <= OUTCOME_DUPLICATE && a.status == b.status && a.attempts == b.attempts);
        check(a.status_code == b.status_code && a.duration_ms == b.duration_ms);
        check(a.at_ms == b.at_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf buf;
    buf_init(&buf, size + 1024);
    check_state(slice_of(data, size), &buf);
    check_attempt(slice_of(data, size), &buf);
    check_log(slice_of(data, size), &buf);
    check_outcomes(data, size);
    buf_free(&buf);
    return 0;
}
