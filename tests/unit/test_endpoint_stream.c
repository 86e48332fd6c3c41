/* test_endpoint_stream.c - endpoints of kind redis-stream: what is taken, refused, kept and shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/endpoint_config.h"
#include "endpoint_rules.h"

#define OF_KIND(rest) "{\"kind\":\"redis-stream\",\"events\":[\"a\"]" rest "}"
#define STREAM(text)  OF_KIND(",\"stream\":" text)
#define WITH(member)  OF_KIND(",\"stream\":{\"name\":\"x\"}," member)
#define NAME_64       "0123456789abcdefghijklmnopqrstuvwxyz.-_0123456789ABCDEFGHIJKLMNO"

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
    if (endpoint_config_create(&rules, slice_str(body), 0, &config, &error))
        fail_msg("%s: %s %s: %s", body, error.code, error.field, error.message);
    return config;
}

/* Changes *config in place. */
static void must_change(struct endpoint_config **config, enum endpoint_change kind,
                        const char *body)
{
    struct endpoint_config *changed;
    struct field_error error;
    if (endpoint_config_change(&rules, *config, kind, slice_str(body), 0, &changed, &error))
        fail_msg("%s: %s %s: %s", body, error.code, error.field, error.message);
    endpoint_config_put(*config);
    *config = changed;
}

static void must_not_change(const struct endpoint_config *config, enum endpoint_change kind,
                            const char *body, const char *code, const char *field)
{
    struct endpoint_config *changed;
    struct field_error error;
    enum status status =
        endpoint_config_change(&rules, config, kind, slice_str(body), 0, &changed, &error);
    assert_int_equal(status, ST_RANGE);
    assert_string_equal(error.code, code);
    assert_string_equal(error.field, field);
    assert_null(changed);
}

static void assert_rendered(const struct endpoint_config *config, const char *expected)
{
    struct buf text;
    buf_init(&text, 100000);
    endpoint_config_render(config, "ep_x", true, &text);
    buf_add_char(&text, '\0');
    assert_int_equal(buf_status(&text), ST_OK);
    assert_string_equal(text.ptr, expected);
    buf_free(&text);
}

#define REST                                                                                       \
    "\"retryPolicy\":{\"schedule\":[\"5s\",\"5m\",\"30m\",\"2h\",\"5h\",\"10h\",\"10h\"],"         \
    "\"jitter\":0.2},\"rateLimit\":null,\"ordering\":null,\"onDeadLetter\":\"skip\","              \
    "\"maxInFlight\":8,\"filter\":null,\"description\":null,"                                      \
    "\"active\":true,\"disabledReason\":null,\"createdAt\":\"1970-01-01T00:00:00.000Z\","          \
    "\"updatedAt\":\"1970-01-01T00:00:00.000Z\"}"

/* Only a name is needed. There is no secret, and nothing of HTTP is shown. */
static void test_defaults(void **state)
{
    (void)state;
    struct endpoint_config *config = must_create(STREAM("{\"name\":\"orders\"}"));
    assert_int_equal(config->kind, ENDPOINT_REDIS_STREAM);
    assert_null(config->url);
    assert_null(config->scheme);
    assert_int_equal(config->secret_count, 0);
    assert_string_equal(endpoint_config_target(config), "tl:{0}:out:orders");
    assert_rendered(config, "{\"id\":\"ep_x\",\"kind\":\"redis-stream\",\"stream\":{\"name\":"
                            "\"orders\",\"maxLength\":100000,\"whenFull\":\"trim\"},"
                            "\"streamKey\":\"tl:{0}:out:orders\",\"events\":[\"a\"]," REST);
    endpoint_config_put(config);
}

/* The keys are below Trotline's own prefix, whatever that is. */
static void test_prefix(void **state)
{
    (void)state;
    rules.key_prefix = "other";
    struct endpoint_config *config =
        must_create(STREAM("{\"name\":\"A.b_c-9\",\"maxLength\":10000000,\"whenFull\":\"wait\"}"));
    rules.key_prefix = "tl";
    assert_string_equal(config->stream.key, "other:{0}:out:A.b_c-9");
    assert_int_equal(config->stream.length_max, 10000000);
    assert_true(config->stream.waits);
    endpoint_config_put(config);
}

