/* test_lib_sign.c - the C library: what it signs it verifies, and every call says what was wrong
 * with it. Uses nothing but the public headers, so that tests/e2e/test_library.py can build it
 * against the installed library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trotline/trotline.h>

enum { HEADERS_MAX = 16 };

#define AT_MS  UINT64_C(1614265330000)
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static struct trotline_scheme *open_scheme(const char *name)
{
    struct trotline_scheme *scheme;
    assert_int_equal(trotline_scheme_open(name, &scheme), TROTLINE_OK);
    return scheme;
}

static struct trotline_signer *signer_of(const struct trotline_scheme *scheme, const char *secret)
{
    struct trotline_signer *signer;
    assert_int_equal(trotline_signer_new(scheme, &secret, 1, &signer, NULL), TROTLINE_OK);
    return signer;
}

static struct trotline_verifier *verifier_of(const struct trotline_scheme *scheme,
                                             const char *secret)
{
    struct trotline_verifier *verifier;
    assert_int_equal(trotline_verifier_new(scheme, &secret, 1, &verifier, NULL), TROTLINE_OK);
    return verifier;
}

/* What was signed, as it arrives. */
static struct trotline_request arrival(const struct trotline_signer *signer,
                                       struct trotline_header headers[HEADERS_MAX])
{
    struct trotline_request request;
    memset(&request, 0, sizeof(request));
    request.header_count = trotline_signed_header_count(signer);
    assert_true(request.header_count <= HEADERS_MAX);
    for (size_t i = 0; i < request.header_count; i++)
        headers[i] = trotline_signed_header(signer, i);
    request.headers = headers;
    request.body = trotline_signed_body(signer);
    return request;
}

static void expect_slice(struct trotline_slice slice, const char *text)
{
    assert_int_equal(slice.bytes, strlen(text));
    assert_memory_equal(slice.at, text, slice.bytes);
}

