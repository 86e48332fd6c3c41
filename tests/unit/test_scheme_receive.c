/* test_scheme_receive.c - what a description of a sender can say, how a request is judged by it,
 * and which descriptions are refused.
 *
 * tests/e2e/test_vectors.py and test_presets.py have what senders really do; here are the corners
 * of the language: every place, every tolerance, what is missing or there twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "wire/scheme.h"
#include "wire/scheme_file.h"
#include "wire/scheme_part.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define HMAC  "signatures: [{algorithm: hmac-sha256, key: {format: raw}}]\n"
#define TOKEN "signatures: [{algorithm: token, key: {format: raw}}]\n"
#define HEX   "encoding: hex\n"
#define NAME  "name: x\n"

static struct scheme *compile(const char *text)
{
    char error[256] = "";
    struct scheme *scheme;
    if (scheme_file_parse(slice_str(text), "x", &scheme, error, sizeof(error)) != ST_OK)
        fail_msg("%s", error);
    return scheme;
}

static struct signer_key *key_of(const struct scheme *scheme, const char *secret)
{
    const char *reason = NULL;
    struct signer_key *key;
    if (scheme_verify_key(scheme, slice_str(secret), &key, &reason) != ST_OK)
        fail_msg("%s", reason);
    return key;
}

static struct received request_of(const struct received_header *headers, size_t count,
                                  const char *body)
{
    return (struct received){.method = SLICE("POST"),
                             .path = SLICE("/in/x"),
                             .headers = headers,
                             .header_count = count,
                             .body = slice_str(body),
                             .now_ms = UINT64_C(1700000000000)};
}

/* ---- The signed text ------------------------------------------------------------------------- */

/* Signs a request for a scheme with that signed text, and looks at what was signed. */
static void check_signed(const char *signed_text, struct received request, const char *expected,
                         enum scheme_verdict verdict)
{
    char text[512];
    snprintf(text, sizeof(text),
             NAME HMAC HEX "signed: '%s'\nreceive: {signature: header:S, timestamp: header:T}\n",
             signed_text);
    if (!strstr(signed_text, "{timestamp}"))
        snprintf(text, sizeof(text), NAME HMAC HEX "signed: '%s'\nreceive: {signature: header:S}\n",
                 signed_text);
    struct scheme *scheme = compile(text);
    struct signer_key *key = key_of(scheme, "secret");
    struct received_header headers[8];
    struct scheme_finding finding;
    struct buf value;
    memcpy(headers, request.headers, request.header_count * sizeof(headers[0]));
    buf_init(&value, 1000);
    assert_int_equal(scheme_expected(scheme, slice_str(expected), key, &value), ST_OK);
    headers[request.header_count] = (struct received_header){SLICE("S"), buf_slice(&value)};
    request.headers = headers;
    request.header_count++;
    scheme_finding_init(&finding, 1000);
    enum scheme_verdict found = scheme_verify(scheme, &request, &key, 1, &finding);
    if (found != verdict)
        fail_msg("%s: %s", signed_text, scheme_verdict_name(found));
    if (verdict == VERIFY_OK) {
        assert_true(slice_eq(buf_slice(&finding.signed_text), slice_str(expected)));
        assert_int_equal(finding.key, 0);
        request.body = SLICE("another body");
        assert_int_equal(scheme_verify(scheme, &request, &key, 1, NULL) == VERIFY_OK,
                         !strstr(signed_text, "{body}") && !strstr(signed_text, "{crc32}") &&
                             !strstr(signed_text, "{sha256") && !strstr(signed_text, "{form") &&
                             !strstr(signed_text, "{json"));
    }
    scheme_finding_deinit(&finding);
    buf_free(&value);
    signer_key_free(key);
    scheme_free(scheme);
}

