/* test_worker.c - what a process learns of itself from its environment. That workers are started,
 * heard and ended is tested from outside (tests/e2e/test_workers.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "app/worker.h"

/* What its parent writes is read back; anything else makes no worker. The variable is gone
 * afterwards, whatever it was, so that no child of this process takes itself for a worker. */
static void test_self(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned number;
        bool first;
        const char *mark;
    } table[] = {
        {"1 first", 1, true, "worker=1"},
        {"1", 1, false, "worker=1"},
        {"64", 64, false, "worker=64"},
        {"2 last", 2, false, "worker=2"},
        {"", 0, false, ""},
        {"0", 0, false, ""},
        {"first", 0, false, ""},
        {" 3", 0, false, ""},
        {"-3", 0, false, ""},
        {"1001", 0, false, ""},
        {"99999999999999999999", 0, false, ""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(setenv("TROTLINE_WORKER", table[i].text, 1), 0);
        struct worker worker = worker_self();
        assert_int_equal(worker.number, table[i].number);
        assert_int_equal(worker.first, table[i].first);
        assert_string_equal(worker_mark(&worker), table[i].mark);
        assert_null(getenv("TROTLINE_WORKER"));
    }
    assert_int_equal(worker_self().number, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_self)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
