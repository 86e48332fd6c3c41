/* test_reactor.c - the loop: order within a turn, timers, waking, stopping, reaping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "net/reactor.h"

enum { FAR_MS = 3600 * 1000, TIMERS = 8 };

static struct reactor *reactor;
static struct reactor_timer *timers[TIMERS];
static struct reactor_timer *rescue; /* ends a test that waits for what does not come */
static char trace[256];              /* a letter for each thing that happened */
static int countdown;

static void note(char what)
{
    size_t len = strlen(trace);
    assert_true(len + 1 < sizeof(trace));
    trace[len] = what;
}

static void on_rescue(void *arg)
{
    (void)arg;
    note('!');
    reactor_stop(reactor);
}

static int setup(void **state)
{
    (void)state;
    memset(trace, 0, sizeof(trace));
    memset(timers, 0, sizeof(timers));
    reactor = reactor_new();
    rescue = reactor ? reactor_timer_new(reactor, on_rescue, NULL) : NULL;
    if (!rescue)
        return -1;
    reactor_timer_set(rescue, 20000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < TIMERS; i++)
        reactor_timer_free(timers[i]);
    reactor_timer_free(rescue);
    reactor_free(reactor);
    log_flush_all();
    return 0;
}

static void run(void)
{
    assert_int_equal(reactor_run(reactor), ST_OK);
    assert_null(strchr(trace, '!'));
}

static void on_note(void *arg)
{
    note(*(const char *)arg);
}

static void on_note_and_stop(void *arg)
{
    on_note(arg);
    reactor_stop(reactor);
}

static struct reactor_timer *timer(size_t index, reactor_fn *fn, const char *letter)
{
    assert_true(index < TIMERS && !timers[index]);
    timers[index] = reactor_timer_new(reactor, fn, (void *)(uintptr_t)letter);
    assert_non_null(timers[index]);
    return timers[index];
}

static void wait_us(uint64_t us)
{
    for (uint64_t until_us = clock_now_us() + us; clock_now_us() < until_us;)
        continue;
}

/* ---- A turn ---------------------------------------------------------------------------------- */

static void on_reap(struct reap *reap)
{
    (void)reap;
    note('r');
}

static void on_countdown(void *arg)
{
    static struct reap reap;
    on_note(arg);
    reactor_reap(reactor, &reap, on_reap);
    if (--countdown == 0)
        reactor_stop(reactor);
    else
        reactor_timer_set(timers[0], 0);
}

/* Callbacks first, then the hooks in the order in which they were added, then the dead. */
static void test_order_of_a_turn(void **state)
{
    (void)state;
    reactor_add_hook(reactor, "first", on_note, (void *)(uintptr_t) "1");
    reactor_add_hook(reactor, "second", on_note, (void *)(uintptr_t) "2");
    reactor_add_hook(reactor, "third", on_note, (void *)(uintptr_t) "3");
    countdown = 3;
    reactor_timer_set(timer(0, on_countdown, "t"), 0);
    run();
    assert_string_equal(trace, "t123rt123rt123r");
    assert_true(reactor_stats(reactor)->turns == 3);
}

static uint64_t seen_us[2];

static void on_read_clock(void *arg)
{
    (void)arg;
    seen_us[0] = clock_mono_us();
    wait_us(3000);
    assert_true(clock_mono_us() == seen_us[0]);
    reactor_stop(reactor);
}

static void hook_read_clock(void *arg)
{
    (void)arg;
    seen_us[1] = clock_mono_us();
}

/* Callbacks see one time, hooks a later one, and none of them one from before the wait. */
static void test_clock_of_a_turn(void **state)
{
    (void)state;
    reactor_add_hook(reactor, "clock", hook_read_clock, NULL);
    clock_expire();
    uint64_t before_us = clock_mono_us();
    reactor_timer_set(timer(0, on_read_clock, "t"), 20);
    run();
    assert_true(seen_us[0] >= before_us + 19 * 1000);
    assert_true(seen_us[1] >= seen_us[0] + 3000);
}

/* ---- Stopping and waking --------------------------------------------------------------------- */

/* The turn in which it is stopped is finished, hooks behind the caller and the dead included; it
 * can be run again. */
static void test_stop_ends_after_the_turn(void **state)
{
    (void)state;
    static struct reap reap;
    reactor_add_hook(reactor, "one", on_note_and_stop, (void *)(uintptr_t) "1");
    reactor_add_hook(reactor, "two", on_note, (void *)(uintptr_t) "2");
    reactor_reap(reactor, &reap, on_reap);
    reactor_wake(reactor);
    run();
    assert_string_equal(trace, "r12");
    reactor_wake(reactor);
    run();
    assert_string_equal(trace, "r1212");
}

