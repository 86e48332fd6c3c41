/* test_bulk_results.c - the answer to a batch request: in the order of the events, whatever the
 * order of their verdicts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "api/bulk_results.h"
#include "base/json_scan.h"

static struct bulk_results results;

static int setup(void **state)
{
    (void)state;
    bulk_results_init(&results, &results);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bulk_results_free(&results);
    return 0;
}

static struct bulk_result *add(void)
{
    struct bulk_result *result = bulk_results_add(&results);
    assert_non_null(result);
    assert_ptr_equal(bulk_result_owner(result), &results);
    return result;
}

static void check(const char *expected)
{
    struct buf out;
    buf_init(&out, 64 * 1024 * 1024);
    bulk_results_write(&results, &out);
    assert_int_equal(buf_status(&out), ST_OK);
    assert_int_equal(json_check(buf_slice(&out), NULL), ST_OK);
    if (!slice_eq(buf_slice(&out), slice_str(expected)))
        fail_msg("expected %s, got %.*s", expected, SLICE_ARGS(buf_slice(&out)));
    buf_free(&out);
}

/* Verdicts come backwards; texts are escaped; what ended the reading comes last. */
static void test_answer(void **state)
{
    (void)state;
    struct field_error error;
    check("{\"results\":[],\"accepted\":0,\"rejected\":0}");
    struct bulk_result *stored = add(), *bad = add(), *full = add();
    (void)field_refuse(&error, "invalid_type", "a\"b", "Say \"why\".");
    bulk_result_refused(&results, full, PUBLISH_UID_TAKEN);
    bulk_result_invalid(&results, bad, &error);
    bulk_result_stored(&results, stored, "msg_1", 4294967295u);
    assert_false(bulk_results_unavailable(&results));
    check("{\"results\":[{\"id\":\"msg_1\",\"deliveries\":4294967295},"
          "{\"error\":{\"code\":\"invalid_type\",\"message\":\"Say \\\"why\\\".\","
          "\"field\":\"a\\\"b\"}},"
          "{\"error\":{\"code\":\"uid_taken\",\"message\":\"Another event has this uid; GET "
          "/api/events/<uid> shows it.\",\"field\":\"uid\"}}],\"accepted\":1,\"rejected\":2}");
    results.is_broken = true;
    results.count = 1; /* of the same block only the first */
    results.rejected = 0;
    (void)field_refuse(&results.broken, "invalid_json", "", "It ends.");
    check("{\"results\":[{\"id\":\"msg_1\",\"deliveries\":4294967295},"
          "{\"error\":{\"code\":\"invalid_json\",\"message\":\"It ends.\"}}],"
          "\"accepted\":1,\"rejected\":1}");
}

/* The whole is unavailable only when nothing was accepted, and something for such a reason. */
static void test_unavailable(void **state)
{
    (void)state;
    struct field_error error;
    (void)field_refuse(&error, "x", "", "%s", "");
    bulk_result_invalid(&results, add(), &error);
    assert_false(bulk_results_unavailable(&results));
    bulk_result_refused(&results, add(), PUBLISH_KEY_REUSED);
    assert_false(bulk_results_unavailable(&results));
    bulk_result_refused(&results, add(), PUBLISH_JOURNAL_FULL);
    bulk_result_refused(&results, add(), PUBLISH_UNAVAILABLE);
    assert_true(bulk_results_unavailable(&results));
    assert_string_equal(results.unavailable->code, "journal_full");
    bulk_result_stored(&results, add(), "msg_1", 0);
    assert_false(bulk_results_unavailable(&results));
}

/* Many blocks of results; texts of errors up to a bound, and behind it codes. */
static void test_many(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    static struct bulk_result *each[COUNT];
    struct field_error error;
    char id[ID_TEXT_MAX];
    size_t texts = 0, codes = 0;
    (void)field_refuse(&error, "invalid_type", "type", "%0200d", 0);
    for (int i = 0; i < COUNT; i++)
        each[i] = add();
    for (int i = COUNT - 1; i >= 0; i--) {
        snprintf(id, sizeof(id), "msg_%027d", i);
        if (i % 2 == 0)
            bulk_result_stored(&results, each[i], id, (uint32_t)i);
        else
            bulk_result_invalid(&results, each[i], &error);
    }
    struct buf out;
    buf_init(&out, 64 * 1024 * 1024);
    bulk_results_write(&results, &out);
    assert_int_equal(json_check(buf_slice(&out), NULL), ST_OK);
    const char *at = out.ptr, *end = out.ptr + out.len;
    for (int i = 0; i < COUNT; i += 2) {
        snprintf(id, sizeof(id), "msg_%027d", i);
        at = memmem(at, (size_t)(end - at), id, strlen(id));
        assert_non_null(at);
    }
    for (int i = 1; i < COUNT; i += 2) {
        texts += each[i]->kind == BULK_INVALID;
        codes += each[i]->kind == BULK_CODE;
    }
    assert_int_equal(texts + codes, COUNT / 2);
    assert_in_range(texts, 4000, 4500); /* of some 250 bytes, in a MiB */
    assert_true(results.bytes < 4 * 1024 * 1024);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unavailable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
