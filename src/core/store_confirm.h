/* store_confirm.h - a script whose writes are confirmed by Redis's replicas before its reply
 * counts.
 *
 * Behind the script, in the same write, goes `WAIT n timeout`; the caller is answered when both
 * replies are there. A connection on which this is used is blocked while Redis waits: whatever
 * else must not be held up needs another one.
 */
#ifndef TROTLINE_CORE_STORE_CONFIRM_H
#define TROTLINE_CORE_STORE_CONFIRM_H

#include "core/store.h"

/* Without replicas in the options it is redis_script_call(). Otherwise as that, but ST_OK means
 * that so many replicas have everything that Redis had written until the script ended: its own
 * writes, and those that its reply rests on. fn's status is ST_TIMEOUT, with the script's reply,
 * when too few had it in time, and ST_LOST when either reply was lost. An error reply is passed on
 * at once. */
MUST_CHECK enum status store_confirmed_call(struct redis_conn *conn,
                                            const struct redis_script *script,
                                            const struct slice *keys, size_t key_count,
                                            const struct slice *args, size_t arg_count,
                                            const struct store_confirm_options *options,
                                            store_reply_fn *fn, void *arg);

#endif
