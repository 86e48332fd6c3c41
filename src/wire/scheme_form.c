/* scheme_form.c - what URL-bound and hash-bound signatures need of a body: the sorted form, CRC-32.
 *
 * The form is decoded into one piece of memory, and its pairs are sorted as slices of that. Bytes
 * are compared, as the senders' libraries do for everything that occurs in practice.
 */
#include <stdlib.h>

#include "wire/scheme_part.h"

struct pair {
    struct slice name;
    struct slice value;
};

/* ---- The form -------------------------------------------------------------------------------- */

static int pair_compare(const void *a, const void *b)
{
    const struct pair *left = a, *right = b;
    int order = slice_compare(left->name, right->name);
    return order ? order : slice_compare(left->value, right->value);
}

/* Decodes one piece onto the end of `text`, which has room and so does not move. */
static bool piece_decode(struct slice piece, struct buf *text, struct slice *decoded)
{
    size_t at = text->len;
    bool good = received_form_decode(piece, text);
    *decoded = slice_from(buf_slice(text), at);
    return good;
}

/* False: badly encoded, or too many. */
static bool pairs_split(struct slice form, struct buf *text, struct pair *pairs, size_t *count)
{
    while (form.len > 0) {
        const char *end = memchr(form.ptr, '&', form.len);
        struct slice piece = slice_of(form.ptr, end ? (size_t)(end - form.ptr) : form.len);
        form = slice_from(form, piece.len + 1);
        if (piece.len == 0)
            continue;
        const char *equals = memchr(piece.ptr, '=', piece.len);
        size_t name_len = equals ? (size_t)(equals - piece.ptr) : piece.len;
        if (*count == PART_FORM_MAX ||
            !piece_decode(slice_of(piece.ptr, name_len), text, &pairs[*count].name) ||
            !piece_decode(slice_from(piece, name_len + 1), text, &pairs[*count].value))
            return false;
        ++*count;
    }
    return true;
}

bool form_sorted(struct slice form, struct buf *buf)
{
    struct buf text;
    size_t count = 0;
    struct pair *pairs = malloc(PART_FORM_MAX * sizeof(*pairs));
    buf_init(&text, form.len + 1);
    bool good = pairs && buf_reserve(&text, form.len) && pairs_split(form, &text, pairs, &count);
    if (!pairs)
        buf->error = ST_NOMEM;
    if (good && count > 0)
        qsort(pairs, count, sizeof(*pairs), pair_compare);
    for (size_t i = 0; good && i < count; i++) {
        if (i > 0 && pair_compare(&pairs[i], &pairs[i - 1]) == 0)
            continue;
        buf_add_slice(buf, pairs[i].name);
        buf_add_slice(buf, pairs[i].value);
    }
    buf_free(&text);
    free(pairs);
    return good;
}

/* ---- CRC-32 ---------------------------------------------------------------------------------- */

uint32_t crc32_of(struct slice bytes)
{
    /* Four bits at a time, least significant first; the polynomial is 0x04c11db7 reversed. */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint8_t)bytes.ptr[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}
