/* shipping.h - sealed batches on their way to Redis, and those who wait for the answer.
 *
 * Each event of a shipment has a waiter, answered exactly once: by the script's verdict, or when
 * the deadline passes. What was not sent then is dropped and known not to be stored; what was sent
 * stays, its waiters are told `unknown`, and its fate is found out later: if it was stored after
 * all, it is delivered.
 */
#ifndef TROTLINE_CORE_SHIPPING_H
#define TROTLINE_CORE_SHIPPING_H

#include "core/shipment.h"

struct shipping;

/* The configuration is newer than the one that these events were matched by, nothing was stored,
 * and now the newer one is known: they are to be published anew. Called by shipping_hand_back();
 * waiters that are not taken (fn set to NULL) are told `overloaded`. */
typedef void shipping_outdated_fn(void *arg, struct shipment *shipment);

/* Of an event that is to be forwarded as a duplicate (waiter->forwards) the key was taken by the
 * event `first_id`, and it was not stored: it is to be published anew, or its waiter answered. All
 * but the waiter, which is copied or answered, is valid during the call only. It is called when
 * Redis has answered, not by a function of this module. */
typedef void shipping_duplicate_fn(void *arg, const struct event_record *record,
                                   struct publish_waiter *waiter, const char *first_id);

/* NULL: out of memory. Free it after the store has answered all calls. */
struct shipping *shipping_new(struct core *core, shipping_outdated_fn *outdated_fn,
                              shipping_duplicate_fn *duplicate_fn, void *arg);
void shipping_free(struct shipping *shipping);

/* A shipment for at most `capacity` events (shipment_new()). NULL: out of memory. */
struct shipment *shipping_begin(struct shipping *shipping, uint32_t capacity, uint64_t accepted_us);

/* It is complete and goes as soon as may be; its waiters may be refused at once. */
void shipping_seal(struct shipping *shipping, struct shipment *shipment);

/* Would a batch that is sealed now be sent at once? */
bool shipping_free_way(const struct shipping *shipping);

/* Once a turn: those that were outdated, if they may be handed back now. Of what is sealed then,
 * and what the callback seals, the former goes behind the latter. */
bool shipping_may_hand_back(const struct shipping *shipping);
void shipping_hand_back(struct shipping *shipping);

/* Behind that, once a turn: what may go to Redis. */
void shipping_turn(struct shipping *shipping);

/* Some ten times a second while shipping_count() is not 0: looks for deadlines that have passed. */
void shipping_tick(struct shipping *shipping, uint64_t now_ms);

/* Redis is away: what is known not to be stored is refused. Redis is back: outcomes that were left
 * open are asked for again. */
void shipping_store_lost(struct shipping *shipping);
void shipping_store_ready(struct shipping *shipping);

/* Is this batch on its way to Redis? */
bool shipping_sends(const struct shipping *shipping, const char *batch_id);

/* Shipments whose fate is not known. */
size_t shipping_count(const struct shipping *shipping);

#endif
