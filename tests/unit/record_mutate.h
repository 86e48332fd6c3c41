/* record_mutate.h - a record that was damaged: every prefix, every byte changed, random bytes.
 *
 * Each damaged copy lies in memory of exactly its size, so that AddressSanitizer and valgrind see a
 * read beyond its end.
 */
#ifndef TROTLINE_TESTS_RECORD_MUTATE_H
#define TROTLINE_TESTS_RECORD_MUTATE_H

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/slice.h"

/* Looks at one damaged copy. */
typedef void mutant_fn(struct slice bytes);

static void mutate_try(struct slice bytes, mutant_fn *fn)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(copy);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    fn(slice_of(copy, bytes.len));
    free(copy);
}

/* Every place set to all 256 values. */
static inline void mutate_every_byte(struct slice bytes, mutant_fn *fn)
{
    char *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    for (size_t at = 0; at < bytes.len; at++) {
        for (int value = 0; value < 256; value++) {
            copy[at] = (char)value;
            mutate_try(slice_of(copy, bytes.len), fn);
        }
        copy[at] = bytes.ptr[at];
    }
    free(copy);
}

/* Every prefix but the whole. */
static inline void mutate_truncate(struct slice bytes, mutant_fn *fn)
{
    for (size_t len = 0; len < bytes.len; len++)
        mutate_try(slice_of(bytes.ptr, len), fn);
}

/* A few bytes changed, taken out or put in at random places. */
static inline void mutate_randomly(struct slice bytes, uint64_t seed, int rounds, mutant_fn *fn)
{
    struct rng rng;
    rng_seed(&rng, seed);
    char *copy = malloc(bytes.len + 64);
    assert_non_null(copy);
    for (int round = 0; round < rounds; round++) {
        size_t len = bytes.len;
        memcpy(copy, bytes.ptr, len);
        for (uint64_t changes = 1 + rng_below(&rng, 8); changes > 0 && len > 0; changes--) {
            size_t at = (size_t)rng_below(&rng, len);
            switch (rng_below(&rng, 4)) {
            case 0: /* out */
                memmove(copy + at, copy + at + 1, len - at - 1);
                len--;
                break;
            case 1: /* in */
                memmove(copy + at + 1, copy + at, len - at);
                copy[at] = (char)rng_next(&rng);
                len++;
                break;
            case 2: /* a head of msgpack */
                copy[at] = (char)(0xc0 + rng_below(&rng, 32));
                break;
            default:
                copy[at] = (char)rng_next(&rng);
                break;
            }
        }
        mutate_try(slice_of(copy, len), fn);
    }
    free(copy);
}

#endif
