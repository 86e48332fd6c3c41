/* test_endpoint_config.c - what the API takes for an endpoint, what it refuses and how, what is
 * stored and what is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/endpoint_config.h"
#include "endpoint_rules.h"

#define SECRET "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
#define OTHER  "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"

static struct endpoint_rules rules;

static int setup(void **state)
{
    (void)state;
    rules = test_rules_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_rules_free(&rules);
    return 0;
}

static struct endpoint_config *must_create(const char *body)
{
    struct endpoint_config *config;
    struct field_error error;
    if (endpoint_config_create(&rules, slice_str(body), 1000, &config, &error))
        fail_msg("%s: %s %s: %s", body, error.code, error.field, error.message);
    assert_non_null(config);
    return config;
}

/* Changes *config in place. */
static void must_change(struct endpoint_config **config, enum endpoint_change kind,
                        const char *body)
{
    struct endpoint_config *changed;
    struct field_error error;
    if (endpoint_config_change(&rules, *config, kind, slice_str(body), 2000, &changed, &error))
        fail_msg("%s: %s %s: %s", body, error.code, error.field, error.message);
    endpoint_config_put(*config);
    *config = changed;
}

static void check_refused(const char *body, enum status status, const struct field_error *error,
                          const char *code, const char *field)
{
    if (!status)
        fail_msg("%s: accepted", body);
    if (strcmp(error->code, code) != 0 || strcmp(error->field, field) != 0)
        fail_msg("%s: %s \"%s\": %s", body, error->code, error->field, error->message);
    assert_true(error->message[0] != '\0');
}

static void must_refuse(const char *body, const char *code, const char *field)
{
    struct endpoint_config *config;
    struct field_error error;
    enum status status = endpoint_config_create(&rules, slice_str(body), 1, &config, &error);
    check_refused(body, status, &error, code, field);
    assert_null(config);
}

static void must_refuse_patch(const struct endpoint_config *old, const char *body, const char *code,
                              const char *field)
{
    struct endpoint_config *config;
    struct field_error error;
    enum status status =
        endpoint_config_change(&rules, old, ENDPOINT_PATCH, slice_str(body), 1, &config, &error);
    check_refused(body, status, &error, code, field);
    assert_null(config);
}

static void assert_rendered(const struct endpoint_config *config, bool with_secret,
                            const char *expected)
{
    struct buf text;
    buf_init(&text, 100000);
    endpoint_config_render(config, "ep_x", with_secret, &text);
    buf_add_char(&text, '\0');
    assert_int_equal(buf_status(&text), ST_OK);
    assert_string_equal(text.ptr, expected);
    buf_free(&text);
}

/* A document with only what is needed gets the defaults, and shows them. */
static void test_defaults(void **state)
{
    (void)state;
    struct endpoint_config *config =
        must_create("{\"url\":\"https://example.com/\",\"events\":[\"a\"]}");
    assert_string_equal(config->url, "https://example.com/");
    assert_int_equal(config->secret_count, 1);
    assert_int_equal(strncmp(config->secrets[0].text, "whsec_", 6), 0);
    assert_non_null(config->secrets[0].key);
    assert_int_equal(config->header_count, 0);
    assert_int_equal(config->timeout_ms, 15000);
    assert_int_equal(config->max_in_flight, 8);
    assert_int_equal(config->retry.step_count, 7);
    assert_false(config->timeout_given || config->max_in_flight_given || config->retry_given);
    assert_int_equal(config->rate.limit, 0);
    assert_null(config->description);
    assert_true(config->active);
    assert_int_equal(config->created_at_ms, 1000);
    assert_int_equal(config->updated_at_ms, 1000);
    assert_rendered(
        config, false,
        "{\"id\":\"ep_x\",\"kind\":\"http\",\"url\":\"https://example.com/\",\"events\":[\"a\"],"
        "\"scheme\":\"standard\",\"headers\":{},\"retryPolicy\":{\"schedule\":[\"5s\",\"5m\","
        "\"30m\",\"2h\",\"5h\",\"10h\",\"10h\"],\"jitter\":0.2},\"rateLimit\":null,\"ordering\":"
        "null,\"onDeadLetter\":\"skip\",\"batch\":null,\"maxInFlight\":8,"
        "\"timeout\":\"15s\",\"filter\":null,\"description\":null,\"active\":true,"
        "\"disabledReason\":null,"
        "\"createdAt\":\"1970-01-01T00:00:01.000Z\",\"updatedAt\":\"1970-01-01T00:00:01.000Z\"}");
    endpoint_config_put(config);
}

static const char full_body[] =
    "{\"url\":\"https://example.com/hook?a=1\",\"events\":[\"a\",\"b.*\",\"*\"],"
    "\"scheme\":\"guide\",\"secret\":\"thirty-two bytes of secret text.\","
    "\"headers\":{\"X-One\":\"1\",\"Authorization\":\"Basic YTpi\"},"
    "\"retryPolicy\":{\"schedule\":[\"1s\",2500],\"jitter\":0.5,"
    "\"retryOn\":[\"5xx\",429,\"408\",\"timeout\"]},"
    "\"rateLimit\":{\"burst\":20,\"limit\":300,\"period\":60000},\"maxInFlight\":64,\"timeout\":"
    "1500,\"batch\":{\"maxEvents\":7,\"maxBytes\":\"256KiB\",\"maxWait\":2500,"
    "\"format\":\"ndjson\"},"
    "\"filter\":{ \"n\": 9007199254740993.10 },\"description\":\"d \\\"q\\\" "
    "\\u00fc\",\"active\":false}";

