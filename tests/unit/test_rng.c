/* test_rng.c - randomness from the kernel and from a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"

/* Bytes are written to the end and not beyond it, over all borders of the pool. */
static void test_bytes_fill_exactly(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 7, 15, 64, 4095, 4096, 4097, 10000};
    static unsigned char out[10001];
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len = lengths[i];
        bool last_changed = len == 0;
        for (int round = 0; round < 8; round++) { /* one random byte may be 0xa5, eight may not */
            memset(out, 0xa5, sizeof(out));
            rng_bytes(out, len);
            assert_int_equal(out[len], 0xa5);
            last_changed |= len > 0 && out[len - 1] != 0xa5;
        }
        assert_true(last_changed);
    }
}

/* Every value of a byte turns up about equally often (chi-squared with 255 degrees of freedom:
 * above 400 once in 10^8 runs), so wiping the pool never hands out its zeros. */
static void test_bytes_are_even(void **state)
{
    (void)state;
    enum { DRAWS = 100000 };
    size_t counts[256] = {0};
    for (int i = 0; i < DRAWS; i++) {
        unsigned char triple[3];
        rng_bytes(triple, sizeof(triple)); /* 3 does not divide the pool */
        for (size_t k = 0; k < sizeof(triple); k++)
            counts[triple[k]]++;
    }
    double expected = DRAWS * 3 / 256.0, chi_squared = 0;
    for (size_t i = 0; i < 256; i++) {
        double off = (double)counts[i] - expected;
        chi_squared += off * off / expected;
    }
    assert_true(chi_squared < 400);
    assert_true(rng_u64() != rng_u64());
}

/* A forked child does not repeat what its parent will draw. */
static void test_fork_gets_bytes_of_its_own(void **state)
{
    (void)state;
    unsigned char ours[16], theirs[16];
    int ends[2];
    rng_bytes(ours, sizeof(ours)); /* the pool is filled */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        rng_bytes(theirs, sizeof(theirs));
        _exit(write(ends[1], theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
    }
    int exit_status;
    rng_bytes(ours, sizeof(ours));
    assert_int_equal(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);
    assert_memory_not_equal(ours, theirs, sizeof(ours));
    close(ends[0]);
    close(ends[1]);
}

/* The published first outputs of splitmix64(0) and of xoshiro256** started from 1, 2, 3, 4. */
static void test_seeded_known_values(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 0);
    assert_true(rng.state[0] == 0xe220a8397b1dcdafu);
    assert_true(rng.state[1] == 0x6e789e6aa1b965f4u);
    assert_true(rng.state[2] == 0x06c45d188009454fu);
    assert_true(rng.state[3] == 0xf88bb8a8724c81ecu);
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    rng = (struct rng){{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_true(rng_next(&rng) == expected[i]);
}

/* Below any bound, and all numbers below a small one about equally often. */
static void test_below(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    size_t counts[6] = {0};
    for (int i = 0; i < 60000; i++)
        counts[rng_below(&rng, 6)]++;
    for (size_t i = 0; i < 6; i++)
        assert_in_range(counts[i], 9500, 10500);
    for (int i = 0; i < 1000; i++) {
        assert_true(rng_below(&rng, 1) == 0);
        uint64_t bound = UINT64_MAX - (uint64_t)i;
        assert_true(rng_below(&rng, bound) < bound);
        double unit = rng_unit(&rng);
        assert_true(unit >= 0 && unit < 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_fill_exactly),
        cmocka_unit_test(test_bytes_are_even),
        cmocka_unit_test(test_fork_gets_bytes_of_its_own),
        cmocka_unit_test(test_seeded_known_values),
        cmocka_unit_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
