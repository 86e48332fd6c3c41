/* test_log.c - log lines: their form, quoting, and what happens when nobody reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "base/writer.h"
#include "base/writer_child.h"

enum { TEXT_BYTES = 2 * 1024 * 1024 };

static int real_stderr = -1, reading = -1;
static char text[TEXT_BYTES]; /* what was logged, as far as it was read */
static size_t text_len;

/* Standard error becomes a pipe that this test reads. */
static int setup(void **state)
{
    (void)state;
    int ends[2];
    real_stderr = dup(STDERR_FILENO);
    if (real_stderr < 0 || pipe(ends) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        return -1;
    reading = ends[0];
    text_len = 0;
    log_levels_apply(&(struct log_levels){.level = LOG_INFO});
    return dup2(ends[1], STDERR_FILENO) < 0 || close(ends[1]) != 0 ? -1 : 0;
}

static void read_pipe(void)
{
    ssize_t len;
    while ((len = read(reading, text + text_len, sizeof(text) - 1 - text_len)) > 0)
        text_len += (size_t)len;
    text[text_len] = '\0';
}

/* Flushes and reads until nothing comes any more. */
static void drain(void)
{
    size_t before;
    do {
        before = text_len;
        log_flush();
        read_pipe();
    } while (text_len > before);
}

/* Nothing of one test's lines must be left for the next. */
static int teardown(void **state)
{
    (void)state;
    drain();
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(reading);
    return 0;
}

static const char *flushed(void)
{
    text_len = 0;
    log_flush();
    read_pipe();
    return text;
}

/* "2026-11-22T04:23:54.123Z" and so on: digits stand for 0. */
static void expect_time(const char *line)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    for (size_t i = 0; i + 1 < sizeof(form); i++) {
        char c = line[i] >= '0' && line[i] <= '9' ? '0' : line[i];
        assert_int_equal(c, form[i]);
    }
}

static void test_form(void **state)
{
    (void)state;
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++)
        assert_string_equal(log_level_name((enum log_level)level), names[level]);

    log_info("some.event", "n=%d text=%s", 5, log_quote(SLICE("a b")));
    expect_time(flushed());
    assert_string_equal(text + 25, "info some.event n=5 text=\"a b\"\n");
    log_error("bare", "%s", "");
    expect_time(flushed());
    assert_string_equal(text + 25, "error bare\n");
    assert_string_equal(flushed(), "");
}

/* Lines above the threshold are not even formatted. */
static void test_threshold(void **state)
{
    (void)state;
    int formatted = 0;
    log_debug("hidden", "n=%d", ++formatted);
    assert_int_equal(formatted, 0);
    log_levels_apply(&(struct log_levels){.level = LOG_DEBUG});
    log_debug("shown", "n=%d", ++formatted);
    assert_non_null(strstr(flushed(), "debug shown n=1\n"));
    log_levels_apply(&(struct log_levels){.level = LOG_ERROR});
    log_warn("hidden", "n=%d", ++formatted);
    assert_string_equal(flushed(), "");
}

/* Nothing is written before it is flushed; lines come in order. */
static void test_lines_wait_for_the_flush(void **state)
{
    (void)state;
    log_info("one", "a=1");
    log_info("two", "b=2");
    read_pipe();
    assert_int_equal(text_len, 0);
    const char *one = strstr(flushed(), "info one a=1\n");
    assert_true(one && strstr(one, "info two b=2\n"));
}

/* A line that is too long is cut and stays one line. */
static void test_long_line(void **state)
{
    (void)state;
    static char fields[20000];
    memset(fields, 'x', sizeof(fields) - 1);
    log_info("long", "%s", fields);
    log_info("next", "n=1");
    char *end = strchr(flushed(), '\n');
    assert_non_null(end);
    assert_in_range(end - text, 4000, 4300);
    assert_non_null(strstr(end, "info next n=1\n"));
}

/* A mark ends every line, also one that is cut and one without fields. */
static void test_mark(void **state)
{
    (void)state;
    static char fields[20000];
    memset(fields, 'x', sizeof(fields) - 1);
    log_set_mark("worker=2");
    log_info("some.event", "n=%d", 5);
    log_info("bare", "%s", "");
    log_info("long", "%s", fields);
    log_set_format(LOG_JSON);
    log_info("some.event", "n=%d", 6);
    log_set_format(LOG_LOGFMT);
    log_set_mark("");
    log_info("none", "n=1");
    assert_non_null(strstr(flushed(), "info some.event n=5 worker=2\n"));
    assert_non_null(strstr(text, "info bare worker=2\n"));
    assert_non_null(strstr(text, "xxx worker=2\n"));
    assert_non_null(strstr(text, "\"n\":6,\"worker\":2}\n"));
    assert_non_null(strstr(text, "info none n=1\n"));
}

