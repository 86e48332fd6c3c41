/* Tests of net/deadlines: which deadlines pass, when, and how many of them in one turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/list.h"
#include "net/deadlines.h"
#include "net/reactor.h"

enum { MANY = 1000 };

struct holder {
    struct deadline deadline;
    int passed;
    uint64_t moved_to_ms;  /* when it passes first; 0: it is not moved then */
    struct holder *clears; /* when it passes */
};

struct world {
    struct reactor *reactor;
    struct deadlines deadlines;
    size_t passed;
    size_t expected;
    size_t before; /* passed, at the end of the last turn */
    size_t most;   /* passed in one turn */
    bool early;
};

static void on_passed(void *arg, struct deadline *passed)
{
    struct world *world = arg;
    struct holder *holder = CONTAINER_OF(passed, struct holder, deadline);
    world->early |= passed->at_ms > clock_mono_ms();
    holder->passed++;
    world->passed++;
    if (holder->moved_to_ms)
        deadlines_set(&world->deadlines, passed, holder->moved_to_ms);
    holder->moved_to_ms = 0;
    if (holder->clears)
        deadlines_clear(&world->deadlines, &holder->clears->deadline);
    if (world->passed == world->expected)
        reactor_stop(world->reactor);
}

static void on_turn(void *arg)
{
    struct world *world = arg;
    if (world->passed - world->before > world->most)
        world->most = world->passed - world->before;
    world->before = world->passed;
}

static void world_init(struct world *world)
{
    *world = (struct world){.reactor = reactor_new()};
    assert_non_null(world->reactor);
    assert_true(deadlines_init(&world->deadlines, world->reactor, on_passed, world));
    reactor_add_hook(world->reactor, "test", on_turn, world);
}

static void world_end(struct world *world)
{
    assert_false(world->early);
    deadlines_deinit(&world->deadlines);
    reactor_free(world->reactor);
}

static void wait_for(struct world *world, size_t expected)
{
    world->expected = expected;
    assert_int_equal(reactor_run(world->reactor), ST_OK);
    assert_int_equal(world->passed, expected);
}

/* A deadline that was moved passes once, at its last time, wherever it was moved to, also by its
 * own passing; one that was cleared does not pass, nor does one that is never. */
static void test_moved(void **state)
{
    (void)state;
    struct world world;
    struct holder further = {.passed = 0}, nearer = further, never = further, cleared = further;
    struct holder again = further, last = further;
    world_init(&world);
    uint64_t now_ms = clock_mono_ms();
    deadlines_set(&world.deadlines, &nearer.deadline, now_ms + 60000);
    deadlines_set(&world.deadlines, &further.deadline, now_ms + 1);
    deadlines_set(&world.deadlines, &never.deadline, now_ms + 1);
    deadlines_set(&world.deadlines, &cleared.deadline, now_ms + 10);
    deadlines_set(&world.deadlines, &again.deadline, now_ms + 5);
    deadlines_set(&world.deadlines, &last.deadline, now_ms + 40);
    deadlines_set(&world.deadlines, &further.deadline, now_ms + 20);
    deadlines_set(&world.deadlines, &nearer.deadline, now_ms + 2);
    deadlines_set(&world.deadlines, &never.deadline, DEADLINE_NEVER);
    again.moved_to_ms = now_ms + 30;
    again.clears = &cleared;
    wait_for(&world, 5);
    assert_int_equal(further.passed, 1);
    assert_int_equal(nearer.passed, 1);
    assert_int_equal(again.passed, 2);
    assert_int_equal(last.passed, 1);
    assert_int_equal(never.passed + cleared.passed, 0);
    world_end(&world);
}

/* Many that pass together are spread over turns, so that others have theirs in between; none is
 * forgotten. */
static void test_many_at_once(void **state)
{
    (void)state;
    static struct holder holders[MANY];
    struct world world;
    world_init(&world);
    uint64_t at_ms = clock_mono_ms() + 1;
    for (int i = 0; i < MANY; i++)
        deadlines_set(&world.deadlines, &holders[i].deadline, at_ms);
    wait_for(&world, MANY);
    assert_true(world.most <= 100);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(holders[i].passed, 1);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