/* Each wrong member is refused with its own code; so is what the other kind has. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *code, *field;
    } cases[] = {
        {"{\"kind\":5,\"events\":[\"a\"]}", "invalid_kind", "kind"},
        {"{\"kind\":\"HTTP\",\"events\":[\"a\"]}", "invalid_kind", "kind"},
        {OF_KIND(""), "missing_field", "stream"},
        {STREAM("null"), "missing_field", "stream"},
        {STREAM("[]"), "invalid_stream", "stream"},
        {STREAM("\"orders\""), "invalid_stream", "stream"},
        {STREAM("{\"maxLength\":5}"), "invalid_stream", "stream.name"},
        {STREAM("{\"name\":5}"), "invalid_stream", "stream.name"},
        {STREAM("{\"name\":\"\"}"), "invalid_stream", "stream.name"},
        {STREAM("{\"name\":\"a b\"}"), "invalid_stream", "stream.name"},
        {STREAM("{\"name\":\"a:b\"}"), "invalid_stream", "stream.name"},
        {STREAM("{\"name\":\"\xc3\xa4\"}"), "invalid_stream", "stream.name"},
        {STREAM("{\"name\":\"" NAME_64 NAME_64 "x\"}"), "invalid_stream", "stream.name"},
        {STREAM("{\"name\":\"a\",\"maxLength\":0}"), "invalid_stream", "stream.maxLength"},
        {STREAM("{\"name\":\"a\",\"maxLength\":-1}"), "invalid_stream", "stream.maxLength"},
        {STREAM("{\"name\":\"a\",\"maxLength\":1.0}"), "invalid_stream", "stream.maxLength"},
        {STREAM("{\"name\":\"a\",\"maxLength\":\"1\"}"), "invalid_stream", "stream.maxLength"},
        {STREAM("{\"name\":\"a\",\"maxLength\":10000001}"), "invalid_stream", "stream.maxLength"},
        {STREAM("{\"name\":\"a\",\"whenFull\":\"block\"}"), "invalid_stream", "stream.whenFull"},
        {STREAM("{\"name\":\"a\",\"whenFull\":true}"), "invalid_stream", "stream.whenFull"},
        {STREAM("{\"name\":\"a\",\"key\":\"b\"}"), "unknown_field", "stream.key"},
        {WITH("\"url\":\"https://e.com/\""), "invalid_url", "url"},
        {WITH("\"scheme\":\"event\""), "invalid_scheme", "scheme"},
        {WITH("\"secret\":\"x\""), "invalid_secret", "secret"},
        {WITH("\"headers\":{\"A\":\"b\"}"), "invalid_headers", "headers"},
        {WITH("\"timeout\":\"1s\""), "invalid_timeout", "timeout"},
        {WITH("\"secrets\":[]"), "unknown_field", "secrets"},
        {WITH("\"streamKey\":\"tl:{0}:out:x\""), "unknown_field", "streamKey"},
        {"{\"url\":\"https://e.com/\",\"events\":[\"a\"],\"stream\":{\"name\":\"a\"}}",
         "invalid_stream", "stream"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint_config *config;
        struct field_error error;
        enum status status =
            endpoint_config_create(&rules, slice_str(cases[i].body), 1, &config, &error);
        if (status != ST_RANGE || strcmp(error.code, cases[i].code) != 0 ||
            strcmp(error.field, cases[i].field) != 0)
            fail_msg("%s: %s %s", cases[i].body, error.code, error.field);
        assert_null(config);
    }
}

/* Bounds are within; null is as good as nothing. */
static void test_taken(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        STREAM("{\"name\":\"" NAME_64 NAME_64 "\",\"maxLength\":1,\"whenFull\":\"trim\"}"),
        WITH("\"url\":null,\"secret\":null,\"scheme\":null,\"headers\":null,\"timeout\":null"),
        WITH("\"rateLimit\":{\"limit\":1,\"period\":\"1s\"},\"filter\":{\"a\":1},\"active\":false"),
        "{\"kind\":\"http\",\"url\":\"https://e.com/\",\"events\":[\"a\"],\"stream\":null}",
        "{\"kind\":null,\"url\":\"https://e.com/\",\"events\":[\"a\"]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        endpoint_config_put(must_create(bodies[i]));
}

