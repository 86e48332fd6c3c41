/* test_json_scan_oracle.c - the scanner and jansson must say the same of mutated JSON.
 *
 * jansson (with JSON_DECODE_ANY and JSON_ALLOW_NUL) reads the same language but for four things,
 * each of which is recognised by jansson's error code and resolved instead of being skipped:
 *
 *   numbers    It refuses integers beyond 64 bits and reals beyond double
 * (json_error_numeric_overflow). If the number has JSON's form by a regular expression, it is
 * replaced by 0 and the question is asked again. names      It refuses "\u0000" in names
 * (json_error_null_byte_in_key). The escape is replaced by one that no seed has, and the question
 * is asked again. depth      It goes 2048 deep, we 64. When we say ST_LIMIT, brackets are counted
 * up to that place. duplicates JSON_REJECT_DUPLICATES looks at all objects, json_check at none and
 * json_members at the outermost. See compare_members().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <regex.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/limits.h"
#include "base/rng.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { ROUNDS = 60000, TEXT_MAX = 600, MEMBERS = 16 };

enum verdict { VALID, INVALID, DUPLICATE };

static regex_t number_form;

/* Replaces the number that ends at `end` by 0 and blanks, the first of them before the 0, so that
 * it joins nothing; false when nothing that ends there has JSON's form. */
static bool replace_number(char *text, size_t end)
{
    size_t begin = end;
    while (begin > 0 && strchr("0123456789+-.eE", text[begin - 1]) && text[begin - 1] != '\0')
        begin--;
    for (; begin + 1 < end; begin++) {
        char token[TEXT_MAX + 1];
        memcpy(token, text + begin, end - begin);
        token[end - begin] = '\0';
        if (regexec(&number_form, token, 0, NULL, 0) == 0) {
            memset(text + begin, ' ', end - begin);
            text[begin + 1] = '0';
            return true;
        }
    }
    return false;
}

static void replace_nul_escapes(char *text, size_t len)
{
    for (size_t i = 0; i + 6 <= len; i++)
        if (memcmp(text + i, "\\u0000", 6) == 0)
            memcpy(text + i, "\\ue123", 6);
}

/* Asks jansson. The tree of a valid text goes to *tree when that is wanted. */
static enum verdict ask(struct slice text, size_t flags, json_t **tree)
{
    char copy[TEXT_MAX];
    memcpy(copy, text.ptr ? text.ptr : "", text.len);
    for (;;) {
        json_error_t error;
        json_t *json = json_loadb(copy, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, &error);
        if (json) {
            if (tree)
                *tree = json;
            else
                json_decref(json);
            return VALID;
        }
        switch ((int)json_error_code(&error)) {
        case json_error_numeric_overflow:
            if (!replace_number(copy, (size_t)error.position))
                return INVALID;
            break;
        case json_error_null_byte_in_key:
            replace_nul_escapes(copy, text.len);
            break;
        case json_error_duplicate_key:
            return DUPLICATE;
        case json_error_out_of_memory:
        case json_error_stack_overflow:
            fail_msg("jansson could not judge");
            break;
        default:
            return INVALID;
        }
    }
}

/* How many brackets are open behind the first `len` bytes. */
static unsigned open_brackets(const char *text, size_t len)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{'))
            depth++;
        else if (!in_string && (c == ']' || c == '}'))
            depth--;
    }
    return depth;
}

/* ---- One text -------------------------------------------------------------------------------- */

static void disagree(struct slice text, const char *what)
{
    fail_msg("%s: %.*s", what, SLICE_ARGS(text));
}

/* json_check says what jansson says of a text with duplicates allowed. */
static enum status compare_check(struct slice text, json_t **tree)
{
    struct json_error error;
    enum status status = json_check(text, &error);
    if (status == ST_LIMIT) {
        if (open_brackets(text.ptr, error.offset) != LIMIT_JSON_DEPTH)
            disagree(text, "not too deep");
        return status;
    }
    if ((status == ST_OK) != (ask(text, 0, tree) == VALID))
        disagree(text, status == ST_OK ? "only we accept" : "only jansson accepts");
    return status;
}

static bool same_type(enum json_type ours, const json_t *theirs)
{
    int type = json_typeof(theirs) == JSON_REAL ? JSON_INTEGER : (int)json_typeof(theirs);
    return (int)ours == type;
}

