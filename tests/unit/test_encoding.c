/* test_encoding.c - hexadecimal and base64: known answers, and that only canonical text is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "wire/encoding.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef void encode_fn(struct buf *buf, struct slice bytes);
typedef enum status decode_fn(struct slice text, void *out, size_t out_size, size_t *out_len);

static void check_pair(encode_fn *encode, decode_fn *decode, struct slice bytes, struct slice text)
{
    uint8_t out[256];
    size_t len;
    struct buf buf;
    buf_init(&buf, 1024);
    encode(&buf, bytes);
    assert_true(slice_eq(buf_slice(&buf), text));
    assert_int_equal(decode(text, out, sizeof(out), &len), ST_OK);
    assert_true(slice_eq(slice_of(out, len), bytes));
    buf_free(&buf);
}

/* The test vectors of RFC 4648 section 10. */
static void test_known_answers(void **state)
{
    (void)state;
    static const char *const table[][3] = {
        {"", "", ""},
        {"f", "Zg==", "66"},
        {"fo", "Zm8=", "666f"},
        {"foo", "Zm9v", "666f6f"},
        {"foob", "Zm9vYg==", "666f6f62"},
        {"fooba", "Zm9vYmE=", "666f6f6261"},
        {"foobar", "Zm9vYmFy", "666f6f626172"},
        {"\xfb\xff\xbe", "+/++", "fbffbe"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct slice bytes = slice_str(table[i][0]);
        check_pair(base64_encode, base64_decode, bytes, slice_str(table[i][1]));
        check_pair(hex_encode, hex_decode, bytes, slice_str(table[i][2]));
    }
}

/* The same bytes in the URL-safe alphabet, without padding; nothing else is read. */
static void test_base64url(void **state)
{
    (void)state;
    static const char *const table[][2] = {{"", ""},           {"f", "Zg"},
                                           {"fo", "Zm8"},      {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg"}, {"\xfb\xff\xbe", "-_--"}};
    static const char *const refused[] = {"Zg==",     "Zg=",  "Z",      "Zh",    "Zm9", "+/++",
                                          "Zm9v====", "Zm 9", "Zm9v\n", "Zm9vZ", "-_-="};
    for (size_t i = 0; i < COUNT(table); i++)
        check_pair(base64url_encode, base64url_decode, slice_str(table[i][0]),
                   slice_str(table[i][1]));
    for (size_t i = 0; i < COUNT(refused); i++) {
        uint8_t out[16];
        size_t len;
        assert_int_equal(base64url_decode(slice_str(refused[i]), out, sizeof(out), &len),
                         ST_SYNTAX);
    }
    uint8_t small[2];
    size_t len;
    assert_int_equal(base64url_decode(SLICE("Zm9v"), small, sizeof(small), &len), ST_LIMIT);
}

/* Bytes of any length and value survive the round trip. */
static void test_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[100];
    uint8_t out[100];
    size_t len;
    struct rng rng;
    struct buf buf;
    rng_seed(&rng, 7);
    buf_init(&buf, 1024);
    for (int round = 0; round < 2000; round++) {
        size_t count = rng_below(&rng, sizeof(bytes) + 1);
        for (size_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)rng_next(&rng);
        static encode_fn *const encoders[] = {hex_encode, base64_encode};
        static decode_fn *const decoders[] = {hex_decode, base64_decode};
        for (size_t k = 0; k < 2; k++) {
            buf_clear(&buf);
            encoders[k](&buf, slice_of(bytes, count));
            assert_int_equal(decoders[k](buf_slice(&buf), out, sizeof(out), &len), ST_OK);
            assert_true(slice_eq(slice_of(out, len), slice_of(bytes, count)));
        }
    }
    buf_free(&buf);
}

static void test_base64_refuses_what_is_not_canonical(void **state)
{
    (void)state;
    static const char *const table[] = {
        "Zg",       /* no padding */
        "Zg=",      /* half of it */
        "Zg===",    /* too much */
        "Zh==",     /* trailing bits in one byte's group */
        "Zm9=",     /* trailing bits in two bytes' group */
        "Zg==Zg==", /* padding in the middle */
        "Z===",     /* six bits are no byte */
        "====",     "=Zm9", "Zm=v",     "Zm9v\n",
        "Zm 9v",    " Zm9", "Zm9v Zm9", "-_-_", /* the URL-safe alphabet */
        "Zm9\xff",
    };
    uint8_t out[64];
    size_t len;
    for (size_t i = 0; i < COUNT(table); i++)
        assert_int_equal(base64_decode(slice_str(table[i]), out, sizeof(out), &len), ST_SYNTAX);
    assert_int_equal(base64_decode(slice_of("Zm\0v", 4), out, sizeof(out), &len), ST_SYNTAX);
}

/* Of all texts of four characters around "Zg==" only one means "f". */
static void test_base64_has_one_text_for_each_value(void **state)
{
    (void)state;
    uint8_t out[3];
    size_t len;
    size_t texts = 0;
    for (int c = 0; c < 256; c++) {
        char text[4] = {'Z', (char)c, '=', '='};
        if (base64_decode(slice_of(text, 4), out, sizeof(out), &len) == ST_OK && out[0] == 'f')
            texts++;
    }
    assert_int_equal(texts, 1);
}

static void test_hex_takes_either_case_and_nothing_else(void **state)
{
    (void)state;
    uint8_t out[4];
    size_t len;
    assert_int_equal(hex_decode(SLICE("DeadBEEF"), out, sizeof(out), &len), ST_OK);
    assert_memory_equal(out, "\xde\xad\xbe\xef", 4);
    static const char *const table[] = {"0", "abc", "0g", "g0", " 1", "1 ", "0x", "+1", "/0", ":0"};
    for (size_t i = 0; i < COUNT(table); i++)
        assert_int_equal(hex_decode(slice_str(table[i]), out, sizeof(out), &len), ST_SYNTAX);
}

/* The caller's room is never passed, and is used to the last byte. */
static void test_room(void **state)
{
    (void)state;
    uint8_t out[4] = {0, 0, 0, 0x55};
    size_t len;
    assert_int_equal(hex_decode(SLICE("01020304"), out, 3, &len), ST_LIMIT);
    assert_int_equal(base64_decode(SLICE("AQIDBA=="), out, 3, &len), ST_LIMIT);
    assert_int_equal(hex_decode(SLICE("010203"), out, 3, &len), ST_OK);
    assert_int_equal(base64_decode(SLICE("AQID"), out, 3, &len), ST_OK);
    assert_int_equal(out[3], 0x55);

    struct buf buf;
    buf_init(&buf, 7);
    base64_encode(&buf, SLICE("abcd"));
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    buf_clear(&buf);
    hex_encode(&buf, SLICE("abcd"));
    assert_int_equal(buf_status(&buf), ST_LIMIT);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_base64url),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_base64_refuses_what_is_not_canonical),
        cmocka_unit_test(test_base64_has_one_text_for_each_value),
        cmocka_unit_test(test_hex_takes_either_case_and_nothing_else),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
