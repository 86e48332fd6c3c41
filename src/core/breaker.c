/* breaker.c - the circuit breaker.
 *
 * The window is a ring of BREAKER_BUCKETS buckets, each a tenth of it long and numbered by time;
 * a bucket is emptied when its place is needed for a new number. So what counts is between 0.9 and
 * 1 window old, for 40 bytes instead of a list of outcomes: there is one breaker for each of up to
 * 100,000 endpoints. Counts have 16 bits; when one is full both of its bucket are halved, which
 * leaves their ratio.
 *
 * Only a failure opens: a success that makes up the minimum would be a strange moment for it.
 *
 * The generation moves on whenever attempts under way shall mean nothing any more: when the breaker
 * opens (again), when a probe is lost, when it is closed by hand. It stays when a probe succeeds,
 * since no attempt but the probe has that generation then.
 *
 * Rejected: several probes at once, or a share of the traffic (a receiver that is just coming up is
 * best asked once); counting in a success's favour while open what began before (a hanging attempt
 * that ends well after ten seconds says little about now).
 */
#include "core/breaker.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct breaker) <= 100, "there are up to 100,000 of them");

void breaker_rules_default(struct breaker_rules *rules)
{
    *rules = (struct breaker_rules){
        .enabled = true,
        .consecutive = 50,
        .ratio = 0.5,
        .minimum = 100,
        .window_ms = 60 * 1000,
        .open_ms = 2 * 1000,
        .open_max_ms = 5 * 60 * 1000,
        .multiplier = 2,
        .jitter = 0.2,
    };
}

const char *breaker_state_name(enum breaker_state state)
{
    switch (state) {
    case BREAKER_CLOSED:
        return "closed";
    case BREAKER_OPEN:
        return "open";
    case BREAKER_HALF_OPEN:
        return "half_open";
    }
    return "unknown";
}

const char *breaker_reason_name(enum breaker_reason reason)
{
    switch (reason) {
    case BREAKER_NO_REASON:
        return "";
    case BREAKER_CONSECUTIVE_FAILURES:
        return "consecutive_failures";
    case BREAKER_FAILURE_RATIO:
        return "failure_ratio";
    case BREAKER_PROBE_FAILED:
        return "probe_failed";
    }
    return "unknown";
}

void breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){.state = BREAKER_CLOSED};
}

/* ---- The window ----------------------------------------------------------------------------- */

static void forget(struct breaker *breaker)
{
    breaker->in_a_row = 0;
    memset(breaker->counts, 0, sizeof(breaker->counts));
    memset(breaker->failures, 0, sizeof(breaker->failures));
}

static uint64_t bucket_length(const struct breaker_rules *rules)
{
    uint64_t bucket_ms = rules->window_ms / BREAKER_BUCKETS;
    return bucket_ms ? bucket_ms : 1;
}

/* The place of the bucket of now; those whose time is over are empty afterwards. */
static size_t bucket_of(struct breaker *breaker, const struct breaker_rules *rules, uint64_t now_ms)
{
    uint64_t number = now_ms / bucket_length(rules);
    /* A smaller number: the length of the window has changed, and old numbers mean nothing. */
    if (number < breaker->newest || number - breaker->newest >= BREAKER_BUCKETS) {
        memset(breaker->counts, 0, sizeof(breaker->counts));
        memset(breaker->failures, 0, sizeof(breaker->failures));
        breaker->newest = number;
    }
    while (breaker->newest < number) {
        breaker->newest++;
        breaker->counts[breaker->newest % BREAKER_BUCKETS] = 0;
        breaker->failures[breaker->newest % BREAKER_BUCKETS] = 0;
    }
    return number % BREAKER_BUCKETS;
}

static void count(struct breaker *breaker, const struct breaker_rules *rules, bool ok,
                  uint64_t now_ms)
{
    size_t place = bucket_of(breaker, rules, now_ms);
    if (breaker->counts[place] == UINT16_MAX) {
        breaker->counts[place] /= 2;
        breaker->failures[place] /= 2;
    }
    breaker->counts[place]++;
    breaker->failures[place] += !ok;
    if (ok)
        breaker->in_a_row = 0;
    else if (breaker->in_a_row < UINT32_MAX)
        breaker->in_a_row++;
}