/* A name as jansson reads it is what json_unescape makes of it; returns jansson's value of it. */
static const json_t *look_up(struct slice text, const json_t *tree,
                             const struct json_member *member)
{
    json_t *name = NULL;
    struct buf buf;
    struct slice quoted = slice_of(member->name.ptr - 1, member->name.len + 2);
    if (ask(quoted, 0, &name) != VALID)
        disagree(text, "a name is no string");
    buf_init(&buf, TEXT_MAX);
    assert_int_equal(json_unescape(quoted, &buf), ST_OK);
    struct slice expected = slice_of(json_string_value(name), json_string_length(name));
    if (!slice_eq(buf_slice(&buf), expected))
        disagree(text, "a name is unescaped otherwise");
    buf_free(&buf);
    const json_t *value = json_object_getn(tree, expected.ptr, expected.len);
    json_decref(name);
    return value;
}

/* json_members accepts the objects that jansson accepts when duplicates are allowed, but for those
 * with duplicates in the outermost object:
 *   - it calls something a duplicate only where jansson, asked to reject, does so too;
 *   - what it accepts has as many different names as jansson's tree, and if jansson rejects it as
 *     having a duplicate, then that is inside one of the values. */
static void compare_members(struct slice text, const json_t *tree)
{
    struct json_member members[MEMBERS];
    struct json_error error;
    size_t count;
    enum status status = json_members(text, members, MEMBERS, &count, &error);
    enum verdict strict = ask(text, JSON_REJECT_DUPLICATES, NULL);
    if (status == ST_LIMIT) {
        bool too_many = strcmp(error.reason, "too many members") == 0;
        assert_true(too_many ? count == MEMBERS
                             : open_brackets(text.ptr, error.offset) == LIMIT_JSON_DEPTH);
    } else if (status == ST_SYNTAX && strcmp(error.reason, "duplicate member") == 0) {
        if (strict != DUPLICATE)
            disagree(text, "only we find a duplicate");
    } else if (status == ST_SYNTAX) {
        if (json_is_object(tree))
            disagree(text, "only jansson finds members");
    } else {
        bool duplicate_inside = false;
        if (!json_is_object(tree) || json_object_size(tree) != count)
            disagree(text, "jansson finds other members");
        for (size_t i = 0; i < count; i++) {
            const json_t *value = look_up(text, tree, &members[i]);
            /* A name with a replaced "\u0000" is in the tree under its new name. */
            if (!value && !memmem(members[i].name.ptr, members[i].name.len, "\\u0000", 6))
                disagree(text, "jansson does not find a member");
            if (value && !same_type(members[i].type, value))
                disagree(text, "a member is of another type");
            duplicate_inside |= ask(members[i].value, JSON_REJECT_DUPLICATES, NULL) == DUPLICATE;
        }
        if (strict != (duplicate_inside ? DUPLICATE : VALID))
            disagree(text, "duplicates are seen otherwise");
    }
}

static void compare_items(struct slice text, const json_t *tree)
{
    static struct json_item items[TEXT_MAX];
    struct json_error error;
    size_t count;
    enum status status = json_items(text, items, TEXT_MAX, &count, &error);
    if (status == ST_LIMIT) {
        assert_int_equal(open_brackets(text.ptr, error.offset), LIMIT_JSON_DEPTH);
        return;
    }
    if ((status == ST_OK) != json_is_array(tree))
        disagree(text, "an array for one only");
    if (status != ST_OK)
        return;
    if (json_array_size(tree) != count)
        disagree(text, "jansson finds other items");
    for (size_t i = 0; i < count; i++)
        if (!same_type(items[i].type, json_array_get(tree, i)))
            disagree(text, "an item is of another type");
}

static enum status compare(struct slice text)
{
    json_t *tree = NULL;
    enum status status = compare_check(text, &tree);
    compare_members(text, tree);
    compare_items(text, tree);
    json_decref(tree);
    return status;
}

/* ---- Mutations ------------------------------------------------------------------------------- */

struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

static struct slice slice_of_text(const struct text *text)
{
    return slice_of(text->bytes, text->len);
}

