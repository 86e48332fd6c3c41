/* encoding.h - bytes as text: hexadecimal, base64 and base64url (RFC 4648).
 *
 * Decoding is strict: what is accepted is exactly what the encoder writes (for hexadecimal either
 * case), so that one value has one text. A signature that can be spelt in two ways would get past
 * whoever remembers signatures. No function here is constant time.
 */
#ifndef TROTLINE_WIRE_ENCODING_H
#define TROTLINE_WIRE_ENCODING_H

#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* Appends lower-case digits. */
void hex_encode(struct buf *buf, struct slice bytes);

/* Writes the bytes to `out` and their number to *out_len. ST_SYNTAX: an odd number of digits or
 * something else than digits; ST_LIMIT: more than `out_size` bytes. `out` is then undefined. */
MUST_CHECK enum status hex_decode(struct slice text, void *out, size_t out_size, size_t *out_len);

/* Appends the standard alphabet with padding (RFC 4648 section 4). */
void base64_encode(struct buf *buf, struct slice bytes);

/* As hex_decode. ST_SYNTAX also when padding is missing or too long, when the bits behind the last
 * byte are not zero (RFC 4648 section 3.5), and for white space and the URL-safe alphabet. */
MUST_CHECK enum status base64_decode(struct slice text, void *out, size_t out_size,
                                     size_t *out_len);

/* The same with the URL-safe alphabet and without padding (RFC 4648 section 5, as in RFC 7515). */
void base64url_encode(struct buf *buf, struct slice bytes);
MUST_CHECK enum status base64url_decode(struct slice text, void *out, size_t out_size,
                                        size_t *out_len);

#endif
