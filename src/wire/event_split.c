/* event_split.c - where events end in a body that comes in pieces.
 *
 *             between()                    inside()
 *      what stands before an item   ->   the item's bytes   ->   between() ...
 *
 * An item is kept until it is whole, and `looked` remembers how far it was looked at. One that can
 * no longer be short enough is used up as it comes (`passed`), and said to be LONG at its end.
 *
 * JSON: only brackets and quotes matter for the end. Whether they match each other in kind, and all
 * the rest of the grammar, is the reader's to say: then `[{"a":]}` is a bad item and not an end of
 * everything. Quotes and brackets are looked for sixteen bytes at a time (SSE2), as json_scan does.
 * Rejected: to let json_scan stop and go on, which would cost every other JSON text.
 *
 * msgpack: lengths stand in front, so it is hops: `pending` counts values that are to come, which
 * needs no stack, for who contains whom does not matter. A length beyond the input is hopped over
 * by `looked`, which then points to where the input has not come yet.
 */
#include "wire/event_split.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { BEGIN, FIRST, AFTER, NEXT, TAIL };

enum inside { INSIDE_MORE, INSIDE_DONE, INSIDE_BROKEN };

void event_split_init(struct event_split *split, enum event_split_form form, size_t item_bytes_max)
{
    *split = (struct event_split){.form = form, .item_bytes_max = item_bytes_max, .state = BEGIN};
}

static enum event_split_got broken(struct event_split *split, uint64_t at, const char *reason)
{
    split->broken_at = split->offset + at;
    split->reason = reason;
    return EVENT_SPLIT_BROKEN;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static enum event_split_got between_lines(struct slice input, bool last, size_t *used)
{
    while (*used < input.len && is_blank(input.ptr[*used]))
        ++*used;
    if (*used < input.len)
        return EVENT_SPLIT_ITEM;
    return last ? EVENT_SPLIT_END : EVENT_SPLIT_MORE;
}

static enum inside inside_line(struct event_split *split, struct slice item, bool last)
{
    size_t looked = (size_t)split->looked;
    const char *end = looked < item.len ? memchr(item.ptr + looked, '\n', item.len - looked) : NULL;
    split->looked = end ? (size_t)(end - item.ptr) : item.len;
    return end || last ? INSIDE_DONE : INSIDE_MORE;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static enum event_split_got between_json(struct event_split *split, struct slice input, bool last,
                                         size_t *used)
{
    for (; *used < input.len; ++*used) {
        char c = input.ptr[*used];
        if (is_blank(c))
            continue;
        if (split->state == BEGIN) {
            if (c != '[')
                return broken(split, *used, "not an array");
            split->state = FIRST;
        } else if (split->state == TAIL) {
            return broken(split, *used, "something follows the array");
        } else if (split->state == AFTER && c == ',') {
            split->state = NEXT;
        } else if ((split->state == AFTER || split->state == FIRST) && c == ']') {
            split->state = TAIL;
        } else if (split->state == AFTER) {
            return broken(split, *used, "a comma or a closing bracket is missing");
        } else if (c == ',' || c == ']') {
            return broken(split, *used, "no value");
        } else {
            split->state = AFTER;
            return EVENT_SPLIT_ITEM;
        }
    }
    if (!last)
        return EVENT_SPLIT_MORE;
    return split->state == TAIL ? EVENT_SPLIT_END : broken(split, *used, "the text ends too early");
}

/* The first byte from `at` on that matters: in a string quote and backslash, else quote, brackets
 * and braces. */
static size_t find_mark(struct slice text, size_t at, bool in_string)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i open = _mm_set1_epi8('{'), close = _mm_set1_epi8('}');
    const __m128i to_brace = _mm_set1_epi8('{' - '['); /* and ']' becomes '}' */
    for (; text.len - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text.ptr + at));
        __m128i marks = _mm_cmpeq_epi8(bytes, quote);
        if (in_string) {
            marks = _mm_or_si128(marks, _mm_cmpeq_epi8(bytes, backslash));
        } else {
            bytes = _mm_or_si128(bytes, to_brace);
            marks = _mm_or_si128(marks, _mm_cmpeq_epi8(bytes, open));
            marks = _mm_or_si128(marks, _mm_cmpeq_epi8(bytes, close));
        }
        unsigned mask = (unsigned)_mm_movemask_epi8(marks);
        if (mask != 0)
            return at + (size_t)__builtin_ctz(mask);
    }
