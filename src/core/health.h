/* health.h - how an endpoint has fared: since when it has done nothing but fail. Pure.
 *
 * "Failing since" is the time of the first failure after the last success. It is what auto-disable
 * measures by, and it is kept in Redis, so that a restart does not start the clock anew. Times are
 * unix ms of Redis's clock.
 */
#ifndef TROTLINE_CORE_HEALTH_H
#define TROTLINE_CORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"

/* What outlives the process: a field of `tl:{0}:health`. All zero: nothing is wrong. */
struct health_record {
    uint64_t failing_since_ms; /* 0: it is not failing */
    char breaker[12];          /* the breaker's state by name; "": closed */
    uint64_t probe_at_ms;      /* when the breaker lets the next attempt through; 0: none is due */
    uint32_t opened;           /* how often the breaker has opened since it was last closed */
    uint64_t opened_at_ms;     /* when it did so first; 0: it is closed */
    char reason[24];           /* why; "": it is closed */
};

struct endpoint_health {
    struct health_record kept;     /* after a change: health_store_note() */
    uint32_t consecutive_failures; /* since the last success that this process saw */
    struct list unsaved; /* health_store's: what is kept has changed since it was written */
};

/* All is well, and `unsaved` is in no list. */
void health_init(struct endpoint_health *health);

/* An attempt failed, or was a success; or somebody says that all is well again, which counts as a
 * success. The breaker's part stays as it is. True: `kept` has changed. */
bool health_failed(struct endpoint_health *health, uint64_t now_ms);
bool health_succeeded(struct endpoint_health *health);

/* Has it done nothing but fail for that long? Never when after_ms is 0. */
bool health_overdue(const struct endpoint_health *health, uint64_t now_ms, uint64_t after_ms);

/* Do they say the same? */
bool health_record_same(const struct health_record *a, const struct health_record *b);

/* Appends the record as JSON; nothing when nothing is wrong. */
void health_record_write(struct buf *buf, const struct health_record *record);

/* Members that are not known, or not of their kind, are passed over: another version wrote them.
 * ST_SYNTAX: not a JSON object; *record is then all zero. */
MUST_CHECK enum status health_record_read(struct slice json, struct health_record *record);

#endif
