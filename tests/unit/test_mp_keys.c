/* test_mp_keys.c - keys that are there twice: found among any number, in the right map only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "wire/mp_keys.h"

enum { KEYS = 5000, KEY_BYTES = 8 };

static void test_twice(void **state)
{
    (void)state;
    static char text[KEYS][KEY_BYTES];
    struct mp_keys keys = {.count = 0};
    for (size_t i = 0; i < KEYS; i++) {
        int len = snprintf(text[i], KEY_BYTES, "%zu", i);
        struct slice key = slice_of(text[i], (size_t)len);
        assert_int_equal(mp_keys_add(&keys, i % 3, key), ST_OK);
        assert_int_equal(mp_keys_add(&keys, i % 3, key), ST_EXISTS);
    }
    for (size_t i = 0; i < KEYS; i++) {
        struct slice key = slice_str(text[i]);
        assert_int_equal(mp_keys_add(&keys, i % 3, key), ST_EXISTS);
        assert_int_equal(mp_keys_add(&keys, 3 + i % 2, key), ST_OK);
    }
    mp_keys_free(&keys);
}

/* The empty key is a key; names that only begin alike are not the same. */
static void test_odd_keys(void **state)
{
    (void)state;
    struct mp_keys keys = {.count = 0};
    assert_int_equal(mp_keys_add(&keys, 0, SLICE("")), ST_OK);
    assert_int_equal(mp_keys_add(&keys, 0, SLICE("\0")), ST_OK);
    assert_int_equal(mp_keys_add(&keys, 0, SLICE("\0\0")), ST_OK);
    assert_int_equal(mp_keys_add(&keys, 0, SLICE("")), ST_EXISTS);
    assert_int_equal(mp_keys_add(&keys, UINT64_MAX, SLICE("")), ST_OK);
    mp_keys_free(&keys);
    mp_keys_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_odd_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
