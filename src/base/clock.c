/* clock.c - one time for a whole step of the loop. */
#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

static bool fresh;
static uint64_t mono_us;
static uint64_t wall_ms;

static uint64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts); /* cannot fail for the clocks used here */
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void refresh(void)
{
    if (fresh)
        return;
    mono_us = read_us(CLOCK_MONOTONIC);
    wall_ms = read_us(CLOCK_REALTIME) / 1000;
    fresh = true;
}

void clock_expire(void)
{
    fresh = false;
}

uint64_t clock_mono_ms(void)
{
    refresh();
    return mono_us / 1000;
}

uint64_t clock_mono_us(void)
{
    refresh();
    return mono_us;
}

uint64_t clock_wall_ms(void)
{
    refresh();
    return wall_ms;
}

uint64_t clock_now_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

uint64_t clock_now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_boot_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}
