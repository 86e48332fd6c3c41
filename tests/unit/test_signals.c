/* Tests of signals as events of the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "net/signals.h"

struct got {
    struct reactor *reactor;
    int numbers[2];
    size_t count;
};

static void on_signal(void *arg, int number)
{
    struct got *got = arg;
    got->numbers[got->count++] = number;
    if (got->count == 2)
        reactor_stop(got->reactor);
    else
        assert_int_equal(raise(SIGUSR2), 0);
}

/* Each signal arrives from the loop with its number; afterwards it has its default action again. */
static void signals_arrive_from_the_loop(void **state)
{
    (void)state;
    static const int numbers[] = {SIGUSR1, SIGUSR2};
    struct got got = {.reactor = reactor_new()};
    struct sigaction action;
    assert_non_null(got.reactor);
    struct signals *signals = signals_new(got.reactor, numbers, 2, on_signal, &got);
    assert_non_null(signals);

    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(got.count, 0);
    assert_int_equal(reactor_run(got.reactor), ST_OK);
    assert_int_equal(got.numbers[0], SIGUSR1);
    assert_int_equal(got.numbers[1], SIGUSR2);

    signals_free(signals);
    signals_free(NULL);
    assert_int_equal(sigaction(SIGUSR1, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    reactor_free(got.reactor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(signals_arrive_from_the_loop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
