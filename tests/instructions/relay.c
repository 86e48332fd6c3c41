/* relay.c - stands between the server and a redis-server: what the server has sent is passed on,
 * and then all the replies at once, so that it never matters how long Redis took.
 *
 * A message of a channel is passed on when it is found; none comes while there is one replica.
 */
#include "stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINKS_MAX = 16, REPLY_MS = 20000, DEPTH_MAX = 8 };

struct relay_link {
    int server; /* our end of the server's connection */
    int redis;
    struct inbox commands, replies;
    size_t due; /* replies */
};

static struct relay_link links[LINKS_MAX];
static size_t link_count;
static size_t batches;

size_t relay_batches(void)
{
    return batches;
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (fd < 0 || strlen(path) >= sizeof(address->sun_path))
        stage_fail("no socket for %s", path);
    memcpy(address->sun_path, path, strlen(path));
    return fd;
}

static int listen_for_server(void)
{
    struct sockaddr_un address;
    const char *path = stage_setting("STAGE_SOCKET");
    int fd = unix_socket(path, &address);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 16) != 0)
        stage_fail("cannot listen at %s: %s", path, strerror(errno));
    return fd;
}

static bool accept_links(void)
{
    static int listener = -1;
    bool any = false;
    if (listener < 0)
        listener = listen_for_server();
    while (wait_readable(&listener, 1, 0)) {
        struct sockaddr_un address;
        int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        int redis = unix_socket(stage_setting("STAGE_REDIS"), &address);
        if (server < 0 || link_count == LINKS_MAX ||
            connect(redis, (const struct sockaddr *)&address, sizeof(address)) != 0)
            stage_fail("cannot connect to Redis: %s", strerror(errno));
        links[link_count++] = (struct relay_link){.server = server, .redis = redis};
        any = true;
    }
    return any;
}

/* ---- RESP2 ---------------------------------------------------------------------------------- */

/* Length of the line at `at` with its end, the number behind its first character; 0: not whole. */
static size_t resp_line(const struct inbox *in, size_t at, long *number)
{
    const char *end = at < in->len ? memchr(in->bytes + at, '\n', in->len - at) : NULL;
    if (!end)
        return 0;
    *number = strtol(in->bytes + at + 1, NULL, 10);
    return (size_t)(end + 1 - in->bytes) - at;
}

/* Length of the value at `at`; 0: not whole. A command is a value, too. */
static size_t resp_value(const struct inbox *in, size_t at, int depth)
{
    long number;
    size_t len = resp_line(in, at, &number);
    if (len == 0 || depth > DEPTH_MAX)
        return 0;
    char kind = in->bytes[at];
    if (kind == '$' && number >= 0)
        return at + len + (size_t)number + 2 <= in->len ? len + (size_t)number + 2 : 0;
    for (long i = 0; kind == '*' && i < number; i++) {
        size_t item = resp_value(in, at + len, depth + 1);
        if (item == 0)
            return 0;
        len += item;
    }
    return len;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* The first word of the command, and how many follow. */
static bool command_is(const struct inbox *in, const char *name, size_t *words)
{
    long count = 0, len = 0;
    size_t at = resp_line(in, 0, &count);
    at += resp_line(in, at, &len);
    *words = (size_t)count - 1;
    return (size_t)len == strlen(name) && memcmp(in->bytes + at, name, strlen(name)) == 0;
}

static bool pass_commands(struct relay_link *link)
{
    bool any = false;
    if (!inbox_fill(&link->commands, link->server))
        stage_fail("the server has closed a connection to Redis");
    for (size_t len; (len = resp_value(&link->commands, 0, 0)) > 0; any = true) {
        size_t words;
        link->due++;
        if (command_is(&link->commands, "SUBSCRIBE", &words))
            link->due += words - 1; /* a reply for each channel */
        if (command_is(&link->commands, "SET", &words))
            batches++;
        write_all(link->redis, link->commands.bytes, len);
        inbox_take(&link->commands, len);
    }
    return any;
}

static bool pass_replies(struct relay_link *link)
{
    size_t whole = 0, len;
    for (;;) {
        if (!inbox_fill(&link->replies, link->redis))
            stage_fail("Redis has closed a connection");
        for (; (len = resp_value(&link->replies, whole, 0)) > 0; whole += len)
            if (link->due > 0)
                link->due--;
        if (link->due == 0)
            break;
        if (!wait_readable(&link->redis, 1, REPLY_MS))
            stage_fail("Redis does not answer");
    }
    if (whole > 0)
        write_all(link->server, link->replies.bytes, whole);
    inbox_take(&link->replies, whole);
    return whole > 0;
}

bool relay_step(void)
{
    bool any = accept_links();
    for (size_t i = 0; i < link_count; i++)
        any |= pass_commands(&links[i]);
    for (size_t i = 0; i < link_count; i++)
        any |= pass_replies(&links[i]);
    return any;
}
