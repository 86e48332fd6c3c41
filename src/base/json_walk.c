/* json_walk.c - the steps, and strings that are compared while they are unescaped.
 *
 * Because the text is known to be good, passing over a value needs no grammar: brackets are
 * counted, strings are jumped over, and there is no recursion. Every loop ends at the end of the
 * text all the same.
 */
#include "base/json_walk.h"

#include "base/utf8.h"

/* ---- Steps ---------------------------------------------------------------------------------- */

static void skip_blanks(struct json_walk *walk)
{
    while (walk->at < walk->end &&
           (*walk->at == ' ' || *walk->at == '\n' || *walk->at == '\r' || *walk->at == '\t'))
        walk->at++;
}

struct json_walk json_walk_begin(struct slice text)
{
    struct json_walk walk = {text.ptr, text.ptr + text.len};
    skip_blanks(&walk);
    return walk;
}

enum json_type json_walk_type(const struct json_walk *walk)
{
    return json_type_of(walk->at < walk->end ? *walk->at : 'n');
}

/* Behind the string that begins at the quote `at`. A quote ends it when the number of backslashes
 * right before it is even. */
static const char *string_end(const char *at, const char *end)
{
    const char *quote = at;
    for (;;) {
        quote++;
        quote = memchr(quote, '"', (size_t)(end - quote));
        if (!quote)
            return end;
        const char *before = quote;
        while (before[-1] == '\\') /* stops at the opening quote */
            before--;
        if ((quote - before) % 2 == 0)
            return quote + 1;
    }
}

struct slice json_walk_scalar(struct json_walk *walk)
{
    const char *begin = walk->at;
    if (begin < walk->end && *begin == '"') {
        walk->at = string_end(begin, walk->end);
        return slice_of(begin, (size_t)(walk->at - begin));
    }
    while (walk->at < walk->end && !strchr(",]} \n\r\t", *walk->at))
        walk->at++;
    return slice_of(begin, (size_t)(walk->at - begin));
}

void json_walk_enter(struct json_walk *walk)
{
    walk->at++;
    skip_blanks(walk);
}

bool json_walk_more(struct json_walk *walk)
{
    skip_blanks(walk);
    if (walk->at == walk->end)
        return false;
    char c = *walk->at;
    if (c == '}' || c == ']') {
        walk->at++;
        return false;
    }
    if (c == ',') {
        walk->at++;
        skip_blanks(walk);
    }
    return true;
}

struct slice json_walk_name(struct json_walk *walk)
{
    struct slice name = json_walk_scalar(walk);
    skip_blanks(walk);
    walk->at += walk->at < walk->end; /* the colon */
    skip_blanks(walk);
    return name;
}

void json_walk_leave(struct json_walk *walk)
{
    size_t depth = 1;
    while (depth > 0 && walk->at < walk->end) {
        switch (*walk->at) {
        case '"':
            walk->at = string_end(walk->at, walk->end);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            depth--;
            break;
        default:
            break;
        }
        walk->at++;
    }
}

void json_walk_skip(struct json_walk *walk)
{
    enum json_type type = json_walk_type(walk);
    if (type == JSON_OBJECT || type == JSON_ARRAY) {
        walk->at++;
        json_walk_leave(walk);
    } else {
        json_walk_scalar(walk);
    }
}

/* ---- Strings -------------------------------------------------------------------------------- */

static struct slice inside(struct slice quoted)
{
    return slice_of(quoted.ptr + 1, quoted.len - 2);
}

/* Takes the next character off the inside of a string, as UTF-8. */
static struct slice take_character(struct slice *left, char bytes[4])
{
    const char *at = left->ptr, *end = at + left->len;
    size_t len = utf8_put(bytes, json_next_point(&at, end));
    *left = slice_of(at, (size_t)(end - at));
    return slice_of(bytes, len);
}

int json_text_compare(struct slice quoted, struct slice text)
{
    struct slice left = inside(quoted);
    if (json_string_is_plain(quoted))
        return slice_compare(left, text);
    while (left.len > 0) {
        char bytes[4];
        struct slice next = take_character(&left, bytes);
        if (!slice_starts(text, next))
            return slice_compare(next, text);
        text = slice_from(text, next.len);
    }
    return text.len > 0 ? -1 : 0;
}

bool json_text_eq(struct slice quoted, struct slice text)
{
    if (quoted.len - 2 < text.len)
        return false; /* escapes only make it longer */
    return json_text_compare(quoted, text) == 0;
}

bool json_text_starts(struct slice quoted, struct slice prefix)
{
    struct slice left = inside(quoted);
    if (left.len < prefix.len)
        return false;
    if (json_string_is_plain(quoted))
        return slice_starts(left, prefix);
    while (left.len > 0 && prefix.len > 0) {
        char bytes[4];
        struct slice next = take_character(&left, bytes);
        if (!slice_starts(prefix, next))
            return false;
        prefix = slice_from(prefix, next.len);
    }
    return prefix.len == 0;
}

/* The first pass measures the text, the second compares its end. Where the suffix would begin in
 * the middle of a character it is none, and the second pass finds that. */
bool json_text_ends(struct slice quoted, struct slice suffix)
{
    struct slice left = inside(quoted);
    if (left.len < suffix.len)
        return false;
    if (json_string_is_plain(quoted))
        return slice_ends(left, suffix);
    char bytes[4];
    size_t len = 0;
    for (struct slice rest = left; rest.len > 0;)
        len += take_character(&rest, bytes).len;
    if (len < suffix.len)
        return false;
    for (size_t before = len - suffix.len; before > 0;) {
        size_t step = take_character(&left, bytes).len;
        before -= step < before ? step : before;
    }
    while (left.len > 0) {
        struct slice next = take_character(&left, bytes);
        if (!slice_starts(suffix, next))
            return false;
        suffix = slice_from(suffix, next.len);
    }
    return suffix.len == 0;
}
