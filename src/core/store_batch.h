/* store_batch.h - batches in Redis: publish, progress, close, trim, adopt. */
#ifndef TROTLINE_CORE_STORE_BATCH_H
#define TROTLINE_CORE_STORE_BATCH_H

#include "core/batch.h"
#include "core/key_claims.h"
#include "core/store.h"
#include "core/store_confirm.h"

/* A part of the batch that has ordinals, and whose it is to be; it may fall to me (publish.lua). */
struct store_part {
    uint32_t number;
    const char *owner; /* incarnation */
};

struct store_publish_options {
    uint64_t config_version; /* that its events were matched by; UINT64_MAX: it is not looked at */
    uint64_t journal_batches_max;
    uint64_t idempotency_keys_max, idempotency_ttl_ms;
    uint64_t uids_max, uid_ttl_ms;
    uint64_t dedup_keys_max;
    struct store_confirm_options confirm;
};

/* `claims`: of its events with keys, in their order. Sends the blob (SET … NX EX) and the script in
 * one write, on the batches' connection; `script_only` after a lost reply. No parts: the batch is
 * one whole and mine. fn gets the script's reply once, or ST_LOST, or ST_TIMEOUT and the reply when
 * too few replicas confirmed it; ST_AGAIN/ST_LIMIT are returned when the script was not sent.
 * blob_fn gets the SET's, before. */
MUST_CHECK enum status store_publish(struct store *store, const struct batch *batch,
                                     uint64_t sequence, const struct store_part *parts,
                                     size_t part_count, const struct key_claims *claims,
                                     const struct store_publish_options *options, bool script_only,
                                     store_reply_fn *blob_fn, void *blob_arg, store_reply_fn *fn,
                                     void *arg);

/* Marks ordinals as finished. Reply: progress.lua's. */
MUST_CHECK enum status store_progress(struct store *store, const struct batch *batch,
                                      const uint32_t *ordinals, size_t count, store_reply_fn *fn,
                                      void *arg);

/* Closes batches, or the parts of them that are held here, with the outcomes of their finished
 * slots; of one whose deliveries were all moved nothing is kept but the events' own hashes. Reply:
 * close.lua's. */
MUST_CHECK enum status store_close(struct store *store, struct batch *const *batches, size_t count,
                                   uint64_t history_ttl_ms, store_reply_fn *fn, void *arg);

/* Takes a part of a batch that cannot be read out of my journal; the blob, if there is one, is kept
 * as long as history, for people to look at. */
MUST_CHECK enum status store_close_unread(struct store *store, const char *member,
                                          size_t blob_bytes, uint64_t history_ttl_ms);

/* The oldest of what is kept as history, closed batches and events without one, with their expiry:
 * ZRANGE … WITHSCORES. */
MUST_CHECK enum status store_closed_oldest(struct store *store, size_t most, store_reply_fn *fn,
                                           void *arg);
/* Drops some of it; members as store_closed_oldest gave them, or none, to learn the bytes. Reply:
 * trim.lua's. */
MUST_CHECK enum status store_trim(struct store *store, const struct slice *members, size_t count,
                                  store_reply_fn *fn, void *arg);

/* Members of an incarnation's journal from that rank on: ZRANGE. */
MUST_CHECK enum status store_journal_list(struct store *store, const char *incarnation, size_t from,
                                          size_t most, store_reply_fn *fn, void *arg);
/* Takes a member of it into my journal. Reply: adopt.lua's. */
MUST_CHECK enum status store_adopt(struct store *store, const char *incarnation, const char *member,
                                   store_reply_fn *fn, void *arg);
/* Forgets an incarnation whose lease has ended and whose journal is empty; `leave`: it is I who
 * stop. Reply: bury.lua's. */
MUST_CHECK enum status store_bury(struct store *store, const char *incarnation, bool leave,
                                  store_reply_fn *fn, void *arg);
/* A batch with what is known to be done of all its parts: [blob or nil, progress bitmap or nil]. */
MUST_CHECK enum status store_batch_read(struct store *store, const char *batch, store_reply_fn *fn,
                                        void *arg);
/* Is it a member of my journal? ZSCORE. */
MUST_CHECK enum status store_journal_has(struct store *store, const char *member,
                                         store_reply_fn *fn, void *arg);

#endif
