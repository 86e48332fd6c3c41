/* id_tree.h - things ordered by id: an intrusive treap.
 *
 * A node is a member of the thing. Every call takes O(log n) steps on average and no memory, so
 * adding cannot fail.
 */
#ifndef TROTLINE_CORE_ID_TREE_H
#define TROTLINE_CORE_ID_TREE_H

#include "base/id.h"

struct id_tree_node {
    struct id_tree_node *left, *right; /* smaller and larger ids */
    const struct id *id; /* the thing's own; must not change while it is in the tree */
    uint64_t priority;   /* a parent's is not below its children's */
};

struct id_tree {
    struct id_tree_node *root; /* NULL: empty. Zero-initialise it */
};

/* Adds a node whose id is not in the tree. `priority` must be random with regard to the ids, such
 * as a keyed hash: it is what keeps the tree shallow. */
void id_tree_insert(struct id_tree *tree, struct id_tree_node *node, const struct id *id,
                    uint64_t priority);

/* Takes out a node that is in the tree. */
void id_tree_remove(struct id_tree *tree, struct id_tree_node *node);

/* The first node with an id > *after (NULL: the very first), or NULL. */
struct id_tree_node *id_tree_next(const struct id_tree *tree, const struct id *after);

#endif
