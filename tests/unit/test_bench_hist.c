/* What bench/hist.h says of its own error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/hist.h"

static struct hist hist;

static uint64_t at(unsigned per_million)
{
    unsigned index = 0;
    uint64_t seen = 0;
    return hist_next(&hist, per_million, &index, &seen);
}

/* Each value is in a bucket whose largest value is no less, and more by less than 0.1 %. */
static void value_error(uint64_t value)
{
    uint64_t top = hist_top(hist_index(value));
    assert_true(top >= value);
    if (value < 2048)
        assert_int_equal(top, value);
    assert_true((double)(top - value) <= (double)value * 0.001);
}

static void test_error(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 100000; value++)
        value_error(value);
    for (unsigned power = 11; power < 50; power++) {
        value_error((UINT64_C(1) << power) - 1);
        value_error(UINT64_C(1) << power);
        value_error((UINT64_C(1) << power) + 1);
    }
    uint64_t random = 1;
    for (unsigned i = 0; i < 1000000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        value_error(random >> (15 + random % 49));
    }
}

/* Buckets are in order and each next one begins where one ends. */
static void test_buckets_are_one_after_another(void **state)
{
    (void)state;
    for (unsigned i = 0; i + 1 < HIST_POWERS * HIST_STEPS; i++) {
        assert_int_equal(hist_index(hist_top(i)), i);
        assert_int_equal(hist_index(hist_top(i) + 1), i + 1);
    }
    assert_int_equal(hist_index(UINT64_MAX), HIST_POWERS * HIST_STEPS - 1);
}

/* Percentiles are those of the sorted values, in one walk or each by itself. */
static void test_percentiles(void **state)
{
    static const struct {
        unsigned per_million;
        uint64_t value;
    } rows[] = {{1, 1},        {500000, 500},  {500001, 501},  {900000, 900},
                {999000, 999}, {999001, 1000}, {1000000, 1000}};
    (void)state;
    memset(&hist, 0, sizeof hist);
    assert_int_equal(at(500000), 0);
    for (uint64_t value = 1; value <= 1000; value++)
        hist_add(&hist, value);
    unsigned index = 0;
    uint64_t seen = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(at(rows[i].per_million), rows[i].value);
        assert_int_equal(hist_next(&hist, rows[i].per_million, &index, &seen), rows[i].value);
    }
    hist_add(&hist, 5000000);
    assert_int_equal(at(1000000), 5000000); /* never more than the largest */
    assert_int_equal(hist.max, 5000000);
    hist_add(&hist, UINT64_MAX);
    assert_int_equal(at(1000000), (UINT64_C(1) << 50) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_buckets_are_one_after_another),
        cmocka_unit_test(test_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
