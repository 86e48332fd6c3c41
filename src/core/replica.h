/* replica.h - this process among others that share the Redis: its lease.
 *
 * Identity is a random incarnation. A heartbeat renews the lease and names dead incarnations that
 * left a journal, for adoption.h (DESIGN.md 5b.15-17).
 */
#ifndef TROTLINE_CORE_REPLICA_H
#define TROTLINE_CORE_REPLICA_H

#include "core/core.h"

struct replica;

struct replica *replica_new(struct core *core);
void replica_free(struct replica *replica);

/* Redis is (again) reachable. */
void replica_store_ready(struct replica *replica);

/* Where this process is reached, for the list of replicas: from the next heartbeat on. */
void replica_set_url(struct replica *replica, const char *url);

/* A heartbeat of mine was confirmed: others know of me. */
bool replica_joined(const struct replica *replica);

/* This process is about to stop: others are told, and take over what they can. */
void replica_drain(struct replica *replica);

/* Leaves: my journal is empty, and my lease is given up. `done` is called once.
 */
void replica_leave(struct replica *replica, void (*done)(void *arg), void *arg);

#endif
