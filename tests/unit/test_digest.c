/* test_digest.c - SHA-256 against the vectors of FIPS 180-4, in any parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "wire/digest.h"
#include "wire/encoding.h"

/* Kept over all tests, as whoever hashes often does. */
static struct digest context;

static void expect_digest(const struct slice *parts, size_t count, const char *hex)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    char text[2 * DIGEST_SHA256_BYTES];
    struct buf buf;
    buf_init(&buf, sizeof(text));
    assert_int_equal(digest_sha256(&context, parts, count, digest), ST_OK);
    hex_encode(&buf, slice_of(digest, sizeof(digest)));
    assert_true(slice_eq(buf_slice(&buf), slice_str(hex)));
    buf_free(&buf);
}

static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *hex;
    } table[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct slice whole = slice_str(table[i].text);
        expect_digest(&whole, 1, table[i].hex);
    }
    expect_digest(NULL, 0, table[0].hex);
    char *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    struct slice whole = slice_of(million, 1000000);
    expect_digest(&whole, 1, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* Where a text is cut plays no part, and empty parts, present or not, count for nothing. */
static void test_parts(void **state)
{
    (void)state;
    static char text[300];
    uint8_t whole[DIGEST_SHA256_BYTES], cut[DIGEST_SHA256_BYTES];
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)rng_next(&rng);
    for (int round = 0; round < 500; round++) {
        size_t a = (size_t)rng_below(&rng, sizeof(text)), b = a;
        b += (size_t)rng_below(&rng, sizeof(text) - a);
        struct slice one = slice_of(text, sizeof(text));
        struct slice parts[] = {SLICE_NULL,         slice_of(text, a),
                                SLICE(""),          slice_of(text + a, b - a),
                                slice_from(one, b), SLICE_NULL};
        assert_int_equal(digest_sha256(&context, &one, 1, whole), ST_OK);
        assert_int_equal(digest_sha256(&context, parts, 6, cut), ST_OK);
        assert_memory_equal(whole, cut, sizeof(cut));
    }
}

/* After it was freed it can be used again. */
static void test_freed(void **state)
{
    (void)state;
    digest_free(&context);
    expect_digest(NULL, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_free(&context);
    digest_free(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
