/* worker.h - one of the processes of `serve --workers N`, from both of its ends: how its parent
 * (workers.h) starts it, and how it learns what it is and says that it is ready.
 *
 * A worker is `serve` with its parent's command line and, behind it, what the parent has decided
 * (--listen with the port, --redis with the socket of the embedded Redis): the last one wins. That
 * it is a worker stands in its environment, not among the options, because nobody should say it.
 */
#ifndef TROTLINE_APP_WORKER_H
#define TROTLINE_APP_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/status.h"

struct worker {
    unsigned number; /* 1 …; 0: this process is none, but a gateway by itself */
    bool first;      /* no other has run yet, and the Redis is its parent's: all that is in it of
                        others is of dead ones */
};

/* What this process is; once, at its start. The environment has nothing of it afterwards. */
struct worker worker_self(void);

/* The name of the worker for the log: "worker=2"; "" for a process that is none. Static memory. */
const char *worker_mark(const struct worker *worker);

/* Requests are served now. No effect in a process that is no worker, or for the second time. */
void worker_tell_ready(const struct worker *worker);

/* Starts this program with `argv` (NULL at the end) as that worker. It dies with the thread that
 * calls this, does not hear the terminal's ^C, and reports with one byte on *ready_fd (the
 * caller's, does not block), whose end of file says that it has ended. ST_IO with errno; *pid and
 * *ready_fd are then as they were. */
MUST_CHECK enum status worker_start(const struct worker *worker, char *const *argv, pid_t *pid,
                                    int *ready_fd);

#endif
