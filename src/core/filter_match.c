/* filter_match.c - a filter evaluated on raw JSON.
 *
 * The walk goes down the payload and the tree of names together. Where it is in the tree is a set
 * of spots, because a place in the payload may be meant by more than one path: in
 *
 *     {"items": [{"sku": "A"}, {"sku": "B"}]}
 *
 * the first element is "items.0", and as an element of "items" it is asked for "sku" as well:
 *
 *     value          spots
 *     root           root
 *     items          items
 *     items[0]       items (as an element), items.0
 *     items[0].sku   items.sku, items.0.sku
 *
 * No two spots of a place have a test in common below them, and each has one at least, so that a
 * set has no more spots than a filter has tests. A level of the payload is entered only for a name
 * that is wanted there or for an array's elements, so the recursion is at most twice as deep as
 * paths are long; everything else is passed over, and so are the rest of an object whose wanted
 * members have all been found, and the rest of the payload when nothing is wanted there.
 *
 * What one filter can cost is bounded, because a payload of the greatest size may be an array of
 * nothing but small values, and each is asked all that the filter asks: a value is unescaped once,
 * looked up once among all that it may equal, and compared once with each kind of order. Only what
 * it begins and ends with is asked one by one. 256 KiB cost the worst of filters 10 to 20 ms.
 *
 * Rejected: one pass for each path, which is what a filter of twenty conditions would pay for
 * twenty times; and giving up early when the steps are already decided, for which each test that
 * holds would have to be worked up through them.
 */
#include <assert.h>

#include "base/buf.h"
#include "base/json_walk.h"
#include "core/filter_private.h"

struct spot {
    uint16_t node;
    bool element; /* the value is an element of the array at this node */
};

struct walk {
    const struct filter *filter;
    struct json_walk json;
    uint64_t wanted;      /* tests that are not known to hold */
    bool done;            /* nothing more can be learnt */
    struct buf unescaped; /* the last text that needed it */
    uint32_t objects;
    uint32_t found_in[FILTER_NODES_MAX]; /* the last object in which a node's name was found */
};

struct spots {
    size_t count;
    struct spot at[LIMIT_FILTER_CONDITIONS];
};

static void add_spot(struct spots *spots, uint16_t node, bool element)
{
    assert(spots->count < LIMIT_FILTER_CONDITIONS);
    spots->at[spots->count++] = (struct spot){node, element};
}

static const struct filter_node *node_at(const struct walk *w, struct spot spot)
{
    return &w->filter->nodes[spot.node];
}

static void tests_hold(struct walk *w, uint64_t tests)
{
    w->wanted &= ~tests;
    if (w->wanted == 0)
        w->done = true;
}

/* ---- Texts ---------------------------------------------------------------------------------- */

/* A string or a name. It is unescaped once for all that is asked of it; where there was no memory
 * for that, each comparison does it anew. */
struct text {
    struct slice quoted;
    struct slice plain; /* SLICE_NULL: not unescaped */
};

/* Valid until the next text. */
static struct text text_of(struct walk *w, struct slice quoted)
{
    struct text text = {.quoted = quoted};
    if (json_string_is_plain(quoted)) {
        text.plain = slice_of(quoted.ptr + 1, quoted.len - 2);
        return text;
    }
    buf_clear(&w->unescaped);
    if (json_unescape(quoted, &w->unescaped) == ST_OK && buf_status(&w->unescaped) == ST_OK)
        text.plain = buf_slice(&w->unescaped);
    return text;
}

static int text_compare(const struct text *text, struct slice with)
{
    return text->plain.ptr ? slice_compare(text->plain, with)
                           : json_text_compare(text->quoted, with);
}

static bool text_eq(const struct text *text, struct slice with)
{
    return text->plain.ptr ? slice_eq(text->plain, with) : json_text_eq(text->quoted, with);
}

static bool text_starts(const struct text *text, struct slice prefix)
{
    return text->plain.ptr ? slice_starts(text->plain, prefix)
                           : json_text_starts(text->quoted, prefix);
}

static bool text_ends(const struct text *text, struct slice suffix)
{
    return text->plain.ptr ? slice_ends(text->plain, suffix) : json_text_ends(text->quoted, suffix);
}

/* ---- Single values -------------------------------------------------------------------------- */

struct scalar {
    enum json_type type;
    struct text text;      /* only of a string */
    struct decimal number; /* only of a number */
};

static int compare(const struct scalar *scalar, const struct filter_value *value)
{
    if (scalar->type != value->type)
        return scalar->type < value->type ? -1 : 1;
    if (scalar->type == JSON_STRING)
        return text_compare(&scalar->text, value->text);
    return scalar->type == JSON_NUMBER ? decimal_compare(&scalar->number, &value->number) : 0;
}

