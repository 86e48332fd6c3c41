/* Tests of net/deadlines: each passes once, not before its time, wherever it was moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/list.h"
#include "net/deadlines.h"

enum { HOLDERS = 200 };

struct holder {
    struct deadline deadline;
    int passed;
};

struct world {
    struct reactor *reactor;
    struct deadlines deadlines;
    struct holder holders[HOLDERS];
    int expected; /* so many pass before the loop stops */
    struct holder *renewed;
    struct holder *cleared;
    int passed; /* in this turn */
    int most_in_a_turn;
};

static void on_passed(void *arg, struct deadline *passed)
{
    struct world *world = arg;
    struct holder *holder = CONTAINER_OF(passed, struct holder, deadline);
    assert_true(passed->at_ms <= clock_mono_ms());
    holder->passed++;
    world->passed++;
    if (holder == world->renewed && holder->passed < 3)
        deadlines_set(&world->deadlines, passed, clock_mono_ms() + 5);
    if (world->cleared)
        deadlines_clear(&world->deadlines, &world->cleared->deadline);
    if (--world->expected == 0)
        reactor_stop(world->reactor);
}

static void on_turn(void *arg)
{
    struct world *world = arg;
    if (world->passed > world->most_in_a_turn)
        world->most_in_a_turn = world->passed;
    world->passed = 0;
}

static struct world *world_new(void)
{
    static struct world world;
    world = (struct world){.reactor = reactor_new()};
    assert_non_null(world.reactor);
    reactor_add_hook(world.reactor, "test", on_turn, &world);
    assert_true(deadlines_init(&world.deadlines, world.reactor, on_passed, &world));
    return &world;
}

static void world_free(struct world *world)
{
    deadlines_deinit(&world->deadlines);
    reactor_free(world->reactor);
}

static void set(struct world *world, int i, uint64_t in_ms)
{
    deadlines_set(&world->deadlines, &world->holders[i].deadline, clock_mono_ms() + in_ms);
}

static void run(struct world *world, int expected)
{
    world->expected = expected;
    assert_int_equal(reactor_run(world->reactor), ST_OK);
}

/* Set in any order, moved there and back, and not at all. */
static void test_all_pass(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (int i = 0; i < HOLDERS; i++)
        set(world, i, (uint64_t)(i * 37 % 50));
    for (int i = 0; i < HOLDERS; i += 3)
        set(world, i, 60); /* further away: found to be early once */
    for (int i = 1; i < HOLDERS; i += 3)
        set(world, i, 1); /* nearer */
    run(world, HOLDERS);
    for (int i = 0; i < HOLDERS; i++)
        assert_int_equal(world->holders[i].passed, 1);
    world_free(world);
}

/* What is cleared, or moved to the end of time, does not pass; a deadline can be set anew in its
 * own function, and others cleared. */
static void test_clearing_and_renewing(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (int i = 0; i < 5; i++)
        set(world, i, 5);
    deadlines_clear(&world->deadlines, &world->holders[1].deadline);
    deadlines_clear(&world->deadlines, &world->holders[1].deadline); /* no effect */
    deadlines_set(&world->deadlines, &world->holders[2].deadline, DEADLINE_NEVER);
    deadlines_set(&world->deadlines, &world->holders[6].deadline, DEADLINE_NEVER);
    set(world, 3, 20);
    world->renewed = &world->holders[0];
    world->cleared = &world->holders[3];
    run(world, 4);
    static const int expected[] = {3, 0, 0, 0, 1, 0, 0};
    for (int i = 0; i < 7; i++)
        assert_int_equal(world->holders[i].passed, expected[i]);
    world_free(world);
}

/* A deadline in the past passes in the next turn; one that is set again after it passed, too. */
static void test_past_and_again(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (int i = 0; i < 3; i++) {
        deadlines_set(&world->deadlines, &world->holders[0].deadline, 0);
        run(world, 1);
        assert_int_equal(world->holders[0].passed, i + 1);
    }
    world_free(world);
}

/* Many that pass together are spread over turns, so that others have theirs in between. */
static void test_many_together(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint64_t at_ms = clock_mono_ms() + 5;
    for (int i = 0; i < HOLDERS; i++)
        deadlines_set(&world->deadlines, &world->holders[i].deadline, at_ms);
    run(world, HOLDERS);
    assert_true(world->most_in_a_turn < HOLDERS / 2);
    for (int i = 0; i < HOLDERS; i++)
        assert_int_equal(world->holders[i].passed, 1);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_pass),
        cmocka_unit_test(test_clearing_and_renewing),
        cmocka_unit_test(test_past_and_again),
        cmocka_unit_test(test_many_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