/* Everything given is there, and is shown in the API's shape. */
static void test_everything(void **state)
{
    (void)state;
    struct endpoint_config *config = must_create(full_body);
    assert_string_equal(config->header_lines[0], "X-One: 1");
    assert_string_equal(config->header_lines[1], "Authorization: Basic YTpi");
    assert_int_equal(config->retry.steps_ms[1], 2500);
    assert_int_equal(config->retry.on.status_classes, 1 << 5);
    assert_int_equal(config->retry.on.errors, 1 << OUTBOUND_TIMEOUT);
    assert_true(config->timeout_given && config->max_in_flight_given && config->retry_given);
    assert_rendered(
        config, true,
        "{\"id\":\"ep_x\",\"kind\":\"http\",\"url\":\"https://example.com/hook?a=1\","
        "\"events\":[\"a\",\"b.*\",\"*\"],\"scheme\":\"guide\","
        "\"secret\":\"thirty-two bytes of secret text.\","
        "\"headers\":{\"X-One\":\"1\",\"Authorization\":\"Basic YTpi\"},"
        "\"retryPolicy\":{\"schedule\":[\"1s\",\"2.5s\"],\"jitter\":0.5,"
        "\"retryOn\":[\"5xx\",429,408,\"timeout\"]},"
        "\"rateLimit\":{\"limit\":300,\"period\":\"1m\",\"burst\":20},"
        "\"ordering\":null,\"onDeadLetter\":\"skip\",\"batch\":{\"maxEvents\":7,"
        "\"maxBytes\":262144,\"maxWait\":\"2.5s\",\"format\":\"ndjson\"},"
        "\"maxInFlight\":64,\"timeout\":\"1.5s\","
        "\"filter\":{ \"n\": 9007199254740993.10 },\"description\":\"d \\\"q\\\" "
        "\xc3\xbc\",\"active\":false,\"disabledReason\":\"manual\","
        "\"createdAt\":\"1970-01-01T00:00:01.000Z\",\"updatedAt\":\"1970-01-01T00:00:01.000Z\"}");
    endpoint_config_put(config);
}

#define WITH_OPEN(member) "{\"url\":\"https://example.com/\",\"events\":[\"a\"]," member
#define WITH(member)      WITH_OPEN(member) "}"
#define RATE(limit, period, burst)                                                                 \
    WITH("\"rateLimit\":{\"limit\":" limit ",\"period\":" period ",\"burst\":" burst "}")

