/* filter_compile.c - from a filter's JSON to nodes, tests and steps.
 *
 *     expression --+-- value                     a test: $eq
 *                  +-- object --+-- "$operator"  a test; or a group of expressions
 *                               +-- "path"       further down the tree of names, and an expression
 *
 * Everything is gathered in a workshop of fixed size, which the limits make sufficient, and copied
 * into a block of the right size at the end. Texts (names and values without their escapes) go into
 * a buffer that is reserved for the length of the JSON and so never moves: each byte of the JSON is
 * unescaped once at most.
 *
 * Trees of jansson are not used, because they turn numbers into doubles and the filter's numbers
 * are to be compared as they were written.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/suggest.h"
#include "core/filter_private.h"

struct build {
    struct field_error *error;
    char place[sizeof(((struct field_error *)NULL)->field)]; /* cut to fit */
    size_t place_len;
    struct buf texts;
    unsigned conditions;
    uint16_t node_count, test_count, equal_count, step_count;
    unsigned values; /* in all tests */
    struct filter_node nodes[FILTER_NODES_MAX];
    struct filter_test tests[LIMIT_FILTER_CONDITIONS];
    uint16_t node_of[LIMIT_FILTER_CONDITIONS]; /* each test's */
    struct filter_equal equals[LIMIT_FILTER_VALUES];
    struct filter_step steps[FILTER_STEPS_MAX];
};

/* Where in both trees an expression stands. */
struct where {
    uint16_t node;
    unsigned names; /* in the path to the node */
    unsigned depth; /* of objects and lists around it */
};

#define REFUSE(b, ...) field_refuse((b)->error, "invalid_filter", (b)->place, __VA_ARGS__)

/* ---- Places and texts ----------------------------------------------------------------------- */

/* Appends to the place and returns what leave() needs to take it off again. */
static size_t enter(struct build *b, const char *before, struct slice text, const char *after)
{
    size_t mark = b->place_len, size = sizeof(b->place);
    int len = snprintf(b->place + mark, size - mark, "%s%.*s%s", before, SLICE_ARGS(text), after);
    b->place_len = mark + (size_t)len < size ? mark + (size_t)len : size - 1;
    return mark;
}

static size_t enter_item(struct build *b, size_t index)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%zu", index);
    return enter(b, "[", slice_str(digits), "]");
}

static void leave(struct build *b, size_t mark)
{
    b->place_len = mark;
    b->place[mark] = '\0';
}

/* The string's text, for as long as the filter lives. */
static struct slice keep_text(struct build *b, struct slice quoted)
{
    size_t before = b->texts.len;
    enum status status = json_unescape(quoted, &b->texts);
    assert(status == ST_OK); /* it was checked, and there is room */
    (void)status;
    return slice_of(b->texts.ptr + before, b->texts.len - before);
}

static struct slice keep_bytes(struct build *b, struct slice bytes)
{
    size_t before = b->texts.len;
    buf_add_slice(&b->texts, bytes);
    return slice_of(b->texts.ptr + before, bytes.len);
}

/* ---- Nodes ---------------------------------------------------------------------------------- */

static uint16_t new_node(struct build *b, struct slice name, uint32_t index)
{
    assert(b->node_count < FILTER_NODES_MAX);
    b->nodes[b->node_count] = (struct filter_node){.name = name,
                                                   .index = index,
                                                   .first_child = FILTER_NONE,
                                                   .next = FILTER_NONE,
                                                   .first_test = FILTER_NONE};
    return b->node_count++;
}

/* "0", "17": nine digits at most, which is more than an array in a payload can have. */
static uint32_t index_of(struct slice name)
{
    uint32_t index = 0;
    if (name.len == 0 || name.len > 9 || (name.ptr[0] == '0' && name.len > 1))
        return FILTER_NO_INDEX;
    for (size_t i = 0; i < name.len; i++) {
        if (!ascii_is_digit(name.ptr[i]))
            return FILTER_NO_INDEX;
        index = index * 10 + (uint32_t)(name.ptr[i] - '0');
    }
    return index;
}

static uint16_t child_of(struct build *b, uint16_t parent, struct slice name)
{
    for (uint16_t i = b->nodes[parent].first_child; i != FILTER_NONE; i = b->nodes[i].next)
        if (slice_eq(b->nodes[i].name, name))
            return i;
    uint32_t index = index_of(name);
    uint16_t child = new_node(b, name, index);
    struct filter_node *node = &b->nodes[parent];
    b->nodes[child].next = node->first_child;
    node->first_child = child;
    if (index == FILTER_NO_INDEX)
        node->name_count++;
    else
        node->index_count++;
    return child;
}

