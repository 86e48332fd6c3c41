/* test_retry_policy.c - retry policies as JSON, in and out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/json_out.h"
#include "core/retry_policy.h"

static enum status parse(const char *text, struct retry_policy *policy, struct field_error *error)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    struct retry_policy defaults;
    retry_policy_default(&defaults);
    enum status status = retry_policy_parse(value, &defaults, policy, error);
    json_decref(value);
    return status;
}

/* Both forms are shown as the schedule that they mean. */
static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"{}",
         "{\"schedule\":[\"5s\",\"5m\",\"30m\",\"2h\",\"5h\",\"10h\",\"10h\"],\"jitter\":0.2}"},
        {"{\"schedule\":[]}", "{\"schedule\":[],\"jitter\":0.2}"},
        {"{\"schedule\":[\"1s\",1000,\"250ms\",0,\"30d\"],\"jitter\":0}",
         "{\"schedule\":[\"1s\",\"1s\",\"250ms\",\"0s\",\"30d\"],\"jitter\":0}"},
        {"{\"jitter\":1,\"schedule\":[\"90s\"]}", "{\"schedule\":[\"90s\"],\"jitter\":1}"},
        {"{\"maxAttempts\":1}", "{\"schedule\":[],\"jitter\":0.2}"},
        {"{\"maxAttempts\":4,\"initialInterval\":\"1s\",\"multiplier\":2,\"maxInterval\":3000,"
         "\"jitter\":0.25}",
         "{\"schedule\":[\"1s\",\"2s\",\"3s\"],\"jitter\":0.25}"},
        {"{\"maxAttempts\":4,\"initialInterval\":1000,\"multiplier\":1.5}",
         "{\"schedule\":[\"1s\",\"1.5s\",\"2.25s\"],\"jitter\":0.2}"},
        {"{\"initialInterval\":\"1d\",\"maxAttempts\":3}",
         "{\"schedule\":[\"1d\",\"1d\"],\"jitter\":0.2}"},
        {"{\"multiplier\":1}",
         "{\"schedule\":[\"5s\",\"5s\",\"5s\",\"5s\",\"5s\",\"5s\",\"5s\"],\"jitter\":0.2}"},
        {"{\"schedule\":[1],\"retryOn\":[]}",
         "{\"schedule\":[\"1ms\"],\"jitter\":0.2,\"retryOn\":[]}"},
        {"{\"schedule\":[1],\"retryOn\":[429,\"timeout\",\"5xx\",\"408\",\"4xx\",\"dns\",429]}",
         "{\"schedule\":[\"1ms\"],\"jitter\":0.2,\"retryOn\":[\"4xx\",\"5xx\",429,408,\"dns\","
         "\"timeout\"]}"},
        {"{\"schedule\":[1],\"retryOn\":[\"connection_refused\",\"connection_reset\","
         "\"unreachable\","
         "\"tls\",\"protocol\",\"response_too_large\",\"address_denied\",\"stream_full\","
         "\"stream_refused\",\"redis_out_of_memory\"]}",
         "{\"schedule\":[\"1ms\"],\"jitter\":0.2,\"retryOn\":[\"connection_refused\","
         "\"connection_reset\",\"unreachable\",\"tls\",\"protocol\",\"response_too_large\","
         "\"address_denied\",\"stream_full\",\"stream_refused\",\"redis_out_of_memory\"]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct retry_policy policy;
        struct field_error error;
        if (parse(cases[i].given, &policy, &error))
            fail_msg("%s: %s: %s", cases[i].given, error.field, error.message);
        struct buf text;
        struct json_out out;
        buf_init(&text, 10000);
        json_out_begin(&out, &text);
        retry_policy_render(&policy, &out);
        buf_add_char(&text, '\0');
        assert_string_equal(text.ptr, cases[i].shown);

        /* What is shown is taken again, and means the same. */
        struct retry_policy again;
        assert_int_equal(parse(text.ptr, &again, &error), ST_OK);
        assert_int_equal(again.step_count, policy.step_count);
        assert_memory_equal(again.steps_ms, policy.steps_ms,
                            policy.step_count * sizeof(policy.steps_ms[0]));
        assert_int_equal(again.on.errors, policy.on.errors);
        buf_free(&text);
    }
}

