/* store_confirm.c - two replies become one.
 *
 *      script, WAIT  -->  script's reply: copied  -->  WAIT's reply: the caller is answered
 *
 * What WAIT covers. Redis notes for each client the replication offset at the end of its last
 * command, whether that wrote or not, and WAIT compares the replicas' offsets with that one
 * (replication.c, waitCommand(): `offset = c->woff`; server.c sets it behind every call()). The
 * stream is one for all clients. So a confirmed script is confirmed with all that was written
 * before it by anybody: also a call that changed nothing, because it was a repetition, or found
 * that its event is a duplicate, is answered only when the first one's writes are on the replicas.
 *
 * The order. Replies come in the order of the commands, with one exception: a script that was
 * refused with NOSCRIPT is repeated behind everything that was on its way, WAIT included. That
 * WAIT has confirmed nothing, and is asked for once more when the script has answered.
 *
 * Rejected: sending WAIT when the script has answered. It is simpler, but each batch would cost
 * another round trip on a connection that has at most two on their way.
 */
#include "core/store_confirm.h"

#include <stdlib.h>

#include "net/redis_script.h"

struct confirm {
    struct redis_conn *conn;
    struct store_confirm_options options;
    store_reply_fn *fn; /* NULL: answered */
    void *arg;
    bool waiting;              /* for WAIT's reply */
    struct redis_value *reply; /* the script's, once it is there */
};

/* The object goes when the last reply it is told of has come. */
static void put(struct confirm *confirm)
{
    if (confirm->fn || confirm->waiting)
        return;
    redis_value_free(confirm->reply);
    free(confirm);
}

static void answer(struct confirm *confirm, enum status status, const struct redis_value *reply)
{
    store_reply_fn *fn = confirm->fn;
    confirm->fn = NULL;
    fn(confirm->arg, status, reply);
    put(confirm);
}

static void on_waited(void *arg, enum status status, const struct redis_value *reply)
{
    struct confirm *confirm = arg;
    confirm->waiting = false;
    if (!confirm->fn)
        put(confirm);
    else if (!confirm->reply)
        return; /* the script was refused and comes later */
    else if (status != ST_OK)
        answer(confirm, status, NULL);
    else if (redis_value_integer(reply) < (int64_t)confirm->options.replicas)
        answer(confirm, ST_TIMEOUT, confirm->reply);
    else
        answer(confirm, ST_OK, confirm->reply);
}

static void ask(struct confirm *confirm)
{
    struct store_number numbers[2];
    const struct slice words[] = {SLICE("WAIT"), store_u64(&numbers[0], confirm->options.replicas),
                                  store_u64(&numbers[1], confirm->options.timeout_ms)};
    confirm->waiting = redis_command(confirm->conn, words, 3, on_waited, confirm) == ST_OK;
}

static void on_script(void *arg, enum status status, const struct redis_value *reply)
{
    struct confirm *confirm = arg;
    if (status != ST_OK || redis_value_type(reply) == REDIS_ERROR) {
        answer(confirm, status, reply);
        return;
    }
    confirm->reply = redis_value_copy(reply);
    if (!confirm->waiting)
        ask(confirm);
    if (!confirm->reply || !confirm->waiting)
        answer(confirm, ST_TIMEOUT, reply);
}

enum status store_confirmed_call(struct redis_conn *conn, const struct redis_script *script,
                                 const struct slice *keys, size_t key_count,
                                 const struct slice *args, size_t arg_count,
                                 const struct store_confirm_options *options, store_reply_fn *fn,
                                 void *arg)
{
    if (options->replicas == 0)
        return redis_script_call(conn, script, keys, key_count, args, arg_count, fn, arg);
    struct confirm *confirm = malloc(sizeof(*confirm));
    if (!confirm)
        return ST_NOMEM;
    *confirm = (struct confirm){.conn = conn, .options = *options, .fn = fn, .arg = arg};
    enum status status =
        redis_script_call(conn, script, keys, key_count, args, arg_count, on_script, confirm);
    if (status == ST_OK)
        ask(confirm);
    else
        free(confirm);
    return status;
}