/* Every place, as received: nothing is decoded, trimmed or written again. */
static void test_signed_texts(void **state)
{
    (void)state;
    const struct received_header headers[] = {
        {SLICE("T"), SLICE("1700000000")}, {SLICE("A"), SLICE("a  %41")}, {SLICE("D"), SLICE("1")},
        {SLICE("d"), SLICE("1")},          {SLICE("E"), SLICE("")},
    };
    const struct received_var vars[] = {{SLICE("v"), SLICE("{body}")}};
    struct received json = request_of(
        headers, COUNT(headers), "{\"a\":{\"b\":[1.50,\"x\\ty\"]},\"d\":1,\"d\":1,\"n\":null}");
    struct received form = request_of(headers, COUNT(headers), "b=2+2&a=%31&a=0&a=1&c");
    json.query = SLICE("q=a%20b&r=1&r=1");
    json.public_url = SLICE("https://x.example/in");
    json.vars = vars;
    json.var_count = 1;
    struct received fixed = json;
    fixed.public_url = SLICE("https://x.example/in?z=1");

    check_signed("{body}", request_of(headers, 1, "raw \xff bytes"), "raw \xff bytes", VERIFY_OK);
    check_signed("{timestamp}.{body}", request_of(headers, 1, ""), "1700000000.", VERIFY_OK);
    check_signed("{header:a}|{body}", form, "a  %41|b=2+2&a=%31&a=0&a=1&c", VERIFY_OK);
    check_signed("{json:a.b.0}-{json:a.b.1}", json, "1.50-x\ty", VERIFY_OK);
    check_signed("{json:a.c?}{json:n?}.{header:Z?}{json:a.b.0}", json, ".1.50", VERIFY_OK);
    check_signed("{method} {url} {query:q}", json, "POST https://x.example/in?q=a%20b&r=1&r=1 a b",
                 VERIFY_OK);
    check_signed("{url}", fixed, "https://x.example/in?z=1", VERIFY_OK);
    check_signed("{var:v}{body}", json,
                 "{body}{\"a\":{\"b\":[1.50,\"x\\ty\"]},\"d\":1,\"d\":1,\"n\":null}", VERIFY_OK);
    check_signed("{form_sorted}", form, "a0a1b2 2c", VERIFY_OK);
    check_signed("{crc32}", request_of(headers, 1, "123456789"), "3421780262", VERIFY_OK);
    check_signed("{sha256_hex}", request_of(headers, 1, "abc"),
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", VERIFY_OK);
    check_signed("{\"t\":{timestamp},\"b\":{body}}", request_of(headers, 1, "{}"),
                 "{\"t\":1700000000,\"b\":{}}", VERIFY_OK);

    /* What is not there, or there twice, or not configured. */
    check_signed("{header:Z}{body}", json, "", VERIFY_MISSING_HEADER);
    check_signed("{header:d}{body}", json, "1", VERIFY_MISSING_HEADER);
    check_signed("{header:d?}{body}", json, "", VERIFY_MISSING_HEADER);
    check_signed("{header:E}{body}", json, "", VERIFY_MISSING_HEADER);
    check_signed("{json:d}", json, "1", VERIFY_MISSING_HEADER);
    check_signed("{json:d?}", json, "", VERIFY_MISSING_HEADER);
    check_signed("{json:a}", json, "", VERIFY_MISSING_HEADER);
    check_signed("{json:z}", form, "", VERIFY_MISSING_HEADER);
    check_signed("{json:z?}{body}", form, "", VERIFY_MISSING_HEADER);
    check_signed("{query:r}{body}", json, "1", VERIFY_MISSING_HEADER);
    check_signed("{query:q}{body}", form, "", VERIFY_MISSING_HEADER);
    check_signed("{form_sorted}", request_of(headers, 1, "a=%"), "a%", VERIFY_MISSING_HEADER);
    check_signed("{url}{body}", form, "", VERIFY_NOT_CONFIGURED);
    check_signed("{var:w}{body}", json, "", VERIFY_NOT_CONFIGURED);
}

/* ---- Signatures ------------------------------------------------------------------------------ */

static enum scheme_verdict judge(const struct scheme *scheme, const char *secret,
                                 const struct received_header *headers, size_t count,
                                 const char *body)
{
    struct received request = request_of(headers, count, body);
    struct signer_key *key = key_of(scheme, secret);
    enum scheme_verdict verdict = scheme_verify(scheme, &request, &key, 1, NULL);
    signer_key_free(key);
    return verdict;
}

/* A token is compared whole, whatever the lengths; two headers of the name are refused. */
static void test_token(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum scheme_verdict verdict;
    } table[] = {
        {"a token", VERIFY_OK},
        {"a toke", VERIFY_BAD_SIGNATURE},
        {"a tokens", VERIFY_BAD_SIGNATURE},
        {"A token", VERIFY_BAD_SIGNATURE},
        {"", VERIFY_NO_SIGNATURE},
    };
    struct scheme *scheme = compile(NAME TOKEN "receive: {signature: header:S}\n");
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct received_header header = {SLICE("S"), slice_str(table[i].value)};
        assert_int_equal(judge(scheme, "a token", &header, 1, ""), table[i].verdict);
    }
    const struct received_header twice[] = {{SLICE("S"), SLICE("a token")},
                                            {SLICE("s"), SLICE("a token")}};
    assert_int_equal(judge(scheme, "a token", twice, 2, ""), VERIFY_NO_SIGNATURE);
    char text[600];
    memset(text, 'x', sizeof(text));
    const struct received_header long_one = {SLICE("S"), slice_of(text, sizeof(text))};
    assert_int_equal(judge(scheme, "a token", &long_one, 1, ""), VERIFY_MALFORMED);
    scheme_free(scheme);
}

