/* test_signer.c - the test vectors of RFC 4231, RFC 2202 and RFC 8032, and how keys behave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/encoding.h"
#include "wire/signer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct slice unhex(const char *hex, uint8_t *out, size_t size)
{
    size_t len;
    assert_int_equal(hex_decode(slice_str(hex), out, size, &len), ST_OK);
    return slice_of(out, len);
}

static void check_signature(struct signer_key *key, const struct slice *parts, size_t count,
                            const char *hex)
{
    uint8_t expected[SIGNER_SIGNATURE_MAX];
    uint8_t actual[SIGNER_SIGNATURE_MAX];
    struct slice signature = unhex(hex, expected, sizeof(expected));
    size_t len;
    assert_int_equal(signer_sign(key, parts, count, actual, &len), ST_OK);
    assert_int_equal(len, signature.len);
    assert_memory_equal(actual, expected, len);
    assert_true(signer_verify(key, parts, count, signature));
}

static void test_hmac_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *text;
        const char *sha1; /* RFC 2202 where it has the case */
        const char *sha256;
        const char *sha512;
    } table[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
         "b617318655057264e28bc0b6fb378c8ef146be00",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
         "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
         "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
        {"4a656665", "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
         "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
         "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const char *const expected[] = {table[i].sha1, table[i].sha256, table[i].sha512};
        for (enum sign_algorithm k = SIGN_HMAC_SHA1; k <= SIGN_HMAC_SHA512; k++) {
            uint8_t raw[64];
            struct signer_key *key;
            struct slice text = slice_str(table[i].text);
            struct slice raw_key = unhex(table[i].key, raw, sizeof(raw));
            assert_int_equal(signer_key_new(k, raw_key, &key), ST_OK);
            assert_int_equal(signer_key_algorithm(key), k);
            assert_true(signer_key_can_sign(key));
            check_signature(key, &text, 1, expected[k]);
            /* Once more: the context went back to where it was keyed. */
            check_signature(key, &text, 1, expected[k]);
            signer_key_free(key);
        }
    }
}

/* RFC 4231, test case 6: a key longer than the block of the digest. */
static void test_hmac_long_key(void **state)
{
    (void)state;
    char raw[131];
    struct signer_key *key;
    struct slice text = SLICE("Test Using Larger Than Block-Size Key - Hash Key First");
    memset(raw, 0xaa, sizeof(raw));
    assert_int_equal(signer_key_new(SIGN_HMAC_SHA256, slice_of(raw, sizeof(raw)), &key), ST_OK);
    check_signature(key, &text, 1,
                    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    signer_key_free(key);
}

static const struct {
    const char *seed;
    const char *public;
    const char *text;
    const char *signature;
} pairs[] = {
    /* RFC 8032 section 7.1, tests 1 to 3 */
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

static void test_ed25519_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        uint8_t raw[SIGNER_ED25519_PAIR];
        uint8_t text_bytes[8];
        uint8_t public[SIGNER_ED25519_PUBLIC];
        struct signer_key *seed_key;
        struct signer_key *pair_key;
        struct signer_key *public_key;
        struct slice seed = unhex(pairs[i].seed, raw, 32);
        struct slice half = unhex(pairs[i].public, raw + 32, 32);
        struct slice text = unhex(pairs[i].text, text_bytes, sizeof(text_bytes));
        assert_int_equal(signer_key_new(SIGN_ED25519, seed, &seed_key), ST_OK);
        assert_int_equal(signer_key_new(SIGN_ED25519, slice_of(raw, 64), &pair_key), ST_OK);
        assert_int_equal(signer_key_new_public(SIGN_ED25519, half, &public_key), ST_OK);
        check_signature(seed_key, &text, 1, pairs[i].signature);
        check_signature(pair_key, &text, 1, pairs[i].signature);
        assert_int_equal(signer_key_public(seed_key, public), ST_OK);
        assert_memory_equal(public, half.ptr, 32);

        /* A public key verifies and cannot sign. */
        uint8_t bytes[SIGNER_SIGNATURE_MAX];
        size_t len;
        struct slice signature = unhex(pairs[i].signature, bytes, sizeof(bytes));
        assert_true(signer_verify(public_key, &text, 1, signature));
        assert_false(signer_key_can_sign(public_key));
        assert_int_equal(signer_sign(public_key, &text, 1, bytes, &len), ST_UNSUPPORTED);
        signer_key_free(seed_key);
        signer_key_free(pair_key);
        signer_key_free(public_key);
    }
}

