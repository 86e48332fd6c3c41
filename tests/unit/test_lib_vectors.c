/* test_lib_vectors.c - the C library verifies what vendors' libraries accept (tests/vectors), and
 * signs so that it does. Of Trotline it uses nothing but the public headers, so that
 * tests/e2e/test_library.py can build it against the installed library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trotline/trotline.h>

#define FILE_NAME "tests/vectors/inbound.jsonl"

enum { HEADERS_MAX = 32, SECRETS_MAX = 4, LINE_MAX_BYTES = 16384 };

struct vector {
    json_t *json;
    const char *name, *url;
    struct trotline_scheme *scheme;
    const char *secrets[SECRETS_MAX];
    size_t secret_count;
    struct trotline_header headers[HEADERS_MAX];
    struct trotline_request request;
};

static struct trotline_slice slice_of_json(const json_t *string)
{
    assert_true(json_is_string(string));
    return trotline_slice_of(json_string_value(string), json_string_length(string));
}

static void vector_read(struct vector *vector, const char *line)
{
    const char *name;
    json_t *value;
    size_t index;
    memset(vector, 0, sizeof(*vector));
    vector->json = json_loads(line, 0, NULL);
    assert_non_null(vector->json);
    vector->name = json_string_value(json_object_get(vector->json, "name"));
    vector->url = json_string_value(json_object_get(vector->json, "url"));
    assert_int_equal(
        trotline_scheme_open(json_string_value(json_object_get(vector->json, "scheme")),
                             &vector->scheme),
        TROTLINE_OK);
    json_array_foreach(json_object_get(vector->json, "secrets"), index, value)
    {
        assert_true(index < SECRETS_MAX);
        vector->secrets[vector->secret_count++] = json_string_value(value);
    }
    json_object_foreach(json_object_get(vector->json, "headers"), name, value)
    {
        assert_true(vector->request.header_count < HEADERS_MAX);
        struct trotline_header *header = &vector->headers[vector->request.header_count++];
        header->name = trotline_slice_str(name);
        header->value = slice_of_json(value);
    }
    vector->request.headers = vector->headers;
    vector->request.body = slice_of_json(json_object_get(vector->json, "body"));
}

static void vector_free(struct vector *vector)
{
    trotline_scheme_free(vector->scheme);
    json_decref(vector->json);
}

static size_t for_each_vector(void (*judge)(struct vector *vector))
{
    static char line[LINE_MAX_BYTES];
    size_t count = 0;
    FILE *file = fopen(FILE_NAME, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        struct vector vector;
        vector_read(&vector, line);
        judge(&vector);
        vector_free(&vector);
        count++;
    }
    fclose(file);
    return count;
}

static struct trotline_verifier *verifier_of(const struct vector *vector)
{
    struct trotline_verifier *verifier;
    struct trotline_error error = {NULL, "", ""};
    if (trotline_verifier_new(vector->scheme, vector->secrets, vector->secret_count, &verifier,
                              &error) != TROTLINE_OK)
        fail_msg("%s: %s", vector->name, error.message);
    assert_int_equal(trotline_verifier_set_url(verifier, vector->url), TROTLINE_OK);
    trotline_verifier_set_tolerance(verifier, TROTLINE_TOLERANCE_OFF, TROTLINE_TOLERANCE_OFF);
    return verifier;
}

/* ---- Verifying ------------------------------------------------------------------------------- */

static void judge_whole(struct vector *vector)
{
    struct trotline_verifier *verifier = verifier_of(vector);
    struct trotline_finding finding;
    enum trotline_verdict verdict = trotline_verify(verifier, &vector->request, 0, &finding);
    if (verdict != TROTLINE_VERIFIED)
        fail_msg("%s: %s %s", vector->name, trotline_verdict_name(verdict), finding.about);
    assert_true(finding.secret < vector->secret_count);
    if (finding.timestamp_ms > 0) { /* its age is judged when it is not said to be old enough */
        trotline_verifier_set_tolerance(verifier, 1000, 1000);
        assert_int_equal(trotline_verify(verifier, &vector->request, 0, NULL), TROTLINE_TOO_OLD);
        assert_int_equal(trotline_verify(verifier, &vector->request, finding.timestamp_ms, NULL),
                         TROTLINE_VERIFIED);
    }
    trotline_verifier_free(verifier);
}

static void test_verified(void **state)
{
    (void)state;
    assert_true(for_each_vector(judge_whole) >= 24);
}

/* Without its signature, and with a byte more at the end of the body, none is. (Adyen and Twilio
 * sign parts of the body: a byte more makes theirs malformed, or is a part, too.) */
