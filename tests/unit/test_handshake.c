/* What third parties ask before they send is answered as each of them wants it, and nobody gets
 * back what could be more than a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "wire/handshake.h"
#include "wire/scheme.h"
#include "wire/scheme_file.h"

enum { HEADERS = 3 };

static struct scheme_set *set;

struct asked {
    const char *scheme, *method, *query;
    const char *headers[HEADERS]; /* "Name: value" */
    const char *body;
    const char *secret; /* NULL: none */
};

static struct signer_key *key_of(const struct scheme *scheme, const char *secret)
{
    struct signer_key *key = NULL;
    if (secret)
        assert_int_equal(scheme_verify_key(scheme, slice_str(secret), &key, NULL), ST_OK);
    return key;
}

static struct received_header header_of(const char *line)
{
    const char *colon = strstr(line, ": ");
    assert_non_null(colon);
    return (struct received_header){slice_of(line, (size_t)(colon - line)), slice_str(colon + 2)};
}

/* The variables that the sources of this test have. */
static const struct received_var vars[] = {
    {{"verify_token", 12}, {"open sesame", 11}},
    {{"allowed_origin", 14}, {"a.example, eventgrid.azure.net", 30}},
};

/* False: no rule is for it. */
static bool ask(const struct asked *asked, enum status *status, bool *verify_first,
                struct handshake_answer *answer)
{
    const struct scheme *scheme = scheme_find(set, slice_str(asked->scheme));
    struct received_header headers[HEADERS];
    struct received received = {
        .method = slice_str(asked->method),
        .path = SLICE("/in/x"),
        .query = asked->query ? slice_str(asked->query) : SLICE_NULL,
        .headers = headers,
        .body = slice_str(asked->body ? asked->body : ""),
        .vars = vars,
        .var_count = sizeof(vars) / sizeof(vars[0]),
    };
    assert_non_null(scheme);
    while (received.header_count < HEADERS && asked->headers[received.header_count]) {
        headers[received.header_count] = header_of(asked->headers[received.header_count]);
        received.header_count++;
    }
    const struct handshake_rule *rule =
        handshake_find(scheme_handshakes(scheme), &received, asked->secret != NULL);
    if (!rule)
        return false;
    struct signer_key *key = key_of(scheme, asked->secret);
    *verify_first = handshake_verify_first(rule);
    *status = handshake_answer(rule, &received, &key, key != NULL, answer);
    signer_key_free(key);
    return true;
}

