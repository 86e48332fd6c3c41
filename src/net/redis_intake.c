/* redis_intake.c - what a server has sent, until it is taken apart. */
#include "net/redis_intake.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { CLOSED = -1 };

void redis_intake_init(struct redis_intake *intake, size_t max)
{
    buf_init(&intake->bytes, max);
    intake->taken = 0;
    intake->error = 0;
}

void redis_intake_free(struct redis_intake *intake)
{
    buf_free(&intake->bytes);
    intake->taken = 0;
    intake->error = 0;
}

/* What is left moves to the front when little room is behind it: seldom, as that is little. */
static size_t make_room(struct redis_intake *intake)
{
    struct buf *bytes = &intake->bytes;
    if (redis_intake_empty(intake) || bytes->max - bytes->len < bytes->max / 4) {
        buf_drop_front(bytes, intake->taken);
        intake->taken = 0;
    }
    return bytes->max - bytes->len;
}

size_t redis_intake_read(struct redis_intake *intake, int fd)
{
    size_t room = make_room(intake);
    if (room == 0 || intake->error != 0)
        return 0;
    char *at = buf_reserve(&intake->bytes, room);
    ssize_t len = at ? recv(fd, at, room, 0) : -1;
    if (len > 0) {
        intake->bytes.len += (size_t)len;
        return (size_t)len;
    }
    if (!at)
        intake->error = ENOMEM;
    else if (len == 0)
        intake->error = CLOSED;
    else if (errno != EAGAIN && errno != EINTR)
        intake->error = errno;
    return 0;
}

struct slice redis_intake_take(struct redis_intake *intake, size_t most)
{
    size_t len = intake->bytes.len - intake->taken;
    if (len == 0)
        return SLICE("");
    if (len > most)
        len = most;
    struct slice next = {intake->bytes.ptr + intake->taken, len};
    intake->taken += len;
    return next;
}

bool redis_intake_empty(const struct redis_intake *intake)
{
    return intake->taken == intake->bytes.len;
}

const char *redis_intake_end(const struct redis_intake *intake)
{
    if (intake->error == 0 || !redis_intake_empty(intake))
        return NULL;
    return intake->error == CLOSED ? "closed by the server" : strerror(intake->error);
}
