/* redis_sub.c - subscribes whenever its connection is made, and counts what Redis confirms.
 *
 *      connection ready --SUBSCRIBE, one a channel--> confirmed: all of them --> subscribed
 *             ^                    |                                                |
 *             |                    +-- refused --> a pause, all of them again       |
 *             +------------------------------- lost <-------------------------------+
 *
 * One command for each channel, because Redis answers SUBSCRIBE once for each channel, and a
 * connection gives one reply to each command. Commands of an earlier connection have been called
 * back before the next one is ready, so a plain count is enough.
 *
 * A refusal (no right to the channel) is repeated for as long as it lasts: whoever mends the rights
 * need not restart anything. It is logged the first time, and about once a minute.
 */
#include "net/redis_sub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { AGAIN_MS = 1000, PING_MS = 2000, REMIND_ROUNDS = 60 /* of refusals: about a minute */ };

struct redis_sub {
    struct reactor *reactor;
    redis_message_fn *message_fn;
    redis_sub_state_fn *state_fn;
    void *arg;
    struct redis_conn *conn;
    struct reactor_timer *again; /* after a refusal */
    struct reap death;
    size_t count;
    size_t asked, confirmed; /* of the present connection, since it last subscribed */
    unsigned refused_rounds; /* since it was last subscribed */
    bool subscribed;
    bool dead;
    struct slice channels[REDIS_SUB_CHANNELS_MAX];
    char text[]; /* of the channels */
};

static void on_subscribed(void *arg, enum status status, const struct redis_value *reply)
{
    struct redis_sub *sub = arg;
    if (status != ST_OK)
        return; /* the connection's end tells */
    sub->asked--;
    if (redis_value_type(reply) != REDIS_ERROR)
        sub->confirmed++;
    else if (sub->refused_rounds % REMIND_ROUNDS == 0)
        log_error("redis.not_subscribed", "channels=%.*s,... error=%s",
                  SLICE_ARGS(sub->channels[0]), log_quote(redis_value_text(reply)));
    if (sub->asked > 0)
        return;
    if (sub->confirmed < sub->count) {
        sub->refused_rounds++;
        reactor_timer_set(sub->again, AGAIN_MS);
    } else {
        sub->refused_rounds = 0;
        sub->subscribed = true;
        sub->state_fn(sub->arg, true);
    }
}

static void subscribe(struct redis_sub *sub)
{
    sub->asked = sub->confirmed = 0;
    for (size_t i = 0; i < sub->count; i++) {
        const struct slice words[] = {SLICE("SUBSCRIBE"), sub->channels[i]};
        if (redis_command(sub->conn, words, 2, on_subscribed, sub) == ST_OK)
            sub->asked++;
    }
    if (sub->asked < sub->count)
        reactor_timer_set(sub->again, AGAIN_MS);
}

static void on_again(void *arg)
{
    struct redis_sub *sub = arg;
    if (redis_conn_ready(sub->conn) && sub->asked == 0)
        subscribe(sub);
}

static void on_state(void *arg, bool ready)
{
    struct redis_sub *sub = arg;
    if (ready) {
        subscribe(sub);
        return;
    }
    reactor_timer_cancel(sub->again);
    bool was = sub->subscribed;
    sub->subscribed = false;
    if (was)
        sub->state_fn(sub->arg, false);
}

static void on_message(void *arg, struct slice channel, struct slice text)
{
    struct redis_sub *sub = arg;
    sub->message_fn(sub->arg, channel, text);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void copy_channels(struct redis_sub *sub, const struct slice *channels)
{
    char *place = sub->text;
    for (size_t i = 0; i < sub->count; i++) {
        memcpy(place, channels[i].ptr, channels[i].len);
        sub->channels[i] = slice_of(place, channels[i].len);
        place += channels[i].len;
    }
}

struct redis_sub *redis_sub_new(struct reactor *reactor, const struct redis_options *options,
                                const struct slice *channels, size_t count,
                                redis_message_fn *message_fn, redis_sub_state_fn *state_fn,
                                void *arg)
{
    assert(count > 0 && count <= REDIS_SUB_CHANNELS_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += channels[i].len;
    struct redis_sub *sub = calloc(1, sizeof(*sub) + bytes);
    if (!sub)
        return NULL;
    *sub = (struct redis_sub){.reactor = reactor,
                              .message_fn = message_fn,
                              .state_fn = state_fn,
                              .arg = arg,
                              .count = count};
    copy_channels(sub, channels);
    /* Nothing is ever sent of which the silence of a dead peer would be noticed, but this. */
    struct redis_options mine = *options;
    if (!mine.idle_ping_ms)
        mine.idle_ping_ms = PING_MS;
    sub->again = reactor_timer_new(reactor, on_again, sub);
    sub->conn = redis_conn_new(reactor, &mine, on_state, sub);
    if (!sub->again || !sub->conn) {
        redis_sub_free(sub);
        return NULL;
    }
    redis_conn_set_messages(sub->conn, on_message, sub);
    return sub;
}

static void on_reap(struct reap *reap)
{
    free(CONTAINER_OF(reap, struct redis_sub, death));
}

/* The memory stays until the turn's end, as this may be called from any of its functions. */
void redis_sub_free(struct redis_sub *sub)
{
    if (!sub || sub->dead)
        return;
    sub->dead = true;
    redis_conn_free(sub->conn);
    reactor_timer_free(sub->again);
    reactor_reap(sub->reactor, &sub->death, on_reap);
}

bool redis_sub_subscribed(const struct redis_sub *sub)
{
    return sub->subscribed;
}

void redis_sub_renew(struct redis_sub *sub)
{
    redis_conn_renew(sub->conn);
}