/* Each provider's challenge, and its answer. */
static void test_answers(void **state)
{
    (void)state;
    static const struct {
        struct asked asked;
        bool verify_first;
        int status;
        const char *type, *body, *header; /* "": none */
    } rows[] = {
        {{"slack",
          "POST",
          NULL,
          {0},
          "{\"type\":\"url_verification\",\"challenge\":\"3eZb\"}",
          NULL},
         true,
         200,
         "text/plain",
         "3eZb",
         ""},
        {{"slack",
          "POST",
          NULL,
          {"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
          "ssl_check=1&token=abc",
          NULL},
         false,
         200,
         "",
         "",
         ""},
        {{"zoom",
          "POST",
          NULL,
          {0},
          "{\"event\":\"endpoint.url_validation\",\"payload\":{\"plainToken\":"
          "\"qgg8vlvZRS6UYooatFL8Aw\"}}",
          "whatever-secret1"},
         true,
         200,
         "application/json",
         "{\"plainToken\":\"qgg8vlvZRS6UYooatFL8Aw\",\"encryptedToken\":"
         "\"a10af1cf4ade87c7fcc8144f3fb8b7823b3632f85dc8113ead7613a042a7dac1\"}",
         ""},
        {{"x",
          "GET",
          "crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553&nonce=1",
          {0},
          NULL,
          "whatever-secret1"},
         false,
         200,
         "application/json",
         "{\"response_token\":\"sha256=l2xG7X9vNMPnkeQOZk9xaoYmwscu4kN/wLzdq2+uLN0=\"}",
         ""},
        {{"meta",
          "GET",
          "hub.mode=subscribe&hub.verify_token=open+sesame&hub.challenge=1158201444",
          {0},
          NULL,
          NULL},
         false,
         200,
         "text/plain",
         "1158201444",
         ""},
        {{"strava",
          "GET",
          "hub.mode=subscribe&hub.challenge=15f7&hub.verify_token=open%20sesame",
          {0},
          NULL,
          NULL},
         false,
         200,
         "application/json",
         "{\"hub.challenge\":\"15f7\"}",
         ""},
        {{"twitch",
          "POST",
          NULL,
          {"Twitch-Eventsub-Message-Type: webhook_callback_verification"},
          "{\"challenge\":\"pogchamp-kappa-360noscope-vohiyo\"}",
          NULL},
         true,
         200,
         "text/plain",
         "pogchamp-kappa-360noscope-vohiyo",
         ""},
        {{"graph", "POST", "validationToken=Validation%3A+Testing+client", {0}, NULL, NULL},
         false,
         200,
         "text/plain",
         "Validation: Testing client",
         ""},
        {{"dropbox", "GET", "challenge=abc123", {0}, NULL, NULL},
         false,
         200,
         "text/plain",
         "abc123",
         ""},
        /* A page, if it were taken for one. */
        {{"dropbox", "GET", "challenge=%3Cscript%3E", {0}, NULL, NULL},
         false,
         200,
         "text/plain",
         "<script>",
         ""},
        {{"discord", "POST", NULL, {0}, "{\"type\":0,\"application_id\":\"1\"}", NULL},
         true,
         204,
         "",
         "",
         ""},
        {{"discord", "POST", NULL, {0}, "{\"type\":1,\"token\":\"t\"}", NULL},
         true,
         200,
         "application/json",
         "{\"type\":1}",
         ""},
        {{"asana", "POST", NULL, {"X-Hook-Secret: b537207f20cbfa02357cf448134da559"}, "", NULL},
         false,
         200,
         "",
         "",
         "X-Hook-Secret: b537207f20cbfa02357cf448134da559"},
        {{"event_grid",
          "POST",
          NULL,
          {0},
          "[{\"eventType\":\"Microsoft.EventGrid.SubscriptionValidationEvent\","
          "\"data\":{\"validationCode\":\"512d\\\"38b6\"}}]",
          NULL},
         false,
         200,
         "application/json",
         "{\"validationResponse\":\"512d\\\"38b6\"}",
         ""},
        {{"event_grid",
          "OPTIONS",
          NULL,
          {"WebHook-Request-Origin: eventgrid.azure.net"},
          NULL,
          NULL},
         false,
         200,
         "",
         "",
         "WebHook-Allowed-Origin: eventgrid.azure.net"},
        {{"cloudevents", "OPTIONS", NULL, {"WebHook-Request-Origin: a.example"}, NULL, NULL},
         false,
         200,
         "",
         "",
         "WebHook-Allowed-Origin: a.example"},
        {{"front", "POST", NULL, {"X-Front-Challenge: 7f"}, "{}", NULL},
         true,
         200,
         "text/plain",
         "7f",
         ""},
        {{"okta", "GET", NULL, {"X-Okta-Verification-Challenge: a\"b"}, NULL, NULL},
         false,
         200,
         "application/json",
         "{\"verification\":\"a\\\"b\"}",
         ""},
        {{"trello", "HEAD", NULL, {0}, NULL, NULL}, false, 200, "", "", ""},
        {{"intercom", "HEAD", NULL, {0}, NULL, NULL}, false, 200, "", "", ""},
        {{"mailchimp", "GET", NULL, {0}, NULL, NULL}, false, 200, "", "", ""},
        {{"mailchimp", "HEAD", NULL, {0}, NULL, NULL}, false, 200, "", "", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct handshake_answer answer = {0};
        enum status status = ST_OK;
        bool verify_first = false;
        assert_true(ask(&rows[i].asked, &status, &verify_first, &answer));
        assert_int_equal(status, ST_OK);
        assert_int_equal(verify_first, rows[i].verify_first);
        assert_int_equal(answer.status, rows[i].status);
        assert_true(slice_eq(answer.content_type, slice_str(rows[i].type)));
        assert_true(slice_eq(answer.body, slice_str(rows[i].body)));
        assert_int_equal(answer.header_count > 0, rows[i].header[0] != '\0');
        if (answer.header_count > 0) {
            struct received_header expected = header_of(rows[i].header);
            assert_true(slice_eq(answer.headers[0].name, expected.name));
            assert_true(slice_eq(answer.headers[0].value, expected.value));
        }
        handshake_answer_deinit(&answer);
    }
}

/* What is wrong is refused, or is no handshake at all: then it is judged as an event. */
static void test_refusals(void **state)
{
    (void)state;
    static char long_query[4096] = "challenge=";
    memset(long_query + strlen(long_query), 'a', sizeof(long_query) - strlen(long_query) - 1);
    static char long_header[4096] = "X-Hook-Secret: ";
    memset(long_header + strlen(long_header), 'a', sizeof(long_header) - strlen(long_header) - 1);
    static const struct {
        struct asked asked;
        bool found;
        enum status status;
    } rows[] = {
        {{"meta",
          "GET",
          "hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1",
          {0},
          NULL,
          NULL},
         true,
         ST_DENIED},
        {{"meta", "GET", "hub.mode=subscribe&hub.challenge=1", {0}, NULL, NULL}, true, ST_DENIED},
        {{"meta", "GET", "hub.mode=subscribe&hub.verify_token=open+sesame", {0}, NULL, NULL},
         false,
         0},
        {{"meta",
          "POST",
          "hub.mode=subscribe&hub.verify_token=open+sesame&hub.challenge=1",
          {0},
          "{}",
          NULL},
         false,
         0},
        {{"meta", "GET", "hub.mode=subscribe&hub.mode=x&hub.challenge=1", {0}, NULL, NULL},
         false,
         0},
        {{"dropbox", "GET", "challenge=a%0d%0aSet-Cookie:+x=y", {0}, NULL, NULL}, true, ST_RANGE},
        {{"dropbox", "GET", "challenge=", {0}, NULL, NULL}, true, ST_RANGE},
        {{"dropbox", "GET", "challenge=Zo%c3%ab", {0}, NULL, NULL}, true, ST_RANGE},
        {{"dropbox", "GET", "challenge=%zz", {0}, NULL, NULL}, false, 0},
        {{"dropbox", "GET", long_query, {0}, NULL, NULL}, false, 0},
        {{"asana", "POST", NULL, {"X-Hook-Secret: a", "X-Hook-Secret: b"}, "", NULL}, false, 0},
        {{"asana", "POST", NULL, {"X-Hook-Secret: a\x80"}, "", NULL}, true, ST_RANGE},
        {{"event_grid", "OPTIONS", NULL, {"WebHook-Request-Origin: evil.example"}, NULL, NULL},
         true,
         ST_DENIED},
        {{"event_grid",
          "OPTIONS",
          NULL,
          {"WebHook-Request-Origin: a.example, eventgrid.azure.net"},
          NULL,
          NULL},
         true,
         ST_DENIED},
        {{"event_grid", "OPTIONS", NULL, {"WebHook-Request-Origin: azure.net"}, NULL, NULL},
         true,
         ST_DENIED},
        {{"event_grid", "OPTIONS", NULL, {"WebHook-Request-Origin: "}, NULL, NULL},
         true,
         ST_DENIED},
        {{"discord", "POST", NULL, {0}, "{\"type\":1,\"event\":{\"type\":\"X\"}}", NULL}, false, 0},
        {{"slack", "POST", NULL, {0}, "{\"type\":\"event_callback\"}", NULL}, false, 0},
        {{"slack", "POST", NULL, {0}, "{\"type\":\"url_verification\"}", NULL}, true, ST_RANGE},
        {{"slack",
          "POST",
          NULL,
          {0},
          "{\"type\":\"url_verification\",\"challenge\":\"\\n\"}",
          NULL},
         true,
         ST_RANGE},
        {{"slack", "POST", NULL, {0}, "{\"type\":\"url_verification\"", NULL}, false, 0},
        /* An event of a user who writes that into a text is no probe. */
        {{"slack",
          "POST",
          NULL,
          {"Content-Type: application/json"},
          "{\"url\":\"?a=b&ssl_check=1&c\"}",
          NULL},
         false,
         0},
        {{"slack",
          "POST",
          NULL,
          {"Content-Type: application/x-www-form-urlencodedly"},
          "ssl_check=1",
          NULL},
         false,
         0},
        {{"x", "GET", "crc_token=1", {0}, NULL, NULL}, true, ST_UNSUPPORTED},
        /* Nobody gets a signature of what could be an event. */
        {{"x", "GET", "crc_token=%7b%22a%22:1%7d", {0}, NULL, "whatever-secret1"}, true, ST_RANGE},
        {{"x", "GET", "crc_token=%5b1%5d", {0}, NULL, "whatever-secret1"}, true, ST_RANGE},
        {{"zoom",
          "POST",
          NULL,
          {0},
          "{\"event\":\"endpoint.url_validation\",\"payload\":{\"plainToken\":\"v0:1:{}\"}}",
          "whatever-secret1"},
         true,
         ST_RANGE},
        {{"meta",
          "GET",
          "hub.mode=subscribe&hub.verify_token=open+sesame&hub.verify_token=x&hub.challenge=1",
          {0},
          NULL,
          NULL},
         true,
         ST_DENIED},
        {{"strava", "GET", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=", {0}, NULL, NULL},
         true,
         ST_DENIED},
        {{"graph", "POST", "validationToken=a%0d%0ab", {0}, NULL, NULL}, true, ST_RANGE},
        {{"graph", "GET", "validationToken=a", {0}, NULL, NULL}, false, 0},
        {{"twitch",
          "POST",
          NULL,
          {"Twitch-Eventsub-Message-Type: webhook_callback_verification",
           "Twitch-Eventsub-Message-Type: notification"},
          "{\"challenge\":\"a\"}",
          NULL},
         false,
         0},
        {{"twitch",
          "POST",
          NULL,
          {"Twitch-Eventsub-Message-Type: webhook_callback_verification"},
          "{\"challenge\":\"a\",\"challenge\":\"b\"}",
          NULL},
         true,
         ST_RANGE},
        {{"discord", "GET", NULL, {0}, "{\"type\":1}", NULL}, false, 0},
        {{"discord", "POST", NULL, {0}, "{\"type\":2}", NULL}, false, 0},
        {{"asana", "POST", NULL, {long_header}, "", NULL}, true, ST_RANGE},
        {{"front", "POST", NULL, {"X-Front-Challenge: a\tb"}, "{}", NULL}, true, ST_RANGE},
        {{"front", "GET", NULL, {"X-Front-Challenge: a"}, NULL, NULL}, false, 0},
        {{"okta", "POST", NULL, {"X-Okta-Verification-Challenge: a"}, "{}", NULL}, false, 0},
        {{"okta", "GET", NULL, {0}, NULL, NULL}, false, 0},
        {{"zoom",
          "POST",
          NULL,
          {0},
          "{\"event\":\"endpoint.url_validation\",\"payload\":{}}",
          "whatever-secret1"},
         true,
         ST_RANGE},
        {{"event_grid",
          "POST",
          NULL,
          {0},
          "[{\"eventType\":\"Microsoft.EventGrid.SubscriptionValidationEvent\",\"data\":{}}]",
          NULL},
         true,
         ST_RANGE},
        {{"trello", "GET", NULL, {0}, NULL, NULL}, false, 0},
        {{"intercom", "OPTIONS", NULL, {0}, NULL, NULL}, false, 0},
        {{"xero", "GET", NULL, {0}, NULL, NULL}, false, 0},
        {{"github", "GET", "challenge=1", {0}, NULL, NULL}, false, 0},
        {{"mailchimp", "POST", NULL, {0}, "", NULL}, false, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct handshake_answer answer = {0};
        enum status status = ST_OK;
        bool verify_first = false;
        assert_int_equal(ask(&rows[i].asked, &status, &verify_first, &answer), rows[i].found);
        if (!rows[i].found)
            continue;
        assert_int_equal(status, rows[i].status);
        handshake_answer_deinit(&answer);
    }
}

/* A source without the variable refuses, as one with an empty one does: else what is not configured
 * would be open to all who send nothing. */
static void test_without_variable(void **state)
{
    (void)state;
    static const struct received_var empty = {{"verify_token", 12}, {"", 0}};
    const struct handshakes *meta = scheme_handshakes(scheme_find(set, SLICE("meta")));
    for (size_t count = 0; count <= 1; count++) {
        struct received received = {
            .method = SLICE("GET"),
            .query = SLICE("hub.mode=subscribe&hub.verify_token=&hub.challenge=1"),
            .vars = &empty,
            .var_count = count,
        };
        struct handshake_answer answer;
        const struct handshake_rule *rule = handshake_find(meta, &received, false);
        assert_non_null(rule);
        assert_int_equal(handshake_answer(rule, &received, NULL, 0, &answer), ST_DENIED);
        handshake_answer_deinit(&answer);
    }
    struct handshake_answer answer;
    struct received received = {
        .method = SLICE("OPTIONS"),
        .headers = &(struct received_header){SLICE("webhook-request-origin"), SLICE("a.example")},
        .header_count = 1,
    };
    const struct handshake_rule *rule =
        handshake_find(scheme_handshakes(scheme_find(set, SLICE("cloudevents"))), &received, false);
    assert_non_null(rule);
    assert_int_equal(handshake_answer(rule, &received, NULL, 0, &answer), ST_DENIED);
    handshake_answer_deinit(&answer);
}

/* Descriptions that could not be answered safely are refused when they are read. */
static void test_descriptions(void **state)
{
    (void)state;
    static const char begin[] =
        "name: t\nsignatures: [{algorithm: none}]\nreceive: {type: [\"text:x\"]}\n"
        "handshakes:\n";
    static const struct {
        const char *rule, *error; /* NULL: it is good */
    } rows[] = {
        {"  - {method: GET, when: [{at: \"query:a\"}], reply: {type: text/plain, body: "
         "\"{query:a}\"}}",
         NULL},
        {"  - {method: POST, reply: {status: 200}}", "no event would ever be taken"},
        {"  - {method: GET, reply: {status: 302}}", ""},
        {"  - {method: GET, reply: {body: \"x\"}}", "go together"},
        {"  - {method: GET, reply: {type: application/json, body: \"{query:a}\"}}", "json_string"},
        {"  - {method: GET, reply: {type: text/html, body: \"x\"}}", ""},
        {"  - {method: GET, when: [{at: \"cookie:a\"}], reply: {}}", "expected header:"},
        {"  - {method: GET, when: [{at: \"query:a\", is: \"{query:b}\"}], reply: {}}",
         "{var:NAME}"},
        {"  - {method: GET, when: [{at: \"query:a\", absent: true}], reply: {}}",
         "absent is for json"},
        {"  - {method: GET, reply: {headers: [{name: \"a b\", value: x}]}}", "header's name"},
        {"  - {method: GET, reply: {headers: [{name: A, value: \"\xc3\xab\"}]}}", "visible ASCII"},
        {"  - {method: GET, when: [{at: \"query:a\", is: b, among: b}], reply: {}}", "has one of"},
        {"  - {method: GET, when: [{at: \"json:a\", absent: true, is: b}], reply: {}}",
         "has one of"},
        {"  - {method: GET, when: [{at: \"query:a\", among: \"a {var:b}\"}], reply: {}}", NULL},
        {"  - {method: BREW, reply: {}}", ""},
        {"  - {reply: {}}", "method"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[1024], error[256] = "";
        struct scheme *scheme;
        snprintf(text, sizeof(text), "%s%s\n", begin, rows[i].rule);
        enum status status =
            scheme_file_parse(slice_str(text), "t.yaml", &scheme, error, sizeof(error));
        assert_int_equal(status, rows[i].error ? ST_SYNTAX : ST_OK);
        if (rows[i].error)
            assert_non_null(strstr(error, rows[i].error));
        scheme_free(scheme);
    }
}

/* A secret is brought once: while the source has none. */
static void test_secret_brought(void **state)
{
    (void)state;
    static const struct asked rows[] = {
        {"asana", "POST", NULL, {"X-Hook-Secret: b537207f"}, "", NULL},
        {"asana", "POST", NULL, {"X-Hook-Secret: b537207f"}, "", "has one"},
    };
    struct handshake_answer answer = {0};
    enum status status = ST_OK;
    bool verify_first = false;
    assert_true(ask(&rows[0], &status, &verify_first, &answer));
    assert_int_equal(status, ST_OK);
    assert_true(slice_eq(answer.secret, SLICE("b537207f")));
    assert_true(slice_eq(answer.headers[0].value, SLICE("b537207f")));
    assert_int_equal(answer.body.len, 0);
    handshake_answer_deinit(&answer);
    assert_false(ask(&rows[1], &status, &verify_first, &answer));
    assert_true(handshakes_bring_secret(scheme_handshakes(scheme_find(set, SLICE("asana")))));
    assert_false(handshakes_bring_secret(scheme_handshakes(scheme_find(set, SLICE("slack")))));
    assert_false(handshakes_bring_secret(NULL));
}

static int load(void **state)
{
    (void)state;
    set = scheme_set_new();
    return set ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    scheme_set_free(set);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_secret_brought), cmocka_unit_test(test_without_variable),
        cmocka_unit_test(test_descriptions),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
