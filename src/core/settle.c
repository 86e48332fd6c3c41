/* settle.c - records what became of a delivery, and retries or finishes it.
 *
 *   memory path: its batch is open
 *      sent, cancelled ---> an outcome in the batch, nothing to Redis now
 *      anything else -----> move.lua, then the ordinal is moved
 *   schedule path: leased from `due`
 *      everything --------> settle.lua, fenced by the lease
 *
 * Both scripts are called by entries.c, for many deliveries at once.
 *
 * A delivery that is being moved or renewed while its attempt ends keeps the result (struct
 * settlement) until the answer is there, because the answer brings the fence.
 *
 * Deliveries that went together are judged once, by their attempt; then each goes its own way to
 * Redis, where its state says whom it goes with the next time.
 *
 * When there is no memory for a call the delivery is dropped from this process and stays what it is
 * in Redis: its lease ends, or its batch stays in the journal until a restart. Nothing is lost.
 */
#include "core/settle.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/archive.h"
#include "core/attempt.h"
#include "core/attempt_log.h"
#include "core/dispatch.h"
#include "core/entries.h"
#include "core/gate.h"
#include "core/group.h"
#include "core/history.h"
#include "core/journal.h"
#include "core/schedule.h"
#include "core/watch.h"

struct settle {
    struct core *core;
};

/* What an attempt's end means for its delivery. */
struct settlement {
    struct delivery *delivery;
    enum retry_verdict verdict;
    bool counted;                 /* an attempt was made: it is recorded */
    bool tells;                   /* it speaks for its attempt: its endpoint's watch is told */
    uint64_t delay_ms;            /* RETRY_LATER */
    uint64_t due_at_ms;           /* the same by Redis's clock, if it went with others; else 0 */
    struct attempt_record record; /* its body: the result's, or if held, `body` */
    const char *error;            /* static memory */
    char body[];
};

/* ---- After Redis's answer ------------------------------------------------------------------- */

static void drop(struct core *core, struct delivery *delivery)
{
    schedule_forget(core->schedule, delivery);
    dispatch_release(core->dispatch, delivery);
}

static void on_moved(struct core *core, struct delivery *delivery, enum status status,
                     int64_t due_ms, const struct archive_end *end)
{
    if (status == ST_NOMEM)
        log_error("settle.failed", "reason=nomem");
    if (status == ST_OK) {
        core->stats.deliveries_moved++;
        if (due_ms == STORE_GONE) { /* whoever has adopted the batch delivers it again */
            journal_lost(core->journal, delivery->message->batch, delivery->ordinal);
        } else {
            archive_delivery(core->archive, delivery, end);
            if (end->status != ARCHIVE_DEAD)
                schedule_note_due(core->schedule, delivery->endpoint, due_ms);
            journal_moved(core->journal, delivery->message->batch, delivery->ordinal);
        }
    }
    drop(core, delivery);
}

static void on_settled(struct core *core, struct delivery *delivery, enum status status,
                       int64_t due_ms, const struct archive_end *end)
{
    if (status == ST_NOMEM)
        log_error("settle.failed", "reason=nomem");
    if (status == ST_OK) {
        bool stale = due_ms == STORE_STALE;
        if (!stale || end->status == ARCHIVE_SENT) /* it was, though others go on with it */
            archive_delivery(core->archive, delivery, end);
        core->stats.leases_lost += stale;
        if (due_ms > 0)
            schedule_note_due(core->schedule, delivery->endpoint, due_ms);
    }
    drop(core, delivery);
}

/* ---- What is written ------------------------------------------------------------------------ */

static struct slice log_of(const struct delivery *delivery)
{
    return slice_of(delivery->log, delivery->log_len);
}

/* The delivery's attempts with the one that has just ended. */
static void write_log(struct core *core, struct buf *buf, const struct delivery *delivery,
                      const struct attempt_record *record)
{
    buf_init(buf, LIMIT_EVENT_LOG_BYTES);
    if (core->options.attempts_kept > 0)
        attempt_log_add(buf, log_of(delivery), record);
}

