/* outcome.h - what became of a delivery, in the three forms in which it is kept. Pure.
 *
 *   outcome    12 bytes for each ordinal of a batch: final outcomes, in the batch's `outcome`
 * string state      msgpack, in the `event` hash: a delivery that waits or is dead attempt msgpack,
 * in the endpoint's `attempts` list: one HTTP request
 */
#ifndef TROTLINE_CORE_OUTCOME_H
#define TROTLINE_CORE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"

/* ---- Final outcome -------------------------------------------------------------------------- */

enum outcome_status {
    OUTCOME_NONE = 0,
    OUTCOME_SENT = 1,
    OUTCOME_CANCELLED = 2,
    OUTCOME_DUPLICATE = 3
};
enum { OUTCOME_BYTES = 12 };

/* The ordinal of a delivery that its batch does not know of, because it was replayed to an endpoint
 * that had not subscribed at the time: its outcome is kept nowhere. */
#define ORDINAL_NONE UINT32_MAX

struct outcome {
    enum outcome_status status;
    uint8_t attempts; /* 255: that many or more */
    uint16_t status_code;
    uint32_t duration_ms; /* of the last attempt; at most 2^24 - 1 are kept */
    uint64_t at_ms;       /* unix, the start of the last attempt; kept in units of 4 ms */
};

/* A number of attempts as an outcome keeps it. */
static inline uint8_t outcome_attempts(uint32_t attempts)
{
    return attempts > 255 ? 255 : (uint8_t)attempts;
}

void outcome_write(uint8_t out[OUTCOME_BYTES], const struct outcome *outcome);
/* All zero bytes are OUTCOME_NONE. */
struct outcome outcome_read(const uint8_t in[OUTCOME_BYTES]);

/* ---- State of a delivery in the schedule or among the dead letters -------------------------- */

struct delivery_state {
    uint32_t ordinal;
    uint32_t attempts;    /* made so far */
    uint32_t replayed_at; /* of which before the last replay: they do not count for its policy */
    bool dead;            /* among the dead letters */
    uint16_t status_code; /* of the last attempt; 0: none came */
    struct slice
        error; /* error class or reason of the last failure: "timeout", "endpoint_disabled", "" */
    uint64_t last_at_ms;     /* unix, of the last attempt; 0: none yet */
    uint64_t accepted_at_ms; /* unix */
    struct slice log;        /* its last attempts (attempt_log.h) */
    struct slice order;      /* the hash of the queue that waits for it (ordering.h); empty: none */
    struct slice group;      /* whom it goes with, and its place (group.h); empty: nobody */
};

void delivery_state_write(struct buf *buf, const struct delivery_state *state);
/* `error`, `log`, `order` and `group` point into `bytes`. ST_SYNTAX: not a state, or of a format we
 * do not know; ST_RANGE: a number in it does not fit. *state is then meaningless. */
MUST_CHECK enum status delivery_state_read(struct slice bytes, struct delivery_state *state);

/* ---- One attempt ---------------------------------------------------------------------------- */

struct attempt_record {
    struct id id;
    struct id event_id;
    uint32_t number; /* 1 for the first */
    bool success;
    uint16_t status_code;
    uint32_t duration_ms;
    uint64_t at_ms; /* unix, its start */
    struct slice error;
    struct slice body; /* the head of the response */
};

void attempt_record_write(struct buf *buf, const struct attempt_record *record);
/* As delivery_state_read; `error` and `body` point into `bytes`. */
MUST_CHECK enum status attempt_record_read(struct slice bytes, struct attempt_record *record);

#endif