/* The last two get 63 and 64 more brackets around them: both are as deep as may be. */
static const char *const seeds[] = {
    "{\"type\":\"invoice.paid\",\"data\":{\"id\":\"in_1\",\"n\":[1,-2.5e3,0],\"ok\":true}}",
    " [ {\"a\" : null} , [ ] , { } , \"\\u00e9\xc3\xa9\\ud83d\\ude00\" , false ]\n",
    "{\"a\":1,\"\\u0061b\":2,\"c\":{\"a\":1,\"a\":2},\"\":\"\\\\\\\"\\/\\b\\f\\n\\r\\t\"}",
    "{\"a\":1,\"b\":2,\"a\":3}",
    "{\"n\\u0000\":\"\\u0000\",\"\xe2\x82\xac\":\"\xf0\x9f\x98\x80\",\"m\":{\"x\\u0000y\":[]}}",
    "[0,-0,0.0,1e400,-1E-400,123456789012345678901234567890,9223372036854775808,1.5e+3]",
    "{\"big\":-1e999,\"big\":1e999,\"bigger\":{\"x\":1e999,\"x\":1e-999}}",
    "\"0123456789abcdef0123456789abcdef\\n0123456789abcd\xc3\xa9\"",
    "-12.34e-56",
    ("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,"
     "\"l\":0,\"m\":0,\"n\":0,\"o\":0,\"p\":0}"),
    "{\"deep\":\"er\"}",
    "7",
};

static void make_seed(struct text *text, size_t which)
{
    size_t nesting = which + 2 < COUNT(seeds) ? 0 : LIMIT_JSON_DEPTH - (COUNT(seeds) - 1 - which);
    size_t len = strlen(seeds[which]);
    memset(text->bytes, '[', nesting);
    memcpy(text->bytes + nesting, seeds[which], len);
    memset(text->bytes + nesting + len, ']', nesting);
    text->len = len + 2 * nesting;
}

/* Replaces `remove` bytes at `at`, as far as there is room. */
static void splice(struct text *text, size_t at, size_t remove, struct slice insert)
{
    size_t len = text->len - remove + insert.len;
    if (len > TEXT_MAX)
        return;
    memmove(text->bytes + at + insert.len, text->bytes + at + remove, text->len - at - remove);
    memcpy(text->bytes + at, insert.ptr, insert.len);
    text->len = len;
}

static void mutate(struct text *text, struct rng *rng)
{
    static const char *const pieces[] = {
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "0",
        "-",
        ".",
        "e",
        "1e400",
        "true",
        "null",
        "\"a\":1",
        "\\u0000",
        "\\ud800",
        "\\udc00",
        "\\u0",
        "\xc3",
        "\xa9",
        "\xed\xa0\x80",
        " ",
        "\n",
        "\x01",
        "\x80",
        "{\"\":",
        "[[[[[[[[",
        "00",
    };
    size_t at = (size_t)rng_below(rng, text->len + 1);
    size_t range = (size_t)rng_below(rng, 9);
    if (range > text->len - at)
        range = text->len - at;
    char byte = (char)rng_next(rng);
    struct text other;
    switch (rng_below(rng, 6)) {
    case 0: /* any byte in the place of one */
        splice(text, at, range > 0, slice_of(&byte, 1));
        break;
    case 1: /* something lost */
        splice(text, at, range, SLICE(""));
        break;
    case 2: /* something twice */
        other = *text;
        splice(text, at, 0, slice_of(other.bytes + at, range));
        break;
    case 3: /* a part of another text */
        make_seed(&other, (size_t)rng_below(rng, COUNT(seeds)));
        size_t from = (size_t)rng_below(rng, other.len);
        splice(text, at, range, slice_of(other.bytes + from, other.len - from));
        break;
    default:
        splice(text, at, rng_below(rng, 2) ? range : 0,
               slice_str(pieces[rng_below(rng, COUNT(pieces))]));
        break;
    }
}

static void test_seeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        struct text text;
        make_seed(&text, i);
        assert_int_equal(compare(slice_of_text(&text)), ST_OK);
    }
}

/* One to four mutations of a seed; enough of them are valid and enough are not. */
static void test_mutations(void **state)
{
    (void)state;
    struct rng rng;
    size_t outcomes[ST_STOPPED + 1] = {0};
    rng_seed(&rng, 20261122);
    for (int round = 0; round < ROUNDS; round++) {
        struct text text;
        make_seed(&text, (size_t)rng_below(&rng, COUNT(seeds)));
        for (uint64_t times = 1 + rng_below(&rng, 4); times > 0; times--)
            mutate(&text, &rng);
        outcomes[compare(slice_of_text(&text))]++;
    }
    assert_true(outcomes[ST_OK] > ROUNDS / 20);
    assert_true(outcomes[ST_SYNTAX] > ROUNDS / 2);
    assert_true(outcomes[ST_LIMIT] > ROUNDS / 200);
}

static int compile_number_form(void **state)
{
    (void)state;
    return regcomp(&number_form, "^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$",
                   REG_EXTENDED | REG_NOSUB);
}

static int free_number_form(void **state)
{
    (void)state;
    regfree(&number_form);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, compile_number_form, free_number_form);
}