/* RFC 7617: "Basic" in any case, then base64 of user and password. */
static void test_basic(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum scheme_verdict verdict;
    } table[] = {
        {"Basic dXNlcjpwYXNz", VERIFY_OK},
        {"bASIC dXNlcjpwYXNz", VERIFY_OK},
        {"Basic dXNlcjpwYXNzeA==", VERIFY_BAD_SIGNATURE},
        {"Basic user:pass", VERIFY_MALFORMED},
        {"Bearer dXNlcjpwYXNz", VERIFY_NO_SIGNATURE},
        {"dXNlcjpwYXNz", VERIFY_NO_SIGNATURE},
    };
    struct scheme *scheme = compile(NAME "signatures: [{algorithm: basic, key: {format: raw}}]\n"
                                         "receive: {signature: header:Authorization}\n");
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct received_header header = {SLICE("Authorization"), slice_str(table[i].value)};
        assert_int_equal(judge(scheme, "user:pass", &header, 1, ""), table[i].verdict);
    }
    scheme_free(scheme);
}

/* Without a signature everything is good, and no secret is asked for. */
static void test_none(void **state)
{
    (void)state;
    struct scheme *scheme =
        compile(NAME "signatures: [{algorithm: none}]\nreceive: {id: [json:id]}\n");
    struct received request = request_of(NULL, 0, "{}");
    assert_int_equal(scheme_verify(scheme, &request, NULL, 0, NULL), VERIFY_OK);
    assert_false(scheme_needs_secret(scheme));
    assert_true(scheme_receives(scheme));
    assert_false(scheme_sends(scheme));
    scheme_free(scheme);
}

/* A header that is too long is not looked at; headers of a prefix count together, sixteen in all.
 */
static void test_many_candidates(void **state)
{
    (void)state;
    enum { HEADERS = 18, LONG = 8193 };
    static char text[LONG];
    char names[HEADERS][8];
    struct received_header headers[HEADERS];
    struct scheme *scheme =
        compile(NAME HMAC HEX "signed: '{body}'\nreceive: {signature: 'header:S-*'}\n");
    struct signer_key *key = key_of(scheme, "secret");
    struct buf good;
    buf_init(&good, 100);
    assert_int_equal(scheme_expected(scheme, SLICE("body"), key, &good), ST_OK);
    for (size_t i = 0; i < HEADERS; i++) {
        snprintf(names[i], sizeof(names[i]), "s-%zu", i);
        headers[i] = (struct received_header){slice_str(names[i]), SLICE("00")};
    }
    headers[15].value = buf_slice(&good);
    assert_int_equal(judge(scheme, "secret", headers, HEADERS, "body"), VERIFY_OK);
    headers[15].value = SLICE("00");
    headers[16].value = buf_slice(&good);
    assert_int_equal(judge(scheme, "secret", headers, HEADERS, "body"), VERIFY_MALFORMED);
    /* One of the names twice. */
    headers[0].value = buf_slice(&good);
    assert_int_equal(judge(scheme, "secret", headers, 3, "body"), VERIFY_OK);
    headers[2].name = headers[1].name;
    assert_int_equal(judge(scheme, "secret", headers, 3, "body"), VERIFY_MALFORMED);
    /* "S-" itself is none of them. */
    headers[0].name = SLICE("S-");
    assert_int_equal(judge(scheme, "secret", headers, 1, "body"), VERIFY_NO_SIGNATURE);
    memset(text, '0', sizeof(text));
    headers[0] = (struct received_header){SLICE("S-1"), slice_of(text, LONG)};
    assert_int_equal(judge(scheme, "secret", headers, 1, "body"), VERIFY_MALFORMED);
    buf_free(&good);
    signer_key_free(key);
    scheme_free(scheme);
}

