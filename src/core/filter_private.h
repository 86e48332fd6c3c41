/* filter_private.h - a compiled filter: what filter_compile.c makes and filter_match.c reads.
 *
 *     {"order": {"total": {"$gt": 5, "$lt": 9}}, "$or": [{"id": 1}, {"id": {"$exists": false}}]}
 *
 *     nodes   the names of all paths, as a tree        root ─┬─ order ── total: tests 0, 1
 *                                                            └─ id: tests 2, 3
 *     tests   what is asked of the value at a node     0: > 5   1: < 9   2: = 1   3: exists
 *     values  what tests for equality compare with     id: 1 (answers test 2)
 *     steps   how the answers go together              and(and(0, 1), or(2, not(3)))
 *
 * A walk over the payload collects the tests that hold, one bit each; then the steps are worked
 * out. There are no negative tests, so a test that was never reached simply does not hold.
 */
#ifndef TROTLINE_CORE_FILTER_PRIVATE_H
#define TROTLINE_CORE_FILTER_PRIVATE_H

#include <stdint.h>

#include "base/decimal.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "core/filter.h"

enum {
    FILTER_NONE = UINT16_MAX, /* no node, no test */
    /* The root, and a path for each condition and for the one that turns out to be too many. */
    FILTER_NODES_MAX = 1 + (LIMIT_FILTER_CONDITIONS + 1) * LIMIT_FILTER_PATH,
    /* Each condition makes a test and a negation, or a group. An object of two members or more is a
     * group too: of those there are fewer than conditions, once they are complete. */
    FILTER_STEPS_MAX = 3 * LIMIT_FILTER_CONDITIONS + LIMIT_FILTER_DEPTH,
};

#define FILTER_NO_INDEX UINT32_MAX

_Static_assert(LIMIT_FILTER_CONDITIONS <= 64, "the tests that hold are bits of one word");

enum filter_op {
    FILTER_IN,     /* $eq is a list of one */
    FILTER_EXISTS, /* before the others in a node's list */
    FILTER_GT,
    FILTER_GTE,
    FILTER_LT,
    FILTER_LTE,
    FILTER_STARTS,
    FILTER_ENDS
};

struct filter_value {
    enum json_type type;
    struct slice text;     /* a string without its escapes, or a number as written */
    struct decimal number; /* of the text */
};

/* One of the values that the tests for equality at a node ask for: which of them it answers. */
struct filter_equal {
    struct filter_value value;
    uint16_t node;
    uint64_t tests;
};

/* Those at a node, but for FILTER_IN, are a list in which what is easier to fulfil comes first:
 * of > 5 and > 7 the first. Where it does not hold, those that ask more of the same cannot either,
 * and are passed over, so that a value is compared once for each kind and not for each test. */
struct filter_test {
    enum filter_op op;
    uint16_t next;   /* test at the same node */
    uint16_t beyond; /* the next one that may hold although this one does not */
    struct filter_value value;
};

struct filter_node {
    struct slice name;
    uint32_t index; /* the name as a number; FILTER_NO_INDEX: it is none */
    uint16_t first_child, next;
    uint16_t first_test;
    uint16_t first_equal, equal_count;
    uint16_t name_count, index_count; /* children without and with an index */
    bool asks_elements;               /* there are tests that an array's element can answer */
};

enum filter_step_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TEST };

/* Its operands follow it: one after the other, `size` steps with itself. */
struct filter_step {
    enum filter_step_kind kind;
    uint16_t size;
    uint16_t test;
};

struct filter {
    char *texts; /* that nodes and values refer to */
    uint16_t node_count, test_count;
    struct filter_node *nodes; /* these four are one block */
    struct filter_test *tests;
    struct filter_equal *equals; /* by node, then by type, then by value; each once at a node */
    struct filter_step *steps;
};

#endif
