/* ordering.h - endpoints that get one delivery after the other.
 *
 *     "ordering": "endpoint"     all of its deliveries, one at a time
 *     "ordering": "key"          those with the same orderingKey; without one there is no order
 *     "onDeadLetter": "skip"     what is dead lets the next one go
 *     "onDeadLetter": "block"    or keeps it, until it is replayed or discarded
 *
 * The order is that in which Redis stored the events: lua/publish.lua itself puts an ordered
 * delivery into the queue of its key, in the schedule, and lua/settle.lua lets the next one go. So
 * no replica has to remember an order, and none can lose it.
 *
 * What is written holds for deliveries from then on: those that wait already stay in the queues
 * they are in, and a dead letter that blocks one goes on to do so. What was let go, because it is
 * dead or its endpoint was disabled, has no order any more when it is replayed.
 */
#ifndef TROTLINE_CORE_ORDERING_H
#define TROTLINE_CORE_ORDERING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/field_error.h"
#include "wire/event_record.h"

struct endpoint_config;
struct json_t;

enum ordering { ORDERING_NONE, ORDERING_ENDPOINT, ORDERING_KEY };
enum { ORDER_HASH_BYTES = 16 };

/* "endpoint", "key"; NULL for ORDERING_NONE. Static memory. */
const char *ordering_name(enum ordering ordering);

/* The members' values. ST_RANGE: refused with code `invalid_ordering` or `invalid_on_dead_letter`.
 */
MUST_CHECK enum status ordering_parse(struct json_t *value, enum ordering *ordering,
                                      struct field_error *error);
MUST_CHECK enum status ordering_blocks_parse(struct json_t *value, bool *blocks,
                                             struct field_error *error);

/* Is this delivery ordered? */
bool ordering_takes(const struct endpoint_config *config, const struct event_record *record);

/* Which of the endpoint's queues an event joins: half a SHA-256 of its key, all zeros for the one
 * queue of ORDERING_ENDPOINT. ST_NOTFOUND: none, it has no key or the endpoint no order; ST_NOMEM.
 */
MUST_CHECK enum status ordering_hash(const struct endpoint_config *config,
                                     const struct event_record *record,
                                     uint8_t hash[ORDER_HASH_BYTES]);

#endif