static void reap_and_stop(struct reap *reap)
{
    (void)reap;
    note('r');
    reactor_stop(reactor);
}

/* What dies may stop the loop as well. */
static void test_stop_while_reaping(void **state)
{
    (void)state;
    static struct reap reap;
    reactor_add_hook(reactor, "one", on_note, (void *)(uintptr_t) "1");
    reactor_reap(reactor, &reap, reap_and_stop);
    run();
    assert_string_equal(trace, "r"); /* before the first turn */
}

static void hook_with_more_to_do(void *arg)
{
    on_note(arg);
    if (--countdown > 0)
        reactor_wake(reactor);
    else
        reactor_stop(reactor);
}

/* A hook that asks for another turn gets it without an event; the only timer is far away. */
static void test_wake_does_not_wait(void **state)
{
    (void)state;
    reactor_add_hook(reactor, "more", hook_with_more_to_do, (void *)(uintptr_t) "m");
    reactor_timer_set(timer(0, on_note_and_stop, "t"), FAR_MS);
    countdown = 5;
    reactor_wake(reactor); /* before the loop runs: counts too */
    run();
    assert_string_equal(trace, "mmmmm");
}

static void on_wake(void *arg)
{
    on_note(arg);
    reactor_wake(reactor);
}

static void hook_three_turns(void *arg)
{
    on_note(arg);
    if (reactor_stats(reactor)->turns == 1)
        reactor_timer_set(timers[1], 30);
    if (reactor_stats(reactor)->turns == 2)
        reactor_stop(reactor);
}

/* Without being woken a turn waits for an event; woken from a callback, one more turn follows. */
static void test_without_wake_it_waits(void **state)
{
    (void)state;
    reactor_add_hook(reactor, "h", hook_three_turns, (void *)(uintptr_t) "h");
    reactor_timer_set(timer(0, on_wake, "w"), 5);
    timer(1, on_note, "t");
    run();
    assert_string_equal(trace, "whhth");
}

/* ---- Timers ---------------------------------------------------------------------------------- */

static uint64_t set_us;

static void on_due(void *arg)
{
    uint64_t *in_ms = arg;
    /* libevent counts from the reading of its own clock, a little before the timer is set. */
    assert_true(clock_now_us() - set_us + 1000 >= *in_ms * 1000);
    note('t');
    reactor_stop(reactor);
}

/* Never early. */
static void test_timer_is_not_early(void **state)
{
    (void)state;
    static const uint64_t waits_ms[] = {0, 1, 7, 30};
    uint64_t in_ms;
    timers[0] = reactor_timer_new(reactor, on_due, &in_ms);
    assert_non_null(timers[0]);
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
        in_ms = waits_ms[i];
        set_us = clock_now_us();
        assert_false(reactor_timer_armed(timers[0]));
        reactor_timer_set(timers[0], in_ms);
        assert_true(reactor_timer_armed(timers[0]));
        run();
        assert_false(reactor_timer_armed(timers[0]));
    }
    assert_string_equal(trace, "tttt");
}

/* In the order in which they are due, not in that in which they were set; the last setting counts;
 * a cancelled one does not fire. */
static void test_timers(void **state)
{
    (void)state;
    reactor_timer_set(timer(0, on_note, "a"), 30);
    reactor_timer_set(timer(1, on_note, "b"), 10);
    reactor_timer_set(timer(2, on_note, "c"), 1);
    reactor_timer_set(timer(3, on_note, "d"), FAR_MS);
    reactor_timer_set(timer(4, on_note_and_stop, "e"), 50);
    reactor_timer_set(timers[2], 20);
    reactor_timer_set(timers[3], 40);
    reactor_timer_cancel(timers[1]);
    reactor_timer_cancel(timers[1]);
    assert_false(reactor_timer_armed(timers[1]));
    run();
    assert_string_equal(trace, "cade");
    for (size_t i = 0; i < 5; i++)
        assert_false(reactor_timer_armed(timers[i]));
}

static void on_free_itself(void *arg)
{
    struct reactor_timer **place = arg;
    note('f');
    reactor_timer_free(*place);
    *place = NULL;
}

static void on_free_neighbour(void *arg)
{
    on_note(arg);
    reactor_timer_free(timers[2]);
    timers[2] = NULL;
}

