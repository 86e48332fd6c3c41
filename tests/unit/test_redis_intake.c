/* test_redis_intake.c - bytes between the socket and whoever takes them apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rng.h"
#include "net/redis_intake.h"

enum { ROOM = 64, SENDER = 0, READER = 1 };

struct fixture {
    int fds[2];
    struct redis_intake intake;
};

static void setup(struct fixture *f)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fds), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(f->fds[i], F_SETFL, O_NONBLOCK), 0);
    redis_intake_init(&f->intake, ROOM);
}

static void teardown(struct fixture *f)
{
    redis_intake_free(&f->intake);
    for (int i = 0; i < 2; i++)
        if (f->fds[i] >= 0)
            close(f->fds[i]);
}

static void put(struct fixture *f, const char *text)
{
    assert_int_equal(write(f->fds[SENDER], text, strlen(text)), (ssize_t)strlen(text));
}

static size_t read_some(struct fixture *f)
{
    return redis_intake_read(&f->intake, f->fds[READER]);
}

#define expect_taken(f, most, literal)                                                             \
    assert_true(slice_eq(redis_intake_take(&(f)->intake, most), SLICE(literal)))

/* Before anything was sent there is nothing, and no end. */
static void test_nothing(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(read_some(&f), 0);
    assert_true(redis_intake_empty(&f.intake));
    assert_null(redis_intake_end(&f.intake));
    expect_taken(&f, 10, "");
    teardown(&f);
}

/* What was read is taken piece by piece, and more may be read meanwhile. */
static void test_pieces(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    put(&f, "abcdef");
    assert_int_equal(read_some(&f), 6);
    expect_taken(&f, 4, "abcd");
    assert_false(redis_intake_empty(&f.intake));
    put(&f, "ghi");
    assert_int_equal(read_some(&f), 3);
    expect_taken(&f, 4, "efgh");
    expect_taken(&f, 4, "i");
    assert_true(redis_intake_empty(&f.intake));
    teardown(&f);
}

/* A full one reads no more until something is taken; then there is room again, also at its end. */
static void test_full(void **state)
{
    (void)state;
    struct fixture f;
    char text[2 * ROOM + 1] = {0};
    setup(&f);
    memset(text, 'x', 2 * ROOM);
    put(&f, text);
    assert_int_equal(read_some(&f), ROOM);
    assert_int_equal(read_some(&f), 0);
    assert_int_equal(redis_intake_take(&f.intake, ROOM - 1).len, ROOM - 1);
    assert_int_equal(read_some(&f), ROOM - 1);
    assert_int_equal(redis_intake_take(&f.intake, 2 * ROOM).len, ROOM);
    assert_int_equal(read_some(&f), 1);
    teardown(&f);
}

/* The end is told when all that came before it is taken; and it stays. */
static void test_end(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    put(&f, "last");
    close(f.fds[SENDER]);
    f.fds[SENDER] = -1;
    assert_int_equal(read_some(&f), 4);
    assert_int_equal(read_some(&f), 0);
    assert_null(redis_intake_end(&f.intake));
    expect_taken(&f, 3, "las");
    assert_null(redis_intake_end(&f.intake));
    expect_taken(&f, 3, "t");
    assert_string_equal(redis_intake_end(&f.intake), "closed by the server");
    assert_int_equal(read_some(&f), 0);
    assert_string_equal(redis_intake_end(&f.intake), "closed by the server");
    teardown(&f);
}

/* A socket that fails is an end with its reason; freed, the intake begins anew with another. */
static void test_failure(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(redis_intake_read(&f.intake, -1), 0);
    assert_string_equal(redis_intake_end(&f.intake), "Bad file descriptor");
    redis_intake_free(&f.intake);
    assert_null(redis_intake_end(&f.intake));
    put(&f, "again");
    assert_int_equal(read_some(&f), 5);
    expect_taken(&f, 10, "again");
    teardown(&f);
}

/* However it is written, read and taken: all bytes, once, in their order. */
static void test_long_life(void **state)
{
    (void)state;
    struct fixture f;
    struct rng rng;
    uint8_t sent = 0, taken = 0;
    size_t bytes = 0;
    rng_seed(&rng, 1);
    setup(&f);
    for (int i = 0; i < 20000; i++) {
        char chunk[ROOM];
        size_t len = rng_below(&rng, ROOM);
        for (size_t j = 0; j < len; j++)
            chunk[j] = (char)sent++;
        assert_int_equal(write(f.fds[SENDER], chunk, len), (ssize_t)len);
        for (bool more = true; more;) {
            more = read_some(&f) > 0;
            struct slice piece = redis_intake_take(&f.intake, 1 + rng_below(&rng, ROOM));
            for (size_t j = 0; j < piece.len; j++)
                assert_int_equal((uint8_t)piece.ptr[j], taken++);
            bytes += piece.len;
        }
    }
    while (!redis_intake_empty(&f.intake) || read_some(&f) > 0) {
        struct slice piece = redis_intake_take(&f.intake, ROOM);
        for (size_t j = 0; j < piece.len; j++)
            assert_int_equal((uint8_t)piece.ptr[j], taken++);
    }
    assert_int_equal(taken, sent);
    assert_true(bytes > 100000);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_full),    cmocka_unit_test(test_end),
        cmocka_unit_test(test_failure), cmocka_unit_test(test_long_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
