/* trotline/feed_hiredis.h - events into Redis through a hiredis context of the caller's.
 *
 *     struct trotline_feed_entry entry = {.event = bytes};
 *     struct trotline_feed_result result;
 *     if (trotline_feed(context, &entry, &result) != TROTLINE_OK)
 *         …
 *
 * The functions are inline, so that they are compiled against the hiredis that the program itself
 * uses (0.13 or later) and links: libtrotline is linked with none. feed.h says what feeding is. A
 * context is for one thread at a time, and so are these calls with it.
 */
#ifndef TROTLINE_FEED_HIREDIS_H
#define TROTLINE_FEED_HIREDIS_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "trotline/feed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What Redis answered. */
struct trotline_feed_result {
    char id[48];     /* the entry's: "1700000000000-0"; empty: it waits for EXEC */
    char error[128]; /* TROTLINE_REFUSED, TROTLINE_LOST: what was said. Cut to fit */
};

/* Takes apart what Redis answered to the command: directly, in a pipeline, behind QUEUED as an item
 * of EXEC's answer, or in an asynchronous callback. `result` may be NULL. OK: Redis has it, or
 * (result->id is empty) has queued it in a MULTI. REFUSED: it has not. LOST: `reply` is NULL, which
 * is how hiredis tells that the connection ended. `reply` stays the caller's. */
static inline enum trotline_status trotline_feed_answer(const redisReply *reply,
                                                        struct trotline_feed_result *result)
{
    struct trotline_feed_result unused;
    enum trotline_status status = TROTLINE_REFUSED;
    const char *said = "the answer is not one to XADD";
    if (!result)
        result = &unused;
    memset(result, 0, sizeof(*result));
    if (!reply) {
        said = "the connection ended";
        status = TROTLINE_LOST;
    } else if (reply->type == REDIS_REPLY_STRING && (size_t)reply->len < sizeof(result->id)) {
        memcpy(result->id, reply->str, (size_t)reply->len);
        status = TROTLINE_OK;
    } else if (reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "QUEUED") == 0) {
        status = TROTLINE_OK;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        said = reply->str;
    }
    if (status != TROTLINE_OK)
        strncat(result->error, said, sizeof(result->error) - 1);
    return status;
}

/* Feeds one entry and waits for the answer, on a blocking context. Within a MULTI the answer is
 * only QUEUED (result->id is empty), and that of EXEC decides.
 *
 * REFUSED: Redis said no (out of memory, a key of another type, no rights, …) and has stored
 * nothing; the connection is as good as before. LOST: the connection failed, result->error says
 * how, and whether Redis has it is unknown: feed it again on another one, with an idempotency key,
 * and it is delivered once. NO_MEMORY: of hiredis; the context is then unusable. INVALID_ARGUMENT:
 * as above, or `context` is NULL or not blocking. */
static inline TROTLINE_MUST_CHECK enum trotline_status
trotline_feed(redisContext *context, const struct trotline_feed_entry *entry,
              struct trotline_feed_result *result)
{
    const char *words[TROTLINE_FEED_ARGUMENTS];
    size_t bytes[TROTLINE_FEED_ARGUMENTS], count = 0;
    enum trotline_status status = trotline_feed_arguments(entry, words, bytes, &count);
    redisReply *reply;
    if (!context || !(context->flags & REDIS_BLOCK))
        status = TROTLINE_INVALID_ARGUMENT;
    if (status != TROTLINE_OK)
        return status;
    reply = (redisReply *)redisCommandArgv(context, (int)count, words, bytes);
    status = trotline_feed_answer(reply, result);
    if (!reply && result) {
        result->error[0] = '\0';
        strncat(result->error, context->errstr, sizeof(result->error) - 1);
    }
    if (reply)
        freeReplyObject(reply);
    else if (context->err == REDIS_ERR_OOM)
        status = TROTLINE_NO_MEMORY;
    return status;
}

/* Appends the command to what `context` is going to send (redisAppendCommandArgv()), so that many
 * make one round trip: call redisGetReply() once for each, and trotline_feed_answer() with what it
 * gives. Copies the event. NO_MEMORY: of hiredis; INVALID_ARGUMENT: as above. */
static inline TROTLINE_MUST_CHECK enum trotline_status
trotline_feed_append(redisContext *context, const struct trotline_feed_entry *entry)
{
    const char *words[TROTLINE_FEED_ARGUMENTS];
    size_t bytes[TROTLINE_FEED_ARGUMENTS], count = 0;
    enum trotline_status status = trotline_feed_arguments(entry, words, bytes, &count);
    if (!context)
        status = TROTLINE_INVALID_ARGUMENT;
    if (status != TROTLINE_OK)
        return status;
    return redisAppendCommandArgv(context, (int)count, words, bytes) == REDIS_OK
               ? TROTLINE_OK
               : TROTLINE_NO_MEMORY;
}

/* Sends the command on an asynchronous context. When this returns OK, `callback` is called once,
 * never before this returns: with the reply, to be given to trotline_feed_answer(), or with NULL
 * when the connection ended. `callback` may be NULL: then nobody learns of an error. Copies the
 * event. LOST: the connection has ended or is being closed, or hiredis is out of memory; nothing
 * was sent; INVALID_ARGUMENT: as above. */
static inline TROTLINE_MUST_CHECK enum trotline_status
trotline_feed_async(redisAsyncContext *context, const struct trotline_feed_entry *entry,
                    redisCallbackFn *callback, void *arg)
{
    const char *words[TROTLINE_FEED_ARGUMENTS];
    size_t bytes[TROTLINE_FEED_ARGUMENTS], count = 0;
    enum trotline_status status = trotline_feed_arguments(entry, words, bytes, &count);
    if (!context)
        status = TROTLINE_INVALID_ARGUMENT;
    if (status != TROTLINE_OK)
        return status;
    return redisAsyncCommandArgv(context, callback, arg, (int)count, words, bytes) == REDIS_OK
               ? TROTLINE_OK
               : TROTLINE_LOST;
}

#ifdef __cplusplus
}
#endif

#endif
