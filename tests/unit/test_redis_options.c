/* test_redis_options.c - where Redis is, from a URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "net/redis_conn.h"

static void assert_same(const char *is, const char *should)
{
    if (!should)
        assert_null(is);
    else
        assert_string_equal(is, should);
}

/* What is accepted, and what becomes of it. */
static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        uint16_t port;
        const char *username, *password;
        int database;
        const char *unix_path;
    } rows[] = {
        {"redis://localhost", "localhost", 6379, NULL, NULL, 0, NULL},
        {"redis://127.0.0.1:7000", "127.0.0.1", 7000, NULL, NULL, 0, NULL},
        {"redis://h:1/", "h", 1, NULL, NULL, 0, NULL},
        {"redis://h/15", "h", 6379, NULL, NULL, 15, NULL},
        {"redis://h:65535/65535", "h", 65535, NULL, NULL, 65535, NULL},
        {"redis://:secret@h", "h", 6379, NULL, "secret", 0, NULL},
        {"redis://me:secret@h:1/2", "h", 1, "me", "secret", 2, NULL},
        {"redis://m%65:a%40b%3A%2f@h", "h", 6379, "me", "a@b:/", 0, NULL},
        {"redis://:a@b:c@h", "h", 6379, NULL, "a@b:c", 0, NULL},
        {"redis://[::1]", "::1", 6379, NULL, NULL, 0, NULL},
        {"redis://[fe80::1]:7000/1", "fe80::1", 7000, NULL, NULL, 1, NULL},
        {"unix:/run/redis.sock", NULL, 0, NULL, NULL, 0, "/run/redis.sock"},
        {"unix:redis.sock", NULL, 0, NULL, NULL, 0, "redis.sock"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redis_options options = {.client_name = "stays", .command_timeout_ms = 7};
        struct buf storage;
        const char *reason;
        buf_init(&storage, 4096);
        assert_int_equal(redis_options_parse(&options, slice_str(rows[i].url), &storage, &reason),
                         ST_OK);
        assert_same(options.host, rows[i].host);
        assert_same(options.username, rows[i].username);
        assert_same(options.password, rows[i].password);
        assert_same(options.unix_path, rows[i].unix_path);
        assert_same(options.client_name, "stays");
        assert_int_equal(options.port, rows[i].port);
        assert_int_equal(options.database, rows[i].database);
        assert_int_equal(options.command_timeout_ms, 7);
        assert_string_equal(reason, "");
        buf_free(&storage);
    }
}

/* sentinel://: who is asked, for whom. */
static void test_sentinels(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        size_t count;
        struct redis_host first, last;
        const char *master_name, *username, *password;
        int database;
    } rows[] = {
        {"sentinel://h/m", 1, {"h", 26379}, {"h", 26379}, "m", NULL, NULL, 0},
        {"sentinel://h:1/my.mas-ter_1/", 1, {"h", 1}, {"h", 1}, "my.mas-ter_1", NULL, NULL, 0},
        {"sentinel://a,b:2/m/7", 2, {"a", 26379}, {"b", 2}, "m", NULL, NULL, 7},
        {"sentinel://:se%2ccret@a:1,[::1],[::2]:3/m",
         3,
         {"a", 1},
         {"::2", 3},
         "m",
         NULL,
         "se,cret",
         0},
        {"sentinel://me:secret@a,b,c,d,e,f,g,h/m/65535",
         8,
         {"a", 26379},
         {"h", 26379},
         "m",
         "me",
         "secret",
         65535},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redis_options options = {.host = "goes", .sentinel_password = "stays"};
        struct buf storage;
        const char *reason;
        buf_init(&storage, 4096);
        assert_int_equal(redis_options_parse(&options, slice_str(rows[i].url), &storage, &reason),
                         ST_OK);
        assert_null(options.host);
        assert_null(options.unix_path);
        assert_int_equal(options.sentinel_count, rows[i].count);
        const struct redis_host *last = &options.sentinels[rows[i].count - 1];
        assert_string_equal(options.sentinels[0].name, rows[i].first.name);
        assert_int_equal(options.sentinels[0].port, rows[i].first.port);
        assert_string_equal(last->name, rows[i].last.name);
        assert_int_equal(last->port, rows[i].last.port);
        assert_string_equal(options.master_name, rows[i].master_name);
        assert_same(options.username, rows[i].username);
        assert_same(options.password, rows[i].password);
        assert_int_equal(options.database, rows[i].database);
        assert_string_equal(options.sentinel_password, "stays");
        buf_free(&storage);
    }
}

