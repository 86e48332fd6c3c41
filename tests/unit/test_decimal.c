/* test_decimal.c - numbers of JSON in their order, whatever way they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/decimal.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static int compare(const char *left, const char *right)
{
    struct decimal a = decimal_read(slice_str(left)), b = decimal_read(slice_str(right));
    int order = decimal_compare(&a, &b);
    return (order > 0) - (order < 0);
}

/* Rising: each row is less than every row below it; the spellings in a row are equal. */
static const char *const rising[][5] = {
    {"-1e400", "-10e399", "-0.1e401"},
    {"-9007199254740993", "-9007199254740993.000"},
    {"-9007199254740992"},
    {"-20", "-2e1", "-2.0e+1"},
    {"-3"},
    {"-2.5"},
    {"-2.49999999999999999999999999999999999999999999999999"},
    {"-0.001", "-1e-3"},
    {"-1e-400"},
    {"0", "-0", "0.000", "0e99", "-0.0e-5"},
    {"1e-400", "0.1e-399"},
    {"0.00099"},
    {"0.001", "1e-3", "0.0010", "10e-4"},
    {"0.1", "1e-1", "0.10", "100e-3"},
    {"0.1000000000000000055511151231257827"},
    {"1", "1.0", "1e0", "10e-1", "0.1e1"},
    {"1.0000000000000000000000000000000001"},
    {"9"},
    {"10", "1e1", "1E+01", "10.0"},
    {"99"},
    {"100", "1e2"},
    {"9007199254740992", "9007199254740992.0"},
    {"9007199254740993"},
    {"18446744073709551615"},
    {"18446744073709551616", "1.8446744073709551616e19"},
    {"123456789012345678901234567890"},
    {"123456789012345678901234567891"},
    {"1e99"},
    {"1e100", "10e99"},
    {"1e400"},
    {"1e999999999999999999999999"},
};

static void test_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rising); i++)
        for (size_t j = 0; j < COUNT(rising); j++)
            for (size_t k = 0; k < 5 && rising[i][k]; k++)
                for (size_t l = 0; l < 5 && rising[j][l]; l++)
                    if (compare(rising[i][k], rising[j][l]) != (i > j) - (i < j))
                        fail_msg("%s and %s", rising[i][k], rising[j][l]);
}

/* Small numbers are ordered as the processor orders them. */
static void test_agrees_with_integers(void **state)
{
    (void)state;
    char left[16], right[16];
    for (int a = -120; a <= 120; a++)
        for (int b = -120; b <= 120; b++) {
            snprintf(left, sizeof(left), "%d", a);
            snprintf(right, sizeof(right), "%d.00", b);
            if (compare(left, right) != (a > b) - (a < b))
                fail_msg("%s and %s", left, right);
        }
}

/* Exponents of any length are read without overflow, and the first significant digit is placed. */
static void test_exponents(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t exponent;
    } cases[] = {
        {"1", 0},
        {"150", 2},
        {"0.15", -1},
        {"0.0015e3", 0},
        {"12.5e-3", -2},
        {"1e99999999999999999999999999", DECIMAL_EXPONENT_MAX},
        {"1e-99999999999999999999999999", -DECIMAL_EXPONENT_MAX},
        {"1000e999999999999999", DECIMAL_EXPONENT_MAX},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(decimal_read(slice_str(cases[i].text)).exponent, cases[i].exponent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_agrees_with_integers),
        cmocka_unit_test(test_exponents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
