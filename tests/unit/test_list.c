/* test_list.c - the intrusive list: order, removal in any state, walking while removing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/rng.h"

struct thing {
    int before;
    struct list node;
    int number;
};

enum { THINGS = 8 };

static struct thing things[THINGS];
static struct list head;

static int setup(void **state)
{
    (void)state;
    list_init(&head);
    for (int i = 0; i < THINGS; i++) {
        things[i] = (struct thing){.before = -1, .number = i};
        list_init(&things[i].node);
    }
    return 0;
}

static struct thing *thing_of(struct list *node)
{
    return CONTAINER_OF(node, struct thing, node);
}

/* The numbers of the listed, as decimal digits; each link is checked both ways. */
static long listed(void)
{
    long digits = 0;
    for (struct list *node = head.next; node != &head; node = node->next) {
        assert_ptr_equal(node->next->prev, node);
        assert_ptr_equal(node->prev->next, node);
        digits = digits * 10 + thing_of(node)->number;
    }
    return digits;
}

static void push(int number)
{
    list_push_back(&head, &things[number].node);
}

static void test_order(void **state)
{
    (void)state;
    assert_true(list_empty(&head));
    assert_null(list_pop_front(&head));
    assert_false(list_linked(&things[1].node));
    push(1);
    push(2);
    list_push_front(&head, &things[3].node);
    list_insert_before(&things[2].node, &things[4].node);
    assert_int_equal(listed(), 3142);
    assert_false(list_empty(&head));
    assert_true(list_linked(&things[1].node));

    assert_ptr_equal(thing_of(list_pop_front(&head)), &things[3]);
    assert_false(list_linked(&things[3].node));
    assert_int_equal(listed(), 142);
    assert_int_equal(things[3].before, -1);
}

/* Removing twice, or something that is in no list, has no effect; what was removed can come back.
 */
static void test_remove(void **state)
{
    (void)state;
    push(1);
    push(2);
    push(3);
    list_remove(&things[2].node);
    list_remove(&things[2].node);
    list_remove(&things[7].node);
    assert_int_equal(listed(), 13);
    list_push_front(&head, &things[2].node);
    assert_int_equal(listed(), 213);
    list_remove(&things[1].node);
    list_remove(&things[2].node);
    list_remove(&things[3].node);
    assert_true(list_empty(&head));
}

/* The walk sees each once, also when it removes the present one or moves it to another list. */
static void test_walk(void **state)
{
    (void)state;
    struct list other;
    list_init(&other);
    LIST_FOREACH(node, &head) fail_msg("an empty list has nothing to walk over");
    for (int i = 1; i < THINGS; i++)
        push(i);
    long seen = 0;
    LIST_FOREACH(node, &head)
    {
        int number = thing_of(node)->number;
        seen = seen * 10 + number;
        if (number % 2 == 0)
            list_remove(node);
        if (number == 5) {
            list_remove(node);
            list_push_back(&other, node);
        }
    }
    assert_int_equal(seen, 1234567);
    assert_int_equal(listed(), 137);
    assert_ptr_equal(thing_of(list_pop_front(&other)), &things[5]);
    LIST_FOREACH(node, &head) list_remove(node);
    assert_true(list_empty(&head));
}

/* A long random life against an array. */
static void test_against_an_array(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    int model[THINGS] = {0}, count = 0;
    for (int step = 0; step < 20000; step++) {
        int number = (int)rng_below(&rng, THINGS);
        int at = 0;
        while (at < count && model[at] != number)
            at++;
        assert_int_equal(list_linked(&things[number].node), at < count);
        if (at < count) {
            list_remove(&things[number].node);
            for (count--; at < count; at++)
                model[at] = model[at + 1];
        } else {
            push(number);
            model[count++] = number;
        }
        long expected = 0;
        for (int i = 0; i < count; i++)
            expected = expected * 10 + model[i];
        assert_int_equal(listed(), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, setup),
        cmocka_unit_test_setup(test_remove, setup),
        cmocka_unit_test_setup(test_walk, setup),
        cmocka_unit_test_setup(test_against_an_array, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
