/* test_filter_oracle.c - filters on random payloads say what a simple evaluator says that walks a
 * tree, follows each path by itself, and knows nothing of one pass over bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/buf.h"
#include "core/filter.h"

enum { ROUNDS = 40000, DATA_DEPTH = 5, PATH_MAX_NAMES = 16 };

/* ---- The oracle ----------------------------------------------------------------------------- */

struct path {
    size_t count;
    char names[PATH_MAX_NAMES][8];
};

struct condition {
    const char *op;
    json_t *operand;
};

/* The row of kinds in which values are compared at all. */
static int kind_of(const json_t *value)
{
    return json_is_real(value) ? JSON_INTEGER : (int)json_typeof(value);
}

static int order_of(const json_t *a, const json_t *b)
{
    if (json_is_string(a))
        return strcmp(json_string_value(a), json_string_value(b));
    double left = json_number_value(a), right = json_number_value(b);
    return (left > right) - (left < right);
}

static bool equal(const json_t *value, const json_t *operand)
{
    if (json_is_object(value) || json_is_array(value) || kind_of(value) != kind_of(operand))
        return false;
    return order_of(value, operand) == 0;
}

static bool satisfies(const json_t *value, const struct condition *condition)
{
    const char *op = condition->op;
    const json_t *operand = condition->operand;
    if (strcmp(op, "$eq") == 0)
        return equal(value, operand);
    if (strcmp(op, "$in") == 0) {
        for (size_t i = 0; i < json_array_size(operand); i++)
            if (equal(value, json_array_get(operand, i)))
                return true;
        return false;
    }
    if (kind_of(value) != kind_of(operand))
        return false;
    if (strcmp(op, "$startsWith") == 0)
        return strncmp(json_string_value(value), json_string_value(operand),
                       json_string_length(operand)) == 0;
    if (strcmp(op, "$endsWith") == 0) {
        size_t length = json_string_length(value), end = json_string_length(operand);
        return length >= end &&
               strcmp(json_string_value(value) + length - end, json_string_value(operand)) == 0;
    }
    int order = order_of(value, operand);
    return (strcmp(op, "$gt") == 0 && order > 0) || (strcmp(op, "$gte") == 0 && order >= 0) ||
           (strcmp(op, "$lt") == 0 && order < 0) || (strcmp(op, "$lte") == 0 && order <= 0);
}

static bool reached(json_t *value, const struct condition *condition)
{
    if (strcmp(condition->op, "$exists") == 0)
        return true;
    if (!json_is_array(value))
        return satisfies(value, condition);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (satisfies(json_array_get(value, i), condition))
            return true;
    return false;
}

/* Does the condition hold of something at names `from` and on of the path, seen from `value`? */
static bool holds_below(json_t *value, const struct path *path, size_t from,
                        const struct condition *condition)
{
    if (from == path->count)
        return reached(value, condition);
    const char *name = path->names[from];
    bool is_index = name[0] >= '0' && name[0] <= '9';
    if (json_is_object(value)) {
        json_t *inner = json_object_get(value, name);
        return inner && holds_below(inner, path, from + 1, condition);
    }
    if (json_is_array(value) && is_index) {
        json_t *inner = json_array_get(value, (size_t)atoi(name));
        return inner && holds_below(inner, path, from + 1, condition);
    }
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        json_t *element = json_array_get(value, i);
        if (json_is_object(element) && holds_below(element, path, from, condition))
            return true;
    }
    return false;
}

static bool judge(json_t *expression, json_t *data, const struct path *path);

static bool judge_operator(const char *name, json_t *operand, json_t *data, const struct path *path)
{
    if (strcmp(name, "$not") == 0)
        return !judge(operand, data, path);
    if (strcmp(name, "$and") == 0 || strcmp(name, "$or") == 0) {
        bool decisive = name[1] == 'o';
        for (size_t i = 0; i < json_array_size(operand); i++)
            if (judge(json_array_get(operand, i), data, path) == decisive)
                return decisive;
        return !decisive;
    }
    bool negated = strcmp(name, "$neq") == 0 || strcmp(name, "$nin") == 0 ||
                   (strcmp(name, "$exists") == 0 && json_is_false(operand));
    struct condition condition = {name, operand};
    if (strcmp(name, "$neq") == 0)
        condition.op = "$eq";
    if (strcmp(name, "$nin") == 0)
        condition.op = "$in";
    return holds_below(data, path, 0, &condition) != negated;
}

static bool judge(json_t *expression, json_t *data, const struct path *path)
{
    if (!json_is_object(expression))
        return judge_operator("$eq", expression, data, path);
    const char *name;
    json_t *value;
    json_object_foreach(expression, name, value)
    {
        if (name[0] == '$') {
            if (!judge_operator(name, value, data, path))
                return false;
            continue;
        }
        struct path longer = *path;
        for (const char *at = name; *at != '\0';) {
            size_t length = strcspn(at, ".");
            assert_true(longer.count < PATH_MAX_NAMES && length < sizeof(longer.names[0]));
            memcpy(longer.names[longer.count], at, length);
            longer.names[longer.count++][length] = '\0';
            at += length + (at[length] == '.');
        }
        if (!judge(value, data, &longer))
            return false;
    }
    return true;
}

/* ---- Random texts --------------------------------------------------------------------------- */

static uint64_t seed = 20260801;

