/* store_batch.h - batches in Redis: progress, close, trim, adopt. */
#ifndef TROTLINE_CORE_STORE_BATCH_H
#define TROTLINE_CORE_STORE_BATCH_H

#include "core/batch.h"
#include "core/store.h"

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
