/* test_writer.c - lines through another process: order, drops, death, the end, nobody reading.
 *
 * The process is this program, called with WRITER_COMMAND.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_levels.h"
#include "base/writer.h"
#include "base/writer_child.h"

enum { PATIENCE_MS = 20000, LINE_BYTES = 100, BUFFER_BYTES = 64 * 1024 };

static char program[PATH_MAX];
static char name[] = "writer", command[] = WRITER_COMMAND, to_stderr[] = "stderr";
static char *const stderr_argv[] = {name, command, to_stderr, NULL};
static const struct writer_options stderr_options = {
    .name = "test", .argv = stderr_argv, .buffer_bytes = BUFFER_BYTES};

static int real_stderr = -1, reading = -1;
static struct buf seen; /* what was read of the process's standard error */

/* Standard error becomes a pipe that this test reads when it wants to. */
static int setup(void **state)
{
    (void)state;
    int ends[2];
    buf_init(&seen, 64 * 1024 * 1024);
    real_stderr = dup(STDERR_FILENO);
    if (real_stderr < 0 || pipe(ends) != 0)
        return -1;
    reading = ends[0];
    if (fcntl(reading, F_SETFL, O_NONBLOCK) != 0 || fcntl(reading, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(real_stderr, F_SETFD, FD_CLOEXEC) != 0)
        return -1;
    return dup2(ends[1], STDERR_FILENO) < 0 || close(ends[1]) != 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(reading);
    buf_free(&seen);
    log_flush_all();
    return 0;
}

static void read_some(void)
{
    char *place;
    ssize_t len;
    do {
        place = buf_reserve(&seen, 4096);
        assert_non_null(place);
        len = read(reading, place, 4096);
        if (len > 0)
            seen.len += (size_t)len;
    } while (len > 0);
}

static uint64_t lines_seen(void)
{
    uint64_t count = 0;
    for (size_t i = 0; i < seen.len; i++)
        count += seen.ptr[i] == '\n';
    return count;
}

static void a_moment(void)
{
    (void)poll(NULL, 0, 2);
}

/* Flushes and reads until so many lines have come. */
static void read_lines(struct writer *writer, uint64_t count)
{
    uint64_t end_us = clock_now_us() + PATIENCE_MS * 1000ull;
    while (lines_seen() < count) {
        assert_true(clock_now_us() < end_us);
        if (writer)
            writer_flush(writer);
        read_some();
        a_moment();
    }
}

/* A line of LINE_BYTES that begins with its number. */
static struct slice numbered(uint64_t number)
{
    static char line[LINE_BYTES + 1];
    memset(line, 'x', LINE_BYTES);
    line[snprintf(line, sizeof(line), "%llu", (unsigned long long)number)] = ' ';
    line[LINE_BYTES - 1] = '\n';
    return slice_of(line, LINE_BYTES);
}

/* Every line that was read is whole, and their numbers rise. Returns how many there are. */
static uint64_t check_lines(void)
{
    uint64_t count = 0;
    long long last = -1;
    for (size_t at = 0; at < seen.len; at += LINE_BYTES, count++) {
        assert_true(at + LINE_BYTES <= seen.len && seen.ptr[at + LINE_BYTES - 1] == '\n');
        long long number = atoll(seen.ptr + at);
        assert_true(number > last);
        last = number;
        assert_memory_equal(seen.ptr + at, numbered((uint64_t)number).ptr, LINE_BYTES);
    }
    return count;
}

static struct writer *started(const struct writer_options *options)
{
    struct writer *writer = writer_start(options);
    assert_non_null(writer);
    return writer;
}

/* In order, whole, and all of them, though they are more than pipe and buffer hold. */
static void test_all_in_order(void **state)
{
    (void)state;
    enum { LINES = 30000 };
    struct writer *writer = started(&stderr_options);
    for (uint64_t n = 0; n < LINES; n++) {
        writer_add(writer, numbered(n));
        for (; !writer_has_room(writer); a_moment()) {
            writer_flush(writer);
            read_some();
        }
    }
    read_lines(writer, LINES);
    assert_int_equal(check_lines(), LINES);
    assert_int_equal(writer_dropped(writer), 0);
    writer_stop(writer, PATIENCE_MS);
}

/* Two processes write to one pipe, more than fits into it: no line is torn by the other's. */
static void test_two_at_one_pipe(void **state)
{
    (void)state;
    enum { LINES = 8000, SECOND = 100000 };
    struct writer *writers[2] = {started(&stderr_options), started(&stderr_options)};
    uint64_t counts[2] = {0, 0};
    for (uint64_t n = 0; n < LINES; n++) {
        for (int i = 0; i < 2; i++) {
            writer_add(writers[i], numbered(n + (i ? SECOND : 0)));
            writer_flush(writers[i]);
        }
    }
    read_lines(NULL, 2 * LINES);
    for (size_t at = 0; at < seen.len; at += LINE_BYTES) {
        uint64_t number = (uint64_t)atoll(seen.ptr + at);
        int i = number >= SECOND;
        assert_int_equal(number, counts[i]++ + (i ? SECOND : 0));
        assert_memory_equal(seen.ptr + at, numbered(number).ptr, LINE_BYTES);
    }
    assert_int_equal(counts[0], LINES);
    assert_int_equal(counts[1], LINES);
    writer_stop(writers[0], PATIENCE_MS);
    writer_stop(writers[1], PATIENCE_MS);
}

/* Nobody reads: every call comes back, what does not fit is counted, and what was taken arrives
 * whole when somebody reads again. */
static void test_nobody_reads(void **state)
{
    (void)state;
    enum { LINES = 50000 };
    struct writer *writer = started(&stderr_options);
    for (uint64_t n = 0; n < LINES; n++) {
        writer_add(writer, numbered(n));
        writer_flush(writer);
    }
    uint64_t dropped = writer_dropped(writer);
    assert_true(dropped > LINES / 2 && dropped < LINES);
    assert_false(writer_has_room(writer));
    read_lines(writer, LINES - dropped);
    assert_int_equal(check_lines(), LINES - dropped);
    assert_int_equal(writer_dropped(writer), dropped);
    assert_true(writer_has_room(writer));
    writer_stop(writer, PATIENCE_MS);
}

/* The end waits for as long as it was told, and what the pipe holds is written even later. */
static void test_stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    enum { LINES = 3000 };
    struct writer *writer = started(&stderr_options);
    for (uint64_t n = 0; n < LINES; n++) {
        writer_add(writer, numbered(n));
        writer_flush(writer);
    }
    assert_int_equal(writer_dropped(writer), 0);
    pid_t pid = writer_pid(writer);
    uint64_t start_us = clock_now_us();
    writer_stop(writer, 50);
    assert_true(clock_now_us() - start_us < PATIENCE_MS * 1000ull / 2);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    read_lines(NULL, LINES);
    assert_int_equal(check_lines(), LINES);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The end writes what is still in the buffer. */
static void test_stop_writes_the_rest(void **state)
{
    (void)state;
    struct writer *writer = started(&stderr_options);
    for (uint64_t n = 0; n < 500; n++)
        writer_add(writer, numbered(n));
    writer_stop(writer, PATIENCE_MS);
    read_some();
    assert_int_equal(check_lines(), 500);
}

static void flush_until_alive(struct writer *writer, pid_t dead)
{
    uint64_t end_us = clock_now_us() + PATIENCE_MS * 1000ull;
    do {
        assert_true(clock_now_us() < end_us);
        writer_flush(writer);
        a_moment();
    } while (writer_pid(writer) == dead || writer_pid(writer) == 0);
}

/* A killed process is replaced, once a second at most; no line is half, and every one is either
 * written or counted. */
static void test_killed(void **state)
{
    (void)state;
    uint64_t added = 0;
    struct writer *writer = started(&stderr_options);
    log_levels_apply(&(struct log_levels){.level = LOG_ERROR - 1}); /* its death is logged */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2000; i++, added++) {
            writer_add(writer, numbered(added));
            if (i % 7 == 0)
                writer_flush(writer);
        }
        pid_t pid = writer_pid(writer);
        assert_int_equal(kill(pid, SIGKILL), 0);
        for (int i = 0; i < 10; i++)
            writer_add(writer, numbered(added++));
        flush_until_alive(writer, pid);
    }
    writer_add(writer, numbered(added++));
    writer_flush(writer);
    uint64_t end_us = clock_now_us() + PATIENCE_MS * 1000ull;
    while (writer_written(writer) + writer_dropped(writer) < added) {
        assert_true(clock_now_us() < end_us);
        writer_flush(writer);
        read_some();
        a_moment();
    }
    read_some();
    writer_stop(writer, PATIENCE_MS);
    log_levels_apply(&(struct log_levels){.level = LOG_INFO});
}

