/* store_publish.c - a batch goes to Redis.
 *
 * Keys and arguments are laid out as the head of publish.lua says: what every batch has, then what
 * is only said of a batch in parts, of one with keys, and of one with ordered deliveries.
 */
#include "core/store_publish.h"

#include <assert.h>

#include "core/store_batch.h"
#include "core/store_feed.h"
#include "core/store_words.h"

/* An orphaned blob (its script never ran) vanishes after this time; publish gives up long before.
 */
#define ORPHAN_SECONDS "600"

enum {
    FIXED_KEYS = 5,
    FIXED_ARGS = 8,
    PART_KEYS = 1,
    PART_ARGS = 2,
    SHARED_PART_KEYS = 2,
    SHARED_PART_ARGS = 1,
    FEED_ARGS = 3,
    KIND_KEYS = 3,
    KIND_ARGS = 4,
    ORDERED_ENDPOINT_KEYS = 3,
    ORDERED_EVENT_ARGS = 3,
    ORDERED_ARGS = 6,
    STATE_BYTES_MAX = 128 /* of a delivery that was never tried */
};

static enum status send_blob(struct store *store, struct batch *batch, store_reply_fn *fn,
                             void *arg)
{
    struct store_key key;
    struct buf compressed;
    buf_init(&compressed, SIZE_MAX);
    struct slice args[] = {SLICE("SET"),
                           store_key(store, &key, "batch", batch->id_text),
                           batch_stored(batch, &compressed),
                           SLICE("NX"),
                           SLICE("EX"),
                           SLICE(ORPHAN_SECONDS)};
    enum status status =
        redis_command(store_batch_conn(store), args, sizeof(args) / sizeof(args[0]), fn, arg);
    buf_free(&compressed);
    return status;
}

/* ---- Every batch, and its parts -------------------------------------------------------------- */

static void add_batch(struct store_words *words, const struct store_publication *what,
                      const struct store_publish_options *options, size_t ordered_words)
{
    const struct store *store = words->store;
    const struct batch *batch = what->batch;
    store_words_key(words, "batch", batch->id_text);
    store_words_key(words, "journal", store_incarnation(store));
    store_words_key(words, "outcome", batch->id_text);
    store_words_key(words, "journals", NULL);
    store_words_key(words, "config", NULL);
    store_words_arg(words, slice_str(batch->id_text));
    store_words_number(words, what->sequence);
    store_words_number(words, options->journal_batches_max);
    store_words_arg(words, slice_str(store_incarnation(store)));
    if (options->config_version == UINT64_MAX)
        store_words_arg(words, SLICE(""));
    else
        store_words_number(words, options->config_version);
    store_words_number(words, what->part_count);
    store_words_number(words, what->feeds->count);
    store_words_number(words, ordered_words);
}

static void add_parts(struct store_words *words, const struct store_publication *what,
                      struct slice channel)
{
    if (what->part_count == 0)
        return;
    store_words_key(words, "open", what->batch->id_text);
    store_words_key(words, "replicas", NULL);
    store_words_arg(words, channel);
    for (size_t i = 0; i < what->part_count; i++) {
        store_words_key(words, "journal", what->parts[i].owner);
        store_words_number(words, what->parts[i].number);
        store_words_arg(words, slice_str(what->parts[i].owner));
    }
}

/* ---- Entries of feeds -------------------------------------------------------------------------
 */

