/* redis_intake.h - what a server has sent, until it is taken apart.
 *
 * Redis does not fill a Unix socket again before it is nearly empty. So the socket is emptied
 * before, and while, its bytes are dealt with: then the server goes on, and there is something to
 * deal with while it does other things.
 *
 * Inside redis_conn.c's domain: it knows sockets and bytes, but no replies or states.
 */
#ifndef TROTLINE_NET_REDIS_INTAKE_H
#define TROTLINE_NET_REDIS_INTAKE_H

#include <stdbool.h>

#include "base/buf.h"

struct redis_intake {
    struct buf bytes;
    size_t taken; /* of these, from the front */
    int error;    /* why no more will come: -1: the server has closed, or an errno. 0: more may */
};

/* Holds up to `max` bytes, which are allocated when the first ones are read. */
void redis_intake_init(struct redis_intake *intake, size_t max);

/* Empties it, for another socket, and gives the memory back. */
void redis_intake_free(struct redis_intake *intake);

/* Reads what there is and what fits, with one system call, or none when it is full or the end was
 * read. Returns the number of bytes, 0 also when there are none now. Nothing is said of an end
 * (redis_intake_end()) before all that came first is taken. */
size_t redis_intake_read(struct redis_intake *intake, int fd);

/* The next bytes, `most` of them or fewer. They are valid until more is read or it is
 * freed. */
struct slice redis_intake_take(struct redis_intake *intake, size_t most);

/* All that was read is taken. */
bool redis_intake_empty(const struct redis_intake *intake);

/* Why nothing will come any more, in words (static); NULL: something may, or is still here. */
const char *redis_intake_end(const struct redis_intake *intake);

#endif
