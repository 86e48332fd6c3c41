/* store_publish.h - a batch goes to Redis: its blob, and the call of publish.lua that makes it
 * count. */
#ifndef TROTLINE_CORE_STORE_PUBLISH_H
#define TROTLINE_CORE_STORE_PUBLISH_H

#include "core/batch.h"
#include "core/feed_claims.h"
#include "core/key_claims.h"
#include "core/ordered.h"
#include "core/store.h"
#include "core/store_confirm.h"

/* A part of the batch that has ordinals, and whose it is to be; it may fall to me (publish.lua). */
struct store_part {
    uint32_t number;
    const char *owner; /* incarnation */
};

struct store_publication {
    struct batch *batch;
    uint64_t sequence; /* its score in journals */
    const struct store_part *parts;
    size_t part_count;                  /* 0: the batch is one whole and mine */
    const struct key_claims *claims;    /* of its events with keys, in their order */
    const struct feed_claims *feeds;    /* of those that are entries of feeds, in their order */
    const struct ordered_list *ordered; /* its ordered deliveries */
};

struct store_publish_options {
    uint64_t config_version; /* that its events were matched by; UINT64_MAX: it is not looked at */
    uint64_t journal_batches_max;
    uint64_t idempotency_keys_max, idempotency_ttl_ms;
    uint64_t uids_max, uid_ttl_ms;
    uint64_t dedup_keys_max;
    struct store_confirm_options confirm;
};

/* Sends the blob (SET … NX EX) and the script in one write, on the batches' connection;
 * `script_only` after a lost reply. fn gets the script's reply once, or ST_LOST, or ST_TIMEOUT and
 * the reply when too few replicas confirmed it; ST_AGAIN/ST_LIMIT are returned when the script was
 * not sent. blob_fn gets the SET's, before. */
MUST_CHECK enum status store_publish(struct store *store, const struct store_publication *what,
                                     const struct store_publish_options *options, bool script_only,
                                     store_reply_fn *blob_fn, void *blob_arg, store_reply_fn *fn,
                                     void *arg);

#endif
