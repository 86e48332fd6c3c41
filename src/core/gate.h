/* gate.h - may an endpoint send now, and if not, when?
 *
 * All that protects a target is decided here, in memory, for each attempt: its rate limit (gcra.h),
 * its circuit breaker (breaker.h), how many attempts it may have under way (its own maximum and
 * allowance.h), and how many its host may have in this process. dispatch.h asks before each attempt
 * and tells how it ended.
 *
 * An endpoint that must wait for a time sleeps here, in the order of those times, and dispatch is
 * called when it wakes: so a limited delivery leaves at its slot, and nobody asks in between.
 */
#ifndef TROTLINE_CORE_GATE_H
#define TROTLINE_CORE_GATE_H

#include "base/heap.h"
#include "base/list.h"
#include "core/allowance.h"
#include "core/breaker.h"
#include "core/gcra.h"

struct core;
struct endpoint;
struct gate;
struct gate_host;
struct outbound_result;

/* An endpoint's part: a member of struct endpoint, all of it this module's own. */
struct gate_entry {
    struct gcra rate;
    struct breaker breaker;
    struct allowance allowance;
    struct heap_node sleep;  /* until its key, in monotonic us */
    bool limited;            /* and that is its rate limit\'s slot */
    uint64_t sends_to;       /* hash of its URL or stream; 0: it is new */
    struct gate_host *host;  /* where that is; NULL: not limited, or no host */
    struct list host_waiter; /* in its host's list, when that is full */
};

/* What an attempt keeps for its end: a member of struct delivery. */
struct gate_pass {
    struct gate_host *host;
    uint32_t generation; /* of the breaker */
    uint32_t in_flight;  /* of the endpoint when it began, itself included */
};

/* Wakes endpoints by dispatch_endpoint_ready(). NULL: out of memory. */
struct gate *gate_new(struct core *core);
/* No attempt ends and no endpoint changes any more. Accepts NULL. */
void gate_free(struct gate *gate);

/* It is new, deleted, disabled, enabled, or its configuration is another one: it sleeps no longer.
 * One that sends elsewhere now, or is enabled again, begins anew: with a closed breaker. */
void gate_changed(struct gate *gate, struct endpoint *endpoint);
/* Somebody says that it is well: its breaker is closed. Ask dispatch_endpoint_ready() afterwards.
 */
void gate_reset(struct gate *gate, struct endpoint *endpoint);

/* ---- Its lane has another owner -------------------------------------------------------------- */

/* What the gate knows of an endpoint, for another process. Times are Redis's (unix us and ms);
 * those that must not come too early are told a little late, never early (redis_clock.h). */
struct gate_state {
    uint64_t next_us; /* the rate limit's; 0: its bucket is full */
    bool has_breaker, has_allowance;
    struct breaker_memory breaker;
    struct allowance_memory allowance;
};

/* False: it is at rest (a full bucket, a closed breaker with an empty window, a fresh allowance)
 * and *out says so. Nothing changes: the lane may yet stay here. */
bool gate_export(const struct gate *gate, const struct endpoint *endpoint, struct gate_state *out);

/* The next two: its lane is this process's from now on. What the gate knew of it from earlier is
 * forgotten, and results of attempts under way since then say nothing.
 *
 * gate_import(): the last owner handed over this state `age_ms` ago; NULL: it was at rest. The
 * breaker's part of endpoint->health.kept is set by it; the caller has that written.
 *
 * gate_restore(): the last owner died, and endpoint->health.kept is what it left. What it has sent
 * is not known, so the bucket is empty; the breaker is as it was. */
void gate_import(struct gate *gate, struct endpoint *endpoint, const struct gate_state *state,
                 uint64_t age_ms);
void gate_restore(struct gate *gate, struct endpoint *endpoint);

/* Its lane is another's: it is at rest and asleep no more, and nobody is told. */
void gate_leave(struct gate *gate, struct endpoint *endpoint);

/* ---- Asking ---------------------------------------------------------------------------------- */

/* How many attempts it may have under way: the smaller one of its own maximum and its allowance. */
size_t gate_most(const struct endpoint *endpoint);

/* When the next attempt may start, in monotonic us: not above `now_us` means now, UINT64_MAX when
 * only the end of the probe can tell. When its host is full that is a guess, and it waits there
 * from now on: it must sleep. */
uint64_t gate_opens_us(struct gate *gate, struct endpoint *endpoint, uint64_t now_us);

/* How many attempts its rate limit lets start within so long; SIZE_MAX without one. 1 when its
 * breaker is not closed. */
size_t gate_room(const struct endpoint *endpoint, uint64_t within_us);

/* The breaker is open, or waits for its probe: what comes now waits in the schedule. */
bool gate_closed(const struct endpoint *endpoint);

/* It sleeps until then (a time of gate_opens_us(), or earlier); UINT64_MAX: until it is woken. */
void gate_sleep(struct gate *gate, struct endpoint *endpoint, uint64_t until_us);
bool gate_asleep(const struct endpoint *endpoint);
bool gate_waits_for_host(const struct endpoint *endpoint);
void gate_wake(struct gate *gate, struct endpoint *endpoint);

/* An attempt starts: only when gate_opens_us() says now. */
void gate_pass(struct gate *gate, struct endpoint *endpoint, struct gate_pass *pass);

/* An attempt ended. For the breaker an answer that the policy's `retryOn` calls final is about the
 * event and a sign of life, so GOOD; unless it is a sign of trouble, then UNKNOWN, like an attempt
 * that was cancelled or failed by our own fault. The breaker may open or close, and whoever waited
 * for its end is woken. `troubled`: no answer, 429 or 5xx. */
enum gate_outcome { GATE_GOOD, GATE_BAD, GATE_UNKNOWN };
struct gate_end {
    enum gate_outcome outcome;
    bool answered; /* false: not by the endpoint's doing; then the rest means nothing */
    bool troubled;
    uint64_t duration_us;
};
void gate_passed(struct gate *gate, struct endpoint *endpoint, struct gate_pass *pass,
                 const struct gate_end *end);

/* An attempt has been under way for so long: evidence that comes before its answer. To be called
 * about once a second for each. */
void gate_hanging(struct endpoint *endpoint, uint64_t age_us);

#endif