/* A signal to the whole group (^C, a service manager) does not end it; it reads on to the end. */
static void test_signals_do_not_end_it(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1};
    struct writer *writer = started(&stderr_options);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        assert_int_equal(kill(writer_pid(writer), numbers[i]), 0);
    writer_add(writer, numbered(1));
    read_lines(writer, 1);
    writer_stop(writer, PATIENCE_MS);
}

/* An output that is gone costs lines, which are counted with their reason, and nothing else. */
static void test_output_gone(void **state)
{
    (void)state;
    struct writer *writer = started(&stderr_options);
    close(reading);
    for (uint64_t n = 0; n < 10; n++)
        writer_add(writer, numbered(n));
    /* The process still has the pipe's other end: this one's has to go first. */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    close(null);
    uint64_t end_us = clock_now_us() + PATIENCE_MS * 1000ull;
    while (writer_dropped(writer) < 10) {
        assert_true(clock_now_us() < end_us);
        writer_flush(writer);
        a_moment();
    }
    assert_int_equal(writer_last_error(writer), EPIPE);
    assert_int_equal(writer_written(writer), 0);
    writer_stop(writer, PATIENCE_MS);
    reading = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* It holds its input, its output and nothing of ours. */
static void test_descriptors(void **state)
{
    (void)state;
    int leaked = fcntl(STDIN_FILENO, F_DUPFD, 200); /* not closed by exec */
    assert_true(leaked >= 200);
    struct writer *writer = started(&stderr_options);
    writer_add(writer, numbered(1));
    read_lines(writer, 1); /* it has got as far as its loop */
    for (int fd = 3; fd < 300; fd++) {
        char link[64];
        snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)writer_pid(writer), fd);
        assert_int_not_equal(access(link, F_OK), 0);
    }
    close(leaked);
    writer_stop(writer, PATIENCE_MS);
}

