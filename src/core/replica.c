/* replica.c - this process among others that share the Redis: its lease.
 *
 * Every heartbeat renews the lease and names dead incarnations that left a journal, which are
 * adopted (adoption.h), one after another.
 */
#include "core/replica.h"

#include <stdlib.h>

#include "core/adoption.h"
#include "core/endpoint_store.h"
#include "core/store_batch.h"
#include "net/redis_script.h"

struct replica {
    struct core *core;
    struct reactor_timer *heartbeat;
    bool beating;    /* a heartbeat is on its way */
    bool first_beat; /* the next one is the first */
    size_t turn;     /* which of the dead is looked at */
    void (*left)(void *arg);
    void *left_arg;
};

/* ---- Heartbeat ------------------------------------------------------------------------------ */

static void on_beat(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    struct core *core = replica->core;
    replica->beating = false;
    if (status != ST_OK)
        return;
    replica->first_beat = false;
    store_saw_time(core->store, reply_integer(reply, 0));
    endpoint_store_saw_version(core->endpoints, (uint64_t)reply_integer(reply, 1));
    /* Another one each time, so that one that cannot be buried does not keep the others waiting. */
    size_t count = redis_value_count(reply);
    struct slice dead =
        count > 2 ? reply_text(reply, 2 + replica->turn++ % (count - 2)) : SLICE_NULL;
    adoption_begin(core->adoption, dead);
}

static void beat(struct replica *replica)
{
    struct core *core = replica->core;
    struct store *store = core->store;
    if (replica->beating || !store_ready(store))
        return;
    struct store_key text[3];
    struct slice keys[] = {store_key(store, &text[0], "replicas", NULL),
                           store_key(store, &text[1], "journals", NULL),
                           store_key(store, &text[2], "config", NULL)};
    struct store_number lease;
    bool sole = core->options.sole_owner && replica->first_beat;
    struct slice args[] = {slice_str(store_incarnation(store)),
                           store_u64(&lease, core->options.lease_ms),
                           sole ? SLICE("others") : SLICE("")};
    replica->beating = store_query_script(store, store_script(store, "heartbeat"), keys, 3, args, 3,
                                          on_beat, replica) == ST_OK;
}

static void on_heartbeat(void *arg)
{
    struct replica *replica = arg;
    reactor_timer_set(replica->heartbeat, replica->core->options.heartbeat_ms);
    beat(replica);
}

void replica_store_ready(struct replica *replica)
{
    reactor_timer_set(replica->heartbeat, replica->core->options.heartbeat_ms);
    beat(replica);
}

/* ---- Start and stop ------------------------------------------------------------------------- */

static void on_left(void *arg, enum status status, const struct redis_value *reply)
{
    struct replica *replica = arg;
    (void)status;
    (void)reply;
    replica->left(replica->left_arg);
}

void replica_leave(struct replica *replica, void (*done)(void *arg), void *arg)
{
    replica->left = done;
    replica->left_arg = arg;
    reactor_timer_cancel(replica->heartbeat);
    if (store_bury(replica->core->store, store_incarnation(replica->core->store), true, on_left,
                   replica) != ST_OK)
        done(arg);
}

struct replica *replica_new(struct core *core)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    if (!replica)
        return NULL;
    replica->core = core;
    replica->first_beat = true;
    replica->heartbeat = reactor_timer_new(core->reactor, on_heartbeat, replica);
    if (!replica->heartbeat) {
        replica_free(replica);
        return NULL;
    }
    return replica;
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    reactor_timer_free(replica->heartbeat);
    free(replica);
}
