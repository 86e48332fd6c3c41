/* store_words.c - the keys and arguments of a call about many things, while they are put together.
 *
 *      | slices of the keys | slices of the arguments | numbers | text of the keys |
 */
#include "core/store_words.h"

#include <assert.h>
#include <stdlib.h>

enum status store_words_begin(struct store_words *words, const struct store *store, size_t keys,
                              size_t args, size_t numbers)
{
    size_t slices_bytes = (keys + args) * sizeof(struct slice);
    size_t numbers_bytes = numbers * sizeof(struct store_number);
    char *memory = malloc(slices_bytes + numbers_bytes + keys * store_key_max(store));
    if (!memory)
        return ST_NOMEM;
    struct slice *slices = (struct slice *)memory;
    *words = (struct store_words){
        .keys = slices,
        .args = slices + keys,
        .store = store,
        .keys_max = keys,
        .args_max = args,
        .numbers_max = numbers,
        .numbers = (struct store_number *)(memory + slices_bytes),
        .key_text = memory + slices_bytes + numbers_bytes,
    };
    return ST_OK;
}

void store_words_end(struct store_words *words)
{
    free(words->keys);
    words->keys = NULL;
}

void store_words_key(struct store_words *words, const char *kind, const char *name)
{
    assert(words->key_count < words->keys_max);
    size_t len = store_key_write(words->store, words->key_text, kind, name);
    words->keys[words->key_count++] = slice_of(words->key_text, len);
    words->key_text += len;
}

void store_words_key_lane(struct store_words *words, uint32_t lane)
{
    char name[DIGITS_MAX + 1] = ""; /* whose last byte stays NUL */
    store_words_key(words, "lane", digits_u64(name, lane).ptr);
}

void store_words_arg(struct store_words *words, struct slice arg)
{
    assert(words->arg_count < words->args_max);
    words->args[words->arg_count++] = arg;
}

void store_words_number(struct store_words *words, uint64_t number)
{
    assert(words->number_count < words->numbers_max);
    store_words_arg(words, store_u64(&words->numbers[words->number_count++], number));
}

size_t store_common(struct store_commons *commons, const void *thing)
{
    for (size_t at = commons->count; at > 0; at--)
        if (commons->list[at - 1] == thing)
            return at;
    commons->list[commons->count++] = thing;
    return commons->count;
}
