/* test_api_key.c - the key file: made once, for its owner only, and never replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/api_key.h"

enum { KEY_LEN = 3 + 48, PROCESSES = 8 };

static char dir[64], path[128];
static struct buf key, error;
static bool made;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/trotline-api-key-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/api-key", dir);
    buf_init(&key, 4096);
    buf_init(&error, 8192);
    return 0;
}

/* Empties the directory and counts what was in it. */
static int sweep(void)
{
    int count = 0;
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_name[0] == '.')
            continue;
        char name[512];
        snprintf(name, sizeof(name), "%s/%s", dir, entry->d_name);
        assert_int_equal(remove(name), 0);
        count++;
    }
    closedir(entries);
    return count;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&key);
    buf_free(&error);
    sweep();
    return rmdir(dir);
}

static enum status open_key(void)
{
    buf_clear(&key);
    buf_clear(&error);
    return api_key_open(dir, &key, &made, &error);
}

static void write_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static mode_t mode_of(const char *name)
{
    struct stat info;
    assert_int_equal(stat(name, &info), 0);
    return info.st_mode & 07777;
}

static void expect_error(const char *part)
{
    buf_add_char(&error, '\0');
    assert_non_null(error.ptr);
    assert_non_null(strstr(error.ptr, part));
    assert_int_equal(key.len, 0);
    assert_false(made);
}

/* The first start makes a key that only the owner can read, whatever the umask, and leaves nothing
 * else behind; the second one reads it. */
static void test_first_and_second_start(void **state)
{
    (void)state;
    mode_t before = umask(0);
    enum status status = open_key();
    umask(before);
    assert_int_equal(status, ST_OK);
    assert_true(made);
    assert_int_equal(error.len, 0);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(key.len, KEY_LEN);
    assert_memory_equal(key.ptr, "tl_", 3);
    for (size_t i = 3; i < key.len; i++)
        assert_non_null(strchr("0123456789abcdef", key.ptr[i]));

    char first[KEY_LEN];
    memcpy(first, key.ptr, KEY_LEN);
    assert_int_equal(open_key(), ST_OK);
    assert_false(made);
    assert_int_equal(key.len, KEY_LEN);
    assert_memory_equal(key.ptr, first, KEY_LEN);
    assert_int_equal(sweep(), 1);

    assert_int_equal(open_key(), ST_OK); /* the operator removed it: another key */
    assert_true(made);
    assert_memory_not_equal(key.ptr, first, KEY_LEN);
}

/* A file of an operator's own making is taken as it is: content and mode. */
static void test_existing_key_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *content, *key;
    } table[] = {
        {"0123456789abcdef", "0123456789abcdef"},
        {"0123456789abcdef\n", "0123456789abcdef"},
        {"my-very-own-key!~#\r\n", "my-very-own-key!~#"},
        {" \t 0123456789abcdef \n\n", "0123456789abcdef"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        write_file(path, table[i].content, strlen(table[i].content), 0640);
        assert_int_equal(open_key(), ST_OK);
        assert_false(made);
        assert_true(slice_eq(buf_slice(&key), slice_str(table[i].key)));
        assert_int_equal(mode_of(path), 0640);
        char content[100];
        int fd = open(path, O_RDONLY);
        ssize_t len = read(fd, content, sizeof(content));
        close(fd);
        assert_true(slice_eq(slice_of(content, (size_t)len), slice_str(table[i].content)));
    }
}

/* What is no key is refused with a sentence that names the file, and stays for the operator to look
 * at: nothing is overwritten, and no server starts with a key that opens to nobody or to all. */
static void test_no_key_in_the_file(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "",
        "\n",
        " \t\r\n",
        "short",
        "0123456789abcde",
        "0123456789abcde\n",
        "0123456789abcdef 0123456789abcdef",
        "0123456789abcdef\n0123456789abcdef\n",
        "0123456789abcd\xc3\xbc",
        "0123456789abcdef\x1b",
        "0123456789\177abcdef",
    };
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        write_file(path, contents[i], strlen(contents[i]), 0600);
        assert_int_equal(open_key(), ST_RANGE);
        expect_error(path);
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_size, (off_t)strlen(contents[i]));
    }
    write_file(path,
               "0123456789abcdef\0"
               "0123456789",
               27, 0600);
    assert_int_equal(open_key(), ST_RANGE);
    expect_error(path);
    assert_int_equal(sweep(), 1);
}

