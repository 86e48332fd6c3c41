/* store_read.c - what the API reads: one event, the replicas. */
#include "core/store_read.h"

enum status store_event_batch(struct store *store, const char *batch, store_reply_fn *fn, void *arg)
{
    struct store_key text[2];
    struct slice args[] = {SLICE("MGET"), store_key(store, &text[0], "batch", batch),
                           store_key(store, &text[1], "outcome", batch)};
    return store_query(store, args, 3, fn, arg);
}

enum status store_batch_ttl(struct store *store, const char *batch, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("PTTL"), store_key(store, &key, "batch", batch)};
    return store_query(store, args, 2, fn, arg);
}

enum status store_uid_read(struct store *store, struct slice member, store_reply_fn *fn, void *arg)
{
    struct store_key key;
    struct slice args[] = {SLICE("HGET"), store_key(store, &key, "uid", "ids"), member};
    return store_query(store, args, 3, fn, arg);
}

enum status store_replicas_read(struct store *store, store_reply_fn *fn, void *arg)
{
    struct store_key text[3];
    struct slice keys[] = {store_key(store, &text[0], "replicas", NULL),
                           store_key(store, &text[1], "replicas", "info"),
                           store_key(store, &text[2], "lanes", NULL)};
    return store_query_script(store, store_script(store, "replicas"), keys, 3, NULL, 0, fn, arg);
}
