/* core.h - what the modules of the data path share.
 *
 *     publish --> dispatch --> attempt --> settle
 *                    ^                       |
 *                    +------ schedule <------+
 *
 * publish stores events in batches; dispatch decides what may be sent now; attempt sends; settle
 * records, retries or finishes; schedule brings back what waited. replica keeps this process's
 * lease, lanes say what is its own, takeover brings lanes and gives them away, adoption takes over
 * what dead ones left, mailbox opens what others sent. Each module is a pointer here, made by
 * core_new() in that order.
 */
#ifndef TROTLINE_CORE_CORE_H
#define TROTLINE_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hist.h"
#include "base/limits.h"
#include "base/rng.h"
#include "core/breaker.h"
#include "core/endpoint.h"
#include "core/lanes.h"
#include "core/store.h"
#include "core/store_confirm.h"
#include "net/outbound.h"
#include "net/reactor.h"

struct source_rules;

/* Streams that events are read from (feed.h). */
struct core_feed {
    struct {
        char name[LIMIT_FEED_NAME_BYTES + 1];
        char application[LIMIT_FEED_NAME_BYTES + 1]; /* that its entries are for; "": they say it */
    } streams[LIMIT_FEEDS];
    size_t stream_count;
    uint32_t entries_max;  /* of a stream in hand: no more are read then */
    uint64_t rejected_max; /* kept of each stream; 0: all */
    size_t event_bytes_max;
};

struct core_options {
    /* Batches. */
    uint32_t batch_events_max;
    size_t batch_bytes_max;
    uint64_t publish_timeout_ms;          /* then a producer is told "outcome unknown" */
    struct store_confirm_options confirm; /* of what is stored, by Redis's replicas */
    uint64_t journal_batches_max;
    uint64_t idempotency_ttl_ms, idempotency_keys_max;
    uint64_t history_ttl_ms, history_bytes_max;
    uint32_t attempts_kept; /* for each endpoint */
    /* Memory. */
    size_t deliveries_max; /* in hand */
    size_t bytes_max;      /* of events in hand */
    size_t queued_per_endpoint_max;
    /* Sending. */
    size_t in_flight_max;
    uint32_t in_flight_per_host_max; /* 0: no limit */
    bool adaptive;                   /* each endpoint has an allowance (allowance.h) */
    struct breaker_rules breaker;
    uint64_t connect_timeout_ms;
    size_t response_bytes_max;
    uint64_t retry_after_max_ms;
    bool allow_http;
    /* Replicas. */
    uint64_t lease_ms, heartbeat_ms;
    bool sole_owner;  /* the Redis is this process's own (embedded): see core_alone() */
    bool others_dead; /* at the start every other incarnation is dead, whatever its lease says: the
                         data directory's lock tells */
    size_t endpoints_max;
    uint64_t job_rate; /* deliveries a second of a replay that names no rate; 0: no limit */
    /* Endpoints that do not do well. */
    uint64_t disable_after_ms; /* of nothing but failure; 0: never */
    bool disable_on_exhausted;
    uint64_t backlog_threshold; /* waiting deliveries of an endpoint; 0: never told */
    struct core_feed feed;
    const struct source_rules *source_rules; /* what sources must obey; outlives the core */
};

/* Counted where it is decided; written out by api/metrics.c. */
struct core_stats {
    uint64_t events[16]; /* by enum publish_verdict: what their producers were told */
    uint64_t batches_stored, batches_closed, batches_adopted;
    uint64_t batches_outdated;   /* matched anew: the endpoints had been changed meanwhile */
    uint64_t attempts_status[6]; /* answered, by the status's first digit; [0]: by none of 1 to 5 */
    uint64_t attempts_error[16]; /* not answered, by enum outbound_error */
    uint64_t deliveries_sent, deliveries_retried, deliveries_dead, deliveries_cancelled,
        deliveries_moved;
    uint64_t claims, leases_lost;
    uint64_t breakers_open, breakers_half_open; /* now, of all endpoints */
    uint64_t endpoints_limited;  /* now: they have work and wait for their rate limit's slot */
    uint64_t endpoints_disabled; /* not by hand */
    uint64_t notices_published, notices_dropped, notices_suppressed;
    uint64_t jobs_deliveries; /* put back into the schedule by jobs */
    uint64_t replicas;        /* now: alive, myself included, as the last heartbeat saw it */
    uint64_t lanes_gained, lanes_released, lanes_lost;
    uint64_t lease_lapses;   /* times that nothing was sent because no heartbeat was confirmed */
    uint64_t parts_received; /* parts of batches that were read from my journal, adopted included */
    struct hist publish_us;  /* accepted to answered, by the clock of these turns */
    struct hist attempt_us;
    struct hist delivery_us; /* accepted (or deliverAt, if that is later) to sent; no replays */
    struct hist batch_events, batch_bytes;
    struct hist group_events; /* of each request that carried a group */
};

struct core {
    struct core_options options;
    struct reactor *reactor;
    struct store *store;
    struct registry *registry;
    struct outbound *outbound;
    struct lanes *lanes;     /* who owns which */
    struct archive *archive; /* NULL: none. Its maker sets it and frees it after the core */
    struct rng rng;          /* jitter */
    struct core_stats stats;
    bool loaded; /* the endpoints are in the registry, and my first lanes are mine */
    bool stopping;

    struct reactor_timer *reload;
    struct channel *channel;
    struct publish *publish;
    struct gate *gate;
    struct gather *gather;
    struct journal *journal;
    struct dispatch *dispatch;
    struct attempts *attempts;
    struct settle *settle;
    struct entries *entries;
    struct schedule *schedule;
    struct claims *claims;
    struct under_way *under_way;
    struct replica *replica;
    struct takeover *takeover;
    struct lane_tell *lane_tell;
    struct adoption *adoption;
    struct mailbox *mailbox;
    struct history *history;
    struct clear *clear;
    struct jobs *jobs;
    struct endpoint_store *endpoints;
    struct source_store *sources;
    struct health_store *health;
    struct notice *notice;
    struct feed *feed;
};

/* Is the Redis its own, and nobody else there? Then its lease does not lapse, and it knows all
 * endpoints there are. Not for ever: somebody may start another server on that Redis's socket. */
static inline bool core_alone(const struct core *core)
{
    return core->options.sole_owner && core->stats.replicas <= 1;
}

/* Takes nothing over: reactor, store, registry and outbound must outlive it. NULL: out of memory.
 */
struct core *core_new(const struct core_options *options, struct reactor *reactor,
                      struct store *store, struct registry *registry, struct outbound *outbound);
void core_free(struct core *core);

/* Redis became reachable: from the store's callback. The first time the endpoints are loaded, then
 * the first heartbeat takes lanes, and only then does anything move. */
void core_store_ready(struct core *core);

/* A heartbeat was answered, and no lane is on its way: replica.h's. Does something the first time
 * only. */
void core_joined(struct core *core);

/* Redis was lost. */
void core_store_lost(struct core *core);

/* No new events, no new claims; what is in hand is finished. */
void core_stop(struct core *core);
/* Nothing is in hand any more: batches closed, attempts settled and listed. */
bool core_idle(struct core *core);
/* What keeps it from that: it is in Redis, or lost with this process if Redis was never told. */
struct core_left {
    size_t deliveries, batches;
    size_t calls; /* to Redis, unanswered */
};
struct core_left core_left(const struct core *core);
/* Hands back what is still in hand, so that a successor has it at once. Attempts are cut. */
void core_abandon(struct core *core);

#endif