static void test_quote(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *quoted;
    } table[] = {
        {{NULL, 0}, "\"\""},
        {{"", 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"a \"b\" \\", 7}, "\"a \\\"b\\\" \\\\\""},
        {{"a\nb\r\t\0c", 7}, "\"a\\x0ab\\x0d\\x09\\x00c\""},
        {{"\x1b[0m\x7f", 5}, "\"\\x1b[0m\\x7f\""},
        {{"gr\xc3\xbc\xc3\x9f", 6}, "\"gr\xc3\xbc\xc3\x9f\""},
        {{"\xc3(\xff\xe2\x82", 5}, "\"\\xc3(\\xff\\xe2\\x82\""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_string_equal(log_quote(table[i].text), table[i].quoted);
}

/* Whatever stands in a value that its caller did not quote, a line stays a line. */
static void test_controls(void **state)
{
    (void)state;
    log_info("odd", "a=%s", "x\ny\x1b\x7fz");
    assert_string_equal(flushed() + 25, "info odd a=x?y??z\n");
}

/* The same lines as JSON: valid however long they are and whatever they hold. */
static void test_json(void **state)
{
    (void)state;
    static char fields[20000];
    log_set_format(LOG_JSON);
    log_warn("some.event", "n=%d text=%s", 5, log_quote(SLICE("a \"b\"\n\xff")));
    expect_time(flushed() + 9); /* behind {"time":" */
    assert_string_equal(text + 33, "\",\"level\":\"warn\",\"event\":\"some.event\",\"n\":5,"
                                   "\"text\":\"a \\\"b\\\"\\n\xef\xbf\xbd\"}\n");
    log_error("bare", "%s", "");
    assert_string_equal(flushed() + 33, "\",\"level\":\"error\",\"event\":\"bare\"}\n");
    log_plain(SLICE("for people\n"));
    assert_string_equal(flushed(), "");

    memset(fields, '\1', sizeof(fields) - 1);
    log_info("long", "%s", fields);
    for (size_t i = 0; i + 4 < sizeof(fields); i += 4)
        memcpy(fields + i, "\\x00", 4);
    memcpy(fields, "f=\"", 3);
    log_info("long", "%s", fields);
    const char *line = flushed();
    for (int i = 0; i < 2; i++) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(json_check(slice_of(line, (size_t)(end - line)), NULL), ST_OK);
        line = end + 1;
    }
    assert_string_equal(line, "");
    log_set_format(LOG_LOGFMT);
    log_plain(SLICE("for people\n"));
    assert_string_equal(flushed(), "for people\n");
}

/* However long a text is and whatever stands at the cut, the result fits its 512 bytes, is quoted,
 * and does not touch the results of the seven calls before. */
static void test_quote_is_cut_to_fit(void **state)
{
    (void)state;
    static const char specials[] = {'\x01', '"', '\\', 'x'};
    static char long_text[600];
    for (size_t at = 480; at < 520; at++) {
        for (size_t i = 0; i < sizeof(specials); i++) {
            memset(long_text, 'y', sizeof(long_text));
            memset(long_text + at, specials[i], 8);
            for (size_t len = at; len < at + 12; len++) {
                const char *before[7];
                for (int k = 0; k < 7; k++)
                    before[k] = log_quote(SLICE("before"));
                const char *quoted = log_quote(slice_of(long_text, len));
                size_t quoted_len = strlen(quoted);
                assert_in_range(quoted_len, 2, 511);
                assert_true(quoted[0] == '"' && quoted[quoted_len - 1] == '"');
                for (int k = 0; k < 7; k++)
                    assert_string_equal(before[k], "\"before\"");
            }
        }
    }
    memset(long_text, 'y', sizeof(long_text));
    const char *quoted = log_quote(slice_of(long_text, sizeof(long_text)));
    assert_string_equal(quoted + strlen(quoted) - 5, "y...\"");
}

/* Eight results live at a time. */
static void test_eight_quotes(void **state)
{
    (void)state;
    static const char digits[] = "01234567";
    const char *quoted[8];
    for (int i = 0; i < 8; i++)
        quoted[i] = log_quote(slice_of(digits + i, 1));
    for (int i = 0; i < 8; i++)
        assert_int_equal(quoted[i][1], digits[i]);
}

/* When nobody reads, log_flush() comes back at once; the buffer is bounded, what does not fit is
 * counted, whole lines only are lost, and the first line when there is room again tells how many.
 */
static void test_full(void **state)
{
    (void)state;
    static char fields[1000];
    uint64_t dropped_before = log_dropped();
    uint64_t lines = 0;
    memset(fields, 'x', sizeof(fields) - 1);
    for (; log_dropped() < dropped_before + 10; lines++) {
        log_info("filling", "n=%llu %s", (unsigned long long)lines, fields);
        log_flush();
        assert_true(lines < 10000);
    }
    uint64_t lost = log_dropped() - dropped_before;

    drain();
    log_info("later", "n=1");
    log_flush();
    read_pipe();
    char expected[64];
    snprintf(expected, sizeof(expected), "warn log.dropped lines=%llu\n", (unsigned long long)lost);
    const char *report = strstr(text, expected);
    assert_true(report && strstr(report, "info later n=1\n"));

    uint64_t seen = 0;
    for (char *line = text; *line; seen++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        expect_time(line);
        line = end + 1;
    }
    assert_int_equal(seen, lines - lost + 2);
}