/* Takes the first name off a path: up to the first dot without a backslash, at which *at is then,
 * or at the end. Backslashes that stand before something are removed in place. SLICE_NULL: there is
 * no name, or one that cannot be. */
static struct slice take_name(char **at, const char *end)
{
    char *begin = *at, *from = begin, *to = begin;
    if (from < end && *from == '$')
        return SLICE_NULL; /* "total.$gt" is more likely a mistake than a name */
    while (from < end && *from != '.') {
        if (*from == '\\') {
            from++;
            if (from == end || (*from != '.' && *from != '$' && *from != '\\'))
                return SLICE_NULL;
        }
        *to++ = *from++;
    }
    *at = from;
    return to > begin ? slice_of(begin, (size_t)(to - begin)) : SLICE_NULL;
}

/* Follows a path, which is a kept text, down from `where`, making the nodes that are not there. */
static enum status follow_path(struct build *b, struct slice path, struct where *where)
{
    char *at = b->texts.ptr + (path.ptr - b->texts.ptr), *end = at + path.len;
    for (;;) {
        struct slice name = take_name(&at, end);
        if (!name.ptr)
            return REFUSE(b, "Give names with dots between them; a dot, a dollar sign or a "
                             "backslash that belongs to a name has a backslash before it.");
        if (++where->names > LIMIT_FILTER_PATH)
            return REFUSE(b, "A path has at most %d names.", LIMIT_FILTER_PATH);
        where->node = child_of(b, where->node, name);
        if (at == end)
            return ST_OK;
        at++; /* the dot; a name must follow */
    }
}

/* ---- Steps, tests, values ------------------------------------------------------------------- */

static enum status count_condition(struct build *b)
{
    if (++b->conditions > LIMIT_FILTER_CONDITIONS)
        return REFUSE(b, "A filter has at most %d conditions.", LIMIT_FILTER_CONDITIONS);
    return ST_OK;
}

/* Its operands come next; then end_step() with what this returned. */
static uint16_t begin_step(struct build *b, enum filter_step_kind kind, uint16_t test)
{
    assert(b->step_count < FILTER_STEPS_MAX);
    b->steps[b->step_count] = (struct filter_step){.kind = kind, .size = 1, .test = test};
    return b->step_count++;
}

static void end_step(struct build *b, uint16_t step)
{
    b->steps[step].size = (uint16_t)(b->step_count - step);
}

static void add_test(struct build *b, uint16_t node, enum filter_op op, bool negated)
{
    uint16_t test = b->test_count++;
    b->tests[test] = (struct filter_test){.op = op};
    b->node_of[test] = node;
    if (op != FILTER_EXISTS)
        b->nodes[node].asks_elements = true;
    uint16_t negation = negated ? begin_step(b, FILTER_NOT, 0) : 0;
    begin_step(b, FILTER_TEST, test);
    if (negated)
        end_step(b, negation);
}

/* Adds a value to the test that was added last. */
static enum status add_value(struct build *b, struct slice json, enum json_type type)
{
    if (type == JSON_OBJECT || type == JSON_ARRAY)
        return REFUSE(b, "Give a string, a number, true, false or null.");
    if (b->values++ == LIMIT_FILTER_VALUES)
        return REFUSE(b, "A filter has at most %d values.", LIMIT_FILTER_VALUES);
    struct filter_value value = {.type = type};
    if (type == JSON_STRING)
        value.text = keep_text(b, json);
    if (type == JSON_NUMBER) {
        value.text = keep_bytes(b, json);
        value.number = decimal_read(value.text);
        if (value.number.exponent == DECIMAL_EXPONENT_MAX ||
            value.number.exponent == -DECIMAL_EXPONENT_MAX)
            return REFUSE(b, "This number is too far from 1 to be compared.");
    }
    uint16_t test = b->test_count - 1;
    if (b->tests[test].op == FILTER_IN)
        b->equals[b->equal_count++] =
            (struct filter_equal){value, b->node_of[test], UINT64_C(1) << test};
    else
        b->tests[test].value = value;
    return ST_OK;
}

static int compare_values(const struct filter_value *a, const struct filter_value *b)
{
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if (a->type == JSON_STRING)
        return slice_compare(a->text, b->text);
    return a->type == JSON_NUMBER ? decimal_compare(&a->number, &b->number) : 0;
}

