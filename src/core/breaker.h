/* breaker.h - the circuit breaker of one endpoint: may anything be sent to it? Pure.
 *
 *      ┌──────────┐  too many failures   ┌──────┐   probe_at_ms has come    ┌───────────┐
 *   ──▶│  closed  │─────────────────────▶│ open │──────────────────────────▶│ half-open │
 *      └──────────┘       OPENED         └──────┘      one probe starts     └───────────┘
 *           ▲                               ▲ ▲                               │  │    │
 *           │                               │ └───── the probe is lost ───────┘  │    │
 *           │                               └─────── the probe failed: REOPENED ─┘    │
 *           └─────────────────────────────────────── the probe succeeded: CLOSED ─────┘
 *
 * The pattern is Nygard's ("Release It!", 2007); window, ratio and minimum are as in resilience4j's
 * CircuitBreaker with a time-based window; a single probe as in Hystrix. The time that it stays
 * open grows with each failed probe, as a retry's delay does.
 *
 * An attempt keeps the generation that the breaker had when it began (breaker_started()), and
 * brings it back with its result. What began before the breaker opened says nothing about now, and
 * changes nothing: the generations differ.
 *
 * What is a failure the caller decides. Times are milliseconds of a monotonic clock; the caller
 * converts those that are stored or shown. Nothing is called back.
 */
#ifndef TROTLINE_CORE_BREAKER_H
#define TROTLINE_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

struct breaker_rules {
    bool enabled;         /* false: a closed breaker never opens */
    uint32_t consecutive; /* opens after so many failures in a row; 0: not used */
    double ratio;     /* … or when so large a share (0..1] of the outcomes in the window … */
    uint32_t minimum; /* … of at least so many, are failures; ratio 0: not used */
    uint64_t window_ms;
    uint64_t open_ms;     /* the first time; each failed probe in a row multiplies it */
    uint64_t open_max_ms; /* never longer, jitter included */
    double multiplier;    /* >= 1 */
    double jitter;        /* 0..1: d becomes d * (1 +- jitter), uniformly */
};

/* 50 failures in a row, or half of at least 100 within 60 s; 2 s, doubled each time up to 5 min,
 * +-20 %. */
void breaker_rules_default(struct breaker_rules *rules);

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
const char *breaker_state_name(enum breaker_state state); /* "closed", "open", "half_open" */

/* Why it is open. */
enum breaker_reason {
    BREAKER_NO_REASON, /* "": it is closed */
    BREAKER_CONSECUTIVE_FAILURES,
    BREAKER_FAILURE_RATIO,
    BREAKER_PROBE_FAILED
};
const char *breaker_reason_name(enum breaker_reason reason); /* "consecutive_failures", … */

enum { BREAKER_BUCKETS = 10 };

/* 80 bytes. All zero: closed, as breaker_init() makes it. Read state, reason, opened and the times;
 * the rest is the module's own. */
struct breaker {
    uint8_t state;  /* enum breaker_state */
    uint8_t reason; /* enum breaker_reason */
    uint16_t
        opened; /* times in a row: 1 when it opens, one more for each failed probe; 0: closed */
    uint32_t generation;
    uint64_t opened_at_ms; /* since when it has not been closed */
    uint64_t probe_at_ms;  /* OPEN: from then on a probe may go */

    uint64_t newest;   /* the number of the newest bucket: its time / the length of a bucket */
    uint32_t in_a_row; /* failures */
    uint16_t counts[BREAKER_BUCKETS]; /* outcomes, by number modulo BREAKER_BUCKETS */
    uint16_t failures[BREAKER_BUCKETS];
};

void breaker_init(struct breaker *breaker);

enum breaker_answer { BREAKER_NO, BREAKER_YES, BREAKER_PROBE };

/* May an attempt begin now? BREAKER_PROBE: one, and no other until its result is there. Changes
 * nothing. */
enum breaker_answer breaker_may_send(const struct breaker *breaker, uint64_t now_ms);

/* The time from which it is worth asking again: 0 when closed; when open the probe's time;
 * UINT64_MAX while the probe is under way, whose result is what to wait for. */
uint64_t breaker_next_ms(const struct breaker *breaker);

/* An attempt has begun, after BREAKER_YES or BREAKER_PROBE: in the second case it is the probe. The
 * attempt keeps what is returned and hands it to exactly one of the two calls below. */
uint32_t breaker_started(struct breaker *breaker);

enum breaker_change { BREAKER_SAME, BREAKER_OPENED, BREAKER_REOPENED, BREAKER_CLOSED_AGAIN };

/* The result of an attempt. After OPENED and REOPENED the new times are set. `rng` is for jitter.
 */
enum breaker_change breaker_result(struct breaker *breaker, const struct breaker_rules *rules,
                                   uint32_t generation, bool ok, uint64_t now_ms, struct rng *rng);

/* An attempt came to nothing: it was cancelled, or this process failed. When it was the probe,
 * another may go at once. True: it was. */
bool breaker_lost(struct breaker *breaker, uint32_t generation);

/* Closed by hand, or the endpoint has become another (its URL): all is forgotten, and results of
 * attempts that are under way change nothing. */
void breaker_close(struct breaker *breaker);

/* Open again as it was stored: after a start. `opened` >= 1. A time of the probe that has passed
 * lets it go at once. */
void breaker_restore_open(struct breaker *breaker, enum breaker_reason reason, uint16_t opened,
                          uint64_t opened_at_ms, uint64_t probe_at_ms);

/* ---- In another process ---------------------------------------------------------------------- */

/* What another process needs to go on with it; never half-open: whoever takes over while a probe is
 * under way sends one itself. Closed: only the window and the failures in a row matter; open: only
 * the others. */
struct breaker_memory {
    bool open;
    enum breaker_reason reason;
    uint16_t opened;
    uint64_t opened_at_ms, probe_at_ms;
    uint32_t in_a_row;
    uint64_t bucket_ms;               /* a tenth of the window; buckets from the present one back */
    uint16_t counts[BREAKER_BUCKETS]; /* outcomes */
    uint16_t failures[BREAKER_BUCKETS];
};

/* False: it is at rest, closed and with nothing in its window. */
bool breaker_export(const struct breaker *breaker, const struct breaker_rules *rules,
                    uint64_t now_ms, struct breaker_memory *out);

/* Becomes what is remembered; `age_ms` is how long ago that was told, and its times are of this
 * process's clock. The rules may be others: no probe waits longer than they let one, a window of
 * another length is forgotten, and where they do not enable breakers it is closed. Results of
 * attempts that are under way change nothing. The window moves by half a bucket at most. */
void breaker_import(struct breaker *breaker, const struct breaker_rules *rules,
                    const struct breaker_memory *memory, uint64_t age_ms, uint64_t now_ms);

#endif
