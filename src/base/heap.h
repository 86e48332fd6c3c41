/* heap.h - an intrusive priority queue: the node with the smallest key first.
 *
 * A node is a member of the thing that waits; the heap owns nothing and allocates nothing, so
 * putting something into it cannot fail. For things that wait for a time each, where one timer
 * looks at the first of them.
 *
 * Cost: insertion and looking O(1), removal O(log n) amortised.
 */
#ifndef TROTLINE_BASE_HEAP_H
#define TROTLINE_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    struct heap_node *child;    /* the first one */
    struct heap_node *sibling;  /* the next one */
    struct heap_node *previous; /* sibling, or the parent of a first child; itself in the root */
};

struct heap {
    struct heap_node *root;
};

static inline void heap_init(struct heap *heap)
{
    heap->root = 0;
}

/* A node that is in no heap has a `previous` of NULL: memory from calloc() is such a node. */
static inline bool heap_linked(const struct heap_node *node)
{
    return node->previous != 0;
}

/* The node with the smallest key, or NULL. Of equal keys any. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->root;
}

/* Adds a node that is in no heap. */
void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);

/* Takes out a node that is in this heap; does nothing to one that is in none. */
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
