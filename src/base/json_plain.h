/* json_plain.h - how far text goes that stands in a JSON string as it is: sixteen bytes at a time
 * (SSE2, which every x86-64 has), one at a time elsewhere. For json_scan,
 * which reads it, and json_out, which writes it.
 */
#ifndef TROTLINE_BASE_JSON_PLAIN_H
#define TROTLINE_BASE_JSON_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(JSON_SCAN_PORTABLE)
#define JSON_HAVE_SSE2 1
#include <emmintrin.h>
#else
#define JSON_HAVE_SSE2 0
#endif

/* ASCII, and neither a quote, a backslash, nor a control character. */
static inline bool json_is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

#if JSON_HAVE_SSE2
/* A bit for each of sixteen bytes: set where it is not plain. */
static inline unsigned json_special_bytes(const char *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    /* As signed numbers, bytes from 0x80 on are below 0x20 too. */
    __m128i special = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(special);
}
#endif

/* The first byte from `at` on that is not plain, or `end`. */
static inline const char *json_skip_plain(const char *at, const char *end)
{
#if JSON_HAVE_SSE2
    for (; end - at >= 16; at += 16) {
        unsigned special = json_special_bytes(at);
        if (special != 0)
            return at + __builtin_ctz(special);
    }
#endif
    while (at < end && json_is_plain(*at))
        at++;
    return at;
}

/* Are all eight bytes plain? In each byte the highest bit of one of the four terms is set when it
 * is not: beyond ASCII; below 0x20; when it is a quote; a backslash. A borrow goes up only from a
 * byte that is not plain itself, so no word is taken for plain that is not, nor the other way. */
static inline bool json_plain_word(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    uint64_t quote = (word ^ ones * '"') - ones, backslash = (word ^ ones * '\\') - ones;
    return ((word | (word - ones * 0x20) | quote | backslash) & ones * 0x80) == 0;
}

/* Is all of it plain? Knows that most strings are, and are short. */
static inline bool json_all_plain(const char *at, const char *end)
{
#if JSON_HAVE_SSE2
    for (; end - at >= 16; at += 16)
        if (json_special_bytes(at) != 0)
            return false;
#endif
    for (; end - at >= 8; at += 8)
        if (!json_plain_word(at))
            return false;
    while (at < end && json_is_plain(*at))
        at++;
    return at == end;
}

#endif
