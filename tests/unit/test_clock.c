/* test_clock.c - one time for a whole step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "base/clock.h"

static uint64_t now_us(clockid_t id)
{
    struct timespec ts;
    assert_int_equal(clock_gettime(id, &ts), 0);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void wait_us(uint64_t us)
{
    for (uint64_t until = now_us(CLOCK_MONOTONIC) + us; now_us(CLOCK_MONOTONIC) < until;)
        continue;
}

/* The clocks stand still until clock_expire(), all of them, and then show the present. */
static void test_stands_still_in_a_step(void **state)
{
    (void)state;
    clock_expire();
    uint64_t mono_us = clock_mono_us(), wall_ms = clock_wall_ms();
    wait_us(3000);
    assert_true(clock_mono_us() == mono_us);
    assert_true(clock_mono_ms() == mono_us / 1000);
    assert_true(clock_wall_ms() == wall_ms);

    clock_expire();
    assert_true(clock_mono_us() >= mono_us + 3000);
    assert_true(clock_wall_ms() != wall_ms); /* whatever was done to the wall clock */
}

/* The reading is made at the first use, not when the old one expires. */
static void test_is_read_at_the_first_use(void **state)
{
    (void)state;
    clock_expire();
    uint64_t expired_us = now_us(CLOCK_MONOTONIC);
    wait_us(2000);
    assert_true(clock_mono_us() >= expired_us + 2000);
}

/* Each is the clock it says it is. */
static void test_right_clocks(void **state)
{
    (void)state;
    uint64_t mono_us = now_us(CLOCK_MONOTONIC), wall_ms = now_us(CLOCK_REALTIME) / 1000;
    clock_expire();
    uint64_t step_mono_us = clock_mono_us(), step_wall_ms = clock_wall_ms();
    assert_true(step_mono_us >= mono_us && step_mono_us <= now_us(CLOCK_MONOTONIC));
    assert_true(step_wall_ms >= wall_ms && step_wall_ms <= now_us(CLOCK_REALTIME) / 1000);
}

/* clock_now_us() moves within a step. */
static void test_now_moves(void **state)
{
    (void)state;
    clock_expire();
    uint64_t step_us = clock_mono_us(), before_us = clock_now_us();
    wait_us(1000);
    uint64_t after_us = clock_now_us();
    assert_true(before_us >= step_us && after_us >= before_us + 1000);
    assert_true(clock_mono_us() == step_us);
}

/* The clock of leases moves within a step, and is none that stops while the machine sleeps. */
static void test_boot_clock(void **state)
{
    (void)state;
    uint64_t before_ms = now_us(CLOCK_BOOTTIME) / 1000, ms = clock_boot_ms();
    assert_true(ms >= before_ms && ms <= now_us(CLOCK_BOOTTIME) / 1000);
    wait_us(2000);
    assert_true(clock_boot_ms() > ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stands_still_in_a_step),
        cmocka_unit_test(test_is_read_at_the_first_use),
        cmocka_unit_test(test_right_clocks),
        cmocka_unit_test(test_now_moves),
        cmocka_unit_test(test_boot_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
