/* key_claims.c - the lists of publish.lua's arguments that speak of keys.
 *
 *   block   numbers: 13 bytes each | members of each kind: 16 each | pairs of each kind: 46 each
 *
 * Each part has room for as many as there may be events; numbers are little-endian. An event with
 * keys of several kinds has its answer in each list, which is rare and cheaper than to put them
 * together in Redis.
 */
#include "core/key_claims.h"

#include <assert.h>
#include <stdlib.h>

enum { ID_BYTES = sizeof(struct id), FINGERPRINT_BYTES = KEY_FINGERPRINT_BITS / 8 };
enum { ID_BATCH_BYTES = 15 /* of an id: they name its batch */, TTL_BYTES = KEY_TTL_BITS / 8 };
enum { NUMBERS_BYTES = 1 + 3 * 4, PAIR_BYTES = PUBLISH_KEY_BYTES + KEY_ANSWER_BYTES };

_Static_assert(ID_BYTES + FINGERPRINT_BYTES + 4 == KEY_ANSWER_BYTES, "an answer's members");
_Static_assert(ID_BYTES + TTL_BYTES + 4 == KEY_ANSWER_BYTES, "of a deduplication key");

static uint8_t *put_le(uint8_t *out, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++, value >>= 8)
        out[i] = (uint8_t)value;
    return out + bytes;
}

static uint64_t get_le(const char *in, size_t bytes)
{
    uint64_t value = 0;
    while (bytes > 0)
        value = value << 8 | (uint8_t)in[--bytes];
    return value;
}

/* With a time to live of their own keys of one batch expire in groups, and batch and time to live,
 * which name a group, come first; the rest of the id is behind them. */
static void dedup_answer_write(uint8_t *out, const struct key_answer *answer)
{
    memcpy(out, answer->event.bytes, ID_BATCH_BYTES);
    out = put_le(out + ID_BATCH_BYTES, TTL_BYTES, answer->ttl_ms);
    memcpy(out, answer->event.bytes + ID_BATCH_BYTES, ID_BYTES - ID_BATCH_BYTES);
    put_le(out + ID_BYTES - ID_BATCH_BYTES, 4, answer->deliveries);
}

static void dedup_answer_read(const char *in, struct key_answer *answer)
{
    memcpy(answer->event.bytes, in, ID_BATCH_BYTES);
    in += ID_BATCH_BYTES;
    answer->ttl_ms = get_le(in, TTL_BYTES);
    in += TTL_BYTES;
    memcpy(answer->event.bytes + ID_BATCH_BYTES, in, ID_BYTES - ID_BATCH_BYTES);
    answer->deliveries = (uint32_t)get_le(in + ID_BYTES - ID_BATCH_BYTES, 4);
}

void key_answer_write(uint8_t out[KEY_ANSWER_BYTES], enum key_kind kind,
                      const struct key_answer *answer)
{
    if (kind == KEY_DEDUP) {
        dedup_answer_write(out, answer);
        return;
    }
    memcpy(out, answer->event.bytes, ID_BYTES);
    put_le(put_le(out + ID_BYTES, FINGERPRINT_BYTES, answer->fingerprint), 4, answer->deliveries);
}

enum status key_answer_read(struct slice text, enum key_kind kind, struct key_answer *answer)
{
    if (text.len != KEY_ANSWER_BYTES)
        return ST_SYNTAX;
    *answer = (struct key_answer){0};
    if (kind == KEY_DEDUP) {
        dedup_answer_read(text.ptr, answer);
        return ST_OK;
    }
    memcpy(answer->event.bytes, text.ptr, ID_BYTES);
    answer->fingerprint = get_le(text.ptr + ID_BYTES, FINGERPRINT_BYTES);
    answer->deliveries = (uint32_t)get_le(text.ptr + ID_BYTES + FINGERPRINT_BYTES, 4);
    return ST_OK;
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static uint8_t *members_of(const struct key_claims *claims, enum key_kind kind)
{
    return claims->block + claims->most * (NUMBERS_BYTES + kind * PUBLISH_KEY_BYTES);
}

static uint8_t *pairs_of(const struct key_claims *claims, enum key_kind kind)
{
    return members_of(claims, KEY_KINDS) + claims->most * kind * PAIR_BYTES;
}

enum status key_claims_init(struct key_claims *claims, size_t most)
{
    enum { BYTES = NUMBERS_BYTES + KEY_KINDS * (PUBLISH_KEY_BYTES + PAIR_BYTES) };
    *claims = (struct key_claims){.block = malloc(most * BYTES), .most = most};
    return claims->block ? ST_OK : ST_NOMEM;
}

void key_claims_free(struct key_claims *claims)
{
    free(claims->block);
    *claims = (struct key_claims){0};
}

void key_claims_add(struct key_claims *claims, const struct key_claim *claim)
{
    assert(claims->count < claims->most);
    uint8_t has = 0;
    for (enum key_kind kind = 0; kind < KEY_KINDS; kind++) {
        if (!claim->members[kind])
            continue;
        size_t at = claims->keys[kind]++;
        uint8_t *pair = pairs_of(claims, kind) + at * PAIR_BYTES;
        memcpy(members_of(claims, kind) + at * PUBLISH_KEY_BYTES, claim->members[kind],
               PUBLISH_KEY_BYTES);
        memcpy(pair, claim->members[kind], PUBLISH_KEY_BYTES);
        key_answer_write(pair + PUBLISH_KEY_BYTES, kind, &claim->answer);
        has |= (uint8_t)(1 << kind);
    }
    assert(has != 0);
    uint8_t *numbers = claims->block + claims->count++ * NUMBERS_BYTES;
    numbers = put_le(numbers, 1, has);
    numbers = put_le(numbers, 4, claim->first_ordinal);
    numbers = put_le(numbers, 4, claim->ordinals);
    put_le(numbers, 4, claim->refused_bit);
}

struct slice key_claims_numbers(const struct key_claims *claims)
{
    return slice_of(claims->block, claims->count * NUMBERS_BYTES);
}

struct slice key_claims_members(const struct key_claims *claims, enum key_kind kind)
{
    return slice_of(members_of(claims, kind), claims->keys[kind] * PUBLISH_KEY_BYTES);
}

struct slice key_claims_pairs(const struct key_claims *claims, enum key_kind kind)
{
    return slice_of(pairs_of(claims, kind), claims->keys[kind] * PAIR_BYTES);
}
