/* test_worker.c - what a process learns of itself from its environment, and a fork that fails. That
 * workers are started, heard and ended is tested from outside (tests/e2e/test_workers.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Runs in a process of its own, as somebody whom the limit binds. Returns what was wrong. */
static int start_beyond_the_limit(void)
{
    enum { NOBODY = 65534 };
    static char name[] = "trotline";
    char *const argv[] = {name, NULL};
    const struct rlimit none = {0, 0};
    const struct worker worker = {.number = 1};
    pid_t pid = 0;
    int ready_fd = -1;
    if ((geteuid() == 0 && setuid(NOBODY) != 0) || setrlimit(RLIMIT_NPROC, &none) != 0)
        return 1;
    if (worker_start(&worker, argv, &pid, &ready_fd) != ST_IO || errno != EAGAIN)
        return 2;
    return pid != 0 ? 3 : ready_fd != -1 ? 4 : 0;
}

/* No process can be had: then there is no pid either, above all not fork's -1, which as the target
 * of kill() means every process of the user. */
static void test_no_process(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(start_beyond_the_limit());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_self),
                                       cmocka_unit_test(test_no_process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
