/* test_hash.c - the keyed and the stable hash against values and programs of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/hash.h"
#include "base/rng.h"

static uint64_t openssl_siphash13(EVP_MAC *mac, const unsigned char key[16], struct slice bytes)
{
    unsigned c_rounds = 1, d_rounds = 3;
    size_t size = 8, len;
    unsigned char out[8];
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c_rounds),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d_rounds),
        OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    assert_non_null(context);
    assert_int_equal(EVP_MAC_init(context, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(context, (const unsigned char *)bytes.ptr, bytes.len), 1);
    assert_int_equal(EVP_MAC_final(context, out, &len, sizeof(out)), 1);
    EVP_MAC_CTX_free(context);
    uint64_t value = 0;
    for (size_t i = 8; i-- > 0;)
        value = value << 8 | out[i];
    return value;
}

/* SipHash-1-3 as OpenSSL computes it, for random keys and all lengths around the words. */
static void test_keyed_is_siphash13(void **state)
{
    (void)state;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    assert_non_null(mac);
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t len = 0; len < 300; len++) {
        uint64_t key[2] = {rng_next(&rng), rng_next(&rng)};
        unsigned char key_bytes[16];
        char text[300];
        for (size_t i = 0; i < 16; i++)
            key_bytes[i] = (unsigned char)(key[i / 8] >> (i % 8 * 8));
        for (size_t i = 0; i < len; i++)
            text[i] = (char)rng_next(&rng);
        struct slice bytes = slice_of(text, len);
        assert_true(hash_keyed(bytes, key[0], key[1]) == openssl_siphash13(mac, key_bytes, bytes));
    }
    EVP_MAC_free(mac);
}

/* One key for the whole process, and not a constant one. */
static void test_bytes(void **state)
{
    (void)state;
    assert_true(hash_bytes(SLICE("endpoint")) == hash_bytes(SLICE("endpoint")));
    assert_true(hash_bytes(SLICE("endpoint")) != hash_bytes(SLICE("endpoinu")));
    assert_true(hash_bytes(SLICE("endpoint")) != hash_keyed(SLICE("endpoint"), 0, 0));
    assert_true(hash_bytes(SLICE_NULL) == hash_bytes(SLICE("")));
}

/* Endpoints sit on lanes by these values: they may never change. Computed with Python. */
static void test_stable_never_changes(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        uint64_t hash;
    } cases[] = {
        {{"", 0}, 0xefd01f60ba992926u},
        {{"a", 1}, 0x82a2a958a9bece5bu},
        {{"1234567", 7}, 0x8e6bc525859a4392u},
        {{"12345678", 8}, 0xa57e134acd6f3791u},
        {{"\x00\xff\x80", 3}, 0xfbf948707efea51bu},
        {{"ep_0ujsszwN8NRY24YaXiTIE2VWDTS", 30}, 0xacc62ec5cf44bfcbu},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(hash_stable(cases[i].bytes) == cases[i].hash);
}

/* Names that differ in the last digits only are spread evenly over 256 lanes by the low bits
 * (chi-squared with 255 degrees of freedom; the hash is fixed, so the figure is too). */
static void test_stable_spreads_over_lanes(void **state)
{
    (void)state;
    enum { NAMES = 25600, LANES = 256 };
    int counts[LANES] = {0};
    double chi_squared = 0;
    for (int i = 0; i < NAMES; i++) {
        char name[32];
        int len = snprintf(name, sizeof(name), "endpoint-%d", i);
        counts[hash_stable(slice_of(name, (size_t)len)) % LANES]++;
    }
    for (int i = 0; i < LANES; i++)
        chi_squared += (counts[i] - 100) * (counts[i] - 100) / 100.0;
    assert_true(chi_squared < 340);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyed_is_siphash13),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_stable_never_changes),
        cmocka_unit_test(test_stable_spreads_over_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
