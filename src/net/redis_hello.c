/* redis_hello.c - the handshake: everything the server must agree to, in one go.
 *
 *   AUTH, SELECT, ROLE, INFO, CLIENT SETNAME, SCRIPT LOAD ..., PING
 *
 * PING is last: a server that is still loading answers ROLE, but not PING. Who may not use ROLE or
 * INFO does without what they tell.
 */
#include "net/redis_hello.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/redis_script.h"

MUST_CHECK static bool add(struct redis_pipe *pipe, enum redis_op_kind kind,
                           const struct slice *words, size_t count)
{
    struct redis_part part = {words, count};
    struct redis_op *op = redis_op_new(kind, &part, 1);
    if (op)
        redis_pipe_add(pipe, op);
    return op != NULL;
}

enum status redis_hello_add(struct redis_pipe *pipe, const struct redis_options *options,
                            const struct redis_scripts *scripts)
{
    char database[16];
    int len = snprintf(database, sizeof(database), "%d", options->database);
    struct slice auth[3] = {SLICE("AUTH"), slice_str(options->username), SLICE_NULL};
    size_t auth_count = options->username ? 2 : 1;
    auth[auth_count++] = slice_str(options->password);
    const struct slice select[] = {SLICE("SELECT"), slice_of(database, (size_t)len)};
    const struct slice name[] = {SLICE("CLIENT"), SLICE("SETNAME"),
                                 slice_str(options->client_name)};
    const struct slice role[] = {SLICE("ROLE")};
    const struct slice info[] = {SLICE("INFO"), SLICE("server")};
    const struct slice ping[] = {SLICE("PING")};
    bool ok = (!options->password || add(pipe, OP_HELLO, auth, auth_count)) &&
              (options->database == 0 || add(pipe, OP_HELLO, select, 2)) &&
              add(pipe, OP_HELLO_ROLE, role, 1) && add(pipe, OP_HELLO_INFO, info, 2) &&
              (!options->client_name || add(pipe, OP_HELLO_NAME, name, 3));
    size_t count = scripts ? redis_scripts_count(scripts) : 0;
    for (size_t i = 0; ok && i < count; i++) {
        const struct redis_script *script = redis_scripts_at(scripts, i);
        const struct slice load[] = {SLICE("SCRIPT"), SLICE("LOAD"),
                                     slice_of(script->text, script->len)};
        ok = add(pipe, OP_HELLO, load, 3);
    }
    return ok && add(pipe, OP_HELLO_FINISHED, ping, 1) ? ST_OK : ST_NOMEM;
}

bool redis_hello_accepts(enum redis_op_kind kind, const struct redis_value *reply, char *why,
                         size_t size)
{
    bool must = kind == OP_HELLO || kind == OP_HELLO_FINISHED ||
                (kind == OP_HELLO_ROLE && !redis_value_is_error(reply, "NOPERM"));
    bool replica = kind == OP_HELLO_ROLE &&
                   slice_eq(redis_value_text(redis_value_at(reply, 0)), SLICE("slave"));
    if (must && redis_value_type(reply) == REDIS_ERROR)
        snprintf(why, size, "the server says %.*s", SLICE_ARGS(redis_value_text(reply)));
    else if (replica)
        snprintf(why, size, "the server is a replica");
    else
        return true;
    return false;
}

void redis_hello_run_id(const struct redis_value *reply, char *run_id, size_t size)
{
    struct slice text = redis_value_info(reply, "run_id");
    if (text.len >= size)
        text = SLICE("");
    memcpy(run_id, text.ptr, text.len);
    run_id[text.len] = '\0';
}
