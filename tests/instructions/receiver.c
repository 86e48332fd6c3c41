/* receiver.c - what the webhooks lead to. It answers 200 when all deliveries of a round have come,
 * or no more come although the server has nothing to do.
 */
#include "stage.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "http.h"

enum { CONNECTIONS_MAX = 512, WAIT_MS = 50, ATTEMPT_MS = 1 };

static int fds[1 + CONNECTIONS_MAX]; /* the first one listens */
static struct inbox inboxes[1 + CONNECTIONS_MAX];
static size_t count;
static size_t due;    /* deliveries of this round that have not come */
static size_t unread; /* that came, and are not answered */

void receiver_expect(size_t deliveries)
{
    due = deliveries;
}

bool receiver_done(void)
{
    return due == 0 && unread == 0;
}

int receiver_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    if (count == 0 || getsockname(fds[0], (struct sockaddr *)&address, &len) != 0)
        stage_fail("the receiver does not listen");
    return ntohs(address.sin_port);
}

static void start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Not by listen(), from which the stage learns of the server's port. */
    if (fds[0] < 0 || bind(fds[0], (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        syscall(SYS_listen, fds[0], CONNECTIONS_MAX) != 0)
        stage_fail("the receiver cannot listen");
    count = 1;
}

static void look(void)
{
    while (wait_readable(fds, 1, 0)) {
        if (count == 1 + CONNECTIONS_MAX)
            stage_fail("too many connections to the receiver");
        fds[count] = accept4(fds[0], NULL, NULL, SOCK_CLOEXEC);
        if (fds[count++] < 0)
            stage_fail("the receiver cannot accept");
    }
    unread = 0;
    for (size_t i = 1; i < count; i++) {
        if (!inbox_fill(&inboxes[i], fds[i]))
            stage_fail("the server has closed a connection to a receiver");
        unread += http_length(&inboxes[i]) > 0;
    }
}

static void answer(int fd, struct inbox *inbox)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nServer: stage\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 2\r\n\r\nok";
    size_t len = http_length(inbox);
    if (len == 0)
        return;
    if (!memmem(inbox->bytes, len, "\r\nwebhook-signature: v1,", 24))
        stage_fail("a delivery is not signed: %.*s", (int)len, inbox->bytes);
    if (due == 0)
        stage_fail("a delivery too many");
    inbox_take(inbox, len);
    write_all(fd, text, sizeof(text) - 1);
    due--;
}

bool receiver_step(void)
{
    if (count == 0)
        start();
    look();
    while (unread < due && wait_readable(fds, count, WAIT_MS))
        look();
    if (unread == 0)
        return false;
    stage_pass_ms(ATTEMPT_MS);
    for (size_t i = 1; i < count; i++)
        answer(fds[i], &inboxes[i]);
    unread = 0;
    return true;
}
