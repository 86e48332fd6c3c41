/* store_batch.c - batches in Redis. */
#include "core/store_batch.h"

#include <stdlib.h>

/* An orphaned blob (its script never ran) vanishes after this time; publish gives up long before.
 */
#define ORPHAN_SECONDS "600"

enum { CLAIM_WORDS = 5 }; /* arguments of one claim */

/* For replies that say nothing that matters: a SET's is in the reply of the script behind it. */
static void on_answered(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

static enum status send_blob(struct store *store, const struct batch *batch, store_reply_fn *fn,
                             void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("SET"),
                           store_key(store, &key, "batch", batch->id_text),
                           buf_slice(&batch->blob),
                           SLICE("NX"),
                           SLICE("EX"),
                           SLICE(ORPHAN_SECONDS)};
    return redis_command(store_batch_conn(store), args, sizeof(args) / sizeof(args[0]), fn, arg);
}

enum status store_publish(struct store *store, const struct batch *batch, uint64_t sequence,
                          const struct store_key_claim *claims, size_t claim_count,
                          const struct store_publish_options *options, bool script_only,
                          store_reply_fn *blob_fn, void *blob_arg, store_reply_fn *fn, void *arg)
{
    enum { FIXED = 8 };
    struct store_key text[9];
    struct slice keys[] = {
        store_key(store, &text[0], "batch", batch->id_text),
        store_key(store, &text[1], "journal", store_incarnation(store)),
        store_key_progress(store, &text[2], batch->id_text, store_incarnation(store)),
        store_key(store, &text[3], "idem", NULL),
        store_key(store, &text[4], "idem", "ids"),
        store_key(store, &text[5], "uid", NULL),
        store_key(store, &text[6], "uid", "ids"),
        store_key(store, &text[7], "outcome", batch->id_text),
        store_key(store, &text[8], "journals", NULL),
    };
    struct store_number numbers[6];
    size_t count = FIXED + claim_count * CLAIM_WORDS;
    struct slice *args = malloc(count * sizeof(*args));
    struct store_number *ordinals = malloc((2 * claim_count + 1) * sizeof(*ordinals));
    enum status status = ST_NOMEM;
    if (!args || !ordinals)
        goto out;
    args[0] = slice_str(batch->id_text);
    args[1] = store_u64(&numbers[0], sequence);
    args[2] = store_u64(&numbers[1], options->journal_batches_max);
    args[3] = store_u64(&numbers[2], options->idempotency_keys_max);
    args[4] = store_u64(&numbers[3], options->idempotency_ttl_ms);
    args[5] = store_u64(&numbers[4], options->uids_max);
    args[6] = store_u64(&numbers[5], options->uid_ttl_ms);
    args[7] = slice_str(store_incarnation(store));
    for (size_t i = 0; i < claim_count; i++) {
        struct slice *at = args + FIXED + i * CLAIM_WORDS;
        at[0] = claims[i].idempotency;
        at[1] = claims[i].uid;
        at[2] = claims[i].answer;
        at[3] = store_u64(&ordinals[2 * i], claims[i].first_ordinal);
        at[4] = store_u64(&ordinals[2 * i + 1], claims[i].ordinals);
    }
    status = script_only ? ST_OK : send_blob(store, batch, blob_fn, blob_arg);
    if (status == ST_OK)
        status = store_confirmed_call(store_batch_conn(store), store_script(store, "publish"), keys,
                                      sizeof(keys) / sizeof(keys[0]), args, count,
                                      &options->confirm, fn, arg);
out:
    free(ordinals);
    free(args);
    return status;
}

enum status store_progress(struct store *store, const char *batch, const uint32_t *ordinals,
                           size_t count, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct slice keys[] = {store_key(store, &text[0], "journal", store_incarnation(store)),
                           store_key_progress(store, &text[1], batch, store_incarnation(store))};
    struct slice *args = malloc((count + 1) * sizeof(*args));
    struct store_number *numbers = malloc((count + 1) * sizeof(*numbers));
    enum status status = ST_NOMEM;
    if (args && numbers) {
        args[0] = slice_str(batch);
        for (size_t i = 0; i < count; i++)
            args[i + 1] = store_u64(&numbers[i], ordinals[i]);
        status =
            store_call(store, store_script(store, "progress"), keys, 2, args, count + 1, fn, arg);
    }
    free(numbers);
    free(args);
    return status;
}

/* ---- Closing -------------------------------------------------------------------------------- */

/* The words of one call of close.lua while they are put together. */
struct close_words {
    struct store_key *text; /* of the keys */
    struct slice *keys;
    size_t key_count;
    struct store_number *numbers;
    size_t number_count;
    struct slice *args;
    size_t arg_count;
    struct buf records; /* reserved whole: it does not move */
};

enum { CLOSE_KEYS = 3, CLOSE_ARGS = 1 }; /* before those of the batches */

