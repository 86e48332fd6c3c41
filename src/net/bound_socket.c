/* bound_socket.c - see bound_socket.h. */
#include "net/bound_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool set_flag(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* -1 and errno. */
static int open_and_bind(const struct addrinfo *info, bool reuse_port)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
        (!reuse_port || set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
        (info->ai_family != AF_INET6 || set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
        bind(fd, info->ai_addr, info->ai_addrlen) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

enum status bound_socket_open(const char *address, uint16_t port, bool reuse_port, int *fd,
                              char *error, size_t error_bytes)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *info = NULL;
    char number[8];
    snprintf(number, sizeof(number), "%u", (unsigned)port);
    if (getaddrinfo(address, number, &hints, &info) != 0) {
        snprintf(error, error_bytes, "'%s' is not a numeric address", address);
        return ST_SYNTAX;
    }
    *fd = open_and_bind(info, reuse_port);
    int failed = errno;
    freeaddrinfo(info);
    if (*fd >= 0)
        return ST_OK;
    snprintf(error, error_bytes, "cannot listen on %s port %s: %s", address, number,
             strerror(failed));
    return ST_IO;
}

uint16_t bound_socket_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof(address);
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}
