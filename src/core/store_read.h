/* store_read.h - what the API reads: one event, the replicas. */
#ifndef TROTLINE_CORE_STORE_READ_H
#define TROTLINE_CORE_STORE_READ_H

#include "core/store.h"

/* [blob or nil, outcomes or nil] of the batch. */
MUST_CHECK enum status store_event_batch(struct store *store, const char *batch, store_reply_fn *fn,
                                         void *arg);

/* The batch's time to live in ms; -1: it is open; -2: it is gone. An integer reply. */
MUST_CHECK enum status store_batch_ttl(struct store *store, const char *batch, store_reply_fn *fn,
                                       void *arg);

/* The answer kept for a uid (key_claims.h), or nil. `member` is its fixed-size hash. */
MUST_CHECK enum status store_uid_read(struct store *store, struct slice member, store_reply_fn *fn,
                                      void *arg);

/* replicas.lua's reply: who is there, and how many lanes each has. */
MUST_CHECK enum status store_replicas_read(struct store *store, store_reply_fn *fn, void *arg);

#endif
