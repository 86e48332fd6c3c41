/* id.c - ids that sort by time.
 *
 * The digits come from the number five at a time: the 160 bits are five limbs of 32, and one pass
 * over them divides by 62^5, which fits a limb. The compiler turns divisions by a constant into
 * multiplications, and the passes overlap in the processor. Dividing by 62 digit by digit takes
 * some 120 divisions of limbs, this 20.
 */
#include "base/id.h"

#include <assert.h>
#include <endian.h>

#include "base/rng.h"

enum { LIMBS = 5, TIME_BYTES = 5, CHUNK_DIGITS = 5, HEAD_DIGITS = ID_DIGITS % CHUNK_DIGITS };

#define EPOCH_S    1400000000u
#define CHUNK_BASE 916132832u /* 62^5 */

/* Padded to 64, so that six bits of anything are a valid index. */
static const char alphabet[64] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void id_new(struct id *id, uint64_t wall_ms)
{
    id_set_time(id, wall_ms);
    rng_bytes(id->bytes + TIME_BYTES, sizeof(id->bytes) - TIME_BYTES);
}

void id_set_time(struct id *id, uint64_t wall_ms)
{
    uint64_t first_ms = EPOCH_S * UINT64_C(1000);
    uint64_t last_ms = first_ms + UINT32_MAX * UINT64_C(1000) + 999;
    if (wall_ms < first_ms)
        wall_ms = first_ms;
    if (wall_ms > last_ms)
        wall_ms = last_ms;
    uint32_t seconds = htobe32((uint32_t)(wall_ms / 1000 - EPOCH_S));
    memcpy(id->bytes, &seconds, sizeof(seconds));
    id->bytes[4] = (uint8_t)(wall_ms % 1000 / 4);
}

uint64_t id_time_ms(const struct id *id)
{
    uint32_t seconds;
    memcpy(&seconds, id->bytes, sizeof(seconds));
    return (EPOCH_S + (uint64_t)be32toh(seconds)) * 1000 + id->bytes[4] * 4u;
}

size_t id_format(char out[ID_TEXT_MAX], const char *prefix, const struct id *id)
{
    /* The number shrinks by 29.8 bits in each pass: where its first limb that is not 0 can be. */
    static const uint8_t first_limb[] = {0, 0, 1, 2, 3, 4};
    size_t prefix_len = strlen(prefix);
    assert(prefix_len + ID_DIGITS < ID_TEXT_MAX);
    memcpy(out, prefix, prefix_len);
    char *digits = out + prefix_len;

    uint32_t limbs[LIMBS];
    memcpy(limbs, id->bytes, sizeof(limbs));
    for (size_t i = 0; i < LIMBS; i++)
        limbs[i] = be32toh(limbs[i]);
    size_t at = ID_DIGITS;
    for (size_t pass = 0; pass < sizeof(first_limb); pass++) {
        uint64_t rest = 0;
        for (size_t i = first_limb[pass]; i < LIMBS; i++) {
            uint64_t part = rest << 32 | limbs[i];
            limbs[i] = (uint32_t)(part / CHUNK_BASE);
            rest = part % CHUNK_BASE;
        }
        uint32_t chunk = (uint32_t)rest;
        size_t stop = at > CHUNK_DIGITS ? at - CHUNK_DIGITS : 0;
        while (at > stop) {
            digits[--at] = alphabet[chunk % 62];
            chunk /= 62;
        }
    }
    digits[ID_DIGITS] = '\0';
    return prefix_len + ID_DIGITS;
}

/* Reads `len` digits into `chunk`; false when one is none. Without branches on the digits, which
 * are random and would be mispredicted. */
static bool read_chunk(const char *digits, size_t len, uint32_t *chunk)
{
    unsigned char wrong = 0;
    uint32_t number = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)digits[i];
        uint32_t value = (uint32_t)c - '0' - 7 * (c >= 'A') - 6 * (c >= 'a');
        wrong |= (unsigned char)(c ^ (unsigned char)alphabet[value & 63]);
        wrong |= value >= 62;
        number = number * 62 + (value & 63);
    }
    *chunk = number;
    return wrong == 0;
}

enum status id_parse(struct slice text, const char *prefix, struct id *id)
{
    size_t prefix_len = strlen(prefix);
    if (text.len != prefix_len + ID_DIGITS || memcmp(text.ptr, prefix, prefix_len) != 0)
        return ST_SYNTAX;
    const char *digits = text.ptr + prefix_len;
    uint32_t limbs[LIMBS] = {0};
    size_t len = HEAD_DIGITS;
    for (size_t at = 0; at < ID_DIGITS; at += len, len = CHUNK_DIGITS) {
        uint32_t chunk;
        if (!read_chunk(digits + at, len, &chunk))
            return ST_SYNTAX;
        uint64_t carry = chunk;
        for (size_t i = LIMBS; i-- > 0;) {
            carry += (uint64_t)limbs[i] * CHUNK_BASE;
            limbs[i] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry != 0)
            return ST_SYNTAX; /* 62^27 is more than 2^160 */
    }
    for (size_t i = 0; i < LIMBS; i++)
        limbs[i] = htobe32(limbs[i]);
    memcpy(id->bytes, limbs, sizeof(limbs));
    return ST_OK;
}

bool id_eq(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
