/* redis_script.h - Lua scripts by name: a set that is loaded into Redis and called by its digests.
 *
 * A connection that was given a set (redis_conn_set_scripts) loads all of it before it is ready, so
 * calls can be pipelined like any command, as EVALSHA. When Redis has forgotten the scripts (SCRIPT
 * FLUSH, another server after a failover) the connection loads them again and repeats the calls
 * that were refused; the caller sees one reply, as always.
 *
 * What holds for the order, on one connection:
 *   - Calls that were refused are repeated in the order in which they were made.
 *   - Whatever was not yet on its way when the first refusal arrived runs after all of them.
 *   - A command that was already on its way behind a refused call and did not fail itself has run
 *     before that call does: a plain command, or a call of a script that another connection has
 *     just loaded. Who needs order with those waits for the reply before issuing the next.
 * A refused call has not run at all, so nothing is done twice.
 */
#ifndef TROTLINE_NET_REDIS_SCRIPT_H
#define TROTLINE_NET_REDIS_SCRIPT_H

#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/redis_conn.h"

struct redis_script_source {
    const char *name; /* static, as the text */
    const char *text;
    size_t len;
};

struct redis_script {
    const char *name;
    const char *text;
    size_t len;
    char sha1[41]; /* hexadecimal */
};

struct redis_scripts;

/* Makes a set of the table and computes the digests. Names and texts are not copied. The set may
 * be used by many connections and must outlive them. NULL when out of memory. */
struct redis_scripts *redis_scripts_new(const struct redis_script_source *table, size_t count);
/* Accepts NULL. */
void redis_scripts_free(struct redis_scripts *scripts);

/* NULL when there is none of that name. The script lives as long as its set. */
const struct redis_script *redis_script_find(const struct redis_scripts *scripts, const char *name);

size_t redis_scripts_count(const struct redis_scripts *scripts);
const struct redis_script *redis_scripts_at(const struct redis_scripts *scripts, size_t index);

/* Calls a script of the connection's set. As redis_command(): fails without calling back, or calls
 * back once, later. The reply is NOSCRIPT only when loading did not help, three times. */
MUST_CHECK enum status redis_script_call(struct redis_conn *conn, const struct redis_script *script,
                                         const struct slice *keys, size_t key_count,
                                         const struct slice *args, size_t arg_count,
                                         redis_reply_fn *fn, void *arg);

#endif