/* ---- Operators ------------------------------------------------------------------------------ */

struct operand {
    struct slice json;
    enum json_type type;
    struct where where;
};

static enum status compile_expression(struct build *b, struct operand operand);

struct operator_row {
    const char *name;
    enum status (*take)(struct build *b, const struct operator_row *row, struct operand operand);
    int what; /* enum filter_op, or enum filter_step_kind for groups */
    bool negated;
};

static enum status take_value(struct build *b, const struct operator_row *row,
                              struct operand operand)
{
    add_test(b, operand.where.node, (enum filter_op)row->what, row->negated);
    return add_value(b, operand.json, operand.type);
}

static enum status take_ordered(struct build *b, const struct operator_row *row,
                                struct operand operand)
{
    if (operand.type != JSON_NUMBER && operand.type != JSON_STRING)
        return REFUSE(b, "Give a number or a string.");
    return take_value(b, row, operand);
}

static enum status take_string(struct build *b, const struct operator_row *row,
                               struct operand operand)
{
    if (operand.type != JSON_STRING)
        return REFUSE(b, "Give a string.");
    return take_value(b, row, operand);
}

static enum status take_list(struct build *b, const struct operator_row *row,
                             struct operand operand)
{
    struct json_item items[LIMIT_FILTER_VALUES];
    size_t count = 0;
    enum status status = operand.type == JSON_ARRAY
                             ? json_items(operand.json, items, LIMIT_FILTER_VALUES, &count, NULL)
                             : ST_SYNTAX;
    if (status || count == 0)
        return REFUSE(b, "Give a list of 1 to %d values.", LIMIT_FILTER_VALUES);
    add_test(b, operand.where.node, (enum filter_op)row->what, row->negated);
    for (size_t i = 0; i < count; i++) {
        size_t mark = enter_item(b, i);
        status = add_value(b, items[i].value, items[i].type);
        if (status)
            return status;
        leave(b, mark);
    }
    return ST_OK;
}

static enum status take_exists(struct build *b, const struct operator_row *row,
                               struct operand operand)
{
    if (operand.type != JSON_TRUE && operand.type != JSON_FALSE)
        return REFUSE(b, "Give true or false.");
    add_test(b, operand.where.node, (enum filter_op)row->what, operand.type == JSON_FALSE);
    return ST_OK;
}

static enum status take_group(struct build *b, const struct operator_row *row,
                              struct operand operand)
{
    struct json_item items[LIMIT_FILTER_CONDITIONS];
    size_t count = 0;
    enum status status =
        operand.type == JSON_ARRAY
            ? json_items(operand.json, items, LIMIT_FILTER_CONDITIONS, &count, NULL)
            : ST_SYNTAX;
    if (status || count == 0)
        return REFUSE(b, "Give a list of 1 to %d conditions.", LIMIT_FILTER_CONDITIONS);
    if (++operand.where.depth > LIMIT_FILTER_DEPTH)
        return REFUSE(b, "A filter is nested at most %d deep.", LIMIT_FILTER_DEPTH);
    uint16_t step = begin_step(b, (enum filter_step_kind)row->what, 0);
    for (size_t i = 0; i < count; i++) {
        size_t mark = enter_item(b, i);
        status =
            compile_expression(b, (struct operand){items[i].value, items[i].type, operand.where});
        if (status)
            return status;
        leave(b, mark);
    }
    end_step(b, step);
    return ST_OK;
}

static enum status take_not(struct build *b, const struct operator_row *row, struct operand operand)
{
    uint16_t step = begin_step(b, (enum filter_step_kind)row->what, 0);
    enum status status = compile_expression(b, operand);
    end_step(b, step);
    return status;
}