static void write_attempt(struct buf *buf, struct settlement *settlement)
{
    struct attempt_record *record = &settlement->record;
    attempt_id(&record->id, &record->event_id, &settlement->delivery->endpoint->id, record->number,
               record->at_ms);
    buf_init(buf, 4096);
    attempt_record_write(buf, record);
}

/* Does the next of its ordering key go on? What is dead may keep it. */
static bool leaves_queue(const struct delivery *delivery, bool dead)
{
    return delivery->ordered && dead && !delivery->endpoint->config->blocks_order;
}

static void write_state(struct buf *buf, const struct delivery *delivery, bool dead,
                        const char *error, int status_code, struct slice log)
{
    struct delivery_state state = {
        .ordinal = delivery->ordinal,
        .attempts = delivery->attempts,
        .replayed_at = delivery->replayed_at,
        .dead = dead,
        .status_code = (uint16_t)status_code,
        .error = slice_str(error),
        .last_at_ms = delivery->attempts > 0 ? clock_wall_ms() : 0,
        .accepted_at_ms = delivery->accepted_at_ms,
        .log = log,
    };
    if (delivery->ordered && !leaves_queue(delivery, dead))
        state.order = slice_of(delivery->order, sizeof(delivery->order));
    uint8_t group[GROUP_BYTES];
    if (delivery->group && !dead) {
        group_write(group, delivery->group, delivery->place);
        state.group = slice_of(group, sizeof(group));
    }
    delivery_state_write(buf, &state);
}

/* Moves a delivery of the memory path. */
static void move(struct core *core, struct delivery *delivery, enum store_move_kind kind,
                 const struct entry_change *change)
{
    delivery->phase = DELIVERY_SETTLING;
    if (entries_move(core->entries, delivery, kind, change, on_moved) != ST_OK)
        on_moved(core, delivery, ST_NOMEM, 0, &change->end);
}

static void settle_leased(struct core *core, struct delivery *delivery, enum store_settle_kind kind,
                          const struct entry_change *change)
{
    delivery->phase = DELIVERY_SETTLING;
    if (entries_settle(core->entries, delivery, kind, change, on_settled) != ST_OK)
        on_settled(core, delivery, ST_NOMEM, 0, &change->end);
}

/* ---- The three ends ------------------------------------------------------------------------- */

static void finish(struct core *core, struct delivery *delivery, const struct outcome *outcome,
                   struct slice log, struct slice attempt)
{
    bool sent = outcome->status == OUTCOME_SENT;
    struct archive_end end = {.status = sent ? ARCHIVE_SENT : ARCHIVE_CANCELLED,
                              .status_code = outcome->status_code,
                              .timed = sent,
                              .duration_ms = outcome->duration_ms,
                              .error = ""};
    if (sent)
        core->stats.deliveries_sent++;
    else
        core->stats.deliveries_cancelled++;
    if (delivery->lease) {
        uint8_t bytes[OUTCOME_BYTES];
        outcome_write(bytes, outcome);
        settle_leased(core, delivery, STORE_SETTLE_DONE,
                      &(struct entry_change){.state = log,
                                             .attempt = attempt,
                                             .outcome = slice_of(bytes, sizeof(bytes)),
                                             .leaves_queue = delivery->ordered,
                                             .end = end});
        return;
    }
    delivery->phase = DELIVERY_SETTLING;
    archive_delivery(core->archive, delivery, &end);
    struct batch *batch = delivery->message->batch;
    batch_get(batch);
    uint32_t ordinal = delivery->ordinal;
    schedule_forget(core->schedule, delivery);
    dispatch_release(core->dispatch, delivery);
    journal_finished(core->journal, batch, ordinal, outcome);
    batch_put(batch);
}