/* The end of the process tells of lost lines too, when no line comes after them. */
static void test_lost_lines_are_told_at_the_end(void **state)
{
    (void)state;
    static char fields[4000];
    uint64_t dropped_before = log_dropped();
    memset(fields, 'x', sizeof(fields) - 1);
    while (log_dropped() == dropped_before)
        log_info("filling", "%s", fields);
    drain();
    log_flush_all();
    read_pipe();
    assert_non_null(strstr(text, "warn log.dropped lines=1\n"));
}

/* ---- With a writer --------------------------------------------------------------------------- */

static void read_until(const char *what)
{
    uint64_t end_us = clock_now_us() + 20 * 1000 * 1000;
    while (!strstr(text, what)) {
        assert_true(clock_now_us() < end_us);
        log_flush();
        read_pipe();
        (void)poll(NULL, 0, 2);
    }
}

/* Lines before, with and after the writer come in order; its stop has written everything. */
static void test_writer(void **state)
{
    (void)state;
    log_info("before", "n=1");
    assert_int_equal(log_writer_start(), ST_OK);
    log_info("with", "n=2");
    log_plain(SLICE("for people\n"));
    log_info("with", "n=3");
    log_writer_stop(20000);
    log_info("after", "n=4");
    log_flush_all();
    read_pipe();
    static const char *const parts[] = {"info before n=1\n", "info with n=2\n", "for people\n",
                                        "info with n=3\n", "info after n=4\n"};
    const char *at = text;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        at = strstr(at, parts[i]);
        assert_non_null(at);
    }
    log_writer_stop(0);
}

/* Nobody reads: every call comes back at once; when somebody does, one line says how many are
 * missing, and every line that was not dropped is there. */
static void test_writer_full(void **state)
{
    (void)state;
    static char fields[1000];
    uint64_t dropped_before = log_dropped(), lines = 0;
    memset(fields, 'x', sizeof(fields) - 1);
    assert_int_equal(log_writer_start(), ST_OK);
    for (; log_dropped() < dropped_before + 10; lines++) {
        log_info("filling", "n=%llu %s", (unsigned long long)lines, fields);
        log_flush();
        assert_true(lines < 100000);
    }
    uint64_t lost = log_dropped() - dropped_before;
    read_until("warn log.dropped");
    char expected[64];
    snprintf(expected, sizeof(expected), "warn log.dropped lines=%llu\n", (unsigned long long)lost);
    read_until(expected);
    log_writer_stop(20000);
    read_pipe();
    uint64_t seen = 0;
    for (const char *line = text; (line = strstr(line, "info filling")); line++)
        seen++;
    assert_int_equal(seen, lines - lost);
    assert_int_equal(log_dropped() - dropped_before, lost);
}

/* An output that is gone is not told so again and again: one line at most tries. */
static void test_writer_without_output(void **state)
{
    (void)state;
    uint64_t dropped_before = log_dropped();
    assert_int_equal(close(STDERR_FILENO), 0);
    assert_int_equal(log_writer_start(), ST_OK);
    log_info("into.nothing", "n=1");
    uint64_t end_us = clock_now_us() + 20 * 1000 * 1000;
    while (log_dropped() < dropped_before + 2) {
        assert_true(clock_now_us() < end_us);
        log_flush();
        (void)poll(NULL, 0, 2);
    }
    for (int i = 0; i < 50; i++) {
        log_flush();
        (void)poll(NULL, 0, 2);
    }
    assert_int_equal(log_dropped(), dropped_before + 2); /* the line, and the report */
    log_writer_stop(20000);
}

/* Standard error that is closed, or a pipe whose reader has gone, loses lines and nothing else. */
static void test_nobody_there(void **state)
{
    (void)state;
    assert_int_equal(close(STDERR_FILENO), 0);
    log_info("into.nothing", "n=1");
    log_flush();
    log_flush_all();
    int null = open("/dev/null", O_WRONLY);
    assert_true(null >= 0 && dup2(null, STDERR_FILENO) == STDERR_FILENO);
    if (null != STDERR_FILENO)
        close(null);
    log_flush_all(); /* where the line that waited goes */
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], WRITER_COMMAND) == 0)
        return writer_child_main(argc - 1, argv + 1);
    static char program[PATH_MAX];
    if (!(writer_program = realpath(argv[0], program)))
        return 1;
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threshold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines_wait_for_the_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quote, setup, teardown),
        cmocka_unit_test_setup_teardown(test_controls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quote_is_cut_to_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eight_quotes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_lines_are_told_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_without_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
