/* rng.c - randomness from the kernel through a pool, and a seeded generator.
 *
 * An id takes 15 random bytes and an event takes several ids, so one system call for each would
 * show in the profile; a pool of 4 KiB makes it one in some 270. Bytes are wiped as they are handed
 * out: what is in memory later (a core file, a bug that reads too far) tells nothing about keys
 * made before. A forked child would repeat its parent's bytes, so a fork handler empties the pool
 * there. (MADV_WIPEONFORK does the same in the kernel, but not every container runtime has it.)
 *
 * The seeded generator is xoshiro256** (Blackman and Vigna, 2018), its state filled by splitmix64
 * as its authors advise, so that near seeds do not give near sequences.
 */
#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/entropy.h"

enum { POOL_BYTES = 4096 };

static struct {
    unsigned char bytes[POOL_BYTES];
    size_t left; /* the last `left` bytes are unused, the others are zero */
} pool;

static void die(const char *what, int error)
{
    fprintf(stderr, "trotline: no randomness: %s: %s\n", what, strerror(error));
    abort();
}

static void from_kernel(unsigned char *out, size_t len)
{
    if (entropy_read(out, len) != ST_OK)
        die("getrandom", errno);
}

static void forget_pool(void)
{
    explicit_bzero(&pool, sizeof(pool));
}

static void refill(void)
{
    static bool watching_forks;
    if (!watching_forks) {
        int error = pthread_atfork(NULL, NULL, forget_pool);
        if (error != 0)
            die("pthread_atfork", error);
        watching_forks = true;
    }
    from_kernel(pool.bytes, sizeof(pool.bytes));
    pool.left = sizeof(pool.bytes);
}

void rng_bytes(void *out, size_t len)
{
    unsigned char *place = out;
    if (len >= POOL_BYTES) {
        from_kernel(place, len);
        return;
    }
    while (len > 0) {
        if (pool.left == 0)
            refill();
        unsigned char *unused = pool.bytes + sizeof(pool.bytes) - pool.left;
        size_t part = len < pool.left ? len : pool.left;
        memcpy(place, unused, part);
        explicit_bzero(unused, part);
        pool.left -= part;
        place += part;
        len -= part;
    }
}

uint64_t rng_u64(void)
{
    uint64_t number;
    rng_bytes(&number, sizeof(number));
    return number;
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) { /* splitmix64 */
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng->state[i] = z ^ (z >> 31);
    }
}

static inline uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The high half of number * bound is the answer; the few numbers that would make some answers
 * likelier than others are drawn again (Lemire, 2019). */
uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    assert(bound > 0);
    uint64_t surplus = -bound % bound; /* 2^64 mod bound */
    for (;;) {
        unsigned __int128 product = (unsigned __int128)rng_next(rng) * bound;
        if ((uint64_t)product >= surplus)
            return (uint64_t)(product >> 64);
    }
}

double rng_unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}