/* Each mistake is named where it is. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *given, *field;
    } cases[] = {
        {"[]", "retryPolicy"},
        {"{\"schedule\":[],\"multiplier\":2}", "retryPolicy"},
        {"{\"schedule\":5}", "retryPolicy.schedule"},
        {"{\"schedule\":[\"1s\",\"2s\",\"3\"]}", "retryPolicy.schedule[2]"},
        {"{\"schedule\":[\"31d\"]}", "retryPolicy.schedule[0]"},
        {"{\"schedule\":[-1]}", "retryPolicy.schedule[0]"},
        {"{\"schedule\":[1.5]}", "retryPolicy.schedule[0]"},
        {"{\"schedule\":[null]}", "retryPolicy.schedule[0]"},
        {"{\"maxAttempts\":0}", "retryPolicy.maxAttempts"},
        {"{\"maxAttempts\":66}", "retryPolicy.maxAttempts"},
        {"{\"maxAttempts\":\"3\"}", "retryPolicy.maxAttempts"},
        {"{\"initialInterval\":\"31d\"}", "retryPolicy.initialInterval"},
        {"{\"initialInterval\":{}}", "retryPolicy.initialInterval"},
        {"{\"initialInterval\":\"10s\",\"maxInterval\":\"9s\"}", "retryPolicy.maxInterval"},
        {"{\"multiplier\":0.5}", "retryPolicy.multiplier"},
        {"{\"multiplier\":101}", "retryPolicy.multiplier"},
        {"{\"multiplier\":\"2\"}", "retryPolicy.multiplier"},
        {"{\"jitter\":1.1}", "retryPolicy.jitter"},
        {"{\"jitter\":-0.1}", "retryPolicy.jitter"},
        {"{\"jitter\":\"0.1\"}", "retryPolicy.jitter"},
        {"{\"retryOn\":\"5xx\"}", "retryPolicy.retryOn"},
        {"{\"retryOn\":[\"timeout\",\"slow\"]}", "retryPolicy.retryOn[1]"},
        {"{\"retryOn\":[\"cancelled\"]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[\"\"]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[99]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[600]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[\"0500\"]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[\"6xx\"]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[\"2xx\"]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[204]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[410]}", "retryPolicy.retryOn[0]"},
        {"{\"retryOn\":[true]}", "retryPolicy.retryOn[0]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct retry_policy policy;
        struct field_error error;
        assert_int_equal(parse(cases[i].given, &policy, &error), ST_RANGE);
        assert_string_equal(error.code, "invalid_retry_policy");
        if (strcmp(error.field, cases[i].field) != 0)
            fail_msg("%s: %s: %s", cases[i].given, error.field, error.message);
    }
    struct retry_policy policy;
    struct field_error error;
    assert_int_equal(parse("{\"maxAttempt\":3}", &policy, &error), ST_RANGE);
    assert_string_equal(error.code, "unknown_field");
    assert_string_equal(error.field, "retryPolicy.maxAttempt");
    assert_non_null(strstr(error.message, "\"maxAttempts\""));
}

/* Single statuses are bounded; repeated ones count once. */
static void test_many_statuses(void **state)
{
    (void)state;
    json_t *value = json_pack("{s:[]}", "retryOn");
    json_t *list = json_object_get(value, "retryOn");
    struct retry_policy defaults = {0}, policy;
    struct field_error error;
    for (int i = 0; i < LIMIT_RETRY_STATUSES; i++)
        assert_int_equal(json_array_append_new(list, json_integer(500 + i)), 0);
    assert_int_equal(json_array_append_new(list, json_integer(500)), 0);
    assert_int_equal(retry_policy_parse(value, &defaults, &policy, &error), ST_OK);
    assert_int_equal(policy.on.status_count, LIMIT_RETRY_STATUSES);
    assert_int_equal(json_array_append_new(list, json_integer(400)), 0);
    assert_int_equal(retry_policy_parse(value, &defaults, &policy, &error), ST_RANGE);
    assert_string_equal(error.field, "retryPolicy.retryOn");
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
