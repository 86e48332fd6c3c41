/* hash.c - SipHash-1-3 and FNV-1a.
 *
 * SipHash-1-3 (one round a word, three at the end) instead of 2-4: a hash table needs resistance
 * against flooding, not a message authentication code; Rust, Python and Ruby chose the same.
 */
#include "base/hash.h"

#include <endian.h>
#include <stdbool.h>

#include "base/rng.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 = rotate_left(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t hash_keyed(struct slice bytes, uint64_t key0, uint64_t key1)
{
    struct sip s = {
        key0 ^ 0x736f6d6570736575u, /* "somepseudorandomlygeneratedbytes" */
        key1 ^ 0x646f72616e646f6du,
        key0 ^ 0x6c7967656e657261u,
        key1 ^ 0x7465646279746573u,
    };
    const char *at = bytes.ptr;
    size_t left = bytes.len;
    uint64_t word;
    for (; left >= sizeof(word); at += sizeof(word), left -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sip_word(&s, le64toh(word));
    }
    word = 0;
    if (left > 0)
        memcpy(&word, at, left);
    sip_word(&s, le64toh(word) | (uint64_t)bytes.len << 56);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_bytes(struct slice bytes)
{
    static uint64_t key[2];
    static bool have_key;
    if (!have_key) {
        rng_bytes(key, sizeof(key));
        have_key = true;
    }
    return hash_keyed(bytes, key[0], key[1]);
}

uint64_t hash_stable(struct slice bytes)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes.len; i++)
        h = (h ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3u;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}
