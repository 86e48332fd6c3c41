/* id.h - ids that sort by time: 20 bytes, written as a prefix and 27 base62 digits.
 *
 *     seconds since 1,400,000,000 | 4 ms units | random (or what the owner of the kind says)
 *     4 bytes, big-endian         | 1 byte     | 15 bytes
 *
 * Digits are 0-9A-Za-z, so that text of one prefix sorts as the bytes do, which sort as time does.
 */
#ifndef TROTLINE_BASE_ID_H
#define TROTLINE_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct id {
    uint8_t bytes[20];
};

#define ID_DIGITS   27
#define ID_TEXT_MAX 34 /* the longest prefix ("atmpt_"), the digits, NUL */

/* A new id of that time: all bytes behind the time are random. */
void id_new(struct id *id, uint64_t wall_ms);

/* Writes the five bytes of time; those behind stay. Times before 2014-05-13 or after 2150 become
 * the nearest that can be written. */
void id_set_time(struct id *id, uint64_t wall_ms);

/* The time in the id, rounded down to 4 ms. */
uint64_t id_time_ms(const struct id *id);

/* Writes `prefix` (such as "msg_", at most 6 characters), the digits and a NUL. Returns the length
 * without the NUL. */
size_t id_format(char out[ID_TEXT_MAX], const char *prefix, const struct id *id);

/* Reads what id_format wrote with the same prefix, and nothing else. ST_SYNTAX for another prefix,
 * length or digit, or a number of more than 20 bytes; then `id` is unchanged. */
MUST_CHECK enum status id_parse(struct slice text, const char *prefix, struct id *id);

bool id_eq(const struct id *a, const struct id *b);

#endif
