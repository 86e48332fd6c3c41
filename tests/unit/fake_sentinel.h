/* fake_sentinel.h - for tests: a Sentinel in the test's own loop that says what it is told to.
 * Included after cmocka.h and redis_fixture.h. */
#ifndef TROTLINE_TESTS_FAKE_SENTINEL_H
#define TROTLINE_TESTS_FAKE_SENTINEL_H

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "redis_fixture.h"

struct fake_sentinel {
    int listener, peer;
    uint16_t port;
    struct event *accepting, *reading;
    const char *reply; /* NULL: says nothing; "": hangs up */
    char seen[512];    /* by the last one who asked */
    size_t seen_len;
    int asked; /* connections */
};

static inline void fake_hang_up(struct fake_sentinel *fake)
{
    if (fake->reading)
        event_free(fake->reading);
    fake->reading = NULL;
    if (fake->peer >= 0)
        close(fake->peer);
    fake->peer = -1;
}

/* It answers when it has seen the question, which ends with the master's name. */
static inline void fake_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct fake_sentinel *fake = arg;
    (void)what;
    size_t room = sizeof(fake->seen) - 1 - fake->seen_len;
    ssize_t len = recv((int)fd, fake->seen + fake->seen_len, room, 0);
    if (len <= 0) {
        fake_hang_up(fake);
        return;
    }
    fake->seen_len += (size_t)len;
    fake->seen[fake->seen_len] = '\0';
    if (!fake->reply || !strstr(fake->seen, "mymaster\r\n"))
        return;
    size_t size = strlen(fake->reply);
    if (size > 0)
        assert_int_equal(send((int)fd, fake->reply, size, MSG_NOSIGNAL), size);
    else
        fake_hang_up(fake);
}

static inline void fake_on_connection(evutil_socket_t fd, short what, void *arg)
{
    struct fake_sentinel *fake = arg;
    (void)what;
    fake_hang_up(fake);
    fake->peer = accept4((int)fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fake->peer >= 0);
    fake->asked++;
    fake->seen_len = 0;
    fake->reading = event_new(event_get_base(fake->accepting), fake->peer, EV_READ | EV_PERSIST,
                              fake_on_readable, fake);
    assert_non_null(fake->reading);
    assert_int_equal(event_add(fake->reading, NULL), 0);
}

static inline void fake_start(struct fake_sentinel *fake, struct reactor *reactor)
{
    *fake = (struct fake_sentinel){.peer = -1};
    fake->listener = listen_on_loopback(&fake->port);
    fake->accepting = event_new(reactor_base(reactor), fake->listener, EV_READ | EV_PERSIST,
                                fake_on_connection, fake);
    assert_non_null(fake->accepting);
    assert_int_equal(event_add(fake->accepting, NULL), 0);
}

static inline void fake_end(struct fake_sentinel *fake)
{
    fake_hang_up(fake);
    event_free(fake->accepting);
    close(fake->listener);
}

#endif