/* The longest file is read whole; a longer one is refused and not cut. */
static void test_longest_file(void **state)
{
    (void)state;
    char content[1025];
    memset(content, 'k', sizeof(content));
    write_file(path, content, 1024, 0600);
    assert_int_equal(open_key(), ST_OK);
    assert_int_equal(key.len, 1024);
    write_file(path, content, 1025, 0600);
    assert_int_equal(open_key(), ST_RANGE);
    expect_error(path);
}

/* Sentences for what the system refuses. */
static void test_system_errors(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(open_key(), ST_IO);
    expect_error("cannot read");
    expect_error("Is a directory");
    sweep();

    assert_int_equal(symlink("/nonexistent/key", path), 0); /* the key's own disk is not mounted */
    assert_int_equal(open_key(), ST_IO);
    expect_error("cannot open");
    sweep();

    char good[sizeof(dir)];
    memcpy(good, dir, sizeof(good));
    snprintf(dir, sizeof(dir), "%.40s/none", good);
    assert_int_equal(open_key(), ST_IO);
    expect_error("cannot create");
    memcpy(dir, good, sizeof(dir));

    char *longest = malloc(5000);
    assert_non_null(longest);
    memset(longest, 'd', 4999);
    longest[4999] = '\0';
    buf_clear(&error);
    made = true;
    assert_int_equal(api_key_open(longest, &key, &made, &error), ST_LIMIT);
    expect_error("too long");
    free(longest);
}

/* A file that an earlier process of the same number left behind is neither used nor in the way. */
static void test_leftover(void **state)
{
    (void)state;
    char leftover[256];
    snprintf(leftover, sizeof(leftover), "%s.%ld", path, (long)getpid());
    write_file(leftover, "0123456789abcdefgh", 18, 0666);
    assert_int_equal(open_key(), ST_OK);
    assert_true(made);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(key.len, KEY_LEN);
}

/* ---- Many at once ---------------------------------------------------------------------------- */

struct answer {
    enum status status;
    bool made;
    char key[KEY_LEN];
};

/* In a process of its own: waits until `start` is closed at its other end, then asks for the key.
 */
static void child(int start, int answers)
{
    char byte;
    struct answer answer = {.status = ST_OK};
    if (read(start, &byte, 1) != 0)
        _exit(1);
    answer.status = open_key();
    answer.made = made;
    memcpy(answer.key, key.ptr, key.len == KEY_LEN ? KEY_LEN : 0);
    _exit(write(answers, &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
}

/* Of processes that start at once all have the one key that is in the file, and one has made it. */
static void test_many_processes_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        int start[2] = {-1, -1}, answers[2] = {-1, -1}, makers = 0;
        struct answer answer, first;
        assert_true(pipe(start) == 0 && pipe(answers) == 0);
        for (int i = 0; i < PROCESSES; i++) {
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid == 0) {
                close(start[1]);
                child(start[0], answers[1]);
            }
        }
        close(start[0]);
        close(start[1]);
        close(answers[1]);
        for (int i = 0; i < PROCESSES; i++) {
            assert_int_equal(read(answers[0], &answer, sizeof(answer)), sizeof(answer));
            if (i == 0)
                first = answer;
            assert_int_equal(answer.status, ST_OK);
            assert_memory_equal(answer.key, first.key, KEY_LEN);
            makers += answer.made;
        }
        close(answers[0]);
        for (int i = 0; i < PROCESSES; i++) {
            int ended;
            assert_true(wait(&ended) > 0);
            assert_int_equal(ended, 0);
        }
        assert_int_equal(makers, 1);
        assert_int_equal(open_key(), ST_OK);
        assert_memory_equal(key.ptr, first.key, KEY_LEN);
        assert_int_equal(mode_of(path), 0600);
        assert_int_equal(sweep(), 1); /* no temporary files are left */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_and_second_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_existing_key_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_key_in_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_longest_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_system_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leftover, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_processes_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
