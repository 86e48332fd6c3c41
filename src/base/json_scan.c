/* json_scan.c - one pass over JSON text.
 *
 * A function a production of the grammar; each gets the place where its production begins and
 * returns the place behind it, or NULL after fail(). A text need not end in NUL: `peek` answers NUL
 * at the end, which no production accepts.
 *
 * Containers do not call each other: one loop goes through a value with all that is in it, and what
 * it must remember of the containers that are open around it is a bit each, in one word. It takes
 * half of the instructions that functions for objects and arrays took.
 *
 * Most bytes of an event are inside strings: these are passed sixteen at a time while there is
 * nothing to look at (SSE2, which every x86-64 has), one at a time elsewhere; the tests and the
 * fuzz target run both. Most strings are short and plain, so the first look at one is inlined, and
 * what comes after it is not. What is asked of the outermost members and items only (their kind,
 * whether a name has escapes) is found out for these alone, by json_members() and json_items(). A
 * library that builds a tree (jansson: 140 us for 3 KB) or an index (simdjson, which is C++ too)
 * does what nobody here needs.
 */
#include "base/json_scan.h"

#include <assert.h>

#include "base/ascii.h"
#include "base/json_plain.h"
#include "base/limits.h"
#include "base/utf8.h"

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

#define TOO_DEEP "nested deeper than " TEXT_OF(LIMIT_JSON_DEPTH) " levels"

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

/* What a byte may be. */
enum {
    ESCAPE = 1, /* behind a backslash, and that is all */
    BLANK = 2,
    DIGIT = 4
};
static const unsigned char classes[256] = {
    ['\t'] = BLANK, ['\n'] = BLANK,  ['\r'] = BLANK,        [' '] = BLANK,  ['"'] = ESCAPE,
    ['/'] = ESCAPE, ['\\'] = ESCAPE, ['b'] = ESCAPE,        ['f'] = ESCAPE, ['n'] = ESCAPE,
    ['r'] = ESCAPE, ['t'] = ESCAPE,  ['0' ... '9'] = DIGIT,
};

static inline bool is(char c, unsigned char class)
{
    return (classes[(unsigned char)c] & class) != 0;
}

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

/* Passes over blanks; the byte at which *at then is, or NUL at the end. */
static inline char next(const struct scan *scan, const char **at)
{
    for (; *at < scan->end; ++*at) {
        char c = **at;
        if ((unsigned char)c > ' ' || !is(c, BLANK))
            return c;
    }
    return '\0';
}

/* ---- Strings --------------------------------------------------------------------------------- */

/* At the backslash. */
static const char *scan_escape(struct scan *scan, const char *at)
{
    char kind = peek(scan, at + 1);
    if (is(kind, ESCAPE))
        return at + 2;
    if (kind != 'u')
        return fail_syntax(scan, at + 1, "no such escape");
    uint32_t unit = ascii_hex4(at + 2, scan->end);
    if (unit > 0xffff)
        return fail(scan, at, ST_SYNTAX, "\\u needs four hexadecimal digits");
    if (unit < 0xd800 || unit > 0xdfff)
        return at + 6;
    if (unit > 0xdbff || peek(scan, at + 6) != '\\' || peek(scan, at + 7) != 'u')
        return fail(scan, at, ST_SYNTAX, "half of a surrogate pair");
    uint32_t low = ascii_hex4(at + 8, scan->end);
    if (low < 0xdc00 || low > 0xdfff)
        return fail(scan, at, ST_SYNTAX, "half of a surrogate pair");
    return at + 12;
}

/* At the first character beyond ASCII; such seldom come alone. */
static inline const char *scan_beyond_ascii(struct scan *scan, const char *at)
{
    do {
        size_t len = utf8_length(at, scan->end);
        if (len == 0)
            return fail(scan, at, ST_SYNTAX, "not UTF-8");
        at += len;
    } while ((unsigned char)peek(scan, at) >= 0x80);
    return at;
}

/* Anywhere inside. */
static __attribute__((noinline)) const char *scan_string_on(struct scan *scan, const char *at)
{
    while (at) {
        at = json_skip_plain(at, scan->end);
        char c = peek(scan, at);
        if (c == '"')
            return at + 1;
        if (c == '\\')
            at = scan_escape(scan, at);
        else if ((unsigned char)c >= 0x80)
            at = scan_beyond_ascii(scan, at);
        else
            at = fail_syntax(scan, at, "control character in a string");
    }
    return NULL;
}

/* At the opening quote. */
static inline const char *scan_string(struct scan *scan, const char *at)
{
    at++;
#if JSON_HAVE_SSE2
    unsigned special = scan->end - at >= 16 ? json_special_bytes(at) : 0;
    if (special != 0) {
        at += __builtin_ctz(special);
        if (*at == '"')
            return at + 1;
    }
#endif
    return scan_string_on(scan, at);
}

/* ---- Other values ---------------------------------------------------------------------------- */