/* PATCH merges the stream, PUT replaces it, and what is stored loads again. */
static void test_changes(void **state)
{
    (void)state;
    struct endpoint_config *config =
        must_create(STREAM("{\"name\":\"a\",\"maxLength\":7,\"whenFull\":\"wait\"}"));
    must_change(&config, ENDPOINT_PATCH, "{\"stream\":{\"name\":\"b\"}}");
    assert_string_equal(config->stream.key, "tl:{0}:out:b");
    assert_true(config->stream.waits && config->stream.length_max == 7);
    must_change(&config, ENDPOINT_PATCH, "{\"stream\":{\"maxLength\":null},\"events\":[\"b\"]}");
    assert_true(config->stream.waits && config->stream.length_max == 100000);
    must_not_change(config, ENDPOINT_PATCH, "{\"stream\":{\"name\":null}}", "invalid_stream",
                    "stream.name");
    must_not_change(config, ENDPOINT_PATCH, "{\"url\":\"https://e.com/\"}", "invalid_url", "url");
    must_not_change(config, ENDPOINT_PATCH, "{\"secret\":\"x\"}", "invalid_secret", "secret");
    must_change(&config, ENDPOINT_PUT, STREAM("{\"name\":\"c\"}"));
    assert_false(config->stream.waits);
    struct endpoint_config *off, *loaded;
    struct field_error error;
    assert_int_equal(endpoint_config_switch(&rules, config, false, "manual", 5, &off), ST_OK);
    assert_int_equal(endpoint_config_load(&rules, slice_str(off->document), &loaded, &error),
                     ST_OK);
    assert_int_equal(loaded->kind, ENDPOINT_REDIS_STREAM);
    assert_string_equal(loaded->stream.name, "c");
    assert_false(loaded->active);
    endpoint_config_put(loaded);
    endpoint_config_put(off);
    endpoint_config_put(config);
}

/* Whatever the change leaves out or says. */
static void test_the_kind_stays(void **state)
{
    (void)state;
    static const char *const http = "{\"url\":\"https://e.com/\",\"events\":[\"a\"]}";
    struct endpoint_config *config = must_create(STREAM("{\"name\":\"a\"}"));
    must_not_change(config, ENDPOINT_PATCH, "{\"kind\":\"http\"}", "invalid_kind", "kind");
    must_not_change(config, ENDPOINT_PATCH, "{\"kind\":null}", "invalid_kind", "kind");
    must_not_change(config, ENDPOINT_PUT, http, "invalid_kind", "kind");
    must_change(&config, ENDPOINT_PATCH, "{\"kind\":\"redis-stream\"}");
    endpoint_config_put(config);
    config = must_create(http);
    must_not_change(config, ENDPOINT_PATCH, "{\"kind\":\"redis-stream\"}", "invalid_kind", "kind");
    must_not_change(config, ENDPOINT_PUT, STREAM("{\"name\":\"a\"}"), "invalid_kind", "kind");
    must_change(&config, ENDPOINT_PATCH, "{\"kind\":\"http\"}");
    must_change(&config, ENDPOINT_PATCH, "{\"kind\":null}");
    endpoint_config_put(config);
}

/* Stored documents that are none of ours do not load, and do no harm. */
static void test_not_loaded(void **state)
{
    (void)state;
#define TIMES ",\"createdAt\":\"1970-01-01T00:00:00Z\",\"updatedAt\":\"1970-01-01T00:00:00Z\""
    static const char *const documents[] = {
        OF_KIND(TIMES),
        OF_KIND(",\"stream\":{\"name\":\"a\"},\"secrets\":[]" TIMES),
        OF_KIND(",\"stream\":{\"name\":\"a\"},\"url\":\"https://e.com/\"" TIMES),
        OF_KIND(",\"stream\":{\"name\":\"a}\"}" TIMES),
        "{\"kind\":\"smtp\",\"events\":[\"a\"]" TIMES "}",
    };
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct endpoint_config *config;
        struct field_error error;
        assert_int_equal(endpoint_config_load(&rules, slice_str(documents[i]), &config, &error),
                         ST_SYNTAX);
        assert_null(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_taken),
        cmocka_unit_test(test_changes),    cmocka_unit_test(test_the_kind_stays),
        cmocka_unit_test(test_not_loaded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
