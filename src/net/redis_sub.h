/* redis_sub.h - a subscription: one connection that hears what is published to some channels.
 *
 * It is a redis_conn underneath, so it connects, authenticates, pings an idle peer and begins again
 * after a loss in the same way. What was published while it was not subscribed is lost: who needs
 * to know is told each time when it is subscribed (again), and looks for itself what it missed.
 */
#ifndef TROTLINE_NET_REDIS_SUB_H
#define TROTLINE_NET_REDIS_SUB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "net/redis_conn.h"

struct redis_sub;

enum { REDIS_SUB_CHANNELS_MAX = 4 };

/* True: subscribed to all channels, from now on nothing is missed. False: no longer so. */
typedef void redis_sub_state_fn(void *arg, bool subscribed);

/* Starts connecting in the next turn. Options and channels (at most REDIS_SUB_CHANNELS_MAX) are
 * copied. Both functions are called from the loop, `state_fn` from redis_sub_renew() too; the
 * subscription may be freed from them. NULL when out of memory. */
struct redis_sub *redis_sub_new(struct reactor *reactor, const struct redis_options *options,
                                const struct slice *channels, size_t count,
                                redis_message_fn *message_fn, redis_sub_state_fn *state_fn,
                                void *arg);

/* Closes at once; nothing is called any more. Accepts NULL. */
void redis_sub_free(struct redis_sub *sub);

bool redis_sub_subscribed(const struct redis_sub *sub);

/* Connects anew: another server may be the right one now. */
void redis_sub_renew(struct redis_sub *sub);

#endif
