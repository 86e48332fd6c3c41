/* id.c - ids that sort by time.
 *
 * The digits are worked on ten at a time, because 62^10 just fits 64 bits: 160 bits are three
 * chunks, of 7, 10 and 10 digits, and three divisions of 128 by 64 bits separate them. Dividing the
 * whole number by 62 for each digit would take some 120 divisions of 32-bit limbs, by 62^5 20.
 * Writing takes about 65 ns, reading 50, making a new id 60 (of which randomness is most).
 */
#include "base/id.h"

#include <assert.h>
#include <endian.h>

#include "base/rng.h"

enum { TIME_BYTES = 5, CHUNK_DIGITS = 10, HEAD_DIGITS = ID_DIGITS - 2 * CHUNK_DIGITS };

#define EPOCH_S    1400000000u
#define CHUNK_BASE UINT64_C(839299365868340224) /* 62^10 */

typedef unsigned __int128 uint128;

/* Padded to 64, so that six bits of anything are a valid index. */
static const char alphabet[64] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* The 20 bytes as one number. */
struct number {
    uint32_t high;
    uint64_t middle, low;
};

static struct number load(const struct id *id)
{
    struct number n;
    memcpy(&n.high, id->bytes, 4);
    memcpy(&n.middle, id->bytes + 4, 8);
    memcpy(&n.low, id->bytes + 12, 8);
    return (struct number){be32toh(n.high), be64toh(n.middle), be64toh(n.low)};
}

static void store(struct id *id, struct number n)
{
    n = (struct number){htobe32(n.high), htobe64(n.middle), htobe64(n.low)};
    memcpy(id->bytes, &n.high, 4);
    memcpy(id->bytes + 4, &n.middle, 8);
    memcpy(id->bytes + 12, &n.low, 8);
}

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

/* Writes the number as `len` digits. */
static void put_chunk(char *digits, size_t len, uint64_t number)
{
    while (len > 0) {
        digits[--len] = alphabet[number % 62];
        number /= 62;
    }
}

size_t id_format(char out[ID_TEXT_MAX], const char *prefix, const struct id *id)
{
    size_t prefix_len = strlen(prefix);
    assert(prefix_len + ID_DIGITS < ID_TEXT_MAX);
    memcpy(out, prefix, prefix_len);
    char *digits = out + prefix_len;

    struct number number = load(id);
    uint128 rest = (uint128)number.high << 64 | number.middle;
    uint128 quotient_high = rest / CHUNK_BASE; /* 37 bits */
    rest = (rest - quotient_high * CHUNK_BASE) << 64 | number.low;
    uint64_t quotient_low = (uint64_t)(rest / CHUNK_BASE);
    uint64_t tail = (uint64_t)(rest - (uint128)quotient_low * CHUNK_BASE);
    rest = quotient_high << 64 | quotient_low;
    uint64_t head = (uint64_t)(rest / CHUNK_BASE);
    uint64_t body = (uint64_t)(rest - (uint128)head * CHUNK_BASE);

    put_chunk(digits, HEAD_DIGITS, head);
    put_chunk(digits + HEAD_DIGITS, CHUNK_DIGITS, body);
    put_chunk(digits + HEAD_DIGITS + CHUNK_DIGITS, CHUNK_DIGITS, tail);
    digits[ID_DIGITS] = '\0';
    return prefix_len + ID_DIGITS;
}

/* Reads `len` digits; false when one is none. Without branches on the digits, which are random and
 * would be mispredicted: what each byte would count as a digit is looked up, and must be that byte.
 */
static bool read_chunk(const char *digits, size_t len, uint64_t *number)
{
    unsigned wrong = 0;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)digits[i];
        unsigned digit = ((unsigned)c - '0' - 7 * (c >= 'A') - 6 * (c >= 'a')) & 63;
        wrong |= c ^ (unsigned char)alphabet[digit];
        value = value * 62 + digit;
    }
    *number = value;
    return wrong == 0;
}

enum status id_parse(struct slice text, const char *prefix, struct id *id)
{
    size_t prefix_len = strlen(prefix);
    if (text.len != prefix_len + ID_DIGITS || memcmp(text.ptr, prefix, prefix_len) != 0)
        return ST_SYNTAX;
    const char *digits = text.ptr + prefix_len;
    uint64_t head, body, tail;
    if (!read_chunk(digits, HEAD_DIGITS, &head) ||
        !read_chunk(digits + HEAD_DIGITS, CHUNK_DIGITS, &body) ||
        !read_chunk(digits + HEAD_DIGITS + CHUNK_DIGITS, CHUNK_DIGITS, &tail))
        return ST_SYNTAX;
    uint128 upper = (uint128)head * CHUNK_BASE + body; /* 102 bits */
    uint128 low = (uint128)(uint64_t)upper * CHUNK_BASE + tail;
    uint128 high = (upper >> 64) * CHUNK_BASE + (uint64_t)(low >> 64);
    if (high >> 96 != 0)
        return ST_SYNTAX; /* 62^27 is more than 2^160 */
    store(id, (struct number){(uint32_t)(high >> 64), (uint64_t)high, (uint64_t)low});
    return ST_OK;
}

bool id_eq(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
