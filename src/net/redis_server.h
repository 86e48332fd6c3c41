/* redis_server.h - the embedded Redis: a private redis-server child on a unix socket.
 *
 * All it has is in DATA/redis/ (mode 0700): redis.conf (written at each start), redis.sock,
 * redis.log, the append-only file, and `lock`. DATA/lock is held by us for as long as we run, so
 * two trotlines cannot share a directory. DATA/redis/lock is held by us and by the child, so there
 * are never two servers on one append-only file: a child that outlives a killed parent for a moment
 * keeps its successor waiting.
 *
 * The child is told to end when we die (PDEATHSIG), is restarted when it dies (100 ms, doubling to
 * 5 s), and does not hear the terminal's ^C.
 *
 * Durability `memory` starts Redis without its append-only file: whatever a file from before holds
 * is then neither read nor kept up, and comes back when durability is raised again.
 */
#ifndef TROTLINE_NET_REDIS_SERVER_H
#define TROTLINE_NET_REDIS_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "net/reactor.h"

struct redis_server;

struct redis_server_options {
    const char *data_dir;      /* made if it is missing, its parent is not */
    const char *durability;    /* "always", "everysec" or "memory" */
    uint64_t max_memory_bytes; /* 0: no limit */
    const char *program;       /* NULL: "redis-server"; without a slash it is looked up in PATH */
};

/* Takes the locks and starts the child; that it serves is seen by connecting, which takes it some
 * ten milliseconds, and longer with much to load. Waits, blocking, up to 30 s for the server of a
 * killed predecessor to end, and says so in the log. Call it from the thread that lives as long as
 * the process, since the child ends with the thread that started it.
 *
 * On failure nothing is left running or locked, and `error` holds a sentence: ST_EXISTS (the
 * directory is in use; the sentence names the process), ST_NOTFOUND (no such program), ST_RANGE
 * (durability), ST_NOMEM, ST_IO. The options are copied. */
MUST_CHECK enum status redis_server_start(struct reactor *reactor,
                                          const struct redis_server_options *options,
                                          struct redis_server **out, char *error,
                                          size_t error_bytes);

/* Sends SIGTERM and waits up to 15 s for the child to write what it has, then SIGKILL; releases the
 * locks and frees. Blocks: for the very end of the process. Accepts NULL. */
void redis_server_stop(struct redis_server *server);

/* Path of the unix socket, at most 107 bytes, valid as long as the server. When DATA's own path is
 * longer than that it goes through /proc/PID/fd, and works only while this process lives. */
const char *redis_server_socket(const struct redis_server *server);

/* The child; 0 while there is none. */
pid_t redis_server_pid(const struct redis_server *server);

/* Times the child was started again. */
uint64_t redis_server_restarts(const struct redis_server *server);

#endif