/* What is refused, with which sentence; the options stay as they were. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum status status;
        const char *reason;
    } rows[] = {
        {"", ST_UNSUPPORTED, "must begin with"},
        {"localhost:6379", ST_UNSUPPORTED, "must begin with"},
        {"rediss://h", ST_UNSUPPORTED, "must begin with"},
        {"redis://", ST_SYNTAX, "host is missing"},
        {"redis://:7000", ST_SYNTAX, "host is missing"},
        {"redis:///1", ST_SYNTAX, "host is missing"},
        {"redis://[]", ST_SYNTAX, "host is missing"},
        {"redis://[::1", ST_SYNTAX, "] is missing"},
        {"redis://[::1]7000", ST_SYNTAX, "must be followed by"},
        {"redis://h:", ST_RANGE, "port"},
        {"redis://h:0", ST_RANGE, "port"},
        {"redis://h:65536", ST_RANGE, "port"},
        {"redis://h:99999999999999999999", ST_RANGE, "port"},
        {"redis://h:7x", ST_RANGE, "port"},
        {"redis://h/-1", ST_RANGE, "database"},
        {"redis://h/1/2", ST_RANGE, "database"},
        {"redis://h/65536", ST_RANGE, "database"},
        {"redis://h?db=1", ST_SYNTAX, "takes no ?"},
        {"redis://h/1#x", ST_SYNTAX, "takes no ?"},
        {"redis://secret@h", ST_SYNTAX, "user:password"},
        {"redis://me:@h", ST_SYNTAX, "user:password"},
        {"redis://@h", ST_SYNTAX, "user:password"},
        {"redis://:a%4@h", ST_SYNTAX, "password is not percent-encoded"},
        {"redis://:a%@h", ST_SYNTAX, "password is not percent-encoded"},
        {"redis://:a%zz@h", ST_SYNTAX, "password is not percent-encoded"},
        {"redis://:a%00@h", ST_SYNTAX, "password is not percent-encoded"},
        {"redis://m%:a@h", ST_SYNTAX, "user is not percent-encoded"},
        {"sentinel://", ST_SYNTAX, "master's name is missing"},
        {"sentinel://h", ST_SYNTAX, "master's name is missing"},
        {"sentinel://h/", ST_SYNTAX, "master's name is missing"},
        {"sentinel://h//1", ST_SYNTAX, "master's name is missing"},
        {"sentinel:///m", ST_SYNTAX, "host is missing"},
        {"sentinel://a,/m", ST_SYNTAX, "host is missing"},
        {"sentinel://,a/m", ST_SYNTAX, "host is missing"},
        {"sentinel://a:0,b/m", ST_RANGE, "port"},
        {"sentinel://a,b:x/m", ST_RANGE, "port"},
        {"sentinel://a b/m n", ST_RANGE, "master's name has"},
        {"sentinel://a/1234567890123456789012345678901234567890123456789012345678901234x", ST_RANGE,
         "master's name has"},
        {"sentinel://a/m/x", ST_RANGE, "database"},
        {"sentinel://a/m/1/2", ST_RANGE, "database"},
        {"sentinel://a/m?x", ST_SYNTAX, "takes no ?"},
        {"sentinel://secret@a/m", ST_SYNTAX, "user:password"},
        {"sentinel://a,b,c,d,e,f,g,h,i/m", ST_RANGE, "at most 8"},
        {"unix:", ST_SYNTAX, "path is missing"},
        {"unix:/1234567890123456789012345678901234567890123456789012345678901234567890123456789012"
         "3456789012345678901234567",
         ST_RANGE, "107 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redis_options options = {.host = "stays", .port = 9};
        struct buf storage;
        const char *reason = NULL;
        buf_init(&storage, 4096);
        assert_int_equal(redis_options_parse(&options, slice_str(rows[i].url), &storage, &reason),
                         rows[i].status);
        assert_non_null(strstr(reason, rows[i].reason));
        assert_string_equal(options.host, "stays");
        assert_int_equal(options.port, 9);
        buf_free(&storage);
    }
}

static void test_nul_and_size(void **state)
{
    (void)state;
    struct redis_options options = {0};
    struct buf storage;
    const char *reason;
    buf_init(&storage, 16);
    assert_int_equal(redis_options_parse(&options, slice_of("unix:/a\0b", 9), &storage, &reason),
                     ST_SYNTAX);
    assert_int_equal(
        redis_options_parse(&options, SLICE("redis://too.long.for.it"), &storage, &reason),
        ST_LIMIT);
    buf_free(&storage);
}

/* A copy has strings of its own and the defaults. */
static void test_copy(void **state)
{
    (void)state;
    char host[] = "a host";
    const struct redis_options from = {.host = host, .port = 1, .connect_timeout_ms = 3};
    struct redis_options to;
    char *strings = redis_options_copy(&to, &from);
    assert_non_null(strings);
    host[0] = 'x';
    assert_string_equal(to.host, "a host");
    assert_null(to.password);
    assert_int_equal(to.connect_timeout_ms, 3);
    assert_int_equal(to.command_timeout_ms, 5000);
    assert_int_equal(to.idle_ping_ms, 30000);
    redis_options_release(&to, strings);
    assert_null(to.host);
    redis_options_release(&to, NULL);
}

/* The Sentinels' names too. */
static void test_copy_sentinels(void **state)
{
    (void)state;
    char name[] = "b";
    struct redis_options from = {
        .sentinels = {{"a", 1}, {name, 2}}, .sentinel_count = 2, .master_name = name};
    struct redis_options to;
    char *strings = redis_options_copy(&to, &from);
    assert_non_null(strings);
    name[0] = 'x';
    assert_string_equal(to.sentinels[0].name, "a");
    assert_string_equal(to.sentinels[1].name, "b");
    assert_string_equal(to.master_name, "b");
    redis_options_release(&to, strings);
    assert_int_equal(to.sentinel_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_nul_and_size),
        cmocka_unit_test(test_copy),     cmocka_unit_test(test_copy_sentinels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
