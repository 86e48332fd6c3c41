/* store_settle.c - what becomes of deliveries, in Redis.
 *
 * Keys and arguments are laid out as the heads of move.lua and settle.lua say. What several
 * deliveries have in common (endpoint, batch, event with its record) is said once.
 */
#include "core/store_settle.h"

#include <assert.h>

#include "core/store_words.h"

static void add_endpoint_keys(struct store_words *words, const struct endpoint *endpoint)
{
    store_words_key(words, "due", endpoint->id_text);
    store_words_key_lane(words, endpoint->lane);
    store_words_key(words, "attempts", endpoint->id_text);
    store_words_key(words, "dead", endpoint->id_text);
}

/* ---- Move ----------------------------------------------------------------------------------- */

/* What is common to the deliveries of a call. */
struct moving {
    const void *batches[STORE_AT_ONCE], *messages[STORE_AT_ONCE], *endpoints[STORE_AT_ONCE];
    struct store_commons batch, message, endpoint;
};

static void find_common(struct moving *moving, const struct store_move *moves, size_t count)
{
    moving->batch = (struct store_commons){moving->batches, 0};
    moving->message = (struct store_commons){moving->messages, 0};
    moving->endpoint = (struct store_commons){moving->endpoints, 0};
    for (size_t i = 0; i < count; i++) {
        store_common(&moving->batch, moves[i].message->batch);
        store_common(&moving->message, moves[i].message);
        store_common(&moving->endpoint, moves[i].endpoint);
    }
}

static void add_common(struct store_words *words, struct moving *moving)
{
    for (size_t i = 0; i < moving->batch.count; i++) {
        const struct batch *batch = moving->batches[i];
        store_words_key(words, "progress", batch->id_text);
        store_words_arg(words, slice_str(batch->member));
    }
    for (size_t i = 0; i < moving->message.count; i++) {
        const struct message *message = moving->messages[i];
        store_words_key(words, "event", message->id_text);
        store_words_arg(words, slice_str(message->id_text));
        store_words_arg(words, message->raw);
        store_words_number(words, store_common(&moving->batch, message->batch));
    }
    for (size_t i = 0; i < moving->endpoint.count; i++) {
        const struct endpoint *endpoint = moving->endpoints[i];
        add_endpoint_keys(words, endpoint);
        store_words_arg(words, slice_str(endpoint->id_text));
    }
}

static void add_move(struct store_words *words, struct moving *moving,
                     const struct store_move *move)
{
    static const char *const kinds[] = {"in", "at", "leased", "dead"};
    store_words_number(words, store_common(&moving->message, move->message));
    store_words_number(words, store_common(&moving->endpoint, move->endpoint));
    store_words_number(words, move->ordinal);
    store_words_arg(words, slice_str(kinds[move->kind]));
    store_words_number(words, move->value);
    store_words_arg(words, move->state);
    store_words_arg(words, move->attempt);
}

enum status store_move(struct store *store, const struct store_move *moves, size_t count,
                       const struct store_keeping *keeping, store_reply_fn *fn, void *arg)
{
    struct moving moving;
    struct store_words words;
    assert(count <= STORE_AT_ONCE);
    find_common(&moving, moves, count);
    size_t batches = moving.batch.count, messages = moving.message.count,
           endpoints = moving.endpoint.count;
    enum status status = store_words_begin(&words, store, 2 + batches + messages + 4 * endpoints,
                                           5 + batches + 3 * messages + endpoints + 7 * count,
                                           5 + messages + 4 * count);
    if (status != ST_OK)
        return status;
    store_words_key(&words, "journal", store_incarnation(store));
    store_words_key(&words, "dead", NULL);
    store_words_number(&words, keeping->attempts_kept);
    store_words_number(&words, keeping->history_ttl_ms);
    store_words_number(&words, batches);
    store_words_number(&words, messages);
    store_words_number(&words, endpoints);
    add_common(&words, &moving);
    for (size_t i = 0; i < count; i++)
        add_move(&words, &moving, &moves[i]);
    status = store_call_kept(store, store_script(store, "move"), words.keys, words.key_count,
                             words.args, words.arg_count, fn, arg);
    store_words_end(&words);
    return status;
}

int64_t store_moved(const struct redis_value *reply, size_t n)
{
    return reply_integer(reply, 1 + n);
}

/* ---- Settle --------------------------------------------------------------------------------- */

