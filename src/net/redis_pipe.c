/* redis_pipe.c - formatting, queueing, writing, repeating.
 *
 *      add -> queue -> sent -> answered: dropped
 *               ^       `-> NOSCRIPT: refused -.
 *               `---- scripts, then refused ---'
 *
 * An op keeps its bytes until it is answered. So there is no output buffer: one sendmsg gathers
 * many ops, nothing is copied twice, a partial write moves no memory, and a refused script call can
 * be repeated. An op counts as sent when its last byte is written; one that is written in part is
 * the first of the queue and can no longer be overtaken.
 *
 * On the first NOSCRIPT the pipe holds: it writes nothing new until all that is on its way is
 * answered, collecting further refusals in order, and then come SCRIPT LOADs, the refused calls,
 * and the queue. That costs a round trip, which is rare, and buys an order that can be stated
 * (redis_script.h). The pipe holds exactly while `refused` is not empty.
 */
#include "net/redis_pipe.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "net/redis_script.h"

enum { IOV_PER_WRITE = 256 };

void redis_pipe_init(struct redis_pipe *pipe)
{
    *pipe = (struct redis_pipe){0};
    list_init(&pipe->queue);
    list_init(&pipe->sent);
    list_init(&pipe->refused);
}

/* ---- Ops ------------------------------------------------------------------------------------ */

static size_t digits(size_t value)
{
    size_t count = 1;
    for (; value >= 10; value /= 10)
        count++;
    return count;
}

