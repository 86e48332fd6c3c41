/* redis_dial.h - from an address to a connected socket, without blocking the loop.
 *
 * A dial is one attempt: it looks the name up if it is one, connects to one address, reports once
 * and ends. Trying again, and the time allowed, are the caller's business.
 */
#ifndef TROTLINE_NET_REDIS_DIAL_H
#define TROTLINE_NET_REDIS_DIAL_H

#include <stdint.h>

#include "net/reactor.h"

struct redis_dial;

/* `fd` is connected, non-blocking and close-on-exec, and belongs to the callee; or it is -1 and
 * `error` says why (valid during the call; "" otherwise). */
typedef void redis_dial_fn(void *arg, int fd, const char *error);

/* Starts. With `unix_path` host and port are not looked at. When a name has several addresses,
 * attempt number `attempt` takes the next one each time. The function is called once, never before
 * this returns, and the dial is gone afterwards. The strings are copied. NULL when out of memory.
 */
struct redis_dial *redis_dial_start(struct reactor *reactor, const char *host, uint16_t port,
                                    const char *unix_path, unsigned attempt, redis_dial_fn *fn,
                                    void *arg);

/* Ends it without calling back. Only while it has not called back. Accepts NULL. */
void redis_dial_cancel(struct redis_dial *dial);

/* Bytes a unix socket's path may have. */
enum { REDIS_UNIX_PATH_MAX = 107 };

#endif
