/* test_hist.c - the histogram against sorted arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/hist.h"
#include "base/rng.h"

enum { VALUES = 20000 };

static struct hist hist;
static uint64_t values[VALUES];

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Values of all magnitudes, recorded and sorted. */
static void fill(unsigned bits)
{
    struct rng rng;
    rng_seed(&rng, bits);
    hist_init(&hist);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = rng_next(&rng) >> (64 - bits) >> rng_below(&rng, bits);
        hist_record(&hist, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), ascending);
}

static void assert_near(uint64_t found, uint64_t exact)
{
    uint64_t off = found > exact ? found - exact : exact - found;
    if ((double)off > 0.032 * (double)exact)
        fail_msg("%llu is not near %llu", (unsigned long long)found, (unsigned long long)exact);
}

static void test_percentiles(void **state)
{
    (void)state;
    static const unsigned widths[] = {4, 10, 30, 64};
    for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
        fill(widths[w]);
        for (int halves = 1; halves <= 200; halves++) {
            double percent = halves * 0.5;
            size_t rank = (size_t)(percent / 100 * VALUES + 0.999999);
            assert_near(hist_percentile(&hist, percent), values[rank - 1]);
        }
        assert_near(hist_percentile(&hist, 0), values[0]);
        assert_true(hist_percentile(&hist, 100) <= values[VALUES - 1]);
    }
}

static void test_count_sum_max(void **state)
{
    (void)state;
    fill(40);
    uint64_t sum = 0;
    for (size_t i = 0; i < VALUES; i++)
        sum += values[i];
    assert_int_equal(hist_count(&hist), VALUES);
    assert_true(hist_sum(&hist) == sum);
    assert_true(hist_max(&hist) == values[VALUES - 1]);
}

/* Exact at the bounds of ranges, never falling in between, complete at the end. */
static void test_count_below(void **state)
{
    (void)state;
    fill(30);
    uint64_t last = 0;
    for (uint64_t bound = 1; bound < UINT64_C(1) << 30; bound += bound / 13 + 1) {
        uint64_t below = hist_count_below(&hist, bound);
        assert_true(below >= last);
        last = below;
    }
    for (unsigned bit = 0; bit < 31; bit++) {
        size_t exact = 0;
        while (exact < VALUES && values[exact] < UINT64_C(1) << bit)
            exact++;
        assert_int_equal(hist_count_below(&hist, UINT64_C(1) << bit), exact);
    }
    assert_int_equal(hist_count_below(&hist, 0), 0);
    assert_int_equal(hist_count_below(&hist, UINT64_MAX), VALUES);
}

/* A bound inside a range takes that share of it: 1,000,000 is in the range from 983,040 to
 * 1,015,808. */
static void test_count_below_inside_a_range(void **state)
{
    (void)state;
    hist_init(&hist);
    for (uint64_t value = 983040; value < 1015808; value++)
        hist_record(&hist, value);
    assert_int_equal(hist_count_below(&hist, 983040), 0);
    assert_int_equal(hist_count_below(&hist, 1000000), 16960);
    assert_int_equal(hist_count_below(&hist, 1015808), 32768);
}

static void test_empty_and_extremes(void **state)
{
    (void)state;
    hist_init(&hist);
    assert_int_equal(hist_percentile(&hist, 50), 0);
    assert_int_equal(hist_count_below(&hist, UINT64_MAX), 0);
    hist_record(&hist, 0);
    assert_int_equal(hist_percentile(&hist, 100), 0);
    assert_int_equal(hist_count_below(&hist, 1), 1);
    hist_record(&hist, UINT64_MAX);
    assert_int_equal(hist_percentile(&hist, 50), 0);
    assert_near(hist_percentile(&hist, 100), UINT64_MAX);
    assert_true(hist_max(&hist) == UINT64_MAX);
    assert_int_equal(hist_count_below(&hist, UINT64_C(1) << 63), 1);
}

/* Small values are exact, so that a percentile of them is one of them. */
static void test_small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 32; value++) {
        hist_init(&hist);
        hist_record(&hist, value);
        assert_true(hist_percentile(&hist, 50) == value);
        assert_int_equal(hist_count_below(&hist, value), 0);
        assert_int_equal(hist_count_below(&hist, value + 1), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_count_sum_max),
        cmocka_unit_test(test_count_below),
        cmocka_unit_test(test_count_below_inside_a_range),
        cmocka_unit_test(test_empty_and_extremes),
        cmocka_unit_test(test_small_values_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
