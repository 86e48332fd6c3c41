/* channel.c - notices between replicas.
 *
 *      PUBLISH <-- channel_send(), scripts                    (the store's work connection)
 *         |
 *      redis_sub --> first byte --> handlers[kind]            (a connection of its own)
 *         +--------> subscribed --> every ready function
 *
 * A third connection, because one that subscribes can do nothing else. It has no part in whether
 * the server is ready: without it everything goes on, a heartbeat later.
 *
 * After a failover the subscription may still be with the old server, which goes on answering pings
 * and hears nothing any more. So it is made anew whenever the store has been lost and found again:
 * the store's own connections have seen to it that theirs is the right one.
 */
#include "core/channel.h"

#include <assert.h>
#include <stdlib.h>

#include "net/redis_sub.h"

enum { KINDS = 'z' - 'a' + 1, LISTENERS_MAX = 8 };

struct handler {
    channel_fn *fn;
    void *arg;
};

struct listener {
    channel_ready_fn *fn;
    void *arg;
};

struct channel {
    struct core *core;
    struct redis_sub *sub;
    bool renew;     /* the store was lost since it was last ready */
    bool forbidden; /* to send; until something may have changed that */
    struct handler handlers[KINDS];
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
};

static struct slice channel_name(const struct store *store, struct store_key *key,
                                 const char *incarnation)
{
    return store_key(store, key, incarnation ? "to" : "all", incarnation);
}

/* ---- Hearing -------------------------------------------------------------------------------- */

static void on_message(void *arg, struct slice name, struct slice text)
{
    struct channel *channel = arg;
    (void)name;
    if (text.len == 0 || text.ptr[0] < 'a' || text.ptr[0] > 'z')
        return;
    const struct handler *handler = &channel->handlers[text.ptr[0] - 'a'];
    if (handler->fn)
        handler->fn(handler->arg, slice_of(text.ptr + 1, text.len - 1));
}

static void on_state(void *arg, bool subscribed)
{
    struct channel *channel = arg;
    channel->forbidden = false;
    for (size_t i = 0; subscribed && i < channel->listener_count; i++)
        channel->listeners[i].fn(channel->listeners[i].arg);
}

void channel_handle(struct channel *channel, char kind, channel_fn *fn, void *arg)
{
    assert(kind >= 'a' && kind <= 'z' && !channel->handlers[kind - 'a'].fn);
    channel->handlers[kind - 'a'] = (struct handler){fn, arg};
}

void channel_on_ready(struct channel *channel, channel_ready_fn *fn, void *arg)
{
    assert(channel->listener_count < LISTENERS_MAX);
    channel->listeners[channel->listener_count++] = (struct listener){fn, arg};
}

/* ---- Telling -------------------------------------------------------------------------------- */

/* It is a hint, so its loss is nobody's concern. But where the right to it is missing each one
 * would be an error in the log, a thousand times a second. */
static void on_published(void *arg, enum status status, const struct redis_value *reply)
{
    struct channel *channel = arg;
    if (status == ST_REFUSED && redis_value_is_error(reply, "NOPERM"))
        channel->forbidden = true;
}

void channel_send(struct channel *channel, const char *incarnation, const char *text)
{
    struct store *store = channel->core->store;
    struct store_key key;
    struct slice words[] = {SLICE("PUBLISH"), channel_name(store, &key, incarnation),
                            slice_str(text)};
    if (!channel->forbidden && store_ready(store) &&
        store_query(store, words, 3, on_published, channel) != ST_OK)
        return; /* a hint, again */
}

/* ---- Start and stop ------------------------------------------------------------------------- */

void channel_store_lost(struct channel *channel)
{
    channel->renew = true;
}

void channel_store_ready(struct channel *channel)
{
    if (channel->renew)
        redis_sub_renew(channel->sub);
    channel->renew = channel->forbidden = false;
}

struct channel *channel_new(struct core *core)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    if (!channel)
        return NULL;
    channel->core = core;
    struct store_key to, all;
    struct slice names[] = {
        channel_name(core->store, &to, store_incarnation(core->store)),
        channel_name(core->store, &all, NULL),
    };
    struct redis_options options = *store_redis_options(core->store);
    options.client_name = "trotline-notices";
    channel->sub = redis_sub_new(core->reactor, &options, names, 2, on_message, on_state, channel);
    if (!channel->sub) {
        free(channel);
        return NULL;
    }
    return channel;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    redis_sub_free(channel->sub);
    free(channel);
}
