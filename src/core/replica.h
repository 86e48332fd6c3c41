/* replica.h - this process among others that share the Redis: its lease, and what the dead left.
 *
 * Identity is a random incarnation. A heartbeat renews the lease and names dead incarnations that
 * left a journal; their batches are adopted one by one, opened as if just stored, with the progress
 * bitmap saying what is done (DESIGN.md 5b.15-17).
 */
#ifndef TROTLINE_CORE_REPLICA_H
#define TROTLINE_CORE_REPLICA_H

#include "core/core.h"

struct replica;

struct replica *replica_new(struct core *core);
void replica_free(struct replica *replica);

/* Redis is (again) reachable. */
void replica_store_ready(struct replica *replica);

/* Stops adopting and leaves: my journal is empty, and my lease is given up. `done` is called once.
 */
void replica_leave(struct replica *replica, void (*done)(void *arg), void *arg);

/* Batches of dead incarnations that were seen and are not opened yet. */
bool replica_adopting(const struct replica *replica);

#endif
