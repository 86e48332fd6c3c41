/* publish_waiter.c - who waits for the verdict on an event. */
#include "core/publish_waiter.h"

#include "base/clock.h"
#include "base/hash.h"
#include "core/key_claims.h"

_Static_assert(sizeof(((struct core_stats *)NULL)->events) / sizeof(uint64_t) > PUBLISH_TAKEN,
               "core_stats counts every verdict");

const char *publish_verdict_name(enum publish_verdict verdict)
{
    static const char *const names[] = {
        "accepted",         "duplicate",    "repeated",    "key_reused", "uid_taken",
        "idempotency_full", "journal_full", "unavailable", "store_full", "overloaded",
        "stopping",         "unknown",      "taken"};
    return names[verdict];
}

/* The same in every process and for ever: replicas compare it. SipHash takes eight bytes at a time,
 * a third of the time of hash_stable(); 48 of its bits are kept with a key. */
static uint64_t fingerprint(struct slice raw)
{
    return hash_keyed(raw, 0, 0) >> (64 - KEY_FINGERPRINT_BITS);
}

static enum status hash_keys(struct publish_waiter *waiter, const struct publish_item *item)
{
    struct slice application = item->record.application;
    enum status status = ST_OK;
    if (waiter->has_idempotency) {
        waiter->fingerprint = fingerprint(item->raw);
        status = publish_key(application, item->idempotency_key, waiter->idempotency);
    }
    if (status == ST_OK && waiter->has_uid)
        status = publish_key(application, item->record.uid, waiter->uid);
    if (status == ST_OK && waiter->has_dedup)
        status =
            publish_key_of_source(application, item->record.source, item->dedup.key, waiter->dedup);
    return status == ST_OK ? ST_OK : ST_NOMEM;
}

enum status publish_waiter_init(struct publish_waiter *waiter, const struct publish_item *item,
                                publish_fn *fn, void *arg)
{
    *waiter = (struct publish_waiter){.fn = fn,
                                      .arg = arg,
                                      .accepted_us = clock_mono_us(),
                                      .dedup_ttl_ms = item->dedup.ttl_ms,
                                      .has_idempotency = item->idempotency_key.ptr != NULL,
                                      .has_uid = item->record.uid.ptr != NULL,
                                      .has_dedup = item->dedup.key.ptr != NULL,
                                      .has_about = item->about != NULL,
                                      .forwards = item->dedup.policy == DEDUP_FORWARD};
    if (item->feed)
        waiter->feed = *item->feed;
    if (item->about)
        waiter->about = *item->about;
    return hash_keys(waiter, item);
}

void publish_waiter_answer(struct publish_waiter *waiter, struct core_stats *stats,
                           enum publish_verdict verdict, const char *event_id, uint32_t deliveries)
{
    publish_fn *fn = waiter->fn;
    if (!fn)
        return;
    waiter->fn = NULL;
    stats->events[verdict]++;
    if (verdict == PUBLISH_ACCEPTED || verdict == PUBLISH_REPEATED)
        hist_record(&stats->publish_us, clock_mono_us() - waiter->accepted_us);
    fn(waiter->arg, verdict, event_id, deliveries);
}
