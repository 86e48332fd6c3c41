/* feed_events.c - feeds events to Trotline through Redis: one, many at once, and one in a
 * transaction with something else.
 *
 *     cc feed_events.c $(pkg-config --cflags --libs trotline hiredis) -o feed_events
 *     ./feed_events /path/to/redis.sock     or     ./feed_events 127.0.0.1 6379
 */
#include <stdio.h>
#include <stdlib.h>
#include <trotline/feed_hiredis.h>
#include <trotline/trotline.h>

enum { MANY = 100 };

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "feed_events: %s: %s\n", what, why);
    exit(1);
}

/* The event's bytes are the event's, until it is changed. */
static struct trotline_slice order_paid(struct trotline_event *event, int order,
                                        enum trotline_format format)
{
    char uid[32], data[64];
    struct trotline_slice bytes;
    struct trotline_error error;
    snprintf(uid, sizeof(uid), "order-%d", order);
    snprintf(data, sizeof(data), "{\"order\":%d,\"total\":9.9}", order);
    trotline_event_clear(event);
    trotline_event_set_type(event, "order.paid");
    trotline_event_set_idempotency_key(event, uid);
    trotline_event_set_data(event, trotline_slice_str(data));
    if (trotline_event_write(event, format, 0, &bytes, &error) != TROTLINE_OK)
        fail(error.field, error.message);
    return bytes;
}

/* Waits for the answer: when it is there, Trotline has the event. */
static void feed_one(redisContext *redis, struct trotline_event *event)
{
    struct trotline_feed_entry entry = {.event = order_paid(event, 1, TROTLINE_FORMAT_JSON)};
    struct trotline_feed_result result;
    enum trotline_status status = trotline_feed(redis, &entry, &result);
    if (status != TROTLINE_OK)
        fail(trotline_status_text(status), result.error);
    printf("one: %s\n", result.id);
}

/* All in one round trip. */
static void feed_many(redisContext *redis, struct trotline_event *event)
{
    for (int i = 0; i < MANY; i++) {
        struct trotline_feed_entry entry = {
            .event = order_paid(event, 100 + i, TROTLINE_FORMAT_MSGPACK)};
        if (trotline_feed_append(redis, &entry) != TROTLINE_OK)
            fail("append", redis->errstr);
    }
    for (int i = 0; i < MANY; i++) {
        void *reply = NULL;
        struct trotline_feed_result result;
        redisGetReply(redis, &reply);
        if (trotline_feed_answer((redisReply *)reply, &result) != TROTLINE_OK)
            fail("answer", result.error);
        freeReplyObject(reply);
    }
    printf("many: %d\n", MANY);
}

static redisReply *command(redisContext *redis, const char *text)
{
    redisReply *reply = (redisReply *)redisCommand(redis, text);
    if (!reply)
        fail(text, redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        fail(text, reply->str);
    return reply;
}

/* The order is paid and the event is fed, or neither: no event without its order, and no order that
 * nobody hears of. */
static void feed_in_transaction(redisContext *redis, struct trotline_event *event)
{
    struct trotline_feed_entry entry = {.event = order_paid(event, 2, TROTLINE_FORMAT_JSON),
                                        .application = "default",
                                        .idempotency_key = "order-2"};
    struct trotline_feed_result result;
    freeReplyObject(command(redis, "MULTI"));
    freeReplyObject(command(redis, "HSET order:2 state paid"));
    if (trotline_feed(redis, &entry, &result) != TROTLINE_OK)
        fail("MULTI", result.error);
    redisReply *done = command(redis, "EXEC");
    if (done->type != REDIS_REPLY_ARRAY || done->elements != 2 ||
        trotline_feed_answer(done->element[1], &result) != TROTLINE_OK)
        fail("EXEC", result.error);
    printf("transaction: %s\n", result.id);
    freeReplyObject(done);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: feed_events SOCKET | HOST PORT\n");
        return 2;
    }
    redisContext *redis =
        argc == 2 ? redisConnectUnix(argv[1]) : redisConnect(argv[1], atoi(argv[2]));
    if (!redis || redis->err)
        fail("connect", redis ? redis->errstr : "out of memory");
    struct trotline_event *event = trotline_event_new();
    if (!event)
        fail("event", "out of memory");
    feed_one(redis, event);
    feed_many(redis, event);
    feed_in_transaction(redis, event);
    trotline_event_free(event);
    redisFree(redis);
    return 0;
}
