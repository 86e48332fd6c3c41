/* received.c - looks into a request from outside: headers, query, JSON paths.
 *
 * Whatever could be read in two ways is not there: a header, a parameter or a member that comes
 * twice. The next program behind us may take the first of them where we would take the last, and
 * then what was verified is not what is used. So each look goes to the end of what it looks
 * through.
 */
#include "wire/received.h"

#include "base/ascii.h"
#include "base/json_walk.h"
#include "base/parse.h"

/* ---- Headers and variables ------------------------------------------------------------------- */

struct slice received_header(const struct received *received, struct slice name)
{
    const struct received_header *found = NULL;
    for (size_t i = 0; i < received->header_count; i++) {
        if (!slice_eq_nocase(received->headers[i].name, name))
            continue;
        if (found)
            return SLICE_NULL;
        found = &received->headers[i];
    }
    return found ? found->value : SLICE_NULL;
}

struct slice received_var(const struct received *received, struct slice name)
{
    for (size_t i = 0; i < received->var_count; i++)
        if (slice_eq(received->vars[i].name, name))
            return received->vars[i].value;
    return SLICE_NULL;
}

/* ---- Query ----------------------------------------------------------------------------------- */

/* Takes one character off a text in form encoding: 0 to 255; negative when it is badly encoded. The
 * text is not empty. */
static int form_next(struct slice *text)
{
    char c = text->ptr[0];
    if (c != '%') {
        *text = slice_from(*text, 1);
        return c == '+' ? ' ' : (unsigned char)c;
    }
    int high = text->len > 2 ? ascii_hex_value(text->ptr[1]) : -1;
    int low = text->len > 2 ? ascii_hex_value(text->ptr[2]) : -1;
    *text = slice_from(*text, 3);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool received_form_decode(struct slice text, struct buf *buf)
{
    char *out = buf_reserve(buf, text.len);
    size_t len = 0;
    if (!out)
        return false;
    while (text.len > 0) {
        int c = form_next(&text);
        if (c < 0)
            return false;
        out[len++] = (char)c;
    }
    buf->len += len;
    return true;
}

static bool form_eq(struct slice encoded, struct slice text)
{
    while (encoded.len > 0 && text.len > 0) {
        if (form_next(&encoded) != (unsigned char)text.ptr[0])
            return false;
        text = slice_from(text, 1);
    }
    return encoded.len == 0 && text.len == 0;
}

bool received_query(struct slice query, struct slice name, struct buf *buf)
{
    struct slice found = SLICE_NULL;
    while (query.len > 0) {
        const char *end = memchr(query.ptr, '&', query.len);
        struct slice pair = slice_of(query.ptr, end ? (size_t)(end - query.ptr) : query.len);
        query = slice_from(query, pair.len + 1);
        const char *equals = pair.len > 0 ? memchr(pair.ptr, '=', pair.len) : NULL;
        size_t name_len = equals ? (size_t)(equals - pair.ptr) : pair.len;
        if (!form_eq(slice_of(pair.ptr, name_len), name))
            continue;
        if (found.ptr)
            return false;
        found = slice_from(pair, name_len + 1);
    }
    return found.ptr && received_form_decode(found, buf);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

bool received_is_json(const struct received *received)
{
    if (received->body_json == RECEIVED_JSON_UNKNOWN)
        return json_check(received->body, NULL) == ST_OK;
    return received->body_json == RECEIVED_JSON_YES;
}

void received_look(struct received *received)
{
    received->body_json = received_is_json(received) ? RECEIVED_JSON_YES : RECEIVED_JSON_NO;
}

/* How many there are of what was looked for: none, one, or more. */
enum found { FOUND_NONE, FOUND_ONE, FOUND_MORE };

/* Steps from an object to the one member of that name. */
static enum found member_find(struct json_walk *walk, struct slice name)
{
    enum found found = FOUND_NONE;
    struct json_walk member = *walk;
    json_walk_enter(walk);
    while (json_walk_more(walk)) {
        if (json_text_eq(json_walk_name(walk), name)) {
            found = found == FOUND_NONE ? FOUND_ONE : FOUND_MORE;
            member = *walk;
        }
        json_walk_skip(walk);
    }
    *walk = member;
    return found;
}

/* Steps from an array to one of its items. */
static enum found item_find(struct json_walk *walk, struct slice place)
{
    uint64_t index;
    if (parse_u64(place, &index) != ST_OK)
        return FOUND_NONE;
    json_walk_enter(walk);
    for (uint64_t i = 0; json_walk_more(walk); i++) {
        if (i == index)
            return FOUND_ONE;
        json_walk_skip(walk);
    }
    return FOUND_NONE;
}

static enum found path_find(struct slice json, struct slice path, struct slice *value)
{
    struct json_walk walk = json_walk_begin(json);
    *value = SLICE_NULL;
    while (path.len > 0) {
        const char *dot = memchr(path.ptr, '.', path.len);
        struct slice name = slice_of(path.ptr, dot ? (size_t)(dot - path.ptr) : path.len);
        path = slice_from(path, name.len + 1);
        enum json_type type = json_walk_type(&walk);
        enum found found = FOUND_NONE;
        if (type == JSON_OBJECT)
            found = member_find(&walk, name);
        else if (type == JSON_ARRAY)
            found = item_find(&walk, name);
        if (found != FOUND_ONE)
            return found;
    }
    const char *begin = walk.at;
    json_walk_skip(&walk);
    *value = slice_of(begin, (size_t)(walk.at - begin));
    return FOUND_ONE;
}

struct slice received_json_at(struct slice json, struct slice path)
{
    struct slice value;
    return path_find(json, path, &value) == FOUND_ONE ? value : SLICE_NULL;
}

bool received_json_absent(struct slice json, struct slice path)
{
    struct slice value;
    enum found found = path_find(json, path, &value);
    return found == FOUND_NONE ||
           (found == FOUND_ONE && value.len > 0 && json_type_of(value.ptr[0]) == JSON_NULL);
}

struct slice received_json_text(struct slice json, struct slice path, struct buf *buf)
{
    struct slice value = received_json_at(json, path);
    if (value.len == 0)
        return SLICE_NULL;
    enum json_type type = json_type_of(value.ptr[0]);
    if (type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE)
        return value;
    if (type != JSON_STRING)
        return SLICE_NULL;
    if (json_string_is_plain(value))
        return slice_of(value.ptr + 1, value.len - 2);
    size_t at = buf->len;
    return json_unescape(value, buf) == ST_OK ? slice_from(buf_slice(buf), at) : SLICE_NULL;
}
