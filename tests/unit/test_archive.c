/* test_archive.c - the archive's lines: what they say, and that they are valid JSON whatever the
 * event holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/writer.h"
#include "base/writer_child.h"
#include "core/archive.h"

enum { PATIENCE_MS = 20000 };

static char dir[] = "/tmp/trotline-archive-XXXXXX";
static char path[100];
static struct reactor *reactor;

static int setup(void **state)
{
    (void)state;
    strcpy(strrchr(dir, '-'), "-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/archive.jsonl", dir);
    reactor = reactor_new();
    return reactor ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    reactor_free(reactor);
    unlink(path);
    return rmdir(dir);
}

static struct archive *make(void)
{
    char error[300];
    struct archive_options options = {.file = path, .max_bytes = 1000000, .files = 1};
    struct archive *archive = archive_new(reactor, &options, error, sizeof(error));
    assert_non_null(archive);
    return archive;
}

/* The lines of the file, each an object. */
static size_t read_lines(json_t **lines, size_t max)
{
    static char line[10000];
    size_t count = 0;
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in)) {
        assert_true(count < max);
        lines[count] = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        assert_true(json_is_object(lines[count]));
        assert_int_equal(json_object_size(lines[count]), 10);
        count++;
    }
    fclose(in);
    return count;
}

static const char *string(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);
    assert_non_null(value);
    return json_is_null(value) ? NULL : json_string_value(value);
}

static long long number(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);
    assert_non_null(value);
    return json_is_null(value) ? -1 : json_integer_value(value);
}

static void test_lines(void **state)
{
    (void)state;
    static const struct archive_record records[] = {
        {.end = {.status = ARCHIVE_SENT, .status_code = 204, .timed = true, .error = ""},
         .event_id = {"msg_1", 5},
         .type = {"order.paid", 10},
         .endpoint_id = {"ep_1", 4},
         .attempts = 2,
         .accepted_at_ms = 1700000000123},
        {.end = {.status = ARCHIVE_NOT, .error = ""}, .event_id = {"msg_no", 6}},
        {.end = {.status = ARCHIVE_DEAD,
                 .status_code = 503,
                 .timed = true,
                 .duration_ms = 17,
                 .error = "http_status"},
         .attempts = 8},
        {.end = {.status = ARCHIVE_CANCELLED, .error = ""}},
    };
    static const struct {
        const char *event_id, *type, *endpoint_id, *status, *error, *accepted_at;
        long long attempts, status_code, duration_ms;
    } expected[] = {
        {"msg_1", "order.paid", "ep_1", "sent", NULL, "2023-11-14T22:13:20.123Z", 2, 204, 0},
        {"", "", "", "dead_letter", "http_status", NULL, 8, 503, 17},
        {"", "", "", "cancelled", NULL, NULL, 0, -1, -1},
    };
    struct archive *archive = make();
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        archive_write(archive, &records[i]);
    archive_free(archive, PATIENCE_MS);

    json_t *lines[10];
    size_t count = read_lines(lines, 10);
    assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < count; i++) {
        const json_t *line = lines[i];
        assert_int_equal(strlen(string(line, "time")), 24);
        assert_string_equal(string(line, "eventId"), expected[i].event_id);
        assert_string_equal(string(line, "type"), expected[i].type);
        assert_string_equal(string(line, "webhookId"), expected[i].endpoint_id);
        assert_string_equal(string(line, "status"), expected[i].status);
        assert_int_equal(number(line, "attempts"), expected[i].attempts);
        assert_int_equal(number(line, "statusCode"), expected[i].status_code);
        assert_int_equal(number(line, "durationMs"), expected[i].duration_ms);
        if (expected[i].error)
            assert_string_equal(string(line, "error"), expected[i].error);
        else
            assert_null(string(line, "error"));
        if (expected[i].accepted_at)
            assert_string_equal(string(line, "acceptedAt"), expected[i].accepted_at);
        else
            assert_null(string(line, "acceptedAt"));
        json_decref(lines[i]);
    }
}

/* The longest type, of the bytes that take most room, and others that could break a line. */
static void test_hostile_types(void **state)
{
    (void)state;
    static char longest[LIMIT_TYPE_BYTES];
    const struct slice types[] = {
        slice_of(longest, sizeof(longest)),
        SLICE("a\"b\\c\nd\re\x01\x7f\0f"),
        SLICE("\xff\xc3\xe2\x82"),
        SLICE("\xe2\x80\xa8 line \xc2\x85 separators"),
    };
    enum { TYPES = sizeof(types) / sizeof(types[0]) };
    struct archive *archive = make();
    for (size_t i = 0; i < TYPES; i++)
        archive_write(archive, &(struct archive_record){
                                   .end = {.status = ARCHIVE_SENT, .error = ""}, .type = types[i]});
    assert_int_equal(archive_dropped(archive), 0);
    archive_free(archive, PATIENCE_MS);
    json_t *lines[TYPES];
    assert_int_equal(read_lines(lines, TYPES), TYPES);
    const json_t *type = json_object_get(lines[1], "type");
    assert_int_equal(json_string_length(type), types[1].len);
    assert_memory_equal(json_string_value(type), types[1].ptr, types[1].len);
    for (size_t i = 0; i < TYPES; i++)
        json_decref(lines[i]);
}

static void test_refused(void **state)
{
    (void)state;
    char error[300];
    struct archive_options options = {.file = "/nonexistent/a", .max_bytes = 1000, .files = 1};
    assert_null(archive_new(reactor, &options, error, sizeof(error)));
    assert_string_equal(error, "archive.file: cannot write /nonexistent/a: No such file or "
                               "directory");
    options.file = "/dev/null";
    assert_null(archive_new(reactor, &options, error, sizeof(error)));
    assert_string_equal(error, "archive.file: cannot write /dev/null: it is not an ordinary file");
}

/* Without an archive nothing happens. */
static void test_none(void **state)
{
    (void)state;
    archive_write(NULL, &(struct archive_record){.end = {.status = ARCHIVE_SENT, .error = ""}});
    assert_int_equal(archive_dropped(NULL), 0);
    archive_free(NULL, 0);
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
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