static void postpone(struct core *core, struct delivery *delivery, enum store_move_kind kind,
                     uint64_t value, const struct archive_end *end, struct slice log,
                     struct slice attempt)
{
    struct buf state;
    buf_init(&state, 512 + LIMIT_EVENT_LOG_BYTES);
    write_state(&state, delivery, kind == STORE_MOVE_DEAD, end->error, end->status_code, log);
    struct entry_change change = {.state = buf_slice(&state),
                                  .attempt = attempt,
                                  .value = value,
                                  .leaves_queue = leaves_queue(delivery, kind == STORE_MOVE_DEAD),
                                  .end = *end};
    if (delivery->lease == 0) {
        move(core, delivery, kind, &change);
    } else {
        uint64_t now_ms = store_redis_ms(core->store);
        if (kind == STORE_MOVE_AT)
            change.value = value > now_ms ? value - now_ms : 0;
        settle_leased(core, delivery,
                      kind == STORE_MOVE_DEAD ? STORE_SETTLE_DEAD : STORE_SETTLE_RETRY, &change);
    }
    buf_free(&state);
}

void settle_postpone(struct settle *settle, struct delivery *delivery, uint64_t due_at_ms)
{
    postpone(settle->core, delivery, due_at_ms ? STORE_MOVE_AT : STORE_MOVE_IN, due_at_ms,
             &(struct archive_end){.error = ""}, log_of(delivery), SLICE(""));
}

void settle_dead(struct settle *settle, struct delivery *delivery, const char *reason)
{
    settle->core->stats.deliveries_dead++;
    postpone(settle->core, delivery, STORE_MOVE_DEAD, 0,
             &(struct archive_end){.status = ARCHIVE_DEAD, .error = reason}, log_of(delivery),
             SLICE(""));
}

void settle_cancel(struct settle *settle, struct delivery *delivery)
{
    struct outcome outcome = {.status = OUTCOME_CANCELLED,
                              .attempts = outcome_attempts(delivery->attempts),
                              .at_ms = clock_wall_ms()};
    finish(settle->core, delivery, &outcome, log_of(delivery), SLICE(""));
}

/* ---- An attempt's end ----------------------------------------------------------------------- */

static void log_failure(const struct delivery *delivery, const struct settlement *settlement,
                        const char *detail)
{
    if (delivery->group) {
        char id[ID_TEXT_MAX];
        id_format(id, "batch_", &delivery->group->id);
        log_info("batch.failed",
                 "endpoint=%s batch=%s events=%u attempt=%u status=%u error=%s verdict=%s "
                 "retry_in_ms=%llu detail=%s",
                 delivery->endpoint->id_text, id, delivery->group->size, delivery->attempts,
                 settlement->record.status_code, settlement->error,
                 retry_verdict_name(settlement->verdict), (unsigned long long)settlement->delay_ms,
                 log_quote(slice_str(detail)));
        return;
    }
    log_info("delivery.failed",
             "endpoint=%s event=%s attempt=%u status=%u error=%s verdict=%s retry_in_ms=%llu "
             "detail=%s",
             delivery->endpoint->id_text, delivery->message->id_text, delivery->attempts,
             settlement->record.status_code, settlement->error,
             retry_verdict_name(settlement->verdict), (unsigned long long)settlement->delay_ms,
             log_quote(slice_str(detail)));
}

/* How long a delivery took, from the time at which it was meant to go out. One that came from the
 * schedule knows only Unix times. */
static uint64_t since_accepted_us(const struct core *core, const struct delivery *delivery)
{
    uint64_t begin_ms = delivery->accepted_at_ms, now_ms = store_redis_ms(core->store);
    if (delivery->accepted_us)
        return clock_now_us() - delivery->accepted_us;
    if (delivery->message->record.deliver_at_ms > begin_ms)
        begin_ms = delivery->message->record.deliver_at_ms;
    return now_ms > begin_ms ? (now_ms - begin_ms) * 1000 : 0;
}

