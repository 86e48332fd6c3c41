/* json_scan.c - one pass over JSON text.
 *
 * A function a production of the grammar; each gets the place where its production begins and
 * returns the place behind it, or NULL after fail(). The functions for values call each other, at
 * most LIMIT_JSON_DEPTH levels deep. A text need not end in NUL: `peek` answers NUL at the end,
 * which no production accepts.
 *
 * Most bytes of an event are inside strings, so strings are what is fast: sixteen bytes at a time
 * while there is nothing to look at (SSE2, which every x86-64 has), one at a time elsewhere. An
 * event of 1 KiB takes about 0.6 to 1.1 us, one that is all numbers 2 to 2.6 us. A library that
 * builds a tree (jansson: 140 us for 3 KB) or an index (simdjson, which is C++ too) does what
 * nobody here needs.
 */
#include "base/json_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/ascii.h"
#include "base/limits.h"
#include "base/utf8.h"

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

struct scan {
    const char *begin;
    const char *end;
    enum status status;
    struct json_error error;
};

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "object", [JSON_ARRAY] = "array", [JSON_STRING] = "string",
        [JSON_NUMBER] = "number", [JSON_TRUE] = "true",   [JSON_FALSE] = "false",
        [JSON_NULL] = "null",
    };
    return names[type];
}

/* ---- Small things ---------------------------------------------------------------------------- */

static const char *fail(struct scan *scan, const char *at, enum status status, const char *reason)
{
    scan->status = status;
    scan->error = (struct json_error){(size_t)(at - scan->begin), reason};
    return NULL;
}

/* What is wrong is that the text ends here, or else what `reason` says. */
static const char *fail_syntax(struct scan *scan, const char *at, const char *reason)
{
    return fail(scan, at, ST_SYNTAX, at == scan->end ? "the text ends too early" : reason);
}

static inline char peek(const struct scan *scan, const char *at)
{
    return at < scan->end ? *at : '\0';
}

