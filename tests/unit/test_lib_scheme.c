/* test_lib_scheme.c - the C library: schemes, their secrets, and what calls answer. Uses nothing
 * but the public headers, so that tests/e2e/test_library.py can build it against the installed
 * library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <trotline/trotline.h>

#define ACME                                                                                       \
    "name: acme\n"                                                                                 \
    "description: of a test\n"                                                                     \
    "headers:\n"                                                                                   \
    "  - {name: Acme-Signature, value: \"t={timestamp},{signature}\"}\n"                           \
    "signed: \"{timestamp}.{body}\"\n"                                                             \
    "encoding: hex\n"                                                                              \
    "separator: \",\"\n"                                                                           \
    "signatures:\n"                                                                                \
    "  - algorithm: hmac-sha256\n"                                                                 \
    "    prefix: \"v1=\"\n"                                                                        \
    "    key: {format: raw}\n"                                                                     \
    "body: \"{data}\"\n"

/* Each built-in scheme opens by the name under which it is listed, and the names are sorted. */
static void test_builtin(void **state)
{
    (void)state;
    char before[64] = "", name[64];
    size_t count = 0;
    for (struct trotline_slice slice; (slice = trotline_scheme_builtin(count)).at; count++) {
        struct trotline_scheme *scheme;
        snprintf(name, sizeof(name), "%.*s", (int)slice.bytes, slice.at);
        assert_int_equal(trotline_scheme_open(name, &scheme), TROTLINE_OK);
        assert_string_equal(trotline_scheme_name(scheme), name);
        assert_non_null(trotline_scheme_description(scheme));
        assert_true(strcmp(before, name) < 0);
        assert_true(trotline_scheme_verifies(scheme));
        trotline_scheme_free(scheme);
        memcpy(before, name, sizeof(before));
    }
    assert_true(count > 50);
    assert_null(trotline_scheme_builtin(SIZE_MAX).at);
}

/* What is known of some of them. */
static void test_properties(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool sends, secret, url;
    } table[] = {
        {"standard", true, true, false}, {"standard_v1a", true, true, false},
        {"github", false, true, false},  {"twilio", false, true, true},
        {"square", false, true, true},   {"event_grid", false, false, false},
        {"trello", false, true, true},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct trotline_scheme *scheme;
        assert_int_equal(trotline_scheme_open(table[i].name, &scheme), TROTLINE_OK);
        assert_int_equal(trotline_scheme_sends(scheme), table[i].sends);
        assert_int_equal(trotline_scheme_needs_secret(scheme), table[i].secret);
        assert_int_equal(trotline_scheme_needs_url(scheme), table[i].url);
        assert_null(trotline_scheme_variable(scheme, 0).at);
        trotline_scheme_free(scheme);
    }
}

/* A description becomes a scheme; a wrong one is refused with its place. */
static void test_parse(void **state)
{
    (void)state;
    struct trotline_scheme *scheme;
    struct trotline_error error;
    assert_int_equal(trotline_scheme_parse(ACME, strlen(ACME), NULL, &scheme, &error), TROTLINE_OK);
    assert_string_equal(trotline_scheme_name(scheme), "acme");
    assert_string_equal(trotline_scheme_description(scheme), "of a test");
    assert_true(trotline_scheme_sends(scheme));
    trotline_scheme_free(scheme);

    static const char wrong[] = "name: acme\nsignatures: 7\n";
    assert_int_equal(trotline_scheme_parse(wrong, strlen(wrong), "acme.yaml", &scheme, &error),
                     TROTLINE_INVALID_SCHEME);
    assert_null(scheme);
    assert_string_equal(error.code, "invalid_scheme");
    assert_ptr_equal(strstr(error.message, "acme.yaml:2: "), error.message);
    assert_int_equal(trotline_scheme_parse(wrong, strlen(wrong), NULL, &scheme, NULL),
                     TROTLINE_INVALID_SCHEME);
    assert_int_equal(trotline_scheme_parse("", 0, NULL, &scheme, &error), TROTLINE_INVALID_SCHEME);
    static char huge[64 * 1024 + 1];
    memset(huge, '#', sizeof(huge));
    assert_int_equal(trotline_scheme_parse(huge, sizeof(huge), NULL, &scheme, &error),
                     TROTLINE_INVALID_SCHEME);
}