static void finish_success(struct core *core, struct settlement *settlement)
{
    struct delivery *delivery = settlement->delivery;
    const struct attempt_record *record = &settlement->record;
    struct outcome outcome = {
        .status = OUTCOME_SENT,
        .attempts = outcome_attempts(delivery->attempts),
        .status_code = record->status_code,
        .duration_ms = record->duration_ms,
        .at_ms = record->at_ms,
    };
    if (delivery->replayed_at == 0)
        hist_record(&core->stats.delivery_us, since_accepted_us(core, delivery));
    log_debug("delivery.sent", "endpoint=%s event=%s attempt=%u status=%u duration_ms=%u",
              delivery->endpoint->id_text, delivery->message->id_text, delivery->attempts,
              record->status_code, record->duration_ms);
    bool first_try = delivery->attempts == 1; /* listed once a second; others as failures are */
    if (first_try)
        history_note_success(core->history, delivery->endpoint, record);
    if (delivery->lease == 0) {
        finish(core, delivery, &outcome, SLICE(""), SLICE(""));
        return;
    }
    struct buf attempt, log;
    if (first_try)
        buf_init(&attempt, 0);
    else
        write_attempt(&attempt, settlement);
    write_log(core, &log, delivery, record);
    finish(core, delivery, &outcome, buf_slice(&log), buf_slice(&attempt));
    buf_free(&log);
    buf_free(&attempt);
}

static void finish_failure(struct core *core, struct settlement *settlement)
{
    struct delivery *delivery = settlement->delivery;
    struct buf attempt, log;
    write_attempt(&attempt, settlement);
    write_log(core, &log, delivery, &settlement->record);
    bool retry = settlement->verdict == RETRY_LATER && delivery->endpoint->config->active;
    core->stats.deliveries_retried += retry;
    core->stats.deliveries_dead += !retry;
    struct archive_end end = {.status = retry ? ARCHIVE_NOT : ARCHIVE_DEAD,
                              .status_code = settlement->record.status_code,
                              .timed = true,
                              .duration_ms = settlement->record.duration_ms,
                              .error = settlement->error};
    enum store_move_kind kind = settlement->due_at_ms ? STORE_MOVE_AT : STORE_MOVE_IN;
    uint64_t when_ms = settlement->due_at_ms ? settlement->due_at_ms : settlement->delay_ms;
    postpone(core, delivery, retry ? kind : STORE_MOVE_DEAD, retry ? when_ms : 0, &end,
             buf_slice(&log), buf_slice(&attempt));
    buf_free(&log);
    buf_free(&attempt);
}

static void conclude(struct core *core, struct settlement *settlement)
{
    struct delivery *delivery = settlement->delivery;
    struct endpoint *endpoint = endpoint_get(delivery->endpoint);
    if (settlement->counted && settlement->tells)
        watch_attempt(core, delivery, settlement->verdict, &settlement->record,
                      settlement->delay_ms);
    if (!settlement->counted && !endpoint->deleted)
        settle_postpone(core->settle, delivery,
                        settlement->delay_ms ? store_redis_ms(core->store) + settlement->delay_ms
                                             : 0);
    else if (settlement->counted && settlement->verdict == RETRY_SUCCESS)
        finish_success(core, settlement);
    else if (endpoint->deleted)
        settle_cancel(core->settle, delivery);
    else
        finish_failure(core, settlement);
    endpoint_put(endpoint);
}

