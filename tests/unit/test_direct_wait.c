/* Tests of net/direct_wait: whose turn it is, and how many connects a queue is worth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/direct_wait.h"

enum { MANY = 1000 };

struct world {
    struct direct_wait wait;
    struct direct_waiter waiters[MANY];
    struct direct_try tries[MANY];
    size_t begun;
};

static struct world world;

/* An origin at which so many wait. */
static void world_init(size_t waiting)
{
    world.begun = 0;
    direct_wait_init(&world.wait);
    for (size_t i = 0; i < MANY; i++)
        list_init(&world.waiters[i].node);
    for (size_t i = 0; i < waiting; i++)
        direct_wait_join(&world.wait, &world.waiters[i], false);
}

/* Begins what is wanted, and tells how many are under way. */
static size_t begin_all(void)
{
    while (direct_wait_wants_try(&world.wait)) {
        assert_true(world.begun < MANY);
        direct_wait_try(&world.wait, &world.tries[world.begun++]);
    }
    return world.wait.trying;
}

static void leave(struct direct_waiter *waiter)
{
    assert_non_null(waiter);
    direct_wait_leave(&world.wait, waiter);
}

static struct direct_try *oldest(void)
{
    struct direct_try *attempt = direct_wait_oldest_try(&world.wait);
    assert_non_null(attempt);
    return attempt;
}

/* The oldest connect is made, and its connection given away. */
static void make_one(bool costly)
{
    direct_wait_made(&world.wait, oldest(), costly);
    if (world.wait.waiting > 0)
        leave(direct_wait_first_for_made(&world.wait));
}

/* ---- Whose turn ----------------------------------------------------------------------------- */

/* First come, first served; those who insist on a new one are before the others when one is made,
 * and not there when one comes free. */
static void test_turns(void **state)
{
    (void)state;
    world_init(0);
    struct direct_waiter *w = world.waiters;
    assert_null(direct_wait_first_for_made(&world.wait));
    assert_null(direct_wait_first_for_freed(&world.wait));
    direct_wait_join(&world.wait, &w[0], true);
    assert_null(direct_wait_first_for_freed(&world.wait));
    assert_ptr_equal(direct_wait_newest(&world.wait), &w[0]);
    direct_wait_join(&world.wait, &w[1], false);
    direct_wait_join(&world.wait, &w[2], false);
    direct_wait_join(&world.wait, &w[3], true);
    assert_ptr_equal(direct_wait_newest(&world.wait), &w[2]);
    assert_int_equal(world.wait.waiting, 4);
    static const int made[] = {0, 3, 1, 2};
    assert_ptr_equal(direct_wait_first_for_freed(&world.wait), &w[1]);
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(direct_wait_first_for_made(&world.wait), &w[made[i]]);
        leave(&w[made[i]]);
        leave(&w[made[i]]); /* no effect */
        assert_int_equal(world.wait.waiting, 3 - i);
    }
}

/* ---- How many ------------------------------------------------------------------------------- */

/* Never more connects than waiters, nor than the first number. */
static void test_first_number(void **state)
{
    (void)state;
    for (size_t waiting = 0; waiting < 40; waiting++) {
        world_init(waiting);
        assert_int_equal(begin_all(),
                         waiting < DIRECT_CONNECTS_FIRST ? waiting : DIRECT_CONNECTS_FIRST);
    }
}

/* Nothing comes free, and connects are cheap: their number doubles with each round, so a thousand
 * connections need ten. */
static void test_far_target(void **state)
{
    (void)state;
    size_t rounds = 0;
    world_init(MANY);
    while (world.wait.waiting > 0) {
        size_t expected = (size_t)DIRECT_CONNECTS_FIRST << (rounds < 10 ? rounds : 10);
        if (expected > DIRECT_CONNECTS_MAX)
            expected = DIRECT_CONNECTS_MAX;
        if (expected > world.wait.waiting)
            expected = world.wait.waiting;
        assert_int_equal(begin_all(), expected);
        for (size_t left = world.wait.trying; left > 0; left--)
            make_one(false);
        rounds++;
    }
    assert_int_equal(rounds, 10);
    assert_int_equal(world.begun, MANY);
}

/* What came free while a connect was made is as much as waits: no more of them at a time. */
static void test_much_comes_free(void **state)
{
    (void)state;
    world_init(MANY);
    begin_all();
    for (size_t i = 0; i < MANY - 1; i++)
        direct_wait_freed(&world.wait);
    make_one(false);
    assert_int_equal(world.wait.tries_max, DIRECT_CONNECTS_FIRST + 1);
    direct_wait_freed(&world.wait);
    make_one(false);
    assert_int_equal(world.wait.tries_max, DIRECT_CONNECTS_FIRST + 1);
    begin_all();
    for (int i = 0; i < DIRECT_CONNECTS_FIRST - 2; i++)
        make_one(false); /* they began before */
    assert_int_equal(world.wait.tries_max, DIRECT_CONNECTS_FIRST + 1);
    make_one(false); /* nothing came free since this one began */
    assert_int_equal(world.wait.tries_max, DIRECT_CONNECTS_FIRST + 2);
}

