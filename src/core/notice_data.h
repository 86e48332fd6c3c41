/* notice_data.h - what operational events say, and how often. Pure.
 *
 * Types, members and examples are described in README.md, "Operational events": this is the one
 * place where they are written.
 */
#ifndef TROTLINE_CORE_NOTICE_DATA_H
#define TROTLINE_CORE_NOTICE_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/limits.h"

enum notice_type {
    NOTICE_ENDPOINT_DISABLED,
    NOTICE_BREAKER_OPENED,
    NOTICE_BREAKER_CLOSED,
    NOTICE_BACKLOG,
    NOTICE_DELIVERY_FAILING, /* from here on: rated, see struct notice_memory */
    NOTICE_DELIVERY_EXHAUSTED,
    NOTICE_DELIVERY_RECOVERED,
    NOTICE_TYPES
};
enum { NOTICE_RATED = NOTICE_TYPES - NOTICE_DELIVERY_FAILING };

/* "endpoint.disabled" and so on: the event's type. */
const char *notice_type_name(enum notice_type type);

/* Is this the source and one of the types of an operational event? */
bool notice_named(struct slice source, struct slice type);
#define NOTICE_SOURCE SLICE("trotline")

/* ---- Content -------------------------------------------------------------------------------- */

/* The attempt that a notice is about; a copy, because the delivery may be gone when it is sent. */
struct notice_attempt {
    char event_id[ID_TEXT_MAX];
    char event_type[LIMIT_TYPE_BYTES + 1];
    uint32_t attempts; /* of the delivery so far; 0: there is no attempt to tell of */
    int status_code;   /* 0: no answer came */
    char error[32];    /* class of the failure; "": a success */
};

/* Which of these a notice tells depends on its type. Times are unix ms; 0 is told as null. */
struct notice_data {
    enum notice_type type;
    const char *webhook_id;
    const char *url;    /* NULL is told as null: it is no HTTP endpoint */
    const char *reason; /* "" or NULL is told as null */
    struct notice_attempt attempt;
    uint64_t failing_since_ms;
    uint64_t next_attempt_at_ms;
    uint32_t consecutive_failures;
    uint32_t suppressed;
    uint64_t waiting, threshold;
};

/* Appends the event's data. Ask buf_status(). */
void notice_data_write(struct buf *buf, const struct notice_data *data);

/* ---- How often ------------------------------------------------------------------------------ */

enum { NOTICE_BURST = 10, NOTICE_EVERY_MS = 1000 };

/* NOTICE_BURST at once, then one each NOTICE_EVERY_MS. */
struct notice_rate {
    uint64_t due_at_ms;  /* monotonic: when all that were let through would have been due */
    uint32_t suppressed; /* since the last one that was let through */
};

/* May one be sent now? True: *suppressed is how many were not since the last one. */
bool notice_rate_take(struct notice_rate *rate, uint64_t now_ms, uint32_t *suppressed);

/* What is remembered of an endpoint's notices. All zero at first. */
struct notice_memory {
    struct notice_rate rates[NOTICE_RATED];
    bool breaker_open; /* it was told that the breaker opened, and not yet that it closed */
    bool backlog;      /* it was told of a backlog that has not fallen to half since */
};

/* Does a backlog of that size begin one that is to be told? `threshold` 0: never. */
bool notice_backlog_begins(struct notice_memory *memory, uint64_t waiting, uint64_t threshold);

#endif
