/* group.h - deliveries of one endpoint that go out in one request, and those that wait to.
 *
 * A group is made when it is first sent, and is one unit from then on: what becomes of the request
 * becomes of each member. Its id says which events it has, in which order, for which endpoint, and
 * nothing else, so who makes the same group anew gives it the same id; no other group has it. It
 * sorts by the time at which the first of them was accepted. Each member's state in Redis names the
 * group, its size and the member's place (group_write()), so that it can be put together again by
 * whoever has the endpoint then.
 *
 * A gathering is what waits for an endpoint: loose deliveries, in the order in which their events
 * were accepted (which is that of their ids), and groups that have been sent before. No clocks, no
 * calls: everything here is lists and numbers. Times are monotonic, in microseconds.
 */
#ifndef TROTLINE_CORE_GROUP_H
#define TROTLINE_CORE_GROUP_H

#include "base/heap.h"
#include "base/limits.h"
#include "core/delivery.h"

/* ---- Groups --------------------------------------------------------------------------------- */

enum { GROUP_BYTES = 24 /* in a delivery's state: the id, the size, the place */ };

struct group {
    unsigned refs; /* one for each delivery that has it, and the maker's own */
    struct id id;
    uint32_t size; /* members when it was made */
    /* From here on the gathering's own: while members of it wait there. */
    struct list node;
    struct list members; /* by their places */
    uint32_t present;
    uint64_t until_us; /* then it is not waited for members that are missing */
};

/* The id of a group of these messages, of which there is at least one, in this order. ST_NOMEM. */
MUST_CHECK enum status group_id(struct id *id, const struct id *endpoint,
                                struct message *const *messages, size_t count);

/* A group that is known by its id and size, and has no members yet. NULL: out of memory. */
struct group *group_new(const struct id *id, uint32_t size);
struct group *group_get(struct group *group);
void group_put(struct group *group); /* accepts NULL */

/* The delivery is that member of it from now on: takes a reference, and drops that of another. */
void group_join(struct group *group, struct delivery *delivery, uint32_t place);

void group_write(uint8_t out[GROUP_BYTES], const struct group *group, uint32_t place);
/* ST_SYNTAX: it is none. */
MUST_CHECK enum status group_read(struct slice bytes, struct id *id, uint32_t *size,
                                  uint32_t *place);

/* ---- What waits ----------------------------------------------------------------------------- */

struct gathering {
    struct heap_node wake; /* gather's own, as is the endpoint */
    struct endpoint *endpoint;
    struct list loose; /* deliveries */
    size_t loose_count;
    size_t loose_bytes;    /* about, in a body */
    uint64_t oldest_us;    /* since when the first of them has waited; UINT64_MAX: there is none */
    uint64_t in_memory_us; /* since when one waits that only its batch has; UINT64_MAX: none does */
    struct list groups;    /* in the order in which their first members came */
    size_t complete;       /* of them */
    size_t missing;        /* members of the others */
    size_t count;          /* deliveries in all */
    uint64_t lease_ms;     /* gather's own: the first of their leases to end; 0: none */
    size_t mean_bytes;     /* of the last deliveries, in a body; 0: none came yet */
    uint64_t not_before_us; /* nothing is sent earlier */
};

void gathering_init(struct gathering *gathering, struct endpoint *endpoint);

/* The delivery is in no list; delivery->waits_since_us says since when it has waited. It goes to
 * its group, which waits for other members until then at most, or to its place among the loose. */
void gathering_add(struct gathering *gathering, struct delivery *delivery, uint64_t until_us);

/* Takes one out that waits here. */
void gathering_remove(struct gathering *gathering, struct delivery *delivery);

/* The group of that id of which members wait here, or NULL. */
struct group *gathering_find(const struct gathering *gathering, const struct id *id);

/* When the next request may go: UINT64_MAX when nothing waits. `full`: by the rule, or because no
 * more are held; before that time comes only what is full or complete goes. */
enum gathering_stand { GATHERING_NOTHING, GATHERING_WAITS, GATHERING_TIME, GATHERING_FULL };
enum gathering_stand gathering_stand(const struct gathering *gathering,
                                     const struct group_rule *rule, uint64_t now_us,
                                     uint64_t *opens_us);

/* Takes out what the next request is to carry, in its order; at most LIMIT_GROUP_EVENTS, 0 when
 * nothing may go. A group goes whole; one that is not complete in time is no group any more, and
 * what is there of it goes together. Loose ones go as many as `rule` lets go together, about: at
 * least one. */
size_t gathering_take(struct gathering *gathering, const struct group_rule *rule, uint64_t now_us,
                      struct delivery *members[LIMIT_GROUP_EVENTS]);

/* All that waits: to the end of `list`. */
void gathering_take_all(struct gathering *gathering, struct list *list);

#endif
