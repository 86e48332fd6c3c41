/* journal.h - the batches of this process's journal, as they are in memory.
 *
 * In Redis the journal says which batches, or parts of batches (batch.h), this process has in hand;
 * here is what is known of each: which of its deliveries have finished, and with what outcome.
 * Batches that take long get progress marks in Redis, so that a crash repeats little; those whose
 * deliveries have all finished or been moved to the schedule are closed, several by one call.
 */
#ifndef TROTLINE_CORE_JOURNAL_H
#define TROTLINE_CORE_JOURNAL_H

#include "core/batch.h"
#include "core/core.h"
#include "core/delivery.h"

struct journal;

struct journal *journal_new(struct core *core);
void journal_free(struct journal *journal);

/* Enters a stored batch: takes over its reference. False: there is no memory; it stays in Redis's
 * journal, and a restart adopts it. */
bool journal_add(struct journal *journal, struct batch *batch);
/* All its deliveries have been placed. Until then its list node is dispatch's. */
void journal_expanded(struct journal *journal, struct batch *batch);

/* Before its batch is added: this event is not to be delivered, because it was refused. */
void journal_skip(struct message *message);
/* Before it is added: the progress bitmap says what was refused, and what is finished or moved. */
void journal_skip_done(struct batch *batch, struct slice bitmap);

/* What is known of this ordinal of the batch; NULL: no part that has it is in hand. */
const struct batch_slot *journal_slot(const struct journal *journal, const char *batch_id,
                                      uint32_t ordinal);
/* Is the part with this member in hand, as far as is known here? */
bool journal_holds(const struct journal *journal, const char *member);

/* The ordinal is finished (outcome final) or moved; the last one closes the batch. */
void journal_finished(struct journal *journal, struct batch *batch, uint32_t ordinal,
                      const struct outcome *outcome);
void journal_moved(struct journal *journal, struct batch *batch, uint32_t ordinal);
/* A move found that the batch is another replica's: the delivery is that one's business, and so is
 * the batch's end, even if it comes back to our journal, because then it is opened once more. */
void journal_lost(struct journal *journal, struct batch *batch, uint32_t ordinal);

/* Something is sent to Redis: batches that have ended may go with it. */
void journal_close_along(struct journal *journal);

/* Frees the batches of a list with what is left of their deliveries, at the end. */
void journal_drop(struct list *batches);

size_t journal_count(const struct journal *journal);
size_t journal_bytes(const struct journal *journal); /* of memory */

#endif