static enum breaker_reason reason_to_open(const struct breaker *breaker,
                                          const struct breaker_rules *rules)
{
    if (rules->consecutive > 0 && breaker->in_a_row >= rules->consecutive)
        return BREAKER_CONSECUTIVE_FAILURES;
    uint32_t total = 0, failed = 0;
    for (size_t i = 0; i < BREAKER_BUCKETS; i++) {
        total += breaker->counts[i];
        failed += breaker->failures[i];
    }
    if (rules->ratio > 0 && total >= rules->minimum && failed >= rules->ratio * total)
        return BREAKER_FAILURE_RATIO;
    return BREAKER_NO_REASON;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

/* Drawn over whole milliseconds, both ends included. The middle is held so far below the maximum
 * that the longest draw is the maximum: were draws cut there instead, many breakers would reopen in
 * step. */
static uint64_t open_time(const struct breaker *breaker, const struct breaker_rules *rules,
                          struct rng *rng)
{
    double most_ms = (double)rules->open_max_ms / (1 + rules->jitter);
    double middle_ms = (double)rules->open_ms;
    for (uint16_t i = 1; i < breaker->opened && middle_ms < most_ms; i++)
        middle_ms *= rules->multiplier;
    if (middle_ms > most_ms)
        middle_ms = most_ms;
    uint64_t span_ms = (uint64_t)(middle_ms * rules->jitter);
    return (uint64_t)middle_ms - span_ms + rng_below(rng, 2 * span_ms + 1);
}

static void enter_open(struct breaker *breaker, const struct breaker_rules *rules,
                       enum breaker_reason reason, uint64_t now_ms, struct rng *rng)
{
    if (breaker->opened < UINT16_MAX)
        breaker->opened++;
    breaker->state = BREAKER_OPEN;
    breaker->reason = (uint8_t)reason;
    breaker->generation++;
    breaker->probe_at_ms = now_ms + open_time(breaker, rules, rng);
    forget(breaker);
}

static void enter_closed(struct breaker *breaker)
{
    breaker->state = BREAKER_CLOSED;
    breaker->reason = BREAKER_NO_REASON;
    breaker->opened = 0;
    breaker->opened_at_ms = breaker->probe_at_ms = 0;
    forget(breaker);
}

void breaker_close(struct breaker *breaker)
{
    enter_closed(breaker);
    breaker->generation++;
}

void breaker_restore_open(struct breaker *breaker, enum breaker_reason reason, uint16_t opened,
                          uint64_t opened_at_ms, uint64_t probe_at_ms)
{
    assert(opened >= 1 && reason != BREAKER_NO_REASON);
    breaker->state = BREAKER_OPEN;
    breaker->reason = (uint8_t)reason;
    breaker->opened = opened;
    breaker->opened_at_ms = opened_at_ms;
    breaker->probe_at_ms = probe_at_ms;
    breaker->generation++;
    forget(breaker);
}

/* ---- Attempts ------------------------------------------------------------------------------- */

enum breaker_answer breaker_may_send(const struct breaker *breaker, uint64_t now_ms)
{
    if (breaker->state == BREAKER_CLOSED)
        return BREAKER_YES;
    return now_ms >= breaker_next_ms(breaker) ? BREAKER_PROBE : BREAKER_NO;
}

uint64_t breaker_next_ms(const struct breaker *breaker)
{
    if (breaker->state == BREAKER_CLOSED)
        return 0;
    return breaker->state == BREAKER_OPEN ? breaker->probe_at_ms : UINT64_MAX;
}

uint32_t breaker_started(struct breaker *breaker)
{
    assert(breaker->state != BREAKER_HALF_OPEN);
    if (breaker->state == BREAKER_OPEN)
        breaker->state = BREAKER_HALF_OPEN;
    return breaker->generation;
}

enum breaker_change breaker_result(struct breaker *breaker, const struct breaker_rules *rules,
                                   uint32_t generation, bool ok, uint64_t now_ms, struct rng *rng)
{
    if (generation != breaker->generation)
        return BREAKER_SAME;
    if (breaker->state == BREAKER_HALF_OPEN && ok) {
        enter_closed(breaker);
        return BREAKER_CLOSED_AGAIN;
    }
    if (breaker->state == BREAKER_HALF_OPEN) {
        enter_open(breaker, rules, BREAKER_PROBE_FAILED, now_ms, rng);
        return BREAKER_REOPENED;
    }
    assert(breaker->state == BREAKER_CLOSED); /* nobody has an open one's generation */
    if (!rules->enabled)
        return BREAKER_SAME;
    count(breaker, rules, ok, now_ms);
    enum breaker_reason reason = ok ? BREAKER_NO_REASON : reason_to_open(breaker, rules);
    if (reason == BREAKER_NO_REASON)
        return BREAKER_SAME;
    breaker->opened_at_ms = now_ms;
    enter_open(breaker, rules, reason, now_ms, rng);
    return BREAKER_OPENED;
}

bool breaker_lost(struct breaker *breaker, uint32_t generation)
{
    if (breaker->state != BREAKER_HALF_OPEN || generation != breaker->generation)
        return false;
    breaker->state = BREAKER_OPEN;
    breaker->generation++;
    return true;
}

/* ---- In another process ---------------------------------------------------------------------- */

bool breaker_export(const struct breaker *breaker, const struct breaker_rules *rules,
                    uint64_t now_ms, struct breaker_memory *out)
{
    if (breaker->state != BREAKER_CLOSED) {
        *out = (struct breaker_memory){.open = true,
                                       .reason = breaker->reason,
                                       .opened = breaker->opened,
                                       .opened_at_ms = breaker->opened_at_ms,
                                       .probe_at_ms = breaker->probe_at_ms};
        return true;
    }
    struct breaker aged = *breaker;
    size_t place = bucket_of(&aged, rules, now_ms);
    *out = (struct breaker_memory){.in_a_row = aged.in_a_row, .bucket_ms = bucket_length(rules)};
    bool any = aged.in_a_row > 0;
    for (size_t i = 0; i < BREAKER_BUCKETS; i++) {
        size_t at = (place + BREAKER_BUCKETS - i) % BREAKER_BUCKETS;
        out->counts[i] = aged.counts[at];
        out->failures[i] = aged.failures[at];
        any = any || aged.counts[at] > 0;
    }
    return any;
}

static void import_window(struct breaker *breaker, const struct breaker_rules *rules,
                          const struct breaker_memory *memory, uint64_t age_ms, uint64_t now_ms)
{
    size_t place = bucket_of(breaker, rules, now_ms);
    uint64_t bucket_ms = bucket_length(rules);
    uint64_t shift = age_ms / bucket_ms + (age_ms % bucket_ms * 2 >= bucket_ms);
    if (memory->bucket_ms != bucket_ms)
        return;
    for (size_t i = 0; i < BREAKER_BUCKETS && shift < BREAKER_BUCKETS - i; i++) {
        size_t at = (place + BREAKER_BUCKETS - i - (size_t)shift) % BREAKER_BUCKETS;
        breaker->counts[at] = memory->counts[i];
        breaker->failures[at] = memory->failures[i];
    }
}

void breaker_import(struct breaker *breaker, const struct breaker_rules *rules,
                    const struct breaker_memory *memory, uint64_t age_ms, uint64_t now_ms)
{
    breaker_close(breaker);
    if (!rules->enabled)
        return;
    uint64_t latest_ms = now_ms + rules->open_max_ms;
    if (memory->open) {
        breaker_restore_open(breaker, memory->reason, memory->opened, memory->opened_at_ms,
                             memory->probe_at_ms < latest_ms ? memory->probe_at_ms : latest_ms);
        return;
    }
    breaker->in_a_row = memory->in_a_row;
    import_window(breaker, rules, memory, age_ms, now_ms);
}
