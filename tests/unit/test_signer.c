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

/* Made with openssl: keys as SubjectPublicKeyInfo, and what `openssl dgst -sha256 -sign` makes of
 * "one two". */
static const struct {
    enum sign_algorithm algorithm;
    const char *key;
    const char *signature; /* NULL: the key is not of the kind or the strength that is asked for */
} public_keys[] = {
    {SIGN_ECDSA_P256_SHA256,
     "3059301306072a8648ce3d020106082a8648ce3d0301070342000435b84223d2f65d805292cb211f78f2"
     "14eb2d545afe5c5386f06b68378b95a5122ce14af13d239045f3848d41efbf2f570b8902ca5a9850099b"
     "ad5626e10227a1",
     "3045022005c563b5cc7bb1540cd4000b383c1ba17107cb72ef8234a10ed1bddfba9b751e0221009b09b7"
     "4cbd78a39884e3587116c20d2d9bc0e22967ae77789e6cc03290d60f2b"},
    {SIGN_RSA_SHA256,
     "30820122300d06092a864886f70d01010105000382010f003082010a0282010100be369fba8f25fcf402"
     "ea91940787241964171ef59b3729a0f8b7c53c1e7eacdb1ce8509eac65ed622428c58763218a95a6bf22"
     "edbbd983b499c309a9e95c0e74ab4a6c9a8b289b3aaa58e98f89928b6cc150a5e8ea452692ad6bd3aaf5"
     "a7fc0bfb8f82b492e69b39e4fa988abf6814df173bfd11b99ce03384951e727b467719998711011d9d21"
     "00239d91437da89ed0f9567a3ee42775f7293e157c49a257c64f7562ab36828077138888553dcc85a445"
     "46db308517d1baac8901b420b8c29a2673422169f0dadb5924c2aca585e43a074aab5d5f23fc5129f033"
     "29dc10b70cda210cb9d12dfb4a900b1160c671e56609d7512de9c8b5a76867a67d7fef02870203010001",
     "6f48cec1fda6400b24a506422ad9c9181e9ce3fbecff8a2cafe85a69c33d3966ce7cb995708145cbd453"
     "146ded01d7c9b207146afdb80469447deef70c2fa7e8230a913a9e90384836354855ec7f51ff4573de37"
     "17858ca6ea47df0d9148ab04480995ed77374773d629da0bd0941d36fbe9e49d8909f9d7f5afa68ce1ea"
     "814ec42dd0ea2f4b9f4847ec2d89b3fb5515379111dad45edaa882f9efd23ba2fea2b9cc1092911d5a8d"
     "5bda664b3b17d0d7101d5fc563af353022c41d0a159f29fcc26c72d0eeb3e97350265303b6b7094a051a"
     "2f8174e62df0e43a26a7c8e9fe28d6479e98265c3eaec10afe73798afa87d6a0357de130a4193f01e745"
     "442212a3"},
    {SIGN_ECDSA_P256_SHA256,
     "3076301006072a8648ce3d020106052b8104002203620004bb7a80b7aacf4c48aa28412f60fdf32b9b45"
     "81caf31d6c5485f8f160849b83e17e71e411a750ffa4b7dabbdbc1796d13a3f886f9106c8cc4efcd9882"
     "f05deda4f2097dc5fdfbeb98381e141f2f939cf28b28d66163cc6a1997dc44ed63f7bd7f",
     NULL},
    {SIGN_RSA_SHA256,
     "30819f300d06092a864886f70d010101050003818d0030818902818100cbb698e61a2faf00b61b5ccc32"
     "d2a8987763379039bbdfa217e69b46df6e88723f8d77f65aa183f8d31fe38a0322674f0445f7376788ba"
     "9f2e41011f6a14905b487f76ab375455493f677e891f6181886e2e43a368d8207d7cdd86b3653d784317"
     "cde0e25395450b59e0fc10e2d029531edcdbcbd8dcfb8fe80fb7ebf2807cdd0203010001",
     NULL},
};

/* ECDSA and RSA verify with a public key, and with nothing changed: no bit of text or signature, no
 * length. They cannot sign. */