static inline const char *skip_digits(struct scan *scan, const char *at)
{
    if (!is(peek(scan, at), DIGIT))
        return fail_syntax(scan, at, "a digit is missing");
    while (at < scan->end && is(*at, DIGIT))
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

/* All but strings, objects and arrays. */
static const char *scan_other(struct scan *scan, const char *at)
{
    char c = peek(scan, at);
    if (c == '-' || is(c, DIGIT))
        return scan_number(scan, at);
    switch (c) {
    case 't':
        return scan_word(scan, at, SLICE("true"));
    case 'f':
        return scan_word(scan, at, SLICE("false"));
    case 'n':
        return scan_word(scan, at, SLICE("null"));
    default:
        return fail_syntax(scan, at, "no value");
    }
}

enum json_type json_type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

/* ---- Containers ------------------------------------------------------------------------------ */

static inline char closing(bool object)
{
    return object ? '}' : ']';
}

/* A name in quotes; *at is where it begins, behind blanks. */
static inline const char *scan_name(struct scan *scan, const char **at)
{
    if (next(scan, at) != '"')
        return fail_syntax(scan, *at, "a name in quotes is missing");
    return scan_string(scan, *at);
}

static inline const char *scan_colon(struct scan *scan, const char *at)
{
    return next(scan, &at) == ':' ? at + 1 : fail_syntax(scan, at, "a colon is missing");
}

/* What stands in front of a member's value. */
static inline const char *scan_key(struct scan *scan, const char *at)
{
    at = scan_name(scan, &at);
    return at ? scan_colon(scan, at) : NULL;
}

/* Behind a part of a container, which is an object or an array: true when there is a comma, and
 * another must follow; else *at is behind the container, or NULL. */
static inline bool another(struct scan *scan, const char **at, bool object)
{
    char c = next(scan, at);
    bool comma = c == ',';
    if (comma || c == closing(object))
        ++*at;
    else
        *at = fail_syntax(scan, *at,
                          object ? "a comma or a closing brace is missing"
                                 : "a comma or a closing bracket is missing");
    return comma;
}

static_assert(LIMIT_JSON_DEPTH <= 64, "a bit for each open container");

/* A value with blanks in front. `depth` is the number of containers that are open around it. */
static const char *scan_value(struct scan *scan, const char *at, unsigned depth)
{
    const unsigned around = depth;
    uint64_t objects = 0; /* of what is open in it, the innermost lowest: is it an object? */
    for (;;) {
        char c = next(scan, &at);
        if (c == '"') {
            at = scan_string(scan, at);
        } else if (c != '{' && c != '[') {
            at = scan_other(scan, at);
        } else if (++depth > LIMIT_JSON_DEPTH) {
            at = fail(scan, at, ST_LIMIT, TOO_DEEP);
        } else {
            objects = objects << 1 | (c == '{');
            at++;
            if (next(scan, &at) != closing(objects & 1)) { /* it has a first part */
                if ((objects & 1) && !(at = scan_key(scan, at)))
                    return NULL;
                continue;
            }
        }
        /* Now a value has ended, or an empty container is about to; and so may those around it. */
        for (; at && depth > around; depth--, objects >>= 1) {
            if (another(scan, &at, objects & 1))
                break;
        }
        if (!at || depth == around)
            return at;
        if ((objects & 1) && !(at = scan_key(scan, at)))
            return NULL;
    }
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
        next(scan, &at);
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
    const char *at = scan_value(&scan, scan.begin, 0);
    return scan_finish(&scan, at, error);
}

/* Passes the opening brace or bracket. */
static const char *scan_open(struct scan *scan, char open, const char *reason)
{
    const char *at = scan->begin;
    if (next(scan, &at) != open)
        return fail_syntax(scan, at, reason);
    at++;
    next(scan, &at);
    return at;
}

/* ---- The parts of objects and arrays --------------------------------------------------------- */

/* A part's value, to which *at is moved from the blanks in front. */
static const char *scan_part(struct scan *scan, const char **at, enum json_type *type)
{
    char first = next(scan, at);
    const char *end = scan_value(scan, *at, 1);
    if (end)
        *type = json_type_of(first);
    return end;
}

/* A name, a colon and the value behind it. */
static const char *scan_member(struct scan *scan, const char *at, struct json_member *member)
{
    const char *name_end = scan_name(scan, &at);
    const char *value = name_end ? scan_colon(scan, name_end) : NULL;
    const char *end = value ? scan_part(scan, &value, &member->type) : NULL;
    if (!end)
        return NULL;
    member->name = slice_of(at + 1, (size_t)(name_end - at) - 2);
    member->name_escaped = !json_string_is_plain(member->name);
    member->value = slice_of(value, (size_t)(end - value));
    return end;
}

/* Reads the next member and makes sure that it has a name of its own. */
static const char *next_member(struct scan *scan, const char *at, struct json_member *members,
                               size_t max, size_t *count)
{
    next(scan, &at);
    if (*count == max)
        return fail(scan, at, ST_LIMIT, "too many members");
    struct json_member *member = &members[*count];
    const char *after = scan_member(scan, at, member);
    if (!after)
        return NULL;
    for (size_t i = 0; i < *count; i++)
        if (json_same_name(&members[i], member))
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
        if (!at || !another(&scan, &at, true))
            break;
    }
    return scan_finish(&scan, at, error);
}

static const char *next_item(struct scan *scan, const char *at, struct json_item *items, size_t max,
                             size_t *count)
{
    next(scan, &at);
    if (*count == max)
        return fail(scan, at, ST_LIMIT, "too many items");
    struct json_item *item = &items[*count];
    const char *after = scan_part(scan, &at, &item->type);
    if (!after)
        return NULL;
    item->value = slice_of(at, (size_t)(after - at));
    ++*count;
    return after;
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
        at = next_item(&scan, at, items, max, count);
        if (!at || !another(&scan, &at, false))
            break;
    }
    return scan_finish(&scan, at, error);
}
