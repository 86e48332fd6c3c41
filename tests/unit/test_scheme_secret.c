/* test_scheme_secret.c - secrets as text: which fit a scheme, and that generated ones do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/scheme.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* RFC 8032 section 7.1, test 1: the seed, the pair, and the seed with the key of test 2. */
#define SEED "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PAIR                                                                                       \
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/"                               \
    "tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
#define MIXED                                                                                      \
    "whsk_nWGxne/"                                                                                 \
    "9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A9QBfD6EOJWpK3CqdNG368nJgszy7ElozAzVXxKvRmDA=="
#define PUBLIC "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static struct scheme_set *set;

static int set_up(void **state)
{
    (void)state;
    set = scheme_set_new();
    return set ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    scheme_set_free(set);
    return 0;
}

static void test_which_secrets_fit(void **state)
{
    (void)state;
    static char long_text[257];
    memset(long_text, 'x', 256);
    static const struct {
        const char *scheme;
        const char *secret;
        bool fits;
    } table[] = {
        {"standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true},  /* 24 bytes */
        {"standard", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false}, /* 23 */
        {"standard",
         "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
         true}, /* 75 */
        {"standard",
         "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
         false},                                                       /* 76 */
        {"standard", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false},       /* no prefix */
        {"standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", false},  /* cut */
        {"standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", false}, /* URL-safe */
        {"standard", "whsec_", false},
        {"standard", "", false},
        {"standard", SEED, true},
        {"standard", PAIR, true},
        {"standard", MIXED, false},
        {"standard", PUBLIC, false},
        {"standard", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false},
        {"svix", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true},
        {"event", "00112233445566778899aabbccddeeff", true},
        {"event", "00112233445566778899AABBCCDDEEFF", true},
        {"event", "00112233445566778899aabbccddee", false},    /* 15 bytes */
        {"event", "00112233445566778899aabbccddeeff0", false}, /* odd */
        {"event", "not hexadecimal at all, is it?!!", false},
        {"guide", "12345678", true},
        {"guide", "1234567", false},
        {"basic", "Zo\xc3\xab's secret", true},
        {"basic", long_text, true},
        {"basic", "", false},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct signer_key *key;
        const char *reason = NULL;
        const struct scheme *scheme = scheme_find(set, slice_str(table[i].scheme));
        enum status status = scheme_secret_key(scheme, slice_str(table[i].secret), &key, &reason);
        if (status != (table[i].fits ? ST_OK : ST_RANGE))
            fail_msg("%s: %s: %s", table[i].scheme, table[i].secret, status_name(status));
        assert_true((key != NULL) == table[i].fits);
        if (!table[i].fits)
            assert_true(strlen(reason) > 20);
        signer_key_free(key);
    }
    long_text[256] = 'x';
    struct signer_key *key;
    assert_int_equal(
        scheme_secret_key(scheme_find(set, SLICE("basic")), slice_of(long_text, 257), &key, NULL),
        ST_RANGE);
}

/* The sentence says how a secret of this scheme looks, or what is special. */
static void test_reasons(void **state)
{
    (void)state;
    static const struct {
        const char *scheme;
        const char *secret;
        const char *reason;
    } table[] = {
        {"standard", "x",
         "a secret is whsec_ followed by base64 of 24 to 75 bytes, or whsk_ followed by base64 of "
         "an "
         "Ed25519 seed (32 bytes) or of seed and public key (64 bytes)"},
        {"event", "x", "a secret is hexadecimal digits of 16 to 256 bytes"},
        {"guide", "x", "a secret is text of 8 to 256 bytes"},
        {"standard", PUBLIC, "this is a public key, which can verify but not sign"},
        {"standard", MIXED, "the public half of this key does not belong to its secret half"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct signer_key *key;
        const char *reason = NULL;
        const struct scheme *scheme = scheme_find(set, slice_str(table[i].scheme));
        assert_int_equal(scheme_secret_key(scheme, slice_str(table[i].secret), &key, &reason),
                         ST_RANGE);
        assert_string_equal(reason, table[i].reason);
    }
}

/* What is generated for a scheme fits it, has the promised form, and is not the same twice. */
static void test_generated_secrets_fit(void **state)
{
    (void)state;
    static const struct {
        const char *scheme;
        const char *prefix;
        size_t len;
    } table[] = {
        {"standard", "whsec_", 6 + 32},
        {"svix", "whsec_", 6 + 32},
        {"event", "", 64},
        {"guide", "", 64},
        {"basic", "", 64},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct scheme *scheme = scheme_find(set, slice_str(table[i].scheme));
        struct buf texts[2];
        for (size_t k = 0; k < 2; k++) {
            struct signer_key *key;
            buf_init(&texts[k], 1000);
            assert_int_equal(scheme_secret_generate(scheme, &texts[k]), ST_OK);
            struct slice text = buf_slice(&texts[k]);
            assert_int_equal(text.len, table[i].len);
            assert_true(slice_starts(text, slice_str(table[i].prefix)));
            for (size_t at = 0; at < text.len; at++)
                assert_true(text.ptr[at] > ' ' && text.ptr[at] < 0x7f);
            assert_int_equal(scheme_secret_key(scheme, text, &key, NULL), ST_OK);
            signer_key_free(key);
        }
        assert_false(slice_eq(buf_slice(&texts[0]), buf_slice(&texts[1])));
        buf_free(&texts[0]);
        buf_free(&texts[1]);
    }
}

/* A generated pair signs, and its public key alone verifies. */
static void test_generated_pair(void **state)
{
    (void)state;
    const struct scheme *scheme = scheme_find(set, SLICE("standard"));
    struct buf secret;
    struct buf public;
    struct signer_key *signing;
    struct signer_key *verifying;
    uint8_t signature[SIGNER_SIGNATURE_MAX];
    size_t len;
    struct slice text = SLICE("text");
    buf_init(&secret, 1000);
    buf_init(&public, 1000);
    assert_int_equal(scheme_secret_generate_for(scheme, SIGN_ED25519, &secret), ST_OK);
    assert_int_equal(secret.len, 5 + 88); /* seed and public key */
    assert_int_equal(scheme_secret_public(scheme, buf_slice(&secret), &public), ST_OK);
    assert_int_equal(scheme_secret_key(scheme, buf_slice(&secret), &signing, NULL), ST_OK);
    assert_int_equal(scheme_verify_key(scheme, buf_slice(&public), &verifying, NULL), ST_OK);
    assert_int_equal(signer_sign(signing, &text, 1, signature, &len), ST_OK);
    assert_true(signer_verify(verifying, &text, 1, slice_of(signature, len)));
    assert_int_equal(scheme_secret_generate_for(scheme, SIGN_HMAC_SHA1, &public), ST_UNSUPPORTED);
    signer_key_free(signing);
    signer_key_free(verifying);
    buf_free(&secret);
    buf_free(&public);
}

/* A seed is imported as what we write: seed and public key. Other secrets stay as they are. */
static void test_normal_form(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {SEED, PAIR},
        {PAIR, PAIR},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    };
    const struct scheme *scheme = scheme_find(set, SLICE("standard"));
    struct buf text;
    buf_init(&text, 1000);
    for (size_t i = 0; i < COUNT(table); i++) {
        buf_clear(&text);
        assert_int_equal(scheme_secret_normalize(scheme, slice_str(table[i][0]), &text), ST_OK);
        assert_true(slice_eq(buf_slice(&text), slice_str(table[i][1])));
    }
    assert_int_equal(scheme_secret_normalize(scheme, SLICE(MIXED), &text), ST_RANGE);
    assert_int_equal(scheme_secret_normalize(scheme, SLICE(PUBLIC), &text), ST_RANGE);
    buf_free(&text);
}

static void test_public_key_of_a_secret(void **state)
{
    (void)state;
    const struct scheme *scheme = scheme_find(set, SLICE("standard"));
    struct buf text;
    buf_init(&text, 1000);
    assert_int_equal(scheme_secret_public(scheme, SLICE(SEED), &text), ST_OK);
    assert_true(slice_eq(buf_slice(&text), SLICE(PUBLIC)));
    assert_int_equal(
        scheme_secret_public(scheme, SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &text),
        ST_UNSUPPORTED);
    assert_int_equal(scheme_secret_public(scheme, SLICE("x"), &text), ST_RANGE);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_secrets_fit),     cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_generated_secrets_fit), cmocka_unit_test(test_generated_pair),
        cmocka_unit_test(test_normal_form),           cmocka_unit_test(test_public_key_of_a_secret),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