/* Wrong arguments are answered, and freeing nothing is nothing. */
static void test_arguments(void **state)
{
    (void)state;
    struct trotline_scheme *scheme;
    assert_int_equal(trotline_scheme_open("nobody", &scheme), TROTLINE_NOT_FOUND);
    assert_null(scheme);
    assert_int_equal(trotline_scheme_open("passthrough", &scheme), TROTLINE_NOT_FOUND);
    assert_int_equal(trotline_scheme_open(NULL, &scheme), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_scheme_open("standard", NULL), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_scheme_parse(NULL, 0, NULL, &scheme, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_scheme_parse("", 0, NULL, NULL, NULL), TROTLINE_INVALID_ARGUMENT);
    trotline_scheme_free(NULL);
    assert_null(trotline_scheme_name(NULL));
    assert_null(trotline_scheme_description(NULL));
    assert_false(trotline_scheme_sends(NULL) || trotline_scheme_verifies(NULL) ||
                 trotline_scheme_needs_secret(NULL) || trotline_scheme_needs_url(NULL));
    assert_null(trotline_scheme_variable(NULL, 0).at);
}

/* A secret that a scheme generates is one of it, and no two are the same. */
static void test_generated(void **state)
{
    (void)state;
    static const char *const names[] = {"standard", "standard_v1a", "svix",  "event",
                                        "guide",    "basic",        "github"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct trotline_scheme *scheme;
        char one[TROTLINE_SECRET_BYTES], other[TROTLINE_SECRET_BYTES];
        assert_int_equal(trotline_scheme_open(names[i], &scheme), TROTLINE_OK);
        assert_int_equal(trotline_secret_generate(scheme, one, sizeof(one)), TROTLINE_OK);
        assert_int_equal(trotline_secret_generate(scheme, other, sizeof(other)), TROTLINE_OK);
        assert_string_not_equal(one, other);
        assert_int_equal(trotline_secret_check(scheme, one, NULL), TROTLINE_OK);
        assert_int_equal(trotline_secret_check_verifying(scheme, one, NULL), TROTLINE_OK);
        /* It takes its length and a NUL, and not a byte less. */
        assert_int_equal(trotline_secret_generate(scheme, other, strlen(one) + 1), TROTLINE_OK);
        assert_int_equal(trotline_secret_generate(scheme, other, strlen(one)), TROTLINE_TOO_SMALL);
        assert_string_equal(other, "");
        assert_int_equal(trotline_secret_generate(scheme, other, 0), TROTLINE_TOO_SMALL);
        trotline_scheme_free(scheme);
    }
}

/* What is no secret is refused with a sentence that says how one looks. */
static void test_checked(void **state)
{
    (void)state;
    struct trotline_scheme *scheme;
    struct trotline_error error = {NULL, "", ""};
    assert_int_equal(trotline_scheme_open("standard", &scheme), TROTLINE_OK);
    static const char *const bad[] = {"", "whsec_", "whsec_short", "whsec_*******************",
                                      "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&error, 0, sizeof(error));
        assert_int_equal(trotline_secret_check(scheme, bad[i], &error), TROTLINE_INVALID_SECRET);
        assert_string_equal(error.code, "invalid_secret");
        assert_non_null(strstr(error.message, "whsec_"));
        assert_int_equal(trotline_secret_check(scheme, bad[i], NULL), TROTLINE_INVALID_SECRET);
    }
    assert_int_equal(trotline_secret_check(scheme, NULL, &error), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_secret_check(NULL, "x", &error), TROTLINE_INVALID_ARGUMENT);
    char text[TROTLINE_SECRET_BYTES];
    assert_int_equal(trotline_secret_generate(NULL, text, sizeof(text)), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_secret_generate(scheme, NULL, 9), TROTLINE_INVALID_ARGUMENT);
    trotline_scheme_free(scheme);
    assert_int_equal(trotline_scheme_open("event_grid", &scheme), TROTLINE_OK);
    assert_int_equal(trotline_secret_generate(scheme, text, sizeof(text)), TROTLINE_UNSUPPORTED);
    trotline_scheme_free(scheme);
}

/* An Ed25519 secret has a public half, with which one verifies and does not sign. The pair is that
 * of the specification's libraries (tests/vectors). */
static void test_public(void **state)
{
    (void)state;
    static const char secret[] = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLl"
                                 "X0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    static const char public_key[] = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    struct trotline_scheme *scheme;
    struct trotline_error error;
    char text[TROTLINE_SECRET_BYTES];
    assert_int_equal(trotline_scheme_open("standard_v1a", &scheme), TROTLINE_OK);
    assert_int_equal(trotline_secret_public(scheme, secret, text, sizeof(text)), TROTLINE_OK);
    assert_string_equal(text, public_key);
    assert_int_equal(trotline_secret_check_verifying(scheme, public_key, NULL), TROTLINE_OK);
    assert_int_equal(trotline_secret_check(scheme, public_key, &error), TROTLINE_INVALID_SECRET);
    assert_non_null(strstr(error.message, "public key"));
    assert_int_equal(trotline_secret_public(scheme, "whsk_no", text, sizeof(text)),
                     TROTLINE_INVALID_SECRET);
    assert_int_equal(trotline_secret_public(scheme, NULL, text, sizeof(text)),
                     TROTLINE_INVALID_ARGUMENT);
    trotline_scheme_free(scheme);
    assert_int_equal(trotline_scheme_open("guide", &scheme), TROTLINE_OK);
    assert_int_equal(trotline_secret_public(scheme, "0123456789abcdef", text, sizeof(text)),
                     TROTLINE_UNSUPPORTED);
    trotline_scheme_free(scheme);
}

/* All numbers have a name and a text, known or not. */
static void test_names(void **state)
{
    (void)state;
    for (int i = TROTLINE_OK; i <= TROTLINE_LOST; i++) {
        assert_string_not_equal(trotline_status_name((enum trotline_status)i), "unknown");
        assert_string_not_equal(trotline_status_text((enum trotline_status)i), "unknown status");
    }
    assert_string_equal(trotline_status_name((enum trotline_status)(TROTLINE_LOST + 1)), "unknown");
    assert_string_equal(trotline_status_name((enum trotline_status) - 1), "unknown");
    assert_string_equal(trotline_status_name(TROTLINE_INVALID_EVENT), "invalid_event");
    for (int i = TROTLINE_VERIFIED; i <= TROTLINE_VERDICT_INVALID_ARGUMENT; i++) {
        assert_string_not_equal(trotline_verdict_name((enum trotline_verdict)i), "unknown");
        assert_string_not_equal(trotline_verdict_text((enum trotline_verdict)i), "unknown verdict");
    }
    assert_string_equal(trotline_verdict_name((enum trotline_verdict)99), "unknown");
    assert_string_equal(trotline_verdict_name(TROTLINE_TOO_OLD), "too_old");
    assert_string_equal(trotline_version(), TROTLINE_VERSION_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin),   cmocka_unit_test(test_properties),
        cmocka_unit_test(test_parse),     cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_generated), cmocka_unit_test(test_checked),
        cmocka_unit_test(test_public),    cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