/* The tests at the node that ask for this very value. */
static uint64_t equal_tests(const struct filter *filter, const struct filter_node *node,
                            const struct scalar *scalar)
{
    const struct filter_equal *equals = filter->equals + node->first_equal;
    size_t count = node->equal_count;
    while (count > 0) {
        size_t middle = count / 2;
        int order = compare(scalar, &equals[middle].value);
        if (order == 0)
            return equals[middle].tests;
        if (order > 0) {
            equals += middle + 1;
            count -= middle + 1;
        } else {
            count = middle;
        }
    }
    return 0;
}

static bool answers(const struct scalar *scalar, const struct filter_test *test)
{
    const struct filter_value *value = &test->value;
    if (test->op == FILTER_EXISTS)
        return true;
    if (scalar->type != value->type)
        return false;
    switch (test->op) {
    case FILTER_GT:
        return compare(scalar, value) > 0;
    case FILTER_GTE:
        return compare(scalar, value) >= 0;
    case FILTER_LT:
        return compare(scalar, value) < 0;
    case FILTER_LTE:
        return compare(scalar, value) <= 0;
    case FILTER_STARTS:
        return text_starts(&scalar->text, value->text);
    case FILTER_ENDS:
        return text_ends(&scalar->text, value->text);
    case FILTER_EXISTS:
    case FILTER_IN: /* not in a node's list */
        break;
    }
    return false;
}

static void ask_tests(struct walk *w, const struct filter_node *node, const struct scalar *scalar)
{
    for (uint16_t test = node->first_test; test != FILTER_NONE;) {
        const struct filter_test *row = &w->filter->tests[test];
        bool known = !(w->wanted >> test & 1);
        bool holds = known || answers(scalar, row);
        if (holds && !known)
            tests_hold(w, UINT64_C(1) << test);
        test = holds ? row->next : row->beyond;
    }
}

static void walk_scalar(struct walk *w, const struct spots *spots, enum json_type type)
{
    struct scalar scalar = {.type = type};
    struct slice json = json_walk_scalar(&w->json);
    if (type == JSON_NUMBER)
        scalar.number = decimal_read(json);
    if (type == JSON_STRING)
        scalar.text = text_of(w, json);
    for (size_t i = 0; i < spots->count; i++) {
        const struct filter_node *node = node_at(w, spots->at[i]);
        tests_hold(w, equal_tests(w->filter, node, &scalar));
        ask_tests(w, node, &scalar);
    }
}

/* ---- Objects and arrays --------------------------------------------------------------------- */

/* Of an object or an array all that is known is that it is there. */
static void note_existence(struct walk *w, const struct spots *spots)
{
    const struct filter_test *tests = w->filter->tests;
    for (size_t i = 0; i < spots->count; i++)
        for (uint16_t test = node_at(w, spots->at[i])->first_test;
             test != FILTER_NONE && tests[test].op == FILTER_EXISTS; test = tests[test].next)
            tests_hold(w, UINT64_C(1) << test);
}

/* What comes of a container whose rest is of no interest. */
static void pass_rest(struct walk *w, bool more)
{
    if (more)
        json_walk_leave(&w->json);
    else
        w->done = true;
}

static void walk_value(struct walk *w, const struct spots *spots, bool more);

/* A number names a member of an object, but not of the objects in an array: there it is an index.
 */
static bool names_member(const struct filter_node *child, struct spot spot)
{
    return !spot.element || child->index == FILTER_NO_INDEX;
}

static size_t members_wanted(const struct walk *w, const struct spots *spots)
{
    size_t wanted = 0;
    for (size_t i = 0; i < spots->count; i++) {
        const struct filter_node *node = node_at(w, spots->at[i]);
        wanted += node->name_count;
        if (!spots->at[i].element)
            wanted += node->index_count;
    }
    return wanted;
}

/* The spots of a member's value. Of equal names the first was found in this object already. */
static void find_member(struct walk *w, const struct spots *spots, struct slice quoted,
                        uint32_t object, struct spots *inner)
{
    struct text name = text_of(w, quoted);
    const struct filter_node *nodes = w->filter->nodes;
    inner->count = 0;
    for (size_t i = 0; i < spots->count; i++) {
        struct spot spot = spots->at[i];
        for (uint16_t c = nodes[spot.node].first_child; c != FILTER_NONE; c = nodes[c].next) {
            if (w->found_in[c] == object || !names_member(&nodes[c], spot) ||
                !text_eq(&name, nodes[c].name))
                continue;
            w->found_in[c] = object;
            add_spot(inner, c, false);
            break; /* siblings have other names */
        }
    }
}

