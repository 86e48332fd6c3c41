/* replica.h - this process among others that share the Redis: its lease, and its lanes.
 *
 * Identity is a random incarnation. A heartbeat renews the lease, buries those whose lease has
 * ended, takes a fair share of the lanes, and says what is more than that share (takeover.h), how
 * the map of lanes is (lanes.h), and which dead incarnations left a journal (adoption.h).
 */
#ifndef TROTLINE_CORE_REPLICA_H
#define TROTLINE_CORE_REPLICA_H

#include "core/core.h"

struct replica;

struct replica *replica_new(struct core *core);
void replica_free(struct replica *replica);

/* Where this process is reached, for the list of replicas: from the next heartbeat on. */
void replica_set_url(struct replica *replica, const char *url);

/* Redis is (again) reachable, and the endpoints are known. Before the first call nothing makes a
 * heartbeat: whoever joins has lanes, reads what was left for their endpoints, and is ready. */
void replica_store_ready(struct replica *replica);

/* Beats now; if a heartbeat is on its way, once more when it is answered. */
void replica_beat_soon(struct replica *replica);
/* The map of lanes has that version, another replica says: beats if that is a newer one. */
void replica_told(struct replica *replica, uint64_t version);

/* Something was to be sent, and the lease has lapsed (lanes_may_send()): it is counted, and beats
 * now. A heartbeat that is answered wakes the loop. */
void replica_lapsed(struct replica *replica);

/* All lanes that were taken are MINE: takeover.h's. */
void replica_lanes_arrived(struct replica *replica);

/* From now on no lanes are taken, and mine go to the others as soon as there are any. */
void replica_drain(struct replica *replica);

/* Leaves: my journal is empty, and my lease and what lanes I have left are given up. `done` is
 * called once. */
void replica_leave(struct replica *replica, void (*done)(void *arg), void *arg);

#endif
