/* test_line_file.c - the rotated file: where lines go, what is kept, and what a fault leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/line_file.h"

enum { NAME_BYTES = 300 };

static char dir[] = "/tmp/trotline-lines-XXXXXX";
static char path[NAME_BYTES];

static int setup(void **state)
{
    (void)state;
    strcpy(strrchr(dir, '-'), "-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/lines", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[NAME_BYTES];
    chmod(dir, 0700);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command) == 0 ? 0 : -1;
}

/* "" for the file itself, ".1" … for the older ones. */
static const char *named(const char *suffix)
{
    static char name[NAME_BYTES + 20];
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return name;
}

static bool exists(const char *suffix)
{
    struct stat info;
    return stat(named(suffix), &info) == 0;
}

static void put(const char *suffix, const char *text)
{
    FILE *out = fopen(named(suffix), "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void expect(const char *suffix, const char *text)
{
    char content[4096] = "";
    FILE *in = fopen(named(suffix), "r");
    assert_non_null(in);
    size_t len = fread(content, 1, sizeof(content) - 1, in);
    content[len] = '\0';
    fclose(in);
    assert_string_equal(content, text);
}

static void write_all(struct line_file *file, const char *lines)
{
    assert_int_equal(line_file_write(file, slice_str(lines)), strlen(lines));
}

/* Lines are split at their ends only: each file has at most max_bytes, the oldest go. */
static void test_rotation(void **state)
{
    (void)state;
    struct line_file file;
    line_file_init(&file, path, 10, 2);
    write_all(&file, "a1\na2\n");
    write_all(&file, "a3\nb1\nb2\n"); /* nine bytes, and three do not fit any more */
    expect("", "b1\nb2\n");
    expect(".1", "a1\na2\na3\n");
    write_all(&file, "b3\nc1\nc2\nc3\nd1\n");
    expect("", "d1\n");
    expect(".1", "c1\nc2\nc3\n");
    expect(".2", "b1\nb2\nb3\n");
    assert_false(exists(".3"));
    line_file_close(&file);
}

/* A line longer than a file may be gets a file of its own. */
static void test_long_line(void **state)
{
    (void)state;
    struct line_file file;
    line_file_init(&file, path, 5, 9);
    write_all(&file, "1\nlonger than five\n2\n");
    expect("", "2\n");
    expect(".1", "longer than five\n");
    expect(".2", "1\n");
    line_file_close(&file);
}

/* What is there is continued; a line that was torn by a power cut is not. */
static void test_continues(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
    } table[] = {
        {"", "new\n"},
        {"old\n", "old\nnew\n"},
        {"old\nto", "old\nnew\n"},
        {"old\n\n", "old\n\nnew\n"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct line_file file;
        put("", table[i].before);
        line_file_init(&file, path, 1000, 1);
        write_all(&file, "new\n");
        expect("", table[i].after);
        line_file_close(&file);
    }
}

/* An interrupted rotation left a gap, which the next one fills instead of losing the oldest. */
static void test_gap(void **state)
{
    (void)state;
    struct line_file file;
    put("", "new\n");
    put(".2", "older\n");
    put(".3", "oldest\n");
    line_file_init(&file, path, 4, 3);
    write_all(&file, "now\n");
    expect("", "now\n");
    expect(".1", "new\n");
    expect(".2", "older\n");
    expect(".3", "oldest\n");
    line_file_close(&file);
}

/* Somebody moves the file away or removes it: the next lines make a new one. */
static void test_moved_away(void **state)
{
    (void)state;
    struct line_file file;
    char elsewhere[NAME_BYTES + 20];
    snprintf(elsewhere, sizeof(elsewhere), "%s.kept", path);
    line_file_init(&file, path, 1000, 1);
    write_all(&file, "one\n");
    assert_int_equal(rename(path, elsewhere), 0);
    write_all(&file, "two\n");
    expect(".kept", "one\n");
    expect("", "two\n");
    assert_int_equal(unlink(path), 0);
    write_all(&file, "three\n");
    expect("", "three\n");
    line_file_close(&file);
}

/* A full disk (here: the limit of a file's size) costs the lines that do not fit, and no half line
 * is left; later ones are written when there is room again. */
static void test_no_room(void **state)
{
    (void)state;
    struct line_file file;
    struct rlimit before, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 10;
    line_file_init(&file, path, 1000, 1);
    write_all(&file, "one\n");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    size_t written = line_file_write(&file, SLICE("two\nthree\n"));
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(written, 4);
    assert_int_equal(error, EFBIG);
    expect("", "one\ntwo\n");
    write_all(&file, "four\n");
    expect("", "one\ntwo\nfour\n");
    line_file_close(&file);
}

/* When the directory does not let files be renamed, the limit is kept and lines are refused. Here a
 * directory stands where the older file should go, which stops root too. */
static void test_cannot_rotate(void **state)
{
    (void)state;
    struct line_file file;
    assert_int_equal(mkdir(named(".1"), 0700), 0);
    line_file_init(&file, path, 4, 1);
    write_all(&file, "one\n");
    assert_int_equal(line_file_write(&file, SLICE("two\n")), 0);
    expect("", "one\n");
    assert_int_equal(rmdir(named(".1")), 0);
    write_all(&file, "three\n");
    expect(".1", "one\n");
    expect("", "three\n");
    line_file_close(&file);
}

/* While a predecessor still has the file, a second process waits for it. */
static void test_lock(void **state)
{
    (void)state;
    struct line_file first, second;
    int ready[2];
    char byte = 0;
    line_file_init(&first, path, 1000, 1);
    line_file_init(&second, path, 1000, 1);
    write_all(&first, "first\n");
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        line_file_close(&first);
        if (write(ready[1], "x", 1) != 1)
            _exit(2);
        _exit(line_file_write(&second, SLICE("second\n")) == 7 ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    write_all(&first, "still first\n");
    expect("", "first\nstill first\n");
    line_file_close(&first);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    expect("", "first\nstill first\nsecond\n");
    close(ready[0]);
    close(ready[1]);
}

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(line_file_check(path), ST_OK);
    expect("", "");
    assert_int_equal(line_file_check("/nonexistent/lines"), ST_IO);
    assert_int_equal(line_file_check(dir), ST_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_not_equal(line_file_check(path), ST_OK); /* and it does not wait for a reader */
    assert_int_equal(line_file_check("/dev/null"), ST_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_continues, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cannot_rotate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
