/* replica.c - this process among others that share the Redis: its lease.
 *
 * Every heartbeat renews the lease and names dead incarnations that left a journal, which are
 * adopted (adoption.h), one after another.
 */
#include "core/replica.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "core/adoption.h"
#include "core/endpoint_store.h"
#include "core/store_batch.h"
#include "net/redis_script.h"

enum { INFO_BYTES_MAX = 4096 };

struct replica {
    struct core *core;
    struct reactor_timer *heartbeat;
    bool beating;    /* a heartbeat is on its way */
    bool first_beat; /* the next one is the first */
    bool draining;
    char *url;
    uint64_t started_at_ms; /* unix */
    size_t turn;            /* which of the dead is looked at */
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

/* What is told of this process: JSON. */
static void write_info(const struct replica *replica, struct buf *info)
{
    char host[256] = "";
    struct json_out out;
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    json_out_begin(&out, info);
    json_object_open(&out);
    json_member_str(&out, "host", slice_str(host));
    json_member_u64(&out, "pid", (uint64_t)getpid());
    json_member_str(&out, "url", slice_str(replica->url ? replica->url : ""));
    json_member_time_ms(&out, "startedAt", replica->started_at_ms);
    json_member_str(&out, "version", SLICE(TROTLINE_VERSION));
    json_member_bool(&out, "draining", replica->draining);
    json_object_close(&out);
}

static void beat(struct replica *replica)
{
    struct core *core = replica->core;
    struct store *store = core->store;
    if (replica->beating || !store_ready(store))
        return;
    struct store_key text[4];
    struct buf info;
    struct slice keys[] = {
        store_key(store, &text[0], "replicas", NULL), store_key(store, &text[1], "journals", NULL),
        store_key(store, &text[2], "config", NULL), store_key(store, &text[3], "replicas", "info")};
    struct store_number lease;
    buf_init(&info, INFO_BYTES_MAX);
    write_info(replica, &info);
    bool others_dead = core->options.others_dead && replica->first_beat;
    struct slice args[] = {slice_str(store_incarnation(store)),
                           store_u64(&lease, core->options.lease_ms),
                           others_dead ? SLICE("others") : SLICE(""),
                           buf_status(&info) == ST_OK ? buf_slice(&info) : SLICE("{}")};
    replica->beating = store_query_script(store, store_script(store, "heartbeat"), keys, 4, args, 4,
                                          on_beat, replica) == ST_OK;
    buf_free(&info);
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

void replica_set_url(struct replica *replica, const char *url)
{
    free(replica->url);
    replica->url = strdup(url); /* without memory for it none is told */
}

bool replica_joined(const struct replica *replica)
{
    return !replica->first_beat;
}

void replica_drain(struct replica *replica)
{
    replica->draining = true;
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
    replica->started_at_ms = clock_wall_ms();
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
    free(replica->url);
    free(replica);
}
