/* store_schedule.c - the schedule and the dead letters in Redis.
 *
 * Each function lays out the keys and arguments of one script or command; what they mean, and why a
 * repeated call does no harm, is said at the top of the script.
 */
#include "core/store_schedule.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum status store_move(struct store *store, const struct store_move *move, store_reply_fn *fn,
                       void *arg)
{
    static const char *const kinds[] = {"in", "at", "leased", "dead"};
    const char *endpoint = move->endpoint->id_text;
    struct store_key text[8];
    struct slice keys[] = {
        store_key(store, &text[0], "journal", store_incarnation(store)),
        store_key(store, &text[1], "progress", move->batch->id_text),
        store_key(store, &text[2], "event", move->event_id),
        store_key(store, &text[3], "due", endpoint),
        store_key_lane(store, &text[4], move->endpoint->lane),
        store_key(store, &text[5], "attempts", endpoint),
        store_key(store, &text[6], "dead", endpoint),
        store_key(store, &text[7], "dead", NULL),
    };
    struct store_number ordinal, value, kept, keep;
    struct slice args[] = {
        slice_str(move->batch->member),
        store_u64(&ordinal, move->ordinal),
        slice_str(move->event_id),
        slice_str(endpoint),
        move->record,
        move->state,
        slice_str(kinds[move->kind]),
        store_u64(&value, move->value),
        move->attempt,
        store_u64(&kept, move->attempts_kept),
        store_u64(&keep, move->history_ttl_ms),
    };
    return store_call_kept(store, store_script(store, "move"), keys, COUNT(keys), args, COUNT(args),
                           fn, arg);
}

enum status store_settle(struct store *store, const struct store_settle *settle, store_reply_fn *fn,
                         void *arg)
{
    static const char *const kinds[] = {"done", "retry", "dead"};
    const char *endpoint = settle->endpoint->id_text;
    char batch[BATCH_ID_TEXT];
    batch_name_of(settle->event, batch);
    struct store_key text[11];
    struct slice keys[] = {
        store_key(store, &text[0], "due", endpoint),
        store_key_lane(store, &text[1], settle->endpoint->lane),
        store_key(store, &text[2], "event", settle->event_id),
        store_key(store, &text[3], "attempts", endpoint),
        store_key(store, &text[4], "dead", endpoint),
        store_key(store, &text[5], "dead", NULL),
        store_key(store, &text[6], "batch", batch),
        store_key(store, &text[7], "outcome", batch),
        store_key(store, &text[8], "closed", NULL),
        store_key(store, &text[9], "closed", "bytes"),
        store_key(store, &text[10], "lanes", NULL),
    };
    struct store_number lease, delay, offset, kept, keep, lane;
    struct slice args[] = {
        slice_str(settle->event_id),
        slice_str(endpoint),
        settle->lease ? store_u64(&lease, settle->lease) : SLICE(""),
        slice_str(kinds[settle->kind]),
        store_u64(&delay, settle->delay_ms),
        settle->kind == STORE_SETTLE_DONE ? settle->log : settle->state,
        store_outcome_offset(&offset, settle->ordinal),
        settle->outcome,
        settle->attempt,
        store_u64(&kept, settle->attempts_kept),
        store_u64(&keep, settle->history_ttl_ms),
        store_u64(&lane, settle->endpoint->lane),
        slice_str(store_incarnation(store)),
    };
    return store_call(store, store_script(store, "settle"), keys, COUNT(keys), args, COUNT(args),
                      fn, arg);
}

enum status store_peek(struct store *store, const uint32_t *lanes, const uint32_t *skip,
                       size_t count, size_t most, store_reply_fn *fn, void *arg)
{
    struct store_key text[LANES];
    struct store_number numbers[LANES + 1];
    struct slice keys[LANES], args[LANES + 1];
    args[0] = store_u64(&numbers[0], most);
    for (size_t i = 0; i < count; i++) {
        keys[i] = store_key_lane(store, &text[i], lanes[i]);
        args[i + 1] = store_u64(&numbers[i + 1], skip[i]);
    }
    return store_query_script(store, store_script(store, "peek"), keys, count, args, count + 1, fn,
                              arg);
}