static void test_public_keys(void **state)
{
    (void)state;
    const struct slice text[] = {SLICE("one"), SLICE(" "), SLICE_NULL, SLICE("two")};
    const struct slice other[] = {SLICE("one two"), SLICE("x")};
    for (size_t i = 0; i < COUNT(public_keys); i++) {
        uint8_t der[512], signature[SIGNER_VERIFY_MAX], out[SIGNER_SIGNATURE_MAX];
        enum sign_algorithm algorithm = public_keys[i].algorithm;
        struct signer_key *key;
        size_t len, ignored;
        assert_int_equal(hex_decode(slice_str(public_keys[i].key), der, sizeof(der), &len), ST_OK);
        struct slice spki = slice_of(der, len);
        if (!public_keys[i].signature) {
            assert_int_equal(signer_key_new_public(algorithm, spki, &key), ST_RANGE);
            assert_null(key);
            continue;
        }
        assert_int_equal(signer_key_new(algorithm, spki, &key), ST_UNSUPPORTED);
        assert_int_equal(signer_key_new_public(algorithm, slice_of(der, len - 1), &key), ST_RANGE);
        der[len] = 0;
        assert_int_equal(signer_key_new_public(algorithm, slice_of(der, len + 1), &key), ST_RANGE);
        assert_int_equal(signer_key_new_public(algorithm, SLICE(""), &key), ST_RANGE);
        assert_int_equal(signer_key_new_public(algorithm, spki, &key), ST_OK);
        assert_int_equal(
            hex_decode(slice_str(public_keys[i].signature), signature, sizeof(signature), &len),
            ST_OK);
        assert_true(signer_verify(key, text, COUNT(text), slice_of(signature, len)));
        assert_true(signer_verify(key, other, 1, slice_of(signature, len)));
        assert_false(signer_verify(key, other, 2, slice_of(signature, len)));
        assert_false(signer_verify(key, text, COUNT(text), slice_of(signature, len - 1)));
        assert_false(signer_verify(key, text, COUNT(text), slice_of(signature, 0)));
        for (size_t bit = 0; bit < len * 8; bit += 5) {
            signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
            assert_false(signer_verify(key, text, COUNT(text), slice_of(signature, len)));
            signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        assert_false(signer_key_can_sign(key));
        assert_int_equal(signer_sign(key, text, COUNT(text), out, &ignored), ST_UNSUPPORTED);
        assert_int_equal(signer_key_public(key, out), ST_UNSUPPORTED);
        signer_key_free(key);
    }
}

/* A token verifies itself and nothing else, whatever the text. */
static void test_token(void **state)
{
    (void)state;
    struct signer_key *key;
    uint8_t out[SIGNER_SIGNATURE_MAX];
    size_t len;
    assert_int_equal(signer_key_new(SIGN_TOKEN, SLICE(""), &key), ST_RANGE);
    assert_int_equal(signer_key_new(SIGN_TOKEN, SLICE("token"), &key), ST_OK);
    assert_true(signer_verify(key, NULL, 0, SLICE("token")));
    assert_false(signer_verify(key, NULL, 0, SLICE("toke")));
    assert_false(signer_verify(key, NULL, 0, SLICE("tokens")));
    assert_false(signer_verify(key, NULL, 0, SLICE("Token")));
    assert_false(signer_verify(key, NULL, 0, SLICE("")));
    const struct slice several[] = {SLICE("a"), SLICE("token"), SLICE("b")};
    assert_true(signer_verify_any(key, NULL, 0, several, 3));
    assert_int_equal(signer_sign(key, NULL, 0, out, &len), ST_UNSUPPORTED);
    assert_false(signer_key_can_sign(key));
    signer_key_free(key);
    assert_int_equal(signer_key_new_public(SIGN_TOKEN, SLICE("token"), &key), ST_UNSUPPORTED);
    assert_null(key);
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
        cmocka_unit_test(test_public_keys),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_changes_are_noticed),
        cmocka_unit_test(test_any_of_several),
        cmocka_unit_test(test_bad_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
