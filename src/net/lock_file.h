/* lock_file.h - a file that one process at a time may hold, with the holder's process id in it.
 *
 * The lock is flock()'s: it belongs to the open file, so children that inherit the descriptor hold
 * it too, and it ends with the last of them, however they end. The file itself stays; removing it
 * would let two processes lock two files of one name.
 */
#ifndef TROTLINE_NET_LOCK_FILE_H
#define TROTLINE_NET_LOCK_FILE_H

#include <sys/types.h>

#include "base/status.h"

/* Opens `name` in the directory `dir_fd` (or AT_FDCWD), making it with mode 0600 if needed, and
 * locks it without waiting. ST_OK: *fd is the lock, close-on-exec, and closing it lets go.
 * ST_EXISTS: held by another; *holder is the process id in the file, or 0. ST_IO: errno tells. */
MUST_CHECK enum status lock_file_take(int dir_fd, const char *name, int *fd, pid_t *holder);

/* Names the holder for those who will be refused. ST_IO: errno tells; the lock holds all the same.
 */
MUST_CHECK enum status lock_file_name_holder(int fd, pid_t holder);

#endif
