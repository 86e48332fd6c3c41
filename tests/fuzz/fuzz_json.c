/* fuzz_json.c - json_check, json_members, json_items and json_unescape on any bytes.
 *
 * What must hold: parts lie inside the text, in order, apart from each other; each is a valid value
 * by itself and of the kind that was said; what one function accepts the others accept. The scanner
 * as machines without SSE2 have it says the same, and of what is wrong the same place and reason.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "base/json_scan.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { PARTS = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* CMakeLists.txt gives them their names. */
enum status portable_check(struct slice text, struct json_error *error);
enum status portable_members(struct slice text, struct json_member *members, size_t max,
                             size_t *count, struct json_error *error);
enum status portable_items(struct slice text, struct json_item *items, size_t max, size_t *count,
                           struct json_error *error);

static bool same_slice(struct slice a, struct slice b)
{
    return a.ptr == b.ptr && a.len == b.len;
}

static void same_verdict(enum status a, const struct json_error *a_error, enum status b,
                         const struct json_error *b_error)
{
    REQUIRE(a == b);
    if (a != ST_OK)
        REQUIRE(a_error->offset == b_error->offset &&
                strcmp(a_error->reason, b_error->reason) == 0);
}

static void compare_members(struct slice text)
{
    static struct json_member members[2][PARTS];
    struct json_error errors[2];
    size_t counts[2];
    enum status a = json_members(text, members[0], PARTS, &counts[0], &errors[0]);
    enum status b = portable_members(text, members[1], PARTS, &counts[1], &errors[1]);
    same_verdict(a, &errors[0], b, &errors[1]);
    REQUIRE(a != ST_OK || counts[0] == counts[1]);
    for (size_t i = 0; a == ST_OK && i < counts[0]; i++) {
        const struct json_member *one = &members[0][i], *other = &members[1][i];
        REQUIRE(same_slice(one->name, other->name) && same_slice(one->value, other->value));
        REQUIRE(one->type == other->type && one->name_escaped == other->name_escaped);
    }
}

static void compare_items(struct slice text)
{
    static struct json_item items[2][PARTS];
    struct json_error errors[2];
    size_t counts[2];
    enum status a = json_items(text, items[0], PARTS, &counts[0], &errors[0]);
    enum status b = portable_items(text, items[1], PARTS, &counts[1], &errors[1]);
    same_verdict(a, &errors[0], b, &errors[1]);
    REQUIRE(a != ST_OK || counts[0] == counts[1]);
    for (size_t i = 0; a == ST_OK && i < counts[0]; i++)
        REQUIRE(same_slice(items[0][i].value, items[1][i].value) &&
                items[0][i].type == items[1][i].type);
}

static void compare_with_portable(struct slice text)
{
    struct json_error errors[2];
    same_verdict(json_check(text, &errors[0]), &errors[0], portable_check(text, &errors[1]),
                 &errors[1]);
    compare_members(text);
    compare_items(text);
}

static bool has_type(struct slice value, enum json_type type)
{
    switch (value.ptr[0]) {
    case '{':
        return type == JSON_OBJECT;
    case '[':
        return type == JSON_ARRAY;
    case '"':
        return type == JSON_STRING;
    case 't':
        return type == JSON_TRUE;
    case 'f':
        return type == JSON_FALSE;
    case 'n':
        return type == JSON_NULL;
    default:
        return type == JSON_NUMBER;
    }
}

/* A string that is unescaped, written and unescaped again has the same text. */
static void check_string(struct slice quoted)
{
    struct buf text, json, again;
    buf_init(&text, 1 << 20);
    buf_init(&json, 1 << 23);
    buf_init(&again, 1 << 20);
    REQUIRE(json_unescape(quoted, &text) == ST_OK);
    REQUIRE(text.len <= quoted.len - 2);
    if (json_string_is_plain(quoted))
        REQUIRE(slice_eq(buf_slice(&text), slice_of(quoted.ptr + 1, quoted.len - 2)));
    json_out_string(&json, buf_slice(&text));
    REQUIRE(json_unescape(buf_slice(&json), &again) == ST_OK);
    REQUIRE(slice_eq(buf_slice(&text), buf_slice(&again)));
    buf_free(&text);
    buf_free(&json);
    buf_free(&again);
}

/* Returns where the value ends. */
static const char *check_value(struct slice text, const char *after, struct slice value,
                               enum json_type type)
{
    REQUIRE(value.len > 0 && value.ptr > after);
    REQUIRE(value.ptr + value.len < text.ptr + text.len);
    REQUIRE(has_type(value, type));
    REQUIRE(json_check(value, NULL) == ST_OK);
    if (type == JSON_STRING)
        check_string(value);
    return value.ptr + value.len;
}

static void check_members(struct slice text, enum status whole)
{
    static struct json_member members[PARTS];
    struct json_error error = {0, NULL};
    size_t count;
    enum status status = json_members(text, members, PARTS, &count, &error);
    if (status != ST_OK) {
        REQUIRE(error.offset <= text.len && error.reason);
        return;
    }
    REQUIRE(whole == ST_OK);
    const char *after = text.ptr;
    for (size_t i = 0; i < count; i++) {
        struct slice quoted = slice_of(members[i].name.ptr - 1, members[i].name.len + 2);
        struct buf name;
        REQUIRE(quoted.ptr > after);
        check_string(quoted);
        REQUIRE(members[i].name_escaped == !json_string_is_plain(quoted));
        buf_init(&name, text.len);
        REQUIRE(json_unescape(quoted, &name) == ST_OK);
        REQUIRE(json_find(members, count, buf_slice(&name)) == &members[i]);
        buf_free(&name);
        after = check_value(text, quoted.ptr + quoted.len, members[i].value, members[i].type);
    }
}

static void check_items(struct slice text, enum status whole)
{
    static struct json_item items[PARTS];
    struct json_error error = {0, NULL};
    size_t count;
    enum status status = json_items(text, items, PARTS, &count, &error);
    if (status != ST_OK) {
        REQUIRE(error.offset <= text.len && error.reason);
        return;
    }
    REQUIRE(whole == ST_OK);
    const char *after = text.ptr;
    for (size_t i = 0; i < count; i++)
        after = check_value(text, after, items[i].value, items[i].type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct json_error error = {0, NULL};
    enum status whole = json_check(text, &error);
    if (whole != ST_OK)
        REQUIRE(error.offset <= size && error.reason);
    check_members(text, whole);
    check_items(text, whole);
    compare_with_portable(text);
    struct buf out;
    buf_init(&out, 1 << 20);
    if (json_unescape(text, &out) == ST_OK)
        REQUIRE(whole == ST_OK && text.ptr[0] == '"');
    buf_free(&out);
    return 0;
}
