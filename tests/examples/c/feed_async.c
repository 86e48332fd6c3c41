/* feed_async.c - feeds events to Trotline through an asynchronous hiredis context, here with
 * libevent; any loop that hiredis has an adapter for will do.
 *
 *     cc feed_async.c $(pkg-config --cflags --libs trotline hiredis libevent) -o feed_async
 *     ./feed_async /path/to/redis.sock
 */
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <trotline/feed_hiredis.h>
#include <trotline/trotline.h>

enum { EVENTS = 10 };

struct feeding {
    redisAsyncContext *redis;
    int waiting, failed;
};

static void on_answer(redisAsyncContext *redis, void *reply, void *arg)
{
    struct feeding *feeding = (struct feeding *)arg;
    struct trotline_feed_result result;
    (void)redis;
    if (trotline_feed_answer((const redisReply *)reply, &result) == TROTLINE_OK) {
        printf("fed: %s\n", result.id);
    } else {
        fprintf(stderr, "feed_async: %s\n", result.error);
        feeding->failed++;
    }
    if (--feeding->waiting == 0)
        redisAsyncDisconnect(feeding->redis);
}

int main(int argc, char **argv)
{
    struct feeding feeding = {NULL, 0, 0};
    if (argc != 2) {
        fprintf(stderr, "usage: feed_async SOCKET\n");
        return 2;
    }
    struct event_base *base = event_base_new();
    struct trotline_event *event = trotline_event_new();
    feeding.redis = redisAsyncConnectUnix(argv[1]);
    if (!base || !event || !feeding.redis || feeding.redis->err ||
        redisLibeventAttach(feeding.redis, base) != REDIS_OK) {
        fprintf(stderr, "feed_async: cannot begin\n");
        return 1;
    }
    trotline_event_set_type(event, "door.opened");
    trotline_event_set_data(event, trotline_slice_str("{\"door\":3}"));
    for (int i = 0; i < EVENTS; i++) {
        struct trotline_feed_entry entry = {.key = NULL};
        if (trotline_event_write(event, TROTLINE_FORMAT_JSON, 0, &entry.event, NULL) !=
                TROTLINE_OK ||
            trotline_feed_async(feeding.redis, &entry, on_answer, &feeding) != TROTLINE_OK)
            return 1;
        feeding.waiting++;
    }
    event_base_dispatch(base); /* until the connection is closed */
    trotline_event_free(event);
    event_base_free(base);
    return feeding.waiting == 0 && feeding.failed == 0 ? 0 : 1;
}