static void walk_object(struct walk *w, const struct spots *spots, bool more)
{
    size_t wanted = members_wanted(w, spots);
    uint32_t object = ++w->objects;
    struct spots inner;
    json_walk_enter(&w->json);
    for (;;) {
        if (wanted == 0) {
            pass_rest(w, more);
            return;
        }
        if (!json_walk_more(&w->json))
            return;
        find_member(w, spots, json_walk_name(&w->json), object, &inner);
        wanted -= inner.count;
        if (inner.count == 0)
            json_walk_skip(&w->json);
        else
            walk_value(w, &inner, more || wanted > 0);
        if (w->done)
            return;
    }
}

/* How many elements are wanted: all of them, or up to the last that has an index in some path. */
static uint32_t elements_wanted(const struct walk *w, const struct spots *spots)
{
    const struct filter_node *nodes = w->filter->nodes;
    uint32_t wanted = 0;
    for (size_t i = 0; i < spots->count; i++) {
        const struct filter_node *node = node_at(w, spots->at[i]);
        if (spots->at[i].element)
            continue; /* an array in an array */
        if (node->asks_elements || node->name_count > 0)
            return UINT32_MAX;
        for (uint16_t c = node->first_child; c != FILTER_NONE; c = nodes[c].next)
            if (nodes[c].index >= wanted)
                wanted = nodes[c].index + 1; /* all of them have an index */
    }
    return wanted;
}

static void find_element(const struct walk *w, const struct spots *spots, uint32_t index,
                         struct spots *inner)
{
    const struct filter_node *nodes = w->filter->nodes;
    inner->count = 0;
    for (size_t i = 0; i < spots->count; i++) {
        struct spot spot = spots->at[i];
        const struct filter_node *node = &nodes[spot.node];
        if (spot.element)
            continue;
        if (node->asks_elements || node->name_count > 0)
            add_spot(inner, spot.node, true);
        for (uint16_t c = node->index_count > 0 ? node->first_child : FILTER_NONE; c != FILTER_NONE;
             c = nodes[c].next) {
            if (nodes[c].index != index)
                continue;
            add_spot(inner, c, false);
            break;
        }
    }
}

static void walk_array(struct walk *w, const struct spots *spots, bool more)
{
    uint32_t wanted = elements_wanted(w, spots);
    struct spots inner;
    json_walk_enter(&w->json);
    for (uint32_t index = 0;; index++) {
        if (index >= wanted) {
            pass_rest(w, more);
            return;
        }
        if (!json_walk_more(&w->json))
            return;
        find_element(w, spots, index, &inner);
        if (inner.count == 0)
            json_walk_skip(&w->json);
        else
            walk_value(w, &inner, more || index + 1 < wanted);
        if (w->done)
            return;
    }
}

/* `more`: something behind this value is wanted too, so it must be passed. */
static void walk_value(struct walk *w, const struct spots *spots, bool more)
{
    enum json_type type = json_walk_type(&w->json);
    if (type != JSON_OBJECT && type != JSON_ARRAY) {
        walk_scalar(w, spots, type);
        return;
    }
    note_existence(w, spots);
    if (w->done)
        return;
    if (type == JSON_OBJECT)
        walk_object(w, spots, more);
    else
        walk_array(w, spots, more);
}

/* ---- The answer ----------------------------------------------------------------------------- */

static bool step_holds(const struct filter_step *step, uint64_t missing)
{
    const struct filter_step *end = step + step->size;
    switch (step->kind) {
    case FILTER_TEST:
        return !(missing >> step->test & 1);
    case FILTER_NOT:
        return !step_holds(step + 1, missing);
    case FILTER_AND:
    case FILTER_OR:
        break;
    }
    bool decisive = step->kind == FILTER_OR; /* one part that says so decides */
    for (const struct filter_step *part = step + 1; part < end; part += part->size)
        if (step_holds(part, missing) == decisive)
            return decisive;
    return !decisive;
}

bool filter_matches(const struct filter *filter, struct slice data)
{
    struct walk w;
    w.filter = filter;
    w.json = json_walk_begin(data);
    w.wanted = UINT64_MAX >> (64 - filter->test_count);
    w.done = false;
    buf_init(&w.unescaped, data.len);
    w.objects = 0;
    memset(w.found_in, 0, filter->node_count * sizeof(w.found_in[0]));

    struct spots root = {.count = 0};
    add_spot(&root, 0, false);
    walk_value(&w, &root, false);
    buf_free(&w.unescaped);
    return step_holds(filter->steps, w.wanted);
}
