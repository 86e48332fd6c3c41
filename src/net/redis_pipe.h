/* redis_pipe.h - commands on their way: those of one connection, from being queued to answered.
 *
 * Inside redis_conn.c's domain: it knows sockets and bytes, but no states, timers or callbacks.
 */
#ifndef TROTLINE_NET_REDIS_PIPE_H
#define TROTLINE_NET_REDIS_PIPE_H

#include "net/redis_conn.h"

enum redis_op_kind {
    OP_COMMAND,
    OP_SCRIPT, /* may be repeated after NOSCRIPT */
    OP_LOAD,   /* this and the rest are the connection's own, without a callback */
    OP_PING,
    OP_HELLO,         /* must succeed */
    OP_HELLO_ROLE,    /* may be forbidden, must not say "slave" */
    OP_HELLO_NAME,    /* may fail */
    OP_HELLO_INFO,    /* may be forbidden; says which server it is */
    OP_HELLO_FINISHED /* the last one: ready */
};

/* A command, and its bytes on the wire until it is answered. */
struct redis_op {
    struct list node;
    enum redis_op_kind kind;
    unsigned tries; /* times it was refused with NOSCRIPT */
    redis_reply_fn *fn;
    void *arg;
    uint64_t since_us; /* monotonic, when it was asked for */
    size_t len;
    char bytes[];
};

struct redis_pipe {
    struct list queue;      /* not yet written, or in part */
    struct list sent;       /* awaiting replies, in order */
    struct list refused;    /* answered NOSCRIPT, to be repeated, in order */
    size_t queue_offset;    /* bytes of the queue's first op that are written */
    size_t in_flight;       /* callers' ops in existence: callbacks to come */
    size_t in_flight_bytes; /* bytes of all ops in existence */
};

void redis_pipe_init(struct redis_pipe *pipe);

/* True for a caller's command, false for one of the connection's own. */
static inline bool redis_op_is_callers(const struct redis_op *op)
{
    return op->kind == OP_COMMAND || op->kind == OP_SCRIPT;
}

/* Makes an op of at least one word, which are copied; it is nowhere yet and may be free()d. NULL
 * when out of memory. */
struct redis_op *redis_op_new(enum redis_op_kind kind, const struct redis_part *parts,
                              size_t part_count);

/* Queues a new op, which from now on is the pipe's and counted. */
void redis_pipe_add(struct redis_pipe *pipe, struct redis_op *op);

/* Frees an op that was added, wherever it is. */
void redis_pipe_drop(struct redis_pipe *pipe, struct redis_op *op);

/* Writes what it may. ST_OK: all of it; ST_AGAIN: the socket is full; ST_IO: errno tells. */
MUST_CHECK enum status redis_pipe_write(struct redis_pipe *pipe, int fd,
                                        struct redis_conn_stats *stats);

/* The op that the next reply belongs to; NULL when nothing was asked. */
struct redis_op *redis_pipe_next(const struct redis_pipe *pipe);

/* Sets the op that redis_pipe_next() gave aside. From now on nothing new is written until what was
 * sent before is answered, which redis_pipe_drained() tells; then redis_pipe_resume() is due. */
void redis_pipe_refuse(struct redis_pipe *pipe, struct redis_op *op);
bool redis_pipe_drained(const struct redis_pipe *pipe);
/* Queues SCRIPT LOADs and the refused ops before everything else. ST_NOMEM: only some. */
MUST_CHECK enum status redis_pipe_resume(struct redis_pipe *pipe,
                                         const struct redis_scripts *scripts,
                                         struct redis_conn_stats *stats);

/* Since when the oldest op waits; UINT64_MAX when there is none. */
uint64_t redis_pipe_oldest_ms(const struct redis_pipe *pipe);

/* The connection is over: moves all ops to `to`, in the order in which they were asked for. */
void redis_pipe_abandon(struct redis_pipe *pipe, struct list *to);

#endif