#endif
    for (; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '"' || (in_string ? c == '\\' : c == '{' || c == '}' || c == '[' || c == ']'))
            break;
    }
    return at;
}

/* An object, an array or a string. */
static enum inside inside_marks(struct event_split *split, struct slice item)
{
    size_t at = (size_t)split->looked;
    while ((at = find_mark(item, at, split->in_string)) < item.len) {
        char c = item.ptr[at];
        if (c == '\\') {
            if (item.len - at < 2)
                break; /* what it escapes has not come */
            at += 2;
            continue;
        }
        at++;
        if (c == '"')
            split->in_string = !split->in_string;
        else if (c == '{' || c == '[')
            split->depth++;
        else
            split->depth--;
        if (!split->in_string && split->depth == 0) {
            split->looked = at;
            return INSIDE_DONE;
        }
    }
    split->looked = at;
    return INSIDE_MORE;
}

/* A number or a word, or no value at all: its end is where it cannot go on. */
static enum inside inside_word(struct event_split *split, struct slice item)
{
    size_t at = (size_t)split->looked;
    while (at < item.len && !is_blank(item.ptr[at]) && item.ptr[at] != ',' && item.ptr[at] != ']')
        at++;
    split->looked = at;
    return at < item.len ? INSIDE_DONE : INSIDE_MORE;
}

static enum inside inside_json(struct event_split *split, struct slice item)
{
    bool marks = split->depth > 0 || split->in_string;
    if (split->looked == 0 && split->passed == 0 && item.len > 0)
        marks = item.ptr[0] == '{' || item.ptr[0] == '[' || item.ptr[0] == '"';
    return marks ? inside_marks(split, item) : inside_word(split, item);
}

/* ---- msgpack --------------------------------------------------------------------------------- */

struct shape {
    uint8_t length_bytes; /* of the length that stands behind the first byte */
    uint8_t fixed;        /* bytes behind that in any case */
    uint8_t per_length;   /* values for each of the length; 0: it is of bytes */
};

/* From 0xc0 to 0xdf. */
static const struct shape shapes[32] = {
    {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0},             /* nil, none, false, true */
    {1, 0, 0}, {2, 0, 0}, {4, 0, 0},                        /* bin */
    {1, 1, 0}, {2, 1, 0}, {4, 1, 0},                        /* ext */
    {0, 4, 0}, {0, 8, 0},                                   /* float */
    {0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0},             /* uint */
    {0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0},             /* int */
    {0, 2, 0}, {0, 3, 0}, {0, 5, 0}, {0, 9, 0}, {0, 17, 0}, /* fixext */
    {1, 0, 0}, {2, 0, 0}, {4, 0, 0},                        /* str */
    {2, 0, 1}, {4, 0, 1},                                   /* array */
    {2, 0, 2}, {4, 0, 2},                                   /* map */
};

static uint64_t big_endian(const char *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | (unsigned char)at[i];
    return value;
}

/* At `at` begins a value: *bytes are its own, and *values are in it. */
static enum inside hop(struct slice input, size_t at, uint64_t *bytes, uint64_t *values)
{
    unsigned char first = (unsigned char)input.ptr[at];
    *bytes = 1;
    *values = 0;
    if (first < 0x80 || first >= 0xe0)
        return INSIDE_DONE;
    if (first < 0xc0) {
        *values = first < 0x90 ? (first & 15u) * 2u : first < 0xa0 ? first & 15u : 0;
        *bytes += first < 0xa0 ? 0 : first & 31u;
        return INSIDE_DONE;
    }
    if (first == 0xc1)
        return INSIDE_BROKEN;
    const struct shape *shape = &shapes[first - 0xc0];
    if (input.len - at - 1 < shape->length_bytes)
        return INSIDE_MORE;
    uint64_t length = big_endian(input.ptr + at + 1, shape->length_bytes);
    *bytes += shape->length_bytes + shape->fixed + (shape->per_length == 0 ? length : 0);
    *values = length * shape->per_length;
    return INSIDE_DONE;
}