static void judge_spoilt(struct vector *vector)
{
    struct trotline_verifier *verifier = verifier_of(vector);
    char *longer = malloc(vector->request.body.bytes + 1);
    assert_non_null(longer);
    memcpy(longer, vector->request.body.at, vector->request.body.bytes);
    longer[vector->request.body.bytes] = 'x';
    struct trotline_request spoilt = vector->request;
    spoilt.body = trotline_slice_of(longer, vector->request.body.bytes + 1);
    assert_int_not_equal(trotline_verify(verifier, &spoilt, 0, NULL), TROTLINE_VERIFIED);
    free(longer);
    if (vector->request.header_count > 0) {
        spoilt = vector->request;
        spoilt.header_count = 0;
        assert_int_not_equal(trotline_verify(verifier, &spoilt, 0, NULL), TROTLINE_VERIFIED);
    }
    trotline_verifier_free(verifier);
}

static void test_spoilt(void **state)
{
    (void)state;
    for_each_vector(judge_spoilt);
}

/* ---- Signing --------------------------------------------------------------------------------- */

static size_t signed_count;

/* As its sender signed it: what is made for the body and whatever else is there verifies. The
 * secret is the one that signs, where another verifies. */
static void judge_signed(struct vector *vector)
{
    static const char *const signing[] = {"secretKey", "secretKeySeed"};
    const char *secret = vector->secrets[0];
    struct trotline_signer *signer;
    for (size_t i = 0; i < 2; i++)
        if (json_object_get(vector->json, signing[i]))
            secret = json_string_value(json_object_get(vector->json, signing[i]));
    if (trotline_signer_new(vector->scheme, &secret, 1, &signer, NULL) != TROTLINE_OK)
        return; /* its secret is a public key */
    struct trotline_header headers[HEADERS_MAX];
    struct trotline_request request = {.body = vector->request.body};
    const uint64_t now_ms = UINT64_C(1700000000000);
    enum trotline_status status =
        trotline_sign_as_sender(signer, &request, vector->url, now_ms, NULL);
    if (status == TROTLINE_OK) {
        struct trotline_verifier *verifier = verifier_of(vector);
        request.headers = headers;
        request.header_count = trotline_signed_header_count(signer);
        for (size_t i = 0; i < request.header_count; i++)
            headers[i] = trotline_signed_header(signer, i);
        assert_null(trotline_signed_body(signer).at);
        assert_int_equal(trotline_verify(verifier, &request, now_ms, NULL), TROTLINE_VERIFIED);
        trotline_verifier_free(verifier);
        signed_count++;
    }
    trotline_signer_free(signer);
}

static void test_signed(void **state)
{
    (void)state;
    for_each_vector(judge_signed);
    assert_true(signed_count >=
                18); /* not Adyen, whose signature is in the body, nor public keys */
}

/* The very bytes, of the schemes that we send: the id, the time and the body make them. (Of two
 * secrets the order of the signatures is free.) */
static void judge_resigned(struct vector *vector)
{
    const char *id = NULL;
    struct trotline_slice signature = {NULL, 0};
    uint64_t at_ms = 0;
    if (!trotline_scheme_sends(vector->scheme) || vector->secret_count > 1)
        return;
    for (size_t i = 0; i < vector->request.header_count; i++) {
        const struct trotline_header *header = &vector->headers[i];
        if (strcmp(header->name.at, "webhook-id") == 0)
            id = header->value.at;
        else if (strcmp(header->name.at, "webhook-timestamp") == 0)
            at_ms = strtoull(header->value.at, NULL, 10) * 1000;
        else
            signature = header->value;
    }
    const char *key = json_string_value(json_object_get(vector->json, "secretKey"));
    struct trotline_signer *signer;
    assert_int_equal(
        trotline_signer_new(vector->scheme, key ? &key : vector->secrets, 1, &signer, NULL),
        TROTLINE_OK);
    struct trotline_webhook webhook = {.id = id, .type = "test"};
    webhook.body = vector->request.body;
    assert_int_equal(trotline_sign(signer, &webhook, at_ms, NULL), TROTLINE_OK);
    struct trotline_slice made = trotline_signed_header(signer, 2).value;
    assert_int_equal(made.bytes, signature.bytes);
    assert_memory_equal(made.at, signature.at, made.bytes);
    trotline_signer_free(signer);
    signed_count++;
}

static void test_resigned(void **state)
{
    (void)state;
    signed_count = 0;
    for_each_vector(judge_resigned);
    assert_int_equal(signed_count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verified),
        cmocka_unit_test(test_spoilt),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_resigned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
