/* mailbox.h - parts of batches that came into my journal by other hands than mine.
 *
 * A publisher enters a part (batch.h) in the journal of the replica whose lanes it is for. That one
 * learns of it by a notice, opens the batch, and goes on with its own part of it. Notices are
 * hints: what a lost one would have told of is found by comparing the journal with what is in
 * memory. What was adopted from the dead comes the same way, and so do the parts of my own batches
 * whose owners could not take them.
 *
 * A part is opened when it is in my journal and not in hand, however it became known, and whoever
 * names it how often. Bounded: few are read at once, none while memory is full, and only so many
 * names are kept; the rest is found by comparison.
 */
#ifndef TROTLINE_CORE_MAILBOX_H
#define TROTLINE_CORE_MAILBOX_H

#include "core/core.h"

struct mailbox;

struct mailbox *mailbox_new(struct core *core);
void mailbox_free(struct mailbox *mailbox);

/* A member of my journal, "<batch>" or "<batch>.<k>", as a notice, the reply to a publish, or an
 * adoption names it. Anything else is passed over. The bytes are copied; nothing is opened before
 * this returns. `mailbox` is a struct mailbox: a channel calls this. */
void mailbox_announced(void *mailbox, struct slice member);

/* How many members my journal has in Redis, from each heartbeat's reply: when two in a row differ
 * from what is in memory, the journal is read. */
void mailbox_compare(struct mailbox *mailbox, uint64_t count_in_redis);

/* Notices may have been missed (Redis, or the channel, was away): my journal is read. `mailbox` is
 * a struct mailbox. */
void mailbox_store_ready(void *mailbox);

/* Names that wait to be opened, those that are being read included. */
size_t mailbox_waiting(const struct mailbox *mailbox);

#endif