enum status store_lease(struct store *store, const struct endpoint *endpoint, size_t count,
                        uint64_t lease_ms, uint64_t not_before_ms, store_reply_fn *fn, void *arg)
{
    struct store_key text[3];
    struct slice keys[] = {store_key(store, &text[0], "due", endpoint->id_text),
                           store_key_lane(store, &text[1], endpoint->lane),
                           store_key(store, &text[2], "lanes", NULL)};
    struct store_number most, length, not_before, lane;
    struct slice args[] = {slice_str(endpoint->id_text),     store_u64(&most, count),
                           store_u64(&length, lease_ms),     store_u64(&not_before, not_before_ms),
                           store_u64(&lane, endpoint->lane), slice_str(store_incarnation(store))};
    return store_query_script(store, store_script(store, "lease"), keys, COUNT(keys), args,
                              COUNT(args), fn, arg);
}

enum status store_renew(struct store *store, const struct endpoint *endpoint, const char *event_id,
                        uint64_t lease, uint64_t lease_ms, store_reply_fn *fn, void *arg)
{
    struct store_key text;
    struct slice key = store_key(store, &text, "due", endpoint->id_text);
    struct store_number length, held;
    struct slice args[] = {store_u64(&length, lease_ms), store_u64(&held, lease),
                           slice_str(event_id)};
    return store_query_script(store, store_script(store, "renew"), &key, 1, args, COUNT(args), fn,
                              arg);
}

enum status store_event_read(struct store *store, const char *event_id, const char *endpoint_id,
                             store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("HMGET"), store_key(store, &key, "event", event_id), SLICE("e"),
                           slice_str(endpoint_id)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_event_read_all(struct store *store, const char *event_id, store_reply_fn *fn,
                                 void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("HGETALL"), store_key(store, &key, "event", event_id)};
    return store_query(store, args, COUNT(args), fn, arg);
}

static const char *set_name(enum store_set set)
{
    return set == STORE_DUE ? "due" : "dead";
}

enum status store_set_read(struct store *store, enum store_set set, const char *endpoint_id,
                           size_t first, size_t most, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number from, to;
    struct slice args[] = {SLICE("ZRANGE"), store_key(store, &key, set_name(set), endpoint_id),
                           store_u64(&from, first), store_u64(&to, first + most - 1),
                           SLICE("WITHSCORES")};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_dead_range(struct store *store, const char *endpoint_id, uint64_t since_ms,
                             uint64_t until_ms, size_t first, size_t most, store_reply_fn *fn,
                             void *arg)
{
    struct store_key key;
    struct store_number since, until, from, count;
    struct slice args[] = {SLICE("ZRANGEBYSCORE"),      store_key(store, &key, "dead", endpoint_id),
                           store_u64(&since, since_ms), store_u64(&until, until_ms),
                           SLICE("WITHSCORES"),         SLICE("LIMIT"),
                           store_u64(&from, first),     store_u64(&count, most)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_dead_endpoints(struct store *store, const char *after, size_t most,
                                 store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number count;
    char from[64] = "-";
    if (after[0])
        snprintf(from, sizeof(from), "(%s", after);
    struct slice args[] = {SLICE("ZRANGEBYLEX"),   store_key(store, &key, "dead", NULL),
                           slice_str(from),        SLICE("+"),
                           SLICE("LIMIT"),         SLICE("0"),
                           store_u64(&count, most)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_set_score(struct store *store, enum store_set set, const char *endpoint_id,
                            const char *event_id, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("ZSCORE"), store_key(store, &key, set_name(set), endpoint_id),
                           slice_str(event_id)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_attempts_read(struct store *store, const char *endpoint_id, size_t most,
                                store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number last;
    struct slice args[] = {SLICE("LRANGE"), store_key(store, &key, "attempts", endpoint_id),
                           SLICE("0"), store_u64(&last, most - 1)};
    return store_query(store, args, COUNT(args), fn, arg);
}

enum status store_attempts_add(struct store *store, const char *endpoint_id,
                               const struct slice *records, size_t count, uint32_t kept,
                               uint64_t history_ttl_ms, store_reply_fn *fn, void *arg)
{
    enum { FIXED = 2 };
    struct store_key text;
    struct slice key = store_key(store, &text, "attempts", endpoint_id);
    struct store_number number, keep;
    struct slice *args = malloc((FIXED + count) * sizeof(*args));
    if (!args)
        return ST_NOMEM;
    args[0] = store_u64(&number, kept);
    args[1] = store_u64(&keep, history_ttl_ms);
    for (size_t i = 0; i < count; i++)
        args[FIXED + i] = records[i];
    enum status status = store_call(store, store_script(store, "attempts_add"), &key, 1, args,
                                    FIXED + count, fn, arg);
    free(args);
    return status;
}