/* At most `batches` of together `ordinals`. */
static enum status close_begin(struct close_words *words, const struct store *store, size_t batches,
                               size_t ordinals, uint64_t history_ttl_ms)
{
    size_t runs = ordinals / 2 + batches;
    size_t keys = CLOSE_KEYS + 3 * batches;
    *words = (struct close_words){
        .text = malloc(keys * sizeof(*words->text)),
        .keys = malloc(keys * sizeof(*words->keys)),
        .numbers = malloc((CLOSE_ARGS + 2 * batches + runs) * sizeof(*words->numbers)),
        .args = malloc((CLOSE_ARGS + 3 * batches + 2 * runs) * sizeof(*words->args)),
    };
    buf_init(&words->records, (ordinals + batches) * OUTCOME_BYTES);
    if (!words->text || !words->keys || !words->numbers || !words->args ||
        !buf_reserve(&words->records, words->records.max))
        return ST_NOMEM;
    words->keys[0] = store_key(store, &words->text[0], "journal", store_incarnation(store));
    words->keys[1] = store_key(store, &words->text[1], "closed", NULL);
    words->keys[2] = store_key(store, &words->text[2], "closed", "bytes");
    words->key_count = CLOSE_KEYS;
    words->args[words->arg_count++] =
        store_u64(&words->numbers[words->number_count++], history_ttl_ms);
    return ST_OK;
}

static void close_end(struct close_words *words)
{
    buf_free(&words->records);
    free(words->args);
    free(words->numbers);
    free(words->keys);
    free(words->text);
}

static void close_add_word(struct close_words *words, struct slice word)
{
    words->args[words->arg_count++] = word;
}

static void close_add_number(struct close_words *words, uint64_t number)
{
    close_add_word(words, store_u64(&words->numbers[words->number_count++], number));
}

/* What each batch begins with. `id_text` must live as long as `words`. */
static void close_add_name(struct close_words *words, const struct store *store,
                           const char *id_text, size_t blob_bytes)
{
    struct store_key *text = words->text + words->key_count;
    struct slice *keys = words->keys + words->key_count;
    keys[0] = store_key(store, &text[0], "batch", id_text);
    keys[1] = store_key_progress(store, &text[1], id_text, store_incarnation(store));
    keys[2] = store_key(store, &text[2], "outcome", id_text);
    words->key_count += 3;
    close_add_word(words, slice_str(id_text));
    close_add_number(words, blob_bytes);
}

/* The outcomes of all ordinals; a batch without any has one record that says nothing, because
 * every closed batch has outcomes. */
static void close_add_all(struct close_words *words, const struct batch *batch)
{
    static const uint8_t none[OUTCOME_BYTES];
    size_t from = words->records.len;
    for (uint32_t i = 0; i < batch->ordinal_count; i++)
        buf_add(&words->records, batch->slots[i].outcome, OUTCOME_BYTES);
    if (batch->ordinal_count == 0)
        buf_add(&words->records, none, OUTCOME_BYTES);
    close_add_word(words, SLICE("all"));
    close_add_word(words, slice_of(words->records.ptr + from, words->records.len - from));
}

/* The outcomes of those that have finished, in runs. */
static void close_add_runs(struct close_words *words, const struct batch *batch)
{
    size_t runs = 0;
    size_t count_at = words->arg_count++;
    struct store_number *count = &words->numbers[words->number_count++];
    for (uint32_t i = 0; i < batch->ordinal_count;) {
        if (batch->slots[i].state != SLOT_FINISHED) {
            i++;
            continue;
        }
        size_t from = words->records.len;
        close_add_number(words, (uint64_t)i * OUTCOME_BYTES);
        while (i < batch->ordinal_count && batch->slots[i].state == SLOT_FINISHED)
            buf_add(&words->records, batch->slots[i++].outcome, OUTCOME_BYTES);
        close_add_word(words, slice_of(words->records.ptr + from, words->records.len - from));
        runs++;
    }
    words->args[count_at] = store_u64(count, runs);
}

/* All were moved. The number lets the script see whether Redis says the same. */
static void close_add_moved(struct close_words *words, const struct batch *batch)
{
    close_add_word(words, SLICE("moved"));
    close_add_number(words, batch->ordinal_count);
}

/* Does every event live on in a hash of its own? And can no copy of the batch's publish come after
 * the close: it was sent once and answered? One that was adopted may still be on its owner's mind.
 */
static bool all_moved(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->ordinal_count; i++)
        if (batch->slots[i].state != SLOT_MOVED)
            return false;
    for (uint32_t i = 0; i < batch->message_count; i++)
        if (batch->messages[i].target_count == 0)
            return false;
    return batch->sendings == 1;
}

static bool all_finished(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->ordinal_count; i++)
        if (batch->slots[i].state != SLOT_FINISHED)
            return false;
    return true;
}

enum status store_close(struct store *store, struct batch *const *batches, size_t count,
                        uint64_t history_ttl_ms, store_reply_fn *fn, void *arg)
{
    size_t ordinals = 0;
    for (size_t i = 0; i < count; i++)
        ordinals += batches[i]->ordinal_count;
    struct close_words words;
    enum status status = close_begin(&words, store, count, ordinals, history_ttl_ms);
    if (status == ST_OK) {
        for (size_t i = 0; i < count; i++) {
            close_add_name(&words, store, batches[i]->id_text, batches[i]->blob.len);
            if (all_finished(batches[i]))
                close_add_all(&words, batches[i]);
            else if (all_moved(batches[i]))
                close_add_moved(&words, batches[i]);
            else
                close_add_runs(&words, batches[i]);
        }
        status = store_call(store, store_script(store, "close"), words.keys, words.key_count,
                            words.args, words.arg_count, fn, arg);
    }
    close_end(&words);
    return status;
}

