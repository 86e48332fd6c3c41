/* store_stream.c - entries of the streams that events are delivered to.
 *
 * Where the oldest entries go, XADD does all of it. Where they may not, its length has to be looked
 * at in the same step, which takes a script (stream_add.lua), and Redis a few microseconds more.
 */
#include "core/store_stream.h"

#include <stdio.h>

enum { FIELDS_MAX = 5, WORDS_BEFORE = 6 };

char *store_stream_key(const char *key_prefix, const char *name)
{
    char *key;
    return asprintf(&key, "%s:{0}:out:%s", key_prefix, name) < 0 ? NULL : key;
}

static void add_field(struct slice *words, size_t *count, const char *name, struct slice value)
{
    words[(*count)++] = slice_str(name);
    words[(*count)++] = value;
}

static void add_fields(struct slice *words, size_t *count, const struct store_stream_entry *entry)
{
    add_field(words, count, "id", entry->id);
    add_field(words, count, "type", entry->type);
    add_field(words, count, "timestamp", entry->timestamp);
    if (entry->duplicate_of.ptr)
        add_field(words, count, "duplicateOf", entry->duplicate_of);
    add_field(words, count, "e", entry->event); /* the last one: its text may have line breaks */
}

enum status store_stream_add(struct store *store, const struct store_stream_entry *entry,
                             store_reply_fn *fn, void *arg)
{
    struct slice words[WORDS_BEFORE + 2 * FIELDS_MAX];
    struct store_number number;
    size_t count = 0;
    if (entry->waits) {
        words[count++] = store_u64(&number, entry->length_max);
        add_fields(words, &count, entry);
        return store_write_once(store, store_script(store, "stream_add"), &entry->key, 1, words,
                                count, fn, arg);
    }
    words[count++] = SLICE("XADD");
    words[count++] = entry->key;
    words[count++] = SLICE("MAXLEN");
    words[count++] = SLICE("~");
    words[count++] = store_u64(&number, entry->length_max);
    words[count++] = SLICE("*");
    add_fields(words, &count, entry);
    return store_write_once(store, NULL, NULL, 0, words, count, fn, arg);
}
