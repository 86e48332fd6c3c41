/* stamp.h - the two numbers in every event by which bench-sink knows it again.
 *
 *     "t":1000038012471314973   the instant it was meant to be sent: CLOCK_MONOTONIC in ns, plus
 * 10^18 "n":1000000042            its number in the sequence, plus 10^9
 *
 * What is added keeps both at the same count of digits, so that they can be written over in place,
 * and makes them JSON numbers, which do not begin with a zero. */
#ifndef TROTLINE_BENCH_STAMP_H
#define TROTLINE_BENCH_STAMP_H

#include <stdint.h>
#include <time.h>

enum { STAMP_TIME_DIGITS = 19, STAMP_NUMBER_DIGITS = 10 };
#define STAMP_TIME_BASE   UINT64_C(1000000000000000000)
#define STAMP_NUMBER_BASE UINT64_C(1000000000)
#define STAMP_SECOND_NS   UINT64_C(1000000000)

static inline uint64_t stamp_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * STAMP_SECOND_NS + (uint64_t)now.tv_nsec;
}

#endif
