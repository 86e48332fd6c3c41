/* store_lanes.c - members and lanes in Redis.
 *
 * Each function lays out the keys and arguments of one script or command; what they mean, and why a
 * repeated call does no harm, is said at the top of the script.
 */
#include "core/store_lanes.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Heartbeat ------------------------------------------------------------------------------ */

enum status store_beat(struct store *store, const struct store_beat_args *beat, store_reply_fn *fn,
                       void *arg)
{
    struct store_key text[9];
    struct slice keys[] = {
        store_key(store, &text[0], "replicas", NULL),
        store_key(store, &text[1], "journals", NULL),
        store_key(store, &text[2], "config", NULL),
        store_key(store, &text[3], "lanes", NULL),
        store_key(store, &text[4], "membership", NULL),
        store_key(store, &text[5], "replicas", "info"),
        store_key(store, &text[6], "handover", NULL),
        store_key(store, &text[7], "journal", store_incarnation(store)),
    };
    struct store_number lease, version, lanes;
    struct slice args[] = {
        slice_str(store_incarnation(store)),
        store_u64(&lease, beat->lease_ms),
        beat->others_dead ? SLICE("others") : SLICE(""),
        store_u64(&version, beat->known_version),
        store_u64(&lanes, LANES),
        beat->info,
        store_key(store, &text[8], "all", NULL),
    };
    return store_query_script(store, store_script(store, "heartbeat"), keys, COUNT(keys), args,
                              COUNT(args), fn, arg);
}

static bool read_status(struct slice text, enum store_beat_status *status)
{
    static const char *const names[] = {"renewed", "joined", "lanes", "full"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (slice_eq(text, slice_str(names[i]))) {
            *status = (enum store_beat_status)i;
            return true;
        }
    return false;
}

/* The map, which begins there. */
static enum status read_map(const struct redis_value *reply, size_t first, struct store_beat *beat)
{
    int64_t count = reply_integer(reply, first);
    if (count < 0 || (size_t)count > COUNT(beat->owners))
        return ST_SYNTAX;
    beat->owner_count = (size_t)count;
    for (size_t i = 0; i < beat->owner_count; i++)
        beat->owners[i] = reply_text(reply, first + 1 + i);
    beat->map = reply_text(reply, first + 1 + beat->owner_count);
    return beat->map.len == LANES ? ST_OK : ST_SYNTAX;
}

enum status store_beat_read(const struct redis_value *reply, struct store_beat *beat)
{
    enum { DEAD_COUNT = 7, FIXED = 8 };
    *beat = (struct store_beat){.now_ms = reply_integer(reply, 1)};
    if (!read_status(reply_text(reply, 0), &beat->status) || beat->now_ms <= 0)
        return ST_SYNTAX;
    if (beat->status > BEAT_JOINED) {
        beat->lanes = (uint64_t)reply_integer(reply, 2);
        return ST_OK;
    }
    size_t count = redis_value_count(reply);
    int64_t dead = reply_integer(reply, DEAD_COUNT);
    if (count < FIXED || dead < 0 || (size_t)dead > count - FIXED)
        return ST_SYNTAX;
    beat->config_version = (uint64_t)reply_integer(reply, 2);
    beat->journal_batches = (uint64_t)reply_integer(reply, 3);
    beat->version = (uint64_t)reply_integer(reply, 4);
    beat->surplus = (uint64_t)reply_integer(reply, 5);
    beat->members = (uint64_t)reply_integer(reply, 6);
    beat->dead_first = FIXED;
    beat->dead_count = (size_t)dead;
    return count > FIXED + beat->dead_count ? read_map(reply, FIXED + beat->dead_count, beat)
                                            : ST_OK;
}

/* ---- Lanes ---------------------------------------------------------------------------------- */

enum status store_lanes_release(struct store *store, uint64_t version, const uint32_t *lanes,
                                const struct slice *states, size_t count, store_reply_fn *fn,
                                void *arg)
{
    enum { FIXED = 3 };
    struct store_key text[4];
    struct store_number known, numbers[STORE_LANES_MOST];
    struct slice keys[] = {store_key(store, &text[0], "lanes", NULL),
                           store_key(store, &text[1], "membership", NULL),
                           store_key(store, &text[2], "handover", NULL)};
    struct slice args[FIXED + 2 * STORE_LANES_MOST] = {slice_str(store_incarnation(store)),
                                                       store_u64(&known, version),
                                                       store_key(store, &text[3], "all", NULL)};
    if (count > STORE_LANES_MOST)
        return ST_LIMIT;
    for (size_t i = 0; i < count; i++) {
        args[FIXED + 2 * i] = store_u64(&numbers[i], lanes[i]);
        args[FIXED + 2 * i + 1] = states[i];
    }
    return store_call(store, store_script(store, "lanes_release"), keys, COUNT(keys), args,
                      FIXED + 2 * count, fn, arg);
}

enum status store_lanes_take(struct store *store, const uint32_t *lanes, size_t count,
                             store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct store_number numbers[LANES];
    struct slice keys[] = {store_key(store, &text[0], "lanes", NULL),
                           store_key(store, &text[1], "handover", NULL)};
    struct slice args[1 + LANES] = {slice_str(store_incarnation(store))};
    if (count > LANES)
        return ST_LIMIT;
    for (size_t i = 0; i < count; i++)
        args[1 + i] = store_u64(&numbers[i], lanes[i]);
    return store_call_kept(store, store_script(store, "lanes_take"), keys, COUNT(keys), args,
                           1 + count, fn, arg);
}

enum status store_deleted_scan(struct store *store, struct slice cursor, store_reply_fn *fn,
                               void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("SSCAN"), store_key(store, &key, "config", "deleted"), cursor,
                           SLICE("COUNT"), SLICE("512")};
    return store_query(store, args, COUNT(args), fn, arg);
}
