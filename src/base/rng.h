/* rng.h - randomness: the kernel's, for secrets and ids, and a seeded one for pure code and tests.
 *
 * One thread only. A process made by fork() draws bytes of its own: the pool does not survive it.
 */
#ifndef TROTLINE_BASE_RNG_H
#define TROTLINE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* Fills `out` with bytes fit for keys. Never fails: a kernel without randomness ends the process
 * with a message on standard error. */
void rng_bytes(void *out, size_t len);
uint64_t rng_u64(void);

/* ---- Seeded: the same seed gives the same numbers for ever, so never for secrets ------------ */

struct rng {
    uint64_t state[4];
};

void rng_seed(struct rng *rng, uint64_t seed);

/* Any of the 2^64 numbers. */
uint64_t rng_next(struct rng *rng);

/* 0 … bound - 1, each as likely as the others. `bound` is at least 1. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* 0 ≤ x < 1, in steps of 2^-53. */
double rng_unit(struct rng *rng);

#endif
