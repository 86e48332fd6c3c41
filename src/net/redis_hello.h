/* redis_hello.h - what is said to a Redis before a connection is used. Inside redis_conn.c's
 * domain.
 */
#ifndef TROTLINE_NET_REDIS_HELLO_H
#define TROTLINE_NET_REDIS_HELLO_H

#include "net/redis_pipe.h"

enum { REDIS_RUN_ID_BYTES = 64 /* with the NUL; Redis's have 40 digits */ };

/* Queues the commands of the handshake, OP_HELLO_FINISHED last. `scripts`: to be loaded; NULL:
 * none. ST_NOMEM: only some were queued. */
MUST_CHECK enum status redis_hello_add(struct redis_pipe *pipe, const struct redis_options *options,
                                       const struct redis_scripts *scripts);

/* May the connection go on after this reply to one of its own commands? If not, `why` is a sentence
 * about the server. */
bool redis_hello_accepts(enum redis_op_kind kind, const struct redis_value *reply, char *why,
                         size_t size);

/* Which server it is, from the reply to OP_HELLO_INFO: each start of one has another name. "" when
 * it does not tell, or the user may not ask. */
void redis_hello_run_id(const struct redis_value *reply, char *run_id, size_t size);

#endif