/* Dear connects become few, but not none; cheap ones then many again. */
static void test_costly(void **state)
{
    (void)state;
    world_init(MANY);
    for (int i = 0; i < 100; i++) {
        begin_all();
        make_one(true);
    }
    assert_int_equal(world.wait.tries_max, DIRECT_CONNECTS_MIN);
    while (world.wait.trying > 0)
        make_one(true);
    assert_int_equal(begin_all(), DIRECT_CONNECTS_MIN);
    for (int i = 0; i < 500; i++) {
        begin_all();
        make_one(false);
    }
    assert_int_equal(world.wait.tries_max, DIRECT_CONNECTS_MAX);
}

/* ---- Failures ------------------------------------------------------------------------------- */

/* When all connects fail, all who wait have failed with the last one, and no further connect was
 * begun. */
static void test_all_fail(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 15, 16, 17, 31, 100, 999};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        world_init(sizes[i]);
        size_t begun = begin_all();
        for (size_t left = begun; left > 0; left--) {
            size_t share = direct_wait_failed(&world.wait, oldest());
            assert_in_range(share, sizes[i] / begun, sizes[i] / begun + 1);
            while (share-- > 0)
                leave(direct_wait_first_for_made(&world.wait));
            assert_int_equal(begin_all(), left - 1);
        }
        assert_int_equal(world.wait.waiting, 0);
        assert_int_equal(world.begun, begun);
    }
}

/* One in four fails: so does a quarter of those who wait. A failed connect is followed by others
 * as soon as one is made. */
static void test_one_in_four_fails(void **state)
{
    (void)state;
    size_t failed = 0;
    world_init(MANY);
    for (int nth = 0; world.wait.waiting > 0; nth++) {
        begin_all();
        if (nth % 4 != 3) {
            make_one(true);
            continue;
        }
        size_t share = direct_wait_failed(&world.wait, oldest());
        failed += share;
        while (share-- > 0)
            leave(direct_wait_first_for_made(&world.wait));
    }
    assert_in_range(failed, MANY / 8, MANY - 1);
    assert_true(world.wait.trying <= DIRECT_CONNECTS_FIRST);
}

/* A connect that is left over from one that was served fails nobody while there are others. With
 * none that waits it is nobody's. */
static void test_left_over_fails(void **state)
{
    (void)state;
    world_init(2);
    begin_all();
    leave(&world.waiters[0]);
    assert_int_equal(direct_wait_failed(&world.wait, oldest()), 0);
    assert_int_equal(direct_wait_failed(&world.wait, oldest()), 1);
    world_init(1);
    begin_all();
    leave(&world.waiters[0]);
    assert_int_equal(direct_wait_failed(&world.wait, oldest()), 0);
    assert_null(direct_wait_oldest_try(&world.wait));
}

/* After failures there is one connect at a time, until one is made. */
static void test_after_failures(void **state)
{
    (void)state;
    world_init(1);
    begin_all();
    assert_int_equal(direct_wait_failed(&world.wait, oldest()), 1);
    leave(&world.waiters[0]);
    for (size_t i = 0; i < 100; i++)
        direct_wait_join(&world.wait, &world.waiters[i], false);
    assert_int_equal(begin_all(), 1);
    make_one(true);
    assert_int_equal(begin_all(), DIRECT_CONNECTS_FIRST - 1);
}

/* ---- Giving up ------------------------------------------------------------------------------ */

/* With who gives up goes the newest connect, if there are more than waiters; one that has ended is
 * none. */
static void test_surplus(void **state)
{
    (void)state;
    world_init(20);
    begin_all();
    for (size_t i = 0; i < 4; i++) {
        leave(&world.waiters[i]);
        assert_null(direct_wait_surplus(&world.wait));
    }
    for (size_t i = 4; i < 20; i++) {
        leave(&world.waiters[i]);
        struct direct_try *surplus = direct_wait_surplus(&world.wait);
        assert_ptr_equal(surplus, &world.tries[DIRECT_CONNECTS_FIRST - 1 - (i - 4)]);
        direct_wait_drop(&world.wait, surplus);
        direct_wait_drop(&world.wait, surplus); /* no effect */
    }
    assert_null(direct_wait_surplus(&world.wait));
    assert_int_equal(world.wait.trying, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_first_number),
        cmocka_unit_test(test_far_target),
        cmocka_unit_test(test_much_comes_free),
        cmocka_unit_test(test_costly),
        cmocka_unit_test(test_all_fail),
        cmocka_unit_test(test_one_in_four_fails),
        cmocka_unit_test(test_left_over_fails),
        cmocka_unit_test(test_after_failures),
        cmocka_unit_test(test_surplus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