static inline const char *skip_blanks(const struct scan *scan, const char *at)
{
    while (at < scan->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* ---- Strings --------------------------------------------------------------------------------- */

/* The first byte from `at` on that is not plain text: a quote, a backslash, a control character, or
 * the start of a character beyond ASCII. */
static inline const char *skip_plain(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* As signed numbers, bytes from 0x80 on are below 0x20 too. */
        __m128i special = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        int mask = _mm_movemask_epi8(special);
        if (mask != 0)
            return at + __builtin_ctz((unsigned)mask);
    }
#endif
    while (at < end && (signed char)*at >= 0x20 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* The value of the four digits behind "\u"; 0x10000 when they are not that. */
static uint32_t hex4(const char *at, const char *end)
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

/* At the backslash. */
static const char *scan_escape(struct scan *scan, const char *at)
{
    switch (peek(scan, at + 1)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        break;
    default:
        return fail_syntax(scan, at + 1, "no such escape");
    }
    uint32_t unit = hex4(at + 2, scan->end);
    if (unit > 0xffff)
        return fail(scan, at, ST_SYNTAX, "\\u needs four hexadecimal digits");
    if (unit < 0xd800 || unit > 0xdfff)
        return at + 6;
    if (unit > 0xdbff || peek(scan, at + 6) != '\\' || peek(scan, at + 7) != 'u')
        return fail(scan, at, ST_SYNTAX, "half of a surrogate pair");
    uint32_t low = hex4(at + 8, scan->end);
    if (low < 0xdc00 || low > 0xdfff)
        return fail(scan, at, ST_SYNTAX, "half of a surrogate pair");
    return at + 12;
}

/* At the opening quote. */
static inline const char *scan_string(struct scan *scan, const char *at, bool *escaped)
{
    at++;
    for (;;) {
        at = skip_plain(at, scan->end);
        char c = peek(scan, at);
        if (c == '"') {
            return at + 1;
        } else if (c == '\\') {
            *escaped = true;
            at = scan_escape(scan, at);
            if (!at)
                return NULL;
        } else if ((unsigned char)c < 0x80) {
            return fail_syntax(scan, at, "control character in a string");
        } else {
            do { /* such characters seldom come alone */
                size_t len = utf8_length(at, scan->end);
                if (len == 0)
                    return fail(scan, at, ST_SYNTAX, "not UTF-8");
                at += len;
            } while ((unsigned char)peek(scan, at) >= 0x80);
        }
    }
}

/* ---- Other values ---------------------------------------------------------------------------- */

static const char *skip_digits(struct scan *scan, const char *at)
{
    if (!ascii_is_digit(peek(scan, at)))
        return fail_syntax(scan, at, "a digit is missing");
    while (ascii_is_digit(peek(scan, at)))
        at++;
    return at;
}

static const char *scan_number(struct scan *scan, const char *at)
{
    if (*at == '-')
        at++;
    if (peek(scan, at) == '0')
        at++; /* a digit behind it is then no part of the number, and found wrong by the caller */
    else
        at = skip_digits(scan, at);
    if (at && peek(scan, at) == '.')
        at = skip_digits(scan, at + 1);
    if (at && (peek(scan, at) | 0x20) == 'e') {
        at++;
        if (peek(scan, at) == '+' || peek(scan, at) == '-')
            at++;
        at = skip_digits(scan, at);
    }
    return at;
}

static const char *scan_word(struct scan *scan, const char *at, struct slice word)
{
    for (size_t i = 0; i < word.len; i++)
        if (peek(scan, at + i) != word.ptr[i])
            return fail_syntax(scan, at + i, "no value");
    return at + word.len;
}

static const char *scan_object(struct scan *scan, const char *at, unsigned depth);
static const char *scan_array(struct scan *scan, const char *at, unsigned depth);

/* `depth` is the number of containers that are open around it. */
static inline const char *scan_value(struct scan *scan, const char *at, unsigned depth,
                                     enum json_type *type)
{
    switch (peek(scan, at)) {
    case '{':
        *type = JSON_OBJECT;
        return scan_object(scan, at, depth + 1);
    case '[':
        *type = JSON_ARRAY;
        return scan_array(scan, at, depth + 1);
    case '"': {
        bool escaped;
        *type = JSON_STRING;
        return scan_string(scan, at, &escaped);
    }
    case 't':
        *type = JSON_TRUE;
        return scan_word(scan, at, SLICE("true"));
    case 'f':
        *type = JSON_FALSE;
        return scan_word(scan, at, SLICE("false"));
    case 'n':
        *type = JSON_NULL;
        return scan_word(scan, at, SLICE("null"));
    case '-':
    case '0' ... '9':
        *type = JSON_NUMBER;
        return scan_number(scan, at);
    default:
        return fail_syntax(scan, at, "no value");
    }
}

/* A name, a colon and the value behind it. */
static inline const char *scan_member(struct scan *scan, const char *at, unsigned depth,
                                      struct json_member *member)
{
    if (peek(scan, at) != '"')
        return fail_syntax(scan, at, "a name in quotes is missing");
    member->name_escaped = false;
    const char *name = at + 1;
    at = scan_string(scan, at, &member->name_escaped);
    if (!at)
        return NULL;
    member->name = slice_of(name, (size_t)(at - 1 - name));
    at = skip_blanks(scan, at);
    if (peek(scan, at) != ':')
        return fail_syntax(scan, at, "a colon is missing");
    const char *value = skip_blanks(scan, at + 1);
    at = scan_value(scan, value, depth, &member->type);
    if (at)
        member->value = slice_of(value, (size_t)(at - value));
    return at;
}

/* Behind a part of a container: true when another follows, to which *at then points; else *at is
 * behind the container, or NULL. */
static inline bool another(struct scan *scan, const char **at, char close, const char *reason)
{
    const char *p = skip_blanks(scan, *at);
    char c = peek(scan, p);
    if (c == ',') {
        *at = skip_blanks(scan, p + 1);
        return true;
    }
    *at = c == close ? p + 1 : fail_syntax(scan, p, reason);
    return false;
}

#define NO_COMMA_IN_OBJECT "a comma or a closing brace is missing"
#define NO_COMMA_IN_ARRAY  "a comma or a closing bracket is missing"
#define TOO_DEEP           "nested deeper than " TEXT_OF(LIMIT_JSON_DEPTH) " levels"

static const char *scan_object(struct scan *scan, const char *at, unsigned depth)
{
    if (depth > LIMIT_JSON_DEPTH)
        return fail(scan, at, ST_LIMIT, TOO_DEEP);
    at = skip_blanks(scan, at + 1);
    if (peek(scan, at) == '}')
        return at + 1;
    struct json_member member;
    do {
        at = scan_member(scan, at, depth, &member);
        if (!at)
            return NULL;
    } while (another(scan, &at, '}', NO_COMMA_IN_OBJECT));
    return at;
}

static const char *scan_array(struct scan *scan, const char *at, unsigned depth)
{
    if (depth > LIMIT_JSON_DEPTH)
        return fail(scan, at, ST_LIMIT, TOO_DEEP);
    at = skip_blanks(scan, at + 1);
    if (peek(scan, at) == ']')
        return at + 1;
    enum json_type type;
    do {
        at = scan_value(scan, at, depth, &type);
        if (!at)
            return NULL;
    } while (another(scan, &at, ']', NO_COMMA_IN_ARRAY));
    return at;
}

/* ---- Whole texts ----------------------------------------------------------------------------- */

static struct scan scan_begin(struct slice text)
{
    const char *begin = text.ptr ? text.ptr : "";
    return (struct scan){.begin = begin, .end = begin + text.len};
}

/* `at` is behind the value, or NULL when it has failed. */
static enum status scan_finish(struct scan *scan, const char *at, struct json_error *error)
{
    if (at) {
        at = skip_blanks(scan, at);
        if (at == scan->end)
            return ST_OK;
        fail(scan, at, ST_SYNTAX, "something follows the value");
    }
    if (error)
        *error = scan->error;
    return scan->status;
}

enum status json_check(struct slice text, struct json_error *error)
{
    struct scan scan = scan_begin(text);
    enum json_type type;
    const char *at = scan_value(&scan, skip_blanks(&scan, scan.begin), 0, &type);
    return scan_finish(&scan, at, error);
}

/* Passes the opening brace or bracket. */
static const char *scan_open(struct scan *scan, char open, const char *reason)
{
    const char *at = skip_blanks(scan, scan->begin);
    if (peek(scan, at) != open)
        return fail_syntax(scan, at, reason);
    return skip_blanks(scan, at + 1);
}

/* ---- Names: compared and copied without their escapes ---------------------------------------- */

uint32_t json_next_point(const char **at, const char *end)
{
    static const char escapes[] = "b\bf\fn\nr\rt\t";
    static const unsigned char lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const char *p = *at;
    if (*p != '\\') {
        size_t len = utf8_length(p, end);
        uint32_t point = (unsigned char)*p & lead_mask[len];
        for (size_t i = 1; i < len; i++)
            point = point << 6 | ((unsigned char)p[i] & 0x3f);
        *at = p + len;
        return point;
    }
    if (p[1] != 'u') {
        const char *escape = strchr(escapes, p[1]);
        *at = p + 2;
        return (unsigned char)(escape ? escape[1] : p[1]);
    }
    uint32_t unit = hex4(p + 2, end);
    *at = p + 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    *at = p + 12;
    return 0x10000 + ((unit - 0xd800) << 10) + (hex4(p + 8, end) - 0xdc00);
}

static bool same_name(const struct json_member *a, const struct json_member *b)
{
    if (!a->name_escaped && !b->name_escaped)
        return slice_eq(a->name, b->name);
    const char *p = a->name.ptr, *p_end = p + a->name.len;
    const char *q = b->name.ptr, *q_end = q + b->name.len;
    while (p < p_end && q < q_end)
        if (json_next_point(&p, p_end) != json_next_point(&q, q_end))
            return false;
    return p == p_end && q == q_end;
}

static bool has_name(const struct json_member *member, struct slice name)
{
    if (!member->name_escaped)
        return slice_eq(member->name, name);
    const char *at = member->name.ptr, *end = at + member->name.len;
    while (at < end) {
        char bytes[4];
        struct slice next = slice_of(bytes, utf8_put(bytes, json_next_point(&at, end)));
        if (!slice_starts(name, next))
            return false;
        name = slice_from(name, next.len);
    }
    return name.len == 0;
}

const struct json_member *json_find(const struct json_member *members, size_t count,
                                    struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (has_name(&members[i], name))
            return &members[i];
    return NULL;
}

bool json_string_is_plain(struct slice quoted)
{
    return !memchr(quoted.ptr, '\\', quoted.len);
}

enum status json_unescape(struct slice quoted, struct buf *out)
{
    struct scan scan = scan_begin(quoted);
    bool escaped = false;
    if (peek(&scan, scan.begin) != '"' || scan_string(&scan, scan.begin, &escaped) != scan.end)
        return ST_SYNTAX;
    const char *at = scan.begin + 1, *end = scan.end - 1;
    while (at < end) {
        const char *backslash = escaped ? memchr(at, '\\', (size_t)(end - at)) : NULL;
        const char *plain_end = backslash ? backslash : end;
        buf_add(out, at, (size_t)(plain_end - at));
        at = plain_end;
        if (backslash) {
            char bytes[4];
            buf_add(out, bytes, utf8_put(bytes, json_next_point(&at, end)));
        }
    }
    return buf_status(out);
}

/* ---- The parts of objects and arrays --------------------------------------------------------- */

/* Reads the next member and makes sure that it has a name of its own. */
static const char *next_member(struct scan *scan, const char *at, struct json_member *members,
                               size_t max, size_t *count)
{
    if (*count == max)
        return fail(scan, at, ST_LIMIT, "too many members");
    struct json_member *member = &members[*count];
    const char *after = scan_member(scan, at, 1, member);
    if (!after)
        return NULL;
    for (size_t i = 0; i < *count; i++)
        if (same_name(&members[i], member))
            return fail(scan, at, ST_SYNTAX, "duplicate member");
    ++*count;
    return after;
}

enum status json_members(struct slice text, struct json_member *members, size_t max, size_t *count,
                         struct json_error *error)
{
    struct scan scan = scan_begin(text);
    const char *at = scan_open(&scan, '{', "not an object");
    *count = 0;
    if (at && peek(&scan, at) == '}')
        return scan_finish(&scan, at + 1, error);
    while (at) {
        at = next_member(&scan, at, members, max, count);
        if (!at || !another(&scan, &at, '}', NO_COMMA_IN_OBJECT))
            break;
    }
    return scan_finish(&scan, at, error);
}

enum status json_items(struct slice text, struct json_item *items, size_t max, size_t *count,
                       struct json_error *error)
{
    struct scan scan = scan_begin(text);
    const char *at = scan_open(&scan, '[', "not an array");
    *count = 0;
    if (at && peek(&scan, at) == ']')
        return scan_finish(&scan, at + 1, error);
    while (at) {
        if (*count == max) {
            at = fail(&scan, at, ST_LIMIT, "too many items");
            break;
        }
        struct json_item *item = &items[(*count)++];
        const char *value = at;
        at = scan_value(&scan, value, 1, &item->type);
        if (!at)
            break;
        item->value = slice_of(value, (size_t)(at - value));
        if (!another(&scan, &at, ']', NO_COMMA_IN_ARRAY))
            break;
    }
    return scan_finish(&scan, at, error);
}