static void add_feeds(struct store_words *words, const struct store_publication *what)
{
    const struct feed_claims *feeds = what->feeds;
    for (size_t i = 0; i < feeds->count; i++) {
        const struct feed_claim *claim = &feeds->streams[i];
        store_words_key(words, "feed", claim->feed[0] ? claim->feed : NULL);
        store_words_arg(words, buf_slice(&claim->runs));
        store_words_arg(words, buf_slice(&claim->ids));
        store_words_arg(words, buf_slice(&claim->numbers));
    }
    if (feeds->count > 0)
        store_words_key(words, "progress", what->batch->id_text);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* `ttl_ms` 0: each key has its own, which is in its answer. */
static void add_kind(struct store_words *words, const char *name, const struct key_claims *claims,
                     enum key_kind kind, uint64_t most, uint64_t ttl_ms)
{
    store_words_key(words, name, NULL);
    store_words_key(words, name, "ids");
    store_words_key(words, name, "batches");
    store_words_number(words, most);
    if (ttl_ms > 0)
        store_words_number(words, ttl_ms);
    else
        store_words_arg(words, SLICE(""));
    store_words_arg(words, key_claims_members(claims, kind));
    store_words_arg(words, key_claims_pairs(claims, kind));
}

static void add_claims(struct store_words *words, const struct store_publication *what,
                       const struct store_publish_options *options)
{
    const struct key_claims *claims = what->claims;
    if (claims->count == 0)
        return;
    store_words_key(words, "progress", what->batch->id_text);
    store_words_arg(words, key_claims_numbers(claims));
    add_kind(words, "idem", claims, KEY_IDEMPOTENCY, options->idempotency_keys_max,
             options->idempotency_ttl_ms);
    if (claims->keys[KEY_UID] > 0 || claims->keys[KEY_DEDUP] > 0)
        add_kind(words, "uid", claims, KEY_UID, options->uids_max, options->uid_ttl_ms);
    if (claims->keys[KEY_DEDUP] > 0)
        add_kind(words, "dedup", claims, KEY_DEDUP, options->dedup_keys_max, 0);
}

/* ---- Ordered deliveries -----------------------------------------------------------------------
 */

/* The events that have any, and how often they and the endpoints occur. */
static size_t events_of(const struct ordered_list *list)
{
    size_t events = 0;
    for (size_t i = 0; i < list->count; i++)
        events += i == 0 || list->items[i].message != list->items[i - 1].message;
    return events;
}

static size_t words_of(const struct ordered_list *list)
{
    if (list->count == 0)
        return 0;
    return 2 + list->endpoint_count + ORDERED_EVENT_ARGS * events_of(list) +
           ORDERED_ARGS * list->count;
}

static void add_event(struct store_words *words, const struct batch *batch,
                      const struct ordered *item)
{
    const struct message *message = &batch->messages[item->message];
    store_words_arg(words, slice_str(message->id_text));
    store_words_arg(words, message->raw);
    store_words_number(words, batch_refused_bit(batch, item->message));
}

/* Its state goes into `states`, which has room for it and does not move. */
static void add_delivery(struct store_words *words, const struct ordered *item,
                         const struct message *message, size_t event, struct buf *states)
{
    struct slice hash = slice_of(item->hash, sizeof(item->hash));
    struct delivery_state state = {.ordinal = item->ordinal,
                                   .error = SLICE(""),
                                   .accepted_at_ms = id_time_ms(&message->id),
                                   .log = SLICE(""),
                                   .order = hash};
    size_t from = states->len;
    delivery_state_write(states, &state);
    store_words_number(words, event);
    store_words_number(words, item->endpoint_number);
    store_words_number(words, item->ordinal);
    store_words_arg(words, hash);
    store_words_number(words, message->record.deliver_at_ms);
    store_words_arg(words, slice_of(states->ptr + from, states->len - from));
}

static void add_ordered(struct store_words *words, const struct store_publication *what,
                        struct buf *states)
{
    const struct ordered_list *list = what->ordered;
    const struct message *messages = what->batch->messages;
    if (list->count == 0)
        return;
    store_words_key(words, "progress", what->batch->id_text);
    store_words_key(words, "sequence", NULL);
    store_words_number(words, list->endpoint_count);
    store_words_number(words, events_of(list));
    for (size_t i = 0; i < list->endpoint_count; i++) {
        const struct endpoint *endpoint = list->endpoints[i];
        store_words_key(words, "ord", endpoint->id_text);
        store_words_key(words, "due", endpoint->id_text);
        store_words_key_lane(words, endpoint->lane);
        store_words_arg(words, slice_str(endpoint->id_text));
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct ordered *item = &list->items[i];
        if (i > 0 && item->message == item[-1].message)
            continue;
        store_words_key(words, "event", messages[item->message].id_text);
        add_event(words, what->batch, item);
    }
    size_t event = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct ordered *item = &list->items[i];
        event += i == 0 || item->message != item[-1].message;
        add_delivery(words, item, &messages[item->message], event, states);
    }
}

/* ---- The call ---------------------------------------------------------------------------------
 */

static enum status words_begin(struct store_words *words, const struct store *store,
                               const struct store_publication *what)
{
    const struct ordered_list *ordered = what->ordered;
    size_t keys = FIXED_KEYS, args = FIXED_ARGS + words_of(ordered);
    if (what->part_count > 0) {
        keys += SHARED_PART_KEYS + PART_KEYS * what->part_count;
        args += SHARED_PART_ARGS + PART_ARGS * what->part_count;
    }
    if (what->feeds->count > 0) {
        keys += 1 + what->feeds->count;
        args += FEED_ARGS * what->feeds->count;
    }
    if (what->claims->count > 0) {
        keys += 1 + KIND_KEYS * KEY_KINDS;
        args += 1 + KIND_ARGS * KEY_KINDS;
    }
    if (ordered->count > 0)
        keys += 2 + ORDERED_ENDPOINT_KEYS * ordered->endpoint_count + events_of(ordered);
    return store_words_begin(words, store, keys, args, args);
}

enum status store_publish(struct store *store, const struct store_publication *what,
                          const struct store_publish_options *options, bool script_only,
                          store_reply_fn *blob_fn, void *blob_arg, store_reply_fn *fn, void *arg)
{
    struct store_words words;
    struct store_key channel;
    struct buf states;
    enum status status = words_begin(&words, store, what);
    if (status != ST_OK)
        return status;
    buf_init(&states, what->ordered->count * STATE_BYTES_MAX);
    if (what->ordered->count > 0 && !buf_reserve(&states, states.max))
        status = ST_NOMEM;
    if (status == ST_OK) {
        add_batch(&words, what, options, words_of(what->ordered));
        add_parts(&words, what, store_key(store, &channel, "to", ""));
        add_feeds(&words, what);
        add_claims(&words, what, options);
        add_ordered(&words, what, &states);
        assert(buf_status(&states) == ST_OK);
    }
    if (status == ST_OK && !script_only)
        status = send_blob(store, what->batch, blob_fn, blob_arg);
    if (status == ST_OK)
        status = store_confirmed_call(store_batch_conn(store), store_script(store, "publish"),
                                      words.keys, words.key_count, words.args, words.arg_count,
                                      &options->confirm, fn, arg);
    buf_free(&states);
    store_words_end(&words);
    return status;
}
