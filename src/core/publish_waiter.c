/* publish_waiter.c - who waits for the verdict on an event. */
#include "core/publish_waiter.h"

#include "base/clock.h"
#include "base/hash.h"
#include "core/key_claims.h"

_Static_assert(sizeof(((struct core_stats *)NULL)->events) / sizeof(uint64_t) > PUBLISH_UNKNOWN,
               "core_stats counts every verdict");

const char *publish_verdict_name(enum publish_verdict verdict)
{
    static const char *const names[] = {
        "accepted",    "duplicate",  "key_reused", "uid_taken", "idempotency_full", "journal_full",
        "unavailable", "store_full", "overloaded", "stopping",  "unknown"};
    return names[verdict];
}

/* The same in every process and for ever: replicas compare it. SipHash takes eight bytes at a time,
 * a third of the time of hash_stable(); 48 of its bits are kept with a key. */
static uint64_t fingerprint(struct slice raw)
{
    return hash_keyed(raw, 0, 0) >> (64 - KEY_FINGERPRINT_BITS);
}

enum status publish_waiter_init(struct publish_waiter *waiter, const struct publish_item *item,
                                publish_fn *fn, void *arg)
{
    *waiter = (struct publish_waiter){.fn = fn,
                                      .arg = arg,
                                      .accepted_us = clock_mono_us(),
                                      .has_idempotency = item->idempotency_key.ptr != NULL,
                                      .has_uid = item->record.uid.ptr != NULL,
                                      .has_about = item->about != NULL};
    struct slice application = item->record.application;
    if (item->about)
        waiter->about = *item->about;
    if (waiter->has_idempotency) {
        waiter->fingerprint = fingerprint(item->raw);
        if (publish_key(application, item->idempotency_key, waiter->idempotency) != ST_OK)
            return ST_NOMEM;
    }
    if (waiter->has_uid && publish_key(application, item->record.uid, waiter->uid) != ST_OK)
        return ST_NOMEM;
    return ST_OK;
}

void publish_waiter_answer(struct publish_waiter *waiter, struct core_stats *stats,
                           enum publish_verdict verdict, const char *event_id, uint32_t deliveries)
{
    publish_fn *fn = waiter->fn;
    if (!fn)
        return;
    waiter->fn = NULL;
    stats->events[verdict]++;
    if (verdict == PUBLISH_ACCEPTED)
        hist_record(&stats->publish_us, clock_mono_us() - waiter->accepted_us);
    fn(waiter->arg, verdict, event_id, deliveries);
}
