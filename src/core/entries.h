/* entries.h - writes into the schedule what becomes of deliveries, many in one call.
 *
 * A delivery of an open batch is moved, which gives it an entry; one of the schedule is settled,
 * which changes its entry or takes it out. What is asked for in a turn of the loop goes to Redis at
 * its end.
 */
#ifndef TROTLINE_CORE_ENTRIES_H
#define TROTLINE_CORE_ENTRIES_H

#include "core/archive.h"
#include "core/core.h"
#include "core/delivery.h"
#include "core/store_settle.h"

struct entries;

struct entries *entries_new(struct core *core);
/* What was not sent yet is answered with ST_STOPPED. Accepts NULL. */
void entries_free(struct entries *entries);

/* ST_OK: `result` is what store_moved() or store_settled() say. ST_STOPPED, ST_NOMEM: 0. The
 * delivery is the callee's again. `end` is what was given, valid during the call. */
typedef void entries_fn(struct core *core, struct delivery *delivery, enum status status,
                        int64_t result, const struct archive_end *end);

/* What is to be written about one delivery. Texts are copied. */
struct entry_change {
    struct slice state;   /* or, when it is done, the log of its attempts */
    struct slice attempt; /* record of the attempt, or empty */
    struct slice outcome; /* DONE */
    uint64_t value;       /* as the kind has it: store_settle.h */
    bool leaves_queue;    /* of its ordering key, whose next one is due (settle) */
    struct archive_end end;
};

/* The delivery stays where it is until `fn` is called, which is never before this returns. Its
 * lease counts as it is when the call is made. ST_NOMEM: nothing will be called. */
MUST_CHECK enum status entries_move(struct entries *entries, struct delivery *delivery,
                                    enum store_move_kind kind, const struct entry_change *change,
                                    entries_fn *fn);
MUST_CHECK enum status entries_settle(struct entries *entries, struct delivery *delivery,
                                      enum store_settle_kind kind,
                                      const struct entry_change *change, entries_fn *fn);

#endif