/* ---- Hash and time --------------------------------------------------------------------------- */

/* A hash in a header is compared in either case, once the header is known to be signed. */
static void test_body_hash(void **state)
{
    (void)state;
    static const char hash[] = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    struct scheme *scheme = compile(NAME HMAC HEX "signed: '{header:H}'\nreceive: {signature: "
                                                  "header:S, body_hash: header:H}\n");
    struct signer_key *key = key_of(scheme, "secret");
    struct buf good;
    buf_init(&good, 100);
    assert_int_equal(scheme_expected(scheme, slice_str(hash), key, &good), ST_OK);
    const struct received_header headers[] = {{SLICE("H"), slice_str(hash)},
                                              {SLICE("S"), buf_slice(&good)}};
    assert_int_equal(judge(scheme, "secret", headers, 2, "abc"), VERIFY_OK);
    assert_int_equal(judge(scheme, "secret", headers, 2, "abd"), VERIFY_BODY_CHANGED);
    assert_int_equal(judge(scheme, "another", headers, 2, "abd"), VERIFY_BAD_SIGNATURE);
    assert_int_equal(judge(scheme, "secret", headers + 1, 1, "abc"), VERIFY_MISSING_HEADER);
    buf_free(&good);
    signer_key_free(key);
    scheme_free(scheme);
}

/* Each direction has its tolerance, "off" has none, and a source's own replaces both. */
static void test_tolerance(void **state)
{
    (void)state;
    static const struct {
        const char *tolerance;
        int64_t late_ms;
        enum scheme_verdict verdict;
    } table[] = {
        {"60s", 60999, VERIFY_OK},
        {"60s", 61000, VERIFY_TOO_OLD},
        {"60s", -60000, VERIFY_OK},
        {"60s", -60001, VERIFY_IN_FUTURE},
        {"{past: 10s, future: off}", 11000, VERIFY_TOO_OLD},
        {"{past: 10s, future: off}", -86400000, VERIFY_OK},
        {"{past: off, future: 1s}", 86400000, VERIFY_OK},
        {"{past: off, future: 1s}", -2000, VERIFY_IN_FUTURE},
        {"off", 86400000, VERIFY_OK},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char text[512];
        size_t count;
        struct buf lines;
        snprintf(text, sizeof(text),
                 NAME HMAC HEX "signed: '{timestamp}.{body}'\ntolerance: %s\n"
                               "receive: {signature: header:S, timestamp: header:T}\n",
                 table[i].tolerance);
        struct scheme *scheme = compile(text);
        struct signer_key *key = key_of(scheme, "secret");
        struct received request = request_of(NULL, 0, "body");
        struct received_header headers[2];
        buf_init(&lines, 1000);
        assert_int_equal(scheme_sign_received(scheme, &request, key, &lines, &count), ST_OK);
        assert_int_equal(count, 2);
        headers[0] = (struct received_header){SLICE("T"), SLICE("1700000000")};
        assert_string_equal(lines.ptr, "T: 1700000000");
        headers[1] = (struct received_header){
            SLICE("S"), slice_str(lines.ptr + strlen(lines.ptr) + 1 + strlen("S: "))};
        request.headers = headers;
        request.header_count = 2;
        request.now_ms = (uint64_t)((int64_t)request.now_ms + table[i].late_ms);
        assert_int_equal(scheme_verify(scheme, &request, &key, 1, NULL), table[i].verdict);
        const struct received_tolerance off = {RECEIVED_TOLERANCE_OFF, RECEIVED_TOLERANCE_OFF};
        request.tolerance = &off;
        assert_int_equal(scheme_verify(scheme, &request, &key, 1, NULL), VERIFY_OK);
        buf_free(&lines);
        signer_key_free(key);
        scheme_free(scheme);
    }
}

