/* ascii.h - classes of ASCII characters, whatever the locale: for the syntax of protocols. */
#ifndef TROTLINE_BASE_ASCII_H
#define TROTLINE_BASE_ASCII_H

#include <stdbool.h>
#include <stdint.h>

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_alnum(char c)
{
    return ascii_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* 0 to 15; negative when it is no hexadecimal digit. */
static inline int ascii_hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The value of four hexadecimal digits; 0x10000 when there are none before `end`. */
static inline uint32_t ascii_hex4(const char *at, const char *end)
{
    uint32_t value = 0;
    if (end - at < 4)
        return 0x10000;
    for (int i = 0; i < 4; i++) {
        int digit = ascii_hex_value(at[i]);
        if (digit < 0)
            return 0x10000;
        value = value << 4 | (uint32_t)digit;
    }
    return value;
}

/* Whether any of eight bytes is a control byte (HTAB, too): the classical tests for a byte below
 * 0x20, and for 0x7f. */
static inline bool ascii_word_has_control(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t del = word ^ (ones * 0x7f);
    uint64_t low = (word - ones * 0x20) & ~word;
    return ((low | ((del - ones) & ~del)) & (ones * 0x80)) != 0;
}

#endif