/* However a text is cut into parts, empty ones included, the signature is the same. */
static void test_parts(void **state)
{
    (void)state;
    static const enum sign_algorithm algorithms[] = {SIGN_HMAC_SHA256, SIGN_ED25519};
    const struct slice whole = SLICE("msg_1.1700000000.{}");
    const struct slice parts[] = {SLICE("msg_1"),      SLICE("."), SLICE_NULL,
                                  SLICE("1700000000"), SLICE(""),  SLICE(".{}")};
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        struct signer_key *key;
        uint8_t one[SIGNER_SIGNATURE_MAX];
        uint8_t many[SIGNER_SIGNATURE_MAX];
        size_t one_len;
        size_t many_len;
        assert_int_equal(
            signer_key_new(algorithms[i], SLICE("0123456789abcdef0123456789abcdef"), &key), ST_OK);
        assert_int_equal(signer_sign(key, &whole, 1, one, &one_len), ST_OK);
        assert_int_equal(signer_sign(key, parts, COUNT(parts), many, &many_len), ST_OK);
        assert_int_equal(one_len, many_len);
        assert_memory_equal(one, many, one_len);
        assert_true(signer_verify(key, parts, COUNT(parts), slice_of(one, one_len)));
        /* Nothing signed at all is the empty text. */
        const struct slice empty = SLICE("");
        assert_int_equal(signer_sign(key, NULL, 0, many, &many_len), ST_OK);
        assert_true(signer_verify(key, &empty, 1, slice_of(many, many_len)));
        signer_key_free(key);
    }
}

/* Each bit of text and signature counts, and so does the signature's length. */
static void test_changes_are_noticed(void **state)
{
    (void)state;
    for (enum sign_algorithm algorithm = 0; algorithm <= SIGN_ED25519; algorithm++) {
        struct signer_key *key;
        uint8_t signature[SIGNER_SIGNATURE_MAX + 1] = {0};
        char bytes[] = "text";
        struct slice text = slice_of(bytes, 4);
        size_t len;
        assert_int_equal(signer_key_new(algorithm, SLICE("0123456789abcdef0123456789abcdef"), &key),
                         ST_OK);
        assert_int_equal(signer_sign(key, &text, 1, signature, &len), ST_OK);
        assert_int_equal(len, sign_algorithm_bytes(algorithm));
        for (size_t bit = 0; bit < len * 8; bit++) {
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(signer_verify(key, &text, 1, slice_of(signature, len)));
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t bit = 0; bit < 32; bit++) {
            bytes[bit / 8] ^= (char)(1 << bit % 8);
            assert_false(signer_verify(key, &text, 1, slice_of(signature, len)));
            bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
        assert_false(signer_verify(key, &text, 1, slice_of(signature, len - 1)));
        assert_false(signer_verify(key, &text, 1, slice_of(signature, len + 1)));
        assert_false(signer_verify(key, &text, 1, SLICE("")));
        assert_true(signer_verify(key, &text, 1, slice_of(signature, len)));
        signer_key_free(key);
    }
}

/* One good signature among bad ones is found, wherever it is; none among none. */
static void test_any_of_several(void **state)
{
    (void)state;
    static const char zeros[64];
    static const enum sign_algorithm algorithms[] = {SIGN_HMAC_SHA256, SIGN_ED25519};
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        struct signer_key *key;
        uint8_t bytes[SIGNER_SIGNATURE_MAX];
        struct slice text = SLICE("text");
        size_t len;
        assert_int_equal(
            signer_key_new(algorithms[i], SLICE("0123456789abcdef0123456789abcdef"), &key), ST_OK);
        assert_int_equal(signer_sign(key, &text, 1, bytes, &len), ST_OK);
        for (size_t good = 0; good < 4; good++) {
            struct slice signatures[3];
            for (size_t k = 0; k < 3; k++)
                signatures[k] = slice_of(k == good ? (const char *)bytes : zeros, len);
            assert_int_equal(signer_verify_any(key, &text, 1, signatures, 3), good < 3);
        }
        assert_false(signer_verify_any(key, &text, 1, NULL, 0));
        signer_key_free(key);
    }
}

static void test_bad_keys(void **state)
{
    (void)state;
    struct signer_key *key;
    uint8_t raw[80] = {0};
    static const size_t lengths[] = {0, 31, 33, 63, 65};
    assert_int_equal(signer_key_new(SIGN_HMAC_SHA256, SLICE(""), &key), ST_RANGE);
    assert_null(key);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        assert_int_equal(signer_key_new(SIGN_ED25519, slice_of(raw, lengths[i]), &key), ST_RANGE);
        assert_int_equal(signer_key_new_public(SIGN_ED25519, slice_of(raw, lengths[i]), &key),
                         ST_RANGE);
        assert_null(key);
    }
    /* Seed of the first pair, public half of the second. */
    unhex(pairs[0].seed, raw, 32);
    unhex(pairs[1].public, raw + 32, 32);
    assert_int_equal(signer_key_new(SIGN_ED25519, slice_of(raw, 64), &key), ST_RANGE);
    assert_null(key);
    uint8_t public[SIGNER_ED25519_PUBLIC];
    assert_int_equal(signer_key_new(SIGN_HMAC_SHA1, SLICE("k"), &key), ST_OK);
    assert_int_equal(signer_key_public(key, public), ST_UNSUPPORTED);
    signer_key_free(key);
    signer_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac_vectors),
        cmocka_unit_test(test_hmac_long_key),
        cmocka_unit_test(test_ed25519_vectors),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_changes_are_noticed),
        cmocka_unit_test(test_any_of_several),
        cmocka_unit_test(test_bad_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