/* ---- Ids and types --------------------------------------------------------------------------- */

/* The first place that has something; a source's own list goes before the scheme's. */
static void test_sources(void **state)
{
    (void)state;
    const struct received_header headers[] = {{SLICE("I"), SLICE("")}, {SLICE("J"), SLICE("j")}};
    struct received request = request_of(headers, 2, "{\"t\":{\"x\":7},\"e\":\"\"}");
    request.query = SLICE("k=a%2Fb");
    struct scheme *scheme = compile(NAME TOKEN "receive: {signature: header:S, id: [header:I, "
                                               "json:e, header:J], type: [json:nope]}\n");
    static const struct {
        const char *place, *text;
    } table[] = {
        {"header:j", "j"},   {"json:t.x", "7"},
        {"query:k", "a/b"},  {"text:constant: {x}", "constant: {x}"},
        {"body_hash", NULL},
    };
    struct scheme_sources *own;
    struct buf text;
    size_t wrong;
    buf_init(&text, 1000);
    assert_true(scheme_event_id(scheme, NULL, &request, &text));
    assert_true(slice_eq(buf_slice(&text), SLICE("j")));
    assert_false(scheme_event_type(scheme, NULL, &request, &text));
    assert_int_equal(text.len, 1);
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct slice places[] = {SLICE("json:nope"), slice_str(table[i].place)};
        buf_clear(&text);
        assert_int_equal(scheme_sources_new(places, 2, &own, &wrong), ST_OK);
        assert_true(scheme_event_type(scheme, own, &request, &text));
        if (!table[i].text)
            assert_int_equal(text.len, 64);
        else
            assert_true(slice_eq(buf_slice(&text), slice_str(table[i].text)));
        scheme_sources_free(own);
    }
    const struct slice bad[] = {SLICE("header:a"), SLICE("heder:a")};
    assert_int_equal(scheme_sources_new(bad, 2, &own, &wrong), ST_SYNTAX);
    assert_int_equal(wrong, 1);
    assert_null(own);
    struct slice many[9];
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = SLICE("body_hash");
    assert_int_equal(scheme_sources_new(many, 9, &own, &wrong), ST_LIMIT);
    scheme_sources_free(NULL);
    buf_free(&text);
    scheme_free(scheme);
}

/* What a source has to have can be asked. */
static void test_needs(void **state)
{
    (void)state;
    struct scheme *scheme = compile(NAME HMAC HEX "signed: '{url}{var:a}{body}{var:b}'\n"
                                                  "receive: {signature: header:S}\n");
    assert_true(scheme_needs_url(scheme) && scheme_needs_secret(scheme));
    assert_true(slice_eq(scheme_var(scheme, 0), SLICE("a")));
    assert_true(slice_eq(scheme_var(scheme, 1), SLICE("b")));
    assert_null(scheme_var(scheme, 2).ptr);
    scheme_free(scheme);
    scheme = compile(NAME TOKEN "receive: {signature: header:S}\n");
    assert_false(scheme_needs_url(scheme));
    assert_null(scheme_var(scheme, 0).ptr);
    scheme_free(scheme);
}

