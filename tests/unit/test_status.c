/* test_status.c - names and texts of statuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/status.h"

/* Every status has a name and a text of its own, in lower case, fit for logs and sentences. */
static void test_names_and_texts(void **state)
{
    (void)state;
    for (int i = ST_OK; i <= ST_STOPPED; i++) {
        const char *name = status_name((enum status)i);
        const char *text = status_text((enum status)i);
        assert_non_null(name);
        assert_non_null(text);
        assert_true(name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyz") == strlen(name));
        assert_true(text[0] != '\0' && !strpbrk(text, "\n\""));
        for (int k = ST_OK; k < i; k++) {
            assert_string_not_equal(name, status_name((enum status)k));
            assert_string_not_equal(text, status_text((enum status)k));
        }
    }
    assert_string_equal(status_name(ST_OK), "ok");
    assert_string_equal(status_name(ST_NOMEM), "nomem");
    assert_string_equal(status_name(ST_STOPPED), "stopped");
}

/* A number that is no status is named too, instead of read beyond the table. */
static void test_unknown(void **state)
{
    (void)state;
    static const int numbers[] = {ST_STOPPED + 1, 1000, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_string_equal(status_name((enum status)numbers[i]), "unknown");
        assert_string_equal(status_text((enum status)numbers[i]), "unknown status");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_texts),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
