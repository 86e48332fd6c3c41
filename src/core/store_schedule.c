/* store_schedule.c - the schedule and the dead letters in Redis.
 *
 * Each function lays out the keys and arguments of one script or command; what they mean, and why a
 * repeated call does no harm, is said at the top of the script.
 */
#include "core/store_schedule.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "core/store_words.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

enum status store_lease(struct store *store, const struct store_lease *leases, size_t count,
                        uint64_t lease_ms, store_reply_fn *fn, void *arg)
{
    struct store_words words;
    enum status status =
        store_words_begin(&words, store, 1 + 2 * count, 2 + 4 * count, 1 + 3 * count);
    if (status != ST_OK)
        return status;
    store_words_key(&words, "lanes", NULL);
    store_words_arg(&words, slice_str(store_incarnation(store)));
    store_words_number(&words, lease_ms);
    for (size_t i = 0; i < count; i++) {
        const struct endpoint *endpoint = leases[i].endpoint;
        store_words_key(&words, "due", endpoint->id_text);
        store_words_key_lane(&words, endpoint->lane);
        store_words_arg(&words, slice_str(endpoint->id_text));
        store_words_number(&words, endpoint->lane);
        store_words_number(&words, leases[i].count);
        store_words_number(&words, leases[i].not_before_ms);
    }
    status = store_query_script(store, store_script(store, "lease"), words.keys, words.key_count,
                                words.args, words.arg_count, fn, arg);
    store_words_end(&words);
    return status;
}

enum status store_renew(struct store *store, const struct endpoint *endpoint,
                        const struct store_renewal *renewals, size_t count, uint64_t lease_ms,
                        store_reply_fn *fn, void *arg)
{
    struct store_words words;
    assert(count <= LIMIT_GROUP_EVENTS);
    enum status status = store_words_begin(&words, store, 1, 1 + 2 * count, 1 + count);
    if (status != ST_OK)
        return status;
    store_words_key(&words, "due", endpoint->id_text);
    store_words_number(&words, lease_ms);
    for (size_t i = 0; i < count; i++) {
        store_words_number(&words, renewals[i].lease);
        store_words_arg(&words, slice_str(renewals[i].event_id));
    }
    status = store_query_script(store, store_script(store, "renew"), words.keys, words.key_count,
                                words.args, words.arg_count, fn, arg);
    store_words_end(&words);
    return status;
}

enum status store_order_free(struct store *store, const struct endpoint *endpoint, size_t most,
                             store_reply_fn *fn, void *arg)
{
    struct store_key text[5];
    struct slice keys[] = {store_key(store, &text[0], "ord", endpoint->id_text),
                           store_key(store, &text[1], "due", endpoint->id_text),
                           store_key_lane(store, &text[2], endpoint->lane),
                           store_key(store, &text[3], "dead", endpoint->id_text),
                           store_key(store, &text[4], "lanes", NULL)};
    struct store_number lane, count;
    struct slice args[] = {slice_str(endpoint->id_text), store_u64(&lane, endpoint->lane),
                           slice_str(store_incarnation(store)), store_u64(&count, most)};
    return store_call(store, store_script(store, "order_free"), keys, COUNT(keys), args,
                      COUNT(args), fn, arg);
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
