/* store_lanes.h - members and lanes in Redis: heartbeat, release, take, tell. */
#ifndef TROTLINE_CORE_STORE_LANES_H
#define TROTLINE_CORE_STORE_LANES_H

#include "core/lanes.h"
#include "core/store.h"

/* The reply of heartbeat.lua. Views are valid as long as the reply. */
struct store_beat {
    enum store_beat_status { BEAT_RENEWED, BEAT_JOINED, BEAT_OTHER_LANES, BEAT_FULL } status;
    int64_t now_ms;
    uint64_t lanes; /* BEAT_OTHER_LANES: how many the others count. The rest is of the first two */
    uint64_t config_version, journal_batches, version, surplus, members;
    size_t dead_count, dead_first; /* incarnations with a journal: reply_text(reply, first + i) */
    size_t owner_count;            /* of the map */
    struct slice owners[UINT8_MAX];
    struct slice map; /* a byte for each lane, as lanes_update() takes it; SLICE_NULL: as known */
};

struct store_beat_args {
    uint64_t lease_ms;
    bool others_dead;       /* whoever else has a lease is dead */
    uint64_t known_version; /* of the map; 0: none */
    struct slice info;      /* JSON, as GET /api/replicas tells it */
};

/* Sent once. */
MUST_CHECK enum status store_beat(struct store *store, const struct store_beat_args *args,
                                  store_reply_fn *fn, void *arg);
/* ST_SYNTAX: it is not such a reply. */
MUST_CHECK enum status store_beat_read(const struct redis_value *reply, struct store_beat *beat);

/* Gives up lanes, each with its state (may be empty): at most STORE_LANES_MOST. Reply:
 * lanes_release.lua's. */
enum { STORE_LANES_MOST = 64 };
MUST_CHECK enum status store_lanes_release(struct store *store, uint64_t version,
                                           const uint32_t *lanes, const struct slice *states,
                                           size_t count, store_reply_fn *fn, void *arg);

/* What the last owners of lanes have left, at most LANES. With replicas(n) the answer says as well
 * that those replicas know me for their owner, unless too few answered in time (takeover.c). Reply:
 * lanes_take.lua's. */
MUST_CHECK enum status store_lanes_take(struct store *store, const uint32_t *lanes, size_t count,
                                        store_reply_fn *fn, void *arg);

/* Ids of deleted endpoints that are not cleared yet: SSCAN from that cursor. */
MUST_CHECK enum status store_deleted_scan(struct store *store, struct slice cursor,
                                          store_reply_fn *fn, void *arg);

#endif
