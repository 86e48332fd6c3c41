/* test_bound_socket.c - a port is kept, alone or together, and nobody connects to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/bound_socket.h"

static int open_one(const char *address, uint16_t port, bool reuse_port, enum status wanted)
{
    int fd = -1;
    char error[200] = "";
    enum status status = bound_socket_open(address, port, reuse_port, &fd, error, sizeof(error));
    assert_int_equal(status, wanted);
    assert_int_equal(fd >= 0, wanted == ST_OK);
    assert_int_equal(error[0] != '\0', wanted != ST_OK);
    return fd;
}

/* A kept port: others who share may have it too, others who don't may not. Connections are refused
 * until somebody listens, and then go there. */
static void test_keeping(void **state)
{
    (void)state;
    int kept = open_one("127.0.0.1", 0, true, ST_OK);
    uint16_t port = bound_socket_port(kept);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_not_equal(port, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(client);

    int one = open_one("127.0.0.1", port, true, ST_OK);
    assert_int_equal(listen(one, 10), 0);
    open_one("127.0.0.1", port, false, ST_IO);
    for (int i = 0; i < 20; i++) {
        client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
        int accepted = accept(one, NULL, NULL);
        assert_true(accepted >= 0);
        close(accepted);
        close(client);
    }
    close(one);
    close(kept);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1", "0.0.0.0", "::1", "::"};
    static const char *const bad[] = {"localhost", "1.2.3.4.5", "example.org"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int fd = open_one(good[i], 0, false, ST_OK);
        assert_int_not_equal(bound_socket_port(fd), 0);
        close(fd);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        open_one(bad[i], 0, false, ST_SYNTAX);
    open_one("192.0.2.1", 0, false, ST_IO); /* not an address of this machine (RFC 5737) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeping),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
