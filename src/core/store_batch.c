/* store_batch.c - batches in Redis. */
#include "core/store_batch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* For replies that say nothing that matters: a SET's is in the reply of the script behind it. */
static void on_answered(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)status;
    (void)reply;
}

enum status store_progress(struct store *store, const struct batch *batch, const uint32_t *ordinals,
                           size_t count, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct slice keys[] = {store_key(store, &text[0], "journal", store_incarnation(store)),
                           store_key(store, &text[1], "progress", batch->id_text)};
    struct slice *args = malloc((count + 1) * sizeof(*args));
    struct store_number *numbers = malloc((count + 1) * sizeof(*numbers));
    enum status status = ST_NOMEM;
    if (args && numbers) {
        args[0] = slice_str(batch->member);
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
    size_t keys = CLOSE_KEYS + 4 * batches;
    *words = (struct close_words){
        .text = malloc(keys * sizeof(*words->text)),
        .keys = malloc(keys * sizeof(*words->keys)),
        .numbers = malloc((CLOSE_ARGS + 2 * batches + runs) * sizeof(*words->numbers)),
        .args = malloc((CLOSE_ARGS + 4 * batches + 2 * runs) * sizeof(*words->args)),
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

/* What each part begins with. The names must live as long as `words`. `sure`: no copy of its
 * publish can come any more. `several`: there are other parts. */
static void close_add_name(struct close_words *words, const struct store *store,
                           const char *id_text, const char *member, size_t blob_bytes, bool sure,
                           bool several)
{
    struct store_key *text = words->text + words->key_count;
    struct slice *keys = words->keys + words->key_count;
    keys[0] = store_key(store, &text[0], "batch", id_text);
    keys[1] = store_key(store, &text[1], "progress", id_text);
    keys[2] = store_key(store, &text[2], "outcome", id_text);
    if (several)
        keys[3] = store_key(store, &text[3], "open", id_text);
    words->key_count += several ? 4 : 3;
    close_add_word(words, slice_str(member));
    close_add_number(words, blob_bytes);
    close_add_word(words, slice_str(sure ? (several ? "sp" : "s") : (several ? "p" : "")));
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

/* All of the part were moved. The number lets the script see whether Redis says the same. */
static void close_add_moved(struct close_words *words, const struct batch *batch)
{
    close_add_word(words, SLICE("moved"));
    close_add_number(words, batch->ordinal_count);
}

/* Does every event live on in a hash of its own, as far as this part is concerned? Of what was done
 * before it was opened here nobody knows whether it was moved, or sent. */
static bool all_moved(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->ordinal_count; i++)
        if (batch->slots[i].state != SLOT_MOVED && batch->slots[i].state != SLOT_FOREIGN)
            return false;
    for (uint32_t i = 0; i < batch->message_count; i++)
        if (batch->messages[i].target_count == 0)
            return false;
    return !batch->recovered;
}

static bool all_finished(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->ordinal_count; i++)
        if (batch->slots[i].state != SLOT_FINISHED)
            return false; /* a foreign one is another's to tell of */
    return true;
}

static void close_add(struct close_words *words, const struct store *store,
                      const struct batch *batch)
{
    /* One that was read from Redis may still be on its publisher's mind. */
    close_add_name(words, store, batch->id_text, batch->member, batch->stored_bytes,
                   batch->sendings == 1, batch->foreign > 0);
    if (all_finished(batch))
        close_add_all(words, batch);
    else if (all_moved(batch))
        close_add_moved(words, batch);
    else
        close_add_runs(words, batch);
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
        for (size_t i = 0; i < count; i++)
            close_add(&words, store, batches[i]);
        status = store_call(store, store_script(store, "close"), words.keys, words.key_count,
                            words.args, words.arg_count, fn, arg);
    }
    close_end(&words);
    return status;
}

enum status store_close_unread(struct store *store, const char *member, size_t blob_bytes,
                               uint64_t history_ttl_ms)
{
    char id_text[BATCH_ID_TEXT];
    snprintf(id_text, sizeof(id_text), "%.*s", BATCH_ID_TEXT - 1, member);
    struct close_words words;
    enum status status = close_begin(&words, store, 1, 0, history_ttl_ms);
    if (status == ST_OK) {
        close_add_name(&words, store, id_text, member, blob_bytes, false, true);
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

enum status store_journal_list(struct store *store, const char *incarnation, size_t from,
                               size_t most, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct store_number first, last;
    struct slice args[] = {SLICE("ZRANGE"), store_key(store, &key, "journal", incarnation),
                           store_u64(&first, from), store_u64(&last, from + most - 1)};
    return store_query(store, args, sizeof(args) / sizeof(args[0]), fn, arg);
}

enum status store_journal_has(struct store *store, const char *member, store_reply_fn *fn,
                              void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("ZSCORE"),
                           store_key(store, &key, "journal", store_incarnation(store)),
                           slice_str(member)};
    return store_query(store, args, sizeof(args) / sizeof(args[0]), fn, arg);
}

enum status store_adopt(struct store *store, const char *incarnation, const char *member,
                        store_reply_fn *fn, void *arg)
{
    struct store_key text[4];
    struct slice keys[] = {
        store_key(store, &text[0], "journal", incarnation),
        store_key(store, &text[1], "journal", store_incarnation(store)),
        store_key(store, &text[2], "replicas", NULL),
        store_key(store, &text[3], "journals", NULL),
    };
    struct slice args[] = {slice_str(member), slice_str(incarnation),
                           slice_str(store_incarnation(store))};
    return store_call(store, store_script(store, "adopt"), keys, 4, args, 3, fn, arg);
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
        store_key(store, &text[1], "progress", batch),
    };
    return store_query(store, args, 3, fn, arg);
}
