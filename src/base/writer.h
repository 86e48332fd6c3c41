/* writer.h - lines to standard error or into a file, without ever waiting for either.
 *
 *     writer_add --> buffer --writer_flush--> pipe --> process (writer_child.h) --> its output
 *                    bounded                 1 MiB
 *
 * Writing to a file, a terminal or a pipe can block for as long as disk or reader please, and no
 * flag of ours can prevent it for a descriptor that we share with others. So a process of its own
 * does it. What does not fit into pipe and buffer is dropped, whole, and counted. When the process
 * dies it is started again, at most once a second; what was in the pipe is then counted as lost.
 *
 * The process must have SIGPIPE ignored.
 */
#ifndef TROTLINE_BASE_WRITER_H
#define TROTLINE_BASE_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

struct writer;

/* What the processes are: "/proc/self/exe", this very program, even when its file has been replaced
 * meanwhile. Under valgrind that is valgrind, so tests put their own path here. */
extern const char *writer_program;

/* Borrowed until writer_stop(). */
struct writer_options {
    const char *name;    /* in our own log lines: "log", "archive" */
    char *const *argv;   /* of the process, NULL at the end: a name, WRITER_COMMAND, … */
    size_t buffer_bytes; /* at most this much waits in our memory */
};

/* Starts the process. NULL with errno when that fails. */
struct writer *writer_start(const struct writer_options *options);

/* Hands over what is left, for `within_ms` at most in all, waits so long for the process to finish
 * and frees everything. Whatever the pipe holds is written even later. Accepts NULL. */
void writer_stop(struct writer *writer, uint64_t within_ms);

/* Takes a copy of some whole lines, each with its newline, all of them or none. Writes nothing. */
void writer_add(struct writer *writer, struct slice lines);

/* Hands over as much as the pipe takes; restarts a dead process. Once a turn. */
void writer_flush(struct writer *writer);

/* At most half of the buffer is in use. */
bool writer_has_room(const struct writer *writer);

/* Lines that will never be written: dropped here, lost with the process, or refused by its output.
 * Both numbers only grow. */
uint64_t writer_dropped(const struct writer *writer);
uint64_t writer_written(const struct writer *writer);

/* errno of the output's last refusal; 0: none. */
int writer_last_error(const struct writer *writer);

/* Of the process; 0 while there is none. */
pid_t writer_pid(const struct writer *writer);

#endif