/* ---- Descriptions that are refused ----------------------------------------------------------- */

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } table[] = {
        {NAME HMAC HEX "signed: '{body}'\n",
         "x:1: a scheme has headers and body, to send, or receive"},
        {NAME HMAC HEX "signed: '{body}'\nreceive: {id: [body_hash]}\n",
         "x:1: a scheme has headers and body, to send, or receive"},
        {NAME HMAC HEX "receive: {signature: header:S}\n", "x:4: the key \"signed\" is missing"},
        {NAME HMAC "signed: '{body}'\nreceive: {signature: header:S}\n",
         "x:2: the key \"encoding\" is missing"},
        {NAME HMAC HEX "signed: 'text'\nreceive: {signature: header:S}\n",
         "x:4: the signed text has nothing of the request"},
        {NAME HMAC HEX "signed: '{body}{id}'\nreceive: {signature: header:S}\n",
         "x:4: there is no such placeholder here: {id}"},
        {NAME HMAC HEX "signed: '{body}{header:}'\nreceive: {signature: header:S}\n",
         "x:4: there is no such placeholder here: {header:}"},
        {NAME HMAC HEX "signed: '{body}{text:a}'\nreceive: {signature: header:S}\n",
         "x:4: there is no such placeholder here: {text:a}"},
        {NAME HMAC HEX "signed: '{body}'\nreceive: {signature: body}\n",
         "x:5: this is no place that can be used here: body"},
        {NAME HMAC HEX "signed: '{body}'\nreceive: {signature: 'header:'}\n",
         "x:5: this is no place that can be used here: header:"},
        {NAME HMAC HEX "signed: '{body}'\nreceive: {signature: header:S, timestamp: header:T}\n",
         "x:5: the timestamp is not part of the signed text"},
        {NAME HMAC HEX "signed: '{timestamp}{body}'\nreceive: {signature: header:S}\n",
         "x:5: {timestamp} is signed, but receive has no timestamp"},
        {NAME HMAC HEX
         "signed: '{timestamp}{body}'\nreceive: {signature: header:S, timestamp: signature:t}\n",
         "x:5: a time among signatures needs one header and a separator"},
        {NAME HMAC HEX "signed: '{body}'\nreceive: {signature: header:S, each: json:a.*}\n",
         "x:5: each is for signatures in JSON"},
        {NAME HMAC HEX "signed: '{body}'\nreceive: {signature: json:S, each: json:a}\n",
         "x:5: json:ARRAY.* or json:ARRAY.*.PATH is expected"},
        {NAME TOKEN "signed: '{body}'\nreceive: {signature: header:S}\n",
         "x:4: with a token nothing is signed"},
        {NAME "signatures: [{algorithm: none}]\nreceive: {signature: header:S}\n",
         "x:3: without an algorithm there is no signature"},
        {NAME "signatures: [{algorithm: rsa-sha256, key: {format: hex}}]\n" HEX
              "signed: '{body}'\nreceive: {signature: header:S}\n",
         "x:2: the key format spki is that of ecdsa and rsa keys"},
        {NAME "signatures: [{algorithm: token, key: {format: raw}}]\nbody: '{data}'\n"
              "headers: [{name: a, value: '{signature}'}]\n",
         "x:2: deliveries are signed with hmac or ed25519"},
        {NAME HMAC HEX "signed: '{body}'\nbody: '{data}'\nreceive: {signature: header:S}\n",
         "x:1: a scheme that sends has headers and a body"},
        {NAME HMAC HEX "headers: [{name: a, value: '{signature}'}]\nbody: '{data}'\n",
         "x:4: the key \"signed\" is missing"},
        {NAME TOKEN "tolerance: {past: 10s}\n", "x:3: \"future\" is missing"},
        {NAME TOKEN "receive: {signature: header:S, id: [body_hash, body_hash, body_hash, "
                    "body_hash, body_hash, body_hash, body_hash, body_hash, body_hash]}\n",
         "x:3: more than 8 places"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        char error[256] = "";
        struct scheme *scheme;
        enum status status =
            scheme_file_parse(slice_str(table[i].text), "x", &scheme, error, sizeof(error));
        assert_string_equal(error, table[i].error);
        assert_int_equal(status, ST_SYNTAX);
        assert_null(scheme);
    }
}

/* Nobody receives with "passthrough": it neither verifies nor can a sender be played for it. */
static void test_passthrough_is_not_received(void **state)
{
    (void)state;
    struct scheme_set *set = scheme_set_new();
    assert_non_null(set);
    const struct scheme *scheme = scheme_find(set, SLICE("passthrough"));
    assert_non_null(scheme);
    struct received request = request_of(NULL, 0, "body");
    struct signer_key *key;
    struct buf lines;
    size_t count;
    buf_init(&lines, 1000);
    assert_int_equal(signer_key_new(SIGN_HMAC_SHA256, SLICE("secret"), &key), ST_OK);
    assert_false(scheme_receives(scheme));
    assert_int_equal(scheme_sign_received(scheme, &request, key, &lines, &count), ST_UNSUPPORTED);
    assert_int_equal(lines.len, 0);
    assert_int_not_equal(scheme_verify(scheme, &request, &key, 1, NULL), VERIFY_OK);
    buf_free(&lines);
    signer_key_free(key);
    scheme_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_texts),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_many_candidates),
        cmocka_unit_test(test_body_hash),
        cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_passthrough_is_not_received),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
