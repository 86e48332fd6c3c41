/* store_batch.c - batches in Redis. */
#include "core/store_batch.h"

#include <stdlib.h>

#include "net/redis_script.h"

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
        status = redis_script_call(store_batch_conn(store), store_script(store, "publish"), keys,
                                   sizeof(keys) / sizeof(keys[0]), args, count, fn, arg);
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

/* Finished slots in runs: [offset, records] pairs. Fills `runs` (2 for each run at most). */
static size_t outcome_runs(const struct batch *batch, struct buf *records, struct slice *args,
                           struct store_number *offsets)
{
    size_t runs = 0;
    for (uint32_t i = 0; i < batch->ordinal_count;) {
        if (batch->slots[i].state != SLOT_FINISHED) {
            i++;
            continue;
        }
        uint32_t first = i;
        size_t from = records->len;
        while (i < batch->ordinal_count && batch->slots[i].state == SLOT_FINISHED)
            buf_add(records, batch->slots[i++].outcome, OUTCOME_BYTES);
        args[2 * runs] = store_u64(&offsets[runs], (uint64_t)first * OUTCOME_BYTES);
        /* The buffer was reserved whole: it does not move any more. */
        args[2 * runs + 1] = slice_of(records->ptr + from, records->len - from);
        runs++;
    }
    return runs;
}

/* The keys of close.lua. */
static size_t close_keys(const struct store *store, const char *batch, struct store_key text[6],
                         struct slice keys[6])
{
    keys[0] = store_key(store, &text[0], "journal", store_incarnation(store));
    keys[1] = store_key(store, &text[1], "batch", batch);
    keys[2] = store_key_progress(store, &text[2], batch, store_incarnation(store));
    keys[3] = store_key(store, &text[3], "outcome", batch);
    keys[4] = store_key(store, &text[4], "closed", NULL);
    keys[5] = store_key(store, &text[5], "closed", "bytes");
    return 6;
}

enum status store_close(struct store *store, const struct batch *batch, uint64_t history_ttl_ms,
                        store_reply_fn *fn, void *arg)
{
    struct store_key text[6];
    struct slice keys[6];
    size_t key_count = close_keys(store, batch->id_text, text, keys);
    size_t most = (batch->ordinal_count + 1) / 2 + 1; /* runs */
    struct slice *args = malloc((2 + 2 * most) * sizeof(*args));
    struct store_number *offsets = malloc(most * sizeof(*offsets));
    struct store_number ttl;
    struct buf records;
    buf_init(&records, (size_t)batch->ordinal_count * OUTCOME_BYTES);
    enum status status = ST_NOMEM;
    if (!args || !offsets || (batch->ordinal_count > 0 && !buf_reserve(&records, records.max)))
        goto out;
    args[0] = slice_str(batch->id_text);
    args[1] = store_u64(&ttl, history_ttl_ms);
    size_t runs = outcome_runs(batch, &records, args + 2, offsets);
    status = store_call(store, store_script(store, "close"), keys, key_count, args, 2 + 2 * runs,
                        fn, arg);
out:
    buf_free(&records);
    free(offsets);
    free(args);
    return status;
}

enum status store_close_unread(struct store *store, const char *batch, uint64_t history_ttl_ms)
{
    struct store_key text[6];
    struct slice keys[6];
    struct store_number ttl;
    size_t key_count = close_keys(store, batch, text, keys);
    struct slice args[] = {slice_str(batch), store_u64(&ttl, history_ttl_ms)};
    return store_call(store, store_script(store, "close"), keys, key_count, args, 2, on_answered,
                      NULL);
}

enum status store_closed_oldest(struct store *store, size_t most, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number last;
    struct slice args[] = {SLICE("ZRANGE"), store_key(store, &key, "closed", NULL), SLICE("0"),
                           store_u64(&last, most - 1), SLICE("WITHSCORES")};
    return store_query(store, args, sizeof(args) / sizeof(args[0]), fn, arg);
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
    for (size_t i = 0; i < count; i++) {
        char name[BATCH_ID_TEXT] = "";
        size_t len = members[i].len < BATCH_ID_TEXT - 1 ? members[i].len : BATCH_ID_TEXT - 1;
        memcpy(name, members[i].ptr, len);
        keys[2 + 2 * i] = store_key(store, &text[2 + 2 * i], "batch", name);
        keys[3 + 2 * i] = store_key(store, &text[3 + 2 * i], "outcome", name);
    }
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