/* Into a file, which is rotated. */
static void test_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/trotline-writer-XXXXXX", file[64], kind[] = "file", max[] = "1000",
         kept[] = "2", text[4096];
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof(file), "%s/f", dir);
    char *argv[] = {name, command, kind, file, max, kept, NULL};
    struct writer_options options = stderr_options;
    options.argv = argv;
    struct writer *writer = started(&options);
    for (uint64_t n = 0; n < 15; n++)
        writer_add(writer, numbered(n));
    writer_stop(writer, PATIENCE_MS);
    snprintf(text, sizeof(text), "%s.1", file);
    static const size_t lines[] = {5, 10};
    const char *files[] = {file, text};
    for (size_t i = 0; i < 2; i++) {
        FILE *in = fopen(files[i], "r");
        assert_non_null(in);
        static char content[4096];
        assert_int_equal(fread(content, 1, sizeof(content), in), lines[i] * LINE_BYTES);
        fclose(in);
        assert_int_equal(unlink(files[i]), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void test_cannot_start(void **state)
{
    (void)state;
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 5;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct writer *writer = writer_start(&stderr_options);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(writer);
    assert_int_not_equal(error, 0);
    writer_stop(NULL, 0);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    static char zero[] = "0", one[] = "1", word[] = "x", kind[] = "file";
    char *const table[][6] = {
        {command, NULL},
        {command, word, NULL},
        {command, to_stderr, word, NULL},
        {command, kind, word, one, NULL},
        {command, kind, word, word, one, NULL},
        {command, kind, word, one, zero, NULL},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char *argv[6];
        int argc = 0;
        for (; table[i][argc]; argc++)
            argv[argc] = table[i][argc];
        assert_int_equal(writer_child_main(argc, argv), 2);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], WRITER_COMMAND) == 0)
        return writer_child_main(argc - 1, argv + 1);
    if (!(writer_program = realpath(argv[0], program)))
        return 1;
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_at_one_pipe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_does_not_wait_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_writes_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signals_do_not_end_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test(test_cannot_start),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