static unsigned pick(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static const char *pick_text(const char *const *texts, unsigned count)
{
    return texts[pick(count)];
}
#define PICK(texts) pick_text(texts, sizeof(texts) / sizeof((texts)[0]))

static const char *const names[] = {"a", "b", "c", "0", "1"};
static const char *const scalars[] = {"0",      "1",      "2",     "1.5",  "-1",
                                      "true",   "false",  "null",  "\"\"", "\"x\"",
                                      "\"xy\"", "\"yx\"", "\"y\"", "2e0",  "\"\\u0078\""};
static const char *const strings[] = {"\"\"", "\"x\"", "\"xy\"", "\"y\""};
static const char *const ordered[] = {"0", "1", "1.0", "1.5", "\"x\"", "\"xy\"", "\"\""};
static const char *const comparisons[] = {"$gt", "$gte", "$lt", "$lte"};

/* Starts at another name each time, so that no name stands twice. */
static void add_data(struct buf *out, unsigned depth)
{
    unsigned kind = depth == DATA_DEPTH ? 1 + pick(2) : depth ? pick(3) : 0;
    if (kind == 0) {
        buf_add_str(out, PICK(scalars));
        return;
    }
    buf_add_str(out, kind == 1 ? "{" : "[");
    unsigned count = pick(5), first = pick(5);
    for (unsigned i = 0; i < count; i++) {
        buf_add_str(out, i ? "," : "");
        if (kind == 1)
            buf_addf(out, "\"%s\":", names[(first + i) % 5]);
        add_data(out, depth - 1);
    }
    buf_add_str(out, kind == 1 ? "}" : "]");
}

static void add_list(struct buf *out)
{
    unsigned count = 1 + pick(4);
    buf_add_str(out, "[");
    for (unsigned i = 0; i < count; i++)
        buf_addf(out, "%s%s", i ? "," : "", PICK(scalars));
    buf_add_str(out, "]");
}

static void add_expression(struct buf *out, unsigned depth);

static void add_operator(struct buf *out, unsigned depth)
{
    switch (pick(depth ? 9 : 6)) {
    case 0:
        buf_addf(out, "\"%s\":%s", pick(2) ? "$eq" : "$neq", PICK(scalars));
        break;
    case 1:
        buf_addf(out, "\"%s\":", pick(2) ? "$in" : "$nin");
        add_list(out);
        break;
    case 2:
        buf_addf(out, "\"$exists\":%s", pick(2) ? "true" : "false");
        break;
    case 3:
        buf_addf(out, "\"%s\":%s", pick(2) ? "$startsWith" : "$endsWith", PICK(strings));
        break;
    case 4:
    case 5:
        buf_addf(out, "\"%s\":%s", PICK(comparisons), PICK(ordered));
        break;
    case 6:
        buf_add_str(out, "\"$not\":");
        add_expression(out, depth - 1);
        break;
    default:
        buf_addf(out, "\"%s\":[", pick(2) ? "$and" : "$or");
        add_expression(out, depth - 1);
        buf_add_str(out, ",");
        add_expression(out, depth - 1);
        buf_add_str(out, "]");
        break;
    }
}

static void add_path(struct buf *out, unsigned first)
{
    buf_addf(out, "\"%s", names[first]);
    for (unsigned more = pick(4); more > 1; more--)
        buf_addf(out, ".%s", PICK(names));
    buf_add_str(out, "\":");
}

static void add_object(struct buf *out, unsigned depth)
{
    unsigned count = 1 + pick(2), first = pick(5);
    buf_add_str(out, "{");
    for (unsigned i = 0; i < count; i++) {
        add_path(out, (first + i) % 5); /* begins unlike the others: no name stands twice */
        add_expression(out, depth ? depth - 1 : 0);
        buf_add_str(out, i + 1 < count ? "," : "");
    }
    if (pick(3) == 0) {
        buf_add_str(out, ",");
        add_operator(out, depth ? depth - 1 : 0);
    }
    buf_add_str(out, "}");
}

static void add_expression(struct buf *out, unsigned depth)
{
    unsigned kind = pick(depth ? 5 : 2);
    if (kind == 0) {
        buf_add_str(out, PICK(scalars));
    } else if (kind == 1) {
        buf_add_str(out, "{");
        add_operator(out, depth ? depth - 1 : 0);
        buf_add_str(out, "}");
    } else {
        add_object(out, depth - 1);
    }
}

/* ---- Both ----------------------------------------------------------------------------------- */

static void test_agrees(void **state)
{
    (void)state;
    struct buf filter_text, data_text;
    buf_init(&filter_text, 1 << 20);
    buf_init(&data_text, 1 << 20);
    unsigned matched = 0;
    for (int round = 0; round < ROUNDS; round++) {
        buf_clear(&filter_text);
        buf_clear(&data_text);
        add_object(&filter_text, pick(4));
        add_data(&data_text, DATA_DEPTH);
        json_t *expression = json_loadb(filter_text.ptr, filter_text.len, 0, NULL);
        json_t *data = json_loadb(data_text.ptr, data_text.len, JSON_DECODE_ANY, NULL);
        assert_true(expression && data);

        struct filter *filter;
        struct field_error error;
        if (filter_compile(buf_slice(&filter_text), &filter, &error))
            fail_msg("%.*s: %s %s", SLICE_ARGS(buf_slice(&filter_text)), error.field,
                     error.message);
        bool expected = judge(expression, data, &(struct path){.count = 0});
        if (filter_matches(filter, buf_slice(&data_text)) != expected)
            fail_msg("%.*s on %.*s should be %d", SLICE_ARGS(buf_slice(&filter_text)),
                     SLICE_ARGS(buf_slice(&data_text)), expected);
        matched += expected;
        filter_free(filter);
        json_decref(expression);
        json_decref(data);
    }
    buf_free(&filter_text);
    buf_free(&data_text);
    /* not all one way, or nothing was compared */
    assert_true(matched > ROUNDS / 50 && matched < ROUNDS - ROUNDS / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
