/* test_job_spec.c - what a job is to do: as stored, as shown, as asked for; and how far it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/job_request.h"
#include "core/job_spec.h"

static struct buf buf;

static int setup(void **state)
{
    (void)state;
    buf_init(&buf, 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&buf);
    return 0;
}

static struct job_spec full_spec(void)
{
    struct job_spec spec;
    job_spec_init(&spec, JOB_REPLAY);
    snprintf(spec.endpoint, sizeof(spec.endpoint), "ep_000000000000000000000000001");
    snprintf(spec.type, sizeof(spec.type), "order.created");
    snprintf(spec.error, sizeof(spec.error), "timeout");
    spec.since_ms = 1700000000123;
    spec.until_ms = 1700000100000;
    spec.rate = 17;
    assert_int_equal(job_spec_events(&spec, 2), ST_OK);
    assert_int_equal(job_spec_event(&spec, 0, SLICE("one")), ST_OK);
    assert_int_equal(job_spec_event(&spec, 1, SLICE("a \"uid\"")), ST_OK);
    return spec;
}

static void assert_shown(const struct job_spec *spec, const char *expected)
{
    struct json_out out;
    buf_clear(&buf);
    json_out_begin(&out, &buf);
    job_spec_render(spec, &out);
    assert_int_equal(buf_status(&buf), ST_OK);
    buf_add_char(&buf, '\0');
    assert_string_equal(buf.ptr, expected);
}

/* What was written is read again, to the last member. */
static void a_spec_survives_its_stored_form(void **state)
{
    (void)state;
    struct job_spec spec = full_spec(), again;
    job_spec_write(&buf, &spec);
    assert_int_equal(job_spec_read(buf_slice(&buf), &again), ST_OK);
    assert_int_equal(again.rate, 17);
    assert_int_equal(again.event_count, 2);
    assert_shown(&again,
                 "{\"what\":\"dead_letters\",\"webhookId\":\"ep_000000000000000000000000001\","
                 "\"eventIds\":[\"one\",\"a \\\"uid\\\"\"],\"type\":\"order.created\","
                 "\"since\":\"2023-11-14T22:13:20.123Z\","
                 "\"until\":\"2023-11-14T22:15:00.000Z\",\"errorClass\":\"timeout\"}");
    job_spec_free(&spec);
    job_spec_free(&again);
}

/* Every truncation, and other formats, are refused, and leave nothing to be freed. */
static void what_is_no_spec_is_refused(void **state)
{
    (void)state;
    struct job_spec spec = full_spec(), again;
    job_spec_write(&buf, &spec);
    for (size_t len = 0; len < buf.len; len++)
        assert_int_not_equal(job_spec_read(slice_of(buf.ptr, len), &again), ST_OK);
    buf.ptr[1] = 2; /* the format */
    assert_int_equal(job_spec_read(buf_slice(&buf), &again), ST_SYNTAX);
    buf.ptr[1] = 1;
    buf.ptr[2] = 5; /* the kind */
    assert_int_equal(job_spec_read(buf_slice(&buf), &again), ST_RANGE);
    job_spec_free(&spec);
}

static void a_selection_is_by_type_and_error(void **state)
{
    (void)state;
    struct job_spec spec;
    job_spec_init(&spec, JOB_DISCARD);
    assert_shown(&spec, "{}");
    assert_true(job_spec_takes_type(&spec, SLICE("a")) && job_spec_takes_error(&spec, SLICE("")));
    snprintf(spec.type, sizeof(spec.type), "a.b");
    snprintf(spec.error, sizeof(spec.error), "tls");
    assert_true(job_spec_takes_type(&spec, SLICE("a.b")));
    assert_false(job_spec_takes_type(&spec, SLICE("a.bc")));
    assert_true(job_spec_takes_error(&spec, SLICE("tls")));
    assert_false(job_spec_takes_error(&spec, SLICE("timeout")));
}

static void error_classes_are_those_a_dead_letter_can_have(void **state)
{
    (void)state;
    static const char *const good[] = {
        "dns",         "timeout",           "response_too_large", "address_denied",
        "http_status", "endpoint_disabled", "stream_full",        "redis_out_of_memory"};
    static const char *const bad[] = {"", "internal", "cancelled", "5xx", "Timeout"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(job_error_valid(slice_str(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(job_error_valid(slice_str(bad[i])));
}

static void a_cursor_survives_its_stored_form(void **state)
{
    (void)state;
    struct job_cursor cursor = {.index = 5}, again;
    char text[JOB_CURSOR_TEXT];
    assert_true(job_cursor_set(&cursor, SLICE("1700000000000"), SLICE("00ff:123")));
    assert_string_equal(job_cursor_write(&cursor, text).ptr, "- 1700000000000 00ff:123 5");
    assert_int_equal(job_cursor_read(slice_str(text), &again), ST_OK);
    assert_memory_equal(&again, &cursor, sizeof(cursor));

    assert_int_equal(job_cursor_read(SLICE(""), &again), ST_OK);
    assert_int_equal(again.endpoint[0] | again.score[0] | again.member[0], 0);
    assert_int_equal(again.index, 0);
}

static void what_is_no_cursor_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"-",
                                      "- - -",
                                      "- - - ",
                                      "- - - x",
                                      "- - - 4294967296",
                                      " - - 1",
                                      "- - - 1 ",
                                      "0123456789012345678901234567890123 - - 1"};
    struct job_cursor cursor;
    assert_int_equal(job_cursor_read(SLICE("-\0 - - 1"), &cursor), ST_SYNTAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(job_cursor_read(slice_str(bad[i]), &cursor), ST_SYNTAX);
    assert_false(job_cursor_set(&cursor, SLICE("1"), SLICE("two words")));
    assert_false(job_cursor_set(&cursor, SLICE("1"), SLICE("")));
    assert_false(job_cursor_set(&cursor, SLICE(""), SLICE("m")));
    assert_false(
        job_cursor_set(&cursor, SLICE("1"),
                       SLICE("0123456789012345678901234567890123456789012345678901234567890123")));
}

/* A request without a body selects all dead letters for a replay, and nothing for a discard. */
static void an_empty_request_replays_everything(void **state)
{
    (void)state;
    struct job_spec spec;
    struct field_error error;
    assert_int_equal(job_request_read(SLICE(""), JOB_REQUEST_REPLAY, 1000, &spec, &error), ST_OK);
    assert_int_equal(spec.rate, 1000);
    assert_shown(&spec, "{\"what\":\"dead_letters\"}");
    assert_int_equal(job_request_read(SLICE(""), JOB_REQUEST_DISCARD, 1000, &spec, &error),
                     ST_RANGE);
    assert_string_equal(error.field, "all");
    assert_int_equal(
        job_request_read(SLICE("{\"all\":true}"), JOB_REQUEST_DISCARD, 1000, &spec, &error), ST_OK);
    assert_int_equal(spec.kind, JOB_DISCARD);
    assert_int_equal(spec.rate, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_spec_survives_its_stored_form, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_spec_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_selection_is_by_type_and_error, setup, teardown),
        cmocka_unit_test(error_classes_are_those_a_dead_letter_can_have),
        cmocka_unit_test(a_cursor_survives_its_stored_form),
        cmocka_unit_test(what_is_no_cursor_is_refused),
        cmocka_unit_test_setup_teardown(an_empty_request_replays_everything, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