/* What is common to the deliveries of a call. An event knows the name of its batch. */
struct settling {
    const void *endpoints[STORE_AT_ONCE];
    struct store_commons endpoint;
    char batches[STORE_AT_ONCE][BATCH_ID_TEXT];
    size_t batch_count;
    size_t batch_of[STORE_AT_ONCE]; /* of each delivery; from 1 on */
};

static size_t batch_number(struct settling *settling, const struct id *event)
{
    char name[BATCH_ID_TEXT];
    batch_name_of(event, name);
    for (size_t at = settling->batch_count; at > 0; at--)
        if (memcmp(settling->batches[at - 1], name, sizeof(name)) == 0)
            return at;
    memcpy(settling->batches[settling->batch_count++], name, sizeof(name));
    return settling->batch_count;
}

static void add_settle(struct store_words *words, struct settling *settling,
                       const struct store_settle *settle, size_t batch)
{
    enum { DONE_WORDS = 3 /* that only a finished one has */ };
    static const char *const kinds[] = {"done", "retry", "dead"};
    store_words_key(words, "event", settle->event_id);
    store_words_number(words, store_common(&settling->endpoint, settle->endpoint));
    store_words_arg(words, slice_str(settle->event_id));
    if (settle->lease)
        store_words_number(words, settle->lease);
    else
        store_words_arg(words, SLICE(""));
    store_words_arg(words, settle->attempt);
    store_words_arg(words, slice_str(kinds[settle->kind]));
    store_words_arg(words, settle->state);
    if (settle->kind != STORE_SETTLE_DONE) {
        store_words_number(words, settle->delay_ms);
        for (int i = 0; i < DONE_WORDS; i++)
            store_words_arg(words, SLICE(""));
        store_words_arg(words, settle->order);
        return;
    }
    store_words_number(words, batch);
    if (settle->ordinal == ORDINAL_NONE)
        store_words_arg(words, SLICE(""));
    else
        store_words_number(words, (uint64_t)settle->ordinal * OUTCOME_BYTES);
    store_words_arg(words, settle->outcome);
    store_words_number(words, settle->record_bytes);
    store_words_arg(words, settle->order);
}

enum status store_settle(struct store *store, const struct store_settle *settles, size_t count,
                         const struct store_keeping *keeping, store_reply_fn *fn, void *arg)
{
    struct settling settling = {.endpoint = {settling.endpoints, 0}};
    struct store_words words;
    assert(count <= STORE_AT_ONCE);
    for (size_t i = 0; i < count; i++) {
        store_common(&settling.endpoint, settles[i].endpoint);
        if (settles[i].kind == STORE_SETTLE_DONE)
            settling.batch_of[i] = batch_number(&settling, settles[i].event);
    }
    size_t batches = settling.batch_count, endpoints = settling.endpoint.count;
    enum status status =
        store_words_begin(&words, store, 4 + 2 * batches + 5 * endpoints + count,
                          5 + 2 * endpoints + 11 * count, 4 + endpoints + 5 * count);
    if (status != ST_OK)
        return status;
    store_words_key(&words, "dead", NULL);
    store_words_key(&words, "closed", NULL);
    store_words_key(&words, "closed", "bytes");
    store_words_key(&words, "lanes", NULL);
    store_words_arg(&words, slice_str(store_incarnation(store)));
    store_words_number(&words, keeping->attempts_kept);
    store_words_number(&words, keeping->history_ttl_ms);
    store_words_number(&words, batches);
    store_words_number(&words, endpoints);
    for (size_t i = 0; i < batches; i++) {
        store_words_key(&words, "batch", settling.batches[i]);
        store_words_key(&words, "outcome", settling.batches[i]);
    }
    for (size_t i = 0; i < endpoints; i++) {
        const struct endpoint *endpoint = settling.endpoints[i];
        add_endpoint_keys(&words, endpoint);
        store_words_key(&words, "ord", endpoint->id_text);
        store_words_arg(&words, slice_str(endpoint->id_text));
        store_words_number(&words, endpoint->lane);
    }
    for (size_t i = 0; i < count; i++)
        add_settle(&words, &settling, &settles[i], settling.batch_of[i]);
    status = store_call(store, store_script(store, "settle"), words.keys, words.key_count,
                        words.args, words.arg_count, fn, arg);
    store_words_end(&words);
    return status;
}

int64_t store_settled(const struct redis_value *reply, size_t n)
{
    return reply_integer(reply, 2 + n);
}