/* Each wrong member is refused with its own code, and the field at fault. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code, *field;
    } cases[] = {
        {"", "invalid_json", ""},
        {"{", "invalid_json", ""},
        {"[]", "invalid_json", ""},
        {"5", "invalid_json", ""},
        {"null", "invalid_json", ""},
        {"{\"a\":1,\"a\":2}", "invalid_json", ""},
        {"{\"description\":\"\\u0000\"}", "invalid_json", ""},
        {"{\"maxInFlight\":1e999}", "invalid_json", ""},
        {"{\"description\":\"\xff\"}", "invalid_json", ""},
        {"{}", "missing_field", "url"},
        {"{\"url\":\"https://example.com/\"}", "missing_field", "events"},
        {"{\"url\":\"https://example.com/\",\"events\":null}", "missing_field", "events"},
        {WITH("\"filtre\":{}"), "unknown_field", "filtre"},
        {WITH("\"timeOut\":5"), "unknown_field", "timeOut"},
        {WITH("\"secrets\":[]"), "unknown_field", "secrets"},
        {WITH("\"disabled\":\"x\""), "unknown_field", "disabled"},
        {WITH("\"createdAt\":\"x\""), "unknown_field", "createdAt"},
        {WITH("\"url\":5"), "invalid_json", ""}, /* twice */

        {"{\"url\":5,\"events\":[\"a\"]}", "invalid_url", "url"},
        {"{\"url\":\"https://e.com/\\u00e4\",\"events\":[\"a\"]}", "invalid_url", "url"},
        {"{\"url\":\"nonsense\",\"events\":[\"a\"]}", "invalid_url", "url"},
        {"{\"url\":\"http://example.com/\",\"events\":[\"a\"]}", "invalid_url", "url"},
        {"{\"url\":\"https://127.0.0.1/\",\"events\":[\"a\"]}", "invalid_url", "url"},
        {"{\"url\":\"https://e.com/\",\"events\":\"a\"}", "invalid_events", "events"},
        {"{\"url\":\"https://e.com/\",\"events\":[]}", "invalid_events", "events"},
        {"{\"url\":\"https://e.com/\",\"events\":{}}", "invalid_events", "events"},
        {"{\"url\":\"https://e.com/\",\"events\":[\"a\",5]}", "invalid_events", "events[1]"},
        {"{\"url\":\"https://e.com/\",\"events\":[\"\"]}", "invalid_events", "events[0]"},
        {"{\"url\":\"https://e.com/\",\"events\":[\"a.\"]}", "invalid_events", "events[0]"},

        {WITH("\"scheme\":\"nope\""), "invalid_scheme", "scheme"},
        {WITH("\"scheme\":5"), "invalid_scheme", "scheme"},
        {WITH("\"scheme\":\"github\""), "invalid_scheme", "scheme"}, /* it only receives */
        {WITH("\"secret\":5"), "invalid_secret", "secret"},
        {WITH("\"secret\":\"\""), "invalid_secret", "secret"},
        {WITH("\"secret\":\"whsec_???\""), "invalid_secret", "secret"},
        {WITH("\"scheme\":\"event\",\"secret\":\"" SECRET "\""), "invalid_secret", "secret"},

        {WITH("\"headers\":[]"), "invalid_headers", "headers"},
        {WITH("\"headers\":{\"\":\"x\"}"), "invalid_headers", "headers."},
        {WITH("\"headers\":{\"A B\":\"x\"}"), "invalid_headers", "headers.A B"},
        {WITH("\"headers\":{\"A:\":\"x\"}"), "invalid_headers", "headers.A:"},
        {WITH("\"headers\":{\"A\":5}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":null}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":\"\"}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":\" x\"}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":\"x \"}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":\"x\\r\\nB: y\"}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":\"x\\ty\"}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":\"\\u007f\"}"), "invalid_headers", "headers.A"},
        {WITH("\"headers\":{\"A\":\"1\",\"a\":\"2\"}"), "invalid_headers", "headers.a"},
        {WITH("\"headers\":{\"Host\":\"x\"}"), "invalid_headers", "headers.Host"},
        {WITH("\"headers\":{\"content-TYPE\":\"x\"}"), "invalid_headers", "headers.content-TYPE"},
        {WITH("\"headers\":{\"Transfer-Encoding\":\"x\"}"), "invalid_headers",
         "headers.Transfer-Encoding"},
        {WITH("\"headers\":{\"Proxy-Authorization\":\"x\"}"), "invalid_headers",
         "headers.Proxy-Authorization"},
        {WITH("\"headers\":{\"proxy-\":\"x\"}"), "invalid_headers", "headers.proxy-"},
        {WITH("\"headers\":{\"Webhook-Foo\":\"x\"}"), "invalid_headers", "headers.Webhook-Foo"},
        {WITH("\"headers\":{\"Svix-Id\":\"x\"}"), "invalid_headers", "headers.Svix-Id"},
        {WITH("\"headers\":{\"Traceparent\":\"x\"}"), "invalid_headers", "headers.Traceparent"},
        {WITH("\"scheme\":\"basic\",\"headers\":{\"x-signature\":\"x\"}"), "invalid_headers",
         "headers.x-signature"},

        {WITH("\"batch\":5"), "invalid_batch", "batch"},
        {WITH("\"batch\":true"), "invalid_batch", "batch"},
        {WITH("\"batch\":{\"size\":5}"), "unknown_field", "batch.size"},
        {WITH("\"batch\":{\"maxEvents\":0}"), "invalid_batch", "batch.maxEvents"},
        {WITH("\"batch\":{\"maxEvents\":1001}"), "invalid_batch", "batch.maxEvents"},
        {WITH("\"batch\":{\"maxEvents\":1.0}"), "invalid_batch", "batch.maxEvents"},
        {WITH("\"batch\":{\"maxEvents\":4294967297}"), "invalid_batch", "batch.maxEvents"},
        {WITH("\"batch\":{\"maxBytes\":1023}"), "invalid_batch", "batch.maxBytes"},
        {WITH("\"batch\":{\"maxBytes\":-1}"), "invalid_batch", "batch.maxBytes"},
        {WITH("\"batch\":{\"maxBytes\":16777217}"), "invalid_batch", "batch.maxBytes"},
        {WITH("\"batch\":{\"maxBytes\":\"17MiB\"}"), "invalid_batch", "batch.maxBytes"},
        {WITH("\"batch\":{\"maxBytes\":\"much\"}"), "invalid_batch", "batch.maxBytes"},
        {WITH("\"batch\":{\"maxBytes\":[]}"), "invalid_batch", "batch.maxBytes"},
        {WITH("\"batch\":{\"maxWait\":60001}"), "invalid_batch", "batch.maxWait"},
        {WITH("\"batch\":{\"maxWait\":\"soon\"}"), "invalid_batch", "batch.maxWait"},
        {WITH("\"batch\":{\"format\":\"xml\"}"), "invalid_batch", "batch.format"},
        {WITH("\"batch\":{\"format\":1}"), "invalid_batch", "batch.format"},
        {WITH("\"batch\":{},\"scheme\":\"passthrough\""), "invalid_batch", "batch"},
        {WITH("\"batch\":{},\"ordering\":\"key\""), "invalid_batch", "batch"},
        {WITH("\"rateLimit\":5"), "invalid_rate_limit", "rateLimit"},
        {WITH("\"rateLimit\":[]"), "invalid_rate_limit", "rateLimit"},
        {WITH("\"rateLimit\":{}"), "invalid_rate_limit", "rateLimit.limit"},
        {WITH("\"rateLimit\":{\"rate\":5}"), "unknown_field", "rateLimit.rate"},
        {WITH("\"rateLimit\":{\"limit\":5}"), "invalid_rate_limit", "rateLimit.period"},
        {WITH("\"rateLimit\":{\"period\":\"1s\"}"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("0", "\"1s\"", "1"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("-1", "\"1s\"", "1"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("1000001", "\"1h\"", "1"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("4294967297", "\"1h\"", "1"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("1.0", "\"1s\"", "1"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("\"1\"", "\"1s\"", "1"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("null", "\"1s\"", "1"), "invalid_rate_limit", "rateLimit.limit"},
        {RATE("1", "0", "1"), "invalid_rate_limit", "rateLimit.period"},
        {RATE("1", "\"25h\"", "1"), "invalid_rate_limit", "rateLimit.period"},
        {RATE("1", "\"second\"", "1"), "invalid_rate_limit", "rateLimit.period"},
        {RATE("1", "{}", "1"), "invalid_rate_limit", "rateLimit.period"},
        {RATE("1001", "1", "1"), "invalid_rate_limit", "rateLimit.period"},
        {RATE("5", "\"1s\"", "0"), "invalid_rate_limit", "rateLimit.burst"},
        {RATE("5", "\"1s\"", "6"), "invalid_rate_limit", "rateLimit.burst"},
        {RATE("5", "\"1s\"", "1.5"), "invalid_rate_limit", "rateLimit.burst"},
        {RATE("5", "\"1s\"", "null"), "invalid_rate_limit", "rateLimit.burst"},
        {WITH("\"ordering\":\"none\""), "invalid_ordering", "ordering"},
        {WITH("\"ordering\":\"Key\""), "invalid_ordering", "ordering"},
        {WITH("\"ordering\":\"\""), "invalid_ordering", "ordering"},
        {WITH("\"ordering\":true"), "invalid_ordering", "ordering"},
        {WITH("\"ordering\":{}"), "invalid_ordering", "ordering"},
        {WITH("\"onDeadLetter\":\"stop\""), "invalid_on_dead_letter", "onDeadLetter"},
        {WITH("\"onDeadLetter\":false"), "invalid_on_dead_letter", "onDeadLetter"},
        {WITH("\"onDeadLetter\":[\"block\"]"), "invalid_on_dead_letter", "onDeadLetter"},
        {WITH("\"maxInFlight\":0"), "invalid_max_in_flight", "maxInFlight"},
        {WITH("\"maxInFlight\":65"), "invalid_max_in_flight", "maxInFlight"},
        {WITH("\"maxInFlight\":-1"), "invalid_max_in_flight", "maxInFlight"},
        {WITH("\"maxInFlight\":1.0"), "invalid_max_in_flight", "maxInFlight"},
        {WITH("\"maxInFlight\":\"1\""), "invalid_max_in_flight", "maxInFlight"},
        {WITH("\"timeout\":99"), "invalid_timeout", "timeout"},
        {WITH("\"timeout\":-1"), "invalid_timeout", "timeout"},
        {WITH("\"timeout\":\"61s\""), "invalid_timeout", "timeout"},
        {WITH("\"timeout\":\"5\""), "invalid_timeout", "timeout"},
        {WITH("\"timeout\":true"), "invalid_timeout", "timeout"},
        {WITH("\"description\":5"), "invalid_description", "description"},
        {WITH("\"filter\":\"{}\""), "invalid_filter", "filter"},
        {WITH("\"filter\":[]"), "invalid_filter", "filter"},
        {WITH("\"filter\":{}"), "invalid_filter", "filter"},
        {WITH("\"filter\":{\"order.total\":{\"$gt\":true}}"), "invalid_filter",
         "filter.order.total.$gt"},
        {WITH("\"filter\":{\"$or\":[{\"a\":1},{}]}"), "invalid_filter", "filter.$or[1]"},
        {WITH("\"filter\":{\"a\":1,\"a\":2}"), "invalid_filter", "filter"},
        {WITH("\"filter\":{\"a\":1},\"filter\":{\"a\":1}"), "invalid_json", ""},
        {WITH("\"filter\":{\"a\":1},\"fitler\":{\"a\":1}"), "unknown_field", "fitler"},
        {WITH("\"active\":\"yes\""), "invalid_active", "active"},
        {WITH("\"active\":0"), "invalid_active", "active"},
        {WITH("\"retryPolicy\":[]"), "invalid_retry_policy", "retryPolicy"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        must_refuse(cases[i].body, cases[i].code, cases[i].field);
}

/* A name that was mistyped is answered with the right one. */
static void test_suggestion(void **state)
{
    (void)state;
    struct endpoint_config *config;
    struct field_error error;
    assert_int_equal(
        endpoint_config_create(&rules, SLICE("{\"maxInflight\":1}"), 1, &config, &error), ST_RANGE);
    assert_non_null(strstr(error.message, "did you mean \"maxInFlight\"?"));
}

/* `count` items inside a body, each with '#' as its number. The caller frees it. */
static char *body_of_many(const char *before, const char *item, size_t count, const char *after)
{
    struct buf body;
    buf_init(&body, 10 * 1024 * 1024);
    buf_add_str(&body, before);
    for (size_t i = 0; i < count; i++) {
        buf_add_str(&body, i ? "," : "");
        for (const char *c = item; *c; c++) {
            if (*c == '#')
                buf_add_u64(&body, i);
            else
                buf_add_char(&body, *c);
        }
    }
    buf_add_str(&body, after);
    buf_add_char(&body, '\0');
    assert_int_equal(buf_status(&body), ST_OK);
    return body.ptr;
}

static void check_many(const char *before, const char *item, size_t count, const char *after,
                       const char *code, const char *field)
{
    char *body = body_of_many(before, item, count, after);
    if (code)
        must_refuse(body, code, field);
    else
        endpoint_config_put(must_create(body));
    free(body);
}

/* A text of `bytes` letters inside a body. */
static void check_long(const char *before, size_t bytes, const char *after, const char *code,
                       const char *field)
{
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    check_many(before, text, 1, after, code, field);
    free(text);
}

/* Every maximum is reachable, and one more is refused. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *before, *item, *after, *code, *field;
        size_t max;
    } lists[] = {
        {"{\"url\":\"https://e.com/\",\"events\":[", "\"t#\"", "]}", "invalid_events", "events",
         LIMIT_ENDPOINT_TYPES},
        {WITH_OPEN("\"headers\":{"), "\"h#\":\"v\"", "}}", "invalid_headers", "headers",
         LIMIT_HEADER_LIST},
        {WITH_OPEN("\"retryPolicy\":{\"schedule\":["), "#", "]}}", "invalid_retry_policy",
         "retryPolicy.schedule", LIMIT_RETRY_STEPS},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        check_many(lists[i].before, lists[i].item, lists[i].max, lists[i].after, NULL, NULL);
        check_many(lists[i].before, lists[i].item, lists[i].max + 1, lists[i].after, lists[i].code,
                   lists[i].field);
    }

    static const struct {
        const char *before, *after, *code, *field;
        size_t max;
    } texts[] = {
        {WITH_OPEN("\"description\":\""), "\"}", "invalid_description", "description",
         LIMIT_DESCRIPTION_BYTES},
        {WITH_OPEN("\"headers\":{\"A\":\""), "\"}}", "invalid_headers", "headers.A",
         LIMIT_HEADER_VALUE_BYTES},
        {"{\"url\":\"https://e.com/\",\"events\":[\"", ".*\"]}", "invalid_events", "events[0]",
         LIMIT_TYPE_BYTES},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check_long(texts[i].before, texts[i].max, texts[i].after, NULL, NULL);
        check_long(texts[i].before, texts[i].max + 1, texts[i].after, texts[i].code,
                   texts[i].field);
    }
}

static void assert_same(const struct endpoint_config *a, const struct endpoint_config *b)
{
    struct buf left, right;
    buf_init(&left, 1000000);
    buf_init(&right, 1000000);
    endpoint_config_render(a, "ep", true, &left);
    endpoint_config_render(b, "ep", true, &right);
    assert_true(slice_eq(buf_slice(&left), buf_slice(&right)));
    buf_free(&left);
    buf_free(&right);
    assert_string_equal(a->document, b->document);
    assert_int_equal(a->retry_given, b->retry_given);
    assert_int_equal(a->timeout_given, b->timeout_given);
    assert_int_equal(a->max_in_flight_given, b->max_in_flight_given);
    assert_int_equal(a->secret_count, b->secret_count);
    for (size_t i = 0; i < a->secret_count; i++) {
        assert_string_equal(a->secrets[i].text, b->secrets[i].text);
        assert_int_equal(a->secrets[i].expires_at_ms, b->secrets[i].expires_at_ms);
    }
}

static void check_loads(const struct endpoint_config *config)
{
    struct endpoint_config *loaded;
    struct field_error error;
    if (endpoint_config_load(&rules, slice_str(config->document), &loaded, &error))
        fail_msg("%s: %s", config->document, error.message);
    assert_same(config, loaded);
    endpoint_config_put(loaded);
}

/* A body that is too large or too deep is not even parsed. */
static void test_bounds(void **state)
{
    (void)state;
    struct endpoint_config *config;
    struct field_error error;
    char *huge = body_of_many("[", "1", LIMIT_ENDPOINT_BYTES / 2, "]");
    assert_int_equal(endpoint_config_create(&rules, slice_str(huge), 1, &config, &error), ST_LIMIT);
    assert_string_equal(error.code, "payload_too_large");
    free(huge);

    /* Neither is a document made that would be too large to be stored, by however many patches. */
    char patch[9000] = "{\"headers\":{\"h__\":\"";
    char *quotes = patch + strlen(patch);
    for (int i = 0; i < LIMIT_HEADER_VALUE_BYTES; i++)
        memcpy(quotes + 2 * i, "\\\"", 2);
    strcpy(quotes + 2 * LIMIT_HEADER_VALUE_BYTES, "\"}}");
    config = must_create(WITH("\"description\":\"\""));
    for (int i = 0; i < LIMIT_HEADER_LIST - 1; i++) {
        patch[13] = (char)('a' + i / 16);
        patch[14] = (char)('a' + i % 16);
        must_change(&config, ENDPOINT_PATCH, patch);
    }
    check_loads(config);
    patch[13] = 'z';
    must_refuse_patch(config, patch, "payload_too_large", "");
    endpoint_config_put(config);

    char nested[200] = "{\"headers\":";
    memset(nested + strlen(nested), '[', 100);
    assert_int_equal(endpoint_config_create(&rules, slice_str(nested), 1, &config, &error),
                     ST_SYNTAX);
    assert_string_equal(error.code, "json_too_deep");
}

/* PATCH touches what it names: others stay as they were given, null resets, objects merge. */
static void test_patch(void **state)
{
    (void)state;
    struct endpoint_config *config = must_create(
        "{\"url\":\"https://e.com/\",\"events\":[\"a\"],\"secret\":\"" SECRET "\",\"timeout\":2000,"
        "\"headers\":{\"X-One\":\"1\",\"X-Two\":\"2\"},\"description\":\"d\",\"maxInFlight\":3}");

    must_change(&config, ENDPOINT_PATCH, "{}");
    assert_int_equal(config->timeout_ms, 2000);
    assert_int_equal(config->created_at_ms, 1000);
    assert_int_equal(config->updated_at_ms, 2000);
    assert_string_equal(config->secrets[0].text, SECRET);

    must_change(&config, ENDPOINT_PATCH,
                "{\"timeout\":null,\"description\":null,\"events\":[\"b\"],"
                "\"headers\":{\"x-one\":\"one\",\"X-TWO\":null,\"X-Three\":\"3\",\"X-No\":null}}");
    assert_int_equal(config->timeout_ms, 15000);
    assert_false(config->timeout_given);
    assert_null(config->description);
    assert_int_equal(config->max_in_flight, 3);
    assert_int_equal(config->event_count, 1);
    assert_string_equal(config->events[0], "b");
    assert_int_equal(config->header_count, 2);
    assert_string_equal(config->header_lines[0], "x-one: one");
    assert_string_equal(config->header_lines[1], "X-Three: 3");

    must_change(&config, ENDPOINT_PATCH, "{\"headers\":null}");
    assert_int_equal(config->header_count, 0);
    must_change(&config, ENDPOINT_PATCH, "{\"headers\":{\"A\":\"1\"}}");
    assert_int_equal(config->header_count, 1);

    must_refuse_patch(config, "{\"url\":null}", "missing_field", "url");
    must_refuse_patch(config, "{\"nope\":null}", "unknown_field", "nope");
    must_refuse_patch(config, "{\"url\":{\"a\":1}}", "invalid_url", "url");
    must_refuse_patch(config, "{\"headers\":{\"Host\":\"x\"}}", "invalid_headers", "headers.Host");
    must_refuse_patch(config, "[]", "invalid_json", "");
    endpoint_config_put(config);
}

/* A filter is shown and kept byte for byte, numbers that no machine has included; PATCH replaces it
 * as a whole, null and a PUT without one remove it. */
static void test_filter(void **state)
{
    (void)state;
    static const char given[] = "{ \"a\" : {\"$gt\":0.1,\"$lt\":1e999}, \"b\":99999999999999999999,"
                                "\r\n\"c\":\"\\u0000\\u00e9\xc3\xa9\" }";
    char body[256];
    snprintf(body, sizeof(body), WITH("\"filter\":%s ,\"description\":\"\""), given);
    struct endpoint_config *config = must_create(body);
    assert_non_null(config->filter);
    assert_string_equal(config->filter_text, given);
    check_loads(config);

    must_change(&config, ENDPOINT_PATCH, "{\"description\":\"d\"}");
    assert_string_equal(config->filter_text, given);
    must_change(&config, ENDPOINT_PATCH, "{\"\\u0066ilter\":{\"d\":1}}");
    assert_string_equal(config->filter_text, "{\"d\":1}");
    check_loads(config);
    must_refuse_patch(config, "{\"filter\":{\"d\":{\"$in\":[1,[]]}}}", "invalid_filter",
                      "filter.d.$in[1]");
    must_change(&config, ENDPOINT_PATCH, "{\"filter\":null}");
    assert_null(config->filter);
    assert_null(config->filter_text);
    must_change(&config, ENDPOINT_PUT, body);
    assert_string_equal(config->filter_text, given);
    must_change(&config, ENDPOINT_PUT, WITH("\"description\":\"\""));
    assert_null(config->filter);
    endpoint_config_put(config);
}

/* Secrets stay, are replaced when given, made anew when reset, and must fit the scheme. */
static void test_patch_secret(void **state)
{
    (void)state;
    struct endpoint_config *config = must_create(WITH("\"secret\":\"" SECRET "\""));
    must_change(&config, ENDPOINT_PATCH, "{\"secret\":\"" OTHER "\"}");
    assert_string_equal(config->secrets[0].text, OTHER);
    assert_int_equal(config->secret_count, 1);

    must_refuse_patch(config, "{\"scheme\":\"event\"}", "invalid_secret", "secret");
    must_change(&config, ENDPOINT_PATCH, "{\"scheme\":\"svix\"}"); /* the same form */
    assert_string_equal(config->secrets[0].text, OTHER);

    must_change(&config, ENDPOINT_PATCH, "{\"scheme\":\"event\",\"secret\":null}");
    assert_string_equal(scheme_name(config->scheme), "event");
    assert_int_equal(strlen(config->secrets[0].text), 64);
    must_refuse_patch(config, "{\"scheme\":null}", "invalid_secret", "secret");
    endpoint_config_put(config);
}

/* The retry policy merges within a form, and a patch of the other form replaces it. */
static void test_patch_retry(void **state)
{
    (void)state;
    struct endpoint_config *config =
        must_create(WITH("\"retryPolicy\":{\"schedule\":[\"1s\"],\"jitter\":0.1}"));
    must_change(&config, ENDPOINT_PATCH, "{\"retryPolicy\":{\"jitter\":0}}");
    assert_int_equal(config->retry.step_count, 1);
    assert_true(config->retry.jitter == 0);
    must_change(&config, ENDPOINT_PATCH,
                "{\"retryPolicy\":{\"maxAttempts\":3,\"initialInterval\":\"1s\"}}");
    assert_int_equal(config->retry.step_count, 2);
    assert_int_equal(config->retry.steps_ms[1], 2000);
    must_change(&config, ENDPOINT_PATCH, "{\"retryPolicy\":{\"multiplier\":3}}");
    assert_int_equal(config->retry.steps_ms[1], 3000);
    assert_true(config->retry.jitter == 0);
    must_change(&config, ENDPOINT_PATCH, "{\"retryPolicy\":{\"schedule\":[]}}");
    assert_int_equal(config->retry.step_count, 0);
    must_refuse_patch(config, "{\"retryPolicy\":{\"schedule\":[],\"maxAttempts\":1}}",
                      "invalid_retry_policy", "retryPolicy");
    must_change(&config, ENDPOINT_PATCH, "{\"retryPolicy\":null}");
    assert_false(config->retry_given);
    endpoint_config_put(config);
}

static void assert_rate(const struct endpoint_config *config, uint32_t limit, uint64_t period_ms,
                        uint32_t burst)
{
    assert_int_equal(config->rate.limit, limit);
    assert_int_equal(config->rate.period_ms, period_ms);
    assert_int_equal(config->rate.burst, burst);
}

/* The largest and smallest rate limits, and a burst of one when none is given. */
static void test_rate_limits(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        struct gcra_limit rate;
    } cases[] = {
        {WITH("\"rateLimit\":{\"limit\":7,\"period\":\"1s\"}"), {7, 1000, 1}},
        {RATE("1000000", "\"1s\"", "1000000"), {1000000, 1000, 1000000}},
        {RATE("1000000", "\"24h\"", "1"), {1000000, 86400000, 1}},
        {RATE("1000", "1", "1000"), {1000, 1, 1000}},
        {RATE("1", "86400000", "1"), {1, 86400000, 1}},
        {WITH("\"rateLimit\":null"), {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint_config *config = must_create(cases[i].body);
        assert_rate(config, cases[i].rate.limit, cases[i].rate.period_ms, cases[i].rate.burst);
        check_loads(config);
        endpoint_config_put(config);
    }
}

/* The members of a rate limit merge in a PATCH, and null takes it away; PUT forgets it. */
static void test_change_rate_limit(void **state)
{
    (void)state;
    struct endpoint_config *config = must_create(RATE("100", "\"1s\"", "10"));
    must_change(&config, ENDPOINT_PATCH, "{\"rateLimit\":{\"limit\":50}}");
    assert_rate(config, 50, 1000, 10);
    must_change(&config, ENDPOINT_PATCH, "{\"rateLimit\":{\"period\":\"1m\",\"burst\":null}}");
    assert_rate(config, 50, 60000, 1);
    must_change(&config, ENDPOINT_PATCH, "{\"description\":\"x\"}");
    assert_rate(config, 50, 60000, 1);
    must_refuse_patch(config, "{\"rateLimit\":{\"burst\":51}}", "invalid_rate_limit",
                      "rateLimit.burst");
    must_refuse_patch(config, "{\"rateLimit\":{\"limit\":null}}", "invalid_rate_limit",
                      "rateLimit.limit");
    must_change(&config, ENDPOINT_PATCH, "{\"rateLimit\":null}");
    assert_int_equal(config->rate.limit, 0);
    must_refuse_patch(config, "{\"rateLimit\":{\"limit\":5}}", "invalid_rate_limit",
                      "rateLimit.period");
    must_change(&config, ENDPOINT_PATCH, "{\"rateLimit\":{\"limit\":5,\"period\":1000}}");
    must_change(&config, ENDPOINT_PUT, WITH("\"description\":\"x\""));
    assert_int_equal(config->rate.limit, 0);
    endpoint_config_put(config);
}

static void assert_batch(const struct endpoint_config *config, const struct group_rule *rule)
{
    assert_int_equal(config->batch.max_events, rule->max_events);
    assert_int_equal(config->batch.max_bytes, rule->max_bytes);
    assert_int_equal(config->batch.max_wait_ms, rule->max_wait_ms);
    assert_int_equal(config->batch.form, rule->form);
}

/* What is not given has a default, the smallest and the largest are taken; members merge in a
 * PATCH, and null takes all away. */
static void test_batch(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        struct group_rule rule;
    } cases[] = {
        {WITH("\"batch\":{}"), {100, 1048576, 1000, EVENT_LIST_JSON}},
        {WITH("\"batch\":{\"maxEvents\":1,\"maxBytes\":1024,\"maxWait\":0}"),
         {1, 1024, 0, EVENT_LIST_JSON}},
        {WITH("\"batch\":{\"maxEvents\":1000,\"maxBytes\":\"16MiB\",\"maxWait\":\"1m\","
              "\"format\":\"ndjson\"}"),
         {1000, 16777216, 60000, EVENT_LIST_NDJSON}},
        {WITH("\"batch\":{\"format\":\"json\"}"), {100, 1048576, 1000, EVENT_LIST_JSON}},
        {WITH("\"batch\":null"), {0, 0, 0, EVENT_LIST_JSON}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint_config *config = must_create(cases[i].body);
        assert_batch(config, &cases[i].rule);
        check_loads(config);
        endpoint_config_put(config);
    }
    struct endpoint_config *config = must_create(WITH("\"batch\":{\"maxEvents\":7}"));
    must_change(&config, ENDPOINT_PATCH, "{\"batch\":{\"maxWait\":\"5s\"}}");
    assert_batch(config, &(struct group_rule){7, 1048576, 5000, EVENT_LIST_JSON});
    must_refuse_patch(config, "{\"ordering\":\"key\"}", "invalid_batch", "batch");
    must_refuse_patch(config, "{\"scheme\":\"passthrough\"}", "invalid_batch", "batch");
    must_change(&config, ENDPOINT_PATCH, "{\"batch\":null}");
    assert_int_equal(config->batch.max_events, 0);
    endpoint_config_put(config);
}

/* Both are kept in the document; null takes one away, and PUT forgets it. */
static void test_change_ordering(void **state)
{
    (void)state;
    struct endpoint_config *config = must_create(WITH("\"ordering\":\"endpoint\""));
    assert_true(config->ordering == ORDERING_ENDPOINT && !config->blocks_order);
    check_loads(config);
    must_change(&config, ENDPOINT_PATCH, "{\"onDeadLetter\":\"block\"}");
    assert_true(config->ordering == ORDERING_ENDPOINT && config->blocks_order);
    check_loads(config);
    must_change(&config, ENDPOINT_PATCH, "{\"ordering\":\"key\"}");
    assert_true(config->ordering == ORDERING_KEY && config->blocks_order);
    must_change(&config, ENDPOINT_PATCH, "{\"ordering\":null}");
    assert_true(config->ordering == ORDERING_NONE && config->blocks_order);
    must_change(&config, ENDPOINT_PATCH, "{\"onDeadLetter\":null}");
    assert_true(config->ordering == ORDERING_NONE && !config->blocks_order);
    must_change(&config, ENDPOINT_PATCH, "{\"ordering\":\"key\",\"onDeadLetter\":\"block\"}");
    must_refuse_patch(config, "{\"ordering\":\"keys\"}", "invalid_ordering", "ordering");
    must_change(&config, ENDPOINT_PUT, WITH("\"description\":\"x\""));
    assert_true(config->ordering == ORDERING_NONE && !config->blocks_order);
    check_loads(config);
    endpoint_config_put(config);
}

/* PUT forgets what it does not name, but for the secrets and the time of creation. */
static void test_put(void **state)
{
    (void)state;
    struct endpoint_config *config =
        must_create(WITH("\"secret\":\"" SECRET "\",\"timeout\":2000,\"active\":false,"
                         "\"headers\":{\"A\":\"1\"}"));
    must_change(&config, ENDPOINT_PUT,
                "{\"url\":\"https://other.com/\",\"events\":[\"b\"],\"timeout\":null}");
    assert_string_equal(config->url, "https://other.com/");
    assert_int_equal(config->timeout_ms, 15000);
    assert_int_equal(config->header_count, 0);
    assert_true(config->active);
    assert_string_equal(config->secrets[0].text, SECRET);
    assert_int_equal(config->created_at_ms, 1000);
    assert_int_equal(config->updated_at_ms, 2000);

    struct endpoint_config *none;
    struct field_error error;
    enum status status = endpoint_config_change(
        &rules, config, ENDPOINT_PUT, SLICE("{\"url\":\"https://e.com/\"}"), 3000, &none, &error);
    check_refused("PUT", status, &error, "missing_field", "events");
    must_change(&config, ENDPOINT_PUT, WITH("\"secret\":\"" OTHER "\""));
    assert_string_equal(config->secrets[0].text, OTHER);
    endpoint_config_put(config);
}

/* Off and on again, by every way there is, with the reason kept. */
static void test_switch(void **state)
{
    (void)state;
    struct endpoint_config *config = must_create(WITH("\"timeout\":2000")), *off, *on;
    assert_int_equal(endpoint_config_switch(&rules, config, false, "gone", 3000, &off), ST_OK);
    assert_false(off->active);
    assert_string_equal(off->disabled_reason, "gone");
    assert_int_equal(off->updated_at_ms, 3000);
    assert_int_equal(off->created_at_ms, 1000);
    assert_int_equal(off->timeout_ms, 2000);
    assert_string_equal(off->secrets[0].text, config->secrets[0].text);
    assert_true(config->active);

    must_change(&off, ENDPOINT_PATCH, "{\"timeout\":3000}"); /* stays off */
    assert_string_equal(off->disabled_reason, "gone");
    must_change(&off, ENDPOINT_PATCH, "{\"active\":false}");
    assert_string_equal(off->disabled_reason, "gone");

    assert_int_equal(endpoint_config_switch(&rules, off, true, "", 4000, &on), ST_OK);
    assert_true(on->active);
    assert_string_equal(on->disabled_reason, "");
    assert_null(strstr(on->document, "disabled"));

    must_change(&on, ENDPOINT_PATCH, "{\"active\":false}");
    assert_string_equal(on->disabled_reason, "manual");
    must_change(&on, ENDPOINT_PATCH, "{\"active\":null}");
    assert_true(on->active);
    must_change(&off, ENDPOINT_PATCH, "{\"active\":true}");
    assert_true(off->active);
    endpoint_config_put(config);
    endpoint_config_put(off);
    endpoint_config_put(on);
}

/* What is stored loads as the very same endpoint. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        WITH("\"description\":\"\""),
        WITH("\"headers\":{}"),
        WITH("\"filter\":{\"a.b\":{\"$in\":[1.50,\"\\u00e9\"]}}"),
        WITH("\"active\":false"),
        WITH("\"scheme\":\"event\",\"timeout\":\"60s\",\"maxInFlight\":64"),
        WITH("\"headers\":{\"B\":\"\xc3\xa4 \\\"\\\\\",\"A\":\"b: c\"}"),
        WITH("\"retryPolicy\":{\"maxAttempts\":5,\"multiplier\":1.1,\"retryOn\":[\"dns\"]}"),
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct endpoint_config *config = must_create(bodies[i]);
        check_loads(config);
        must_change(&config, ENDPOINT_PATCH, "{\"description\":\"other\",\"active\":false}");
        check_loads(config);
        endpoint_config_put(config);
    }
}

static const char rotated[] =
    "{\"url\":\"http://10.0.0.1/\",\"events\":[\"a\"],\"scheme\":\"standard\","
    "\"headers\":{\"Webhook-Old\":\"x\"},\"maxInFlight\":1000,\"timeout\":\"10m\","
    "\"secrets\":[{\"secret\":\"" OTHER "\"},{\"secret\":\"" SECRET
    "\",\"expiresAt\":\"1970-01-01T00:00:05.000Z\"}],"
    "\"createdAt\":\"1970-01-01T00:00:00.001Z\",\"updatedAt\":\"1970-01-01T00:00:00.002Z\"}";

/* A stored document stays good when the rules have become stricter; what is above a maximum is
 * lowered for as long as that holds. */
static void test_load_under_other_rules(void **state)
{
    (void)state;
    struct endpoint_config *config;
    struct field_error error;
    if (endpoint_config_load(&rules, slice_str(rotated), &config, &error))
        fail_msg("%s", error.message);
    assert_string_equal(config->url, "http://10.0.0.1/");
    assert_int_equal(config->max_in_flight, 64);
    assert_int_equal(config->timeout_ms, 60000);
    assert_int_equal(config->secret_count, 2);
    assert_int_equal(config->secrets[1].expires_at_ms, 5000);
    assert_string_equal(config->document, rotated);

    /* A change keeps the secrets that have not expired, and holds it to today's rules. */
    must_refuse_patch(config, "{}", "invalid_url", "url");
    must_refuse_patch(config, "{\"url\":\"https://e.com/\"}", "invalid_headers",
                      "headers.Webhook-Old");
    const char *fix = "{\"url\":\"https://e.com/\",\"headers\":null,\"maxInFlight\":1,"
                      "\"timeout\":null}";
    must_change(&config, ENDPOINT_PATCH, fix); /* at 2 s */
    assert_int_equal(config->secret_count, 2);
    check_loads(config);
    struct endpoint_config *later;
    assert_int_equal(endpoint_config_change(&rules, config, ENDPOINT_PATCH, slice_str(fix), 5000,
                                            &later, &error),
                     ST_OK);
    assert_int_equal(later->secret_count, 1);
    assert_string_equal(later->secrets[0].text, OTHER);
    endpoint_config_put(later);
    endpoint_config_put(config);
}

/* What is no document is an error and nothing worse. */
static void test_load_refused(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "",
        "[]",
        "{}",
        WITH("\"createdAt\":\"1970-01-01T00:00:00Z\",\"updatedAt\":\"1970-01-01T00:00:00Z\""),
        WITH("\"secrets\":[{\"secret\":\"" SECRET "\"}],\"filter\":{\"a\":1}"),
        WITH("\"secrets\":[{\"secret\":\"" SECRET "\"}],\"filter\":\"{}\""),
        WITH("\"secrets\":[],\"createdAt\":\"1970-01-01T00:00:00Z\",\"updatedAt\":\"x\""),
        WITH("\"secrets\":[5],\"createdAt\":\"1970-01-01T00:00:00Z\",\"updatedAt\":\"x\""),
        WITH("\"secrets\":[{\"secret\":\"" SECRET "\"}],\"createdAt\":\"yesterday\""),
        WITH("\"secrets\":[{\"secret\":\"" SECRET "\",\"expiresAt\":5}]"),
        WITH("\"secrets\":[{\"secret\":\"" SECRET "\"}],\"disabled\":\"0123456789abcdef\""),
    };
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct endpoint_config *config;
        struct field_error error;
        assert_int_equal(endpoint_config_load(&rules, slice_str(documents[i]), &config, &error),
                         ST_SYNTAX);
        assert_null(config);
    }
}

/* Event types and patterns. */
static void test_event_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool type, pattern;
    } cases[] = {
        {"a", true, true},          {"order.created", true, true}, {"A-Z_0.9", true, true},
        {"", false, false},         {".", false, false},           {"a.", false, false},
        {".a", false, false},       {"a..b", false, false},        {"a b", false, false},
        {"\xc3\xa4", false, false}, {"a/b", false, false},         {"*", false, true},
        {"a.*", false, true},       {"a*", false, false},          {"*.a", false, false},
        {"a.*.b", false, false},    {"a.*.*", false, false},       {"**", false, false},
        {".*", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(event_type_valid(slice_str(cases[i].text)), cases[i].type);
        assert_int_equal(event_pattern_valid(slice_str(cases[i].text)), cases[i].pattern);
    }
    assert_false(event_type_valid(slice_of("a\0b", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_suggestion),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_patch),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_change_ordering),
        cmocka_unit_test(test_patch_secret),
        cmocka_unit_test(test_patch_retry),
        cmocka_unit_test(test_rate_limits),
        cmocka_unit_test(test_change_rate_limit),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_load_under_other_rules),
        cmocka_unit_test(test_load_refused),
        cmocka_unit_test(test_event_types),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
