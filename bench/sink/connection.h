/* connection.h - a connection to the sink, and the answers that wait on it. */
#ifndef TROTLINE_BENCH_SINK_CONNECTION_H
#define TROTLINE_BENCH_SINK_CONNECTION_H

#include "path_class.h"

/* Requests that were not understood, or could not be answered. */
extern uint64_t connections_broken;

/* `count` is called for each request, before it is answered; its body is valid during the call, and
 * may be cut short. */
void connections_init(void (*count)(struct path_class *class, const char *body, size_t len));

/* Takes over `fd`, which does not block. */
struct connection *connection_new(int fd, bool is_tls);
void connection_close(struct connection *connection);

/* Reads and answers; false when the connection has ended, and is to be closed. */
bool connection_serve(struct connection *connection);

/* How long until the next delayed answer is due; -1: there is none. */
int64_t connections_delayed_in_ns(void);

/* Sends those that are due; it may close connections, so not between events of theirs. */
void connections_answer_delayed(void);

#endif