/* A timer may be freed from its own function, and from that of another that is due as well. */
static void test_timer_freed_while_firing(void **state)
{
    (void)state;
    timers[0] = reactor_timer_new(reactor, on_free_itself, &timers[0]);
    assert_non_null(timers[0]);
    reactor_timer_set(timers[0], 1);
    reactor_timer_set(timer(1, on_free_neighbour, "n"), 2);
    reactor_timer_set(timer(2, on_note, "x"), 3);
    reactor_timer_set(timer(3, on_note_and_stop, "e"), 10);
    wait_us(5000); /* the first three are due in one turn */
    run();
    assert_string_equal(trace, "fne");
    reactor_timer_free(NULL);
}

/* The longest times that can be asked for lie in the future, and do not keep others from firing. */
static void test_timer_far_away(void **state)
{
    (void)state;
    static const uint64_t times_ms[] = {(uint64_t)INT32_MAX + 1, UINT64_C(1) << 42, INT64_MAX,
                                        UINT64_MAX};
    for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++)
        reactor_timer_set(timer(i, on_note, "x"), times_ms[i]);
    reactor_timer_cancel(rescue);
    timer(4, on_note_and_stop, "e");
    for (size_t i = 4; i-- > 0;) {
        reactor_timer_set(timers[4], 5);
        run();
        assert_true(reactor_timer_armed(timers[i]));
        reactor_timer_cancel(timers[i]);
    }
    assert_string_equal(trace, "eeee");
}

/* ---- Reaping --------------------------------------------------------------------------------- */

struct dying {
    struct reap reap;
    char letter;
    struct dying *heir; /* dies in its turn */
};

static void on_dead(struct reap *reap)
{
    struct dying *dying = CONTAINER_OF(reap, struct dying, reap);
    note(dying->letter);
    if (dying->heir)
        reactor_reap(reactor, &dying->heir->reap, on_dead);
}

static void hook_kill(void *arg)
{
    struct dying *dying = arg;
    note('h');
    for (int i = 0; i < 3; i++) {
        reactor_reap(reactor, &dying[0].reap, on_dead);
        reactor_reap(reactor, &dying[1].reap, on_dead);
    }
    reactor_stop(reactor);
}

/* Each once however often it is queued, in order; those that die of it go in the same turn; and the
 * same memory can die again in another. */
static void test_reaping(void **state)
{
    (void)state;
    struct dying dying[3] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}};
    dying[0].heir = &dying[2];
    reactor_add_hook(reactor, "kill", hook_kill, dying);
    reactor_wake(reactor);
    run();
    assert_string_equal(trace, "habc");
    reactor_wake(reactor);
    run();
    assert_string_equal(trace, "habchabc");
}

/* What was queued behind the last turn dies with the reactor. */
static void test_reactor_free_reaps(void **state)
{
    (void)state;
    struct dying dying[2] = {{.letter = 'a'}, {.letter = 'b'}};
    dying[0].heir = &dying[1];
    reactor_reap(reactor, &dying[0].reap, on_dead);
    reactor_timer_free(rescue);
    rescue = NULL;
    reactor_free(reactor);
    reactor = NULL;
    assert_string_equal(trace, "ab");
    reactor_free(NULL);
}

/* ---- How it does ----------------------------------------------------------------------------- */

static void hook_slow(void *arg)
{
    (void)arg;
    wait_us(reactor_stats(reactor)->turns == 1 ? 25 * 1000 : 0);
    if (reactor_stats(reactor)->turns == 2)
        reactor_stop(reactor);
    reactor_wake(reactor);
}

/* Only the turn that worked for more than 20 ms is slow. */
static void test_stats(void **state)
{
    (void)state;
    log_levels_apply(&(struct log_levels){.level = LOG_ERROR}); /* the slow hook is logged */
    reactor_add_hook(reactor, "slow", hook_slow, NULL);
    const struct reactor_stats *stats = reactor_stats(reactor);
    assert_true(stats->turns == 0 && stats->longest_us == 0);
    reactor_wake(reactor);
    run();
    assert_int_equal(stats->turns, 3);
    assert_true(stats->slow_turns >= 1);
    assert_true(stats->longest_us >= 25 * 1000);
    assert_true(stats->busy_us >= stats->longest_us + stats->last_turn_us);
    log_levels_apply(&(struct log_levels){.level = LOG_INFO});
}

/* A timer that fires while the loop is at work elsewhere is as late as that work is long. */
static void test_lag(void **state)
{
    (void)state;
    const struct hist *lag = &reactor_stats(reactor)->lag_us;
    reactor_timer_set(timer(0, on_note_and_stop, "a"), 1);
    wait_us(30 * 1000);
    run();
    assert_int_equal(hist_count(lag), 1);
    assert_true(hist_max(lag) >= 28 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_of_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock_of_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_ends_after_the_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_while_reaping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wake_does_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_wake_it_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_is_not_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_freed_while_firing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_far_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reaping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reactor_free_reaps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lag, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