static enum event_split_got between_msgpack(struct event_split *split, struct slice input,
                                            bool last, size_t *used)
{
    if (split->state == BEGIN && input.len > 0) {
        uint64_t bytes;
        unsigned char first = (unsigned char)input.ptr[0];
        if ((first & 0xf0) != 0x90 && first != 0xdc && first != 0xdd)
            return broken(split, 0, "not an array");
        if (hop(input, 0, &bytes, &split->left) == INSIDE_DONE) {
            split->state = NEXT;
            *used = (size_t)bytes;
        }
    }
    bool begun = split->state == NEXT;
    if (begun && split->left > 0 && *used < input.len) {
        split->left--;
        split->pending = 1;
        return EVENT_SPLIT_ITEM;
    }
    if (begun && split->left == 0 && *used < input.len)
        return broken(split, *used, "something follows the array");
    if (!last)
        return EVENT_SPLIT_MORE;
    return begun && split->left == 0 ? EVENT_SPLIT_END
                                     : broken(split, input.len, "the body ends too early");
}

static enum inside inside_msgpack(struct event_split *split, struct slice item)
{
    while (split->pending > 0 && split->looked < item.len) {
        uint64_t bytes, values;
        enum inside inside = hop(item, (size_t)split->looked, &bytes, &values);
        if (inside != INSIDE_DONE)
            return inside;
        split->looked += bytes;
        split->pending += values - 1;
    }
    return split->pending == 0 && split->looked <= item.len ? INSIDE_DONE : INSIDE_MORE;
}

/* ---- Both ------------------------------------------------------------------------------------ */

static enum event_split_got between(struct event_split *split, struct slice input, bool last,
                                    size_t *used)
{
    switch (split->form) {
    case EVENT_SPLIT_LINES:
        return between_lines(input, last, used);
    case EVENT_SPLIT_JSON:
        return between_json(split, input, last, used);
    case EVENT_SPLIT_MSGPACK:
        break;
    }
    return between_msgpack(split, input, last, used);
}

static enum inside inside(struct event_split *split, struct slice item, bool last)
{
    switch (split->form) {
    case EVENT_SPLIT_LINES:
        return inside_line(split, item, last);
    case EVENT_SPLIT_JSON:
        return inside_json(split, item);
    case EVENT_SPLIT_MSGPACK:
        break;
    }
    return inside_msgpack(split, item);
}

/* The item's end is not here. Returns how many of its bytes are done with all the same: those of an
 * item that is too long already. */
static size_t pass_over(struct event_split *split, struct slice item)
{
    if (split->passed + item.len <= split->item_bytes_max)
        return 0;
    size_t len = split->looked < item.len ? (size_t)split->looked : item.len;
    split->passed += len;
    split->looked -= len;
    return len;
}

static enum event_split_got finish(struct event_split *split, struct slice input,
                                   struct slice *item)
{
    size_t len = (size_t)split->looked;
    bool is_long = split->passed + len > split->item_bytes_max;
    split->inside = false;
    while (split->form == EVENT_SPLIT_LINES && len > 0 && is_blank(input.ptr[len - 1]))
        len--;
    *item = slice_of(input.ptr, len);
    return is_long ? EVENT_SPLIT_LONG : EVENT_SPLIT_ITEM;
}

enum event_split_got event_split_next(struct event_split *split, struct slice input, bool last,
                                      struct slice *item, size_t *used)
{
    enum event_split_got got = EVENT_SPLIT_MORE;
    *used = 0;
    if (!split->inside) {
        got = between(split, input, last, used);
        if (got == EVENT_SPLIT_ITEM) {
            split->inside = true;
            split->looked = split->passed = split->depth = 0;
            split->in_string = false;
        }
    }
    if (split->inside) {
        struct slice rest = slice_from(input, *used);
        enum inside found = inside(split, rest, last);
        if (found == INSIDE_DONE) {
            *used += (size_t)split->looked;
            got = finish(split, rest, item);
        } else if (found == INSIDE_BROKEN) {
            got = broken(split, *used + split->looked, "the byte 0xc1 begins no value");
        } else if (last) {
            got = broken(split, input.len, "the body ends too early");
        } else {
            *used += pass_over(split, rest);
            got = EVENT_SPLIT_MORE;
        }
    }
    split->offset += *used;
    return got;
}
