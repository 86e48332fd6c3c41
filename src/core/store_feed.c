/* store_feed.c - the streams of feeds in Redis. */
#include "core/store_feed.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct slice store_feed_key(const struct store *store, struct store_key *key, const char *feed)
{
    return store_key(store, key, "feed", feed[0] ? feed : NULL);
}

struct slice store_feed_rejected_key(const struct store *store, struct store_key *key,
                                     const char *feed)
{
    char name[LIMIT_FEED_NAME_BYTES + sizeof(":rejected")];
    snprintf(name, sizeof(name), "%s%srejected", feed, feed[0] ? ":" : "");
    return store_key(store, key, "feed", name);
}

enum status store_feed_look(struct store *store, const char *feed, uint64_t idle_ms,
                            store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct store_number idle;
    struct slice keys[] = {store_feed_key(store, &text[0], feed),
                           store_feed_rejected_key(store, &text[1], feed)};
    struct slice args[] = {SLICE(STORE_FEED_GROUP), store_u64(&idle, idle_ms)};
    return store_query_script(store, store_script(store, "feed_look"), keys, COUNT(keys), args,
                              COUNT(args), fn, arg);
}

enum status store_feed_reject(struct store *store, const char *feed,
                              const struct store_feed_reject *reject, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct store_number bytes, most;
    char first[1 + STREAM_ID_TEXT] = "(", last[STREAM_ID_TEXT];
    bool behind = stream_id_compare(&reject->first, &reject->last) != 0;
    (void)stream_id_format(&reject->first, first + behind);
    struct slice keys[] = {store_feed_key(store, &text[0], feed),
                           store_feed_rejected_key(store, &text[1], feed)};
    struct slice args[] = {slice_str(first),
                           stream_id_format(&reject->last, last),
                           store_u64(&bytes, reject->bytes_min),
                           store_u64(&most, reject->rejected_max),
                           slice_str(reject->error->code),
                           slice_str(reject->error->message),
                           slice_str(reject->error->field)};
    return store_query_script(store, store_script(store, "feed_reject"), keys, COUNT(keys), args,
                              COUNT(args), fn, arg);
}

/* Ids as words, with room for `before` others in front of them. */
static struct slice *id_words(const struct stream_id *ids, size_t count, size_t before)
{
    struct slice *words = malloc((before + count) * sizeof(*words) + count * STREAM_ID_TEXT);
    if (!words)
        return NULL;
    char(*text)[STREAM_ID_TEXT] = (void *)(words + before + count);
    for (size_t i = 0; i < count; i++)
        words[before + i] = stream_id_format(&ids[i], text[i]);
    return words;
}

static enum status delete_entries(struct store *store, struct slice key,
                                  const struct stream_id *ids, size_t count, store_reply_fn *fn,
                                  void *arg)
{
    struct slice *words = id_words(ids, count, 2);
    if (!words)
        return ST_NOMEM;
    words[0] = SLICE("XDEL");
    words[1] = key;
    enum status status = store_query(store, words, 2 + count, fn, arg);
    free(words);
    return status;
}

enum status store_feed_delete(struct store *store, const char *feed, const struct stream_id *ids,
                              size_t count, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    return delete_entries(store, store_feed_key(store, &key, feed), ids, count, fn, arg);
}

enum status store_feed_discard(struct store *store, const char *feed, const struct stream_id *ids,
                               size_t count, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    return delete_entries(store, store_feed_rejected_key(store, &key, feed), ids, count, fn, arg);
}

enum status store_feed_rejected(struct store *store, const char *feed,
                                const struct store_feed_page *page, store_reply_fn *fn, void *arg)
{
    struct store_key text;
    struct store_number most, bytes, fields;
    char first_text[STREAM_ID_TEXT], last_text[STREAM_ID_TEXT];
    struct slice first = stream_id_format(&page->first, first_text);
    struct slice last = stream_id_format(&page->last, last_text);
    struct slice key = store_feed_rejected_key(store, &text, feed);
    struct slice args[] = {page->newest_first ? last : first,
                           page->newest_first ? first : last,
                           store_u64(&most, page->most),
                           store_u64(&bytes, page->value_bytes_max),
                           store_u64(&fields, page->fields_max),
                           page->newest_first ? SLICE("newest") : SLICE("oldest")};
    return store_query_script(store, store_script(store, "feed_rejected"), &key, 1, args,
                              COUNT(args), fn, arg);
}

enum status store_feed_requeue(struct store *store, const char *feed, const struct stream_id *ids,
                               size_t count, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct slice keys[] = {store_feed_key(store, &text[0], feed),
                           store_feed_rejected_key(store, &text[1], feed)};
    struct slice *words = id_words(ids, count, 0);
    if (!words)
        return ST_NOMEM;
    enum status status = store_query_script(store, store_script(store, "feed_requeue"), keys,
                                            COUNT(keys), words, count, fn, arg);
    free(words);
    return status;
}