enum status store_close_unread(struct store *store, const char *batch, size_t blob_bytes,
                               uint64_t history_ttl_ms)
{
    struct close_words words;
    enum status status = close_begin(&words, store, 1, 0, history_ttl_ms);
    if (status == ST_OK) {
        close_add_name(&words, store, batch, blob_bytes);
        close_add_number(&words, 0); /* runs */
        status = store_call(store, store_script(store, "close"), words.keys, words.key_count,
                            words.args, words.arg_count, on_answered, NULL);
    }
    close_end(&words);
    return status;
}

/* ---- History, journals ---------------------------------------------------------------------- */

enum status store_closed_oldest(struct store *store, size_t most, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number last;
    struct slice args[] = {SLICE("ZRANGE"), store_key(store, &key, "closed", NULL), SLICE("0"),
                           store_u64(&last, most - 1), SLICE("WITHSCORES")};
    return store_query(store, args, sizeof(args) / sizeof(args[0]), fn, arg);
}

/* The two keys of what a member of `closed` names: a batch or a single event. */
static void member_keys(const struct store *store, struct slice member, struct store_key text[2],
                        struct slice keys[2])
{
    char name[ID_TEXT_MAX] = "";
    const char *colon = memchr(member.ptr, ':', member.len);
    size_t len = colon ? (size_t)(colon - member.ptr) : member.len;
    memcpy(name, member.ptr, len < sizeof(name) - 1 ? len : sizeof(name) - 1);
    bool event = slice_starts(member, SLICE("msg_"));
    keys[0] = store_key(store, &text[0], event ? "event" : "batch", name);
    keys[1] = store_key(store, &text[1], event ? "event" : "outcome", name);
}

enum status store_trim(struct store *store, const struct slice *members, size_t count,
                       store_reply_fn *fn, void *arg)
{
    struct store_key *text = malloc((2 + 2 * count) * sizeof(*text));
    struct slice *keys = malloc((2 + 2 * count) * sizeof(*keys));
    enum status status = ST_NOMEM;
    if (!text || !keys)
        goto out;
    keys[0] = store_key(store, &text[0], "closed", NULL);
    keys[1] = store_key(store, &text[1], "closed", "bytes");
    for (size_t i = 0; i < count; i++)
        member_keys(store, members[i], text + 2 + 2 * i, keys + 2 + 2 * i);
    status = store_call(store, store_script(store, "trim"), keys, 2 + 2 * count, members, count, fn,
                        arg);
out:
    free(keys);
    free(text);
    return status;
}

enum status store_journal_list(struct store *store, const char *incarnation, size_t most,
                               store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number last;
    struct slice args[] = {SLICE("ZRANGE"), store_key(store, &key, "journal", incarnation),
                           SLICE("0"), store_u64(&last, most - 1)};
    return store_query(store, args, sizeof(args) / sizeof(args[0]), fn, arg);
}

enum status store_adopt(struct store *store, const char *incarnation, const char *batch,
                        store_reply_fn *fn, void *arg)
{
    struct store_key text[6];
    struct slice keys[] = {
        store_key(store, &text[0], "journal", incarnation),
        store_key(store, &text[1], "journal", store_incarnation(store)),
        store_key_progress(store, &text[2], batch, incarnation),
        store_key_progress(store, &text[3], batch, store_incarnation(store)),
        store_key(store, &text[4], "replicas", NULL),
        store_key(store, &text[5], "journals", NULL),
    };
    struct slice args[] = {slice_str(batch), slice_str(incarnation),
                           slice_str(store_incarnation(store))};
    return store_call(store, store_script(store, "adopt"), keys, 6, args, 3, fn, arg);
}

enum status store_bury(struct store *store, const char *incarnation, bool leave, store_reply_fn *fn,
                       void *arg)
{
    struct store_key text[8];
    struct slice keys[] = {store_key(store, &text[0], "replicas", NULL),
                           store_key(store, &text[1], "journals", NULL),
                           store_key(store, &text[2], "journal", incarnation),
                           store_key(store, &text[3], "lanes", NULL),
                           store_key(store, &text[4], "membership", NULL),
                           store_key(store, &text[5], "replicas", "info"),
                           store_key(store, &text[6], "handover", NULL)};
    struct slice args[] = {slice_str(incarnation), leave ? SLICE("leave") : SLICE(""),
                           store_key(store, &text[7], "all", NULL)};
    return store_call(store, store_script(store, "bury"), keys, 7, args, 3, fn, arg);
}

enum status store_batch_read(struct store *store, const char *batch, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct slice args[] = {
        SLICE("MGET"),
        store_key(store, &text[0], "batch", batch),
        store_key_progress(store, &text[1], batch, store_incarnation(store)),
    };
    return store_query(store, args, 3, fn, arg);
}