/* `<kind><number>\r\n`; returns what is behind it. */
static char *put_number(char *to, char kind, size_t value)
{
    size_t count = digits(value);
    *to++ = kind;
    for (size_t i = count; i > 0; i--, value /= 10)
        to[i - 1] = (char)('0' + value % 10);
    to += count;
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static void put_words(char *to, const struct redis_part *parts, size_t part_count, size_t words)
{
    to = put_number(to, '*', words);
    for (size_t p = 0; p < part_count; p++) {
        for (size_t i = 0; i < parts[p].count; i++) {
            struct slice word = parts[p].words[i];
            to = put_number(to, '$', word.len);
            if (word.len > 0)
                memcpy(to, word.ptr, word.len);
            to += word.len;
            *to++ = '\r';
            *to++ = '\n';
        }
    }
}

struct redis_op *redis_op_new(enum redis_op_kind kind, const struct redis_part *parts,
                              size_t part_count)
{
    size_t words = 0;
    size_t len = 0;
    for (size_t p = 0; p < part_count; p++) {
        words += parts[p].count;
        for (size_t i = 0; i < parts[p].count; i++)
            len += parts[p].words[i].len + digits(parts[p].words[i].len) + 5;
    }
    assert(words > 0);
    len += digits(words) + 3;
    struct redis_op *op = malloc(sizeof(*op) + len);
    if (!op)
        return NULL;
    *op = (struct redis_op){.kind = kind, .since_us = clock_mono_us(), .len = len};
    list_init(&op->node);
    put_words(op->bytes, parts, part_count, words);
    return op;
}

static void insert(struct redis_pipe *pipe, struct list *before, struct redis_op *op)
{
    list_insert_before(before, &op->node);
    pipe->in_flight_bytes += op->len;
    if (redis_op_is_callers(op))
        pipe->in_flight++;
}

void redis_pipe_add(struct redis_pipe *pipe, struct redis_op *op)
{
    insert(pipe, &pipe->queue, op);
}

void redis_pipe_drop(struct redis_pipe *pipe, struct redis_op *op)
{
    list_remove(&op->node);
    pipe->in_flight_bytes -= op->len;
    if (redis_op_is_callers(op))
        pipe->in_flight--;
    else if (op->kind == OP_HELLO)
        explicit_bzero(op->bytes, op->len); /* AUTH's password does not stay in the heap */
    free(op);
}

/* ---- Writing -------------------------------------------------------------------------------- */

static bool holding(const struct redis_pipe *pipe)
{
    return !list_empty(&pipe->refused);
}

/* The next bytes to write. While holding, only the rest of an op that is already half there. */
static size_t gather(const struct redis_pipe *pipe, struct iovec *iov)
{
    size_t count = 0;
    size_t offset = pipe->queue_offset;
    size_t max = !holding(pipe) ? IOV_PER_WRITE : offset > 0 ? 1 : 0;
    for (struct list *node = pipe->queue.next; node != &pipe->queue && count < max;
         node = node->next) {
        struct redis_op *op = CONTAINER_OF(node, struct redis_op, node);
        iov[count++] = (struct iovec){op->bytes + offset, op->len - offset};
        offset = 0;
    }
    return count;
}

static void written(struct redis_pipe *pipe, size_t bytes)
{
    pipe->queue_offset += bytes;
    while (pipe->queue_offset > 0) {
        struct redis_op *op = CONTAINER_OF(pipe->queue.next, struct redis_op, node);
        if (pipe->queue_offset < op->len)
            break;
        pipe->queue_offset -= op->len;
        list_remove(&op->node);
        list_push_back(&pipe->sent, &op->node);
    }
}

enum status redis_pipe_write(struct redis_pipe *pipe, int fd, struct redis_conn_stats *stats)
{
    struct iovec iov[IOV_PER_WRITE];
    struct msghdr message = {.msg_iov = iov};
    while ((message.msg_iovlen = gather(pipe, iov)) > 0) {
        ssize_t bytes = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (bytes < 0 && errno == EINTR)
            continue;
        stats->writes++;
        if (bytes < 0)
            return errno == EAGAIN ? ST_AGAIN : ST_IO;
        stats->bytes_out += (size_t)bytes;
        written(pipe, (size_t)bytes);
    }
    return ST_OK;
}

/* ---- Replies and repeating ------------------------------------------------------------------ */

struct redis_op *redis_pipe_next(const struct redis_pipe *pipe)
{
    return list_empty(&pipe->sent) ? NULL : CONTAINER_OF(pipe->sent.next, struct redis_op, node);
}

void redis_pipe_refuse(struct redis_pipe *pipe, struct redis_op *op)
{
    list_remove(&op->node);
    list_push_back(&pipe->refused, &op->node);
}

bool redis_pipe_drained(const struct redis_pipe *pipe)
{
    return holding(pipe) && list_empty(&pipe->sent) && pipe->queue_offset == 0;
}

enum status redis_pipe_resume(struct redis_pipe *pipe, const struct redis_scripts *scripts,
                              struct redis_conn_stats *stats)
{
    struct list *place = pipe->queue.next;
    uint64_t since_us = CONTAINER_OF(pipe->refused.next, struct redis_op, node)->since_us;
    for (size_t i = 0; i < redis_scripts_count(scripts); i++) {
        const struct redis_script *script = redis_scripts_at(scripts, i);
        const struct slice words[] = {SLICE("SCRIPT"), SLICE("LOAD"),
                                      slice_of(script->text, script->len)};
        struct redis_op *op = redis_op_new(OP_LOAD, &(struct redis_part){words, 3}, 1);
        if (!op)
            return ST_NOMEM;
        op->since_us = since_us; /* the refused call's time is running */
        insert(pipe, place, op);
    }
    struct list *node;
    while ((node = list_pop_front(&pipe->refused)) != NULL) {
        list_insert_before(place, node);
        stats->repeated++;
    }
    return ST_OK;
}

/* ---- Time and the end ----------------------------------------------------------------------- */

uint64_t redis_pipe_oldest_ms(const struct redis_pipe *pipe)
{
    const struct list *const lists[] = {&pipe->refused, &pipe->sent, &pipe->queue};
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < 3; i++) {
        if (list_empty(lists[i]))
            continue;
        const struct redis_op *op = CONTAINER_OF(lists[i]->next, struct redis_op, node);
        if (op->since_us / 1000 < oldest)
            oldest = op->since_us / 1000;
    }
    return oldest;
}

void redis_pipe_abandon(struct redis_pipe *pipe, struct list *to)
{
    /* What was refused had been sent before what is in `sent` now. */
    struct list *const from[] = {&pipe->refused, &pipe->sent, &pipe->queue};
    for (size_t i = 0; i < 3; i++) {
        struct list *node;
        while ((node = list_pop_front(from[i])) != NULL)
            list_push_back(to, node);
    }
    pipe->queue_offset = 0;
}