/* An attempt that was made, as the gate sees it. */
static void tell_gate(struct core *core, struct delivery *delivery,
                      const struct outbound_result *result, enum retry_verdict verdict)
{
    bool troubled =
        result->error != OUTBOUND_OK || result->status_code == 429 || result->status_code >= 500;
    enum gate_outcome outcome = GATE_BAD;
    if (verdict == RETRY_SUCCESS || (verdict == RETRY_EXCLUDED && !troubled))
        outcome = GATE_GOOD;
    else if (verdict == RETRY_EXCLUDED)
        outcome = GATE_UNKNOWN;
    gate_passed(core->gate, delivery->endpoint, &delivery->pass,
                &(struct gate_end){.outcome = outcome,
                                   .answered = true,
                                   .troubled = troubled,
                                   .duration_us = result->duration_us});
}

/* What the attempt's end means for its delivery, or the first of them, which was tried `tries`
 * times before. */
static void judge(struct core *core, struct settlement *settlement, uint32_t tries,
                  const struct outbound_result *result, uint64_t started_at_ms)
{
    enum { INTERNAL_DELAY_MS = 1000 };
    struct delivery *delivery = settlement->delivery;
    settlement->tells = true;
    settlement->counted = result->error != OUTBOUND_CANCELLED && result->error != OUTBOUND_INTERNAL;
    settlement->delay_ms = result->error == OUTBOUND_INTERNAL ? INTERNAL_DELAY_MS : 0;
    if (!settlement->counted) {
        gate_passed(core->gate, delivery->endpoint, &delivery->pass,
                    &(struct gate_end){.outcome = GATE_UNKNOWN});
        return;
    }
    delivery->attempts++;
    struct retry_decision decision = retry_decide(
        &delivery->endpoint->config->retry, tries + 1, result->error, result->status_code,
        result->retry_after_ms, core->options.retry_after_max_ms, &core->rng);
    tell_gate(core, delivery, result, decision.verdict);
    settlement->verdict = decision.verdict;
    settlement->delay_ms = decision.delay_ms;
    const char *error = outbound_error_name(result->error);
    if (!error[0] && decision.verdict != RETRY_SUCCESS)
        error = "http_status";
    settlement->error = error;
    settlement->record = (struct attempt_record){
        .event_id = delivery->message->id,
        .number = delivery->attempts,
        .success = decision.verdict == RETRY_SUCCESS,
        .status_code = (uint16_t)(result->status_code > 0 ? result->status_code : 0),
        .duration_ms = (uint32_t)(result->duration_us / 1000),
        .at_ms = started_at_ms,
        .error = slice_str(settlement->error),
        .body = result->body_head,
    };
    if (!settlement->record.success)
        log_failure(delivery, settlement, result->detail);
}

static void conclude_or_hold(struct core *core, struct settlement *settlement)
{
    struct delivery *delivery = settlement->delivery;
    if (!delivery->moving && !delivery->renewing) {
        conclude(core, settlement);
        return;
    }
    delivery->phase = DELIVERY_SETTLING;
    struct slice body = settlement->record.body;
    struct settlement *held = malloc(sizeof(*held) + body.len);
    if (!held) {
        log_error("settle.failed", "reason=nomem"); /* the answer to the move drops it */
        return;
    }
    *held = *settlement;
    if (body.len > 0)
        memcpy(held->body, body.ptr, body.len);
    held->record.body.ptr = held->body;
    delivery->held = held;
}

static uint32_t tries_of(const struct delivery *delivery)
{
    return delivery->attempts - delivery->replayed_at;
}

void settle_attempt(struct settle *settle, struct delivery *delivery,
                    const struct outbound_result *result, uint64_t started_at_ms)
{
    struct settlement settlement = {.delivery = delivery};
    judge(settle->core, &settlement, tries_of(delivery), result, started_at_ms);
    conclude_or_hold(settle->core, &settlement);
}

