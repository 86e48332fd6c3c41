/* The priority queue gives its nodes back in order, whatever is put in and taken out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/rng.h"

enum { NODES = 2000 };

static struct heap_node nodes[NODES];

static void empty_has_no_first(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap);
    assert_null(heap_first(&heap));
    struct heap_node node = {0};
    assert_false(heap_linked(&node));
    heap_remove(&heap, &node);
    assert_null(heap_first(&heap));
}

static void comes_out_in_order(void **state)
{
    (void)state;
    struct heap heap;
    struct rng rng;
    heap_init(&heap);
    rng_seed(&rng, 1);
    for (int i = 0; i < NODES; i++) {
        heap_insert(&heap, &nodes[i], rng_next(&rng) % 500);
        assert_true(heap_linked(&nodes[i]));
    }
    uint64_t last = 0;
    for (int i = 0; i < NODES; i++) {
        struct heap_node *first = heap_first(&heap);
        assert_non_null(first);
        assert_true(first->key >= last);
        last = first->key;
        heap_remove(&heap, first);
        assert_false(heap_linked(first));
    }
    assert_null(heap_first(&heap));
}

/* Against the plainest thing that does the same: a look at every node. */
static void agrees_with_a_search(void **state)
{
    (void)state;
    struct heap heap;
    struct rng rng;
    heap_init(&heap);
    rng_seed(&rng, 2);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[rng_next(&rng) % 100];
        if (heap_linked(node))
            heap_remove(&heap, node);
        else
            heap_insert(&heap, node, rng_next(&rng) % 1000);
        uint64_t least = UINT64_MAX;
        for (int i = 0; i < 100; i++)
            if (heap_linked(&nodes[i]) && nodes[i].key < least)
                least = nodes[i].key;
        assert_true(least == UINT64_MAX ? !heap_first(&heap) : heap_first(&heap)->key == least);
    }
    while (heap_first(&heap))
        heap_remove(&heap, heap_first(&heap));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_has_no_first),
        cmocka_unit_test(comes_out_in_order),
        cmocka_unit_test(agrees_with_a_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
