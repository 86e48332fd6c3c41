/* redis_settings.c - see redis_settings.h.
 *
 * A Redis of somebody else's is only asked, but for one setting: it costs memory, not data, and can
 * be declined (redisOptions.packHashes). A Redis that does not let itself be asked is taken as it
 * is.
 */
#include "app/redis_settings.h"

#include <stdio.h>

#include "base/log.h"

#define PACKED_BYTES "4096" /* as net/redis_server.c has it */

/* CONFIG GET's reply: names and values in turn. */
static struct slice setting(const struct redis_value *reply, const char *name)
{
    for (size_t i = 0; reply && i + 1 < redis_value_count(reply); i += 2)
        if (slice_eq(reply_text(reply, i), slice_str(name)))
            return reply_text(reply, i + 1);
    return SLICE_NULL;
}

static void on_packed(void *arg, enum status status, const struct redis_value *reply)
{
    (void)arg;
    (void)reply;
    if (status == ST_REFUSED)
        log_warn("redis.hashes_not_packed", "reason=\"CONFIG SET is not allowed\"");
    else if (status == ST_OK)
        log_info("redis.hashes_packed", "hash-max-listpack-value=" PACKED_BYTES);
}

/* A hash with a longer value than this setting allows is kept as a table, which makes a waiting
 * event of 1 KiB a fifth larger. The embedded Redis has it from its start. */
static void pack_hashes(struct redis_settings *settings, struct slice most)
{
    struct slice args[] = {SLICE("CONFIG"), SLICE("SET"), SLICE("hash-max-listpack-value"),
                           SLICE(PACKED_BYTES)};
    if (!settings->pack_hashes || most.len == 0 || reply_score(most) >= reply_score(args[3]))
        return;
    if (store_query(settings->store, args, 4, on_packed, NULL) != ST_OK)
        log_warn("redis.hashes_not_packed", "reason=nomem");
}

static void on_policy(void *arg, enum status status, const struct redis_value *reply)
{
    struct redis_settings *settings = arg;
    settings->not_ready[0] = '\0';
    if (status == ST_LOST || status == ST_STOPPED || status == ST_AGAIN)
        return;
    if (status != ST_OK || redis_value_type(reply) != REDIS_ARRAY) {
        log_warn("redis.policy_unknown",
                 "reason=\"CONFIG GET is not allowed; maxmemory-policy must be noeviction\"");
        return;
    }
    struct slice policy = setting(reply, "maxmemory-policy");
    struct slice aof = setting(reply, "appendonly"), fsync = setting(reply, "appendfsync");
    if (policy.ptr && !slice_eq(policy, SLICE("noeviction"))) {
        snprintf(settings->not_ready, sizeof(settings->not_ready),
                 "Redis may evict keys: set its maxmemory-policy to noeviction.");
        log_error("redis.may_evict", "policy=%.*s", SLICE_ARGS(policy));
    }
    if (slice_eq(aof, SLICE("no")) || slice_eq(fsync, SLICE("no")))
        log_warn("redis.weak_durability", "appendonly=%.*s appendfsync=%.*s", SLICE_ARGS(aof),
                 SLICE_ARGS(fsync));
    pack_hashes(settings, setting(reply, "hash-max-listpack-value"));
}

void redis_settings_ask(struct redis_settings *settings)
{
    struct slice args[] = {SLICE("CONFIG"),           SLICE("GET"),
                           SLICE("maxmemory-policy"), SLICE("appendonly"),
                           SLICE("appendfsync"),      SLICE("hash-max-listpack-value")};
    if (store_query(settings->store, args, 6, on_policy, settings) != ST_OK)
        log_warn("redis.policy_unknown", "reason=nomem");
}
