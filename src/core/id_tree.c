/* id_tree.c - a treap: a search tree by id that is a heap by random priorities, which makes it the
 * tree that inserting in random order would have made, whatever the order was.
 *
 * Rejected: a sorted array, because a registry that is loaded from a Redis hash comes in no order,
 * and 100,000 insertions into the middle move some 20 GB; a balanced tree, for three times the
 * code.
 */
#include "core/id_tree.h"

#include <assert.h>
#include <string.h>

static int id_order(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

void id_tree_insert(struct id_tree *tree, struct id_tree_node *node, const struct id *id,
                    uint64_t priority)
{
    node->id = id;
    node->priority = priority;

    /* Down to where the node belongs by its priority … */
    struct id_tree_node **place = &tree->root;
    while (*place && (*place)->priority >= priority)
        place = id_order(id, (*place)->id) < 0 ? &(*place)->left : &(*place)->right;

    /* … and what stands there is split by the id into its two subtrees. */
    struct id_tree_node *rest = *place;
    struct id_tree_node **smaller = &node->left, **larger = &node->right;
    *place = node;
    while (rest) {
        if (id_order(rest->id, id) < 0) {
            *smaller = rest;
            smaller = &rest->right;
            rest = rest->right;
        } else {
            *larger = rest;
            larger = &rest->left;
            rest = rest->left;
        }
    }
    *smaller = *larger = NULL;
}

void id_tree_remove(struct id_tree *tree, struct id_tree_node *node)
{
    struct id_tree_node **place = &tree->root;
    while (*place != node) {
        assert(*place);
        place = id_order(node->id, (*place)->id) < 0 ? &(*place)->left : &(*place)->right;
    }

    /* The two subtrees are merged into the place: the higher priority first. */
    struct id_tree_node *smaller = node->left, *larger = node->right;
    while (smaller && larger) {
        if (smaller->priority >= larger->priority) {
            *place = smaller;
            place = &smaller->right;
            smaller = smaller->right;
        } else {
            *place = larger;
            place = &larger->left;
            larger = larger->left;
        }
    }
    *place = smaller ? smaller : larger;
    node->left = node->right = NULL;
}

struct id_tree_node *id_tree_next(const struct id_tree *tree, const struct id *after)
{
    struct id_tree_node *next = NULL;
    for (struct id_tree_node *node = tree->root; node;) {
        if (!after || id_order(node->id, after) > 0) {
            next = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return next;
}
