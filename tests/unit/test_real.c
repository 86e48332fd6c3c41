/* test_real.c - floating-point numbers as text: it reads back as the same number, is JSON, is no
 * longer than it must be, and does not depend on the locale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/real.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *text_of_double(double value)
{
    static char text[64];
    struct buf buf;
    buf_init(&buf, sizeof(text) - 1);
    real_add_double(&buf, value);
    assert_int_equal(buf_status(&buf), ST_OK);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(buf_slice(&buf)));
    assert_int_equal(json_check(buf_slice(&buf), NULL), ST_OK);
    assert_true(strpbrk(text, ".e") != NULL);
    buf_free(&buf);
    return text;
}

static const char *text_of_float(float value)
{
    static char text[64];
    struct buf buf;
    buf_init(&buf, sizeof(text) - 1);
    real_add_float(&buf, value);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(buf_slice(&buf)));
    assert_int_equal(json_check(buf_slice(&buf), NULL), ST_OK);
    assert_true(strpbrk(text, ".e") != NULL);
    buf_free(&buf);
    return text;
}

/* As anybody would write it, to the digit. */
static void test_texts(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {-1, "-1.0"},
        {0.1, "0.1"},
        {-19.99, "-19.99"},
        {0.000001, "0.000001"},
        {1e-7, "1e-7"},
        {0.000123, "0.000123"},
        {1 / 3.0, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {123456789.123456, "123456789.123456"},
        {999999999999999, "999999999999999.0"},
        {1e15, "1000000000000000.0"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e17, "1e17"},
        {1.5e300, "1.5e300"},
        {DBL_MAX, "1.7976931348623157e308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        assert_string_equal(text_of_double(table[i].value), table[i].text);
}

static void test_float_texts(void **state)
{
    (void)state;
    static const struct {
        float value;
        const char *text;
    } table[] = {
        {0, "0.0"},
        {-0.0F, "-0.0"},
        {0.1F, "0.1"},
        {0.3F, "0.3"},
        {16777216, "16777216.0"},
        {3.14159274F, "3.1415927"},
        {FLT_MAX, "3.4028235e38"},
        {1e-45F, "1e-45"},
        {-1.5F, "-1.5"},
    };
    for (size_t i = 0; i < COUNT(table); i++)
        assert_string_equal(text_of_float(table[i].value), table[i].text);
}

/* A generator of our own: the same numbers in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static bool same_bits(double a, double b)
{
    uint64_t x, y;
    memcpy(&x, &a, sizeof(x));
    memcpy(&y, &b, sizeof(y));
    return x == y;
}

/* Any bits at all, and the neighbours of powers of two and ten, read back to the bit; what 15
 * digits can say has no more. */
static void test_doubles_read_back(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252U;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = next_random(&seed);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value))
            assert_true(same_bits(strtod(text_of_double(value), NULL), value));
    }
    for (int i = -1074; i < 1024; i++) {
        double value = ldexp(1, i);
        assert_true(same_bits(strtod(text_of_double(value), NULL), value));
        uint64_t bits;
        memcpy(&bits, &value, sizeof(bits));
        bits--; /* the next smaller one */
        memcpy(&value, &bits, sizeof(value));
        assert_true(same_bits(strtod(text_of_double(value), NULL), value));
    }
    for (int i = 0; i < 100000; i++) { /* prices and places on the globe */
        char text[32];
        snprintf(text, sizeof(text), "%d.%0*d", (int)(next_random(&seed) % 1000000), i % 6 + 1,
                 (int)(next_random(&seed) % 9 + 1));
        assert_string_equal(text_of_double(strtod(text, NULL)), text);
    }
}

static void test_floats_read_back(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)next_random(&seed);
        float value;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        float read = strtof(text_of_float(value), NULL);
        assert_memory_equal(&read, &value, sizeof(value));
    }
}

/* With a comma for a dot the text is the same. Where no such locale is installed the test makes
 * sure of nothing. */
static void test_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "C.UTF-8"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (setlocale(LC_NUMERIC, names[i]))
            break;
    char third[64], small[64];
    snprintf(third, sizeof(third), "%s", text_of_double(1 / 3.0));
    snprintf(small, sizeof(small), "%s", text_of_float(0.1F));
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(third, "0.3333333333333333");
    assert_string_equal(small, "0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_float_texts),
        cmocka_unit_test(test_doubles_read_back),
        cmocka_unit_test(test_floats_read_back),
        cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