/* The example of the specification: id, time, body and signature. */
static void test_standard(void **state)
{
    (void)state;
    struct trotline_scheme *scheme = open_scheme("standard");
    struct trotline_signer *signer = signer_of(scheme, SECRET);
    struct trotline_webhook webhook = {.id = "msg_p5jXN8AQM9LWM0D4loKWxJek", .type = "test"};
    webhook.body = trotline_slice_str("{\"test\": 2432232314}");
    assert_int_equal(trotline_sign(signer, &webhook, AT_MS, NULL), TROTLINE_OK);
    assert_ptr_equal(trotline_signed_body(signer).at, webhook.body.at);
    assert_int_equal(trotline_signed_header_count(signer), 3);
    assert_string_equal(trotline_signed_header_line(signer, 0),
                        "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_string_equal(trotline_signed_header_line(signer, 1), "webhook-timestamp: 1614265330");
    assert_string_equal(trotline_signed_header_line(signer, 2),
                        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    expect_slice(trotline_signed_header(signer, 1).name, "webhook-timestamp");
    expect_slice(trotline_signed_header(signer, 1).value, "1614265330");
    assert_null(trotline_signed_header_line(signer, 3));
    assert_null(trotline_signed_header(signer, 3).name.at);
    trotline_signer_free(signer);
    trotline_scheme_free(scheme);
}

/* The body that a scheme makes. */
static void test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *body;
    } table[] = {
        {"standard", "{\"type\":\"order.paid\",\"timestamp\":\"2021-02-25T15:02:09.500Z\","
                     "\"data\":{\"a\" : 1}}"},
        {"svix", "{\"a\" : 1}"},
        {"event", "{\"id\":\"msg_1\",\"type\":\"order.paid\","
                  "\"timestamp\":\"2021-02-25T15:02:09.500Z\",\"data\":{\"a\" : 1},"
                  "\"version\":\"2\",\"source\":null}"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char secret[TROTLINE_SECRET_BYTES];
        struct trotline_scheme *scheme = open_scheme(table[i].scheme);
        assert_int_equal(trotline_secret_generate(scheme, secret, sizeof(secret)), TROTLINE_OK);
        struct trotline_signer *signer = signer_of(scheme, secret);
        const struct trotline_webhook webhook = {.id = "msg_1",
                                                 .type = "order.paid",
                                                 .timestamp_ms = AT_MS - 500,
                                                 .version = "2",
                                                 .data = trotline_slice_str("{\"a\" : 1}")};
        assert_int_equal(trotline_sign(signer, &webhook, AT_MS, NULL), TROTLINE_OK);
        expect_slice(trotline_signed_body(signer), table[i].body);
        trotline_signer_free(signer);
        trotline_scheme_free(scheme);
    }
}

/* Whatever a scheme that sends signs, it verifies, now and within its tolerance, and not when a
 * byte is another; id and type are found again where the headers have them. */
static void test_round_trip(void **state)
{
    (void)state;
    size_t sending = 0;
    for (size_t i = 0; trotline_scheme_builtin(i).at; i++) {
        char name[64], secret[TROTLINE_SECRET_BYTES], body[256];
        struct trotline_slice slice = trotline_scheme_builtin(i);
        snprintf(name, sizeof(name), "%.*s", (int)slice.bytes, slice.at);
        struct trotline_scheme *scheme = open_scheme(name);
        if (!trotline_scheme_sends(scheme)) {
            trotline_scheme_free(scheme);
            continue;
        }
        sending++;
        assert_int_equal(trotline_secret_generate(scheme, secret, sizeof(secret)), TROTLINE_OK);
        struct trotline_signer *signer = signer_of(scheme, secret);
        struct trotline_verifier *verifier = verifier_of(scheme, secret);
        struct trotline_webhook webhook = {.id = "msg_1", .type = "order.paid", .source = "shop"};
        webhook.data = trotline_slice_str("[1,2,3]");
        assert_int_equal(trotline_sign(signer, &webhook, 0, NULL), TROTLINE_OK);
        struct trotline_header headers[HEADERS_MAX];
        struct trotline_request request = arrival(signer, headers);
        struct trotline_finding finding;
        assert_int_equal(trotline_verify(verifier, &request, 0, &finding), TROTLINE_VERIFIED);
        assert_int_equal(finding.secret, 0);
        struct trotline_slice id = trotline_verifier_event_id(verifier, &request);
        if (id.at)
            expect_slice(id, "msg_1");
        assert_true(request.body.bytes < sizeof(body));
        memcpy(body, request.body.at, request.body.bytes);
        body[request.body.bytes - 1] ^= 1;
        request.body.at = body;
        assert_int_not_equal(trotline_verify(verifier, &request, 0, NULL), TROTLINE_VERIFIED);
        trotline_verifier_free(verifier);
        trotline_signer_free(signer);
        trotline_scheme_free(scheme);
    }
    assert_true(sending >= 6);
}

/* Time is judged, by the scheme's tolerance or by one's own. */
static void test_tolerance(void **state)
{
    (void)state;
    struct trotline_scheme *scheme = open_scheme("standard");
    struct trotline_signer *signer = signer_of(scheme, SECRET);
    struct trotline_verifier *verifier = verifier_of(scheme, SECRET);
    struct trotline_webhook webhook = {.id = "msg_1", .type = "test"};
    webhook.data = trotline_slice_str("null");
    assert_int_equal(trotline_sign(signer, &webhook, AT_MS, NULL), TROTLINE_OK);
    struct trotline_header headers[HEADERS_MAX];
    struct trotline_request request = arrival(signer, headers);
    struct trotline_finding finding;
    assert_int_equal(trotline_verify(verifier, &request, AT_MS + 300000, &finding),
                     TROTLINE_VERIFIED);
    assert_int_equal(finding.timestamp_ms, AT_MS);
    assert_int_equal(trotline_verify(verifier, &request, AT_MS + 301000, NULL), TROTLINE_TOO_OLD);
    assert_int_equal(trotline_verify(verifier, &request, AT_MS - 300001, NULL), TROTLINE_IN_FUTURE);
    assert_int_equal(trotline_verify(verifier, &request, 0, NULL), TROTLINE_TOO_OLD);
    trotline_verifier_set_tolerance(verifier, 1000, 0);
    assert_int_equal(trotline_verify(verifier, &request, AT_MS + 2000, NULL), TROTLINE_TOO_OLD);
    assert_int_equal(trotline_verify(verifier, &request, AT_MS - 1, NULL), TROTLINE_IN_FUTURE);
    trotline_verifier_set_tolerance(verifier, TROTLINE_TOLERANCE_OFF, TROTLINE_TOLERANCE_OFF);
    assert_int_equal(trotline_verify(verifier, &request, 0, NULL), TROTLINE_VERIFIED);
    trotline_verifier_free(verifier);
    trotline_signer_free(signer);
    trotline_scheme_free(scheme);
}

/* During a change of secrets both sign, either verifies, and the finding says which it was. */
static void test_rotation(void **state)
{
    (void)state;
    static const char *const both[] = {SECRET, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"};
    struct trotline_scheme *scheme = open_scheme("standard");
    struct trotline_signer *signer;
    assert_int_equal(trotline_signer_new(scheme, both, 2, &signer, NULL), TROTLINE_OK);
    struct trotline_webhook webhook = {.id = "msg_1", .type = "test"};
    webhook.data = trotline_slice_str("{}");
    assert_int_equal(trotline_sign(signer, &webhook, AT_MS, NULL), TROTLINE_OK);
    struct trotline_header headers[HEADERS_MAX];
    struct trotline_request request = arrival(signer, headers);
    for (size_t i = 0; i < 2; i++) {
        struct trotline_verifier *verifier = verifier_of(scheme, both[i]);
        assert_int_equal(trotline_verify(verifier, &request, AT_MS, NULL), TROTLINE_VERIFIED);
        trotline_verifier_free(verifier);
    }
    trotline_signer_free(signer);

    /* One that signs with the second alone. */
    signer = signer_of(scheme, both[1]);
    assert_int_equal(trotline_sign(signer, &webhook, AT_MS, NULL), TROTLINE_OK);
    request = arrival(signer, headers);
    struct trotline_verifier *verifier;
    struct trotline_finding finding;
    assert_int_equal(trotline_verifier_new(scheme, both, 2, &verifier, NULL), TROTLINE_OK);
    assert_int_equal(trotline_verify(verifier, &request, AT_MS, &finding), TROTLINE_VERIFIED);
    assert_int_equal(finding.secret, 1);
    trotline_verifier_free(verifier);
    verifier = verifier_of(scheme, both[0]);
    assert_int_equal(trotline_verify(verifier, &request, AT_MS, &finding), TROTLINE_BAD_SIGNATURE);
    assert_true(finding.secret == SIZE_MAX);
    trotline_verifier_free(verifier);
    trotline_signer_free(signer);
    trotline_scheme_free(scheme);
}

/* A scheme whose signature covers the URL and a variable asks for both, and is not content with
 * others. */
static void test_configured(void **state)
{
    (void)state;
    static const char text[] = "name: salted\n"
                               "signed: \"{var:salt}.{url}.{body}\"\n"
                               "encoding: hex\n"
                               "signatures:\n"
                               "  - algorithm: hmac-sha256\n"
                               "    key: {format: raw}\n"
                               "receive:\n"
                               "  signature: header:X-Signature\n"
                               "  id: [json:id]\n"
                               "  type: [header:X-Type, \"text:unknown\"]\n";
    /* HMAC-SHA256 with the key "key" of "nacl.https://example.com/hook.{"id":"7"}". */
    static const struct trotline_header header = {
        {"x-signature", 11},
        {" eba690fc74dc4c16e45366bb10aa60f6e00f3967dcab9184067bda987bb8bf68\t", 66}};
    struct trotline_scheme *scheme;
    struct trotline_error error;
    assert_int_equal(trotline_scheme_parse(text, strlen(text), NULL, &scheme, &error), TROTLINE_OK);
    expect_slice(trotline_scheme_variable(scheme, 0), "salt");
    assert_null(trotline_scheme_variable(scheme, 1).at);
    assert_true(trotline_scheme_needs_url(scheme));
    struct trotline_verifier *verifier = verifier_of(scheme, "key");
    struct trotline_request request;
    struct trotline_finding finding;
    memset(&request, 0, sizeof(request));
    request.headers = &header;
    request.header_count = 1;
    request.body = trotline_slice_str("{\"id\":\"7\"}");
    assert_int_equal(trotline_verify(verifier, &request, 0, &finding), TROTLINE_NOT_CONFIGURED);
    assert_int_equal(trotline_verifier_set_url(verifier, "https://example.com/hook"), TROTLINE_OK);
    assert_int_equal(trotline_verify(verifier, &request, 0, &finding), TROTLINE_NOT_CONFIGURED);
    assert_int_equal(trotline_verifier_set_variable(verifier, "salt", "sugar"), TROTLINE_OK);
    assert_int_equal(trotline_verify(verifier, &request, 0, &finding), TROTLINE_BAD_SIGNATURE);
    assert_int_equal(trotline_verifier_set_variable(verifier, "salt", "nacl"), TROTLINE_OK);
    assert_int_equal(trotline_verify(verifier, &request, 0, &finding), TROTLINE_VERIFIED);
    assert_int_equal(finding.timestamp_ms, 0);
    expect_slice(trotline_verifier_event_id(verifier, &request), "7");
    expect_slice(trotline_verifier_event_type(verifier, &request), "unknown");
    assert_int_equal(trotline_verifier_set_url(verifier, NULL), TROTLINE_OK);
    assert_int_equal(trotline_verify(verifier, &request, 0, &finding), TROTLINE_NOT_CONFIGURED);
    trotline_verifier_free(verifier);
    trotline_scheme_free(scheme);
}

/* What a webhook may not be, and that a signer which refused has nothing to send. */
static void test_refused_webhooks(void **state)
{
    (void)state;
    static const struct {
        const char *id, *type, *version, *source, *data, *field;
    } table[] = {
        {NULL, "t", NULL, NULL, "1", "id"},         {"", "t", NULL, NULL, "1", "id"},
        {"a\nb: c", "t", NULL, NULL, "1", "id"},    {"i", NULL, NULL, NULL, "1", "type"},
        {"i", "\x7f", NULL, NULL, "1", "type"},     {"i", "t", "\r", NULL, "1", "version"},
        {"i", "t", NULL, "\xff", "1", "source"},    {"i", "t", NULL, NULL, "{", "data"},
        {"i", "t", NULL, NULL, "1} {", "data"},     {"i", "t", NULL, NULL, "", "data"},
        {"i", "t", NULL, NULL, "\"\x01\"", "data"},
    };
    struct trotline_scheme *scheme = open_scheme("event");
    char secret[TROTLINE_SECRET_BYTES];
    assert_int_equal(trotline_secret_generate(scheme, secret, sizeof(secret)), TROTLINE_OK);
    struct trotline_signer *signer = signer_of(scheme, secret);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct trotline_webhook webhook = {.id = "i", .type = "t"};
        struct trotline_error error;
        webhook.data = trotline_slice_str("1");
        assert_int_equal(trotline_sign(signer, &webhook, 0, NULL), TROTLINE_OK);
        webhook.id = table[i].id;
        webhook.type = table[i].type;
        webhook.version = table[i].version;
        webhook.source = table[i].source;
        webhook.data = trotline_slice_str(table[i].data);
        assert_int_equal(trotline_sign(signer, &webhook, 0, &error), TROTLINE_INVALID_EVENT);
        assert_string_equal(error.field, table[i].field);
        assert_int_equal(trotline_signed_header_count(signer), 0);
        assert_null(trotline_signed_body(signer).at);
        assert_null(trotline_signed_header_line(signer, 0));
    }
    trotline_signer_free(signer);
    trotline_scheme_free(scheme);
}

/* Wrong arguments are answered. */
static void test_arguments(void **state)
{
    (void)state;
    struct trotline_scheme *scheme = open_scheme("standard"), *github = open_scheme("github");
    struct trotline_signer *signer;
    struct trotline_verifier *verifier;
    struct trotline_error error;
    const char *secret = SECRET, *none = NULL, *bad[] = {SECRET, "whsec_no"};
    const char *many[12];
    for (size_t i = 0; i < 12; i++)
        many[i] = SECRET;
    assert_int_equal(trotline_signer_new(NULL, &secret, 1, &signer, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_signer_new(scheme, NULL, 1, &signer, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_signer_new(scheme, &none, 1, &signer, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_signer_new(scheme, &secret, 1, NULL, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_signer_new(scheme, many, 12, &signer, NULL),
                     TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_signer_new(scheme, bad, 2, &signer, &error), TROTLINE_INVALID_SECRET);
    assert_null(signer);
    assert_string_equal(error.field, "secrets[1]");
    assert_null(strstr(error.message, "whsec_no"));
    assert_int_equal(trotline_signer_new(scheme, NULL, 0, &signer, &error),
                     TROTLINE_INVALID_SECRET);
    assert_int_equal(trotline_verifier_new(scheme, NULL, 0, &verifier, &error),
                     TROTLINE_INVALID_SECRET);
    assert_int_equal(trotline_verifier_new(scheme, bad, 2, &verifier, &error),
                     TROTLINE_INVALID_SECRET);
    assert_int_equal(trotline_verifier_new(NULL, bad, 2, &verifier, NULL),
                     TROTLINE_INVALID_ARGUMENT);

    signer = signer_of(scheme, SECRET);
    verifier = verifier_of(scheme, SECRET);
    struct trotline_webhook webhook = {.id = "i", .type = "t"};
    assert_int_equal(trotline_sign(signer, &webhook, 0, NULL), TROTLINE_INVALID_ARGUMENT);
    webhook.data = webhook.body = trotline_slice_str("1");
    assert_int_equal(trotline_sign(signer, &webhook, 0, NULL), TROTLINE_INVALID_ARGUMENT);
    webhook.body = trotline_slice_of(NULL, 3);
    assert_int_equal(trotline_sign(signer, &webhook, 0, NULL), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_sign(signer, NULL, 0, NULL), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_sign(NULL, &webhook, 0, NULL), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_signed_header_count(NULL), 0);
    assert_null(trotline_signed_body(NULL).at);

    struct trotline_request request;
    memset(&request, 0, sizeof(request));
    assert_int_equal(trotline_verify(NULL, &request, 0, NULL), TROTLINE_VERDICT_INVALID_ARGUMENT);
    assert_int_equal(trotline_verify(verifier, NULL, 0, NULL), TROTLINE_VERDICT_INVALID_ARGUMENT);
    assert_int_equal(trotline_verify(verifier, &request, 0, NULL), TROTLINE_NO_SIGNATURE);
    request.header_count = 1;
    assert_int_equal(trotline_verify(verifier, &request, 0, NULL),
                     TROTLINE_VERDICT_INVALID_ARGUMENT);
    struct trotline_header nameless = {{NULL, 0}, {NULL, 0}};
    request.headers = &nameless;
    assert_int_equal(trotline_verify(verifier, &request, 0, NULL),
                     TROTLINE_VERDICT_INVALID_ARGUMENT);
    assert_null(trotline_verifier_event_id(NULL, &request).at);
    assert_null(trotline_verifier_event_type(verifier, NULL).at);
    assert_int_equal(trotline_verifier_set_url(NULL, ""), TROTLINE_INVALID_ARGUMENT);
    assert_int_equal(trotline_verifier_set_variable(verifier, "no", "x"), TROTLINE_NOT_FOUND);
    assert_int_equal(trotline_verifier_set_variable(verifier, NULL, "x"),
                     TROTLINE_INVALID_ARGUMENT);
    trotline_signer_free(signer);
    trotline_verifier_free(verifier);

    signer = signer_of(github, "It's a Secret to Everybody");
    webhook.body = trotline_slice_of(NULL, 0);
    assert_int_equal(trotline_sign(signer, &webhook, 0, &error), TROTLINE_UNSUPPORTED);
    trotline_signer_free(signer);
    trotline_signer_free(NULL);
    trotline_verifier_free(NULL);
    trotline_scheme_free(scheme);
    trotline_scheme_free(github);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard),   cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_rotation),   cmocka_unit_test(test_refused_webhooks),
        cmocka_unit_test(test_arguments),  cmocka_unit_test(test_configured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
