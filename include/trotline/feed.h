/* trotline/feed.h - events into Redis, by one command of whichever client a program has.
 *
 * An event is fed by one command,
 *
 *     XADD tl:{0}:feed * e <event> [app <application>] [k <idempotency key>]
 *
 * and from the moment Redis has it, it is Trotline's: a replica publishes it, once, with all that a
 * POST /api/events gets. In a MULTI it is added together with whatever else the transaction
 * changes, or not at all: an outbox without a database.
 *
 * feed_hiredis.h sends it through a hiredis context. For other clients trotline_feed_arguments()
 * gives the command's words.
 *
 * What Trotline refuses later (an event that is none, an unknown application) is not lost: it goes
 * to the stream "tl:{0}:feed:rejected", with the reason; see `trotline feed`. What
 * trotline_event_write() wrote is never refused for its form. A stream is trimmed by Trotline, when
 * it has published an entry: never XADD to it with MAXLEN or MINID, which drop what nobody has
 * read.
 */
#ifndef TROTLINE_FEED_H
#define TROTLINE_FEED_H

#include "trotline/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TROTLINE_FEED_KEY "tl:{0}:feed" /* with the default keyPrefix, "tl" */

/* One entry. All members are the caller's and are read during the call only. */
struct trotline_feed_entry {
    struct trotline_slice event; /* JSON or msgpack: event.h */
    const char *key;             /* the stream's key; NULL: TROTLINE_FEED_KEY */
    const char *application;     /* NULL: the default one, or the stream's own */
    const char *idempotency_key; /* NULL: that in the event, if it has one; if both are given they
                                    are the same. At most 256 bytes */
};

enum { TROTLINE_FEED_ARGUMENTS = 9 };

/* The words of the command, as pointers to what `entry` holds and to static memory. Nothing is
 * copied and nothing allocated. `words` and `bytes` have room for TROTLINE_FEED_ARGUMENTS each;
 * *count gets their number. INVALID_ARGUMENT: something is NULL; an event of no bytes; an
 * application or a key that is empty, an idempotency key that is longer than 256 bytes. Any thread.
 */
TROTLINE_API TROTLINE_MUST_CHECK enum trotline_status
trotline_feed_arguments(const struct trotline_feed_entry *entry, const char **words, size_t *bytes,
                        size_t *count);

#ifdef __cplusplus
}
#endif

#endif