static const struct operator_row operators[] = {
    /* the first one is meant by a value without an operator */
    {"$eq", take_value, FILTER_IN, false},
    {"$neq", take_value, FILTER_IN, true},
    {"$gt", take_ordered, FILTER_GT, false},
    {"$gte", take_ordered, FILTER_GTE, false},
    {"$lt", take_ordered, FILTER_LT, false},
    {"$lte", take_ordered, FILTER_LTE, false},
    {"$in", take_list, FILTER_IN, false},
    {"$nin", take_list, FILTER_IN, true},
    {"$exists", take_exists, FILTER_EXISTS, false},
    {"$startsWith", take_string, FILTER_STARTS, false},
    {"$endsWith", take_string, FILTER_ENDS, false},
    {"$and", take_group, FILTER_AND, false},
    {"$or", take_group, FILTER_OR, false},
    {"$not", take_not, FILTER_NOT, false},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum status refuse_operator(struct build *b, struct slice name)
{
    char word[32];
    snprintf(word, sizeof(word), "%.*s", SLICE_ARGS(name));
    struct suggest suggest = {.word = word};
    for (size_t i = 0; i < COUNT(operators); i++)
        suggest_add(&suggest, operators[i].name);
    if (suggest.best)
        return REFUSE(b, "There is no operator \"%s\"; did you mean \"%s\"?", word, suggest.best);
    return REFUSE(b,
                  "There is no operator \"%s\". (A name that begins with a dollar sign has a "
                  "backslash before it.)",
                  word);
}

static enum status compile_operator(struct build *b, struct slice name, struct operand operand)
{
    for (size_t i = 0; i < COUNT(operators); i++) {
        if (!slice_eq(name, slice_str(operators[i].name)))
            continue;
        enum status status = count_condition(b);
        return status ? status : operators[i].take(b, &operators[i], operand);
    }
    return refuse_operator(b, name);
}

/* ---- Expressions ---------------------------------------------------------------------------- */

static enum status compile_member(struct build *b, const struct json_member *member,
                                  struct where where)
{
    struct operand operand = {member->value, member->type, where};
    struct slice name = keep_text(b, slice_of(member->name.ptr - 1, member->name.len + 2));
    size_t mark = enter(b, ".", name, "");
    enum status status;
    if (slice_starts(name, SLICE("$"))) {
        status = compile_operator(b, name, operand);
    } else {
        status = follow_path(b, name, &operand.where);
        if (!status)
            status = compile_expression(b, operand);
    }
    if (!status)
        leave(b, mark);
    return status;
}

static enum status compile_object(struct build *b, struct slice json, struct where where)
{
    if (++where.depth > LIMIT_FILTER_DEPTH)
        return REFUSE(b, "A filter is nested at most %d deep.", LIMIT_FILTER_DEPTH);
    struct json_member members[LIMIT_FILTER_CONDITIONS];
    size_t count;
    enum status status = json_members(json, members, LIMIT_FILTER_CONDITIONS, &count, NULL);
    if (status == ST_LIMIT)
        return REFUSE(b, "A filter has at most %d conditions.", LIMIT_FILTER_CONDITIONS);
    if (status)
        return REFUSE(b, "A name stands twice in this object.");
    if (count == 0)
        return REFUSE(b, "Give at least one condition.");
    uint16_t step = count > 1 ? begin_step(b, FILTER_AND, 0) : 0;
    for (size_t i = 0; i < count && !status; i++)
        status = compile_member(b, &members[i], where);
    if (count > 1)
        end_step(b, step);
    return status;
}

static enum status compile_expression(struct build *b, struct operand operand)
{
    if (operand.type == JSON_OBJECT)
        return compile_object(b, operand.json, operand.where);
    if (operand.type == JSON_ARRAY)
        return REFUSE(b, "A list is no condition; for one of several values give {\"$in\": […]}.");
    enum status status = count_condition(b);
    return status ? status : take_value(b, &operators[0], operand);
}

/* ---- The whole ------------------------------------------------------------------------------ */

static int compare_equals(const void *left, const void *right)
{
    const struct filter_equal *a = left, *b = right;
    return a->node != b->node ? (int)a->node - (int)b->node : compare_values(&a->value, &b->value);
}

/* Brings the values in order, and makes one of equal ones at a node. */
static void arrange_equals(struct build *b)
{
    qsort(b->equals, b->equal_count, sizeof(b->equals[0]), compare_equals);
    uint16_t count = 0;
    for (uint16_t i = 0; i < b->equal_count; i++) {
        if (count > 0 && compare_equals(&b->equals[count - 1], &b->equals[i]) == 0) {
            b->equals[count - 1].tests |= b->equals[i].tests;
            continue;
        }
        struct filter_node *node = &b->nodes[b->equals[i].node];
        if (node->equal_count++ == 0)
            node->first_equal = count;
        b->equals[count++] = b->equals[i];
    }
    b->equal_count = count;
}

static bool is_ordered(enum filter_op op)
{
    return op >= FILTER_GT && op <= FILTER_LTE;
}

/* Do both ask the same of the same, so that one may ask more than the other? */
static bool same_kind(const struct build *b, uint16_t left, uint16_t right)
{
    const struct filter_test *x = &b->tests[left], *y = &b->tests[right];
    return b->node_of[left] == b->node_of[right] && x->op == y->op && is_ordered(x->op) &&
           x->value.type == y->value.type;
}

/* By node and kind; of a kind those first that are easier to fulfil. */
static int compare_tests(const void *left, const void *right, void *arg)
{
    const struct build *b = arg;
    uint16_t i = *(const uint16_t *)left, j = *(const uint16_t *)right;
    const struct filter_test *x = &b->tests[i], *y = &b->tests[j];
    if (b->node_of[i] != b->node_of[j])
        return (int)b->node_of[i] - (int)b->node_of[j];
    if (x->op != y->op)
        return (int)x->op - (int)y->op;
    if (!is_ordered(x->op))
        return (int)i - (int)j;
    int order = compare_values(&x->value, &y->value);
    return x->op == FILTER_LT || x->op == FILTER_LTE ? -order : order;
}

/* Links the tests of each node that are not for equality, from the last to the first. */
static void link_tests(struct build *b)
{
    uint16_t order[LIMIT_FILTER_CONDITIONS];
    size_t count = 0;
    for (uint16_t i = 0; i < b->test_count; i++)
        if (b->tests[i].op != FILTER_IN)
            order[count++] = i;
    qsort_r(order, count, sizeof(order[0]), compare_tests, b);
    while (count-- > 0) {
        struct filter_test *test = &b->tests[order[count]];
        struct filter_node *node = &b->nodes[b->node_of[order[count]]];
        test->next = node->first_test;
        test->beyond = test->next != FILTER_NONE && same_kind(b, order[count], test->next)
                           ? b->tests[test->next].beyond
                           : test->next;
        node->first_test = order[count];
    }
}

/* Copies the arrays into one block with the filter, and takes over the texts. */
static enum status assemble(struct build *b, struct filter **out)
{
    arrange_equals(b);
    link_tests(b);
    size_t nodes_bytes = b->node_count * sizeof(b->nodes[0]);
    size_t equals_bytes = b->equal_count * sizeof(b->equals[0]);
    size_t tests_bytes = b->test_count * sizeof(b->tests[0]);
    size_t steps_bytes = b->step_count * sizeof(b->steps[0]);
    struct filter *filter =
        malloc(sizeof(*filter) + nodes_bytes + equals_bytes + tests_bytes + steps_bytes);
    if (!filter)
        return ST_NOMEM;
    *filter = (struct filter){
        .texts = b->texts.ptr, .node_count = b->node_count, .test_count = b->test_count};
    filter->nodes = (struct filter_node *)(filter + 1);
    filter->equals = (struct filter_equal *)(filter->nodes + b->node_count);
    filter->tests = (struct filter_test *)(filter->equals + b->equal_count);
    filter->steps = (struct filter_step *)(filter->tests + b->test_count);
    memcpy(filter->nodes, b->nodes, nodes_bytes);
    memcpy(filter->equals, b->equals, equals_bytes);
    memcpy(filter->tests, b->tests, tests_bytes);
    memcpy(filter->steps, b->steps, steps_bytes);
    b->texts.ptr = NULL;
    *out = filter;
    return ST_OK;
}

static enum status compile(struct build *b, struct slice json, struct filter **out)
{
    struct json_error problem;
    enter(b, "", SLICE("filter"), "");
    if (json.len > LIMIT_FILTER_BYTES)
        return REFUSE(b, "A filter has at most %d bytes.", LIMIT_FILTER_BYTES);
    if (json_check(json, &problem))
        return REFUSE(b, "This is no JSON that we take: %s (byte %zu of the filter).",
                      problem.reason, problem.offset);
    if (json.ptr[strspn(json.ptr, " \t\r\n")] != '{')
        return REFUSE(b, "Give an object of paths and conditions.");
    if (!buf_reserve(&b->texts, json.len))
        return ST_NOMEM;
    new_node(b, SLICE_NULL, FILTER_NO_INDEX);
    enum status status = compile_object(b, json, (struct where){0});
    return status ? status : assemble(b, out);
}

enum status filter_compile(struct slice json, struct filter **out, struct field_error *error)
{
    *out = NULL;
    struct build *b = calloc(1, sizeof(*b));
    if (!b)
        return ST_NOMEM;
    b->error = error;
    buf_init(&b->texts, json.len);
    enum status status = compile(b, json, out);
    buf_free(&b->texts);
    free(b);
    return status;
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    free(filter->texts);
    free(filter);
}
