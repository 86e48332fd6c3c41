/* store_words.h - the keys and arguments of a call about many things, while they are put together.
 *
 *      store_words_begin() --> _key(), _arg() … --> store_call(words.keys, …) --> store_words_end()
 *
 * One piece of memory for all, of a size that is known before: so nothing moves, and slices stay
 * what they are. Counts beyond those it was begun with are a programmer's error.
 */
#ifndef TROTLINE_CORE_STORE_WORDS_H
#define TROTLINE_CORE_STORE_WORDS_H

#include "core/store.h"

struct store_words {
    struct slice *keys, *args;
    size_t key_count, arg_count;
    const struct store *store; /* from here on private */
    size_t keys_max, args_max, numbers_max;
    size_t number_count;
    char *key_text; /* where the next key goes */
    struct store_number *numbers;
};

/* Room for so many; of the arguments `numbers` are numbers. ST_NOMEM: there is nothing to end. */
MUST_CHECK enum status store_words_begin(struct store_words *words, const struct store *store,
                                         size_t keys, size_t args, size_t numbers);
void store_words_end(struct store_words *words);

/* Append a key (store_key(), store_key_lane()), and an argument, whose text is borrowed. */
void store_words_key(struct store_words *words, const char *kind, const char *name);
void store_words_key_lane(struct store_words *words, uint32_t lane);
void store_words_arg(struct store_words *words, struct slice arg);
void store_words_number(struct store_words *words, uint64_t number);

/* ---- What several of the things have in common is said once, and they say its number --------- */

/* A list of different things, which the caller has room for. */
struct store_commons {
    const void **list;
    size_t count;
};

/* The number of a thing, from 1 on, the newest first looked at. One that is not in the list becomes
 * its last. */
size_t store_common(struct store_commons *commons, const void *thing);

#endif