void settle_group(struct settle *settle, struct delivery *const *members, size_t count,
                  const struct outbound_result *result, uint64_t started_at_ms)
{
    struct core *core = settle->core;
    struct settlement first = {.delivery = members[0]};
    uint32_t tries = 0; /* all have the same, unless one's last result was lost */
    for (size_t i = 0; i < count; i++)
        tries = tries_of(members[i]) > tries ? tries_of(members[i]) : tries;
    judge(core, &first, tries, result, started_at_ms);
    if (first.counted && first.verdict == RETRY_LATER)
        first.due_at_ms = store_redis_ms(core->store) + first.delay_ms;
    for (size_t i = 1; i < count && first.counted; i++)
        members[i]->attempts++;
    for (size_t i = 0; i < count; i++) {
        struct settlement next = first;
        next.delivery = members[i];
        next.tells = i == 0;
        next.record.event_id = members[i]->message->id;
        next.record.number = members[i]->attempts;
        conclude_or_hold(core, &next);
    }
}

void settle_release_held(struct settle *settle, struct delivery *delivery)
{
    struct settlement *held = delivery->held;
    if (delivery->phase != DELIVERY_SETTLING || delivery->moving || delivery->renewing)
        return;
    delivery->held = NULL;
    if (!held) {
        drop(settle->core, delivery);
        return;
    }
    conclude(settle->core, held);
    free(held);
}

/* ---- Long attempts -------------------------------------------------------------------------- */

/* The process ends: what became of the attempt is forgotten with it. */
static void forget_held(struct core *core, struct delivery *delivery)
{
    if (delivery->phase != DELIVERY_SETTLING)
        return;
    free(delivery->held);
    delivery->held = NULL;
    drop(core, delivery);
}

static void on_moved_leased(struct core *core, struct delivery *delivery, enum status status,
                            int64_t lease_ms, const struct archive_end *end)
{
    (void)end;
    delivery->moving = false;
    if (status == ST_STOPPED) {
        if (delivery->phase == DELIVERY_PARKING)
            drop(core, delivery);
        else
            forget_held(core, delivery);
        return;
    }
    if (status == ST_OK && lease_ms == STORE_GONE) {
        delivery->lost = true; /* whoever has adopted the batch delivers it again */
        dispatch_moved(core->dispatch, delivery);
        journal_lost(core->journal, delivery->message->batch, delivery->ordinal);
    } else if (status == ST_OK) {
        /* 0: a repeated call, and another has finished the delivery since. No score is ever 1, so
         * its settle will be stale. */
        delivery->lease = lease_ms > 0 ? (uint64_t)lease_ms : 1;
        delivery->lost = lease_ms == 0;
        dispatch_moved(core->dispatch, delivery);
        schedule_note(core->schedule, delivery->endpoint->lane, lease_ms);
        schedule_hold(core->schedule, delivery);
        core->stats.deliveries_moved++;
        journal_moved(core->journal, delivery->message->batch, delivery->ordinal);
    }
    if (delivery->phase == DELIVERY_PARKING)
        dispatch_parked(core->dispatch, delivery);
    else
        settle_release_held(core->settle, delivery);
}

void settle_move_leased(struct settle *settle, struct delivery *delivery, uint64_t lease_ms)
{
    struct core *core = settle->core;
    struct buf state;
    buf_init(&state, 512);
    write_state(&state, delivery, false, "", 0, SLICE(""));
    struct entry_change change = {
        .state = buf_slice(&state), .value = lease_ms, .end = {.error = ""}};
    delivery->moving = entries_move(core->entries, delivery, STORE_MOVE_LEASED, &change,
                                    on_moved_leased) == ST_OK; /* else the next tick tries again */
    buf_free(&state);
}

void settle_park(struct settle *settle, struct delivery *delivery, uint64_t lease_ms)
{
    delivery->phase = DELIVERY_PARKING;
    settle_move_leased(settle, delivery, lease_ms);
    if (!delivery->moving)
        dispatch_parked(settle->core->dispatch, delivery);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

struct settle *settle_new(struct core *core)
{
    struct settle *settle = calloc(1, sizeof(*settle));
    if (settle)
        settle->core = core;
    return settle;
}

void settle_free(struct settle *settle)
{
    free(settle);
}
