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
 * Rejected: one pass for each path, which is what a filter of twenty conditions would pay for
 * twenty times; and giving up early when the steps are already decided, for which each test that
 * holds would have to be worked up through them.
 */
#include <assert.h>

#include "base/json_walk.h"
#include "core/filter_private.h"

struct spot {
    uint16_t node;
    bool element; /* the value is an element of the array at this node */
};

struct walk {
    const struct filter *filter;
    struct json_walk json;
    uint64_t wanted; /* tests that are not known to hold */
    bool done;       /* nothing more can be learnt */
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

static void test_holds(struct walk *w, uint16_t test)
{
    w->wanted &= ~(UINT64_C(1) << test);
    if (w->wanted == 0)
        w->done = true;
}

/* ---- Single values -------------------------------------------------------------------------- */

struct scalar {
    enum json_type type;
    struct slice json;
    struct decimal number; /* only of a number */
};

static int compare(const struct scalar *scalar, const struct filter_value *value)
{
    if (scalar->type != value->type)
        return scalar->type < value->type ? -1 : 1;
    if (scalar->type == JSON_STRING)
        return json_text_compare(scalar->json, value->text);
    return scalar->type == JSON_NUMBER ? decimal_compare(&scalar->number, &value->number) : 0;
}

/* The values are in order. */
static bool is_among(const struct scalar *scalar, const struct filter_value *values, size_t count)
{
    while (count > 0) {
        size_t middle = count / 2;
        int order = compare(scalar, &values[middle]);
        if (order == 0)
            return true;
        if (order > 0) {
            values += middle + 1;
            count -= middle + 1;
        } else {
            count = middle;
        }
    }
    return false;
}

static bool answers(const struct scalar *scalar, const struct filter_test *test,
                    const struct filter_value *values)
{
    bool same_type = test->value_count > 0 && scalar->type == values->type;
    switch (test->op) {
    case FILTER_EXISTS:
        return true;
    case FILTER_IN:
        return is_among(scalar, values, test->value_count);
    case FILTER_GT:
        return same_type && compare(scalar, values) > 0;
    case FILTER_GTE:
        return same_type && compare(scalar, values) >= 0;
    case FILTER_LT:
        return same_type && compare(scalar, values) < 0;
    case FILTER_LTE:
        return same_type && compare(scalar, values) <= 0;
    case FILTER_STARTS:
        return same_type && json_text_starts(scalar->json, values->text);
    case FILTER_ENDS:
        return same_type && json_text_ends(scalar->json, values->text);
    }
    return false;
}

static void walk_scalar(struct walk *w, const struct spots *spots, enum json_type type)
{
    struct scalar scalar = {.type = type, .json = json_walk_scalar(&w->json)};
    if (type == JSON_NUMBER)
        scalar.number = decimal_read(scalar.json);
    const struct filter *filter = w->filter;
    for (size_t i = 0; i < spots->count; i++) {
        uint16_t next = node_at(w, spots->at[i])->first_test;
        for (uint16_t test; (test = next) != FILTER_NONE;) {
            const struct filter_test *row = &filter->tests[test];
            next = row->next;
            if ((w->wanted >> test & 1) && answers(&scalar, row, filter->values + row->first_value))
                test_holds(w, test);
        }
    }
}

/* ---- Objects and arrays --------------------------------------------------------------------- */

/* Of an object or an array all that is known is that it is there. */
static void note_existence(struct walk *w, const struct spots *spots)
{
    const struct filter_test *tests = w->filter->tests;
    for (size_t i = 0; i < spots->count; i++)
        for (uint16_t test = node_at(w, spots->at[i])->first_test; test != FILTER_NONE;
             test = tests[test].next)
            if (tests[test].op == FILTER_EXISTS)
                test_holds(w, test);
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
static void find_member(struct walk *w, const struct spots *spots, struct slice name,
                        uint32_t object, struct spots *inner)
{
    const struct filter_node *nodes = w->filter->nodes;
    inner->count = 0;
    for (size_t i = 0; i < spots->count; i++) {
        struct spot spot = spots->at[i];
        for (uint16_t c = nodes[spot.node].first_child; c != FILTER_NONE; c = nodes[c].next) {
            if (w->found_in[c] == object || !names_member(&nodes[c], spot) ||
                !json_text_eq(name, nodes[c].name))
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
    w.objects = 0;
    memset(w.found_in, 0, filter->node_count * sizeof(w.found_in[0]));

    struct spots root = {.count = 0};
    add_spot(&root, 0, false);
    walk_value(&w, &root, false);
    return step_holds(filter->steps, w.wanted);
}
