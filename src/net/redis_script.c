/* redis_script.c - the set of scripts, and EVALSHA.
 *
 * Digests are computed here instead of being taken from SCRIPT LOAD's reply, so that they are known
 * before the first connection and one set serves all connections. Loading and repeating are the
 * connection's business (redis_conn.c), since they are about its order.
 */
#include "net/redis_script.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

struct redis_scripts {
    size_t count;
    struct redis_script items[];
};

static bool digest(struct redis_script *script)
{
    unsigned char sha1[EVP_MAX_MD_SIZE];
    unsigned len;
    if (EVP_Digest(script->text, script->len, sha1, &len, EVP_sha1(), NULL) != 1 || len != 20)
        return false;
    for (unsigned i = 0; i < len; i++)
        snprintf(script->sha1 + (size_t)2 * i, 3, "%02x", sha1[i]);
    return true;
}

struct redis_scripts *redis_scripts_new(const struct redis_script_source *table, size_t count)
{
    struct redis_scripts *scripts = calloc(1, sizeof(*scripts) + count * sizeof(scripts->items[0]));
    if (!scripts)
        return NULL;
    scripts->count = count;
    for (size_t i = 0; i < count; i++) {
        struct redis_script *script = &scripts->items[i];
        *script = (struct redis_script){
            .name = table[i].name, .text = table[i].text, .len = table[i].len};
        if (!digest(script)) {
            free(scripts);
            return NULL;
        }
    }
    return scripts;
}

void redis_scripts_free(struct redis_scripts *scripts)
{
    free(scripts);
}

const struct redis_script *redis_script_find(const struct redis_scripts *scripts, const char *name)
{
    for (size_t i = 0; i < scripts->count; i++) {
        if (strcmp(scripts->items[i].name, name) == 0)
            return &scripts->items[i];
    }
    return NULL;
}

size_t redis_scripts_count(const struct redis_scripts *scripts)
{
    return scripts->count;
}

const struct redis_script *redis_scripts_at(const struct redis_scripts *scripts, size_t index)
{
    return &scripts->items[index];
}

enum status redis_script_call(struct redis_conn *conn, const struct redis_script *script,
                              const struct slice *keys, size_t key_count, const struct slice *args,
                              size_t arg_count, redis_reply_fn *fn, void *arg)
{
    char number[24];
    int len = snprintf(number, sizeof(number), "%zu", key_count);
    const struct slice head[] = {
        SLICE("EVALSHA"),
        slice_of(script->sha1, 40),
        slice_of(number, (size_t)len),
    };
    const struct redis_part parts[] = {{head, 3}, {keys, key_count}, {args, arg_count}};
    return redis_command_parts(conn, parts, 3, true, fn, arg);
}
