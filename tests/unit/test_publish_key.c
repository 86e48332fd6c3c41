/* test_publish_key.c - which (application, key) are one, for ever: the bytes are stored in Redis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/publish_key.h"

/* Half a SHA-256 of application, NUL, key, as an independent implementation computes it. A change
 * of these bytes would forget all keys of a running system. */
static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        struct slice application, key;
        uint8_t bytes[PUBLISH_KEY_BYTES];
    } table[] = {
        {{"default", 7},
         {"order-1", 7},
         {0x2a, 0x2d, 0x1d, 0x62, 0xa5, 0x41, 0xca, 0x29, 0x7d, 0x6c, 0x31, 0xd5, 0x9f, 0x93, 0x08,
          0xe0}},
        {{"default", 7},
         {"a\0b", 3},
         {0x0b, 0xad, 0xea, 0x7b, 0x84, 0x8f, 0xbf, 0xe1, 0x07, 0x9a, 0xf4, 0x97, 0xa6, 0x73, 0xd1,
          0xa7}},
        {{"default", 7},
         {NULL, 0},
         {0xbb, 0x9a, 0x03, 0xf3, 0x42, 0x3c, 0x2a, 0x64, 0x45, 0x48, 0xee, 0x5b, 0xe6, 0x9d, 0xb7,
          0x7f}},
        {{"", 0},
         {"default", 7},
         {0xca, 0xea, 0xa1, 0xac, 0xca, 0x02, 0x2f, 0xbd, 0xef, 0x95, 0xb4, 0xfe, 0xff, 0x2d, 0xdd,
          0x54}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint8_t out[PUBLISH_KEY_BYTES];
        assert_int_equal(publish_key(table[i].application, table[i].key, out), ST_OK);
        assert_memory_equal(out, table[i].bytes, sizeof(out));
    }
}

/* Where the application ends and the key begins is part of what is hashed; case and blanks too. */
static void test_no_two_meet(void **state)
{
    (void)state;
    static const struct slice pairs[][2] = {
        {{"ab", 2}, {"c", 1}},  {{"a", 1}, {"bc", 2}},   {{"abc", 3}, {"", 0}},
        {{"", 0}, {"abc", 3}},  {{"ab", 2}, {"C", 1}},   {{"ab", 2}, {"c ", 2}},
        {{"ab", 2}, {" c", 2}}, {{"ab", 2}, {"c\0", 2}}, {{"ab", 2}, {"\0c", 2}},
    };
    enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };
    uint8_t out[PAIRS][PUBLISH_KEY_BYTES];
    for (size_t i = 0; i < PAIRS; i++) {
        assert_int_equal(publish_key(pairs[i][0], pairs[i][1], out[i]), ST_OK);
        for (size_t k = 0; k < i; k++)
            assert_true(memcmp(out[i], out[k], PUBLISH_KEY_BYTES) != 0);
    }
}

/* Sources have their keys to themselves, and so has each application. */
static void test_keys_of_sources(void **state)
{
    (void)state;
    static const struct slice keys[][3] = {
        {{"a", 1}, {"b", 1}, {"c", 1}},   {{"a", 1}, {"bc", 2}, {"", 0}},
        {{"a", 1}, {"", 0}, {"bc", 2}},   {{"ab", 2}, {"c", 1}, {"", 0}},
        {{"b", 1}, {"b", 1}, {"c", 1}},   {{"a", 1}, {"B", 1}, {"c", 1}},
        {{"a", 1}, {"b", 1}, {"\0c", 2}}, {{"a", 1}, {"b", 1}, {"c\0", 2}},
    };
    /* SHA-256 of "a\0b\0c", computed elsewhere. */
    static const uint8_t first[PUBLISH_KEY_BYTES] = {0x8b, 0xad, 0xde, 0x10, 0xc7, 0x60,
                                                     0xe9, 0xb7, 0x02, 0xde, 0xfb, 0x4b,
                                                     0x5e, 0x22, 0x5d, 0xe7};
    enum { KEYS = sizeof(keys) / sizeof(keys[0]) };
    uint8_t out[KEYS][PUBLISH_KEY_BYTES];
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(publish_key_of_source(keys[i][0], keys[i][1], keys[i][2], out[i]), ST_OK);
        for (size_t k = 0; k < i; k++)
            assert_true(memcmp(out[i], out[k], PUBLISH_KEY_BYTES) != 0);
    }
    assert_memory_equal(out[0], first, sizeof(first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_no_two_meet),
        cmocka_unit_test(test_keys_of_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
