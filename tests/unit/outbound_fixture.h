/* outbound_fixture.h - for tests: an outbound and a target on one loop, and what done() was told.
 *
 * Include it after cmocka.h. All in the header, because every test is one file.
 */
#ifndef TROTLINE_TESTS_OUTBOUND_FIXTURE_H
#define TROTLINE_TESTS_OUTBOUND_FIXTURE_H

#include <dirent.h>
#include <stdio.h>

#include "base/limits.h"
#include "http_peer.h"
#include "net/netguard.h"
#include "net/outbound.h"

static enum outbound_choice route; /* that the tests run on */

struct world {
    struct reactor *reactor;
    struct outbound *outbound;
    struct peer peer;
    struct netguard guard;
    size_t pending; /* answers the test waits for */
    int fds_before;
};

/* What done() was told, copied. */
struct answer {
    struct world *world;
    int calls;
    struct outbound_result result;
    char head[LIMIT_ATTEMPT_BODY_BYTES];
    char detail[300];
};

static inline int count_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static const struct outbound_options default_options = {
    .in_flight_max = 16,
    .idle_connections_max = 16,
    .user_agent = "Trotline/test",
};

static inline void world_init(struct world *world, const struct outbound_options *options)
{
    struct outbound_options mine = *options;
    *world = (struct world){.fds_before = count_fds()};
    mine.route = route;
    world->guard.allow_private = true;
    if (!mine.guard)
        mine.guard = &world->guard;
    world->reactor = reactor_new();
    assert_non_null(world->reactor);
    world->outbound = outbound_new(world->reactor, &mine);
    assert_non_null(world->outbound);
    peer_start(&world->peer, world->reactor);
}

/* Every descriptor must be gone. */
static inline void world_end(struct world *world)
{
    outbound_free(world->outbound);
    peer_stop(&world->peer);
    reactor_free(world->reactor);
    assert_int_equal(count_fds(), world->fds_before);
}

static inline void on_done(void *arg, const struct outbound_result *result)
{
    struct answer *answer = arg;
    answer->calls++;
    answer->result = *result;
    memcpy(answer->head, result->body_head.ptr, result->body_head.len);
    answer->result.body_head.ptr = answer->head;
    snprintf(answer->detail, sizeof(answer->detail), "%s", result->detail);
    answer->result.detail = answer->detail;
    if (--answer->world->pending == 0)
        reactor_stop(answer->world->reactor);
}

static inline struct outbound_call call_of(const char *url)
{
    static const char *const lines[] = {"Content-Type: application/json"};
    return (struct outbound_call){
        .url = url,
        .header_lines = lines,
        .header_count = 1,
        .body = SLICE("{}"),
        .connect_timeout_ms = 5000,
        .total_timeout_ms = 20000,
        .response_bytes_max = 64 * 1024,
        .insecure_http_allowed = true,
    };
}

/* A URL of the world's peer; static memory. */
static inline const char *peer_url(const struct world *world)
{
    static char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/hook", world->peer.port);
    return url;
}

static inline struct outbound_request *
send_it(struct world *world, const struct outbound_call *call, struct answer *answer)
{
    struct outbound_request *request = NULL;
    *answer = (struct answer){.world = world};
    assert_int_equal(outbound_send(world->outbound, call, on_done, answer, &request), ST_OK);
    assert_non_null(request);
    assert_int_equal(answer->calls, 0); /* never before it returns */
    world->pending++;
    return request;
}

static inline void wait_for_answers(struct world *world)
{
    assert_int_equal(reactor_run(world->reactor), ST_OK);
    assert_int_equal(world->pending, 0);
}

/* One request to the peer, which answers with one reply. */
static inline void exchange(struct world *world, const char *text, enum peer_then then,
                            const struct outbound_call *call, struct answer *answer)
{
    struct peer_reply reply = {.text = text, .then = then};
    peer_script(&world->peer, &reply, 1);
    send_it(world, call, answer);
    wait_for_answers(world);
    assert_int_equal(answer->calls, 1);
}

enum { ANY_STATUS = -1 }; /* libcurl gives up inside the header, we at its end */

static inline void assert_error(const struct answer *answer, enum outbound_error error,
                                int status_code)
{
    if (answer->result.error != error ||
        (status_code != ANY_STATUS && answer->result.status_code != status_code))
        fail_msg("got '%s' %d (%s), expected '%s' %d", outbound_error_name(answer->result.error),
                 answer->result.status_code, answer->detail, outbound_error_name(error),
                 status_code);
    assert_true(error == OUTBOUND_OK ? answer->detail[0] == '\0' : answer->detail[0] != '\0');
}

#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

#endif
