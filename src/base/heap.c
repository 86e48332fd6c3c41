/* heap.c - a pairing heap (Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap", 1986).
 *
 * A tree in which no child's key is below its parent's. Two trees are joined by making the one with
 * the larger root the first child of the other. Removing a root leaves its children: they are
 * joined in pairs from the left, and the pairs from the right; those two passes are what keeps the
 * tree flat. Both are loops, because a list of a million children would be too deep for recursion.
 *
 * A binary heap in an array was rejected: its array can fail to grow, and then an endpoint would
 * sleep for ever.
 */
#include "base/heap.h"

#include <assert.h>
#include <stddef.h>

/* Joins two trees whose roots have no siblings. */
static struct heap_node *join(struct heap_node *a, struct heap_node *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->key < a->key) {
        struct heap_node *swap = a;
        a = b;
        b = swap;
    }
    b->sibling = a->child;
    if (a->child)
        a->child->previous = b;
    b->previous = a;
    a->child = b;
    return a;
}

static struct heap_node *join_all(struct heap_node *first)
{
    struct heap_node *pairs = NULL; /* the last pair first, linked by `sibling` */
    while (first) {
        struct heap_node *a = first, *b = first->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = NULL;
        if (b)
            b->sibling = NULL;
        struct heap_node *pair = join(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    struct heap_node *root = NULL;
    while (pairs) {
        struct heap_node *next = pairs->sibling;
        pairs->sibling = NULL;
        root = join(root, pairs);
        pairs = next;
    }
    return root;
}

static void set_root(struct heap *heap, struct heap_node *root)
{
    heap->root = root;
    if (root)
        root->previous = root;
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    assert(!heap_linked(node));
    *node = (struct heap_node){.key = key};
    set_root(heap, join(heap->root, node));
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!heap_linked(node))
        return;
    struct heap_node *rest = join_all(node->child);
    if (node == heap->root) {
        set_root(heap, rest);
    } else {
        if (node->previous->child == node)
            node->previous->child = node->sibling;
        else
            node->previous->sibling = node->sibling;
        if (node->sibling)
            node->sibling->previous = node->previous;
        set_root(heap, join(heap->root, rest));
    }
    *node = (struct heap_node){0};
}
